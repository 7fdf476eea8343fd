"""Equations and numbers: "(84 / 2)", and for a task whose label is one number, its exact value "42".

extract_equation("84 / 2 = 42. The answer is (84/2).").label      # "(84 / 2)"
extract_number("84 / 2 = 42. The answer is (84/2).").label        # "42"
"""

import re
from collections.abc import Sequence

from lib.equations import (
    OTHER_NUMBER,
    canonical,
    equal_equations,
    equation_value,
    is_number,
    number_text,
    number_value,
    plain_signs,
)
from lib.tasks.answers.reading import ANSWER, SENTENCE_END, Found, conclusion, read_answer
from lib.tasks.base import Answer
from lib.text import sentences

_NUMBER = re.compile(r"(?<![0-9.])-?(?:[0-9]{1,20}(?:\.[0-9]{1,20})?|\.[0-9]{1,20})(?!\.?[0-9])")
_RESULT = re.compile(r"= ?(-?[0-9]{1,20}(?:\.[0-9]{1,20})?)(?!\.?[0-9])(?! ?[-+*/(=])")
# Brackets that interrupt a sentence: "(14 rows x 11)", and after a word or a comma "(7 + 3)".
_ASIDE = re.compile(r"\((?=[^()A-Za-z]{0,400}[A-Za-z])[^()]{1,400}\)|(?<=[A-Za-z,]) \([^()]{1,60}\)(?! ?[-+*/=])")
_ALONE = re.compile(r"(?<![\w.:/-])-?(?:[0-9]{1,20}(?:\.[0-9]{1,20})?|\.[0-9]{1,20})(?![\w:/%-]|\.[0-9])")
# What an answer in words must not hold: an operation, an unknown, or a word that makes another number of it.
_NO_WORDS = re.compile(
    r"[*+/=()]| - |\b[b-zB-HJ-Z]\b|n['’]t"
    rf"|\b(?:not|some|between|or|{OTHER_NUMBER})\b"
)
# What words after a number change, "12 dozen", and a number said twice with nothing between, "20 20", is not told.
_CHANGED = re.compile(rf"-? ?(?:{OTHER_NUMBER})\b", re.IGNORECASE)
_TWICE = re.compile(r"(?<![\w.])([0-9.]{0,20}[0-9]) \1(?![\w%]|\.[0-9])")
_REASON = re.compile(r",? (?:because|since|as)\b")
_CONCLUSION = re.compile(r"\b(?:Therefore|Thus|So|Hence)\b")


def extract_equation(text: str, choices: Sequence[str] = ()) -> Answer:
    """The equation, or bare number, that a text answers with.

    An answer sentence in words gives its only number. Without an answer sentence: the text itself if it is an
    equation; else, asides in brackets left out, from its last sentence, after the last "So" or "Therefore": the result
    of its last equation; its only number; the only one of its numbers that an equation of the text, or an aside, has
    computed. None where there are several such numbers, and for a text that ran on, saying its last sentence three
    times.
    """
    return read_answer(text, _stated_equation, _concluded_equation)


def _stated_equation(tail: str) -> Found:
    end = SENTENCE_END.search(tail)
    sides = tail[: end.start() if end else None].split("=")
    if len(sides) == 2 and re.fullmatch("[A-Za-z]", sides[0].strip()):
        sides = sides[1:]
    labels = [canonical(side) for side in sides]
    if None in labels:
        return _only_number(tail, end)
    if not all(equal_equations(labels[0], label) for label in labels):
        return None, "answer sentence contradicts itself"
    return labels[0], "answer sentence"


def _only_number(tail: str, end: re.Match | None) -> Found:
    """The only number of an answer sentence in words: "that Rachel had 10 pages". None for "(2 * x)" and "not 10"."""
    sentence = _REASON.split(plain_signs(tail[: end.start() if end else None]))[0]
    numbers, digits = set(_ALONE.findall(sentence)), set(re.findall("[0-9.]*[0-9]", sentence))
    if end and len(numbers) == 1 == len(digits) and not _NO_WORDS.search(sentence) and not _TWICE.search(sentence):
        return canonical(numbers.pop()), "only number of the answer sentence"
    return None, "answer sentence holds no equation" if end else "answer sentence is cut off"


