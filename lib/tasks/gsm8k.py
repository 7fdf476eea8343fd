"""GSM8K (Cobbe et al. 2021).

    {"question": "Weng earns $12 an hour for babysitting. ...", "answer": "Weng earns 12/60 = ... \\n#### 10"}

becomes the question "Weng earns $12 an hour for babysitting. ..." with the gold label "10". The copy on the hub has
the same columns (as its users name them).
"""

from lib.errors import UserError
from lib.tasks.datasets import DataSet, Form, Hub, Part, Record, Row, number_label, text_of


def read(row: Row) -> Record:
    """The record of a row, in either form."""
    _, mark, final = text_of(row, "answer").rpartition("####")
    if not mark:
        raise UserError(f"answer: expected a solution that ends in '#### <number>', given {row['answer']!r:.60}")
    return Record(text_of(row, "question"), number_label("answer", final))


DATA_SET = DataSet(
    name="gsm8k",
    title="GSM8K",
    licence="MIT",
    hub=Hub("openai/gsm8k", "main"),
    parts={"train": Part(("train.jsonl",), ("train",)), "test": Part(("test.jsonl",), ("test",))},
    forms=(Form(("question", "answer"), read),),
    train_share=None,
    sizes={"train": 6726, "validation": 747, "test": 1319},
    characters=234.7,
)
