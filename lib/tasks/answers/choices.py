"""Multiple choice: by letter, "(d)", "d)", "option D", or by text, "math problem"; the label is the choice's text.

extract_choice("Only gravity pulls. So the answer is (b) gravity.", ("park", "gravity")).label      # "gravity"
extract_choice("The answer is either (a) or (b).", ("park", "gravity"))
# Answer(label=None, how="answer sentence names several choices", ...)

Where letter and text disagree the letter counts, and `how` is "letter; text differs"; it is "letter and text" only
where both are given exactly. A letter with its text that directly follows "The answer is" counts even where another
comes after it ("first letter of several"). What is all of a choice's text is not searched for letters: "(x + b)(x - b)"
names no (b). Thousands, the minus sign and "percent" are notation: "1,000" is "1000".

A choice that is said not to be the answer is none; what names several choices otherwise, a letter beyond them, or the
letter of one that is the text of another, is not guessed.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lib.tasks.answers.markup import readable, unmarked
from lib.tasks.answers.mentions import BOTH, OTHER_TEXT, Mention, letters_marked, mentions_in, only_one
from lib.tasks.answers.notation import folded, noted, relation_named
from lib.tasks.answers.reading import SENTENCE_END, closed, conclusion
from lib.tasks.base import Answer, Extract
from lib.text import tidy

LETTERS = "abcdefghijklmnopqrstuvwxyz"
FIRST = "first letter of several"
UNCLEAR = "a choice's text that is another's letter"
LONGEST_CHOICE = 500  # characters; a longer choice is never the answer
Pick = tuple[int | None, str]  # the place of the choice, and how it was found or why not

_ADJECTIVE = "(?:final|correct|right|best|true)"
_PHRASE = re.compile(
    rf"\b(?:(?:(?:the|my|our) (?:\w{{1,12}} ){{0,3}})?(?:{_ADJECTIVE} )?answer"
    rf"|(?:the )?{_ADJECTIVE} (?:choice|option|statement))"
    r"(?: choice| option| letter)?(?:,? (?:therefore|thus|then),?)? ?"
    r"(?:\b(?:is|would be|should be|must be)\b:?|:) ?",
    re.IGNORECASE,
)
_DOUBT = re.compile(
    r"(?:n['’]t|\bnot|\bcannot) (?:\w+ )?(?:think|believe|say|mean|true|sure|certain|clear|the case)\b[^,;.]{0,20}$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Options:
    """The choices of one question, tidy, and how they are read: `normal` makes texts that mean the same equal."""

    texts: tuple[str, ...]
    lettered: bool
    normal: Callable[[str], str]

    @property
    def normals(self) -> tuple[str, ...]:
        return tuple(self.normal(unmarked(text)) for text in self.texts)

    def said(self, place: int) -> str:
        """What the closing sentence says: "(d) math problem", or "neutral" where the question shows no letters."""
        return f"({LETTERS[place]}) {self.texts[place]}" if self.lettered else self.texts[place]

    def closing(self, body: str) -> tuple[int, int] | None:
        """The choice that a body's exact closing sentence gives, and where that sentence begins."""
        ends = [(len(body) - len(end), i) for i, end in enumerate(self._endings) if end and body.endswith(end)]
        return min(ends)[::-1] if ends else None

    @property
    def _endings(self) -> list[str]:
        return [f"The answer is {self.said(i)}." if text else "" for i, text in enumerate(self.texts)]


def choice_extractor(lettered: bool = True, normal: Callable[[str], str] = noted) -> Extract:
    """An extractor of choices. lettered: whether the question shows letters; normal: text -> what is compared."""

    def extract(text: str, choices: Sequence[str] = ()) -> Answer:
        return _read(text, _options(choices, lettered, normal))

    extract.__doc__ = _read.__doc__
    return extract


def _options(choices: Sequence[str], lettered: bool, normal: Callable[[str], str]) -> Options:
    tidied = (" ".join(choice[: 2 * LONGEST_CHOICE].split()) for choice in choices[: len(LETTERS)])
    texts = tuple("" if len(text) > LONGEST_CHOICE else text for text in tidied)
    options = Options(texts, lettered, normal)
    # Notation is set aside only where that keeps the choices apart: not with both "1,000" and "1000".
    same = len(set(options.normals)) == len(set(map(folded, texts)))
    return options if same else Options(texts, lettered, folded)


def _read(text: str, options: Options) -> Answer:
    """The choice that a text answers with.

    Without an answer sentence: the text itself if it is a letter or a choice; else the one letter, or the one
    choice, that its last sentence names. None for several, for one that is negated, for a letter beyond the choices.
    """
    body = _legible(tidy(text), options)
    if not body or not any(options.texts):
        return Answer(None, "question has no choices" if body else "empty text", body, body)
    if exact := options.closing(body):
        return _answer(body, (exact[0], _agreement(options)), body[: exact[1]], options)
    if (pick := _bare(body, options))[0] is not None or pick[1] == UNCLEAR:
        return _answer(body, pick, "", options)
    matches = list(_PHRASE.finditer(body))
    if not matches:
        return _answer(body, _concluded(body, options), body, options)
    start, end = matches[-1].span()
    if _DOUBT.search(body[max(0, start - 80) : start]):
        return Answer(None, "answer sentence is in doubt", body[:start].rstrip(), body)
    return _answer(body, _stated(body[end:], options), body[:start], options)


