"""Intervals of shares over clusters."""

import math

import numpy as np
import pytest

from lib.clusters import by_cluster, share_interval
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
