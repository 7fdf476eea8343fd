"""Said or done when memory does not suffice, and by what a student is known; the rest is in test_training.py."""

import pytest
import torch
from tiny_world import STUDENT, data

from lib.encoding import Encoded
from lib.errors import UserError
from lib.mishaps import PHASE, as_memory_allows, checkpoints, fingerprint, memory_suffices, refuse_another_recipe
from lib.student import Student, new_student
from lib.training import Plan

STEP = [Encoded((([1] * 20, [1] * 4), ([1] * 20, [1] * 56))), Encoded((([1] * 10, [1] * 2),))]


@pytest.mark.parametrize(
    ("budget", "checkpointing", "said"),
    [
        (None, False, "a pass of 112 tokens of a step of 2 examples: set train.checkpointing: true or lower "
                      "train.pass_tokens (now null, a whole step; an example has up to 100); it then goes on from its "
                      "last checkpoint (full)"),
        (500, True, "a pass of 112 tokens of a step of 2 examples: lower train.pass_tokens (now 500; an example has up "
                    "to 100); it then goes on from its last checkpoint (full)"),
        (100, True, "a pass of 100 tokens of a step of 2 examples: lower student.max_source_tokens or "
                    "max_target_tokens (an example of 100 tokens is alone; all runs are then trained anew) (full)"),
        (100, False, "a pass of 100 tokens of a step of 2 examples: set train.checkpointing: true or lower "
                     "student.max_source_tokens or max_target_tokens (an example of 100 tokens is alone; all runs are "
                     "then trained anew) (full)"),
    ],
)  # fmt: skip
def test_what_to_lower_follows_from_what_there_is_left_to_lower(budget, checkpointing, said):
    with pytest.raises(UserError) as error, memory_suffices(2, budget, checkpointing, lambda: STEP):
        raise torch.OutOfMemoryError("full")
    assert str(error.value) == f"out of memory at {said}"


def test_checkpoints_are_in_the_order_of_their_steps(tmp_path):
    for name in ("checkpoint-50", "checkpoint-100", "checkpoint-9", "not_finite_step_7.json"):
        (tmp_path / name).mkdir()
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-9", "checkpoint-50", "checkpoint-100"]
    assert checkpoints(tmp_path / "absent") == []


def test_who_reads_other_settings_says_itself_what_to_mend():
    with pytest.raises(UserError) as error, memory_suffices(2, None, False, lambda: STEP, "take a smaller one"):
        raise torch.OutOfMemoryError("full")
    said = "out of memory at a pass of 112 tokens of a step of 2 examples: take a smaller one (full)"
    assert str(error.value) == said


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


def fresh(seed: int = 0) -> Student:
    return new_student(STUDENT, data().training_texts(), seed)


def named(name: str) -> Student:
    student = fresh()
    student.model.config.name_or_path = name
    return student


def test_a_student_is_known_by_its_weights_and_by_where_it_is_from():
    assert fingerprint(fresh()) == fingerprint(fresh())
    others = [fresh(seed=1), named("google/t5-v1_1-base"), named("google/flan-t5-base")]
    assert len({fingerprint(student) for student in (fresh(), *others)}) == 4


def test_a_student_in_half_precision_is_known_too():
    student = fresh()
    student.model.bfloat16()
    assert fingerprint(student) != fingerprint(fresh())


def test_checkpoints_of_a_student_of_the_same_shape_are_refused(tmp_path):
    plan = Plan(steps=2, batch=1, learning_rate=0.1, warmup_steps=0)
    refuse_another_recipe(tmp_path, plan, STEP, fresh())
    assert (tmp_path / PHASE).name == "phase.json"
    (tmp_path / "checkpoint-1").mkdir()
    refuse_another_recipe(tmp_path, plan, STEP, fresh())
    with pytest.raises(UserError, match=r"its checkpoints are of another recipe \(student '[0-9a-f]{16}', now '"):
        refuse_another_recipe(tmp_path, plan, STEP, fresh(seed=1))
