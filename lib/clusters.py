"""Shares of items that come in clusters: a question's rationales are alike, so they count for less than their number.

share_interval(hits=[5, 0, 4], of=[5, 5, 5])        # (0.0, 1.0): three questions tell little
"""

from collections.abc import Sequence

import numpy as np

from lib.errors import UserError
from lib.statistics import wilson

NAN = float("nan")


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
