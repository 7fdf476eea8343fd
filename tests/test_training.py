"""Training: the best weights, patience, resuming bit for bit, and what it says when it cannot go on."""

import copy
import json
from dataclasses import replace
from functools import cached_property
from types import SimpleNamespace

import pytest
import torch
from tiny_world import STUDENT, data
from torch.optim import AdamW
from transformers.optimization import Adafactor

from lib import training
from lib.callbacks import Curves
from lib.encoding import Encoded, encode, step_collator
from lib.errors import UserError
from lib.examples import Example
from lib.forward import batch_loss
from lib.student import Student, new_student
from lib.training import Plan, fit, make_optimizer

TEXTS = data().training_texts()
EXAMPLES = [
    Example("a", "Ann has 10 pens.", "(10 + 2)", "There were 10 pens. 10 + 2 = 12. The answer is (10 + 2)."),
    Example("b", "Bob has 11 pens and buys 3 more.", "(11 + 3)", "With 3 more there are 14 pens."),
    Example("c", "How many pens are there now?", "correct", "Every step follows."),
    Example("d", "Dan buys 5 more.", "(5)", "5 pens are gone. 13 - 5 = 8. The answer is (13 - 5)."),
    Example("e", "Cat has 12 pens.", "wrong", "Nothing."),
]
# Looks at validation after steps 5, 10, 15, 20 and 22, the last; the loss is logged after every other step, too.
PLAN = Plan(steps=22, batch=2, learning_rate=0.02, warmup_steps=2, validate_every=5)
LOOKS = 5


def fresh(**changes) -> Student:
    return new_student(STUDENT.model_copy(update=changes), TEXTS, seed=0)


def encoded(student: Student, examples=EXAMPLES) -> list[Encoded]:
    return encode(student.tokenizer, examples, student.decoder_only)


def loss(student: Student, examples, lam: float, reduction: str) -> torch.Tensor:
    [batch] = step_collator(student, None)(encoded(student, examples))["passes"]
    return batch_loss(student.model, batch, lam, reduction)


# -- fitting -------------------------------------------------------------------------------------


class Interrupted(Exception):
    """Stands for a kill."""


class Validation:
    """Gives the accuracies in turn and keeps the weights that it saw; fails at one look, if asked to."""

    def __init__(self, student: Student, accuracies, fails_at: int | None = None):
        self.student, self.accuracies, self.fails_at = student, accuracies, fails_at
        self.looks: list[dict] = []

    def __call__(self) -> float:
        if len(self.looks) == self.fails_at:
            raise Interrupted
        self.looks.append(copy.deepcopy(self.student.model.state_dict()))
        return self.accuracies[len(self.looks) - 1]


def identical(one: dict, other: dict) -> bool:
    return list(one) == list(other) and all(torch.equal(a, b) for a, b in zip(one.values(), other.values()))


def trained(folder, accuracies, plan=PLAN, fails_at=None):
    """A fresh student fitted in `folder`: its weights, history and validation."""
    student = fresh()
    validation = Validation(student, accuracies, fails_at)
    history = fit(student, encoded(student), plan, folder, validation if accuracies else None)
    return student.model.state_dict(), history, validation


@pytest.mark.parametrize(("architecture", "rate"), [("t5", 0.02), ("gpt2", 0.2)])  # GPT-2's weights start smaller
def test_training_lowers_the_loss(tmp_path, architecture, rate):
    student = fresh(dropout=0.0, architecture=architecture)
    student.model.eval()
    before = loss(student, EXAMPLES, 0.5, "examples").item()
    fit(student, encoded(student), replace(PLAN, steps=60, learning_rate=rate, validate_every=0), tmp_path)
    after = loss(student, EXAMPLES, 0.5, "examples").item()
    assert after < 0.5 * before


