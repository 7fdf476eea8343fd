"""Where a sentence names the choices of its question, by letter, by text or by both.

mentions_in(letters_marked("option B, gravity.").casefold(), ("park", "gravity"), lettered=True)
# [Mention(place=1, start=0, end=12, how="letter and text", opens=True, negated=False)]
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

BOTH, OTHER_TEXT = "letter and text", "letter; text differs"
_NOISE = r"[\s\"'“”‘’*_:,-]{0,9}"
_OPENING = re.compile(
    rf"{_NOISE}(?:(?:either|most likely|probably|likely|clearly|indeed|therefore|thus|then|an|a|the)\b )*{_NOISE}"
)
_NEGATION = re.compile(
    r"(?:\bnot|n['’]t|\bnor|\bneither|\bcannot|\brather than|\binstead of|\bexcept|\bother than)"
    r"(?: (?:be|to|the|a|an|in|at|on|option|choice|answer|necessarily|simply|just)\b){0,3}[ \"'*(:]{0,4}$"
)
_JOINED = re.compile(
    r"[\s,/\"'*]{0,4}(?:or|and|and/or|/|&|,)[\s\"'*]{0,4}(?:either |possibly |maybe |also )?(?:the |an? )?"
)
_ASIDE = re.compile(r"\b(?:because|since|as|due to|while|whereas|which|although|though|but|for|so)\b")
_GAP = re.compile(rf"{_NOISE}(?:(?:the|an|a) )?")
_WORD = re.compile(r"\w{1,20}")
# What may follow a letter that stands alone: "(d) is right because ...".
_NO_TEXT = frozenset(
    {"is", "was", "would", "should", "seems", "because", "since", "as", "and", "or", "but", "not", "which", "rather"}
    | {"in", "for"}
)
_OPERATOR_BEFORE = re.compile(r"[+×÷·^√{] ?$|[\w)] [-*/] $")
_OPERATOR_AFTER = re.compile(r" ?[+×÷·^√}]| [-*/] [\w(]")
_NOUN = "(?:option|choice|letter|answer)s?"
_SO = "(?:So|Therefore|Thus|Hence),? "
_MARKS = (
    (re.compile(r"[*_]{1,2}\(?([A-Za-z])\)?[.:]?[*_]{1,2}"), r"(\1)"),
    (re.compile(r"\[([A-Za-z])\]"), r"(\1)"),
    (re.compile(r"\( ?([A-Za-z]) ?\)"), r"(\1)"),
    (re.compile(rf"\b(?i:{_NOUN}) \(?([A-HJ-Z]|[a-z](?=[.,:;]|$))(?![\w)'])[.:]?"), r"(\1)"),
    (re.compile(rf"\b(?i:{_NOUN}) (?=\([A-Za-z]\))"), ""),
    (re.compile(r"^([ \"'“:]{0,4})([B-Zb-z]|[Aa](?! ))(?:[.:,;](?= |$)|(?=[\"'”]|$| -|, ))"), r"\1(\2)"),
    (re.compile(r"^([ \"'“:]{0,4})([B-HJ-Z])(?= [a-z])"), r"\1(\2)"),
    (re.compile(r"(\([A-Za-z]\),? (?:or|and) )([A-Z])(?![\w)'])"), r"\1(\2)"),
    (re.compile(rf"^({_SO})([A-H])(?=[.]?$|[.] |, |: )"), r"\1(\2)"),
    (re.compile(rf"^((?:{_SO})?)([A-H])(?= is (?:the )?(?:correct|right|best|answer)\b)"), r"\1(\2)"),
)
_CLOSED = re.compile(r"(?<![\w(])([A-Za-z])\)")


@dataclass(frozen=True)
class Mention:
    """A choice named in a text.

    place    of the choice; it may lie beyond the choices where a letter does
    how      "letter", "letter and text", "letter; text differs" or "text"
    opens    the text begins with it, quotation marks and "the" aside
    """

    place: int
    start: int
    end: int
    how: str
    opens: bool
    negated: bool


def letters_marked(text: str) -> str:
    """Every letter that stands for a choice as "(x)": "option D", "d)", "[D]", "D." at the start, "Therefore, D."."""
    for pattern, form in _MARKS:
        text = pattern.sub(form, text)
    return _CLOSED.sub(lambda mark: f"({mark[1]})" if _outside(text, mark.start()) else mark[0], text)


def _outside(text: str, place: int) -> bool:
    """No bracket is open there, as before the "b)" of "(x + b)"."""
    return text.count("(", 0, place) <= text.count(")", 0, place)


def mentions_in(plain: str, choices: Sequence[str], lettered: bool) -> list[Mention]:
    """The choices that a text names, in order. Text and choices are in the same normal form."""
    found, opening, position = [], _OPENING.match(plain).end(), 0
    for match in _pattern(tuple(choices), lettered).finditer(plain):
        if match.start() < position or _within_formula(plain, match):  # or within the text of the mention before
            continue
        place = ord(match["letter"]) - ord("a") if match["letter"] else choices.index(match["text"])
        position, how = _extent(plain, match.end(), place, choices) if match["letter"] else (match.end(), "text")
        negated = _NEGATION.search(plain[max(0, match.start() - 60) : match.start()]) is not None
        found.append(Mention(place, match.start(), position, how, match.start() <= opening, negated))
    return found


def _within_formula(plain: str, match: re.Match) -> bool:
    """A number that is part of more: the 6 of "x + 6", "√6", "6^2"."""
    text = match["text"] or ""
    before, after = plain[max(0, match.start() - 4) : match.start()], plain[match.end() : match.end() + 3]
    return (text[:1].isdigit() and _OPERATOR_BEFORE.search(before) is not None) or (
        text[-1:].isdigit() and _OPERATOR_AFTER.match(after) is not None
    )


def _extent(plain: str, end: int, place: int, choices: Sequence[str]) -> tuple[int, str]:
    """Where the mention of a letter ends, and whether the choice's text follows it."""
    text = choices[place] if place < len(choices) else ""
    gap = _GAP.match(plain, end).end()
    for start in (end + 1, gap, end) if text else ():
        after = start + len(text)
        if plain.startswith(text, start) and not (text[-1].isalnum() and plain[after : after + 1].isalnum()):
            return after, BOTH
    following = _WORD.match(plain, gap)
    return end, "letter" if following is None or following[0] in _NO_TEXT else OTHER_TEXT


