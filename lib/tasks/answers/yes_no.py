"""Yes or no: "So the answer is yes.", "No, the coin is tails up.", "Therefore, the statement is false."

Where a text has no answer sentence and no sentence that begins with Yes or No, its conclusion may still tell, but the
question is not seen here. What counts was chosen for few wrong answers, not for many: on 4,488 free-form texts "it is
unlikely that ..." means no 98 times in 100, a negated conclusion without reservations 96 times, "indeed" yes without
exception; "it is likely that ..." means yes 85 times, an affirmative conclusion 78 times, so these are left alone.
"""

import re
from collections.abc import Sequence

from lib.tasks.answers.reading import Found, read_answer
from lib.tasks.base import Answer
from lib.text import sentences

_PHRASE = re.compile(
    r"\bthe (?:final |correct |short )?answer(?: to (?:the|this|your) question)?,? (?:is|would be)\b:? ?"
    r"|\b(?:final )?answer: ",
    re.IGNORECASE,
)
_NEGATED = re.compile(r"\b(?:not|n['’]t|neither|never|no longer)\b ?(?:an? )?[\"']?(?:yes|no)\b", re.IGNORECASE)
_YES_NO = re.compile(r"\b(yes|no)\b(?! longer)", re.IGNORECASE)
_OPENING = re.compile(r"(?:so|thus|therefore|hence)?,? ?(yes|no)(?:[,.!;:]|$)", re.IGNORECASE)
_NOT = re.compile(r"\bnot\b|n['’]t\b|\bcannot\b|\bnever\b", re.IGNORECASE)

LONGEST = 400  # characters of a concluding sentence
_CONNECTIVE = re.compile(
    r"(?:(?:step [0-9]{1,2}|conclusion): ?)?"
    r"(?:so|thus|therefore|hence|in conclusion|in summary|overall|as a result|consequently)\b,? ?",
    re.IGNORECASE,
)
_STATEMENT = re.compile(
    r"\b(?:statement|claim|assertion)\b.{0,300}? (?:is|would be) (not )?(?:entirely |completely )?"
    r"(?:(true|correct|accurate)|(false|incorrect|inaccurate|untrue))\b",
    re.IGNORECASE,
)
_UNLIKELY = re.compile(r"it (?:is|was|would be|seems) (?:\w+ )?(?:unlikely|improbable) that\b", re.IGNORECASE)
_VERBS = r"(?:is|was|are|were|did|does|do|would|could|can|has|have|had|will|should)"
_NEGATIVE = re.compile(rf"(?P<before>.{{0,150}}?)(?:\b{_VERBS}(?: \w{{1,20}})? not\b|\bcannot\b)", re.IGNORECASE)
_REASON = re.compile(r"\b(?:because|since|as|due to|that have|safe from)\b", re.IGNORECASE)
# Words that qualify a conclusion, or that deny something beside the question: "did not directly ...".
_RESERVATION = re.compile(
    r"\b(?:while|although|though|however|but|only|likely|may|might|without|rather|despite|necessar\w+|just|solely|"
    r"uncommon|unusual|surprising|unreasonable|impossible|some|certain|both|either|direct\w*|explicit\w*|exclusive\w*|"
    r"specific\w*|technical\w*|entirely|completely|unless|if|any|all|many|known|clear|recommended|possible|tails)\b",
    re.IGNORECASE,
)


def extract_yes_no(text: str, choices: Sequence[str] = ()) -> Answer:
    """The "yes" or "no" of the last answer sentence.

    Without one: that of the last sentence that starts with Yes or No; else what the last conclusion ("Therefore, ...")
    says of the statement, or whether it is plainly negative. None where the two disagree.
    """
    return read_answer(text, _stated, _concluded, _PHRASE)


def _stated(tail: str) -> Found:
    sentence = sentences(tail)[0] if tail else ""
    words = {word.lower() for word in _YES_NO.findall(sentence)}
    if len(words) == 1 and not _NEGATED.search(sentence):
        return words.pop(), "answer sentence"
    return None, "answer sentence is neither yes nor no"


def _concluded(body: str) -> Found:
    parts = sentences(body)
    opening, concluding = _opened(parts), _last_conclusion(parts)
    if None not in (opening[0], concluding[0]) and opening[0] != concluding[0]:
        return None, "says both yes and no"
    return concluding if opening[1] == "no answer found" else opening


def _opened(parts: list[str]) -> Found:
    for sentence in reversed(parts):
        if match := _OPENING.match(sentence):
            if match[1].lower() == "yes" and _NOT.search(sentence):
                return None, "yes and a negation in one sentence"
            return match[1].lower(), "bare answer" if len(parts) == 1 == len(
                sentence.split()
            ) else "starts with yes or no"
    return None, "no answer found"


def _last_conclusion(parts: list[str]) -> Found:
    for place in range(len(parts) - 1, -1, -1):
        if match := _CONNECTIVE.match(parts[place]):
            return _meaning(parts[place][match.end() :][:LONGEST])
    return None, "no conclusion"


def _meaning(conclusion: str) -> Found:
    """What a conclusion, freed of its "Therefore", says."""
    if match := _STATEMENT.search(conclusion):
        return "yes" if bool(match[2]) != bool(match[1]) else "no", "statement called true or false"
    if _UNLIKELY.match(conclusion):
        return "no", "called unlikely"
    if re.search(r"\bindeed\b", conclusion) and not _NOT.search(conclusion):
        return "yes", "concludes with indeed"
    match = _NEGATIVE.match(conclusion)
    if match and not _REASON.search(match["before"]) and not _RESERVATION.search(conclusion):
        return "no", "negated conclusion"
    return None, "conclusion is not plain"
