"""CommonsenseQA (Talmor et al. 2019).

    {"answerKey": "D", "id": "6b81...", "question": {"stem": "... What is this an example of?", "choices":
     [{"label": "A", "text": "park"}, {"label": "B", "text": "coloring book"}, ...]}}                    publishers
    {"id": "6b81...", "question": "... What is this an example of?", "question_concept": "apple tree",
     "choices": {"label": ["A", "B", ...], "text": ["park", "coloring book", ...]}, "answerKey": "D"}    hub

become the question "... an example of?\\nAnswer choices: (a) park, (b) coloring book, ..." with the gold label
"math problem". The official test set has no answers: the official validation set is the test set here.
(Hub columns as its users name them.)
"""

from collections.abc import Mapping, Sequence
from typing import Any

from lib.errors import UserError
from lib.tasks.datasets import (
    LETTERS,
    DataSet,
    Form,
    Hub,
    Part,
    Record,
    Row,
    choice_texts,
    letter_place,
    multiple_choice,
    text_of,
)


def read(row: Row) -> Record:
    """The record of a row, in either form."""
    nested = row["question"] if isinstance(row["question"], Mapping) else None
    stem = text_of(nested, "stem") if nested is not None else text_of(row, "question")
    choices = choice_texts("choices", _texts((row if nested is None else nested).get("choices")))
    return multiple_choice(stem, choices, letter_place("answerKey", row["answerKey"], len(choices)))


def _texts(choices: Any) -> Any:
    """The texts of choices, which have to come with the labels A, B, C, ... in order."""
    if isinstance(choices, Sequence) and all(isinstance(choice, Mapping) for choice in choices):
        choices = {key: [choice.get(key) for choice in choices] for key in ("label", "text")}
    labels = choices.get("label") if isinstance(choices, Mapping) else None
    if not isinstance(labels, Sequence) or list(labels) != list(LETTERS[: len(labels)]):
        raise UserError(f"choices: expected texts with the labels A, B, C, ...; given {choices!r:.60}")
    return choices.get("text")


DATA_SET = DataSet(
    name="commonsense_qa",
    title="CommonsenseQA",
    licence="MIT",
    hub=Hub("tau/commonsense_qa"),
    parts={
        "train": Part(("train_rand_split.jsonl",), ("train",)),
        "test": Part(("dev_rand_split.jsonl",), ("validation",)),
    },
    forms=(Form(("question", "answerKey"), read),),
    train_share=None,
    sizes={"train": 8767, "validation": 974, "test": 1221},
    characters=160.9,
)
