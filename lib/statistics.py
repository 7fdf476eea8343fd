"""Is one arm better than another? Paired statistics over seeds and test questions.

A student trained with S seeds and tested on Q questions gives `correct`, bool[S, Q]. Two arms share both:

    difference = paired_bootstrap(five_cots, standard)
    describe(difference)        # "+4.2 points [+1.1, +7.3], p = .012"
                                # "not separated (−0.3 points [−2.5, +1.9]; n = 400 × 3 seeds; a difference of 3.1 ..."
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from lib.errors import UserError
from lib.tables import true_minus

POWER = 0.8
MEMORY = 2_000_000  # resampled items held at once


@dataclass(frozen=True)
class Difference:
    """Mean difference of two arms, as a share (0.04 = 4 points), with its interval.

    p            two-sided, of "no difference"
    detectable   the smallest true difference that would have been separated in 80% of repetitions, were it the only
                 test: Holm's correction takes a larger one
    """

    mean: float
    low: float
    high: float
    p: float
    detectable: float
    n_seeds: int
    n_questions: int


def mean_std(correct) -> tuple[float, float]:
    """Mean and standard deviation (ddof 1) over seeds of the accuracy; correct: bool[S, Q]. One seed: std is nan."""
    seeds = _scores(correct, "correct").mean(axis=1)  # (S,)
    return float(seeds.mean()), float(seeds.std(ddof=1)) if len(seeds) > 1 else float("nan")


def paired_bootstrap(a, b, draws: int = 10_000, seed: int = 0, alpha: float = 0.05, most: float = 1) -> Difference:
    """Mean of a − b with a bootstrap interval that resamples seeds and test questions.

    a, b    bool[S, Q] (or a score per question); row s of both is the same seed, column q the same question
    most    the largest difference there can be, 1 of shares; no end of the interval lies beyond it
    returns Difference at level 1 − alpha, the same for the same `seed`
    raises  UserError if the arms differ in shape, are empty or hold a value that is not finite

    Seeds and questions are resampled independently and the two deviations from the mean are added. (Resampling them
    jointly adds their product too, which counts the noise of single predictions a third time.) Two corrections make
    three seeds honest. The mean of n resampled values varies (n−1)/n as much as that of n fresh ones, so deviations
    are stretched by √(n/(n−1)). And three seeds have only ten distinct resamples, so their spread is poorly known:
    each deviation is divided by √(χ²_ν/ν), which gives it Student's tails. ν is Satterthwaite's degrees of freedom,
    near S−1 when seeds make most of the variance, near Q−1 when questions do. Simulated coverage of the 95% interval
    (400 questions, seed effects from none to dominant): .92–.99 with 3 seeds, .94–.99 with 5; without the corrections
    .78–.99. With one seed nothing is known about seeds: the interval covers questions only (coverage down to .2).
    """
    differences = _paired(a, b)  # (S, Q)
    by_seed, by_question = differences.mean(axis=1), differences.mean(axis=0)
    mean, freedom = float(differences.mean()), _freedom(by_seed, by_question)
    rng = np.random.default_rng(seed)
    deviations = _deviations(by_seed, draws, rng) + _deviations(by_question, draws, rng)  # (draws,)
    resampled = mean + deviations / np.sqrt(rng.chisquare(freedom, draws) / freedom)
    low, high = np.quantile(resampled, [alpha / 2, 1 - alpha / 2]).clip(-most, most)
    p = min(1.0, 2 * (1 + int(min(np.sum(resampled <= 0), np.sum(resampled >= 0)))) / (1 + draws))
    detectable = _detectable(deviations.std(), freedom, alpha)
    return Difference(mean, float(low), float(high), p, detectable, *differences.shape)


def mcnemar_exact(a, b) -> float:
    """Exact two-sided p of McNemar's test for one seed; a, b: bool[Q] over the same questions. Always agreeing: 1."""
    differences = _paired([a], [b])
    only_a, only_b = int(np.sum(differences > 0)), int(np.sum(differences < 0))
    return float(stats.binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def holm(pvalues: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment over the tests of one table, in the order given; compare with alpha directly."""
    p = np.asarray(pvalues, dtype=float)
    if p.size and not (np.all(p >= 0) and np.all(p <= 1)):
        raise UserError(f"holm: p values must lie in [0, 1]; given {list(pvalues)}")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)))
    return [float(x) for x in adjusted]


def wilson(successes: int, n: int, alpha: float = 0.05) -> tuple[float, float]:
    """Wilson's interval for a share; (0, 1) when n is 0, since nothing is known."""
    if not 0 <= successes <= n:
        raise UserError(f"wilson: successes must lie between 0 and n = {n}; given {successes}")
    if n == 0:
        return 0.0, 1.0
    interval = stats.binomtest(int(successes), int(n)).proportion_ci(1 - alpha, method="wilson")
    return float(interval.low), float(interval.high)


def separated(difference: Difference, alpha: float = 0.05, adjusted: float | None = None) -> bool:
    """Whether the arms differ at level alpha; `adjusted` is p after `holm`, where there was more than one test."""
    return (difference.p if adjusted is None else adjusted) < alpha


def describe(difference: Difference, alpha: float = 0.05, adjusted: float | None = None, unit: str = "points") -> str:
    """The difference as words in percentage points; where not separated, with what would have been seen.

    unit   what a hundredth is called: "points" of shares, "hundredths" of other scores between 0 and 1
    """
    d = difference
    effect = f"{points(d.mean)} {unit} [{points(d.low)}, {points(d.high)}]"
    holm_p = "" if adjusted is None else f", {p_text(adjusted)} after Holm"
    if separated(d, alpha, adjusted):
        return f"{effect}, {p_text(d.p)}{holm_p}"
    size = f"n = {d.n_questions} × {d.n_seeds} seed{'s' if d.n_seeds > 1 else ''}"
    before = "" if adjusted is None else ", before correction"  # a corrected level takes a larger one
    # two scores between 0 and 1 differ by 1 at most
    least = "no possible difference" if d.detectable > 1 else f"a difference of {points(d.detectable, '')}"
    seen = f"{least} would have been seen{before}" if d.detectable else "nothing varied"
    return f"not separated ({effect}{holm_p}; {size}; {seen})"


def points(share: float, sign: str = "+") -> str:
    """0.042 as "+4.2", −0.003 as "−0.3", with a true minus; what rounds to nothing has no sign."""
    return true_minus(f"{100 * share:{sign}.1f}")


def p_text(p: float) -> str:
    """0.0123 as "p = .012"; nan, of what was not tested, as a dash."""
    if p != p:  # nan differs from itself
        return "–"
    if p < 0.001:
        return "p < .001"
    return f"p = {p:.3f}".replace("0.", ".") if p < 0.1 else f"p = {p:.2f}".replace("0.", ".")


def _deviations(values, draws: int, rng) -> np.ndarray:
    """float[draws]: mean of the resampled values minus their mean, stretched to an unbiased variance."""
    n = len(values)
    if n == 1:
        return np.zeros(draws)
    chunks = [min(MEMORY // n + 1, draws - start) for start in range(0, draws, MEMORY // n + 1)]
    means = [values[rng.integers(n, size=(chunk, n))].mean(axis=1) for chunk in chunks]
    return (np.concatenate(means) - values.mean()) * np.sqrt(n / (n - 1))


def _freedom(by_seed, by_question) -> float:
    """Satterthwaite's degrees of freedom of the variance of the mean, var(seeds)/S + var(questions)/Q."""
    sides = [side for side in (by_seed, by_question) if len(side) > 1]
    parts = [(side.var(ddof=1) / len(side), len(side) - 1) for side in sides]
    variance = sum(part for part, _ in parts)
    if variance == 0:
        return float(sum(freedom for _, freedom in parts))
    return float(variance**2 / sum(part**2 / freedom for part, freedom in parts))


def _detectable(error: float, freedom: float, alpha: float) -> float:
    """The true difference that a two-sided t test at level alpha finds with 80% power, given the standard error.

    The non-centrality of Student's t; with many degrees of freedom it is (z_{1−α/2} + z_.8) · error, 2.8 errors at .05.
    From three seeds it is a rough figure: simulated power at its median was .67–.78.
    """
    critical = stats.t.ppf(1 - alpha / 2, freedom)
    return float(error * brentq(lambda effect: stats.nct.sf(critical, freedom, effect) - POWER, 0, 10 * critical))


def _paired(a, b) -> np.ndarray:
    """float[S, Q], a − b."""
    a, b = _scores(a, "a"), _scores(b, "b")
    if a.shape != b.shape:
        raise UserError(f"arms differ in shape: a is {a.shape}, b is {b.shape}; both must be (seeds, questions)")
    if a.shape[1] < 2:
        raise UserError(f"{a.shape[1]} question cannot be resampled; at least 2 are needed")
    return a - b


def _scores(values, name: str) -> np.ndarray:
    """float[S, Q], checked."""
    scores = np.asarray(values, dtype=float)
    if scores.ndim != 2 or scores.size == 0:
        raise UserError(f"{name}: expected a filled array of (seeds, questions), given shape {scores.shape}")
    if not np.isfinite(scores).all():
        raise UserError(f"{name}: {np.sum(~np.isfinite(scores))} of {scores.size} values are not finite numbers")
    return scores
