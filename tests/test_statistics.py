"""Paired statistics against hand-worked values, and the interval's coverage under a known truth."""

import numpy as np
import pytest

from lib import statistics
from lib.errors import UserError
from lib.statistics import describe, holm, mcnemar_exact, mean_std, p_text, paired_bootstrap, points, wilson

# Two seeds, four questions: accuracies 1/2 and 3/4.
CORRECT = np.array([[1, 1, 0, 0], [1, 1, 1, 0]], dtype=bool)


def students(rng, seeds, questions, seed_effect, arm_effect=0.0):
    """Two arms' bool[S, Q]: questions differ in difficulty, seeds by `seed_effect` (std, logits)."""
    difficulty = rng.normal(0, 1.5, (1, questions))
    own = lambda: rng.normal(0, 0.5, (1, questions)) + rng.normal(0, seed_effect, (seeds, 1))  # noqa: E731
    chance = lambda logit: 1 / (1 + np.exp(-logit))  # noqa: E731
    arms = [chance(difficulty + own() + shift) for shift in (arm_effect / 2, -arm_effect / 2)]
    return [rng.random((seeds, questions)) < arm for arm in arms]


def test_mean_and_std_are_over_seeds():
    assert mean_std(CORRECT) == (pytest.approx(0.625), pytest.approx(0.125 * 2**0.5))


def test_one_seed_has_no_std():
    mean, std = mean_std(CORRECT[:1])
    assert mean == 0.5 and np.isnan(std)


def test_one_seed_gives_the_textbook_interval_over_questions():
    a = np.zeros((1, 400), dtype=bool)
    a[0, :100] = True
    found = paired_bootstrap(a, np.zeros_like(a), draws=20_000)
    error = (0.25 * 0.75 / 399) ** 0.5  # of the mean of 400 differences, 100 of them 1
    assert found.mean == 0.25
    assert found.high - found.low == pytest.approx(2 * 1.966 * error, rel=0.03)
    assert found.detectable == pytest.approx((1.966 + 0.842) * error, rel=0.03)
    assert (found.n_seeds, found.n_questions) == (1, 400)


def test_no_interval_leaves_what_a_difference_can_be():
    a, b = np.ones((3, 40), bool), np.array([[1] * 40, [0] * 40, [0] * 40], bool)
    assert paired_bootstrap(a, b, draws=500).high == 1 and paired_bootstrap(b, a, draws=500).low == -1
    assert 1 < paired_bootstrap(a, b, draws=500, most=9).high <= 9  # of ratings from 1 to 10


def test_three_seeds_that_make_all_the_variance_give_students_interval_with_two_degrees_of_freedom():
    a = np.repeat([[0.1], [0.2], [0.6]], 50, axis=1)  # every question alike, so only seeds vary
    found = paired_bootstrap(a, np.zeros_like(a), draws=200_000)
    error = np.std([0.1, 0.2, 0.6], ddof=1) / 3**0.5
    assert found.detectable == pytest.approx(5.65 * error, rel=0.02)
    assert found.low < 0 < found.high and 0.1 < found.p < 0.3  # t = 1.96 on two degrees of freedom: p = .19
    assert found.high - found.low > 2 * 3 * error  # Student's 4.3 errors less what three-point resampling cannot reach


def test_arms_that_never_agree_have_the_smallest_p():
    ones = np.ones((3, 10), dtype=bool)
    found = paired_bootstrap(ones, ~ones, draws=999)
    assert (found.mean, found.low, found.high, found.p) == (1, 1, 1, 2 / 1000)


def test_identical_arms_are_not_separated():
    found = paired_bootstrap(CORRECT, CORRECT)
    assert (found.mean, found.low, found.high, found.p, found.detectable) == (0, 0, 0, 1, 0)
    assert describe(found) == "not separated (0.0 points [0.0, 0.0]; n = 4 × 2 seeds; nothing varied)"


def test_swapping_the_arms_mirrors_the_interval():
    a, b = students(np.random.default_rng(1), 3, 100, 0.2, 1.0)
    one, other = paired_bootstrap(a, b), paired_bootstrap(b, a)
    assert one.mean == -other.mean and one.p == other.p
    assert (one.low, one.high) == (pytest.approx(-other.high), pytest.approx(-other.low))


def test_same_seed_same_answer_however_memory_is_cut(monkeypatch):
    a, b = students(np.random.default_rng(2), 3, 50, 0.2)
    whole = paired_bootstrap(a, b, seed=7)
    assert paired_bootstrap(a, b, seed=7) == whole != paired_bootstrap(a, b, seed=8)
    monkeypatch.setattr(statistics, "MEMORY", 1000)
    assert paired_bootstrap(a, b, seed=7) == whole


def test_interval_and_p_agree():
    rng = np.random.default_rng(3)
    for repetition in range(50):
        found = paired_bootstrap(*students(rng, 3, 100, 0.2, 0.5), draws=2000, seed=repetition)
        assert abs(found.p - 0.05) < 0.003 or (found.p < 0.05) == (not found.low <= 0 <= found.high)


