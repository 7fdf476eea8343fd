"""Which answer does a text give? Equations by value, yes/no, strings; on any text, in bounded time, without raising.

    extract_equation("Luke scored 84 points. 84 / 2 = 42. The answer is (84/2).\\n\\nQ: There are 120 ...")
    # Answer(label="(84 / 2)", how="answer sentence", reasoning="Luke scored 84 points. 84 / 2 = 42.",
    #        text="Luke scored 84 points. 84 / 2 = 42. The answer is (84 / 2).")

The text is the teacher's or the student's and is not trusted; it is made tidy first (lib/text.py). The last answer
sentence counts; where there is none, the fallback named in `Answer.how`. An answer that cannot be told, such as
"(2 * x)", is None and never guessed.
"""

import re
from collections.abc import Callable

from lib.equations import canonical, equal_equations, plain_signs
from lib.tasks.base import Answer
from lib.text import LIMIT, sentences, tidy

_ANSWER = re.compile(r"\bthe (?:final |correct )?answer is\b:? ?|\b(?:final )?answer: ", re.IGNORECASE)
_CONNECTIVES = ("so", "thus", "therefore", "hence")
_SENTENCE_END = re.compile(r"[.!?][\"')*]*(?: |$)")
Found = tuple[str | None, str]  # the label, and how it was found or why not


def _extract(text: str, stated: Callable[[str], Found], fallback: Callable[[str], Found]) -> Answer:
    """`stated` reads what follows "The answer is"; `fallback` reads a text without such a sentence."""
    body = tidy(text)
    if not body:
        return Answer(None, "empty text", "", "")
    matches = list(_ANSWER.finditer(body))
    reasoning = body[: matches[-1].start()].rstrip() if matches else body
    label, how = stated(body[matches[-1].end() :]) if matches else fallback(body)
    if label is None:
        return Answer(None, how, reasoning, body)
    return closed(label, how, "" if how.startswith("bare") else reasoning)


def closed(label: str, how: str, reasoning: str) -> Answer:
    """An answer whose text ends in "The answer is {label}."; a "So" before that sentence goes with it."""
    ending = f"The answer is {label}."
    words = reasoning[: LIMIT - len(ending) - 1].split()
    while words and words[-1].rstrip(",").lower() in _CONNECTIVES:
        words.pop()
    return Answer(label, how, " ".join(words), " ".join([*words, ending]))


# -- equations -----------------------------------------------------------------------------------

_NUMBER = re.compile(r"(?<![0-9.])-?(?:[0-9]{1,20}(?:\.[0-9]{1,20})?|\.[0-9]{1,20})(?!\.?[0-9])")
_RESULT = re.compile(r"= ?(-?[0-9]{1,20}(?:\.[0-9]{1,20})?)(?!\.?[0-9])(?! ?[-+*/(=])")
_ASIDE = re.compile(r"\([^()]*[A-Za-z][^()]*\)")
_CONCLUSION = re.compile(r"\b(?:Therefore|Thus|So|Hence)\b")


def extract_equation(text: str) -> Answer:
    """The equation, or bare number, that a text answers with.

    Without an answer sentence: the text itself if it is an equation; else, asides in brackets left out, from the last
    sentence with a number, after its last "So" or "Therefore": the result of its last equation; its only number;
    that of its numbers which an equation of the text computed last; its last number. None for a text that ran on,
    saying its last sentence three times.
    """
    return _extract(text, _stated_equation, _concluded_equation)


def _stated_equation(tail: str) -> Found:
    end = _SENTENCE_END.search(tail)
    sides = tail[: end.start() if end else None].split("=")
    if len(sides) == 2 and re.fullmatch("[A-Za-z]", sides[0].strip()):
        sides = sides[1:]
    labels = [canonical(side) for side in sides]
    if None in labels:
        return None, "answer sentence holds no equation" if end else "answer sentence is cut off"
    if not all(equal_equations(labels[0], label) for label in labels):
        return None, "answer sentence contradicts itself"
    return labels[0], "answer sentence"


