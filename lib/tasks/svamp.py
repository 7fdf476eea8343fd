"""SVAMP (Patel et al. 2021).

    {"ID": "chal-1", "Body": "Each pack of dvds costs 76 dollars. If there is a discount of 25 dollars on each pack",
     "Question": "How much do you have to pay to buy each pack?", "Equation": "( 76.0 - 25.0 )", ...}

becomes the question "Each pack ... on each pack How much ... each pack?" with the gold label "( 76.0 - 25.0 )".
The copy on the hub has the same columns in another order and its own 700/300 split; its IDs give the order back, so
that the permutation of RandomState(0) yields the released 800/200 from it too. (Columns as its users name them.)
"""

import re

from lib.equations import equation_value
from lib.errors import UserError
from lib.tasks.datasets import DataSet, Form, Hub, Part, Record, Row, text_of


def read(row: Row) -> Record:
    """The record of a row, in either form."""
    body, question, equation = (text_of(row, field) for field in ("Body", "Question", "Equation"))
    if equation_value(equation) is None:
        raise UserError(f"Equation: expected numbers with + - * / and brackets, given {equation!r:.60}")
    return Record(f"{body} {question}", equation)


def number(row: Row) -> int:
    """The number in the ID: "chal-12" -> 12."""
    match = re.fullmatch(r"chal-([0-9]{1,6})", str(row["ID"]).strip())
    if not match:
        raise UserError(f"ID: expected chal-<number>, given {row['ID']!r:.60}")
    return int(match[1])


DATA_SET = DataSet(
    name="svamp",
    title="SVAMP",
    licence="MIT",
    hub=Hub("ChilleD/SVAMP"),
    parts={"all": Part(("SVAMP.json",), ("train", "test"))},
    forms=(Form(("ID", "Body", "Question", "Equation"), read, number),),
    train_share=0.8,
    sizes={"train": 720, "validation": 80, "test": 200},
    characters=162.5,
)
