"""SingleEq (Koncel-Kedziorski et al. 2015).

    {"iIndex": 0, "sQuestion": "Joan found 70 seashells on the beach. ... to Sam ?", "lSolutions": [43.0], ...}

becomes the question "Joan found 70 seashells on the beach. ... to Sam ?" with the gold label "43".
No copy on the hub is known to be whole and in these columns; the publishers' questions.json is needed.
"""

from lib.tasks.datasets import DataSet, Form, Part, Record, Row, only_solution, text_of


def read(row: Row) -> Record:
    """The record of a row of the MAWPS family."""
    return Record(text_of(row, "sQuestion"), only_solution(row))


DATA_SET = DataSet(
    name="single_eq",
    title="SingleEq",
    licence="not stated",
    hub=None,
    parts={"all": Part(("questions.json", "SingleEq.json"), ("train", "test"))},
    forms=(Form(("sQuestion", "lSolutions"), read),),
    train_share=0.7,
    sizes={"train": 320, "validation": 36, "test": 152},
    characters=142.4,
)
