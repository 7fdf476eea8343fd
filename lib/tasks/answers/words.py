"""Strings, such as the last letters of words: "yajo"."""

import re
from collections.abc import Sequence

from lib.tasks.answers.reading import Found, conclusion, read_answer
from lib.tasks.base import Answer
from lib.text import sentences

LONGEST = 30  # letters of a string

# Letters, perhaps apart: yajo, "yajo", y a j o, y-a-j-o, yaj o.
_APART = r"[^\W\d_]{1,30}(?:[ ,+'-]{1,3}[^\W\d_]{1,2}\b){0,30}"
_STATED = re.compile(rf"[\"'“(]?({_APART})[\"'”).!]*$")
_ENDING = re.compile(rf"(?:[:=]|\b(?:is|are|get|us|have|string|word)\b) ?[\"'“(]?({_APART})[\"'”).!]*$")
_SPELT = r"[^\W\d_](?:[ ,+'-]{1,3}[^\W\d_]){1,30}[.]?"
_SEVERAL = re.compile(r"[\"”] (?:and|or) [\"“]")
_QUOTED = re.compile(rf"[\"“]({_APART})[.]?[\"”]")


def extract_string(text: str, choices: Sequence[str] = ()) -> Answer:
    """The string that a text answers with, as lower-case letters.

    Without an answer sentence: the text itself if it is one word; else what its last sentence ends with after a
    colon, an equals sign or "is", "are", "get", ...; else the last word in quotation marks in that sentence.
    """
    return read_answer(text, _stated, _concluded)


def _stated(tail: str) -> Found:
    match = _STATED.match(sentences(tail)[0]) if tail else None
    return _letters(match[1], "answer sentence") if match else (None, "answer sentence holds no string")


def _concluded(body: str) -> Found:
    if re.fullmatch(r"[^\W\d_]{1,30}[.]?", body):
        return _letters(body, "bare string")
    if re.fullmatch(_SPELT, body):
        return _letters(body, "bare letters")
    last = conclusion(body)[-200:]
    if match := _ENDING.search(last):
        return _letters(match[1], "end of the last sentence")
    if _SEVERAL.search(last):
        return None, "last sentence quotes several strings"
    quoted = _QUOTED.findall(last)
    return _letters(quoted[-1], "quoted in the last sentence") if quoted else (None, "no answer found")


def _letters(text: str, how: str) -> Found:
    label = "".join(filter(str.isalpha, text.lower()))
    if not 1 <= len(label) <= LONGEST:  # none in "½", which is neither digit nor letter
        return None, "no string of 1 to 30 letters"
    return label, how


def equal_words(one: str, other: str) -> bool:
    """The same word or letters, whatever their case."""
    return one.strip().lower() == other.strip().lower()
