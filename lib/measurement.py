"""What is measured of a trained student: its answers, its rationales, its verdicts.

rows = answers(student, task, questions, explain=True, label_tokens=24, rationale_tokens=64)
# {"question_id": "arithmetic-test-00000", "student_label": "(3 + 4)", "correct": true,
#  "rationale": "Tom has ...", "rationale_label": "(3 + 4)", "rationale_correct": true,
#  "rationale_tokens": 31, "at_limit": false, "wrong_steps": [], "checked_steps": 3}
"""

from collections.abc import Sequence

from lib.errors import UserError
from lib.examples import EXPLAIN, PREDICT, parted
from lib.inference import Written, verdict_probabilities, write
from lib.records import VERDICTS, Question, Rationale
from lib.student import Student
from lib.tasks import Task


def validation_accuracy(
    student: Student, task: Task, questions: Sequence[Question], max_tokens: int, rationale_first: bool = False
) -> float:
    """Share of the student's labels that equal the gold label. The only thing that a model is ever selected by.

    max_tokens        what it may write: a label, or with `rationale_first` a whole "rationale --> label"
    """
    if rationale_first:
        labels = [parted(w.text)[1] or "" for w in write(student, [q.text for q in questions], max_tokens)]
    else:
        labels = [w.text for w in write(student, [PREDICT + q.text for q in questions], max_tokens)]
    return sum(task.equal(label, _gold(q)) for label, q in zip(labels, questions)) / len(questions)


def answers(
    student: Student,
    task: Task,
    questions: Sequence[Question],
    explain: bool,
    label_tokens: int,
    rationale_tokens: int,
    rationale_first: bool = False,
) -> list[dict]:
    """One row a question: the student's label and, if it learned to explain, its rationale step by step checked.

    correct           the label equals the gold label
    rationale         what it wrote for `explain:`; with `rationale_first` what stands before its last arrow
    rationale_label   the answer that the rationale arrives at; None if it gives none
    rationale_tokens  how many tokens it wrote for that, an arrow and a label among them
    at_limit          it wrote as many as it may, without an end
    wrong_steps       sentences of the rationale that the task's verifier refutes; None where there is no verifier
    checked_steps     how many sentences could be checked: a garbled rationale has none
    """
    if explain and rationale_first:
        texts = write(student, [q.text for q in questions], rationale_tokens)
        return [_parted(task, q, written) for q, written in zip(questions, texts)]
    labels = write(student, [PREDICT + q.text for q in questions], label_tokens)
    rows = [_labelled(task, q, label.text) for q, label in zip(questions, labels)]
    if not explain:
        return rows
    texts = write(student, [EXPLAIN + q.text for q in questions], rationale_tokens)
    return [row | explained(task, q, written) for row, q, written in zip(rows, questions, texts)]


def judgements(student: Student, judged: Sequence[tuple[Rationale, str, str | None]]) -> list[dict]:
    """One row a rationale: the student's most probable verdict and P(correct), the teacher's verdict, and the truth.

    judged   (rationale, the text that the student is shown, the teacher's verdict if there is one)
    """
    p = verdict_probabilities(student, [text for _, text, _ in judged])
    return [
        {
            "rationale_id": rationale.id,
            "student_verdict": VERDICTS[int(row.argmax())],
            "p_correct": round(float(row[VERDICTS.index("correct")]), 6),
            "teacher_verdict": teacher_verdict,
            "sound": rationale.sound,
        }
        for (rationale, _, teacher_verdict), row in zip(judged, p)
    ]


def summary(predictions: Sequence[dict]) -> dict:
    """Shares over the test questions: accuracy and, for an arm that explains, how its rationales fare.

    wrong_step   of all rationales: the verifier refutes a step; None where the task has no verifier
    uncheckable  of all rationales: nothing in it could be checked; None where the task has no verifier
    unparsed     of all rationales: it arrives at no answer
    """
    result = {"n": len(predictions), "accuracy": _share(p["correct"] for p in predictions)}
    explained = [p for p in predictions if "rationale" in p]
    if explained:
        result["unparsed"] = _share(p["rationale_label"] is None for p in explained)
        checked = all(p["wrong_steps"] is not None for p in explained)
        result["uncheckable"] = _share(not p["checked_steps"] for p in explained) if checked else None
        result["wrong_step"] = _share(bool(p["wrong_steps"]) for p in explained) if checked else None
        result["rationale_accuracy"] = _share(p["rationale_correct"] for p in explained)
    return result


def _labelled(task: Task, question: Question, label: str) -> dict:
    return {
        "question_id": question.question_id,
        "student_label": label,
        "correct": task.equal(label, _gold(question)),
    }


def explained(task: Task, question: Question, written: Written) -> dict:
    """A rationale by itself: the answer is the one that its text gives."""
    label = task.extract(written.text, question.choices).label
    return _checked(task, question, written.text, label, written)


def _parted(task: Task, question: Question, written: Written) -> dict:
    """A rationale with its label behind an arrow; without an arrow or a text behind it there is no label: wrong."""
    rationale, label = parted(written.text)
    return _labelled(task, question, label or "") | _checked(task, question, rationale, label, written)


def _checked(task: Task, question: Question, rationale: str, label: str | None, written: Written) -> dict:
    check = task.check(question, rationale) if task.check else None
    return {
        "rationale": rationale,
        "rationale_label": label,
        "rationale_correct": label is not None and task.equal(label, _gold(question)),
        "rationale_tokens": written.tokens,
        "at_limit": written.at_limit,
        "wrong_steps": list(check.wrong_steps) if check else None,
        "checked_steps": check.checkable if check else 0,
    }


def _gold(question: Question) -> str:
    if question.gold_label is None:
        raise UserError(f"{question.question_id}: no gold label; validation and test questions need one")
    return question.gold_label


def _share(flags) -> float | None:
    flags = list(flags)
    return sum(flags) / len(flags) if flags else None
