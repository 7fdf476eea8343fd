"""Shares and means of items in clusters: a question's rationales are alike, so they count for less than their number.

share_interval(hits=[5, 0, 4], of=[5, 5, 5])        # (0.0, 1.0): three questions tell little
cluster_mean([1.2, 1.4, 0.9], ["q1", "q1", "q2"])   # (1.17, 0.9, 1.4)
"""

from collections.abc import Sequence

import numpy as np

from lib.errors import UserError
from lib.statistics import wilson

NAN = float("nan")
MEMORY = 4_000_000  # resampled clusters held at once


def share_interval(
    hits: Sequence[int], of: Sequence[int], draws: int = 2000, seed: int = 0, alpha: float = 0.05
) -> tuple[float, float]:
    """Interval of Σ hits / Σ of: percentile bootstrap over clusters; Wilson's where no cluster has two items.

    hits, of   int[C], of each cluster (question): items that count, items there are; 0 <= hits <= of
    returns    (low, high); (nan, nan) without any item
    """
    hits, of = np.asarray(hits), np.asarray(of)
    if hits.shape != of.shape or np.any(hits < 0) or np.any(hits > of):
        raise UserError(f"share_interval: expected 0 <= hits <= of for each cluster, given {hits!r:.60} of {of!r:.60}")
    if not of.size or not of.sum():
        return NAN, NAN
    if of.max() == 1:
        return wilson(int(hits.sum()), int(of.sum()), alpha)
    rng, even = np.random.default_rng(seed), np.full(len(of), 1 / len(of))
    resampled = (rng.multinomial(len(of), even) for _ in range(draws))  # int[C]: how often each cluster is drawn
    sums = np.array([(drawn @ hits, drawn @ of) for drawn in resampled])
    sums = sums[sums[:, 1] > 0]
    low, high = np.quantile(sums[:, 0] / sums[:, 1], [alpha / 2, 1 - alpha / 2])
    return float(low), float(high)


def by_cluster(
    clusters: Sequence[str], hits: Sequence[bool], of: Sequence[bool] | None = None
) -> tuple[list[int], list[int]]:
    """Items as cluster sums: (hits, of), both int[C], clusters in order of appearance.

    hits, of   bool[N], of each item: whether it counts, and whether it is one of those that could (all, by default)
    """
    of = [True] * len(clusters) if of is None else of
    sums: dict[str, list[int]] = {}
    for cluster, hit, one in zip(clusters, hits, of, strict=True):
        own = sums.setdefault(cluster, [0, 0])
        own[0] += bool(hit and one)
        own[1] += bool(one)
    return [hit for hit, _ in sums.values()], [one for _, one in sums.values()]


def cluster_mean(
    values: Sequence[float], clusters: Sequence, draws: int = 1000, seed: int = 0, alpha: float = 0.05
) -> tuple[float, float, float]:
    """Mean of the values with a percentile bootstrap interval that resamples whole clusters (questions).

    values   float[N], finite;  clusters  N ids
    returns  (mean, low, high); nan thrice without a value, and no interval of one cluster
    Raises UserError for a value that is no finite number.
    """
    values = np.asarray(values, dtype=float)
    if len(values) != len(clusters) or not np.isfinite(values).all():
        raise UserError(f"cluster_mean: expected finite values, one a cluster id; given {len(values)}, {len(clusters)}")
    if not len(values):
        return NAN, NAN, NAN
    own = np.unique(np.asarray(clusters), return_inverse=True)[1]
    if own.max() == 0:
        return float(values.mean()), NAN, NAN  # one question tells nothing of others
    sums, sizes = np.bincount(own, values), np.bincount(own)
    rng, means = np.random.default_rng(seed), []
    for start in range(0, draws, chunk := MEMORY // len(sums) + 1):
        weights = multiplicity(rng, (min(chunk, draws - start), len(sums)))
        means.append(weights @ sums / (weights @ sizes))
    low, high = np.quantile(np.concatenate(means), [alpha / 2, 1 - alpha / 2])
    return float(values.mean()), float(low), float(high)


def multiplicity(rng, size: tuple[int, int]) -> np.ndarray:
    """int[draws, n]: how often each of n clusters is drawn."""
    draws, n = size
    picks = rng.integers(n, size=size) + n * np.arange(draws)[:, None]
    return np.bincount(picks.ravel(), minlength=draws * n).reshape(size)
