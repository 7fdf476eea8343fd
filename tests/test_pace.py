"""How fast a student trains: measured on it, left as it was."""

import copy
import itertools
import os
import signal

import pytest
import torch
from tiny_world import STUDENT, data

from lib import pace
from lib.encoding import Encoded, encode
from lib.errors import UserError
from lib.examples import Example
from lib.pace import off_the_gpu, seconds_per_token
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
    student.model.eval()
    monkeypatch.setattr(student.model, "to", lambda device: moved.append(str(device)))
    monkeypatch.setattr(pace, "best_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(pace, "_seconds", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        seconds_per_token(student, encoded, PLAN)
    assert moved == ["cuda", "cpu"] and not student.model.training


@pytest.mark.parametrize("checkpointing", [False, True])
def test_it_computes_as_in_training(monkeypatch, checkpointing):
    student, encoded = fresh()
    student.model.eval()  # as one comes that was loaded
    loss, seen = pace.batch_loss, []

    def spy(model, *rest):
        seen.append((model.training, any(getattr(m, "gradient_checkpointing", False) for m in model.modules())))
        return loss(model, *rest)

    monkeypatch.setattr(pace, "batch_loss", spy)
    seconds_per_token(student, encoded, Plan(22, 2, 0.02, 2, checkpointing=checkpointing), steps=1)
    assert set(seen) == {(True, checkpointing)} and not student.model.training
    assert not any(getattr(m, "gradient_checkpointing", False) for m in student.model.modules())


def test_of_several_devices_the_first_ones_share_is_timed(monkeypatch):
    student, encoded = fresh()
    tokens = {len(e.pairs[0][0]): e.tokens for e in encoded}
    ticks, rows = itertools.accumulate([0, 100, 0, 60]), []
    monkeypatch.setattr(pace, "now", lambda device: next(ticks))
    loss = pace.batch_loss
    monkeypatch.setattr(pace, "batch_loss", lambda m, b, *rest: rows.append(b) or loss(m, b, *rest))
    found = seconds_per_token(student, encoded, PLAN, steps=1, devices=2)
    assert len(rows) == 2 and all(len(task["rows"]) == 1 for batch in rows for task in batch["tasks"])
    first = int(rows[1]["mask"][0].sum())
    assert found == pytest.approx(pace.WITH_OPTIMIZER * 60 / tokens[first])


# -- by whom ---------------------------------------------------------------------------------------


def timed(how: str) -> float:
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "full":
        raise torch.OutOfMemoryError("CUDA out of memory.")
    if how == "refused":
        raise UserError("too long")
    return float(os.getpid()) if how == "well" else 1 / 0


@pytest.mark.parametrize("gpu", [False, True])
def test_where_there_is_a_gpu_another_process_takes_it_and_ends(monkeypatch, gpu):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert (off_the_gpu(timed, "well") != os.getpid()) == gpu
    assert off_the_gpu(timed, "full") is None
    with pytest.raises(UserError, match="too long"):
        off_the_gpu(timed, "refused")
    with pytest.raises(ZeroDivisionError):
        off_the_gpu(timed, "wrong")


def test_a_process_that_is_killed_for_its_memory_gives_no_time(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert off_the_gpu(timed, "killed") is None


def test_a_gpus_clock_is_read_when_it_is_done(monkeypatch):
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    monkeypatch.setattr(pace.time, "perf_counter", lambda: 7.0)
    assert pace.now(torch.device("cuda")) == 7.0 and waited == [torch.device("cuda")]
