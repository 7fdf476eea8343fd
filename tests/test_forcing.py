"""Log-probabilities of forced tokens by hand: a slab of the vocabulary at a time, in batches of like length."""

import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import KINDS, WORDS
from transformers import T5Config, T5ForConditionalGeneration

from lib import forcing
from lib.errors import UserError
from lib.forcing import (
    batches_by_budget,
    forced_log_probs,
    forced_sums,
    refuse_other_logits,
    start_tokens,
    token_log_probs,
)
from lib.pairs import EncodedPair
from lib.student import Student
from lib.words import words_tokenizer


def test_token_log_probs_by_hand():
    states = torch.tensor([[0.0, math.log(3)], [math.log(3), 0.0]])  # P = (1/4, 3/4), (3/4, 1/4)
    found = token_log_probs(states, torch.eye(2), None, torch.tensor([1, 1]))
    assert found.tolist() == pytest.approx([math.log(3 / 4), math.log(1 / 4)])


def test_the_bias_counts_as_any_logit():
    found = token_log_probs(torch.zeros(1, 2), torch.eye(2), torch.tensor([0.0, math.log(3)]), torch.tensor([1]))
    assert found.tolist() == pytest.approx([math.log(3 / 4)])


@pytest.mark.parametrize("width", [1, 7, 11, 10_000])
@pytest.mark.parametrize("biased", [False, True])
def test_slabs_of_the_vocabulary_give_the_whole_log_softmax(monkeypatch, width, biased):
    monkeypatch.setattr(forcing, "SLAB", {"cpu": width})
    states, weight, targets = torch.randn(5, 3), torch.randn(11, 3) * 9, torch.tensor([0, 10, 4, 4, 7])
    bias = torch.randn(11) if biased else None
    expected = torch.nn.functional.linear(states, weight, bias).log_softmax(-1)[range(5), targets]
    assert token_log_probs(states, weight, bias, targets).tolist() == pytest.approx(expected.tolist(), abs=1e-5)


def test_words_of_no_probability_are_no_trouble_even_a_whole_slab(monkeypatch):
    monkeypatch.setattr(forcing, "SLAB", {"cpu": 2})
    bias = torch.tensor([0.0, math.log(3), -math.inf, -math.inf])
    found = token_log_probs(torch.zeros(1, 2), torch.zeros(4, 2), bias, torch.tensor([1]))
    assert found.tolist() == pytest.approx([math.log(3 / 4)])


def test_token_log_probs_is_fp32_in_bf16():
    found = token_log_probs(torch.zeros(1, 2).bfloat16(), torch.eye(2).bfloat16(), None, torch.tensor([0]))
    assert found.dtype == torch.float32


def test_token_log_probs_of_large_bf16_logits_are_those_of_a_plain_log_softmax_and_never_above_0():
    torch.manual_seed(0)
    states, weight = (4 * torch.randn(200, 64)).bfloat16(), torch.randn(5000, 64).bfloat16()
    logits = (states @ weight.T).float()  # up to about 100, each rounded to eight bits
    targets = torch.where(torch.arange(200) % 2 == 0, logits.argmax(-1), torch.randint(0, 5000, (200,)))
    found = token_log_probs(states, weight, None, targets)
    assert found.max() <= 1e-5
    assert torch.allclose(found, logits.log_softmax(-1)[range(200), targets], atol=1e-3)


class Markov(torch.nn.Module):
    """Two tokens: after 0 both are as likely, after 1 the next is 1 with probability 3/4."""

    config, device = SimpleNamespace(is_encoder_decoder=False), torch.device("cpu")

    def get_decoder(self):
        return lambda input_ids, **_: (torch.nn.functional.one_hot(input_ids, 2).float(),)

    def get_output_embeddings(self):
        return SimpleNamespace(weight=torch.tensor([[0.0, 0.0], [0.0, math.log(3)]]), bias=None)


CHAIN = Student(Markov(), None)
HAND = [EncodedPair((0,), (1, 1, 0), (0, 2)), EncodedPair((0, 1), (1,), (0, 1)), EncodedPair((1, 0), (1, 0), (0, 1))]


def test_two_token_vocabulary_by_hand():
    expected = [[1 / 2, 3 / 4, 1 / 4], [3 / 4], [1 / 2, 1 / 4]]
    for log_p, p in zip(forced_log_probs(CHAIN, HAND), expected, strict=True):
        assert np.exp(log_p).tolist() == pytest.approx(p)


