"""The losses against values worked by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import UserError
from lib.losses import (
    logits_at_once,
    mean_by_row,
    multitask_loss,
    reduce_nll,
    target_nll,
    token_weights,
    tokens_of_row,
    weighted_nll,
)

# Three targets of 1, 2 and 3 tokens.
NLL = torch.tensor([6.0, 1.0, 3.0, 1.0, 2.0, 3.0])
ROWS = torch.tensor([0, 1, 1, 2, 2, 2])


def test_nll_of_a_token_is_minus_its_log_probability():
    logits = torch.tensor([[0.0, math.log(3)], [0.0, math.log(3)], [5.0, 5.0]])  # P = (1/4, 3/4) twice, (1/2, 1/2)
    expected = torch.tensor([math.log(4), math.log(4 / 3), math.log(2)])
    torch.testing.assert_close(target_nll(logits, torch.tensor([0, 1, 1])), expected)


def test_nll_of_a_certain_token_is_zero():
    assert target_nll(torch.tensor([[0.0, 1000.0]]), torch.tensor([1])).tolist() == [0.0]


def test_nll_is_in_single_precision_whatever_the_logits():
    logits = torch.tensor([[0.0, 1.0]], dtype=torch.bfloat16)
    assert target_nll(logits, torch.tensor([0])).item() == pytest.approx(math.log(1 + math.e), abs=1e-6)


def test_a_target_outside_the_vocabulary_is_an_error():
    with pytest.raises(IndexError):
        target_nll(torch.zeros(1, 2), torch.tensor([2]))


def test_a_piece_is_larger_on_a_gpu():
    assert logits_at_once(torch.device("cpu")) == 2**23
    assert logits_at_once(torch.device("cuda", 1)) == logits_at_once(torch.device("xpu")) == 2**27


def test_a_row_without_tokens_has_none():
    assert tokens_of_row(torch.tensor([0, 2, 2]), 3).tolist() == [1.0, 0.0, 2.0]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_means_and_weights_are_to_the_bit_those_of_whole_numbers(rows):
    """Counts in floats, for a GPU's sake, change nothing."""
    rows, n = torch.tensor([*range(6), *rows]), 6
    nll, counts = torch.rand(len(rows), generator=torch.Generator().manual_seed(0)), torch.bincount(rows, minlength=n)
    assert torch.equal(mean_by_row(nll, rows, n), torch.zeros(n).index_add(0, rows, nll) / counts)
    assert torch.equal(token_weights(rows, n, "examples"), 1 / (n * counts[rows]))


def test_a_targets_loss_is_the_mean_over_its_tokens():
    assert mean_by_row(NLL, ROWS, 3).tolist() == [6.0, 2.0, 2.0]


def test_tokens_of_a_target_need_not_stand_together():
    shuffle = torch.tensor([5, 0, 2, 4, 1, 3])
    assert mean_by_row(NLL[shuffle], ROWS[shuffle], 3).tolist() == [6.0, 2.0, 2.0]


def test_a_row_beyond_the_batch_is_an_error():
    with pytest.raises((IndexError, RuntimeError)):
        mean_by_row(NLL, ROWS + 1, 3)


def test_examples_count_alike_and_tokens_count_alike():
    assert reduce_nll(NLL, ROWS, 3, "examples").item() == pytest.approx((6 + 2 + 2) / 3)
    assert reduce_nll(NLL, ROWS, 3, "tokens").item() == pytest.approx(16 / 6)


def test_the_reductions_agree_where_all_targets_are_one_token_long():
    rows = torch.arange(6)
    assert reduce_nll(NLL, rows, 6, "examples").item() == pytest.approx(reduce_nll(NLL, rows, 6, "tokens").item())


@given(st.lists(st.integers(1, 5), min_size=2, max_size=6), st.data())
def test_the_mean_over_examples_does_not_depend_on_how_the_batch_was_cut(lengths, data):
    targets = [torch.tensor(data.draw(st.lists(st.floats(0, 9), min_size=n, max_size=n))) for n in lengths]

    def total(part) -> float:
        rows = torch.cat([torch.full((len(t),), i) for i, t in enumerate(part)])
        return reduce_nll(torch.cat(part), rows, len(part), "examples").item() * len(part)

    cut = data.draw(st.integers(1, len(targets) - 1))
    assert total(targets[:cut]) + total(targets[cut:]) == pytest.approx(total(targets), abs=1e-4)


