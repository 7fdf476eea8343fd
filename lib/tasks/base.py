"""What every task offers, and what its functions return."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from lib.errors import UserError
from lib.records import Question
from lib.settings import Section
from lib.tasks.datasets import DataSet
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


class Extract(Protocol):
    """A text -> the answer it gives; never raises. `choices`: those of its question, in the order of their letters."""

    def __call__(self, text: str, choices: Sequence[str] = ()) -> Answer: ...


@dataclass(frozen=True)
class Task:
    """A data set or a family of generated questions; `coin_flip` and `last_letter` are both. UserError for neither.

    label_kind  equation | number | choice | date | yes_no | string
    prompts     the name of its prompt files: lib/teacher/prompts/<prompts>.cot.txt
    extract     a text and its question's choices -> the answer it gives; never raises
    equal       two labels -> whether they mean the same; never raises
    check       a question and a rationale -> which steps are wrong; None where no verifier exists, and then the
                simulated teacher, which judges by it, cannot be asked
    generate    its settings (params.yaml: tasks.<name>) -> the questions of all splits; None for a data set
    data_set    what is published; None for a family that is not
    """

    name: str
    label_kind: str
    prompts: str
    extract: Extract
    equal: Callable[[str, str], bool]
    check: Callable[[Question, str], Check] | None
    generate: Callable[[Section], list[Question]] | None = None
    data_set: DataSet | None = None

    def __post_init__(self):
        if self.generate is None and self.data_set is None:
            raise UserError(
                f"task {self.name!r}: neither generate nor data_set, so it has no questions; give one of them"
            )
