"""Ask the teacher for rationales and for self-evaluations, never twice for the same thing.

questions × N samples -> requests -> store or teacher -> responses -> Rationale and Failure rows

Zero-shot (no exemplars) a rationale takes two calls: the second asks for the answer that the first one arrived at.
Iterative refinement (lib/refinement.py) brings exemplars of its own instead of the prompt file's.

sampled = sample_rationales(questions, task, teacher, store, cfg.generate)
sampled.rows[0].text        # "Tom has 12 pens. ... The answer is (12 + 7)."
sampled.usage.calls         # 10600
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from lib.asking import Ask, Progress, Usage, answers
from lib.errors import UserError
from lib.progress import progress as show_progress
from lib.records import SPLITS, Evaluation, Failure, Question, Rationale, Row, Split
from lib.settings import Generate, Sampling, SelfEval
from lib.tasks import Task
from lib.teacher import Request, Response, Teacher, prompts
from lib.teacher.store import Store
from lib.zero_shot import spent_on_answers, with_answers

Exemplars = Callable[[Question], Sequence[prompts.Exemplar]]  # what to show when this question is asked


@dataclass(frozen=True)
class Sampled:
    """Usable rows, unusable responses with their reasons, and what it all cost."""

    rows: list
    failures: list[Failure]
    usage: Usage

    @property
    def reasons(self) -> dict[str, int]:
        """Failures by reason, most frequent first."""
        return dict(sorted(Counter(f.reason for f in self.failures).items(), key=lambda pair: (-pair[1], pair[0])))


@dataclass(frozen=True)
class Coverage:
    """How many rows the items of a split have: fewest, mean, most, and how many items have none."""

    split: Split
    items: int
    rows: int
    fewest: int
    mean: float
    most: int
    without: int


# -- what to ask ---------------------------------------------------------------------------------


def rationale_asks(
    questions: Sequence[Question], task: Task, settings: Generate, exemplars: Exemplars | None = None
) -> list[Ask]:
    """N sampled rationales for a training question, one greedy one for a validation or test question.

    exemplars   what to show with each question; None: the first `settings.exemplars` of the task's prompt file
    Raises UserError where an exemplar is the question that it is shown for.
    """
    if exemplars is None and settings.exemplars:
        prompts.refuse_seen(task.prompts, prompts.COT, (question.text for question in questions))
    return [
        Ask(question, request)
        for question in questions
        for request in _requests(
            prompts.cot_messages(task.prompts, question.text, _shown(question, settings, exemplars)),
            question.split,
            settings.rationales,
            settings,
        )
    ]


def evaluation_asks(
    questions: Sequence[Question], rationales: Sequence[Rationale], task: Task, settings: SelfEval
) -> list[Ask]:
    """M sampled evaluations of a training rationale, one greedy one of any other; none at all for M = 0."""
    if settings.evaluations == 0:
        return []
    prompts.refuse_seen(task.prompts, prompts.SELF_EVAL, (question.text for question in questions))
    text = {question.id: question.text for question in questions}
    return [
        Ask(rationale, request)
        for rationale in rationales
        for request in _requests(
            prompts.self_eval_messages(task.prompts, text[rationale.question_id], rationale.text, settings.exemplars),
            rationale.split,
            settings.evaluations,
            settings,
        )
    ]


def _shown(question: Question, settings: Generate, exemplars: Exemplars | None) -> int | tuple[prompts.Exemplar, ...]:
    if exemplars is None:
        return settings.exemplars
    shown = tuple(exemplars(question))
    if not shown:
        raise UserError(f"question {question.id}: no exemplar to show; at least 1 is needed")
    if prompts.stem(question.text) in {prompts.stem(exemplar.question) for exemplar in shown}:
        raise UserError(f"question {question.id}: stands among the exemplars shown for it: {question.text!r:.80}")
    return shown


def refuse_unknown(task: Task, teacher: Teacher) -> None:
    """UserError where the teacher cannot know what this task asks."""
    if teacher.tasks is not None and task.name not in teacher.tasks:
        raise UserError(
            f"task: {task.name}: the simulated teacher answers only {', '.join(teacher.tasks)}; set teacher.kind to "
            "openai or recorded"
        )
    if teacher.tasks is not None and task.check is None:
        raise UserError(
            f"task: {task.name}: no step verifier, by which the simulated teacher judges; give its entry in "
            "lib/tasks/__init__.py a check"
        )


def _requests(messages, split: Split, samples: int, settings: Sampling) -> list[Request]:
    if split != "train":
        return [Request(messages, 0.0, settings.max_tokens, 0)]
    return [Request(messages, settings.temperature, settings.max_tokens, sample) for sample in range(samples)]


# -- asking --------------------------------------------------------------------------------------


def sample_rationales(
    questions: Sequence[Question],
    task: Task,
    teacher: Teacher,
    store: Store,
    settings: Generate,
    progress: Progress = show_progress,
    exemplars: Exemplars | None = None,
    spent: float = 0.0,
) -> Sampled:
    """A Rationale row for every usable answer, compared to the gold label and its steps verified; else a Failure.

    exemplars   see `rationale_asks`; with them there is one call a rationale, never two
    spent       what the stage has cost before these, which its budget counts

    Raises UserError where not one answer is usable, for a dry run and where the teacher stops (budget, wrong key, ...).
    """
    refuse_unknown(task, teacher)
    asks = rationale_asks(questions, task, settings, exemplars)
    zero_shot = exemplars is None and not settings.exemplars
    before = spent
    spent += spent_on_answers(asks, task, teacher, store) if zero_shot else 0.0
    responses, usage = answers(asks, teacher, store, "rationales", progress, spent)
    if zero_shot:
        responses, usage = with_answers(asks, responses, usage, task, teacher, store, progress, before)
    sampled = _sampled([_rationale(ask, response, task) for ask, response in zip(asks, responses)], usage)
    if not sampled.rows:
        reasons = "; ".join(f"{reason} ({count})" for reason, count in sampled.reasons.items()) or "nothing was asked"
        raise UserError(f"task {task.name}: the teacher gave no usable rationale: {reasons:.300}")
    return sampled


def sample_evaluations(
    questions: Sequence[Question],
    rationales: Sequence[Rationale],
    task: Task,
    teacher: Teacher,
    store: Store,
    settings: SelfEval,
    progress: Progress = show_progress,
) -> Sampled:
    """An Evaluation row for every answer with a verdict and a critique; else a Failure."""
    asks = evaluation_asks(questions, rationales, task, settings)
    responses, usage = answers(asks, teacher, store, "evaluations", progress)
    return _sampled([_evaluation(ask, response) for ask, response in zip(asks, responses)], usage)


# -- from responses to rows ----------------------------------------------------------------------


def _sampled(rows: list[Row], usage: Usage) -> Sampled:
    return Sampled(
        [row for row in rows if not isinstance(row, Failure)], [row for row in rows if isinstance(row, Failure)], usage
    )


def _rationale(ask: Ask, response: Response, task: Task) -> Rationale | Failure:
    question, sample = ask.item, ask.request.sample
    if response.failure:
        return _failure(ask, response, response.failure)
    answer = task.extract(response.text, question.choices)
    if answer.label is None:
        return _failure(ask, response, answer.how)
    gold = question.gold_label
    return Rationale(
        question_id=question.id,
        sample=sample,
        split=question.split,
        text=answer.text,
        reasoning=answer.reasoning,
        teacher_label=answer.label,
        how=answer.how,
        correct=None if gold is None else task.equal(answer.label, gold),
        wrong_steps=None if task.check is None else task.check(question, answer.text).wrong_steps,
    )


def _evaluation(ask: Ask, response: Response) -> Evaluation | Failure:
    if response.failure:
        return _failure(ask, response, response.failure)
    verdict, critique = prompts.parse_evaluation(response.text)
    if verdict is None or not critique:
        return _failure(ask, response, "no verdict found" if verdict is None else "no critique")
    return Evaluation(
        question_id=ask.item.question_id,
        rationale_sample=ask.item.sample,
        sample=ask.request.sample,
        split=ask.item.split,
        verdict=verdict,
        critique=critique,
    )


def _failure(ask: Ask, response: Response, reason: str) -> Failure:
    return Failure(
        item_id=ask.item.id, sample=ask.request.sample, split=ask.item.split, reason=reason, text=response.text
    )


# -- what was got --------------------------------------------------------------------------------


def coverage(items: Sequence[Question | Rationale], rows: Iterable[Rationale | Evaluation]) -> list[Coverage]:
    """How many rationales the questions (or evaluations the rationales) of each split have; empty splits left out."""
    counts = Counter(row.rationale_id if isinstance(row, Evaluation) else row.question_id for row in rows)
    own = {split: [counts[item.id] for item in items if item.split == split] for split in SPLITS}
    return [
        Coverage(split, len(n), sum(n), min(n), sum(n) / len(n), max(n), n.count(0)) for split, n in own.items() if n
    ]
