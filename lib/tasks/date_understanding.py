"""Date Understanding (BIG-bench).

    {"input": "Yesterday was April 30, 2021. What is the date today in MM/DD/YYYY?",
     "target_scores": {"05/01/2021": 1, "02/23/2021": 0, "03/11/2021": 0, ...}}

becomes the question "Yesterday was ... MM/DD/YYYY?\\nWhich choice is true? Answer choices: (A) 03/11/2021, ..." with
the gold label "05/01/2021". The publishers always put the right choice first, so the choices are shuffled, by their
question's text. The published fine-tuning data are shuffled by a seed that is not known; their rows

    {"question": "Yesterday was ...?\\nWhich choice is true? Answer choices: (A) 05/02/2021, ...", "answer": "F"}

can be given as data.raw too, and recorded answers to them then fit.
(Hub columns as its users name them.)
"""

import random
import re

from lib.errors import UserError
from lib.tasks import bigbench
from lib.tasks.datasets import DataSet, Form, Hub, Part, Record, Row, letter_place, text_of

_TUNED = re.compile(r"(.+?) Which choice is true\? Answer choices: (\(A\) .+?)\.?")


def shuffled(stem: str, choices: tuple[str, ...], gold: int) -> Record:
    """The record with its choices in an order that its text decides."""
    order = list(range(len(choices)))
    random.Random(stem).shuffle(order)
    return bigbench.which_is_true(stem, tuple(choices[place] for place in order), order.index(gold))


def read_tuned(row: Row) -> Record:
    """The record of a row of the published fine-tuning data, its choices in the order they have there."""
    match = _TUNED.fullmatch(text_of(row, "question"))
    if not match:
        raise UserError(f"question: expected '... Which choice is true? Answer choices: (A) ...', "
                        f"given {row['question']!r:.60}")  # fmt: skip
    choices = tuple(choice.strip(", ") for choice in re.split(r"\([A-Z]\) ", match[2])[1:])
    return bigbench.which_is_true(match[1], choices, letter_place("answer", row["answer"], len(choices)))


DATA_SET = DataSet(
    name="date_understanding",
    title="Date Understanding",
    licence="Apache-2.0",
    hub=Hub("tasksource/bigbench", "date_understanding"),
    parts={"all": Part(("task.json",), ("train", "validation"))},
    forms=(*bigbench.forms(shuffled), Form(("question", "answer"), read_tuned)),
    train_share=0.7,
    sizes={"train": 232, "validation": 26, "test": 111},
    characters=243.5,
)
