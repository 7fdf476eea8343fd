"""Send what the store lacks: never twice the same thing, within the budget, in rounds until all is as good as it gets.

asks -> requests by key -> store or teacher -> responses in the order of the asks, and what they cost

An unusable answer (cut off, filtered, refused, empty) is asked for again `teacher.unusable_retries` times, over all
runs. A call that failed on the way is made again on the next run, and until then the stage is not done
(`teacher.failed_calls`).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from lib.errors import UserError
from lib.records import SPLITS, Question, Rationale, Split
from lib.teacher import Deliver, Pending, Request, Response, Teacher
from lib.teacher.store import Store, request_key
from lib.teacher.terms import Budget, Terms

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
    by_split     split -> (calls, prompt tokens, completion tokens); tokens of repeated attempts are counted as well
    by_question  question id -> the same
    money        what the tokens cost, in the currency of teacher.prices; None without a price
    """

    calls: int
    sent: int
    replayed: int
    prompt_tokens: int
    completion_tokens: int
    by_split: dict[str, tuple[int, int, int]]
    by_question: dict[str, tuple[int, int, int]]
    money: float | None = None


def answers(
    asks: Sequence[Ask], teacher: Teacher, store: Store, label: str, progress: Progress, spent: float = 0.0
) -> tuple[list[Response], Usage]:
    """Each ask's response, in order; `spent` is what the stage has cost before these."""
    distinct = distinct_asks(asks, teacher)
    pending = missing(distinct, store, teacher)
    if pending and teacher.terms.dry_run:
        raise UserError(f"teacher.dry_run: true; nothing was sent, {len(pending)} {label} would have been asked for")
    budget = Budget(teacher.terms, spent + (usage_of(distinct, store, teacher, 0).money or 0.0))
    sent = len(pending)
    while pending:
        with _stored(store, progress, len(pending), label) as deliver:
            teacher.complete_all(pending, deliver, budget)
        pending = [item for item in missing(distinct, store, teacher) if store.get(item.key).unusable]
    _refuse_failed(distinct, store, teacher, label)
    keys = [request_key(teacher.identity, ask.request) for ask in asks]
    return [store.get(key) for key in keys], usage_of(distinct, store, teacher, sent)


def _refuse_failed(distinct: dict[str, Ask], store: Store, teacher: Teacher, label: str) -> None:
    """UserError where calls failed on the way, unless the terms accept that: their rows would be silently missing."""
    stored = (store.get(key) for key in distinct)
    failed = Counter(response.failure for response in stored if response.failure and not response.unusable)
    if failed and not teacher.terms.accept_failed:
        reasons = ", ".join(f"{times} ({reason})" for reason, times in failed.most_common(3))
        raise UserError(
            f"{failed.total()} of {len(distinct)} calls for {label} failed on the way: {reasons}; all answers are "
            "stored: run again to make only these calls, or do without them by teacher.failed_calls: accept"
        )


@contextmanager
def _stored(store: Store, progress: Progress, total: int, label: str) -> Iterator[Deliver]:
    """What to do with each response: store it, and move the bar."""
    ticks = iter(progress(range(total), total, label))
    next(ticks, None)

    def deliver(key: str, response: Response) -> None:
        store.put(key, response)
        next(ticks, None)

    yield deliver


def distinct_asks(asks: Sequence[Ask], teacher: Teacher) -> dict[str, Ask]:
    """Key -> the first ask with it."""
    distinct: dict[str, Ask] = {}
    for ask in asks:
        distinct.setdefault(request_key(teacher.identity, ask.request), ask)
    return distinct


def missing(distinct: dict[str, Ask], store: Store | None, teacher: Teacher) -> list[Pending]:
    """What has to be sent: what the store lacks, what failed on the way, what is unusable and may be asked again.

    Requests that were asked before come last, so that a few bad ones do not hold up the others.
    """
    if store is None:
        return [Pending(key, ask.request) for key, ask in distinct.items()]
    stored = ((key, ask, store.get(key)) for key, ask in distinct.items())
    pending = [
        Pending(key, ask.request, response.attempts if response else 0)
        for key, ask, response in stored
        if response is None
        or (response.failure and (not response.unusable or response.attempts <= teacher.terms.unusable_retries))
    ]
    return sorted(pending, key=lambda item: item.attempts > 0)


def usage_of(distinct: dict[str, Ask], store: Store, teacher: Teacher, sent: int) -> Usage:
    """What the stored answers to these asks cost so far."""
    spent = [(ask.item, response) for key, ask in distinct.items() if (response := store.get(key))]
    by_split, by_question = dict.fromkeys(SPLITS, _NOTHING), {}
    for item, response in spent:
        tokens = (1, response.prompt_tokens, response.completion_tokens)
        by_split[item.split] = _plus(by_split[item.split], tokens)
        by_question[item.question_id] = _plus(by_question.get(item.question_id, _NOTHING), tokens)
    _, prompt, completion = map(sum, zip(*by_split.values()))
    money = teacher.terms.money(prompt, completion)
    return Usage(len(distinct), sent, len(distinct) - sent, prompt, completion, by_split, by_question, money)


def together(one: Usage, other: Usage) -> Usage:
    """The usage of two rounds of calls together."""
    both = one.by_question.keys() | other.by_question.keys()
    return Usage(
        *(getattr(one, name) + getattr(other, name) for name in ("calls", "sent", "replayed")),
        prompt_tokens=one.prompt_tokens + other.prompt_tokens,
        completion_tokens=one.completion_tokens + other.completion_tokens,
        by_split={s: _plus(one.by_split[s], other.by_split[s]) for s in SPLITS},
        by_question={q: _plus(one.by_question.get(q, _NOTHING), other.by_question.get(q, _NOTHING)) for q in both},
        money=None if one.money is None or other.money is None else one.money + other.money,
    )


_NOTHING = (0, 0, 0)


def _plus(one: tuple[int, int, int], other: tuple[int, int, int]) -> tuple[int, int, int]:
    return tuple(map(sum, zip(one, other)))


def cost_rows(usage: Usage, questions: Mapping[str, Split], terms: Terms) -> list[dict]:
    """What the answers cost, a row a split and one for all, in total and a question; money None without a price.

    questions   question id -> its split
    """
    rows = []
    for name in (*SPLITS, "all"):
        own = [usage.by_question.get(q, _NOTHING) for q, split in questions.items() if name in (split, "all")]
        calls, prompt, completion = map(sum, zip(_NOTHING, *own))
        tokens = sorted(spent[1] + spent[2] for spent in own) or [0]
        money = terms.money(prompt, completion)
        rows.append({
            "split": name, "questions": len(own), "calls": calls, "prompt tokens": prompt,
            "completion tokens": completion, "tokens a question": sum(tokens) / len(tokens), "least": tokens[0],
            "most": tokens[-1], "money": money, "money a question": None if money is None else money / max(len(own), 1),
        })  # fmt: skip
    return rows
