"""The equations of scoring: hand-worked values, and that a pair's sums give what its tokens give."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib import score_equations as equations
from lib.forcing import Sums


def test_slc_and_pmi_by_hand():
    # P(c|q) = 1/2 · 1/2, P(c) = 1/4 · 1/8; the third column is padding
    conditional, marginal = np.log([[0.5, 0.5, 1e-9]]), np.log([[0.25, 0.125, 1e-3]])
    mask = np.array([[True, True, False]])
    assert equations.self_logic_consistency(conditional, marginal, mask) == pytest.approx([math.sqrt(8)])
    assert equations.pointwise_mutual_information(conditional, marginal, mask) == pytest.approx([math.log(8)])


def test_slc_is_1_and_pmi_0_where_the_question_does_not_help():
    same, mask = np.log([[0.3, 0.2]]), np.ones((1, 2), bool)
    assert equations.self_logic_consistency(same, same, mask) == pytest.approx([1])
    assert equations.pointwise_mutual_information(same, same, mask) == pytest.approx([0])


def test_rationale_difficulty_by_hand():
    # PPL(a|q,r) = 2 and PPL(a|q) = 8
    mask = np.array([[True, True]])
    found = equations.rationale_difficulty(np.log([[0.25, 1.0]]), np.log([[0.125, 0.125]]), mask)
    assert found == pytest.approx([2 / 8])


def test_perplexity_by_hand():
    # P(c|q) = 1/2 · 1/8, so 1/4 a token
    assert equations.perplexity(math.log(1 / 16) / 2) == pytest.approx(4)
    assert equations.perplexity(0.0) == 1


LOG_PROBS = st.lists(st.floats(-20, 0), min_size=1, max_size=6)


@given(LOG_PROBS, LOG_PROBS, LOG_PROBS, LOG_PROBS, st.data())
def test_sums_give_what_the_definitions_give(given, towards, masked, prior, data):
    """The answer is all but the first token where there are two; every pair but `alone` has a length of its own."""
    alone = data.draw(st.lists(st.floats(-20, 0), min_size=len(given), max_size=len(given)))
    found = equations.of_sums(*map(sums, (given, alone, towards, masked, prior, prior)))
    whole = np.ones((1, len(given)), bool)
    columns = np.array([given]), np.array([alone])
    assert [found["slc"]] == pytest.approx(equations.self_logic_consistency(*columns, whole))
    assert [found["pmi"]] == pytest.approx(equations.pointwise_mutual_information(*columns, whole), abs=1e-9)
    assert [found["log_p"]] == pytest.approx(equations.mean_log_prob(columns[0], whole))
    assert found["log_p_answer"] == pytest.approx(np.mean(answer(prior)))
    for name, after in {"rd": towards, "rd_masked": masked, "rd_own": given}.items():
        assert found[name] == pytest.approx(difficulty(after, prior))


def answer(tokens: list[float]) -> list[float]:
    return tokens[1:] or tokens


def sums(tokens: list[float]) -> Sums:
    return Sums(sum(tokens), len(tokens), sum(answer(tokens)), len(answer(tokens)))


def difficulty(after: list[float], before: list[float]) -> float:
    """By the definition for answers of one length, here of one token: the mean, which is all that it reads."""
    means = (np.array([[np.mean(answer(tokens))]]) for tokens in (after, before))
    return equations.rationale_difficulty(*means, np.ones((1, 1), bool))[0]


def test_infinity_stays_infinity():
    one, never = Sums(-1.0, 1, -1.0, 1), Sums(-math.inf, 1, -math.inf, 1)
    assert equations.of_sums(one, never, one, one, one, one)["slc"] == math.inf
