"""How good are verdicts, scores and probabilities, measured against verified truth? Plain arrays in, a record out.

    verdict_metrics(["wrong", "correct", "uncertain"], flawed=[True, False, True])
    # VerdictMetrics(n=3, precision=1.0, recall=0.5, f1=0.667, accuracy=0.667, uncertain=0.333, kappa=0.5)

A share without a denominator (precision when nothing was called wrong) is nan, never 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

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


def auc_interval(scores, labels, clusters, draws: int = 1000, seed: int = 0, alpha: float = 0.05) -> Interval:
    """AUC with a percentile bootstrap interval that resamples whole clusters (a question with all its rationales).

    scores float[N], labels bool[N], clusters N ids; a resampled question brings all its rationales.
    """
    scores, labels = _scored(scores, labels)
    _same_length(scores, clusters)
    names, cluster = np.unique(np.asarray(clusters), return_inverse=True)
    rng, drawn = np.random.default_rng(seed), []
    for start in range(0, draws, chunk := MEMORY // len(scores) + 1):
        size = (min(chunk, draws - start), len(names))
        drawn.append(_weighted_auc(scores, labels, _multiplicity(rng, size)[:, cluster]))
    values = np.concatenate(drawn)
    undefined = int(np.isnan(values).sum())
    low, high = (NAN, NAN) if undefined == draws else np.nanquantile(values, [alpha / 2, 1 - alpha / 2])
    return Interval(auc(scores, labels), float(low), float(high), undefined)


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


def _weighted_auc(scores, labels, weights) -> np.ndarray:
    """float[draws]: AUC when row i counts weights[draw, i] times; nan where a draw holds one class only."""
    order = np.argsort(scores, kind="stable")
    starts = np.unique(scores[order], return_index=True)[1]  # where each group of ties begins
    positive = np.add.reduceat(weights[:, order] * labels[order], starts, axis=1)  # (draws, groups)
    negative = np.add.reduceat(weights[:, order] * ~labels[order], starts, axis=1)
    wins = positive * (np.cumsum(negative, axis=1) - negative / 2)
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    return np.divide(wins.sum(axis=1), pairs, out=np.full(len(pairs), NAN), where=pairs > 0)


def _multiplicity(rng, size: tuple[int, int]) -> np.ndarray:
    """int[draws, n]: how often each of n clusters is drawn."""
    draws, n = size
    picks = rng.integers(n, size=size) + n * np.arange(draws)[:, None]
    return np.bincount(picks.ravel(), minlength=draws * n).reshape(size)


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
