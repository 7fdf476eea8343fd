"""The loss of a batch and its gradients against plain Hugging Face."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from tiny import beginning_tokenizer, tiny_bart, tiny_llama
from tiny_world import STUDENT, data
from transformers import T5Config, T5ForConditionalGeneration

from lib import forward
from lib.encoding import Encoded, collator, encode, step_collator
from lib.errors import UserError
from lib.examples import Example
from lib.forward import batch_loss, takes_bf16, to_device
from lib.losses import weighted_nll
from lib.schedule import batches
from lib.student import Student, new_student

TEXTS = data().training_texts()
EXAMPLES = [
    Example("a", "Ann has 10 pens.", "(10 + 2)", "There were 10 pens. 10 + 2 = 12. The answer is (10 + 2)."),
    Example("b", "Bob has 11 pens and buys 3 more.", "(11 + 3)", "With 3 more there are 14 pens."),
    Example("c", "How many pens are there now?", "correct", "Every step follows."),
    Example("d", "Dan buys 5 more.", "(5)", "5 pens are gone. 13 - 5 = 8. The answer is (13 - 5)."),
    Example("e", "Cat has 12 pens.", "wrong", "Nothing."),
]


def fresh(**changes) -> Student:
    return new_student(STUDENT.model_copy(update=changes), TEXTS, seed=0)


def encoded(student: Student, examples=EXAMPLES) -> list[Encoded]:
    return encode(student.tokenizer, examples, student.decoder_only)


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


# -- a step in passes, the projection in pieces --------------------------------------------------------

WAYS = {"one pass": (None, False), "passes": (60, False), "pieces": (None, True), "passes of pieces": (60, True)}


def step_loss(student: Student, examples: list[Encoded], reduction: str, budget: int | None) -> torch.Tensor:
    """Forward and backward as a training step takes them."""
    whole = torch.zeros(())
    for batch in step_collator(student, budget)(examples)["passes"]:
        part = batch_loss(student.model, batch, 0.5, reduction)
        part.backward()
        whole += part.detach()
    return whole


def gradients(student: Student) -> list[torch.Tensor]:
    found = [p.grad.clone() for p in student.model.parameters()]
    student.model.zero_grad()
    return found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("reduction", ["examples", "tokens"])
def test_an_epoch_has_the_loss_and_the_gradient_of_two_plain_passes(monkeypatch, student, reduction, way):
    """Over 20 examples of unlike lengths, in batches of 6: each loss to 1e-5, the summed gradient to 1e-4."""
    budget, pieces = WAYS[way]
    if pieces:
        monkeypatch.setattr(forward, "MANY_PIECES", 0)
        # 7 positions a piece
        monkeypatch.setattr(forward, "weighted_nll", partial(weighted_nll, at_once=7 * len(student.tokenizer)))
    many = [replace(e, id=f"{e.id}{i}", source=" ".join([e.source] * i)) for e in EXAMPLES for i in (1, 2, 3, 4)]
    rows, ours, plainly = encoded(student, many), [], []
    schedule = batches([e.tokens for e in rows], batch=6, steps=4, seed=0)
    for step in schedule:
        ours.append(step_loss(student, [rows[i] for i in step], reduction, budget).item())
    by_ours = gradients(student)
    for step in schedule:
        label, explanation = zip(*(many[i].pairs() for i in step))
        expected = plain(student, label, reduction) + 0.5 * plain(student, explanation, reduction)
        expected.backward()
        plainly.append(expected.item())
    assert ours == pytest.approx(plainly, abs=1e-5)
    torch.testing.assert_close(by_ours, gradients(student), atol=1e-4, rtol=1e-4)


def test_a_step_of_unlike_examples_is_shared_out_by_task(student):
    """Some examples have no rationale: each task's mean is over its own rows, whatever pass they are in."""
    some = encoded(student, [replace(e, rationale=None if i % 2 else e.rationale) for i, e in enumerate(EXAMPLES)])
    for reduction in ("examples", "tokens"):
        whole = step_loss(student, some, reduction, None)
        expected = gradients(student)
        assert len(step_collator(student, 40)(some)["passes"]) > 2
        torch.testing.assert_close(step_loss(student, some, reduction, 40), whole)
        torch.testing.assert_close(gradients(student), expected, atol=1e-5, rtol=1e-4)


def test_a_pass_has_no_share_of_a_reduction_without_its_branch():
    own = forward.TaskStates(torch.zeros(2, 1), torch.zeros(2), torch.zeros(2), 1)
    with pytest.raises(UserError, match="'sums' is not computed yet"):
        forward._share(own, (2, 3), "sums")


def by_mask(hidden: torch.Tensor, task: dict) -> forward.TaskStates:
    """The states at the real targets as a mask selects them."""
    real = torch.zeros(hidden.shape[:2], dtype=torch.bool)
    real.view(-1)[task["at"]] = True
    targets = torch.full(hidden.shape[:2], -100).masked_scatter(real, task["targets"])
    return forward.TaskStates(hidden[real], targets[real], real.nonzero()[:, 0], len(real))


@pytest.mark.parametrize("budget", [None, 60])
@pytest.mark.parametrize("reduction", ["examples", "tokens"])
def test_places_select_what_a_mask_does_to_the_bit(monkeypatch, student, reduction, budget):
    value = step_loss(student, encoded(student), reduction, budget)
    by_places = gradients(student)
    monkeypatch.setattr(forward, "_at_targets", by_mask)
    assert torch.equal(step_loss(student, encoded(student), reduction, budget), value)
    assert all(torch.equal(a, b) for a, b in zip(gradients(student), by_places))


def test_pieces_under_autocast_stay_near_the_exact_loss(monkeypatch, student):
    exact = step_loss(student, encoded(student), "examples", None)
    by_exact = gradients(student)
    monkeypatch.setattr(forward, "MANY_PIECES", 0)
    with torch.autocast("cpu", torch.bfloat16):
        rough = step_loss(student, encoded(student), "examples", None)
    by_rough = gradients(student)
    assert rough.dtype == torch.float32 and rough.item() == pytest.approx(exact.item(), rel=1e-2)
    assert rough.item() != exact.item()
    assert all(g.dtype == torch.float32 for g in by_rough)
    ours, theirs = (torch.cat([g.flatten() for g in found]) for found in (by_rough, by_exact))
    assert torch.cosine_similarity(ours, theirs, dim=0) > 0.999


@pytest.mark.parametrize(
    ("precision", "device", "supported", "taken"),
    [
        ("auto", "cpu", True, False),
        ("auto", "cuda", True, True),
        ("auto", "cuda", False, False),
        ("fp32", "cuda", True, False),
        ("bf16", "cpu", False, True),
    ],
)
def test_auto_precision_is_bf16_on_a_gpu_that_has_it(monkeypatch, precision, device, supported, taken):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: supported)
    assert takes_bf16(precision, torch.device(device)) == taken


def test_a_batch_is_moved_whole_and_numbers_in_it_stay():
    batch = {"tasks": [{"at": torch.tensor([3])}], "mask": torch.ones(2), "whole": [(3, 7), (1, 3)]}
    moved = to_device(batch, torch.device("meta"))
    assert moved["tasks"][0]["at"].device == moved["mask"].device == torch.device("meta")
    assert moved["whole"] == batch["whole"] and batch["mask"].device == torch.device("cpu")