@lru_cache(maxsize=4096)
def _pattern(choices: tuple[str, ...], lettered: bool) -> re.Pattern:
    """Letters in brackets, and the choices' texts as whole words, the longest first."""
    texts = sorted({text for text in choices if len(text) > 1 or text.isdigit()}, key=lambda text: (-len(text), text))
    words = "|".join(map(re.escape, texts)) or "(?!)"
    # Not after a letter or a digit, as in "f(x)" and "2(x)".
    letter = r"(?<!\b[a-z])(?<![0-9])\((?P<letter>[a-z])\)" if lettered else r"(?P<letter>(?!))"
    return re.compile(rf"{letter}|(?<![\w.−/-])(?P<text>{words})(?![\w%]|[.,/:]\d|-\w)")


def only_one(plain: str, found: Sequence[Mention]) -> int | None:
    """The one choice that a sentence names as the answer; None where it names several or none."""
    named = [mention for mention in found if not mention.negated]
    if not named:
        return None
    first = named[0]
    if first.opens:
        return None if any(_rivals(plain, first, other) for other in named[1:]) else first.place
    by_letter = {mention.place for mention in named if mention.how != "text"}
    places = by_letter or {mention.place for mention in named}
    return places.pop() if len(places) == 1 else None


def _rivals(plain: str, first: Mention, other: Mention) -> bool:
    """Whether the sentence offers another choice beside the first: "(a) or (b)", not "(a) because (b) is wrong"."""
    if other.place == first.place:
        return False
    between = plain[first.end : other.start]
    return bool(_JOINED.fullmatch(between)) or (other.how != "text" and not _ASIDE.search(between))
