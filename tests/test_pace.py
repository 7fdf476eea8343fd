"""How fast a student trains: measured on it, left as it was."""

import copy
import itertools

import pytest
import torch
from tiny_world import STUDENT, data

from lib import pace
from lib.encoding import Encoded, encode
from lib.examples import Example
from lib.pace import seconds_per_token
from lib.student import Student, new_student
from lib.training import Plan

EXAMPLES = [
    Example("a", "Ann has 10 pens.", "(10 + 2)", "There were 10 pens. 10 + 2 = 12. The answer is (10 + 2)."),
    Example("b", "Bob has 11 pens and buys 3 more.", "(11 + 3)", "With 3 more there are 14 pens."),
]
PLAN = Plan(steps=22, batch=2, learning_rate=0.02, warmup_steps=2)


def fresh(**changes) -> tuple[Student, list[Encoded]]:
    student = new_student(STUDENT.model_copy(update=changes), data().training_texts(), seed=0)
    return student, encode(student.tokenizer, EXAMPLES, student.decoder_only)


@pytest.mark.parametrize("architecture", ["t5", "gpt2"])
@pytest.mark.parametrize("pass_tokens", [None, 40])
def test_timing_a_student_leaves_it_as_it_was(architecture, pass_tokens):
    student, encoded = fresh(architecture=architecture)
    before = copy.deepcopy(student.model.state_dict())
    plan = Plan(22, 2, 0.02, 2, pass_tokens=pass_tokens)
    assert 0 < seconds_per_token(student, encoded, plan, steps=3) < 1
    assert all(torch.equal(a, b) for a, b in zip(student.model.state_dict().values(), before.values(), strict=True))
    assert all(p.grad is None for p in student.model.parameters())


def test_the_first_step_is_not_counted(monkeypatch):
    """Of a clock by which it takes 100 seconds, and each later one as many as the step has tokens."""
    student, encoded = fresh()
    tokens = sum(e.tokens for e in encoded)
    ticks = itertools.accumulate([0, 100, *[0, tokens] * 3])
    monkeypatch.setattr(pace, "now", lambda device: next(ticks))
    assert seconds_per_token(student, encoded, PLAN, steps=3) == pytest.approx(pace.WITH_OPTIMIZER)


def test_a_student_that_was_on_a_gpu_comes_back_whatever_happens(monkeypatch):
    student, encoded = fresh()
    moved = []
    monkeypatch.setattr(student.model, "to", lambda device: moved.append(str(device)))
    monkeypatch.setattr(pace, "best_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(pace, "_seconds", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        seconds_per_token(student, encoded, PLAN)
    assert moved == ["cuda", "cpu"]


def test_a_gpus_clock_is_read_when_it_is_done(monkeypatch):
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    monkeypatch.setattr(pace.time, "perf_counter", lambda: 7.0)
    assert pace.now(torch.device("cuda")) == 7.0 and waited == [torch.device("cuda")]
