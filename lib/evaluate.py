"""How good are verdicts, scores and probabilities, measured against verified truth? Plain arrays in, a record out.

    verdict_metrics(["wrong", "correct", "uncertain"], flawed=[True, False, True])
    # VerdictMetrics(n=3, precision=1.0, recall=0.5, f1=0.667, accuracy=0.667, uncertain=0.333, kappa=0.5)

A share without a denominator (precision when nothing was called wrong) is nan, never 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from lib.clusters import multiplicity
from lib.errors import UserError
from lib.records import VERDICTS

NAN = float("nan")
MEMORY = 4_000_000  # resampled items held at once


@dataclass(frozen=True)
class VerdictMetrics:
    """Verdicts as a detector of flawed rationales: `wrong` is an alarm, `flawed` is the truth.

    `uncertain` raises no alarm and states no truth: on a flawed rationale it is a miss (recall), it never counts in
    precision, and for accuracy and kappa it is a disagreement whatever the truth. Its share stands beside them.
    """

    n: int
    precision: float
    recall: float
    f1: float
    accuracy: float
    uncertain: float
    kappa: float


@dataclass(frozen=True)
class Agreement:
    """Share of items on which two raters say the same, and Cohen's kappa (nan if both always say one thing)."""

    n: int
    share: float
    kappa: float


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval; `undefined` bootstrap draws gave no value and are not in it."""

    value: float
    low: float
    high: float
    undefined: int


@dataclass(frozen=True)
class Bin:
    """Probabilities in [low, high) (the last bin includes 1): how many, their mean, the share that came true."""

    low: float
    high: float
    n: int
    probability: float
    share: float


@dataclass(frozen=True)
class Calibration:
    """ece = Σ n_bin/n · |share − probability|; brier = mean squared error. An empty bin has n = 0 and nan."""

    n: int
    ece: float
    brier: float
    bins: tuple[Bin, ...]


def verdict_metrics(verdicts: Sequence[str], flawed: Sequence[bool]) -> VerdictMetrics:
    """Verdicts (correct / wrong / uncertain) on N rationales against whether each is flawed, bool[N]."""
    said, flawed = _verdicts(verdicts), np.asarray(flawed, dtype=bool)
    _same_length(said, flawed)
    alarm = said == "wrong"
    hits = np.sum(alarm & flawed)
    precision, recall = _share(hits, alarm.sum()), _share(hits, flawed.sum())
    f1 = _share(2 * hits, alarm.sum() + flawed.sum())
    uncertain, agreed = float(np.mean(said == "uncertain")), agreement(said, np.where(flawed, "wrong", "correct"))
    return VerdictMetrics(len(said), precision, recall, f1, agreed.share, uncertain, agreed.kappa)


def agreement(a: Sequence[str], b: Sequence[str]) -> Agreement:
    """How far two raters' verdicts on the same N items agree, over all three verdicts."""
    a, b = _verdicts(a), _verdicts(b)
    _same_length(a, b)
    observed = float(np.mean(a == b))
    chance = float(sum(np.mean(a == v) * np.mean(b == v) for v in VERDICTS))
    return Agreement(len(a), observed, _share(observed - chance, 1 - chance))


def auc(scores: Sequence[float], labels: Sequence[bool]) -> float:
    """P(a True item scores above a False one), ties counted half: Mann–Whitney U / (n₁ n₀). One class only: nan."""
    scores, labels = _scored(scores, labels)
    positive, negative = labels.sum(), (~labels).sum()
    return _share(rankdata(scores)[labels].sum() - positive * (positive + 1) / 2, positive * negative)


def auc_within(scores: Sequence[float], labels: Sequence[bool], strata: Sequence) -> float:
    """AUC over the pairs of one stratum only, such as rationales of one question, or of one style.

    scores float[N], labels bool[N], strata N names; every pair counts alike, so a stratum counts by its pairs.
    returns  nan where no stratum holds both classes
    auc_within([3, 1, 9, 2], [True, False, True, True], ["a", "a", "b", "a"])   # 1.0: 3 > 1 and 2 > 1
    """
    scores, labels = _scored(scores, labels)
    _same_length(scores, strata)
    wins, pairs = _wins_by_stratum(scores, labels, np.unique(np.asarray(strata), return_inverse=True)[1])
    return _share(wins.sum(), pairs.sum())


