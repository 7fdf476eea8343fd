"""A question answered several times: what the student wrote, whether it was right, what the student thinks of it.

rows = sampled_answers(student, task, questions, cfg.infer, key="seed 0", max_tokens=64, judge_sees="rationale")
# {"question_id": "arithmetic-test-00000", "sample": 0, "rationale": "Tom has ...", "rationale_label": "(3 + 4)",
#  "rationale_correct": true, "wrong_steps": [], "checked_steps": 3, "rationale_tokens": 31, "at_limit": false,
#  "p_correct": 0.83, "student_verdict": "correct", "judged_tokens": 34}
decided(rows, task.equal, "seed 0")["self-evaluated"]          # {"arithmetic-test-00000": "(3 + 4)", ...}
"""

from collections.abc import Callable, Mapping, Sequence

from lib.encoding import source_ids, target_ids
from lib.examples import EXPLAIN, PREDICT, shown
from lib.inference import draw, verdict_probabilities
from lib.measurement import explained
from lib.records import VERDICTS, Question
from lib.settings import Infer
from lib.student import Student
from lib.tasks import Task
from lib.votes import Label, best, shuffled, vote, weighted_vote

# How several sampled answers become one, and what each way is (k samples, the same ones for all).
WAYS = {
    "one": "one of {k} samples",
    "majority": "majority of {k}",
    "self-evaluated": "self-evaluated majority of {k}",
    "shuffled": "majority of {k}, weights shuffled",
    "re-ranked": "best of {k} by its own verdict",
}
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


def sampled_answers(
    student: Student,
    task: Task,
    questions: Sequence[Question],
    infer: Infer,
    key: str,
    max_tokens: int,
    judge_sees: str,
) -> list[dict]:
    """`infer.samples` rows a question, by question and sample.

    key   what the draws follow from, beside the question and the number of the sample
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
    text = {q.question_id: q.text for q in questions}
    judged = judge(student, [shown(text[row["question_id"]], row["rationale"], judge_sees) for row in rows])
    return [row | own for row, own in zip(rows, judged)]


def judge(student: Student, texts: Sequence[str]) -> list[dict]:
    """P(correct), the most probable verdict and the tokens that it cost, of each text; equal texts are judged once."""
    different = list(dict.fromkeys(texts))
    p = verdict_probabilities(student, different)
    ids = source_ids(student.tokenizer, [PREDICT + text for text in different], student.decoder_only)
    said = sum(map(len, target_ids(student.tokenizer, VERDICTS, student.decoder_only)))
    found = {
        text: {
            "p_correct": round(float(row[VERDICTS.index("correct")]), 6),
            "student_verdict": VERDICTS[int(row.argmax())],
            "judged_tokens": len(read) + said,
        }
        for text, row, read in zip(different, p, ids)
    }
    return [found[text] for text in texts]


def by_question(rows: Sequence[dict]) -> dict[str, list[dict]]:
    """The rows of each question in the order of their samples; questions by id."""
    groups: dict[str, list[dict]] = {}
    for row in sorted(rows, key=lambda row: (row["question_id"], row["sample"])):
        groups.setdefault(row["question_id"], []).append(row)
    return groups


def decided(rows: Sequence[dict], equal: Callable[[str, str], bool], key: str) -> dict[str, dict[str, Label]]:
    """Way -> question id -> the one answer; None where no sample arrives at any. `key`: what the shuffling follows."""
    answers = {q: _answers(own, equal, f"{key}/{q}") for q, own in by_question(rows).items()}
    return {way: {q: own[way] for q, own in answers.items()} for way in WAYS}


def _answers(rows: Sequence[dict], equal: Callable[[str, str], bool], key: str) -> dict[str, Label]:
    labels, p = [row["rationale_label"] for row in rows], [row["p_correct"] for row in rows]
    return {
        "one": labels[0],
        "majority": vote(labels, equal),
        "self-evaluated": weighted_vote(labels, p, equal),
        "shuffled": weighted_vote(labels, shuffled(labels, p, key), equal),
        "re-ranked": best(labels, p),
    }


def tokens_a_question(rows: Sequence[dict], read: Mapping[str, int]) -> dict[str, float]:
    """Way -> mean tokens that an answer costs: the question read once, what is written, and the verdicts if asked for.

    read   tokens of each question's input
    """
    groups = by_question(rows)
    written = {q: [row["rationale_tokens"] + (not row["at_limit"]) for row in own] for q, own in groups.items()}
    judged = {q: sum(row["judged_tokens"] for row in own) for q, own in groups.items()}
    one = _mean([read[q] + own[0] for q, own in written.items()])
    many = _mean([read[q] + sum(own) for q, own in written.items()])
    with_verdicts = many + _mean(list(judged.values()))
    return {"one": one, "majority": many} | dict.fromkeys(("self-evaluated", "shuffled", "re-ranked"), with_verdicts)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