def _concluded_equation(body: str) -> Found:
    if whole := canonical(body.rstrip(".")):
        return whole, "bare equation"
    if _ran_on(sentences(body)):
        return None, "ran on without an answer"
    plain = " ".join(plain_signs(body).split())
    told = _ASIDE.sub("", plain)
    parts = [part for part in _CONCLUSION.split(conclusion(told)) if _NUMBER.search(part)]
    if not parts:
        return None, "last sentence holds no number"
    asides = [aside for aside in _ASIDE.findall(plain) if not is_number(aside.strip("( )"))]
    return _number_of(parts[-1], _RESULT.findall(told) + asides)


def _ran_on(parts: list[str]) -> bool:
    """The last whole sentence stands there three times."""
    return any(parts.count(part) >= 3 for part in parts[-2:])


def _number_of(concluding: str, computed: list[str]) -> Found:
    """The number that a concluding sentence is about; `computed`: results of equations, and asides."""
    found, how = _picked(concluding, computed)
    if found is None:
        return None, how
    if any(_CHANGED.match(concluding, place.end()) for place in _NUMBER.finditer(concluding) if place[0] == found):
        return None, "words change the number of the last sentence"
    return canonical(found), how


def _picked(concluding: str, computed: list[str]) -> Found:
    results, numbers = _RESULT.findall(concluding), _NUMBER.findall(concluding)
    if results:
        return results[-1], "last equation"
    if len(set(numbers)) == 1 and not _TWICE.search(concluding):
        return numbers[0], "only number of the last sentence"
    values = {equation_value(canonical(text) or "") for text in computed}
    restated = {number for number in numbers if equation_value(number) in values}
    if len(restated) == 1 and len(set(numbers)) > 1:
        return restated.pop(), "only computed number of the last sentence"
    return None, "last sentence holds several numbers"


# -- numbers -------------------------------------------------------------------------------------

# Besides "The answer is": GSM8K's "#### 18".
_PHRASE = re.compile(rf"{ANSWER.pattern}|#### ?", re.IGNORECASE)
_ABOUT = re.compile(
    r"[ :~≈]{0,3}(?:(?:about|approximately|around|roughly|nearly|exactly|only|just|a total of|equal to)\b ?){1,3}",
    re.IGNORECASE,
)
# "18-20", "$3 -4 apples": from one to the other, not a difference, which is written "(18-20)" or "18 - 20".
_RANGE = re.compile(
    r"[^\w()=+*/]{0,3}[0-9][0-9.,]{0,30}(?: ?%| ?[A-Za-z]{1,20})?"
    r"(?:[-−] ?| [-−]|\s?–\s?)[$£€]?[0-9][0-9.,]{0,30}(?![^=+*/()]{0,999}[=+*/()])"
)
_MIXED = re.compile(r"^([0-9]{1,9}) ([0-9]{1,9})/([0-9]{1,9})(?![\w/])")


def extract_number(text: str, choices: Sequence[str] = ()) -> Answer:
    """The number that a text answers with, exactly; an equation is evaluated: "(84 / 2)" -> "42", "2 / 6" -> "1/3".

    A unit, a currency and a percent sign are left out: "$1,357.50" is "1357.5", "25%" is "25". "About 42" is 42,
    "2 1/2 cups" is "2.5", "1.5 million" is "1500000"; "3 hours and 20 minutes" is no number. Without an answer
    sentence, as in `extract_equation`.
    """
    return read_answer(text, _stated_number, _concluded_number, _PHRASE)


def _stated_number(tail: str) -> Found:
    about = _ABOUT.match(tail)
    plain = _plain_number(tail[about.end() :] if about else tail)
    end = SENTENCE_END.search(plain)
    if _RANGE.match(plain[: end.start() if end else None]):
        return None, "answer sentence gives a range"
    if (value := number_value(plain[: end.start() if end else None])) is not None:
        return _value(str(value), "answer sentence")
    return _value(*_stated_equation(plain))


def _concluded_number(body: str) -> Found:
    if _RANGE.match(body) and canonical(body.rstrip(".")):
        return None, "bare range"
    return _value(*_concluded_equation(_plain_number(body)))


def _plain_number(text: str) -> str:
    """Without percent signs; a mixed number at the start as a fraction: "2 1/2 cups" -> "5/2 cups"."""
    plain = text.replace("%", "")
    return _MIXED.sub(lambda part: f"{int(part[1]) * int(part[3]) + int(part[2])}/{part[3]}", plain)


def _value(label: str | None, how: str) -> Found:
    """An equation's value as a label."""
    if label is None:
        return None, how
    text = number_text(label)
    return (None, "number is too long") if text is None else (text, how)
