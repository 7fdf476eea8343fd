"""Arms side by side: what each reached, and whether it differs from the arms it is compared with.

frame = overview(results)                       # a row an arm: accuracy mean and std over seeds, flawed share, ...
pairs = comparisons(results, arms, alpha, draws)  # a row a pair: difference, interval, Holm-adjusted p, verdict

A finding (`ablate.findings`) sets some of the arms against one key of their recipes: see `place`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence, Set

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from lib import statistics
from lib.arms import Arm, Recipe
from lib.errors import UserError
from lib.runs import Result
from lib.settings import Finding
from lib.tables import DASH, SAME, interval_text, mean_std_text

ORIGINALS = "originals"  # the chain of rationales that were not refined
LEARNED = {True: "with rationales", False: "labels alone"}  # what `explain` says
PAIR_COLUMNS = ["arm", "against", "difference", "low", "high", "p", "holm", "mcnemar", "verdict"]


def by_arm(results: Sequence[Result]) -> dict[str, list[Result]]:
    """The results of each arm, in the order of seeds; arms in the order given."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.run.arm, []).append(result)
    return {name: sorted(group, key=lambda r: r.run.seed) for name, group in groups.items()}


def correct(group: Sequence[Result]) -> np.ndarray:
    """bool[S, Q]: whether each seed's student answered each test question rightly; questions in order of their ids."""
    rows = [sorted(result.predictions(), key=lambda p: p["question_id"]) for result in group]
    return np.array([[p["correct"] for p in row] for row in rows])


def overview(results: Sequence[Result]) -> pd.DataFrame:
    """One row an arm, indexed by its name; shares between 0 and 1, means over seeds; nan: no such thing.

    accuracy, std         on test questions, as the student answers: after `predict:`, or at its rationale's end
    wrong step            of the student's rationales, those in which the verifier refutes a step
    uncheckable           of the student's rationales, those in which it finds nothing that could be checked
    unparsed              of the student's rationales, those that arrive at no answer
    rationale accuracy    share of its rationales that arrive at the right answer
    steps, tokens         optimiser steps and non-padding tokens of both phases
    """
    return pd.DataFrame({name: _summary(group) for name, group in by_arm(results).items()}).T


def comparisons(results: Sequence[Result], arms: Mapping[str, Arm], alpha: float, draws: int) -> pd.DataFrame:
    """One row for each pair of an arm and one that it is compared `against`, if both were run.

    difference, low, high   mean difference in accuracy and its interval (paired bootstrap over seeds and questions)
    p, holm                 two-sided; adjusted for all pairs of this table
    mcnemar                 exact p of each seed
    verdict                 the finding in words; "not separated" with the smallest difference that could have been seen
    Two arms that are the same runs, as when both learn from all there is, are no test: "the same runs", p and holm nan.
    """
    ran = by_arm(results)
    return _compare(results, [(name, other) for name in ran for other in arms[name].against], alpha, draws)


def place(title: str, finding: Finding, arms: Mapping[str, Arm]) -> pd.DataFrame:
    """Where the arms of a finding stand: one row an arm with its x and its `by`, in the order given.

    x: rationales, by: select, arms: [1 random, 2 random, 2 easiest]
                     arm  x      by
    0           1 random  1  random
    1           2 random  2  random
    2         2 easiest   2  rd_low

    A key is one of `Recipe`, or "arm": its name. A scorer not given is the arm's own student. The originals, which
    belong to no chain, are where every chain starts: `by: chain` gives them a row in each. With H-labels alone "x" is
    "x (H)". UserError for an unknown key or arm, and for two arms in one place.
    """
    for key in filter(None, (finding.x, finding.by)):
        if key not in (allowed := [*Recipe.model_fields, "arm"]):
            raise UserError(f"ablate.findings: {title!r}: no recipe has a key {key!r}; allowed: {', '.join(allowed)}")
    named = [_named(name, arms, title) for name in finding.arms]
    rows = [(arm.name, _value(arm, finding.x), _value(arm, finding.by) if finding.by else "") for arm in named]
    if finding.by == "chain":
        rows = list(_from_the_originals(rows))
    frame = pd.DataFrame(rows, columns=["arm", "x", "by"])
    if len(same := frame[frame.duplicated(["x", "by"], keep=False)]):
        first, second = same[(same.x == same.x.iloc[0]) & (same.by == same.by.iloc[0])].arm.iloc[:2]
        key = " and ".join(filter(None, (finding.x, finding.by)))
        raise UserError(f"ablate.findings: {title!r}: arms {first!r} and {second!r} are alike in {key}")
    return frame


