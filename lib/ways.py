"""Ways to answer with one trained student, side by side: `predict:`, and what becomes of several sampled rationales.

frame = main_table(results, sampled, task, alpha, draws)  # the arms' rows, each with its student's other ways below
pairs = compared(results, sampled, task, alpha, draws)    # a row a pair of ways of one arm (`votes.PAIRS`)

sampled   the answers of lib/inferred.py by run id; arms without any have only their `predict:`, those that cannot judge
          only the ways that ask for no verdict
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lib import comparison, verdicts
from lib.encoding import source_ids, target_ids
from lib.errors import UserError
from lib.examples import EXPLAIN, PREDICT
from lib.inferred import counterparts
from lib.runs import Result
from lib.student import decoder_only
from lib.tables import DASH, percent
from lib.tasks import Task
from lib.votes import ACROSS, CONTROLS, ORACLE, PAIRS, WAYS, by_question, decided, tokens_a_question

Sampled = Mapping[str, Sequence[dict]]
MATRICES = dict[tuple[str, str], np.ndarray]
PREDICTED = "predict"


def way_name(arm: str, way: str, samples: int) -> str:
    """A row's name: the arm's own for `predict:`, else "5 CoTs w/ SE: majority of 8"."""
    return arm if way == PREDICTED else f"{arm}: {WAYS[way].format(k=samples)}"


def right(results: Sequence[Result], sampled: Sampled, task: Task) -> MATRICES:
    """(arm, way) -> float[S, Q]: whether each seed's student answered rightly; questions in the order of their ids.

    0 or 1, but for the controls: there it is the share of the samples that are right, or of the orders of the weights
    that lead to a right answer.
    """
    found: MATRICES = {}
    for arm, group in comparison.by_arm(results).items():
        found[arm, PREDICTED] = comparison.correct(group)
        if all(r.run.id in sampled for r in group):
            seeds = [_right(r, sampled[r.run.id], task) for r in group]
            found |= {(arm, way): np.array([own[way] for own in seeds]) for way in WAYS if way in seeds[0]}
    return found


def main_table(results: Sequence[Result], sampled: Sampled, task: Task, alpha: float, draws: int) -> pd.DataFrame:
    """`comparison.overview` with rows for the other ways below their arm's, and four columns more.

    Of a way with samples: wrong step, uncheckable, unparsed and rationale accuracy are shares of all samples; steps
    and tokens are nan, as its arm's row has those of the same students.
    low, high           of the accuracy, as `comparison.spread`
    verdicts right      share of the teacher's test rationales judged rightly, "after phase 1 → after phase 2"
    tokens a question   read and written for one answer
    """
    frame, groups, matrices = comparison.overview(results), comparison.by_arm(results), right(results, sampled, task)
    samples, judged = number_of_samples(sampled), _verdicts_right(results)
    rows = {}
    for arm, way in matrices:
        row = frame.loc[arm].to_dict() | {"verdicts right": judged.get(arm, DASH) if way == PREDICTED else DASH}
        if way == PREDICTED:
            row["tokens a question"] = float(np.mean([_predicting(r) for r in groups[arm]]))
        else:
            row |= {"steps": float("nan"), "tokens": float("nan")}
            row |= _of_samples([sampled[r.run.id] for r in groups[arm]])
            costs = [tokens_a_question(sampled[r.run.id], _read(r))[way] for r in groups[arm]]
            row["tokens a question"] = float(np.mean(costs))
        row["accuracy"], row["std"], row["low"], row["high"], _ = comparison.spread(matrices[arm, way], alpha, draws)
        rows[way_name(arm, way, samples)] = row
    return pd.DataFrame(rows).T


def compared(results: Sequence[Result], sampled: Sampled, task: Task, alpha: float, draws: int) -> pd.DataFrame:
    """Each pair of ways of each arm with samples, as `comparison.comparisons`; one Holm for all.

    `votes.PAIRS` of one arm, then `votes.ACROSS` between an arm with self-evaluation and its counterpart without.
    """
    matrices, samples = right(results, sampled, task), number_of_samples(sampled)
    named = {way_name(arm, way, samples): matrix for (arm, way), matrix in matrices.items()}
    arms = [arm for arm in comparison.by_arm(results) if (arm, "majority") in matrices]
    pairs = [tuple(way_name(arm, way, samples) for way in pair) for arm in arms for pair in PAIRS]
    pairs += [
        (way_name(arm, way, samples), way_name(other, plain, samples))
        for arm, other in counterparts(results).items() for way, plain in ACROSS
    ]  # fmt: skip
    return comparison.compare_matrices(named, pairs, alpha, draws)


def controls(names: Sequence[str], samples: int) -> list[str]:
    """Those of the rows that are controls: an answer of one sample, shuffled weights."""
    return [name for name in names if any(name.endswith(f": {WAYS[way].format(k=samples)}") for way in CONTROLS)]


def number_of_samples(sampled: Sampled) -> int:
    """How many a question. UserError where runs differ, as ways are only comparable at equal samples."""
    found = {len(own) for rows in sampled.values() for own in by_question(rows).values()}
    if len(found) > 1:
        raise UserError(f"infer.samples: runs have {sorted(found)} samples a question; they must have equally many")
    return found.pop() if found else 0


def _right(result: Result, rows: Sequence[dict], task: Task) -> dict[str, list[float]]:
    gold = {q.question_id: q.gold_label for q in result.run.held_out.test}
    if {row["question_id"] for row in rows} != set(gold):
        raise UserError(f"run {result.run.id}: its sampled answers are not those of its {len(gold)} test questions")
    ways = decided(rows, task.equal, f"seed {result.run.seed}")
    found = {way: [_share(answers[q], gold[q], task) for q in sorted(gold)] for way, answers in ways.items()}
    said = {q: dict.fromkeys(row["rationale_label"] for row in own) for q, own in by_question(rows).items()}
    return found | {ORACLE: [any(_right_label(label, gold[q], task) for label in said[q]) for q in sorted(gold)]}


def _share(answers: Mapping[str, float], gold: str, task: Task) -> float:
    """Of the answers' shares, that of the right ones: exactly 0 or 1 where there is but one."""
    return min(1.0, sum(share for label, share in answers.items() if task.equal(label, gold)))


