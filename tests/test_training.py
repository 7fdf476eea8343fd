"""Training: the best weights, patience, resuming bit for bit, and what it says when it cannot go on."""

import copy
from dataclasses import replace

import pytest
import torch
from tiny_world import STUDENT, data
from torch.optim import AdamW
from transformers.optimization import Adafactor

from lib.encoding import Encoded, encode, step_collator
from lib.errors import UserError
from lib.examples import Example
from lib.forward import batch_loss
from lib.student import Student, new_student
from lib.training import Plan, fit, make_optimizer, seconds_per_token

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


@pytest.mark.parametrize("architecture", ["t5", "gpt2"])
def test_timing_a_student_leaves_it_as_it_was(architecture):
    student = fresh(architecture=architecture)
    before = copy.deepcopy(student.model.state_dict())
    assert 0 < seconds_per_token(student, encoded(student), PLAN, steps=3) < 1
    assert identical(student.model.state_dict(), before)
    assert all(p.grad is None for p in student.model.parameters())