def reached(placed: pd.DataFrame, results: Sequence[Result], alpha: float, draws: int) -> pd.DataFrame:
    """The rows of `place` whose arm was run, with their test accuracy.

    mean, std, seeds   over seeds
    low, high          the mean's interval at level 1 − alpha: the bootstrap of seeds and questions
    """
    ran = by_arm(results)
    found = placed[placed.arm.isin(ran)].reset_index(drop=True)
    each = {arm: spread(correct(ran[arm]), alpha, draws) for arm in found.arm.unique()}
    rows = pd.DataFrame([each[arm] for arm in found.arm], columns=["mean", "std", "low", "high", "seeds"])
    return pd.concat([found, rows], axis=1)


def spread(right: np.ndarray, alpha: float, draws: int) -> tuple[float, float, float, float, int]:
    """Mean, std, low, high and number of seeds of an accuracy: its difference from what is never right.

    right   bool[S, Q], or a score per question in [0, 1]; low, high: the bootstrap of seeds and questions, in [0, 1]
    """
    mean, std = statistics.mean_std(right)
    found = statistics.paired_bootstrap(right, np.zeros_like(right), draws=draws, alpha=alpha)
    return mean, std, max(0.0, found.low), min(1.0, found.high), len(right)  # a share: no interval leaves [0, 1]


def grid(points: pd.DataFrame, x: str, by: str | None) -> pd.DataFrame:
    """`reached` as texts, "85.8 ± 1.0 [83.1, 88.5]": a row for each `by`, a column for each x, or else a row each x."""
    numbers = zip(points["mean"], points["std"], points["low"], points["high"])
    texts = points.assign(text=[f"{mean_std_text(m, s)} {interval_text(low, high)}" for m, s, low, high in numbers])
    columns = sorted(points.x.unique()) if is_numeric_dtype(points.x) else list(points.x.unique())
    if by is None:
        return texts.set_index("x").loc[columns, ["text"]].set_axis(["accuracy (%)"], axis=1).rename_axis(x)
    table = texts.pivot(index="by", columns="x", values="text").reindex(points.by.unique())[columns].fillna(DASH)
    return table.set_axis([f"{x} {c}" if is_numeric_dtype(points.x) else str(c) for c in columns], axis=1).rename_axis(
        by
    )


def from_the_first(points: pd.DataFrame, results: Sequence[Result], alpha: float, draws: int) -> pd.DataFrame:
    """Every arm of a finding against its first one with the same `by`; columns as `comparisons`, one Holm for all."""
    first = points.groupby("by", sort=False).arm.transform("first")
    return _compare(results, list(zip(points.arm[points.arm != first], first[points.arm != first])), alpha, draws)


def in_short(pairs: pd.DataFrame, alpha: float, what: str) -> str:
    """How many of the tested pairs are separated, and which: "1 of 2 pairs of arms separated: A against B (−6.4)."."""
    sure = pairs[pairs.holm < alpha]
    named = "; ".join(f"{p.arm} against {p.against} ({statistics.points(p.difference)})" for p in sure.itertuples())
    return f"{len(sure)} of {(pairs.verdict != SAME).sum()} pairs of {what} separated{f': {named}' if named else ''}."


def in_words(title: str, pairs: pd.DataFrame, alpha: float) -> str:
    """A finding as text: the differences that are separated, and of the others the largest, each with its verdict.

    It says that its Holm correction is its own, for the same pair may stand in the table of all pairs with another p.
    """
    same = [f"{p.arm} and {p.against} are {SAME}" for p in pairs[pairs.verdict == SAME].itertuples()]
    pairs = pairs[pairs.verdict != SAME]
    text = _differences(pairs, alpha) if len(pairs) else "nothing to compare"
    own = f" (Holm over these {len(pairs)})" if len(pairs) > 1 else ""
    return f"{title}{own}: {'. '.join([text, *same])}."


def _differences(pairs: pd.DataFrame, alpha: float) -> str:
    told = pd.Series([f"{p.arm} against {p.against}: {p.verdict}" for p in pairs.itertuples()], pairs.index)
    sure = pairs.holm < alpha
    text = f"{sure.sum()} of {len(pairs)} differences separated"
    text += f": {'; '.join(told[sure])}" if sure.any() else ""
    if not sure.all():
        largest = told[pairs.difference[~sure].abs().idxmax()]
        text += f". The largest{' of the others' if sure.any() else ''}: {largest}"
    return text