def test_sums_by_hand():
    whole = [(3 / 32, 3), (3 / 4, 1), (1 / 8, 2)]
    answer = [(3 / 8, 2), (3 / 4, 1), (1 / 2, 1)]
    for sums, (p, n), (p_answer, n_answer) in zip(forced_sums(CHAIN, HAND), whole, answer, strict=True):
        assert tuple(sums) == pytest.approx((math.log(p), n, math.log(p_answer), n_answer))
        assert (sums.mean, sums.answer_mean) == pytest.approx((math.log(p) / n, math.log(p_answer) / n_answer))


@pytest.mark.parametrize("kind, before", [("encoder-decoder", 1), ("decoder-only", 0), ("as BART", 2), ("as LLaMA", 0)])
def test_what_a_decoder_reads_before_a_target(kind, before):
    student = KINDS[kind]()
    assert len(start_tokens(student)) == before
    if before:
        assert start_tokens(student)[0] == student.model.config.decoder_start_token_id


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), max_size=40), st.integers(1, 200), st.booleans())
def test_batches_hold_every_row_once_and_keep_the_budget(sizes, budget, joined):
    encoded = [EncodedPair((0,) * s, (0,) * t, (0, 1)) for s, t in sizes]
    batches = batches_by_budget(encoded, budget, joined)
    assert sorted(i for batch in batches for i in batch) == list(range(len(sizes)))
    for batch in batches:
        if joined:
            width = max(sum(sizes[i]) for i in batch)
        else:
            width = max(sizes[i][0] for i in batch) + max(sizes[i][1] for i in batch)
        assert len(batch) * width <= budget or len(batch) == 1


# -- models whose logits are something else --------------------------------------------------------


def untied_t5() -> Student:
    tied = KINDS["encoder-decoder"]()
    config = T5Config(**tied.model.config.to_dict() | {"tie_word_embeddings": False})
    return Student(T5ForConditionalGeneration(config), words_tokenizer(WORDS))


MODELS = KINDS | {"untied": untied_t5}
OTHERS = {
    "scaled": lambda x: x * 0.0625,
    "divided": lambda x: x / 8,
    "capped": lambda x: 30 * torch.tanh(x / 30),
    "shifted": lambda x: x + x.abs().max() * torch.linspace(-0.5, 0.5, x.shape[-1]).to(x),
}


def of_size(student: Student, size: float, dtype: torch.dtype) -> Student:
    """With matrices of which the largest weight is about `size`."""
    with torch.no_grad():
        for weight in student.model.parameters():
            if weight.ndim > 1:
                weight *= size / weight.abs().max()
    student.model.to(dtype)
    return student


def with_logits(student: Student, changed: Callable[[torch.Tensor], torch.Tensor]) -> Student:
    """The student with a model that returns other logits."""

    class Changed(type(student.model)):
        def forward(self, *args, **kwargs):
            out = super().forward(*args, **kwargs)
            return replace(out, logits=changed(out.logits))

    student.model.__class__ = Changed
    return student


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [1e-3, 0.1, 2.0])
@pytest.mark.parametrize("kind", MODELS)
def test_logits_that_are_a_projection_are_accepted_and_others_refused(kind, size, dtype):
    made = lambda: of_size(MODELS[kind](), size, dtype)  # noqa: E731
    student = made()
    before = {name: weight.clone() for name, weight in student.model.state_dict().items()}
    refuse_other_logits(student)
    for changed in OTHERS.values():
        with pytest.raises(UserError, match=r"^student Changed: cannot .* its logits are no projection of its states$"):
            refuse_other_logits(with_logits(made(), changed))
    assert all(torch.equal(before[name], weight) for name, weight in student.model.state_dict().items())


def test_nothing_stays_hooked_to_a_model_that_was_looked_at():
    student = KINDS["decoder-only"]()
    with pytest.raises(UserError):
        refuse_other_logits(with_logits(student, OTHERS["scaled"]))
    assert not student.model.get_output_embeddings()._forward_pre_hooks


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logits_that_are_not_finite_are_refused_by_the_models_name(kind, value):
    with pytest.raises(UserError, match=r"^student Changed: cannot be .* its logits are not finite$"):
        refuse_other_logits(with_logits(KINDS[kind](), lambda x: x * value))
    one = lambda x: torch.where(torch.arange(x.shape[-1]) == 3, math.nan, x)  # noqa: E731
    with pytest.raises(UserError, match="not finite"):
        refuse_other_logits(with_logits(KINDS[kind](), one))


def test_weights_that_are_not_finite_are_left_to_what_meets_them():
    student = KINDS["decoder-only"]()
    student.model.get_output_embeddings().weight.data[3] = math.nan
    refuse_other_logits(student)
