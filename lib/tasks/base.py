"""What every task offers, and what its functions return."""

from collections.abc import Callable
from dataclasses import dataclass

from lib.config import Section
from lib.records import Question
from lib.verification import Check


@dataclass(frozen=True)
class Answer:
    """What a teacher's or a student's text says.

    label       the answer it gives; None when none can be told, and `how` says why
    how         the rule that found it: "answer sentence", "last equation", ...
    reasoning   the text without its closing answer sentence
    text        the text as a student learns it: `reasoning` and "The answer is {label}."
    """

    label: str | None
    how: str
    reasoning: str
    text: str


@dataclass(frozen=True)
class Task:
    """A data set or a family of generated questions.

    load     its settings (params.yaml: tasks.<name>) -> the questions of all splits
    extract  a text -> the answer it gives; never raises
    equal    two labels -> whether they mean the same; never raises
    check    a question and a rationale -> which steps are wrong; None where no verifier exists
    """

    name: str
    label_kind: str
    load: Callable[[Section], list[Question]]
    extract: Callable[[str], Answer]
    equal: Callable[[str, str], bool]
    check: Callable[[Question, str], Check] | None
