"""What is said, or done, when memory does not suffice; the rest is tested where it happens, in test_training.py."""

import pytest
import torch

from lib.encoding import Encoded
from lib.errors import UserError
from lib.mishaps import as_memory_allows, memory_suffices

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


def within(most: int):
    def work(rows: list[int]) -> int:
        if len(rows) > most:
            raise MemoryError
        return sum(rows)

    return work


def test_batches_are_halved_and_so_are_those_behind():
    """Four rows are too many, two are not: no more than two are tried from then on."""
    found = list(as_memory_allows([[1], [2, 3, 4, 5], [6, 7, 8]], within(3), "rows are added"))
    assert found == [([1], 1), ([2, 3], 5), ([4, 5], 9), ([6, 7], 13), ([8], 8)]
    assert list(as_memory_allows([], within(3), "rows are added")) == []


def test_a_single_row_that_is_too_much_is_refused():
    with pytest.raises(UserError, match=r"student.max_target_tokens: out of memory at one row alone, while rows"):
        list(as_memory_allows([[1, 2]], within(0), "rows are added"))
