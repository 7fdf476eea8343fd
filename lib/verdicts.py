"""Does a student still judge, and does it know how sure it may be? Its verdicts and its P(correct) against the truth.

frame = verdicts(results)                           # a row an arm with self-evaluation, and phase
found = beliefs(results, sampled)                   # every P(correct), of what, and whether it came true
table = calibrations(found)                         # a row an arm, what was judged and which truth: ECE, Brier, AUROC
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lib import evaluate
from lib.comparison import by_arm, mean_of
from lib.evaluate import Calibration, agreement, auc
from lib.runs import Result
from lib.tables import percent

PHASES = ("after phase 1", "after phase 2")
SOUND, ANSWER = "no wrong step, right answer", "right answer"
OWN = "its own samples"
DRAWS = 1000  # of the bootstrap behind the intervals of AUROC
VERDICT_COLUMNS = ["rationales", "with teacher", "with truth", "says correct", "auc"]
COLUMNS = ["arm", "seed", "judged", "truth", "question_id", "p", "true"]


def verdicts(results: Sequence[Result]) -> pd.DataFrame:
    """How the verdicts on test rationales fare, means over seeds: one row an arm with self-evaluation, and phase.

    with teacher   share on which student and teacher give the same verdict
    with truth     share on which `correct` and "the verifier refutes nothing" coincide
    says correct   text: the share of `correct` of each seed's student, as their mean would hide one that says but that
    auc            of P(correct) for telling sound rationales from flawed ones
    """
    groups = {name: group for name, group in by_arm(results).items() if group[0].judgements()}
    rows = {(name, phase): _verdicts(group, phase) for name, group in groups.items() for phase in PHASES}
    index = pd.MultiIndex.from_tuples(list(rows), names=["arm", "phase"]) if rows else None
    frame = pd.DataFrame(list(rows.values()), index, columns=VERDICT_COLUMNS)
    return frame.reset_index() if rows else frame.assign(arm=[], phase=[])


def always_correct(results: Sequence[Result]) -> float:
    """The share of verdicts that would be right of a student that always says `correct`; nan where none is known."""
    sound = [row["sound"] for r in results for row in r.judgements() if row["sound"] is not None]
    return float(np.mean(sound)) if sound else float("nan")


def beliefs(results: Sequence[Result], sampled: Mapping[str, Sequence[dict]]) -> pd.DataFrame:
    """One row a P(correct) and truth that it can be held against.

    Of own samples in which the verifier could check no step, only the answer is held against the truth: a garbled text
    refutes nothing. Of the teacher's it is known whether a step was refuted, not whether one was checked
    (`records.Rationale.sound`).

    judged   "the teacher's, after phase 1", "the teacher's, after phase 2", or "its own samples" (after phase 2)
    truth    "no wrong step, right answer" (the task's verifier), or "right answer", of own samples only
    sampled  the answers of lib/inferred.py by run id
    """
    rows = [row for r in results for row in (*_of_the_teacher(r), *_of_its_own(r, sampled.get(r.run.id, ())))]
    return pd.DataFrame(rows, columns=COLUMNS)


def calibrations(found: pd.DataFrame, draws: int = DRAWS, alpha: float = 0.05) -> pd.DataFrame:
    """One row an arm, what was judged and which truth; all seeds together.

    n             probabilities: rationales × seeds
    P(correct)    their mean;  true  the share that came true
    ECE, Brier    `evaluate.calibration`
    AUROC         of pairs within a seed, with its interval (questions resampled); nan where all is of one kind
    """
    rows = []
    for keys, own in found.groupby(["arm", "judged", "truth"], sort=False):
        fit = evaluate.calibration(own.p, own.true)
        area = evaluate.auc_interval(own.p, own.true, own.question_id, draws, alpha=alpha, strata=own.seed)
        rows.append(
            (*keys, len(own), own.p.mean(), own.true.mean(), fit.ece, fit.brier, area.value, area.low, area.high)
        )
    columns = ["arm", "judged", "truth", "n", "P(correct)", "true", "ECE", "Brier", "AUROC", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def unchecked(found: pd.DataFrame) -> dict[str, int]:
    """Arm -> in how many of its own samples the verifier could check no step, if in any; found: as of `beliefs`.

    They are held against their answer alone, which is why the n of the two truths differ.
    """
    counts = found[found.judged == OWN].groupby(["arm", "truth"], sort=False).size().unstack(fill_value=0)
    if SOUND not in counts:  # a task without a verifier
        return {}
    return {str(arm): int(n) for arm, n in (counts[ANSWER] - counts[SOUND]).items() if n}


def reliability(found: pd.DataFrame) -> dict[str, Calibration]:
    """What was judged, and against which truth -> its calibration, all of the given rows together."""
    groups = found.groupby(["judged", "truth"], sort=False)
    several = found.groupby("judged").truth.nunique()
    names = {keys: keys[0] if several[keys[0]] == 1 else f"{keys[0]}: {keys[1]}" for keys, _ in groups}
    return {names[keys]: evaluate.calibration(own.p, own.true) for keys, own in groups}


def _of_the_teacher(result: Result) -> list[tuple]:
    run = result.run
    return [
        (run.arm, run.seed, f"the teacher's, {row['phase']}", SOUND, row["rationale_id"].rpartition("/")[0],
         row["p_correct"], row["sound"])
        for row in result.judgements() if row["sound"] is not None
    ]  # fmt: skip


def _of_its_own(result: Result, rows: Sequence[dict]) -> list[tuple]:
    """Two rows a sample, or one; of students that do not judge none."""
    run = result.run
    out = []
    for row in (row for row in rows if "p_correct" in row):
        shared = (run.arm, run.seed, OWN)
        right = row["rationale_correct"]
        out.append((*shared, ANSWER, row["question_id"], row["p_correct"], right))
        if row["wrong_steps"] is not None and row["checked_steps"]:
            out.append((*shared, SOUND, row["question_id"], row["p_correct"], right and not row["wrong_steps"]))
    return out


def _verdicts(group: Sequence[Result], phase: str) -> list:
    of_seeds = [[row for row in result.judgements() if row["phase"] == phase] for result in group]
    return [
        len(of_seeds[0]),
        mean_of(_with_teacher(rows) for rows in of_seeds),
        mean_of(_with_truth(rows) for rows in of_seeds),
        " · ".join(percent(mean_of(row["student_verdict"] == "correct" for row in rows)) for rows in of_seeds),
        mean_of(_auc(rows) for rows in of_seeds),
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
