"""MultiArith (Roy and Roth 2015).

    {"iIndex": 0, "sQuestion": " For Halloween Debby and her sister ...? ", "lSolutions": [39.0], ...}    publishers
    {"question": "For Halloween Debby and her sister ...?", "final_ans": "39"}                            hub

become the question "For Halloween Debby and her sister ...?" with the gold label "39". The copy on the hub is in an
order of its own and says nothing of the published one: from it, other questions make up the test split.
(Hub columns as its users name them.)
"""

from lib.tasks.datasets import DataSet, Form, Hub, Part, Record, Row, number_label, text_of
from lib.tasks.single_eq import read


def read_hub(row: Row) -> Record:
    """The record of a row of the hub's copy."""
    return Record(text_of(row, "question"), number_label("final_ans", row["final_ans"]))


DATA_SET = DataSet(
    name="multi_arith",
    title="MultiArith",
    licence="not stated",
    hub=Hub("ChilleD/MultiArith"),
    parts={"all": Part(("MultiArith.json",), ("train", "test"))},
    forms=(Form(("sQuestion", "lSolutions"), read), Form(("question", "final_ans"), read_hub)),
    train_share=0.7,
    sizes={"train": 378, "validation": 42, "test": 180},
    characters=157.8,
)
