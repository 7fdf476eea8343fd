"""Selected rationales -> what a training step learns from.

Phase 2 (reasoning), one example a (question, rationale); phase 1 (self-evaluation), one a (rationale, evaluation):

    Example("arithmetic-train-00000/000", source="Tom has 3 pens. ...", label="(3 + 4)", rationale="Tom has ...")
    Example("arithmetic-train-00000/000/002", source="Tom has 3 pens. ... The answer is (3 + 4).",
            label="correct", rationale="Every step follows ...")

A student that writes its rationale first (Fine-tune-CoT) learns both as one target: "There ... = 7. --> (3 + 4)".
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from lib.errors import UserError
from lib.records import Evaluation, Question, Rationale

PREDICT, EXPLAIN, ARROW = "predict: ", "explain: ", " --> "


def completion(reasoning: str, answer: str) -> str:
    """c = (r, a) as text: "3 + 4 = 7." and "(3 + 4)" -> "3 + 4 = 7. --> (3 + 4)"; without reasoning "--> (3 + 4)"."""
    return f"{reasoning}{ARROW}{answer}".strip()


@dataclass(frozen=True)
class Example:
    """What one example asks: `predict: source` -> label and, if there is one, `explain: source` -> rationale.

    rationale_first   one task instead: source -> "rationale --> label"
    """

    id: str
    source: str
    label: str
    rationale: str | None
    rationale_first: bool = False

    def pairs(self) -> list[tuple[str, str]]:
        """(input text, target text) of each task."""
        if self.rationale_first:
            return [(self.source, completion(self.rationale, self.label))]
        label = [(PREDICT + self.source, self.label)]
        return label if self.rationale is None else [*label, (EXPLAIN + self.source, self.rationale)]

    def as_dict(self) -> dict:
        """Its fields; `rationale_first` only if it is set, so that the ids of earlier runs stay as they are."""
        fields = {"id": self.id, "source": self.source, "label": self.label, "rationale": self.rationale}
        return {**fields, "rationale_first": True} if self.rationale_first else fields


def parted(text: str) -> tuple[str, str | None]:
    """A student's "rationale --> label" in its parts, at the last arrow; without it, or a text behind it, no label."""
    rationale, arrow, label = f" {text} ".rpartition(ARROW)
    return (rationale.strip(), label.strip() or None) if arrow else (text.strip(), None)


def reasoning_examples(
    questions: dict[str, Question],
    chosen: dict[str, list[Rationale]],
    labels: str,
    explain: bool,
    votes: dict[str, str],
    rationale_first: bool = False,
) -> list[Example]:
    """Phase 2's examples: one a chosen rationale.

    chosen   the rationales a strategy selected, by question
    labels   "teacher": each rationale's own teacher_label (P-label); "gold" (H-label);
             "majority": the question's most frequent teacher_label
    votes    the majority label of each question (`majority_labels`)
    rationale_first   of those with a rationale: it is the reasoning, and the label its end
    """
    first = explain and rationale_first
    return [
        Example(
            id=rationale.id,
            source=questions[question_id].text,
            label=_label(questions[question_id], rationale, labels, votes),
            rationale=(rationale.reasoning if first else rationale.text) if explain else None,
            rationale_first=first,
        )
        for question_id, rationales in sorted(chosen.items())
        for rationale in rationales
    ]


def self_evaluation_examples(
    questions: dict[str, Question],
    rationales: dict[str, Rationale],
    evaluations: Iterable[Evaluation],
    per_rationale: int,
    judge_sees: str,
) -> list[Example]:
    """Phase 1's examples: the first `per_rationale` evaluations of each of the given rationales.

    judge_sees   "rationale": the CoT alone, as the reference does; "question and rationale"
    """
    kept = [e for e in evaluations if e.rationale_id in rationales and e.sample < per_rationale]
    return [
        Example(
            id=evaluation.id,
            source=judged_text(questions[evaluation.question_id], rationales[evaluation.rationale_id], judge_sees),
            label=evaluation.verdict,
            rationale=evaluation.critique,
        )
        for evaluation in sorted(kept, key=lambda e: e.id)
    ]


def judged_text(question: Question, rationale: Rationale, judge_sees: str) -> str:
    """What the student is shown when it judges a rationale."""
    return shown(question.text, rationale.text, judge_sees)


def shown(question: str, rationale: str, judge_sees: str) -> str:
    """The same of texts, such as of a rationale that the student wrote itself."""
    return rationale if judge_sees == "rationale" else f"{question} {rationale}"


def majority_labels(rationales: Iterable[Rationale], equal) -> dict[str, str]:
    """Each question's most frequent teacher_label, equal values counted together; on a tie the earliest sample's.

    equal   the task's comparison of two labels
    """
    by_question: dict[str, list[str]] = {}
    for rationale in sorted(rationales, key=lambda r: r.id):
        by_question.setdefault(rationale.question_id, []).append(rationale.teacher_label)
    return {question_id: majority(labels, equal) for question_id, labels in by_question.items()}


def majority(labels: list[str], equal) -> str:
    """The label with most equals among `labels`; on a tie the earliest: (3 + 4), (3 - 4), (4 + 3) -> (3 + 4)."""
    texts = Counter(labels)  # in order of first appearance, so that the earliest wins a tie
    if len(texts) == 1:
        return labels[0]
    return max(texts, key=lambda label: sum(n for other, n in texts.items() if other == label or equal(label, other)))


def _label(question: Question, rationale: Rationale, labels: str, votes: dict[str, str]) -> str:
    if labels == "teacher":
        return rationale.teacher_label
    if labels == "majority":
        return votes[question.question_id]
    if question.gold_label is None:
        raise UserError(f"{question.question_id}: no gold label; train.labels: gold needs one for every question")
    return question.gold_label
