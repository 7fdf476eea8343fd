"""The steps that strategies of choosing rationales are made of: filters, rankings, and what spreads a choice out.

    chain(accurate, distinct(0.8), lowest("rd"))(pool, seed)        # candidates in order, best first

A step is a small pure function of one question's candidates, in order, and of the seed: those it keeps, in its order.
lib/selection.py names them, and states what holds for all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import isnan
from typing import Annotated, Literal

from pydantic import Field

from lib.draws import draw
from lib.errors import UserError
from lib.records import Rationale, Score
from lib.similarity import get_similarity, groups


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
Count = Annotated[int, Field(ge=1)]
Threshold = Annotated[float, Field(ge=0, le=1)]


# -- steps -------------------------------------------------------------------------------------


def by_sample(pool: list[Candidate], seed: int) -> list[Candidate]:
    """In the order they were sampled."""
    return sorted(pool, key=lambda c: c.rationale.sample)


def shuffled(pool: list[Candidate], seed: int, purpose: str = "random") -> list[Candidate]:
    """In an order that only the seed, the rationales' ids and the purpose decide."""
    return sorted(pool, key=lambda c: _draw(c, seed, purpose))


def highest(field: str) -> Step:
    """Ranked by a field of Score, highest first; those without a score left out."""
    return lambda pool, seed: _ranked(pool, lambda score: -getattr(score, field), seed)


def lowest(field: str) -> Step:
    """Ranked by a field of Score, lowest first; those without a score left out."""
    return lambda pool, seed: _ranked(pool, lambda score: getattr(score, field), seed)


def ranked_by(key: Callable[[Candidate], float]) -> Step:
    """Ranked by a number that a function finds of each candidate, lowest first; ties fall by seed and id.

    UserError for one that is no number.
    """
    return lambda pool, seed: _sorted([(key(c), _draw(c, seed), c) for c in pool])


def accurate(pool: list[Candidate], seed: int) -> list[Candidate]:
    """Those with the right answer (`Candidate.accurate`); with neither gold label nor evaluations none is."""
    return [c for c in pool if c.accurate]


def sound(pool: list[Candidate], seed: int) -> list[Candidate]:
    """Those that the task's verifier found sound; without a verifier those with the right answer, by gold label."""
    return [c for c in pool if (c.rationale.correct if c.rationale.sound is None else c.rationale.sound)]


def approved(pool: list[Candidate], seed: int) -> list[Candidate]:
    """Those that more than half of their evaluations call correct; unevaluated ones are left out."""
    return [c for c in pool if (c.approved or 0) > 0.5]


def chain(*steps: Step) -> Step:
    """One step after another."""

    def step(pool: list[Candidate], seed: int) -> list[Candidate]:
        for one in steps:
            pool = one(pool, seed)
        return pool

    return step


# -- steps with settings: each makes a step -------------------------------------------------------


def take(k: Count) -> Step:
    """The first k of the order so far."""
    return lambda pool, seed: pool[:k]


def self_eval(by: Literal["majority"] = "majority") -> Step:
    """`approved`, highest share of approving evaluations first."""
    return chain(approved, ranked_by(lambda c: -c.approved))


def distinct(threshold: Threshold = 0.8, similarity: str = "jaccard") -> Step:
    """Drop a rationale whose reasoning is as similar as `threshold` or more to one kept before it.

    tfidf is fitted on what came in, so that the same two texts may be further apart in a larger pool.
    """
    matrix = get_similarity(similarity)

    def step(pool: list[Candidate], seed: int) -> list[Candidate]:
        alike, kept = matrix([c.rationale.reasoning for c in pool]), []
        for i in range(len(pool)):
            if all(alike[i, j] < threshold for j in kept):
                kept.append(i)
        return [pool[i] for i in kept]

    return step


def diversity(clusters: Count = 3, each: Count = 1, similarity: str = "tfidf") -> Step:
    """SCoTD's diversity-a-b: the reasoning clustered (similarity.groups), of each cluster its first `each`.

    Within a cluster the order so far decides; in a strategy where nothing has ranked before, a seeded shuffle. The
    clusters take turns, the largest first. Fewer rationales than clusters: each is a cluster of its own. How the
    rationales cluster does not depend on their order.
    """
    matrix = get_similarity(similarity)

    def step(pool: list[Candidate], seed: int) -> list[Candidate]:
        drawn = shuffled(pool, seed, "clusters")
        found = groups(matrix([c.rationale.reasoning for c in drawn]), clusters)
        turn = sorted(found, key=lambda group: (-len(group), min(group)))
        place = {c.rationale.id: i for i, c in enumerate(pool)}
        ordered = [sorted((drawn[i] for i in group), key=lambda c: place[c.rationale.id]) for group in turn]
        return [group[n] for n in range(each) for group in ordered if n < len(group)]

    return step


def morsd(k: Count | None = None, threshold: Threshold = 0.8, similarity: str = "jaccard") -> Step:
    """Accuracy, diversity, difficulty, in MoRSD's order: of the accurate and distinct ones the k of lowest RD."""
    ranked = chain(accurate, distinct(threshold, similarity), lowest("rd"))
    return chain(ranked, take(k)) if k else ranked


def _ranked(pool: list[Candidate], key: Callable[[Score], float], seed: int) -> list[Candidate]:
    return _sorted([(key(c.score), _draw(c, seed), c) for c in pool if c.score is not None])


def _sorted(rows: list[tuple[float, bytes, Candidate]]) -> list[Candidate]:
    """Candidates by their numbers, then by their draws."""
    if unclear := [c.rationale.id for value, _, c in rows if isnan(value)]:
        raise UserError(f"{unclear[0]}: its score is not a number, so it cannot be ranked; score it anew")
    return [c for *_, c in sorted(rows, key=lambda row: row[:2])]


def _draw(candidate: Candidate, seed: int, purpose: str = "tie") -> bytes:
    """What decides between candidates that are otherwise equal.

    The purpose keeps ties from falling as `random` chooses: a ranking with many ties would then agree with it.
    """
    return draw(f"{purpose}/{seed}/{candidate.rationale.id}")
