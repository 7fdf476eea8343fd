"""Which of a question's rationales a student learns from: one registry of strategies.

    pool = candidates(rationales, scores, evaluations)          # {"arithmetic-train-00000": [Candidate, ...], ...}
    select("rd_low", pool["arithmetic-train-00000"], k=1, seed=0)   # the rationale that makes the answer easiest

A strategy turns one question's candidates into a shortlist, best first; `select` takes the first k. Steps can be
chained: filter, drop what is redundant, rank. To add one, enter it in STRATEGIES.

    ties            broken by a hash of seed and rationale id, so that no sample number is favoured
    too few         the question gets fewer than k, perhaps none; never one that the strategy did not want
    missing score   a strategy that ranks by scores leaves out a rationale that has none
    missing labels  stated at the filter that needs them
    order given     does not matter: candidates are put in order of their samples first
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from lib.errors import UserError
from lib.records import Evaluation, Rationale, Score, Selection
from lib.similarity import Similarity, jaccard


@dataclass(frozen=True)
class Candidate:
    """A rationale with what is known of it: its score, if it was scored, and the verdicts on it."""

    rationale: Rationale
    score: Score | None = None
    verdicts: tuple[str, ...] = ()

    @property
    def approved(self) -> float | None:
        """Share of its self-evaluations that say correct; None without evaluations."""
        return sum(v == "correct" for v in self.verdicts) / len(self.verdicts) if self.verdicts else None

    @property
    def accurate(self) -> bool:
        """The answer is the gold label; without a gold label, more than half of the verdicts say correct."""
        if self.rationale.correct is not None:
            return self.rationale.correct
        return (self.approved or 0) > 0.5


Step = Callable[[list[Candidate], int], list[Candidate]]  # candidates in order, seed -> candidates in order


# -- steps -------------------------------------------------------------------------------------


def by_sample(pool: list[Candidate], seed: int) -> list[Candidate]:
    """In the order they were sampled."""
    return sorted(pool, key=lambda c: c.rationale.sample)


def shuffled(pool: list[Candidate], seed: int) -> list[Candidate]:
    """In an order that only the seed and the rationales' ids decide."""
    return sorted(pool, key=lambda c: _draw(c, seed))


def highest(field: str) -> Step:
    """Ranked by a field of Score, highest first; those without a score left out."""
    return lambda pool, seed: _ranked(pool, lambda c: -getattr(c.score, field), seed)


def lowest(field: str) -> Step:
    """Ranked by a field of Score, lowest first; those without a score left out."""
    return lambda pool, seed: _ranked(pool, lambda c: getattr(c.score, field), seed)


def accurate(pool: list[Candidate], seed: int) -> list[Candidate]:
    """Those with the right answer (`Candidate.accurate`); with neither gold label nor evaluations none is."""
    return [c for c in pool if c.accurate]


def distinct(threshold: float = 0.8, similarity: Similarity = jaccard) -> Step:
    """Drop a rationale whose reasoning is as similar as `threshold` or more to one kept before it."""

    def step(pool: list[Candidate], seed: int) -> list[Candidate]:
        kept: list[Candidate] = []
        for c in pool:
            if all(similarity(c.rationale.reasoning, other.rationale.reasoning) < threshold for other in kept):
                kept.append(c)
        return kept

    return step


def approved(pool: list[Candidate], seed: int) -> list[Candidate]:
    """Those that more than half of the evaluations call correct, highest share first; unevaluated ones left out."""
    passed = [c for c in pool if (c.approved or 0) > 0.5]
    return sorted(passed, key=lambda c: (-c.approved, _draw(c, seed)))


def chain(*steps: Step) -> Step:
    """One step after another."""

    def step(pool: list[Candidate], seed: int) -> list[Candidate]:
        for one in steps:
            pool = one(pool, seed)
        return pool

    return step


# -- the registry ------------------------------------------------------------------------------

EVERYTHING = "all"  # the one strategy that k does not limit

STRATEGIES: dict[str, Step] = {
    "first": by_sample,
    "random": shuffled,
    EVERYTHING: by_sample,
    "slc_high": highest("slc"),
    "slc_low": lowest("slc"),
    "pmi_high": highest("pmi"),
    "pmi_low": lowest("pmi"),
    "rd_low": lowest("rd"),
    "rd_high": highest("rd"),
    "morsd": chain(accurate, distinct(0.8), lowest("rd")),  # accuracy, diversity, difficulty: MoRSD's order
    "self_eval": approved,
}


def select(strategy: str, pool: Sequence[Candidate], k: int, seed: int) -> list[Rationale]:
    """The k rationales of one question that a strategy prefers, best first; fewer where it finds fewer.

    The same for any order of the pool. "all" gives every rationale, whatever k.
    Raises UserError for an unknown strategy, k < 1, candidates of several questions, or one candidate given twice.
    """
    step = get_strategy(strategy)
    if k < 1:
        raise UserError(f"{strategy}: k is {k}; at least 1 rationale a question must be asked for")
    _refuse_mixture(pool)
    shortlist = step(by_sample(list(pool), seed), seed)
    return [c.rationale for c in (shortlist if strategy == EVERYTHING else shortlist[:k])]


def get_strategy(name: str) -> Step:
    """A strategy by name. Raises UserError listing those there are."""
    if name not in STRATEGIES:
        raise UserError(f"unknown selection strategy {name!r}; allowed: {', '.join(STRATEGIES)}")
    return STRATEGIES[name]


def candidates(
    rationales: Iterable[Rationale], scores: Iterable[Score] = (), evaluations: Iterable[Evaluation] = ()
) -> dict[str, list[Candidate]]:
    """Each question's rationales with their scores and verdicts, questions and samples in order."""
    score = {s.id: s for s in scores}
    verdicts: dict[str, list[str]] = {}
    for evaluation in sorted(evaluations, key=lambda e: e.id):
        verdicts.setdefault(evaluation.rationale_id, []).append(evaluation.verdict)
    pools: dict[str, list[Candidate]] = {}
    for r in sorted(rationales, key=lambda r: r.id):
        pools.setdefault(r.question_id, []).append(Candidate(r, score.get(r.id), tuple(verdicts.get(r.id, ()))))
    return pools


def selections(strategy: str, pools: dict[str, list[Candidate]], k: int, seed: int) -> list[Selection]:
    """One row a question: the samples that a strategy chose, best first; an empty row where it chose none."""
    return [
        Selection(
            question_id=question_id,
            strategy=strategy,
            samples=tuple(r.sample for r in select(strategy, pool, k, seed)),
        )
        for question_id, pool in sorted(pools.items())
    ]


def _ranked(pool: list[Candidate], key: Callable[[Candidate], float], seed: int) -> list[Candidate]:
    return sorted((c for c in pool if c.score is not None), key=lambda c: (key(c), _draw(c, seed)))


def _draw(candidate: Candidate, seed: int) -> bytes:
    """A random-looking key that only seed and id decide: the same in every process and Python version."""
    return hashlib.sha256(f"{seed}/{candidate.rationale.id}".encode()).digest()


def _refuse_mixture(pool: Sequence[Candidate]) -> None:
    questions = sorted({c.rationale.question_id for c in pool})
    if len(questions) > 1:
        raise UserError(f"candidates of {len(questions)} questions ({', '.join(questions[:2])}, ...); select from one")
    samples = [c.rationale.sample for c in pool]
    if len(set(samples)) < len(samples):
        raise UserError(f"{questions[0]}: one sample stands twice among the candidates: {sorted(samples)}")