def _legible(body: str, options: Options) -> str:
    """A text without markup, but for an exact closing sentence, as a choice may look like markup."""
    exact = options.closing(body)
    if not exact:
        plain = readable(body)
        return _legible(plain, options) if options.closing(plain) else plain
    plain = f"{readable(body[: exact[1]], answered=True)} {body[exact[1] :]}".lstrip()
    return plain if plain == body else _legible(plain, options)


def _answer(body: str, pick: Pick, reasoning: str, options: Options) -> Answer:
    place, how = pick
    if place is None:
        return Answer(None, how, reasoning.rstrip(), body)
    if place >= len(options.texts) or not options.texts[place]:
        return Answer(None, "letter beyond the choices", reasoning.rstrip(), body)
    answer = closed(options.texts[place], how, reasoning, options.said(place))
    if (options.closing(answer.text) or (None,))[0] != place:  # a choice that contains another's closing sentence
        return Answer(None, "choices cannot be told apart", reasoning.rstrip(), body)
    return answer


def _agreement(options: Options) -> str:
    return BOTH if options.lettered else "text"


def _bare(body: str, options: Options) -> Pick:
    """A text that is nothing but a choice, or its letter."""
    plain = options.normal(body.strip(" \"'*_"))
    if (pick := _whole(plain, options, "bare text"))[0] is not None:
        return pick
    match = re.fullmatch(r"\(?([a-z])(?:\)|\.|:)?(?: (.{1,600}))?", plain) if options.lettered else None
    if match and match[2] is None and pick[1] != UNCLEAR:
        return LETTERS.index(match[1]), "bare letter"
    place = LETTERS.index(match[1]) if match and match[2] else len(options.texts)
    if place < len(options.texts) and match[2].rstrip(".") == options.normals[place].rstrip("."):
        return place, "bare letter and text"
    return None, pick[1]


def _whole(plain: str, options: Options, how: str) -> Pick:
    """The choice that a text is, but for its full stop. None for a letter that is one choice and names another."""
    for place, text in enumerate(options.normals):
        if text and plain in (text, f"{text}."):
            letter = re.fullmatch(r"\(?([a-z])\)?", text) if options.lettered else None
            named = options.normals[ord(letter[1]) - ord("a") :][:1] if letter else ()
            return (place, how) if named in ((), (text,)) else (None, UNCLEAR)
    return None, "no answer found"


def _stated(tail: str, options: Options) -> Pick:
    """What follows "The answer is": up to the sentence's end, though not before the end of the choice it opens with."""
    if (pick := _told_whole(tail, options)) != (None, "no answer found"):
        return pick
    plain = options.normal(letters_marked(tail) if options.lettered else tail)
    found = mentions_in(plain, options.normals, options.lettered)
    opening = found[0].end if found and found[0].opens else 0
    end = SENTENCE_END.search(plain, opening)
    within = [mention for mention in found if mention.start < (end.start() if end else len(plain))]
    place, how = _decide(plain, within, "answer sentence")
    if place is None and _settled(within):
        return within[0].place, FIRST
    if how == BOTH and options.said(place)[2:] not in tail:
        how = "letter and text, letter case aside"
    return place, how


def _told_whole(tail: str, options: Options) -> Pick:
    """A choice that is all that follows "The answer is", or all of that sentence: no letters are looked for in it."""
    end = SENTENCE_END.search(tail)
    for told in (tail, tail[: end.start()] if end else tail):
        pick = _whole(options.normal(told.strip(" \"'*_")), options, "text")
        if pick[1] != "no answer found":
            return pick
    return pick


def _settled(found: Sequence[Mention]) -> bool:
    """Whether a letter with a text directly follows "The answer is". It counts, as in the published accuracy of these
    data, whatever comes after it: "(a) funding or (b) capital" is (a); "(a) or (b)", "either (a) ..." are neither."""
    return bool(found) and found[0].start == 0 and found[0].how in (BOTH, OTHER_TEXT) and not found[0].negated


def _concluded(body: str, options: Options) -> Pick:
    last = conclusion(body)
    plain = options.normal(letters_marked(last) if options.lettered else last)
    found = mentions_in(plain, options.normals, options.lettered)
    if found and found[0].opens and found[0].how == OTHER_TEXT:
        return None, "last sentence is cut off"
    place, how = _decide(plain, found, "last sentence")
    return place, how if place is None else f"last sentence: {how}"


def _decide(plain: str, found: Sequence[Mention], where: str) -> Pick:
    if not found:
        return None, f"{where} names no choice"
    if all(mention.negated for mention in found):
        return None, f"{where} only says what is wrong"
    place = only_one(plain, found)
    if place is None:
        return None, f"{where} names several choices"
    return place, next(mention.how for mention in found if mention.place == place and not mention.negated)


def equal_choices(one: str, other: str) -> bool:
    """The same text, letter case and white space aside."""
    return folded(" ".join(one.split())) == folded(" ".join(other.split()))


extract_choice = choice_extractor(lettered=True)
extract_named_choice = choice_extractor(lettered=False, normal=relation_named)
