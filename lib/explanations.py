"""What students' own rationales look like: how near to the teacher's, how long, how repetitive.

alike = likeness(results, teacher, tfidf)          # {"1 CoT": float[S, Q], ...}: similarity to the teacher's
near = nearness(alike, alpha, draws)               # a row an arm: mean, interval, difference to the first arm
wordy = wordiness(results, teacher)                # a row an arm and one for the teacher: words, repetition, limit hits

teacher   {question_id: the teacher's greedy Rationale}, of test questions
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from lib import statistics
from lib.comparison import by_arm
from lib.errors import UserError
from lib.evaluate import repeated_ngram_share
from lib.records import Rationale
from lib.runs import Result

TEACHER = "the teacher"
NAN = float("nan")


def explaining(results: Sequence[Result]) -> dict[str, list[Result]]:
    """The results of the arms whose students write rationales, by arm."""
    return {name: group for name, group in by_arm(results).items() if "rationale" in group[0].predictions()[0]}


def likeness(
    results: Sequence[Result], teacher: Mapping[str, Rationale], matrix: Callable[[list[str]], np.ndarray]
) -> dict[str, np.ndarray]:
    """Arm -> float[S, Q], similarity (0..1) of each seed's rationale to the teacher's, questions in order of ids.

    matrix   texts -> float[N, N] (lib/similarity.py); called with each pair of texts alone, so that the similarity of
             two rationales does not depend on which arms are compared
    raises   UserError where no test question has a rationale by the teacher; questions without one are left out

    What "rationale then answer" teaches ends before the answer, so it is set against the teacher's `reasoning`.
    """
    alike = {}
    for arm, group in explaining(results).items():
        written = [{p["question_id"]: p["rationale"] for p in result.predictions()} for result in group]
        shared = sorted(written[0].keys() & teacher.keys())
        if not shared:
            raise UserError(f"arm {arm!r}: the teacher has written no rationale for any of its test questions")
        part = "reasoning" if group[0].run.recipe.rationale_first else "text"
        theirs = {q: getattr(teacher[q], part) for q in shared}
        alike[arm] = np.array([[float(matrix([own[q], theirs[q]])[0, 1]) for q in shared] for own in written])
    return alike


def nearness(alike: Mapping[str, np.ndarray], alpha: float, draws: int) -> pd.DataFrame:
    """One row an arm: mean similarity with its interval (seeds and questions resampled), against the first in words.

    The differences, in hundredths, are paired by seed and question; all of them share one Holm correction.
    """
    first = next(iter(alike), None)
    means = [statistics.paired_bootstrap(m, np.zeros_like(m), draws=draws, alpha=alpha) for m in alike.values()]
    found = [statistics.paired_bootstrap(m, alike[first], draws=draws, alpha=alpha) for m in list(alike.values())[1:]]
    adjusted = statistics.holm([d.p for d in found])
    words = [statistics.describe(d, alpha, p, "hundredths") for d, p in zip(found, adjusted)]
    # a similarity lies between 0 and 1, and so does its mean, however little few seeds tell
    rows = [(name, d.mean, max(d.low, 0.0), min(d.high, 1.0)) for name, d in zip(alike, means)]
    frame = pd.DataFrame(rows, columns=["arm", "similarity", "low", "high"])
    return frame.assign(against=["", *[f"{first}: {w}" for w in words]][: len(frame)])


def wordiness(results: Sequence[Result], teacher: Mapping[str, Rationale]) -> pd.DataFrame:
    """One row an explaining arm, and the teacher's last: means over seeds and test questions.

    words        length of a rationale
    repeated     share of its 4-grams of words that occurred in it before
    cut off      share that hit the length limit without an answer; nan where the runs did not note it
    """
    rows = {name: _wordiness_of(group) for name, group in explaining(results).items()}
    if teacher:
        rows[TEACHER] = [*_length_and_repetition([r.text for r in teacher.values()]), NAN]
    return pd.DataFrame.from_dict(rows, orient="index", columns=["words", "repeated", "cut off"]).rename_axis("arm")


def _wordiness_of(group: Sequence[Result]) -> list[float]:
    rows = [p for result in group for p in result.predictions()]
    noted = all("at_limit" in p for p in rows)
    cut = np.mean([p["at_limit"] and p["rationale_label"] is None for p in rows]) if noted else NAN
    return [*_length_and_repetition([p["rationale"] for p in rows]), float(cut)]


def _length_and_repetition(texts: Sequence[str]) -> list[float]:
    words = [text.split() for text in texts]
    return [float(np.mean([len(w) for w in words])), float(np.mean([repeated_ngram_share(w) for w in words]))]
