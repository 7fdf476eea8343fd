"""Ask the teacher for rationales and for self-evaluations, never twice for the same thing.

questions × N samples -> requests -> store or teacher -> responses -> Rationale and Failure rows

sampled = sample_rationales(questions, task, teacher, store, cfg.generate)
sampled.rows[0].text        # "Tom has 12 pens. ... The answer is (12 + 7)."
sampled.usage.calls         # 10600
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from lib.config import Generate, Sampling, SelfEval
from lib.errors import UserError
from lib.progress import progress as show_progress
from lib.records import SPLITS, Evaluation, Failure, Question, Rationale, Row, Split
from lib.tasks import Task
from lib.teacher import Request, Response, Teacher, prompts
from lib.teacher.store import Store, request_key
from lib.teacher.tokens import prompt_tokens

Progress = Callable[[Iterable, int, str], Iterator]


@dataclass(frozen=True)
class Ask:
    """One request about one item: a question (for a rationale) or a rationale (for an evaluation)."""

    item: Question | Rationale
    request: Request


@dataclass(frozen=True)
class Usage:
    """What the answers cost. Two identical requests are one call.

    calls        distinct requests; `sent` of them now, `replayed` from the store
    by_split     split -> (calls, prompt tokens, completion tokens)
    """

    calls: int
    sent: int
    replayed: int
    prompt_tokens: int
    completion_tokens: int
    by_split: dict[str, tuple[int, int, int]]


@dataclass(frozen=True)
class Estimate:
    """What asking will cost: prompt tokens are counted in white-space pieces, completion tokens at their limit."""

    calls: int
    prompt_tokens: int
    completion_tokens_at_most: int


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


def rationale_asks(questions: Sequence[Question], task: Task, settings: Generate) -> list[Ask]:
    """N sampled rationales for a training question, one greedy one for a validation or test question."""
    prompts.refuse_seen(task.name, prompts.COT, (question.text for question in questions))
    return [
        Ask(question, request)
        for question in questions
        for request in _requests(
            prompts.cot_messages(task.name, question.text, settings.exemplars),
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
    prompts.refuse_seen(task.name, prompts.SELF_EVAL, (question.text for question in questions))
    text = {question.id: question.text for question in questions}
    return [
        Ask(rationale, request)
        for rationale in rationales
        for request in _requests(
            prompts.self_eval_messages(task.name, text[rationale.question_id], rationale.text, settings.exemplars),
            rationale.split,
            settings.evaluations,
            settings,
        )
    ]


def _requests(messages, split: Split, samples: int, settings: Sampling) -> list[Request]:
    if split != "train":
        return [Request(messages, 0.0, settings.max_tokens, 0)]
    return [Request(messages, settings.temperature, settings.max_tokens, sample) for sample in range(samples)]


def estimate(asks: Sequence[Ask], teacher: Teacher, store: Store | None = None) -> Estimate:
    """Cost before anything is sent; with a store, of what it does not hold."""
    requests = [ask.request for _, ask in _missing(_distinct(asks, teacher), store)]
    return Estimate(
        calls=len(requests),
        prompt_tokens=sum(prompt_tokens(request.messages) for request in requests),
        completion_tokens_at_most=sum(request.max_tokens for request in requests),
    )


# -- asking --------------------------------------------------------------------------------------


def sample_rationales(
    questions: Sequence[Question],
    task: Task,
    teacher: Teacher,
    store: Store,
    settings: Generate,
    progress: Progress = show_progress,
) -> Sampled:
    """A Rationale row for every usable answer, compared to the gold label and its steps verified; else a Failure.

    Raises UserError where not one answer is usable.
    """
    asks = rationale_asks(questions, task, settings)
    responses, usage = _answers(asks, teacher, store, "rationales", progress)
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
    responses, usage = _answers(asks, teacher, store, "evaluations", progress)
    return _sampled([_evaluation(ask, response) for ask, response in zip(asks, responses)], usage)


def _answers(
    asks: Sequence[Ask], teacher: Teacher, store: Store, label: str, progress: Progress
) -> tuple[list[Response], Usage]:
    """Each ask's response, in order. A failure from an earlier run is asked again, once."""
    distinct = _distinct(asks, teacher)
    missing = _missing(distinct, store)
    for key, ask in progress(missing, len(missing), label):
        store.put(key, teacher.complete(ask.request))
    keys = [request_key(teacher.identity, ask.request) for ask in asks]
    return [store.get(key) for key in keys], _usage(distinct, store, len(missing))


def _distinct(asks: Sequence[Ask], teacher: Teacher) -> dict[str, Ask]:
    """Key -> the first ask with it."""
    distinct: dict[str, Ask] = {}
    for ask in asks:
        distinct.setdefault(request_key(teacher.identity, ask.request), ask)
    return distinct


def _missing(distinct: dict[str, Ask], store: Store | None) -> list[tuple[str, Ask]]:
    """What has to be sent: what the store lacks or holds as a failure."""
    if store is None:
        return list(distinct.items())
    stored = ((key, ask, store.get(key)) for key, ask in distinct.items())
    return [(key, ask) for key, ask, response in stored if response is None or response.failure]


def _usage(distinct: dict[str, Ask], store: Store, sent: int) -> Usage:
    spent = [(ask.item.split, store.get(key)) for key, ask in distinct.items()]
    by_split = {
        split: (len(own), sum(r.prompt_tokens for r in own), sum(r.completion_tokens for r in own))
        for split in SPLITS
        for own in [[response for s, response in spent if s == split]]
    }
    _, prompt, completion = map(sum, zip(*by_split.values()))
    return Usage(len(distinct), sent, len(distinct) - sent, prompt, completion, by_split)


# -- from responses to rows ----------------------------------------------------------------------


def _sampled(rows: list[Row], usage: Usage) -> Sampled:
    return Sampled(
        [row for row in rows if not isinstance(row, Failure)], [row for row in rows if isinstance(row, Failure)], usage
    )


def _rationale(ask: Ask, response: Response, task: Task) -> Rationale | Failure:
    question, sample = ask.item, ask.request.sample
    if response.failure:
        return _failure(ask, response, response.failure)
    answer = task.extract(response.text)
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
