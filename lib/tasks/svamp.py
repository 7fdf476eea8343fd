"""SVAMP (Patel et al. 2021), from SVAMP.json as its authors ship it.

    {"ID": "chal-1", "Body": "Each pack of dvds costs 76 dollars. If there is a discount of 25 dollars on each pack",
     "Question": "How much do you have to pay to buy each pack?", "Equation": "( 76.0 - 25.0 )", ...}

becomes the question "Each pack ... on each pack How much ... each pack?" with the gold label "( 76.0 - 25.0 )".
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lib.config import Svamp
from lib.equations import equation_value
from lib.errors import UserError
from lib.records import Question

FIELDS = ("ID", "Body", "Question", "Equation")


@dataclass(frozen=True)
class Splits:
    """The questions of all splits, and how many were left out of train because a later split asks the same."""

    questions: list[Question]
    left_out: int


def load(settings: Svamp) -> list[Question]:
    """Questions of all splits. UserError for a missing path and for a malformed file, naming the row."""
    return load_splits(settings).questions


def load_splits(settings: Svamp) -> Splits:
    """Split rows as published: numpy's RandomState(0) permutation, its tail being the test set (released: 800/200).

    The validation set is the tail of what remains. A train question whose text, letter case and white space aside,
    occurs in validation or test is left out, and a validation question that occurs in test likewise.
    """
    if settings.path is None:
        raise UserError("tasks.svamp.path: missing; set it to the SVAMP.json of its authors")
    rows = _read(Path(settings.path))
    order = np.random.RandomState(0).permutation(len(rows))
    in_test = round(len(rows) * settings.test_share)
    in_validation = round((len(rows) - in_test) * settings.validation_share)
    train, validation, test = np.split(order, [len(rows) - in_test - in_validation, len(rows) - in_test])
    cut = {"test": test, "validation": validation, "train": train}
    if empty := [split for split, part in cut.items() if not len(part)]:
        raise UserError(f"{settings.path}: {len(rows)} questions leave the {empty[0]} split empty")
    return _disjoint({split: [rows[i] for i in part] for split, part in cut.items()})


def _disjoint(splits: dict[str, list[dict]]) -> Splits:
    """Drop a row whose text stands in one of the splits before its own; rows keep the number of their place."""
    taken: set[str] = set()
    questions: list[Question] = []
    for split, rows in splits.items():
        texts = [_key(_text(row)) for row in rows]
        questions += [_question(split, i, row) for i, (row, text) in enumerate(zip(rows, texts)) if text not in taken]
        taken.update(texts)
    return Splits(sorted(questions, key=lambda q: q.id), sum(map(len, splits.values())) - len(questions))


def _question(split: str, number: int, row: dict) -> Question:
    identity, gold = f"svamp-{split}-{number:05d}", row["Equation"].strip()
    return Question(question_id=identity, task="svamp", split=split, text=_text(row), gold_label=gold)


def _text(row: dict) -> str:
    return " ".join(f"{row['Body']} {row['Question']}".split())


def _key(text: str) -> str:
    return text.lower()


# -- reading -------------------------------------------------------------------------------------


def _read(path: Path) -> Sequence[dict]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: not valid JSON: {error.msg}") from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON: {type(error).__name__}") from None
    if not isinstance(rows, list):
        raise UserError(f"{path}: expected a list of questions, given {type(rows).__name__}")
    for number, row in enumerate(rows, 1):
        _validate(row, f"{path}: row {number}")
    _refuse_duplicates(path, [row["ID"] for row in rows])
    return rows


def _validate(row: object, where: str) -> None:
    if not isinstance(row, dict):
        raise UserError(f"{where}: expected an object with {', '.join(FIELDS)}, given {row!r:.60}")
    for field in FIELDS:
        if not isinstance(row.get(field), str) or not row[field].strip():
            raise UserError(f"{where}: {field}: expected a text, given {row.get(field)!r:.60}")
    if equation_value(row["Equation"]) is None:
        raise UserError(f"{where}: Equation: expected numbers with + - * / and brackets, given {row['Equation']!r:.60}")


def _refuse_duplicates(path: Path, ids: list[str]) -> None:
    for identity, count in Counter(ids).items():
        if count > 1:
            row = len(ids) - ids[::-1].index(identity)
            raise UserError(f"{path}: row {row}: ID {identity!r} stands {count} times; IDs must be unique")