def _right_label(label: str | None, gold: str, task: Task) -> bool:
    return label is not None and task.equal(label, gold)


def _of_samples(seeds: Sequence[Sequence[dict]]) -> dict[str, float]:
    """Shares of all samples, as `measurement.summary` has them of one rationale a question."""
    rows = [row for own in seeds for row in own]
    checked = all(row["wrong_steps"] is not None for row in rows)
    return {
        "wrong step": float(np.mean([bool(row["wrong_steps"]) for row in rows])) if checked else float("nan"),
        "uncheckable": float(np.mean([not row["checked_steps"] for row in rows])) if checked else float("nan"),
        "unparsed": float(np.mean([row["rationale_label"] is None for row in rows])),
        "rationale accuracy": float(np.mean([row["rationale_correct"] for row in rows])),
    }


def _verdicts_right(results: Sequence[Result]) -> dict[str, str]:
    frame = verdicts.verdicts(results)
    return {arm: " → ".join(map(percent, own["with truth"])) for arm, own in frame.groupby("arm", sort=False)}


def _read(result: Result) -> dict[str, int]:
    """Tokens of each test question as it is asked for a rationale."""
    run = result.run
    ids = source_ids(run.tokenizer, [EXPLAIN + q.text for q in run.held_out.test], decoder_only(run.student))
    return {q.question_id: len(own) for q, own in zip(run.held_out.test, ids)}


def _predicting(result: Result) -> float:
    """Mean tokens of a question and its label; of a student that reasons first, of a question and all it writes."""
    run, rows = result.run, {p["question_id"]: p for p in result.predictions()}
    questions, only = run.held_out.test, decoder_only(run.student)
    if run.recipe.rationale_first:
        read = source_ids(run.tokenizer, [q.text for q in questions], only)
        wrote = [rows[q.question_id]["rationale_tokens"] + (not rows[q.question_id]["at_limit"]) for q in questions]
    else:
        read = source_ids(run.tokenizer, [PREDICT + q.text for q in questions], only)
        labels = target_ids(run.tokenizer, [rows[q.question_id]["student_label"] for q in questions], only)
        wrote = [min(len(ids), run.student.max_label_tokens) for ids in labels]  # at the limit no end is written
    return float(np.mean([len(ids) + n for ids, n in zip(read, wrote)]))
