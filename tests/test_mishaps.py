"""What is said when memory does not suffice, and by what a student is known; the rest is in test_training.py."""

import pytest
import torch
from tiny_world import STUDENT, data

from lib.encoding import Encoded
from lib.errors import UserError
from lib.mishaps import PHASE, fingerprint, memory_suffices, refuse_another_recipe
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


def test_within_memory_nothing_is_asked():
    with memory_suffices(2, None, False, lambda: 1 / 0):
        pass


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
