"""AddSub (Hosseini et al. 2014).

    {"iIndex": 1, "sQuestion": "Joan found 70 seashells on the beach . ... to Sam ? ", "lSolutions": ["43"], ...}

becomes the question "Joan found 70 seashells on the beach . ... to Sam ?" with the gold label "43".
No copy on the hub is known to be whole and in these columns; the publishers' AddSub.json is needed.
"""

from lib.tasks.datasets import DataSet, Form, Part
from lib.tasks.single_eq import read

DATA_SET = DataSet(
    name="add_sub",
    title="AddSub",
    licence="not stated",
    hub=None,
    parts={"all": Part(("AddSub.json",), ("train", "test"))},
    forms=(Form(("sQuestion", "lSolutions"), read),),
    train_share=0.7,
    sizes={"train": 248, "validation": 28, "test": 119},
    characters=151.8,
)
