"""How a published data set is described: where its rows are, what a row says, how it is split.

A data set is one file beside this one with one `DataSet`. Its forms turn a row into a record:

    {"question": "Weng earns $12 an hour ...", "answer": "... #### 10"}
    # Record(text="Weng earns $12 an hour ...", gold_label="10")

The functions that read a row raise UserError about the row; whoever calls them says which row it was.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isclose
from typing import Any

from lib.equations import is_number, number_text, plain_signs
from lib.errors import UserError
from lib.records import Split

LONGEST_NUMBER = 30  # characters
LARGEST_DENOMINATOR = 100  # of a fraction that a float stands for
FLOAT_ERROR = 4e-16  # two units in the last place of a float
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Record:
    """What a row says: the question's text, its gold label and, in a multiple-choice question, its choices."""

    text: str
    gold_label: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Form:
    """One way in which rows are shipped.

    fields   a row that has them all is of this form
    read     a row -> its record; UserError where a value is none that is allowed
    number   a row -> its place in the published order; None where rows come in that order
    strict   a number that stands twice is an error; else it shows that numbers tell no order, and rows stay in theirs
    """

    fields: tuple[str, ...]
    read: Callable[[Row], Record]
    number: Callable[[Row], int] | None = None
    strict: bool = True


@dataclass(frozen=True)
class Part:
    """Where some rows are: the publishers' names of their file, and the splits of the copy on the hub."""

    files: tuple[str, ...]
    hub: tuple[str, ...]


@dataclass(frozen=True)
class Hub:
    """A copy on the Hugging Face hub."""

    id: str
    config: str | None = None


@dataclass(frozen=True)
class DataSet:
    """A published data set.

    hub           its copy on the hub; None where none is known to be whole
    parts         split -> where its rows are; "all" where the publishers have one list, that we split
    forms         how its rows may look, the publishers' first
    train_share   of "all": the head of its permutation; None where the publishers split
    sizes         split -> rows, with a tenth of train as validation where the publishers set none apart
    characters    of a question's text on average, for an estimate before anything is read
    """

    name: str
    title: str
    licence: str
    hub: Hub | None
    parts: Mapping[Split | str, Part]
    forms: tuple[Form, ...]
    train_share: float | None
    sizes: Mapping[Split, int]
    characters: float

    @property
    def files(self) -> str:
        """The publishers' files, to be named in errors: "train.jsonl, test.jsonl"."""
        return ", ".join(part.files[0] for part in self.parts.values())


def form_of(data_set: DataSet, row: Any) -> Form:
    """The form that a row is of. UserError if it is of none."""
    fields = " or ".join(", ".join(form.fields) for form in data_set.forms)
    if not isinstance(row, Mapping):
        raise UserError(f"expected an object with {fields}, given {row!r:.60}")
    for form in data_set.forms:
        if all(field in row for field in form.fields):
            return form
    raise UserError(f"expected the fields {fields}; given {', '.join(map(str, row)) or 'none'}")


# -- what stands in a row ------------------------------------------------------------------------


def text_of(row: Row, field: str) -> str:
    """A text that is not blank, in single spaces."""
    value = row.get(field)
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{field}: expected a text, given {value!r:.60}")
    return tidy(value)


def tidy(text: str) -> str:
    """The text in single spaces."""
    return " ".join(text.split())


def one_of(row: Row, field: str, allowed: Mapping[Any, str]) -> str:
    """What a field's value means."""
    value = row.get(field)
    if not isinstance(value, str | int) or value not in allowed:
        raise UserError(f"{field}: expected one of {', '.join(map(str, allowed))}; given {value!r:.60}")
    return allowed[value]


def number_label(field: str, value: Any) -> str:
    """A number as a label: 39.0 -> "39", "1,080" -> "1080", "0.50" -> "0.5". UserError for anything else.

    A decimal as long as a float holds stands for the fraction it was computed from: 0.6666666666666666 -> "2/3".
    """
    text = plain_signs(str(value)).strip()
    if isinstance(value, bool) or not is_number(text) or len(text) > LONGEST_NUMBER:
        raise UserError(f"{field}: expected a number, given {value!r:.60}")
    exact = Fraction(text)
    simple = exact.limit_denominator(LARGEST_DENOMINATOR)
    return number_text(str(simple if isclose(simple, exact, rel_tol=FLOAT_ERROR) else exact))


def only_solution(row: Row, field: str = "lSolutions") -> str:
    """The number in a list of one: [39.0] -> "39"."""
    values = row.get(field)
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != 1:
        raise UserError(f"{field}: expected a list of one number, given {values!r:.60}")
    return number_label(field, values[0])


# -- multiple choice -----------------------------------------------------------------------------


def lettered(choices: Sequence[str], letters: str = LETTERS.lower()) -> str:
    """The choices with their letters: "(a) park, (b) gravity"."""
    return ", ".join(f"({letter}) {choice}" for letter, choice in zip(letters, choices))


def multiple_choice(stem: str, choices: Sequence[str], gold: int) -> Record:
    """A question that ends in its lettered choices; its label is the text of the right one."""
    return Record(f"{stem}\nAnswer choices: {lettered(choices)}", choices[gold], tuple(choices))


def letter_place(field: str, letter: Any, count: int) -> int:
    """The place of the choice that a letter names: "B" -> 1. UserError where there is no such choice."""
    place = LETTERS.find(letter.strip().upper()) if isinstance(letter, str) and len(letter.strip()) == 1 else -1
    if not 0 <= place < count:
        raise UserError(f"{field}: expected a letter from A to {LETTERS[count - 1]}, given {letter!r:.60}")
    return place


def choice_texts(field: str, values: Any) -> tuple[str, ...]:
    """The choices' texts, in single spaces. UserError for fewer than two or more than there are letters."""
    good = isinstance(values, Sequence) and not isinstance(values, str) and 2 <= len(values) <= len(LETTERS)
    if not good or not all(isinstance(value, str) for value in values):
        raise UserError(f"{field}: expected a list of 2 to {len(LETTERS)} texts, given {values!r:.60}")
    return tuple(tidy(value) for value in values)


def without_letter(choice: str) -> str:
    """A choice without its own letter: "A)5(√3 + 1)" -> "5(√3 + 1)"."""
    return re.sub(r"^\s*\(?[A-Za-z]\s*\)\s*", "", choice)