def auc_interval(
    scores, labels, clusters, draws: int = 1000, seed: int = 0, alpha: float = 0.05, strata: Sequence | None = None
) -> Interval:
    """AUC with a percentile bootstrap interval that resamples whole clusters (a question with all its rationales).

    scores float[N], labels bool[N], clusters N ids; a resampled question brings all its rationales.
    strata   N names: pairs of one stratum only (`auc_within`); a stratum inside one cluster is resampled with it
    """
    value = auc(scores, labels) if strata is None else auc_within(scores, labels, strata)
    return _interval(value, _resampled_auc(scores, labels, clusters, strata, draws, seed), alpha)


def auc_difference(
    a, b, labels, clusters, draws: int = 1000, seed: int = 0, alpha: float = 0.05, strata: Sequence | None = None
) -> Interval:
    """AUC of scores `a` minus AUC of scores `b` on the same items, paired: both see the same resampled clusters."""
    of = [auc(s, labels) if strata is None else auc_within(s, labels, strata) for s in (a, b)]
    first, second = (_resampled_auc(s, labels, clusters, strata, draws, seed) for s in (a, b))
    return _interval(of[0] - of[1], first - second, alpha)


def calibration(probabilities: Sequence[float], outcomes: Sequence[bool], bins: int = 10) -> Calibration:
    """Do events given probability p happen with share p? probabilities float[N] in [0, 1], outcomes bool[N]."""
    p, came_true = _scored(probabilities, outcomes)
    if p.min() < 0 or p.max() > 1:
        raise UserError(f"calibration: probabilities must lie in [0, 1]; given {p.min():g} to {p.max():g}")
    edges = np.linspace(0, 1, bins + 1)
    where = np.clip(np.searchsorted(edges, p, side="right") - 1, 0, bins - 1)
    filled = tuple(_bin(edges[i], edges[i + 1], p[where == i], came_true[where == i]) for i in range(bins))
    ece = sum(b.n * abs(b.share - b.probability) for b in filled if b.n) / len(p)
    return Calibration(len(p), float(ece), float(np.mean((p - came_true) ** 2)), filled)


def repeated_ngram_share(tokens: Sequence[str], n: int = 4) -> float:
    """Share of a text's n-grams that occurred in it before; 0 for a text shorter than n."""
    ngrams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    return 1 - len(set(ngrams)) / len(ngrams) if ngrams else 0.0


def _interval(value: float, drawn: np.ndarray, alpha: float) -> Interval:
    undefined = int(np.isnan(drawn).sum())
    low, high = (NAN, NAN) if undefined == len(drawn) else np.nanquantile(drawn, [alpha / 2, 1 - alpha / 2])
    return Interval(float(value), float(low), float(high), undefined)


