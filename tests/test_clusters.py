"""Intervals of shares and of means over clusters."""

import math

import numpy as np
import pytest

from lib.clusters import by_cluster, cluster_mean, share_interval
from lib.errors import UserError
from lib.statistics import wilson


def test_single_items_get_wilsons_interval():
    assert share_interval([1, 0, 1, 1], [1, 1, 1, 1]) == wilson(3, 4)
    assert share_interval([1, 0, 0], [1, 1, 0]) == wilson(1, 2)


def test_alike_items_count_as_one():
    hits = np.array([1, 0] * 100)
    low, high = share_interval(5 * hits, [5] * 200)
    alone = wilson(100, 200)
    assert abs(low - alone[0]) < 0.015 and abs(high - alone[1]) < 0.015


def test_unlike_items_count_as_many():
    low, high = share_interval([2, 3] * 100, [5] * 200)
    assert 0.48 < low < 0.5 < high < 0.52


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng, covered = np.random.default_rng(1), 0
    for _ in range(200):
        of = rng.integers(1, 6, size=80)
        hits = rng.binomial(of, rng.choice([0.5, 0.9], size=80))
        low, high = share_interval(hits, of, draws=400)
        covered += low <= 0.7 <= high
    assert covered >= 178  # 190 expected; 178 is four standard errors below


def test_nothing_to_count_has_no_interval_and_nonsense_is_refused():
    assert all(map(math.isnan, share_interval([], []) + share_interval([0, 0], [0, 0])))
    with pytest.raises(UserError, match="expected 0 <= hits <= of"):
        share_interval([2], [1])
    with pytest.raises(UserError, match="expected 0 <= hits <= of"):
        share_interval([1, 1], [1])


def test_items_are_summed_by_cluster():
    assert by_cluster(["a", "b", "a"], [True, True, False]) == ([1, 1], [2, 1])
    assert by_cluster(["a", "b", "a"], [True, True, True], of=[True, False, True]) == ([2, 0], [2, 0])


def test_a_mean_over_questions_by_hand():
    mean, low, high = cluster_mean([1.0, 3.0, 8.0], ["a", "a", "b"])
    assert mean == 4 and (low, high) == (2, 8)  # resamples of two questions: aa 2, ab 4, bb 8
    assert cluster_mean([5.0, 5.0], ["a", "b"]) == (5, 5, 5)
    assert all(map(math.isnan, cluster_mean([], [])))


def test_rationales_of_one_question_count_for_less_than_their_number():
    values, questions = np.random.default_rng(0).normal(size=40), np.arange(40)
    once, copied = cluster_mean(values, questions), cluster_mean(np.repeat(values, 9), np.repeat(questions, 9))
    assert copied == pytest.approx(once)


def test_a_mean_is_the_same_however_memory_is_cut(monkeypatch):
    whole = cluster_mean([1, 2, 4, 9], ["a", "b", "c", "d"], draws=100)
    monkeypatch.setattr("lib.clusters.MEMORY", 12)
    assert cluster_mean([1, 2, 4, 9], ["a", "b", "c", "d"], draws=100) == whole


@pytest.mark.parametrize(("values", "clusters"), [([1, float("nan")], ["a", "b"]), ([1], ["a", "b"])])
def test_a_mean_refuses_what_it_cannot_average(values, clusters):
    with pytest.raises(UserError, match="expected finite values"):
        cluster_mean(values, clusters)
