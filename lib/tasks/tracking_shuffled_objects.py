"""Tracking shuffled objects, three objects (BIG-bench).

    {"input": "Alice, Bob, and Claire are playing a game. ... At the end of the game, Alice has the ",
     "target_scores": {"orange ball.": 0, "white ball.": 0, "blue ball.": 1}}

becomes the question "... Alice has the\\nWhich choice is true? Answer choices: (A) orange ball, (B) white ball,
(C) blue ball." with the gold label "blue ball", as in the published fine-tuning data. The hub's configuration of
this name also has games of five and seven objects, and no data card of it could be read: task.json is needed.
"""

from lib.tasks import bigbench
from lib.tasks.datasets import DataSet, Part

DATA_SET = DataSet(
    name="tracking_shuffled_objects",
    title="Tracking Shuffled Objects",
    licence="Apache-2.0",
    hub=None,
    parts={"all": Part(("task.json",), ("train", "validation"))},
    forms=bigbench.forms(bigbench.which_is_true),
    train_share=0.7,
    sizes={"train": 473, "validation": 52, "test": 225},
    characters=507.8,
)