def _resampled_auc(scores, labels, clusters, strata, draws: int, seed: int) -> np.ndarray:
    """float[draws]: AUC of each resample of clusters; the same resamples for the same seed and clusters."""
    scores, labels = _scored(scores, labels)
    _same_length(scores, clusters)
    names, cluster = np.unique(np.asarray(clusters), return_inverse=True)
    stratum = np.zeros(len(scores), int) if strata is None else np.unique(np.asarray(strata), return_inverse=True)[1]
    nested = strata is not None and len(np.unique(np.c_[stratum, cluster], axis=0)) == stratum.max() + 1
    sums = _drawn_with_cluster if nested else _drawn_across
    rng, drawn = np.random.default_rng(seed), []
    for start in range(0, draws, chunk := MEMORY // len(scores) + 1):
        weights = multiplicity(rng, (min(chunk, draws - start), len(names)))
        wins, pairs = sums(scores, labels, cluster, stratum, weights)
        drawn.append(np.divide(wins, pairs, out=np.full(len(pairs), NAN), where=pairs > 0))
    return np.concatenate(drawn)


def _drawn_with_cluster(scores, labels, cluster, stratum, weights) -> tuple[np.ndarray, np.ndarray]:
    """(wins, pairs), float[draws] each, of strata inside clusters: a cluster drawn twice counts twice."""
    home = np.zeros(stratum.max() + 1, int)
    home[stratum] = cluster
    sums = (np.bincount(home, of, weights.shape[1]) for of in _wins_by_stratum(scores, labels, stratum))
    wins, pairs = (weights @ of for of in sums)
    return wins, pairs


def _drawn_across(scores, labels, cluster, stratum, weights) -> tuple[np.ndarray, np.ndarray]:
    """(wins, pairs), float[draws] each, of strata that clusters share: copies of a cluster meet each other, too."""
    parts = [stratum == s for s in range(stratum.max() + 1)]
    sums = [_weighted_wins(scores[own], labels[own], cluster[own], weights) for own in parts]
    wins, pairs = (sum(of) for of in zip(*sums))
    return wins, pairs


def _weighted_wins(scores, labels, cluster, weights) -> tuple[np.ndarray, np.ndarray]:
    """(wins, pairs), float[draws] each, when row i counts weights[draw, cluster[i]] times; a tie is half a win."""
    order = np.argsort(scores, kind="stable")
    starts = np.unique(scores[order], return_index=True)[1]  # where each group of ties begins
    drawn = np.ascontiguousarray(weights.T, dtype=np.int32)[cluster[order]]  # (N, draws); rows copied whole: fast
    every = np.add.reduceat(drawn, starts)  # (groups, draws)
    drawn[~labels[order]] = 0
    positive = np.add.reduceat(drawn, starts)
    negative = every - positive
    wins = np.einsum("gd,gd->d", positive, np.cumsum(negative, axis=0) - negative / 2)
    return wins, positive.sum(axis=0) * negative.sum(axis=0)


def _wins_by_stratum(scores, labels, stratum) -> tuple[np.ndarray, np.ndarray]:
    """(wins, pairs), float[S] each: Mann–Whitney U and n₁ n₀ of each stratum; stratum int[N], 0 to S − 1."""
    level = np.unique(scores, return_inverse=True)[1]
    sizes = np.bincount(stratum)
    ranks = rankdata(stratum * (level.max() + 1) + level) - (np.cumsum(sizes) - sizes)[stratum]
    positive = np.bincount(stratum, labels)
    wins = np.bincount(stratum, ranks * labels) - positive * (positive + 1) / 2
    return wins, positive * (sizes - positive)


def _bin(low, high, p, came_true) -> Bin:
    if not len(p):
        return Bin(float(low), float(high), 0, NAN, NAN)
    return Bin(float(low), float(high), len(p), float(p.mean()), float(came_true.mean()))


def _share(part, whole) -> float:
    return float(part / whole) if whole else NAN


def _verdicts(verdicts) -> np.ndarray:
    said = np.asarray(verdicts, dtype=str)
    unknown = sorted(set(said.tolist()) - set(VERDICTS))
    if unknown:
        raise UserError(f"unknown verdict {unknown[0]!r}; allowed: {', '.join(VERDICTS)}")
    return said


def _scored(scores, labels) -> tuple[np.ndarray, np.ndarray]:
    scores, labels = np.asarray(scores, dtype=float), np.asarray(labels, dtype=bool)
    _same_length(scores, labels)
    if not np.isfinite(scores).all():
        first = int(np.flatnonzero(~np.isfinite(scores))[0])
        raise UserError(f"score {first} is {scores[first]}; scores must be finite numbers")
    return scores, labels


def _same_length(a, b) -> None:
    if len(a) != len(b) or len(a) == 0:
        raise UserError(f"expected two filled arrays of one length, given {len(a)} and {len(b)}")
