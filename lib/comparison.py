"""Arms side by side: what each reached, and whether it differs from the arms it is compared with.

frame = overview(results)                       # a row an arm: accuracy mean and std over seeds, flawed share, ...
pairs = comparisons(results, arms, alpha, draws)  # a row a pair: difference, interval, Holm-adjusted p, verdict
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lib import statistics
from lib.arms import Arm
from lib.evaluate import agreement, auc
from lib.runs import Result

PHASES = ("after phase 1", "after phase 2")


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

    accuracy, std         of `predict:` on test questions
    wrong step            of the student's rationales, those in which the verifier refutes a step
    uncheckable           of the student's rationales, those in which it finds nothing that could be checked
    rationale accuracy    share of its rationales that arrive at the right answer
    steps, tokens         optimiser steps and non-padding tokens of both phases
    """
    return pd.DataFrame({name: _summary(group) for name, group in by_arm(results).items()}).T


def verdicts(results: Sequence[Result]) -> pd.DataFrame:
    """How the verdicts on test rationales fare, means over seeds: one row an arm with self-evaluation, and phase.

    with teacher   share on which student and teacher give the same verdict
    with truth     share on which `correct` and "the verifier refutes nothing" coincide
    auc            of P(correct) for telling sound rationales from flawed ones
    """
    groups = {name: group for name, group in by_arm(results).items() if group[0].judgements()}
    rows = {(name, phase): _verdicts(group, phase) for name, group in groups.items() for phase in PHASES}
    index = pd.MultiIndex.from_tuples(list(rows), names=["arm", "phase"]) if rows else None
    frame = pd.DataFrame(list(rows.values()), index, columns=["rationales", "with teacher", "with truth", "auc"])
    return frame.reset_index() if rows else frame.assign(arm=[], phase=[])


def comparisons(results: Sequence[Result], arms: Mapping[str, Arm], alpha: float, draws: int) -> pd.DataFrame:
    """One row for each pair of an arm and one that it is compared `against`, if both were run.

    difference, low, high   mean difference in accuracy and its interval (paired bootstrap over seeds and questions)
    p, holm                 two-sided; adjusted for all pairs of this table
    mcnemar                 exact p of each seed
    verdict                 the finding in words; "not separated" with the smallest difference that could have been seen
    """
    matrices = {name: correct(group) for name, group in by_arm(results).items()}
    pairs = [(name, other) for name in matrices for other in arms[name].against if other in matrices]
    found = [statistics.paired_bootstrap(matrices[a], matrices[b], draws=draws, alpha=alpha) for a, b in pairs]
    adjusted = statistics.holm([d.p for d in found]) if found else []
    return pd.DataFrame(
        [
            {
                "arm": a,
                "against": b,
                "difference": d.mean,
                "low": d.low,
                "high": d.high,
                "p": d.p,
                "holm": p,
                "mcnemar": " · ".join(
                    statistics.p_text(statistics.mcnemar_exact(x, y)) for x, y in zip(matrices[a], matrices[b])
                ),
                "verdict": statistics.describe(d, alpha, p),
            }
            for (a, b), d, p in zip(pairs, found, adjusted)
        ],
        columns=["arm", "against", "difference", "low", "high", "p", "holm", "mcnemar", "verdict"],
    )


def _summary(group: Sequence[Result]) -> dict:
    mean, std = statistics.mean_std(correct(group))
    run = group[0].run
    return {
        "accuracy": mean,
        "std": std,
        "wrong step": _mean(r.metrics.get("wrong_step") for r in group),
        "uncheckable": _mean(r.metrics.get("uncheckable") for r in group),
        "rationale accuracy": _mean(r.metrics.get("rationale_accuracy") for r in group),
        "steps": run.recipe.steps + (run.recipe.self_eval_steps if run.evaluation_phase else 0),
        "tokens": run.tokens,
    }


def _verdicts(group: Sequence[Result], phase: str) -> list[float]:
    of_seeds = [[row for row in result.judgements() if row["phase"] == phase] for result in group]
    return [
        len(of_seeds[0]),
        _mean(_with_teacher(rows) for rows in of_seeds),
        _mean(_with_truth(rows) for rows in of_seeds),
        _mean(_auc(rows) for rows in of_seeds),
    ]


def _with_teacher(rows: list[dict]) -> float | None:
    both = [row for row in rows if row["teacher_verdict"] is not None]
    return agreement([r["student_verdict"] for r in both], [r["teacher_verdict"] for r in both]).share if both else None


def _with_truth(rows: list[dict]) -> float | None:
    checked = [row for row in rows if row["sound"] is not None]
    return float(np.mean([(r["student_verdict"] == "correct") == r["sound"] for r in checked])) if checked else None


def _auc(rows: list[dict]) -> float | None:
    checked = [row for row in rows if row["sound"] is not None]
    return auc([r["p_correct"] for r in checked], [r["sound"] for r in checked]) if checked else None


def _mean(values) -> float:
    found = [value for value in values if value is not None]
    return float(np.mean(found)) if found else float("nan")
