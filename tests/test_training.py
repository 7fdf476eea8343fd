"""Training: the loss of a batch against plain Hugging Face, the schedule, and resuming bit for bit."""

import copy
from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import beginning_tokenizer, tiny_bart, tiny_llama
from tiny_world import STUDENT, data
from torch.optim import AdamW
from transformers import T5Config, T5ForConditionalGeneration
from transformers.optimization import Adafactor

from lib.encoding import Encoded, collator, encode
from lib.errors import UserError
from lib.examples import Example
from lib.student import Student, new_student
from lib.training import (
    Plan,
    batch_loss,
    batches,
    fit,
    make_optimizer,
    seconds_per_token,
)

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


# -- the schedule --------------------------------------------------------------------------------

LENGTHS = st.lists(st.integers(1, 200), min_size=1, max_size=30)


@given(LENGTHS, st.integers(1, 7), st.integers(1, 40), st.integers(0, 3))
def test_every_step_has_a_fixed_number_of_examples_and_none_is_favoured(lengths, batch, steps, seed):
    schedule = batches(lengths, batch, steps, seed)
    assert [len(rows) for rows in schedule] == [batch] * steps
    seen = Counter(i for rows in schedule for i in rows)
    counts = [seen[i] for i in range(len(lengths))]
    assert max(counts) - min(counts) <= 1


@given(LENGTHS, st.integers(1, 7), st.integers(1, 3))
def test_whole_passes_show_every_example_equally_often(lengths, batch, passes):
    schedule = batches(lengths, batch, steps=len(lengths) * passes, seed=0)
    assert Counter(i for rows in schedule for i in rows) == dict.fromkeys(range(len(lengths)), batch * passes)


def test_the_schedule_follows_from_the_seed():
    lengths = list(range(40))
    assert batches(lengths, 4, 25, seed=1) == batches(lengths, 4, 25, seed=1)
    assert batches(lengths, 4, 25, seed=1) != batches(lengths, 4, 25, seed=2)


def test_examples_of_like_length_share_a_batch():
    lengths = [1, 100] * 20
    pure = [len({lengths[i] for i in rows}) == 1 for rows in batches(lengths, batch=4, steps=10, seed=0)]
    assert all(pure)
    firsts = [lengths[rows[0]] for rows in batches(lengths, batch=4, steps=10, seed=0)]
    assert firsts != sorted(firsts)  # and yet the short ones do not all come first


# -- the loss of a batch ------------------------------------------------------------------------


def untied(tokenizer) -> T5ForConditionalGeneration:
    """As T5 v1.1 is: an output projection of its own, not scaled, and gated feed-forward layers."""
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, decoder_start_token_id=0,
        feed_forward_proj="gated-gelu", tie_word_embeddings=False,
    )  # fmt: skip
    return T5ForConditionalGeneration(config)


MADE = {
    "tied": lambda: fresh(),
    "untied": lambda: Student(untied(fresh().tokenizer), fresh().tokenizer),
    "gpt2": lambda: fresh(architecture="gpt2"),
    "bart": lambda: tiny_bart(beginning_tokenizer(TEXTS, "<s> $A </s>")),
    "llama": lambda: tiny_llama(beginning_tokenizer(TEXTS, "<s> $A")),
}


@pytest.fixture(scope="module", params=MADE)
def student(request) -> Student:
    made = MADE[request.param]()
    made.model.eval()
    return made


def loss(student: Student, examples, lam: float, reduction: str) -> torch.Tensor:
    return batch_loss(student.model, collator(student)(encoded(student, examples)), lam, reduction)


def plain(student: Student, pairs, reduction: str) -> torch.Tensor:
    """One task's loss as Hugging Face computes it: one text at a time, or all tokens of a batch at once."""

    def call(some) -> torch.Tensor:
        if student.decoder_only:
            return student.model(**continuations(student.tokenizer, some)).loss
        inputs = student.tokenizer([source for source, _ in some], padding=True, return_tensors="pt")
        labels = student.tokenizer([target for _, target in some], padding=True, return_tensors="pt")["input_ids"]
        labels[labels == student.tokenizer.pad_token_id] = -100
        return student.model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], labels=labels).loss

    return call(pairs) if reduction == "tokens" else torch.stack([call([pair]) for pair in pairs]).mean()


def continuations(tokenizer, pairs) -> dict[str, torch.Tensor]:
    """ "source ### target </s>" as Hugging Face takes it, the labels hidden on the source and on padding."""
    whole = tokenizer([f"{source} ### {target} </s>" for source, target in pairs], padding=True, return_tensors="pt")
    labels = whole["input_ids"].masked_fill(whole["attention_mask"] == 0, -100)
    for row, (source, _) in zip(labels, pairs):
        row[: len(tokenizer(f"{source} ###")["input_ids"])] = -100
    return {"input_ids": whole["input_ids"], "attention_mask": whole["attention_mask"], "labels": labels}


@pytest.mark.parametrize("reduction", ["examples", "tokens"])
@pytest.mark.parametrize("lam", [0.0, 0.5, 2.0])
def test_the_loss_is_that_of_two_plain_passes(student, lam, reduction):
    label, explanation = zip(*(e.pairs() for e in EXAMPLES))
    expected = plain(student, label, reduction) + lam * plain(student, explanation, reduction)
    assert loss(student, EXAMPLES, lam, reduction).item() == pytest.approx(expected.item(), abs=1e-5)


def test_so_are_its_gradients(student):
    def gradients(value: torch.Tensor) -> list[torch.Tensor]:
        student.model.zero_grad()
        value.backward()
        return [p.grad.clone() for p in student.model.parameters()]

    label, explanation = zip(*(e.pairs() for e in EXAMPLES))
    ours = gradients(loss(student, EXAMPLES, 0.5, "examples"))
    theirs = gradients(plain(student, label, "examples") + 0.5 * plain(student, explanation, "examples"))
    student.model.zero_grad()
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_labels_alone_are_one_plain_pass(student):
    alone = [replace(e, rationale=None) for e in EXAMPLES]
    expected = plain(student, [e.pairs()[0] for e in alone], "examples")
    assert loss(student, alone, 0.5, "examples").item() == pytest.approx(expected.item(), abs=1e-5)


def test_the_loss_per_example_does_not_depend_on_how_the_batch_was_cut(student):
    def cut(reduction: str) -> float:
        parts = (EXAMPLES[:1], EXAMPLES[1:])
        return sum(len(part) * loss(student, part, 0.5, reduction).item() for part in parts) / len(EXAMPLES)

    assert cut("examples") == pytest.approx(loss(student, EXAMPLES, 0.5, "examples").item(), abs=1e-5)
    assert cut("tokens") != pytest.approx(loss(student, EXAMPLES, 0.5, "tokens").item(), abs=1e-4)


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
    assert 0 < seconds_per_token(student, encoded(student), batch=2, steps=3) < 1
    assert identical(student.model.state_dict(), before)
    assert all(p.grad is None for p in student.model.parameters())