def test_the_mean_over_tokens_does_depend_on_it():
    first, rest = NLL[:1], NLL[1:]
    halves = [reduce_nll(first, ROWS[:1], 1, "tokens") * 1, reduce_nll(rest, ROWS[1:] - 1, 2, "tokens") * 2]
    assert sum(halves).item() / 3 == pytest.approx((6 + 2 * 2) / 3)
    assert reduce_nll(NLL, ROWS, 3, "tokens").item() == pytest.approx(16 / 6)


@pytest.mark.parametrize(("lam", "expected"), [(0.5, 3.0), (0.0, 2.0), (1.0, 4.0)])
def test_lambda_weighs_the_rationale(lam, expected):
    assert multitask_loss(torch.tensor(2.0), torch.tensor(2.0), lam).item() == expected


def test_without_a_rationale_the_labels_loss_remains():
    assert multitask_loss(torch.tensor(2.0), None, lam=0.5).item() == 2.0


# -- the same without all logits at once -------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["examples", "tokens"])
def test_a_tokens_weight_is_what_it_counts_in_the_mean(reduction):
    weights = token_weights(ROWS, 3, reduction)
    assert weights.sum().item() == pytest.approx(1)
    assert (weights * NLL).sum().item() == pytest.approx(reduce_nll(NLL, ROWS, 3, reduction).item())


@pytest.mark.parametrize("compute", [lambda r: reduce_nll(NLL, ROWS, 3, r), lambda r: token_weights(ROWS, 3, r)])
def test_a_reduction_without_its_branch_is_not_taken_for_another(compute):
    with pytest.raises(UserError, match="'sums' is not computed yet; it takes a branch in reduce_nll"):
        compute("sums")


def test_weighted_nll_by_hand():
    # states pick the rows of the projection: logits (0, log 3), then (0, 0)
    states, projection = torch.eye(2), torch.tensor([[0.0, 0.0], [math.log(3), 0.0]])
    expected = 2.0 * math.log(4 / 3) + 0.5 * math.log(2)
    loss = weighted_nll(states, projection, None, torch.tensor([1, 0]), torch.tensor([2.0, 0.5]))
    assert loss.item() == pytest.approx(expected, abs=1e-6)


@given(st.integers(1, 9), st.integers(2, 7), st.integers(1, 80), st.booleans(), st.integers(0, 3))
def test_pieces_have_the_loss_and_the_gradients_of_the_whole(positions, words, at_once, shifted, seed):
    generator = torch.Generator().manual_seed(seed)
    states, projection, bias = (
        torch.randn(shape, generator=generator).requires_grad_() for shape in ((positions, 3), (words, 3), (words,))
    )
    leaves = [states, projection, bias] if shifted else [states, projection]
    targets = torch.randint(words, (positions,), generator=generator)
    weights = torch.rand(positions, generator=generator)
    ours = 3 * weighted_nll(states, projection, bias if shifted else None, targets, weights, at_once)
    logits = torch.nn.functional.linear(states, projection, bias if shifted else None)
    theirs = 3 * (weights * torch.nn.functional.cross_entropy(logits, targets, reduction="none")).sum()
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        torch.autograd.grad(ours, leaves), torch.autograd.grad(theirs, leaves), atol=1e-5, rtol=1e-5
    )


def test_weighted_nll_is_finite_for_large_logits_and_empty_for_no_tokens():
    states = torch.tensor([[1000.0], [-1000.0]]).requires_grad_()
    loss = weighted_nll(states, torch.tensor([[1.0], [-1.0]]), None, torch.tensor([0, 0]), torch.ones(2))
    loss.backward()
    assert loss.item() == 2000.0 and states.grad.tolist() == [[0.0], [-2.0]]
    nothing = weighted_nll(torch.zeros(0, 1), torch.ones(2, 1), None, torch.tensor([], dtype=int), torch.zeros(0))
    assert nothing.item() == 0.0


def test_a_word_beyond_the_projection_is_an_error_in_pieces_too():
    with pytest.raises(RuntimeError, match="out of bounds"):
        weighted_nll(torch.ones(1, 1), torch.ones(2, 1), None, torch.tensor([2]), torch.ones(1))