def _concluded_equation(body: str) -> Found:
    if whole := canonical(body.rstrip(".")):
        return whole, "bare equation"
    if _ran_on(sentences(body)):
        return None, "ran on without an answer"
    plain = _ASIDE.sub("", plain_signs(body))
    for sentence in reversed(sentences(plain)):
        parts = [part for part in _CONCLUSION.split(sentence) if _NUMBER.search(part)]
        if parts:
            return _number_of(parts[-1], _RESULT.findall(plain))
    return None, "no answer found"


def _ran_on(parts: list[str]) -> bool:
    """The last whole sentence stands there three times."""
    return any(parts.count(part) >= 3 for part in parts[-2:])


def _number_of(conclusion: str, computed: list[str]) -> Found:
    """The number that a concluding sentence is about."""
    results, numbers = _RESULT.findall(conclusion), _NUMBER.findall(conclusion)
    if results:
        return canonical(results[-1]), "last equation"
    if len(set(numbers)) == 1:
        return canonical(numbers[0]), "only number of the conclusion"
    restated = [number for number in computed if number in numbers]
    return (canonical(restated[-1]), "restated result") if restated else (canonical(numbers[-1]), "last number")


# -- yes / no and strings ------------------------------------------------------------------------

_NEGATED = re.compile(r"\b(?:not|n't|neither|never|no longer)\b ?(?:an? )?[\"']?(?:yes|no)\b", re.IGNORECASE)
_YES_NO = re.compile(r"\b(yes|no)\b(?! longer)", re.IGNORECASE)
_OPENING_YES_NO = re.compile(r"(?:so|thus|therefore|hence)?,? ?(yes|no)(?:[,.!;:]|$)", re.IGNORECASE)


def extract_yes_no(text: str) -> Answer:
    """The "yes" or "no" of the last answer sentence, else of the last sentence that starts with Yes or No."""
    return _extract(text, _stated_yes_no, _concluded_yes_no)


def _stated_yes_no(tail: str) -> Found:
    sentence = sentences(tail)[0] if tail else ""
    words = {word.lower() for word in _YES_NO.findall(sentence)}
    if len(words) == 1 and not _NEGATED.search(sentence):
        return words.pop(), "answer sentence"
    return None, "answer sentence is neither yes nor no"


def _concluded_yes_no(body: str) -> Found:
    for sentence in reversed(sentences(body)):
        if match := _OPENING_YES_NO.match(sentence):
            return match[1].lower(), "bare answer" if sentence == body else "sentence starting with yes or no"
    return None, "no answer found"


# Letters, perhaps apart: yajo, "yajo", y a j o, y-a-j-o, yaj o.
_APART = r"[^\W\d_]{1,30}(?:[ ,+'-]{1,3}[^\W\d_]{1,2}\b){0,30}"
_STATED = re.compile(rf"[\"'“(]?({_APART})[\"'”).!]*$")
_ENDING = re.compile(rf"(?:[:=]|\b(?:is|are|get|us|have|string|word)\b) ?[\"'“(]?({_APART})[\"'”).!]*$")
_QUOTED = re.compile(rf"[\"“]({_APART})[.]?[\"”]")


def extract_string(text: str) -> Answer:
    """The string that a text answers with, as lower-case letters.

    Without an answer sentence: the text itself if it is one word; else what its last sentence ends with after a
    colon, an equals sign or "is", "are", "get", ...; else the last word in quotation marks in that sentence.
    """
    return _extract(text, _stated_string, _concluded_string)


def _stated_string(tail: str) -> Found:
    match = _STATED.match(sentences(tail)[0]) if tail else None
    return (_letters(match[1]), "answer sentence") if match else (None, "answer sentence holds no string")


def _concluded_string(body: str) -> Found:
    if re.fullmatch(r"[^\W\d_]{1,30}[.]?", body):
        return _letters(body), "bare string"
    last = sentences(body)[-1][-200:]
    if match := _ENDING.search(last):
        return _letters(match[1]), "end of the last sentence"
    quoted = _QUOTED.findall(last)
    return (_letters(quoted[-1]), "quoted in the last sentence") if quoted else (None, "no answer found")


def _letters(text: str) -> str:
    return "".join(filter(str.isalpha, text)).lower()


def equal_words(one: str, other: str) -> bool:
    """The same word or letters, whatever their case."""
    return one.strip().lower() == other.strip().lower()