def slug(title: str) -> str:
    """A finding's title as the name of its files: "Level × student (k = 1)" is "finding-level-student-k-1"."""
    return "-".join(["finding", *re.findall(r"[a-z0-9]+", title.lower())])


def _compare(results: Sequence[Result], pairs: Iterable[tuple[str, str]], alpha: float, draws: int) -> pd.DataFrame:
    """The rows of `comparisons` for those of the pairs whose arms were both run."""
    groups = by_arm(results)
    matrices = {name: correct(group) for name, group in groups.items()}
    pairs = [(a, b) for a, b in pairs if a in groups and b in groups]
    same = {(a, b) for a, b in pairs if _same_runs(groups[a], groups[b])}
    return compare_matrices(matrices, pairs, alpha, draws, same)


def compare_matrices(
    matrices: Mapping[str, np.ndarray],
    pairs: Iterable[tuple[str, str]],
    alpha: float,
    draws: int,
    same: Set[tuple[str, str]] = frozenset(),
) -> pd.DataFrame:
    """The rows of `comparisons` for pairs of names that both have a matrix; the `same` are no test.

    matrices   bool[S, Q], or float[S, Q] in [0, 1] of answers that are right in part
    """
    pairs = [(a, b) for a, b in pairs if a in matrices and b in matrices]
    other = [pair for pair in pairs if pair not in same]
    found = [statistics.paired_bootstrap(matrices[a], matrices[b], draws=draws, alpha=alpha) for a, b in other]
    adjusted = statistics.holm([d.p for d in found]) if found else []
    rows = {
        (a, b): (d.mean, d.low, d.high, d.p, p, _mcnemar(matrices[a], matrices[b]), statistics.describe(d, alpha, p))
        for (a, b), d, p in zip(other, found, adjusted)
    }
    nan = float("nan")
    nothing = (0.0, 0.0, 0.0, nan, nan, DASH, SAME)
    return pd.DataFrame([(*pair, *rows.get(pair, nothing)) for pair in pairs], columns=PAIR_COLUMNS)


def _same_runs(a: Sequence[Result], b: Sequence[Result]) -> bool:
    """Whether two arms are but two names for the same runs: there is no difference that could be estimated."""
    return [result.run.id for result in a] == [result.run.id for result in b]


def _mcnemar(a: np.ndarray, b: np.ndarray) -> str:
    """Each seed's p; a dash where an answer may be right in part, which McNemar's test does not know."""
    if not np.isin([a, b], (0, 1)).all():
        return DASH
    return " · ".join(statistics.p_text(statistics.mcnemar_exact(x, y)) for x, y in zip(a, b))


def _named(name: str, arms: Mapping[str, Arm], title: str) -> Arm:
    found = arms.get(name) or arms.get(f"{name} (H)")
    if found is None:
        raise UserError(f"ablate.findings: {title!r}: no arm {name!r}; arms: {', '.join(arms)}")
    return found


def _value(arm: Arm, key: str):
    """What an arm's recipe says of a key, as it is shown."""
    if key == "arm":
        return arm.name
    value = getattr(arm.recipe, key)
    if key == "explain":
        return LEARNED[value]
    if key == "scorer":
        return arm.recipe.scored_by
    if key == "chain":
        return value or ORIGINALS
    return str(value) if value is None else value


def _from_the_originals(rows: list[tuple]) -> Iterable[tuple]:
    """Rows (arm, x, chain), those of the originals once in each chain."""
    chains = list(dict.fromkeys(by for _, _, by in rows if by != ORIGINALS)) or [ORIGINALS]
    for arm, x, by in rows:
        yield from ((arm, x, chain) for chain in (chains if by == ORIGINALS else [by]))


def _summary(group: Sequence[Result]) -> dict:
    mean, std = statistics.mean_std(correct(group))
    run = group[0].run
    return {
        "accuracy": mean,
        "std": std,
        "wrong step": mean_of(r.metrics.get("wrong_step") for r in group),
        "uncheckable": mean_of(r.metrics.get("uncheckable") for r in group),
        "unparsed": mean_of(r.metrics.get("unparsed") for r in group),
        "rationale accuracy": mean_of(r.metrics.get("rationale_accuracy") for r in group),
        "steps": run.recipe.steps + (run.recipe.self_eval_steps if run.evaluation_phase else 0),
        "tokens": run.tokens,
    }


def mean_of(values) -> float:
    """Mean of the values that are there; nan where none is."""
    found = [value for value in values if value is not None]
    return float(np.mean(found)) if found else float("nan")