def test_equal_plans_give_equal_weights_and_another_seed_others(tmp_path):
    plan = replace(PLAN, steps=3)
    first, history, _ = trained(tmp_path / "a", None, plan)
    again, same_history, _ = trained(tmp_path / "b", None, plan)
    other, _, _ = trained(tmp_path / "c", None, replace(plan, seed=1))
    assert identical(first, again)
    assert history == same_history
    assert not identical(first, other)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The weights at each look of PLAN, and the losses on the way; neither depends on how well the looks came out."""
    _, history, validation = trained(tmp_path_factory.mktemp("whole"), [0.0] * LOOKS)
    return validation.looks, losses(history)


def losses(history: list[dict]) -> list[dict]:
    return [row for row in history if "loss" in row]


def looked(history: list[dict]) -> list[float]:
    return [row["eval_accuracy"] for row in history if "eval_accuracy" in row]


def test_the_best_weights_on_validation_are_kept_the_earliest_of_ties(tmp_path, uninterrupted):
    accuracies = [0.1, 0.6, 0.6, 0.3, 0.2]
    weights, history, validation = trained(tmp_path, accuracies)
    assert len(validation.looks) == LOOKS
    assert identical(weights, uninterrupted[0][1])
    assert not identical(weights, uninterrupted[0][2])
    assert looked(history) == accuracies
    assert [row["step"] for row in history if "eval_accuracy" in row] == [5, 10, 15, 20, 22]


def test_without_validation_the_last_weights_count(tmp_path, uninterrupted):
    weights, history, _ = trained(tmp_path, None)
    assert identical(weights, uninterrupted[0][-1])
    assert looked(history) == []
    assert history[-1]["step"] == PLAN.steps


@pytest.mark.parametrize(
    ("fails_at", "accuracies"),
    [
        (1, [0.1, 0.2, 0.3, 0.9, 0.4]),  # the best is still to come
        (3, [0.1, 0.8, 0.3, 0.2, 0.1]),  # the best is already past, and not the last checkpoint
        (4, [0.5, 0.5, 0.5, 0.5, 0.5]),
        (0, [0.4, 0.3, 0.2, 0.1, 0.0]),  # before the first checkpoint: from the start
    ],
)
def test_an_interrupted_phase_goes_on_bit_for_bit(tmp_path, uninterrupted, fails_at, accuracies):
    with pytest.raises(Interrupted):
        trained(tmp_path, accuracies, fails_at=fails_at)
    weights, history, validation = trained(tmp_path, accuracies[fails_at:])
    assert len(validation.looks) == LOOKS - fails_at  # nothing is trained twice
    assert identical(weights, uninterrupted[0][accuracies.index(max(accuracies))])
    assert losses(history) == uninterrupted[1]
    assert looked(history) == accuracies


def test_a_finished_phase_is_not_trained_again(tmp_path, uninterrupted):
    accuracies = [0.1, 0.2, 0.3, 0.4, 0.5]
    trained(tmp_path, accuracies)
    weights, history, validation = trained(tmp_path, accuracies, fails_at=0)
    assert validation.looks == []
    assert identical(weights, uninterrupted[0][-1])
    assert (losses(history), looked(history)) == (uninterrupted[1], accuracies)


def test_a_finished_phase_whose_best_was_earlier_ends_the_same_again(tmp_path, uninterrupted):
    accuracies = [0.1, 0.8, 0.3, 0.2, 0.1]
    trained(tmp_path, accuracies)
    weights, history, _ = trained(tmp_path, accuracies[2:])  # of the checkpoints only the best was kept
    assert identical(weights, uninterrupted[0][1])
    assert (losses(history), looked(history)) == (uninterrupted[1], accuracies)


@pytest.mark.parametrize("state", [None, "", '{"global_step": 6, "log_hist'])
def test_a_torn_checkpoint_is_passed_over(tmp_path, uninterrupted, state):
    with pytest.raises(Interrupted):
        trained(tmp_path, [0.1, 0.2], fails_at=2)
    newest = max(tmp_path.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    torn = newest / "trainer_state.json"
    torn.unlink() if state is None else torn.write_text(state)
    weights, history, _ = trained(tmp_path, [0.1, 0.2, 0.3, 0.4, 0.5])
    assert identical(weights, uninterrupted[0][-1])
    assert losses(history) == uninterrupted[1]


# -- settings of how it is trained -------------------------------------------------------------------


@pytest.mark.parametrize(("patience", "looks"), [(1, 3), (2, 4), (3, 5), (None, 5)])
def test_patience_ends_a_phase_and_the_best_weights_are_kept(tmp_path, uninterrupted, patience, looks):
    accuracies = [0.1, 0.6, 0.6, 0.3, 0.2]
    weights, history, _ = trained(tmp_path, accuracies, replace(PLAN, patience=patience))
    assert looked(history) == accuracies[:looks]
    assert identical(weights, uninterrupted[0][1])


def test_a_phase_that_lost_its_patience_is_not_taken_up_again(tmp_path, monkeypatch, uninterrupted):
    """Killed after its last step, before its best weights were loaded."""
    plan, accuracies = replace(PLAN, patience=2), [0.6, 0.1, 0.3, 0.9, 0.9]

    def killed(self):
        raise Interrupted

    monkeypatch.setattr(training.DistillationTrainer, "_load_best_model", killed)
    with pytest.raises(Interrupted):
        trained(tmp_path, accuracies, plan)
    monkeypatch.undo()
    weights, history, validation = trained(tmp_path, accuracies, plan, fails_at=0)
    assert validation.looks == []
    assert looked(history) == accuracies[:3]
    assert identical(weights, uninterrupted[0][0])


def test_patience_outlasts_an_interruption(tmp_path, uninterrupted):
    plan, accuracies = replace(PLAN, patience=2), [0.1, 0.6, 0.3, 0.2, 0.9]
    with pytest.raises(Interrupted):
        trained(tmp_path, accuracies, plan, fails_at=3)
    weights, history, _ = trained(tmp_path, accuracies[3:], plan)
    assert looked(history) == accuracies[:4]
    assert identical(weights, uninterrupted[0][1])


def test_the_last_weights_may_be_kept_instead_of_the_best(tmp_path, uninterrupted):
    accuracies = [0.1, 0.6, 0.6, 0.3, 0.2]
    weights, history, _ = trained(tmp_path, accuracies, replace(PLAN, keep="last"))
    assert identical(weights, uninterrupted[0][-1])
    assert looked(history) == accuracies


def test_checkpointing_changes_no_bit(tmp_path, uninterrupted):
    weights, history, _ = trained(tmp_path, None, replace(PLAN, checkpointing=True))
    assert identical(weights, uninterrupted[0][-1])
    assert losses(history)[-1] == uninterrupted[1][-1]


@pytest.mark.parametrize("architecture", ["t5", "gpt2"])
def test_passes_train_the_same_but_for_rounding(tmp_path, architecture):
    def weights(budget: int | None) -> torch.Tensor:
        student = fresh(dropout=0.0, architecture=architecture)
        plan = replace(PLAN, steps=6, batch=4, optimizer="adamw", learning_rate=1e-3, pass_tokens=budget)
        fit(student, encoded(student), plan, tmp_path / str(budget))
        return torch.cat([p.detach().flatten() for p in student.model.parameters()])

    begun = torch.cat([p.detach().flatten() for p in fresh(dropout=0.0, architecture=architecture).model.parameters()])
    whole = weights(None)
    assert (weights(50) - whole).norm() < 1e-2 * (whole - begun).norm()


def test_an_interrupted_phase_in_passes_goes_on_bit_for_bit(tmp_path):
    plan, accuracies = replace(PLAN, pass_tokens=50, batch=4), [0.1, 0.2, 0.3, 0.4, 0.5]
    weights, history, _ = trained(tmp_path / "whole", accuracies, plan)
    with pytest.raises(Interrupted):
        trained(tmp_path / "cut", accuracies, plan, fails_at=2)
    again, same_history, _ = trained(tmp_path / "cut", accuracies[2:], plan)
    assert identical(weights, again)
    assert history == same_history


def test_bf16_rounds_the_products_and_leaves_the_weights_in_fp32(tmp_path, uninterrupted):
    weights, history, _ = trained(tmp_path, None, replace(PLAN, precision="bf16"))
    assert all(value.dtype == torch.float32 for value in weights.values())
    assert history[0]["loss"] == pytest.approx(uninterrupted[1][0]["loss"], rel=0.2)  # dropout draws others
    assert history[0]["loss"] != uninterrupted[1][0]["loss"]


@pytest.mark.slow
def test_a_compiled_student_trains_the_same(tmp_path, uninterrupted):
    _, history, _ = trained(tmp_path, [0.5], replace(PLAN, steps=5, compile=True))
    assert losses(history)[0]["loss"] == pytest.approx(uninterrupted[1][0]["loss"], rel=1e-4)


class Heard(Curves):
    """Keeps what it is told."""

    def add(self, step, values):
        self.heard = [*getattr(self, "heard", []), (step, dict(values))]


def test_curves_hear_of_every_loss_of_a_short_phase_and_of_the_looks(tmp_path):
    student, curves = fresh(), Heard("run")
    plan = replace(PLAN, steps=10)
    history = fit(student, encoded(student), plan, tmp_path, Validation(student, [0.1, 0.2]), curves)
    told = [row for row in curves.heard if "loss" in row[1]]
    assert [step for step, _ in told] == list(range(1, 11))
    assert all(set(row) == {"loss", "learning_rate"} for _, row in told)
    # at ten steps the Trainer, too, logs each
    assert [row["loss"] for _, row in told] == pytest.approx([row["loss"] for row in losses(history)], abs=1e-4)
    assert [row for row in curves.heard if "accuracy" in row[1]] == [(5, {"accuracy": 0.1}), (10, {"accuracy": 0.2})]


def test_curves_change_neither_weights_nor_history(tmp_path, uninterrupted):
    student, curves = fresh(), Heard("run")
    validation = Validation(student, [0.0] * LOOKS)
    history = fit(student, encoded(student), PLAN, tmp_path, validation, curves)
    assert len([row for row in curves.heard if "loss" in row[1]]) == PLAN.steps  # and the log has fewer
    assert losses(history) == uninterrupted[1] and len(uninterrupted[1]) < PLAN.steps
    assert all(identical(a, b) for a, b in zip(validation.looks, uninterrupted[0]))


# -- when it cannot go on ----------------------------------------------------------------------------


def poison(monkeypatch, at_step: int, of):
    """Make the loss of one step (counted from 1) what `of` makes of it."""
    calls = []

    def poisoned(*args):
        calls.append(args)
        loss = batch_loss(*args)
        return of(loss) if len(calls) == at_step else loss

    monkeypatch.setattr(training, "batch_loss", poisoned)


@pytest.mark.parametrize("of", [lambda loss: loss * float("nan"), lambda loss: loss + torch.log(loss * 0) * 0])
def test_a_loss_that_is_not_finite_stops_and_keeps_what_is_good(tmp_path, monkeypatch, uninterrupted, of):
    poison(monkeypatch, 8, of)
    with pytest.raises(UserError, match="training stopped at step 7: loss nan, gradient norm nan") as error:
        trained(tmp_path, [0.1])
    assert "checkpoint-5" in str(error.value) and "lower train.learning_rate" in str(error.value)
    file = tmp_path / "not_finite_step_7.json"
    assert str(file) in str(error.value)
    said = json.loads(file.read_text())
    assert said["loss"] == "nan" and len(said["examples"]) == PLAN.batch
    for row in said["examples"]:
        assert row["ids"][0][0] == encoded(fresh())[row["index"]].pairs[0][0]
        assert all(text for pair in row["texts"] for text in pair)
    monkeypatch.undo()
    weights, history, _ = trained(tmp_path, [0.2, 0.3, 0.4, 0.5])  # what was wrong is mended: it goes on from there
    assert identical(weights, uninterrupted[0][-1])
    assert losses(history) == uninterrupted[1]


def test_a_gradient_that_is_not_finite_stops_before_the_weights_are_touched(tmp_path, monkeypatch):
    class Steep(torch.autograd.Function):
        @staticmethod
        def forward(ctx, loss):
            return loss.clone()

        @staticmethod
        def backward(ctx, out):
            return out * float("inf")

    poison(monkeypatch, 1, Steep.apply)
    student = fresh()
    before = copy.deepcopy(student.model.state_dict())
    with pytest.raises(
        UserError, match=r"at step 0: loss \d.*, gradient norm (nan|inf).*last good checkpoint: none yet"
    ):
        fit(student, encoded(student), PLAN, tmp_path)
    assert identical(student.model.state_dict(), before)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_too_little_memory_names_what_to_lower(tmp_path, monkeypatch, error):
    def full(*args):
        raise error

    monkeypatch.setattr(training, "batch_loss", full)
    with pytest.raises(UserError, match="out of memory") as found:
        trained(tmp_path, None, replace(PLAN, seed=3))
    assert "of a step of 2 examples: set train.checkpointing: true or lower train.pass_tokens (now null" in str(
        found.value
    )


def test_too_little_memory_is_reckoned_from_this_processes_share(tmp_path, monkeypatch):
    """One of two examples: with a single one in its pass, smaller passes help nothing."""

    def full(*args):
        raise MemoryError

    monkeypatch.setattr(training, "batch_loss", full)
    monkeypatch.setattr(training.distributed, "share", lambda: (1, 2))
    with pytest.raises(UserError, match=r"of a step of 2 examples: .*an example of \d+ tokens is alone"):
        trained(tmp_path, None)


def test_another_error_stays_what_it_is(tmp_path, monkeypatch):
    def broken(*args):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(training, "batch_loss", broken)
    with pytest.raises(RuntimeError, match=r"^shapes differ$"):
        trained(tmp_path, None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"learning_rate": 0.01}, "learning_rate 0.02, now 0.01"), ({"seed": 1}, "seed 0, now 1"), ({}, "examples '")],
)
def test_checkpoints_of_another_recipe_are_refused(tmp_path, changes, said):
    with pytest.raises(Interrupted):
        trained(tmp_path, [0.1, 0.2], fails_at=1)
    student = fresh()
    others = encoded(student) if changes else encoded(student, EXAMPLES[1:])
    with pytest.raises(UserError, match=f"its checkpoints are of another recipe .*{said}.*delete the folder"):
        fit(student, others, replace(PLAN, **changes), tmp_path)


def test_how_steps_are_computed_may_change_on_the_way(tmp_path):
    with pytest.raises(Interrupted):
        trained(tmp_path, [0.1, 0.2], fails_at=1)
    plan = replace(PLAN, pass_tokens=50, checkpointing=True)
    _, history, validation = trained(tmp_path, [0.2, 0.3, 0.4, 0.5], plan)
    assert len(validation.looks) == LOOKS - 1 and history[-1]["step"] == PLAN.steps


def test_a_student_without_examples_is_refused(tmp_path):
    with pytest.raises(UserError, match="no usable training examples"):
        fit(fresh(), [], PLAN, tmp_path)


def test_the_optimizer_is_the_one_planned():
    model = fresh().model
    adafactor = make_optimizer(model, PLAN)
    assert isinstance(adafactor, Adafactor)
    assert adafactor.defaults["scale_parameter"]
    assert not adafactor.defaults["relative_step"]
    adamw = make_optimizer(model, replace(PLAN, optimizer="adamw", learning_rate=5e-5))
    assert isinstance(adamw, AdamW)
    assert adamw.defaults["lr"] == 5e-5


@pytest.mark.parametrize("gpu", [False, True])
def test_a_gpu_takes_the_fused_optimizer_and_pinned_memory(monkeypatch, tmp_path, gpu):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert make_optimizer(fresh().model, replace(PLAN, optimizer="adamw")).defaults["fused"] is (gpu or None)
    asked = {}
    monkeypatch.setattr(training, "TrainingArguments", lambda **own: asked.update(own) or SimpleNamespace(n_gpu=1))
    training._arguments(PLAN, tmp_path, False, 1)
    assert (asked["dataloader_pin_memory"], asked["use_cpu"]) == (gpu, not gpu)


def test_a_student_stays_on_one_of_several_gpus(tmp_path, monkeypatch):
    """The Trainer would wrap it in DataParallel."""
    two = cached_property(lambda self: setattr(self, "_n_gpu", 2) or torch.device("cpu"))
    two.__set_name__(training.TrainingArguments, "_setup_devices")
    monkeypatch.setattr(training.TrainingArguments, "_setup_devices", two)
    assert training.TrainingArguments(output_dir=str(tmp_path)).n_gpu == 2
    assert training._arguments(PLAN, tmp_path, False, 5).n_gpu == 1
