"""Metrics against hand-worked values, brute force and their boundaries."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import UserError
from lib.evaluate import (
    agreement,
    auc,
    auc_difference,
    auc_interval,
    auc_within,
    calibration,
    repeated_ngram_share,
    verdict_metrics,
)

# 10 rationales, 5 flawed: 3 caught, 1 missed, 1 uncertain; of 5 sound ones 1 false alarm, 3 cleared, 1 uncertain.
SAID = ["wrong"] * 3 + ["correct", "uncertain"] + ["wrong"] + ["correct"] * 3 + ["uncertain"]
FLAWED = [True] * 5 + [False] * 5


def test_verdicts_as_a_detector():
    found = verdict_metrics(SAID, FLAWED)
    assert (found.n, found.precision, found.recall, found.accuracy, found.uncertain) == (10, 0.75, 0.6, 0.6, 0.2)
    assert found.f1 == pytest.approx(2 * 0.75 * 0.6 / (0.75 + 0.6))
    assert found.kappa == pytest.approx((0.6 - 0.4) / (1 - 0.4))  # chance: .5 × .4 wrong + .5 × .4 correct


def test_uncertain_on_a_flawed_rationale_is_a_miss_and_no_alarm():
    found = verdict_metrics(["uncertain"], [True])
    assert found.recall == 0 and math.isnan(found.precision) and found.f1 == 0 and found.accuracy == 0


def test_without_flaws_recall_is_undefined_rather_than_zero():
    found = verdict_metrics(["correct", "correct"], [False, False])
    assert math.isnan(found.recall) and math.isnan(found.f1) and math.isnan(found.kappa) and found.accuracy == 1


def test_unknown_verdict_is_refused():
    with pytest.raises(UserError, match="unknown verdict 'maybe'; allowed: correct, wrong, uncertain"):
        verdict_metrics(["maybe"], [True])


@pytest.mark.parametrize(("verdicts", "flawed"), [(["wrong"], [True, False]), ([], [])])
def test_lengths_must_match(verdicts, flawed):
    with pytest.raises(UserError, match="one length"):
        verdict_metrics(verdicts, flawed)


def test_agreement_of_two_raters():
    found = agreement(["correct", "correct", "wrong", "uncertain"], ["correct", "wrong", "wrong", "wrong"])
    assert found.share == 0.5
    assert found.kappa == pytest.approx((0.5 - 0.3125) / (1 - 0.3125))  # chance: 2/4 · 1/4 + 1/4 · 3/4


def test_auc_by_hand():
    assert auc([0.9, 0.8, 0.3, 0.1], [True, False, True, False]) == 0.75
    assert auc([1, 1], [True, False]) == 0.5


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=30))
def test_auc_is_the_share_of_pairs_in_the_right_order(rows):
    positive, negative = [s for s, label in rows if label], [s for s, label in rows if not label]
    pairs = [(p > n) + (p == n) / 2 for p in positive for n in negative]
    found = auc(*zip(*rows))
    assert found == pytest.approx(np.mean(pairs)) if pairs else math.isnan(found)


def test_auc_refuses_a_score_that_is_no_number():
    with pytest.raises(UserError, match="score 1 is nan"):
        auc([0.1, float("nan")], [True, False])


def test_interval_knows_that_rationales_of_one_question_are_not_independent():
    rng = np.random.default_rng(0)
    scores, labels, questions = rng.normal(size=60), rng.random(60) < 0.5, np.arange(60)
    once = auc_interval(scores, labels, questions)
    copied = auc_interval(*(np.repeat(x, 5) for x in (scores, labels, questions)))
    assert (copied.value, copied.low, copied.high) == tuple(map(pytest.approx, (once.value, once.low, once.high)))
    assert once.low < once.value < once.high and once.undefined == 0


def test_interval_over_a_single_question_is_the_auc_itself():
    found = auc_interval([3, 2, 1, 2], [True, False, False, True], ["q"] * 4, draws=20)
    assert found.value == found.low == found.high == 3.5 / 4


def test_interval_is_the_same_however_memory_is_cut(monkeypatch):
    scores, labels, questions = np.tile([0.1, 0.4, 0.3], 8), np.arange(24) % 2 == 0, np.arange(24) // 3
    whole = auc_interval(scores, labels, questions, draws=200)
    monkeypatch.setattr("lib.evaluate.MEMORY", 100)
    assert auc_interval(scores, labels, questions, draws=200) == whole


def test_draws_with_one_class_only_are_counted():
    found = auc_interval([0.2, 0.8], [False, True], ["q1", "q2"], draws=400)
    assert found.value == found.low == found.high == 1
    assert 100 < found.undefined < 300  # half of the resamples of two questions hold one of them only


def test_interval_of_one_class_is_undefined():
    found = auc_interval([0.2, 0.8], [True, True], ["q1", "q2"], draws=10)
    assert math.isnan(found.value) and math.isnan(found.low) and found.undefined == 10


def test_auc_within_counts_pairs_of_one_stratum_only():
    # a: 3 > 1 (win); b: 9 against nothing; c: 5 = 5 (half), 5 < 6 (loss)
    scores, labels = [3, 1, 9, 5, 5, 6], [True, False, True, True, False, False]
    assert auc_within(scores, labels, ["a", "a", "b", "c", "c", "c"]) == pytest.approx((1 + 0 + 0.5 + 0) / 3)
    assert auc_within(scores, labels, ["a"] * 6) == auc(scores, labels)
    assert math.isnan(auc_within(scores, labels, list("abcdef")))
    with pytest.raises(UserError, match="one length, given 6 and 2"):
        auc_within(scores, labels, ["a", "b"])


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.sampled_from("abc")), min_size=1, max_size=14))
def test_auc_within_is_the_share_of_won_pairs(rows):
    pairs = [
        (p > n) + (p == n) / 2
        for p, sound, own in rows
        for n, flawed, other in rows
        if sound and not flawed and own == other
    ]
    found = auc_within(*zip(*rows))
    assert found == pytest.approx(np.mean(pairs)) if pairs else math.isnan(found)


def rows_of_questions(seed=0, questions=12, each=4):
    rng, n = np.random.default_rng(seed), questions * each
    return rng.integers(0, 9, n), rng.random(n) < 0.6, np.repeat(np.arange(questions), each), rng.integers(0, 3, n)


def test_strata_that_are_the_clusters_are_resampled_with_them():
    scores, labels, questions, _ = rows_of_questions()
    found = auc_interval(scores, labels, questions, draws=300, strata=questions)
    rng, ratios = np.random.default_rng(0), []
    for _ in range(300):  # each drawn copy of a question is a stratum of its own
        drawn = rng.integers(12, size=12)
        rows = np.concatenate([np.flatnonzero(questions == q) for q in drawn])
        ratios.append(auc_within(scores[rows], labels[rows], np.repeat(np.arange(12), 4)))
    assert found.value == auc_within(scores, labels, questions)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(ratios, [0.025, 0.975])))


def test_strata_across_clusters_are_resampled_by_rows():
    scores, labels, questions, styles = rows_of_questions()
    found = auc_interval(scores, labels, questions, draws=300, strata=styles)
    rng, values = np.random.default_rng(0), []
    for _ in range(300):
        rows = np.concatenate([np.flatnonzero(questions == q) for q in rng.integers(12, size=12)])
        values.append(auc_within(scores[rows], labels[rows], styles[rows]))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))


def test_one_stratum_of_several_questions_is_no_stratum():
    scores, labels, questions, _ = rows_of_questions()
    assert auc_interval(scores, labels, questions, strata=["all"] * len(scores)) == auc_interval(
        scores, labels, questions
    )


def test_a_difference_of_a_score_with_itself_is_nothing_and_with_its_reverse_is_certain():
    scores, labels, questions, styles = rows_of_questions()
    for strata in (None, questions, styles):
        same = auc_difference(scores, scores, labels, questions, draws=50, strata=strata)
        assert (same.value, same.low, same.high) == (0, 0, 0)
    perfect = auc_difference(labels, ~labels, labels, questions, draws=50)
    assert (perfect.value, perfect.low, perfect.high) == (1, 1, 1)


def test_a_difference_is_paired():
    """Two scores that hardly differ: the interval of their difference is far narrower than either's own."""
    scores, labels, questions, _ = rows_of_questions(questions=40)
    nearly = scores + np.where(np.arange(len(scores)) == 3, 1, 0)
    own = auc_interval(scores, labels, questions, draws=200)
    difference = auc_difference(nearly, scores, labels, questions, draws=200)
    assert difference.high - difference.low < (own.high - own.low) / 10


def test_calibration_by_hand():
    found = calibration([0.1, 0.3, 0.9, 1.0], [False, True, True, True], bins=2)
    assert [(b.n, b.share) for b in found.bins] == [(2, 0.5), (2, 1.0)]
    assert [b.probability for b in found.bins] == pytest.approx([0.2, 0.95])
    assert found.ece == pytest.approx(0.5 * 0.3 + 0.5 * 0.05)
    assert found.brier == pytest.approx((0.01 + 0.49 + 0.01 + 0) / 4)


def test_calibration_boundaries():
    found = calibration([0.5, 0.5], [True, False], bins=2)
    assert [b.n for b in found.bins] == [0, 2] and math.isnan(found.bins[0].share) and found.ece == 0
    with pytest.raises(UserError, match=r"given -0\.1 to 0\.5"):
        calibration([-0.1, 0.5], [True, False])


def test_repeated_ngrams():
    assert repeated_ngram_share(list("ababab"), n=2) == pytest.approx(3 / 5)  # ab ba ab ba ab: two kinds of five
    assert repeated_ngram_share(list("abcd"), n=2) == 0
    assert repeated_ngram_share(["a"], n=2) == 0
