"""Which of a question's rationales a student learns from: one registry of strategies.

    pool = candidates(rationales, scores, evaluations)          # {"arithmetic-train-00000": [Candidate, ...], ...}
    select("rd_low", pool["arithmetic-train-00000"], k=1, seed=0)   # the rationale that makes the answer easiest
    select("sound | distinct(0.8) | slc_high", pool["arithmetic-train-00000"], k=3, seed=0)

A strategy turns one question's candidates into a shortlist, best first; `select` takes the first k. It is one step, or
several joined by " | ", each at work on what the one before left: filter, drop what is redundant, rank. To add a step
of your own:  STRATEGIES["longest"] = ranked_by(lambda c: -len(c.rationale.text))

    ties            broken by a hash of seed and rationale id, so that no sample number is favoured
    too few         the question gets fewer than k, perhaps none; never one that the strategy did not want
    missing score   a step that ranks by scores leaves out a rationale that has none
    missing labels  stated at the filter that needs them
    order given     does not matter: candidates are put in order of their samples first. A filter keeps the order
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial

from pydantic import ValidationError, validate_call

from lib.errors import UserError
from lib.records import Evaluation, Rationale, Score, Selection
from lib.steps import (
    Candidate,
    Step,
    accurate,
    approved,
    by_sample,
    chain,
    distinct,
    diversity,
    highest,
    lowest,
    morsd,
    self_eval,
    shuffled,
    sound,
    take,
)

EVERYTHING = "all"  # the one step after which k does not limit

STRATEGIES: dict[str, Step] = {
    "first": by_sample,
    "random": shuffled,
    EVERYTHING: by_sample,
    "slc_high": highest("slc"),
    "slc_random": shuffled,  # PeCoTD's name for random, the level between high and low
    "slc_low": lowest("slc"),
    "pmi_high": highest("pmi"),
    "pmi_low": lowest("pmi"),
    "log_p_high": highest("log_p"),
    "rd_low": lowest("rd"),
    "rd_high": highest("rd"),
    "rd_masked_low": lowest("rd_masked"),
    "accurate": accurate,
    "sound": sound,
    "approved": approved,
    "self_eval": self_eval(),
    "distinct": distinct(),
    "diversity": diversity(),
    "morsd": morsd(),
}
WITH_SETTINGS: dict[str, Callable[..., Step]] = {
    make.__name__: validate_call(make) for make in (take, self_eval, distinct, diversity, morsd)
}
# The order in which a cluster's rationales stand where nothing has ranked them. Not as `random` shuffles: the first of
# three by diversity(2, 1) would then be the random one in two of three cases.
UNDECIDED: Step = partial(shuffled, purpose="undecided")
UNRANKED = {"accurate", "sound", "approved", "distinct", "take"}  # steps that leave the order of samples


def select(strategy: str, pool: Sequence[Candidate], k: int, seed: int) -> list[Rationale]:
    """The k rationales of one question that a strategy prefers, best first; fewer where it finds fewer.

    The same for any order of the pool. A strategy whose last step is "all" gives what is left, whatever k.
    Raises UserError for an unknown strategy, k < 1, candidates of several questions, one sample given twice, and a
    step that returns what it was not given.
    """
    step = get_strategy(strategy)
    if k < 1:
        raise UserError(f"{strategy}: k is {k}; at least 1 rationale a question must be asked for")
    _refuse_mixture(pool)
    shortlist = step(by_sample(list(pool), seed), seed)
    _refuse_strangers(strategy, shortlist, pool)
    unlimited = _parse(strategy)[-1] == (EVERYTHING, None)
    return [c.rationale for c in (shortlist if unlimited else shortlist[:k])]


def get_strategy(spec: str) -> Step:
    """A strategy by name, "slc_high", or by its steps, "accurate | distinct(0.8, tfidf) | rd_low".

    Raises UserError listing what there is. A name of a file or model may hold neither "|" nor ",".
    """
    parts = _parse(spec)
    ranked, steps = False, []
    for name, given in parts:
        if name == diversity.__name__ and not ranked:
            steps.append(UNDECIDED)
        steps.append(_step(name, given, spec))
        ranked = ranked or name not in UNRANKED
    return steps[0] if len(steps) == 1 else chain(*steps)


def check_strategy(spec: str) -> str:
    """The strategy itself, if there is such a one; a model that it names is not looked for. Raises UserError."""
    get_strategy(spec)
    return spec


def candidates(
    rationales: Iterable[Rationale], scores: Iterable[Score] = (), evaluations: Iterable[Evaluation] = ()
) -> dict[str, list[Candidate]]:
    """Each question's rationales with their scores and verdicts, questions and samples in order.

    Raises UserError for scores of several students: which one should choose?
    """
    score = _one_students(scores)
    verdicts: dict[str, list[str]] = {}
    for evaluation in sorted(evaluations, key=lambda e: e.id):
        verdicts.setdefault(evaluation.rationale_id, []).append(evaluation.verdict)
    pools: dict[str, list[Candidate]] = {}
    for r in sorted(rationales, key=lambda r: r.id):
        pools.setdefault(r.question_id, []).append(Candidate(r, score.get(r.id), tuple(verdicts.get(r.id, ()))))
    return pools


def selections(
    strategy: str, pools: dict[str, list[Candidate]], k: int, seed: int, student: str = "base"
) -> list[Selection]:
    """One row a question: the samples that a strategy chose, best first; an empty row where it chose none.

    student   whose scores the pools hold
    """
    return [
        Selection(
            question_id=question_id,
            student=student,
            strategy=strategy,
            samples=tuple(r.sample for r in select(strategy, pool, k, seed)),
        )
        for question_id, pool in sorted(pools.items())
    ]


# -- how a strategy is written -------------------------------------------------------------------


@lru_cache
def _parse(spec: str) -> tuple[tuple[str, tuple[str, ...] | None], ...]:
    """Its steps as (name, arguments); arguments are None without brackets."""
    return tuple(_parse_step(part.strip(), spec) for part in spec.split("|"))


def _parse_step(part: str, spec: str) -> tuple[str, tuple[str, ...] | None]:
    name, bracket, rest = part.partition("(")
    if not bracket:
        return name, None
    if not rest.endswith(")"):
        raise UserError(f"strategy {spec!r}: {part!r} has no closing bracket at its end; allowed: {_allowed()}")
    inside = rest[:-1].strip()
    return name.strip(), tuple(one.strip() for one in inside.split(",")) if inside else ()


def _step(name: str, given: tuple[str, ...] | None, spec: str) -> Step:
    if given is None and name in STRATEGIES:
        return STRATEGIES[name]
    if name in WITH_SETTINGS:
        return _made(name, given or (), spec)
    if name in STRATEGIES:
        raise UserError(f"strategy {spec!r}: {name} takes no arguments, given ({', '.join(given)})")
    where = "" if name == spec else f" in {spec!r}"
    raise UserError(f"unknown selection strategy {name!r}{where}; allowed: {_allowed()}")


def _made(name: str, given: tuple[str, ...], spec: str) -> Step:
    try:
        return WITH_SETTINGS[name](*given)
    except ValidationError as error:
        first = error.errors()[0]
        parameters = list(inspect.signature(WITH_SETTINGS[name]).parameters)
        place = first["loc"][0]
        which = place if isinstance(place, str) else parameters[place] if place < len(parameters) else "too many"
        raise UserError(
            f"strategy {spec!r}: {which}: {first['msg']}, given {', '.join(given) or 'nothing'}; "
            f"allowed: {_signature(name)}"
        ) from None


def _allowed() -> str:
    plain = [name for name in STRATEGIES if name not in WITH_SETTINGS]
    return ", ".join([*plain, *map(_signature, WITH_SETTINGS)]) + "; or several of them joined by ' | '"


def _signature(name: str) -> str:
    """As in "distinct(threshold=0.8, similarity=jaccard)"."""
    parameters = inspect.signature(WITH_SETTINGS[name]).parameters.values()
    shown = [p.name if p.default in (p.empty, None) else f"{p.name}={p.default}" for p in parameters]
    return f"{name}({', '.join(shown)})"


# -- what is refused -----------------------------------------------------------------------------


def _one_students(scores: Iterable[Score]) -> dict[str, Score]:
    """By the id of the rationale."""
    found: dict[str, Score] = {}
    for score in scores:
        other = found.setdefault(score.rationale_id, score)
        if other is not score:
            students = " and ".join(sorted({score.student, other.student}))
            raise UserError(f"{score.rationale_id} is scored twice, by {students}; choose by one student's scores")
    if len(students := sorted({s.student for s in found.values()})) > 1:
        raise UserError(f"scores of {len(students)} students ({', '.join(students)}); choose by one student's scores")
    return found


def _refuse_mixture(pool: Sequence[Candidate]) -> None:
    questions = sorted({c.rationale.question_id for c in pool})
    if len(questions) > 1:
        raise UserError(f"candidates of {len(questions)} questions ({', '.join(questions[:2])}, ...); select from one")
    samples = [c.rationale.sample for c in pool]
    if len(set(samples)) < len(samples):
        raise UserError(f"{questions[0]}: one sample stands twice among the candidates: {sorted(samples)}")


def _refuse_strangers(strategy: str, shortlist: Sequence[Candidate], pool: Sequence[Candidate]) -> None:
    """A step is anybody's function: what it returns must be some of what it was given, each once."""
    own, shown = {c.rationale.id for c in pool}, [c.rationale.id for c in shortlist]
    if strange := [i for i in shown if i not in own or shown.count(i) > 1]:
        raise UserError(f"strategy {strategy!r} returns {strange[0]}, which was not among the candidates, or twice")
