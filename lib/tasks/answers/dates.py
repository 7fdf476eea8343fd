"""Dates: "05/01/2021", "May 1, 2021", "1 May 2021" and "2021-05-01" are one day.

dates_written("on Saturday, May 1st, 2021")      # "on Saturday, 05/01/2021"
equal_dates("2021-05-01", "5/1/2021")            # True

Numbers alone are month, day, year. A year has four digits: which century "05/01/21" means is not guessed.
"""

import re
from collections.abc import Sequence
from datetime import date

from lib.tasks.answers.choices import choice_extractor
from lib.tasks.answers.notation import folded
from lib.tasks.answers.reading import SENTENCE_END, Found, read_answer
from lib.tasks.base import Answer
from lib.text import sentences

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_DAY, _YEAR = r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?", r"(?P<year>[0-9]{4})"
_NOTATIONS = tuple(
    re.compile(rf"(?<![\w/-]){form}(?![\w/-]|\.[0-9])", re.IGNORECASE)
    for form in (
        rf"(?P<number>[0-9]{{1,2}})(?P<sign>[/-])(?P<day>[0-9]{{1,2}})(?P=sign){_YEAR}",
        rf"{_YEAR}(?P<sign>[/-])(?P<number>[0-9]{{1,2}})(?P=sign)(?P<day>[0-9]{{1,2}})",
        rf"{_MONTH},? {_DAY},? {_YEAR}",
        rf"(?:the )?{_DAY}(?: of)? {_MONTH},? {_YEAR}",
    )
)
_WRITTEN = re.compile(r"(?<![\w/-])[0-9]{2}/[0-9]{2}/[0-9]{4}(?![\w/-])")


def dates_written(text: str) -> str:
    """A text with every date that exists as MM/DD/YYYY."""
    for notation in _NOTATIONS:
        text = notation.sub(_rewritten, text)
    return text


def _rewritten(match: re.Match) -> str:
    parts = match.groupdict()
    month = int(parts["number"]) if parts.get("number") else _MONTHS.index(parts["month"][:3].lower()) + 1
    return _day(int(parts["year"]), month, int(parts["day"])) or match[0]


def _day(year: int, month: int, day: int) -> str | None:
    """MM/DD/YYYY; None for a day that the calendar lacks."""
    try:
        date(year, month, day)
    except ValueError:
        return None
    return f"{month:02d}/{day:02d}/{year:04d}"


def equal_dates(one: str, other: str) -> bool:
    """The same day of the calendar; where one is no date, the same text."""
    return _normal(" ".join(one.split())) == _normal(" ".join(other.split()))


def _normal(text: str) -> str:
    return folded(dates_written(text))


_extract_choice = choice_extractor(lettered=True, normal=_normal)


def extract_date(text: str, choices: Sequence[str] = ()) -> Answer:
    """The date that a text answers with: one of its question's choices, by letter or as a date in any notation.

    Without choices the label is MM/DD/YYYY; without an answer sentence, the text itself or the one date of its last
    sentence.
    """
    return _extract_choice(text, choices) if choices else read_answer(text, _stated, _concluded)


def _stated(tail: str) -> Found:
    plain = dates_written(tail)
    end = SENTENCE_END.search(plain)
    return _only_date(plain[: end.start() if end else None], "answer sentence")


def _concluded(body: str) -> Found:
    plain = dates_written(body).rstrip(".")
    if _WRITTEN.fullmatch(plain):
        return _only_date(plain, "bare date")
    return _only_date(dates_written(sentences(body)[-1]), "last sentence")


def _only_date(plain: str, where: str) -> Found:
    found = {text for text in _WRITTEN.findall(plain) if _day(int(text[6:]), int(text[:2]), int(text[3:5]))}
    if len(found) == 1 and not re.search(r"\bnot\b|n['’]t\b", plain):
        return found.pop(), where
    return None, f"{where} holds no date" if not found else f"{where} holds several dates"
