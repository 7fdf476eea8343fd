"""StrategyQA (Geva et al. 2021), the 2290 questions of BIG-bench.

    {"input": "Hydrogen's atomic number squared exceeds number of Spice Girls?", "target_scores": {"Yes": 0, "No": 1},
     "target": "No. ..."}                                                                                publishers
    {"qid": "...", "question": "Hydrogen's ... Spice Girls?", "answer": false, "facts": "...", ...}      hub

become the question "Hydrogen's atomic number squared exceeds number of Spice Girls?" with the gold label "no". The
copy on the hub is in an order of its own: from it, other questions make up the test split.
(Hub columns as its users name them.)
"""

from lib.tasks import bigbench
from lib.tasks.datasets import DataSet, Form, Hub, Part, Record, Row, one_of, text_of

YES_NO = {True: "yes", False: "no"} | {word: word.lower() for word in ("yes", "no", "Yes", "No")}


def _build(stem: str, choices: tuple[str, ...], gold: int) -> Record:
    return Record(stem, one_of({"target_scores": choices[gold]}, "target_scores", YES_NO))


def read_hub(row: Row) -> Record:
    """The record of a row of the hub's copy."""
    return Record(text_of(row, "question"), one_of(row, "answer", YES_NO))


DATA_SET = DataSet(
    name="strategy_qa",
    title="StrategyQA",
    licence="Apache-2.0",
    hub=Hub("ChilleD/StrategyQA"),
    parts={"all": Part(("task.json",), ("train", "test"))},
    forms=(*bigbench.forms(_build), Form(("question", "answer"), read_hub)),
    train_share=0.7,
    sizes={"train": 1443, "validation": 160, "test": 687},
    characters=56.0,
)
