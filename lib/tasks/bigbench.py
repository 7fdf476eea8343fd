"""Rows of BIG-bench's multiple-choice tasks, in the form of its task.json and in that of the hub.

    {"input": "Yesterday was April 30, 2021. ...", "target_scores": {"05/01/2021": 1, "02/23/2021": 0, ...}}
    {"idx": 0, "inputs": "...", "multiple_choice_targets": ["05/01/2021", ...], "multiple_choice_scores": [1, 0, ...]}

Both say: stem "Yesterday was April 30, 2021. ...", choices ("05/01/2021", "02/23/2021", ...), gold 0.
`idx` is taken for the place in task.json, which no document says; where it stands twice, it is not.
Saved as a column, `target_scores` would have every choice of all rows, in another order: such a row is refused.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lib.errors import UserError
from lib.tasks.datasets import LETTERS, Form, Record, Row, choice_texts, lettered, text_of

Build = Callable[[str, tuple[str, ...], int], Record]


def forms(build: Build) -> tuple[Form, Form]:
    """Both forms; `build` makes the record of a stem, its choices and the place of the right one."""
    return (
        Form(("input", "target_scores"), lambda row: build(*_from_json(row))),
        Form(
            ("inputs", "multiple_choice_targets", "multiple_choice_scores"),
            lambda row: build(*_from_hub(row)),
            _number,
            strict=False,
        ),
    )


def which_is_true(stem: str, choices: tuple[str, ...], gold: int) -> Record:
    """The record in the words of the published fine-tuning data."""
    text = f"{stem}\nWhich choice is true? Answer choices: {lettered(choices, LETTERS)}."
    return Record(text, choices[gold], choices)


def _from_json(row: Row) -> tuple[str, tuple[str, ...], int]:
    scores = row["target_scores"]
    if not isinstance(scores, Mapping):
        raise UserError(f"target_scores: expected an object of choices with 0 or 1, given {scores!r:.60}")
    return text_of(row, "input"), *_scored("target_scores", list(scores), list(scores.values()))


def _from_hub(row: Row) -> tuple[str, tuple[str, ...], int]:
    texts, scores = row["multiple_choice_targets"], row["multiple_choice_scores"]
    return text_of(row, "inputs"), *_scored("multiple_choice_scores", texts, scores)


def _scored(field: str, texts: Any, scores: Any) -> tuple[tuple[str, ...], int]:
    """The choices and the place of the one that is right. A full stop at the end of a choice is no part of it."""
    choices = tuple(choice.rstrip(".") for choice in choice_texts(field, texts))
    if not isinstance(scores, Sequence) or sorted(map(str, scores)) != ["0"] * (len(choices) - 1) + ["1"]:
        raise UserError(f"{field}: expected one choice with 1, the others with 0; given {scores!r:.60}")
    return choices, list(scores).index(1)


def _number(row: Row) -> int:
    if not isinstance(row.get("idx"), int):
        raise UserError(f"idx: expected a whole number, given {row.get('idx')!r:.60}")
    return row["idx"]
