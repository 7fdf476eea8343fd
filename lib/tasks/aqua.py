"""AQuA-RAT (Ling et al. 2017).

    {"question": "A car is being driven, in a straight line ...?", "options": ["A)5(√3 + 1)", "B)6(√3 + √2)", ...],
     "rationale": "...", "correct": "A"}

becomes the question "A car is ...?\\nAnswer choices: (a) 5(√3 + 1), (b) 6(√3 + √2), ..." with the gold label
"5(√3 + 1)". The copy on the hub has the same columns (as its users name them).
"""

from lib.errors import UserError
from lib.tasks.datasets import (
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
    without_letter,
)


def read(row: Row) -> Record:
    """The record of a row, in either form."""
    choices = [without_letter(choice) for choice in choice_texts("options", row["options"])]
    gold = letter_place("correct", row["correct"], len(choices))
    if not choices[gold]:
        raise UserError(f"options: the right choice, {row['correct']}, is empty")
    return multiple_choice(text_of(row, "question"), choices, gold)


DATA_SET = DataSet(
    name="aqua",
    title="AQuA",
    licence="Apache-2.0",
    hub=Hub("deepmind/aqua_rat", "raw"),
    parts={
        "train": Part(("train.json",), ("train",)),
        "validation": Part(("dev.json",), ("validation",)),
        "test": Part(("test.json",), ("test",)),
    },
    forms=(Form(("question", "options", "correct"), read),),
    train_share=None,
    sizes={"train": 97467, "validation": 254, "test": 254},
    characters=260.0,
)
