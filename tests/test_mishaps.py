"""What is said when memory does not suffice; the rest is tested where it happens, in test_training.py."""

import pytest
import torch

from lib.encoding import Encoded
from lib.errors import UserError
from lib.mishaps import memory_suffices

STEP = [Encoded((([1] * 20, [1] * 4), ([1] * 20, [1] * 56))), Encoded((([1] * 10, [1] * 2),))]


@pytest.mark.parametrize(
    ("budget", "checkpointing", "said"),
    [
        (None, False, "a pass of 112 tokens of a step of 2 examples: set train.checkpointing: true or lower "
                      "train.pass_tokens (now null, a whole step; an example has up to 100) (full)"),
        (500, True, "a pass of 112 tokens of a step of 2 examples: lower train.pass_tokens (now 500; an example has up "
                    "to 100) (full)"),
        (100, True, "a pass of 100 tokens of a step of 2 examples: lower student.max_source_tokens or "
                    "max_target_tokens (an example of 100 tokens is alone) (full)"),
    ],
)  # fmt: skip
def test_what_to_lower_follows_from_what_there_is_left_to_lower(budget, checkpointing, said):
    with pytest.raises(UserError) as error, memory_suffices(2, budget, checkpointing, lambda: STEP):
        raise torch.OutOfMemoryError("full")
    assert str(error.value) == f"out of memory at {said}"


def test_within_memory_nothing_is_asked():
    with memory_suffices(2, None, False, lambda: 1 / 0):
        pass
