"""Several sampled answers to a question become one: by majority, by weighted majority, by the best of them.

rows = sampled_answers(student, task, questions, cfg.infer, key="seed 0", max_tokens=64, judge_sees="rationale")
# {"question_id": "arithmetic-test-00000", "sample": 0, "rationale": "Tom has ...", "rationale_label": "(3 + 4)",
#  "rationale_correct": true, "wrong_steps": [], "checked_steps": 3, "rationale_tokens": 31, "at_limit": false,
#  "p_correct": 0.83, "student_verdict": "correct", "judged_tokens": 34}
decided(rows, task.equal, "seed 0")["self-evaluated"]       # {"arithmetic-test-00000": {"(3 + 4)": 1.0}, ...}

    labels = ["7", "8", None, "7.0", "8"]                       # None: a rationale that arrives at no answer
    weighted_vote(labels, [.2, .9, .9, .1, .3], equal)          # "8": .9 + .3 against .2 + .1
    vote(labels, equal)                                         # "7": a tie, and 7 came first
    best(labels, [.2, .9, .9, .1, .3])                          # "8"

Self-consistency is the vote with equal weights (Wang et al. 2023). In self-evaluated self-consistency each answer
weighs as much as the student's own P(correct) of its rationale; re-ranking takes the answer of the one rationale that
it believes in most. An answer of None neither votes nor wins. Ties go to the answer that came first.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import permutations

import numpy as np

from lib.draws import draw as drawn
from lib.errors import UserError
from lib.examples import EXPLAIN, shown
from lib.inference import draw, tokens_to_judge, verdict_probabilities
from lib.measurement import explained
from lib.records import VERDICTS, Question
from lib.settings import Infer
from lib.student import Student
from lib.tasks import Task

Label = str | None
Equal = Callable[[str, str], bool]

# How several sampled answers become one, and what each way is (k samples, the same ones for all).
WAYS = {
    "one": "one of {k} samples",
    "majority": "majority of {k}",
    "self-evaluated": "self-evaluated majority of {k}",
    "shuffled": "majority of {k}, weights shuffled",
    "re-ranked": "best of {k} by its own verdict",
    "oracle": "any of {k} is right",
}
JUDGED = ("self-evaluated", "shuffled", "re-ranked")  # those that take a student that judges
ORACLE = "oracle"  # knows the truth: no way to answer, but what choosing among the samples could reach
CONTROLS = ("one", "shuffled")
# (way, what it is compared with); "predict" is the student's answer without a rationale.
PAIRS = (
    ("majority", "predict"),
    ("self-evaluated", "majority"),
    ("self-evaluated", "shuffled"),
    ("self-evaluated", "predict"),
    ("re-ranked", "one"),
    ("re-ranked", "majority"),
)
# The same between an arm with self-evaluation and its like without: what learning to judge does to the samples alone,
# and what learning and asking for verdicts come to together.
ACROSS = (("majority", "majority"), ("self-evaluated", "majority"))
ORDERS = 120  # of a question's weights: all of five


# -- votes -------------------------------------------------------------------------------------------


def weighted_vote(labels: Sequence[Label], weights: Sequence[float], equal: Equal) -> Label:
    """The label whose equals have the largest sum of weights; None where there is no label at all.

    weights   one a label, finite and at least 0; where all are 0 the first label wins
    equal     the task's comparison of two labels
    """
    labels, weights = _there(labels, weights)
    return _winner(_voters(labels, equal), weights)


def vote(labels: Sequence[Label], equal: Equal) -> Label:
    """Plain majority: every answer weighs the same."""
    return weighted_vote(labels, [1.0] * len(labels), equal)


def best(labels: Sequence[Label], scores: Sequence[float]) -> Label:
    """The label with the highest score; None where there is no label at all."""
    return max(zip(*_there(labels, scores)), key=lambda pair: pair[1], default=(None, 0.0))[0]


def shuffled(labels: Sequence[Label], weights: Sequence[float], equal: Equal, key: str) -> dict[str, float]:
    """Label -> the share of the orders of the weights in which it wins: what the vote is worth if they say nothing.

    The weights change places among the labels that are there: in all their orders, or in ORDERS that `key` draws where
    there are more. One order alone would often be the weights' own, or nearly.

    shuffled(["7", "8"], [.9, .1], equal, key)      # {"7": .5, "8": .5}
    """
    labels, weights = _there(labels, weights)
    voters = _voters(labels, equal)
    if len(voters) < 2:
        return dict.fromkeys(voters, 1.0)
    wins = Counter(_winner(voters, order) for order in _orders(weights, key))
    return {label: count / wins.total() for label, count in wins.items()}


def any_one(labels: Sequence[Label]) -> dict[str, float]:
    """Label -> the share of the samples that say it; what is missing to 1 arrives at no answer.

    any_one(["7", "8", "7", None])      # {"7": .5, "8": .25}
    """
    return {label: n / len(labels) for label, n in Counter(labels).items() if label is not None}


def _orders(weights: Sequence[float], key: str) -> Iterable[Sequence[float]]:
    if math.factorial(len(weights)) <= ORDERS:
        return permutations(weights)
    rng = np.random.default_rng(int.from_bytes(drawn(f"shuffled/{key}")))
    return (rng.permutation(weights).tolist() for _ in range(ORDERS))


def _there(labels: Sequence[Label], weights: Sequence[float]) -> tuple[list[str], list[float]]:
    """The labels that are no None, and their weights. UserError for weights that are unfit."""
    if len(labels) != len(weights):
        raise UserError(f"a vote: {len(labels)} labels with {len(weights)} weights; one weight a label is needed")
    for i, weight in enumerate(weights):
        if not (math.isfinite(weight) and weight >= 0):
            raise UserError(f"a vote: weight {i} is {weight}; allowed: finite numbers, at least 0")
    there = [i for i, label in enumerate(labels) if label is not None]
    return [labels[i] for i in there], [weights[i] for i in there]


def _voters(labels: Sequence[str], equal: Equal) -> dict[str, list[int]]:
    """Which places vote for each text, those of its equals; in order of appearance, so that the first wins a tie."""
    same = lambda text, other: other == text or equal(text, other)  # noqa: E731
    return {text: [i for i, other in enumerate(labels) if same(text, other)] for text in dict.fromkeys(labels)}


def _winner(voters: Mapping[str, list[int]], weights: Sequence[float]) -> Label:
    # exact sums, or the order of the samples would decide between equal ones
    return max(voters, key=lambda text: math.fsum(weights[i] for i in voters[text]), default=None)


# -- samples -----------------------------------------------------------------------------------------


def sampled_answers(
    student: Student,
    task: Task,
    questions: Sequence[Question],
    infer: Infer,
    key: str,
    max_tokens: int,
    judge_sees: str | None,
) -> list[dict]:
    """`infer.samples` rows a question, by question and sample.

    key   what the draws follow from, beside the question and the number of the sample
    judge_sees   None: of a student that did not learn to judge; its rows lack the three that follow
    p_correct, student_verdict   of the sample's rationale, as the student judges the teacher's (lib/measurement.py)
    judged_tokens                what it read for that, and the three verdicts
    """
    sources = [EXPLAIN + q.text for q in questions]
    written = draw(student, sources, max_tokens, infer.samples, infer.temperature, infer.top_p, key)
    rows = [
        {"question_id": q.question_id, "sample": i, **explained(task, q, one)}
        for q, own in zip(questions, written)
        for i, one in enumerate(own)
    ]
    if judge_sees is None:
        return rows
    text = {q.question_id: q.text for q in questions}
    judged = judge(student, [shown(text[row["question_id"]], row["rationale"], judge_sees) for row in rows])
    return [row | own for row, own in zip(rows, judged)]


def judge(student: Student, texts: Sequence[str]) -> list[dict]:
    """P(correct), the most probable verdict and the tokens that it cost, of each text; equal texts are judged once."""
    different = list(dict.fromkeys(texts))
    p, cost = verdict_probabilities(student, different), tokens_to_judge(student, different)
    found = {
        text: {
            "p_correct": round(float(row[VERDICTS.index("correct")]), 6),
            "student_verdict": VERDICTS[int(row.argmax())],
            "judged_tokens": tokens,
        }
        for text, row, tokens in zip(different, p, cost)
    }
    return [found[text] for text in texts]


def by_question(rows: Sequence[dict]) -> dict[str, list[dict]]:
    """The rows of each question in the order of their samples; questions by id."""
    groups: dict[str, list[dict]] = {}
    for row in sorted(rows, key=lambda row: (row["question_id"], row["sample"])):
        groups.setdefault(row["question_id"], []).append(row)
    return groups


def decided(rows: Sequence[dict], equal: Equal, key: str) -> dict[str, dict[str, dict[str, float]]]:
    """Way -> question id -> {answer: its share}: one answer of share 1, but for the controls, which give several.

    One sample is any of them, with the same chance; what arrives at no answer keeps its share. Else {} where no sample
    arrives at any. Without P(correct) the ways that need it are left out; the oracle always is.
    key   what drawn orders follow from
    """
    answers = {q: _answers(own, equal, f"{key}/{q}") for q, own in by_question(rows).items()}
    ways = [way for way in WAYS if all(way in own for own in answers.values())]
    return {way: {q: own[way] for q, own in answers.items()} for way in ways}


def _answers(rows: Sequence[dict], equal: Equal, key: str) -> dict[str, dict[str, float]]:
    labels = [row["rationale_label"] for row in rows]
    found = {"one": any_one(labels), "majority": _alone(vote(labels, equal))}
    if any("p_correct" not in row for row in rows):
        return found
    p = [row["p_correct"] for row in rows]
    found |= {"self-evaluated": _alone(weighted_vote(labels, p, equal)), "re-ranked": _alone(best(labels, p))}
    return found | {"shuffled": shuffled(labels, p, equal, key)}


def _alone(label: Label) -> dict[str, float]:
    return {} if label is None else {label: 1.0}


def tokens_a_question(rows: Sequence[dict], read: Mapping[str, int]) -> dict[str, float]:
    """Way -> mean tokens that an answer costs: the question read once, what is written, and the verdicts if asked for.

    read   tokens of each question's input
    """
    groups = by_question(rows)
    written = {q: [row["rationale_tokens"] + (not row["at_limit"]) for row in own] for q, own in groups.items()}
    one = _mean([read[q] + _mean(own) for q, own in written.items()])
    many = _mean([read[q] + sum(own) for q, own in written.items()])
    costs = {"one": one, "majority": many, ORACLE: many}
    if any("judged_tokens" not in row for row in rows):
        return costs
    judged = _mean([sum(row["judged_tokens"] for row in own) for own in groups.values()])
    return costs | dict.fromkeys(JUDGED, many + judged)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