@pytest.mark.parametrize("seed_effect", [0.0, 0.3, 1.2])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(seed_effect):
    rng = np.random.default_rng(4)
    found = [paired_bootstrap(*students(rng, 3, 200, seed_effect), draws=400, seed=i) for i in range(300)]
    assert np.mean([d.low <= 0 <= d.high for d in found]) > 0.88  # uncorrected: .78 where seeds dominate
    assert np.mean([d.high - d.low for d in found]) < 9 * np.std([d.mean for d in found])  # Student's with 2: 7.6


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (CORRECT, CORRECT[:1], r"a is \(2, 4\), b is \(1, 4\)"),
        (CORRECT[:, :1], CORRECT[:, :1], "at least 2"),
        (CORRECT[0], CORRECT[0], r"\(seeds, questions\), given shape \(4,\)"),
        (np.full((2, 4), np.nan), CORRECT, "8 of 8 values are not finite"),
        (np.zeros((0, 4)), np.zeros((0, 4)), "filled"),
    ],
)
def test_arrays_that_are_no_pair_are_refused(a, b, message):
    with pytest.raises(UserError, match=message):
        paired_bootstrap(a, b)


def test_mcnemar_counts_only_disagreements():
    a = np.array([True] * 8 + [False] * 2 + [True] * 30)
    b = np.array([False] * 8 + [True] * 2 + [True] * 30)
    assert mcnemar_exact(a, b) == pytest.approx(2 * (1 + 10 + 45) / 2**10)  # P(at most 2 of 10 coins), both sides


def test_mcnemar_without_a_disagreement_is_one():
    assert mcnemar_exact(CORRECT[0], CORRECT[0]) == 1.0


def test_mcnemar_refuses_different_questions():
    with pytest.raises(UserError, match="differ in shape"):
        mcnemar_exact(CORRECT[0], CORRECT[0][:3])


def test_holm_steps_down_and_never_reverses_the_order():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize("bad", [1.2, -0.1, float("nan")])
def test_holm_refuses_what_is_no_probability(bad):
    with pytest.raises(UserError, match=r"\[0, 1\]"):
        holm([0.5, bad])


def test_wilson_interval():
    assert wilson(8, 10) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(UserError, match="between 0 and n = 10; given 11"):
        wilson(11, 10)


def test_description_of_a_separated_difference():
    found = statistics.Difference(0.042, 0.011, 0.073, 0.0123, 0.04, 3, 400)
    assert describe(found) == "+4.2 points [+1.1, +7.3], p = .012"
    assert describe(found, adjusted=0.037) == "+4.2 points [+1.1, +7.3], p = .012, p = .037 after Holm"


def test_description_says_what_could_have_been_seen():
    found = statistics.Difference(-0.003, -0.025, 0.019, 0.8, 0.031, 3, 400)
    assert describe(found) == (
        "not separated (−0.3 points [−2.5, +1.9]; n = 400 × 3 seeds; a difference of 3.1 would have been seen)"
    )


def test_what_could_have_been_seen_is_before_correction():
    """Of many tests a difference may be larger than that and not be separated."""
    found = statistics.Difference(-0.089, -0.158, -0.029, 0.011, 0.085, 3, 400)
    assert describe(found, adjusted=0.19) == (
        "not separated (−8.9 points [−15.8, −2.9], p = .19 after Holm; n = 400 × 3 seeds; "
        "a difference of 8.5 would have been seen, before correction)"
    )


@pytest.mark.parametrize(
    ("detectable", "said"),
    [(1.288, "no possible difference"), (1.0, "a difference of 100.0"), (0.9994, "a difference of 99.9")],
)
def test_a_size_that_no_difference_can_have_is_not_given(detectable, said):
    """As of 5 CoTs w/ SE against its control in a sweep, whose seeds lay far apart: 128.8 points."""
    found = statistics.Difference(-0.029, -1.1, 0.95, 0.9, detectable, 3, 400)
    assert describe(found).endswith(f"; {said} would have been seen)")
    assert describe(found, adjusted=1.0).endswith(f"; {said} would have been seen, before correction)")


def test_what_is_no_share_of_answers_is_told_in_hundredths():
    found = statistics.Difference(0.005, -0.004, 0.015, 0.2, 0.014, 3, 400)
    assert describe(found, unit="hundredths").startswith("not separated (+0.5 hundredths [−0.4, +1.5]; n = 400 ")


def test_nothing_varied_needs_no_size():
    assert describe(statistics.Difference(0, 0, 0, 1, 0, 3, 400), adjusted=1.0).endswith("; nothing varied)")


def test_alpha_and_holm_decide():
    found = statistics.Difference(0.03, 0.001, 0.06, 0.04, 0.04, 1, 400)
    assert describe(found).startswith("+3.0 points")
    assert describe(found, alpha=0.01).startswith("not separated")
    assert "p = .12 after Holm; n = 400 × 1 seed;" in describe(found, adjusted=0.12)


def test_p_as_text():
    assert [p_text(p) for p in (0.0002, 0.012, 0.0999, 1)] == ["p < .001", "p = .012", "p = .100", "p = 1.00"]
    assert p_text(float("nan")) == "–"  # nothing was tested


@pytest.mark.parametrize(("share", "text"), [(0.042, "+4.2"), (-0.003, "−0.3"), (-0.0001, "0.0"), (0, "0.0")])
def test_points_as_text(share, text):
    assert points(share) == text
