"""From the rows of a published data set to questions of three splits.

The publishers' splits are kept. A list that they did not split is put into its published order and permuted by numpy's
RandomState(0); the head, 0.8 of it for SVAMP and 0.7 for the others, is train, the rest test. The first is the released
split of Mind's Mirror, the second that of Fine-tune-CoT, whose index files this rule reproduces. Where no validation
questions are set apart, the tail of train (permuted likewise, where the publishers split) becomes them.

Questions are split, never rows. A train question whose text, letter case and white space aside, is in validation or
test is left out, and a validation question that is in test likewise; the second of two equal questions of train or
validation is left out too. The test set is kept as published.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lib.errors import UserError
from lib.records import SPLITS, Question, Split
from lib.settings import Data, Limits
from lib.tasks.datasets import DataSet, Record, form_of, tidy
from lib.tasks.reading import Located, read_parts

# Why a question was left out.
ACROSS, WITHIN, LIMIT = "in another split", "twice in its split", "over the limit"
ORDER = ("test", "validation", "train")  # who keeps a question that stands in two


@dataclass(frozen=True)
class Splits:
    """The questions of all splits, sorted by id, and how many were left out.

    left_out   split -> reason (ACROSS, WITHIN, LIMIT) -> questions
    """

    questions: list[Question]
    left_out: dict[Split, Counter[str]] = field(default_factory=dict)

    def of(self, split: Split) -> list[Question]:
        """The questions of one split."""
        return [question for question in self.questions if question.split == split]


def published(data_set: DataSet, data: Data, splits: Sequence[Split] = SPLITS) -> Splits:
    """The questions of these splits, each the same whichever others are asked for.

    For that, what may take a question from a split is read as well: validation needs test, train needs both. Test, and
    validation with it, can be had without train where the publishers split so.

    Raises UserError for a split that is not there or comes out empty, and for a row that is malformed.
    """
    needed = _needed(splits)
    rows = read_parts(data_set, data, _parts(data_set, needed))
    cut = _cut(data_set, {name: _records(data_set, part) for name, part in rows.items()}, data)
    if empty := [split for split in needed if split in splits and not cut[split]]:
        total = sum(map(len, rows.values()))
        raise UserError(f"{_where(data_set, data)}: {total} questions leave the {empty[0]} split empty")
    return _only(splits, _disjoint(data_set.name, {split: cut[split] for split in needed}))


def limited(splits: Splits, limits: Limits) -> Splits:
    """The first questions of each split by id, as many as its limit says; the others are counted."""
    kept: list[Question] = []
    left_out = {split: Counter(reasons) for split, reasons in splits.left_out.items()}
    for split in SPLITS:
        own = splits.of(split)
        most = getattr(limits, split)
        kept += own[:most]
        if most is not None and len(own) > most:
            left_out.setdefault(split, Counter())[LIMIT] += len(own) - most
    return Splits(sorted(kept, key=lambda question: question.id), left_out)


def key(text: str) -> str:
    """What two questions with one text have in common."""
    return tidy(text).lower()


def _where(data_set: DataSet, data: Data) -> Any:
    return data.raw or data_set.hub.id


def _needed(splits: Sequence[Split]) -> tuple[Split, ...]:
    """These splits and those that keep a question before them: ("train",) -> ("test", "validation", "train")."""
    return ORDER[: 1 + max((ORDER.index(split) for split in splits), default=-1)]


def _only(splits: Sequence[Split], whole: Splits) -> Splits:
    left_out = {split: reasons for split, reasons in whole.left_out.items() if split in splits}
    return Splits([question for question in whole.questions if question.split in splits], left_out)


def _parts(data_set: DataSet, splits: Sequence[Split]) -> list[str]:
    """The parts that these splits are made of."""
    return list(dict.fromkeys(_part_of(data_set, split) for split in SPLITS if split in splits))


def _part_of(data_set: DataSet, split: Split) -> str:
    if "all" in data_set.parts:
        return "all"
    return split if split in data_set.parts else "train"


# -- rows ----------------------------------------------------------------------------------------


def _records(data_set: DataSet, rows: list[Located]) -> list[Record]:
    """The rows' records, in the published order where rows tell it."""
    records: list[Record] = []
    numbered: dict[int | None, Record] = {}
    for where, row in rows:
        try:
            form = form_of(data_set, row)
            record, number = form.read(row), form.number and form.number(row)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        if number is not None and number in numbered and form.strict:
            raise UserError(f"{where}: number {number} stands twice; each row must have its own")
        records.append(record)
        numbered[number] = record
    if None in numbered or len(numbered) < len(records):  # numbers tell no order
        return records
    return [numbered[number] for number in sorted(numbered)]


# -- splits --------------------------------------------------------------------------------------


def _cut(data_set: DataSet, parts: dict[str, list[Record]], data: Data) -> dict[Split, list[Record]]:
    """Split -> records, in an order that stays: a question's id has its place in it."""
    if "all" in parts:
        train, test = _permuted(parts["all"], data_set.train_share)
        train, validation = _tail(train, data.validation_share)
        return {"train": train, "validation": validation, "test": test}
    cut = {split: parts.get(split, []) for split in SPLITS}
    if "validation" not in data_set.parts:
        train, _ = _permuted(cut["train"], 1.0)
        cut["train"], cut["validation"] = _tail(train, data.validation_share)
    return cut


def _permuted(records: list[Record], share: float) -> tuple[list[Record], list[Record]]:
    """The records in the order of RandomState(0), cut after `share` of them."""
    order = np.random.RandomState(0).permutation(len(records))
    return _split_at([records[place] for place in order], round(len(records) * share))


def _tail(records: list[Record], share: float) -> tuple[list[Record], list[Record]]:
    return _split_at(records, len(records) - round(len(records) * share))


def _split_at(records: list[Record], place: int) -> tuple[list[Record], list[Record]]:
    return records[:place], records[place:]


def _disjoint(task: str, splits: dict[Split, list[Record]]) -> Splits:
    """Questions of splits in the order of who keeps a text; each with the number of its place."""
    taken: set[str] = set()
    questions: list[Question] = []
    left_out: dict[Split, Counter[str]] = {}
    for split, records in splits.items():
        own, left_out[split] = _of_split(task, split, records, taken)
        questions += own
        taken.update(key(question.text) for question in own)
    return Splits(sorted(questions, key=lambda question: question.id), left_out)


def _of_split(task: str, split: Split, records: list[Record], taken: set[str]) -> tuple[list[Question], Counter[str]]:
    questions, left_out, seen = [], Counter(), set()
    for number, record in enumerate(records):
        text = key(record.text)
        reason = ACROSS if text in taken else WITHIN if text in seen and split != "test" else None
        if reason:
            left_out[reason] += 1
            continue
        seen.add(text)
        questions.append(_question(task, split, number, record))
    return questions, left_out


def _question(task: str, split: Split, number: int, record: Record) -> Question:
    return Question(
        question_id=f"{task}-{split}-{number:05d}",
        task=task,
        split=split,
        text=record.text,
        gold_label=record.gold_label,
        choices=record.choices,
    )
