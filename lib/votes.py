"""Several answers to one question become one: by majority, by weighted majority, by the best of them.

    labels = ["7", "8", None, "7.0", "8"]                       # None: a rationale that arrives at no answer
    weighted_vote(labels, [.2, .9, .9, .1, .3], equal)          # "8": .9 + .3 against .2 + .1
    weighted_vote(labels, [1, 1, 1, 1, 1], equal)               # "7": a tie, and 7 came first
    best(labels, [.2, .9, .9, .1, .3])                          # "8"

Self-consistency is the vote with equal weights (Wang et al. 2023). In self-evaluated self-consistency each answer
weighs as much as the student's own P(correct) of its rationale; re-ranking takes the answer of the one rationale that
it believes in most. An answer of None neither votes nor wins. Ties go to the answer that came first.
"""

import math
from collections.abc import Callable, Sequence

from lib.draws import draw
from lib.errors import UserError

Label = str | None


def weighted_vote(labels: Sequence[Label], weights: Sequence[float], equal: Callable[[str, str], bool]) -> Label:
    """The label whose equals have the largest sum of weights; None where there is no label at all.

    weights   one a label, finite and at least 0; where all are 0 the first label wins
    equal     the task's comparison of two labels
    """
    _refuse_unfit(labels, weights)
    there = [(label, weight) for label, weight in zip(labels, weights) if label is not None]
    texts = list(dict.fromkeys(label for label, _ in there))  # in order of appearance, so that the first wins a tie
    # exact sums, or the order of the samples would decide between equal ones
    sums = {text: math.fsum(weight for other, weight in there if other == text or equal(text, other)) for text in texts}
    return max(texts, key=sums.__getitem__, default=None)


def vote(labels: Sequence[Label], equal: Callable[[str, str], bool]) -> Label:
    """Plain majority: every answer weighs the same."""
    return weighted_vote(labels, [1.0] * len(labels), equal)


def best(labels: Sequence[Label], scores: Sequence[float]) -> Label:
    """The label with the highest score; None where there is no label at all."""
    _refuse_unfit(labels, scores)
    there = [(label, score) for label, score in zip(labels, scores) if label is not None]
    return max(there, key=lambda pair: pair[1], default=(None, 0.0))[0]


def shuffled(labels: Sequence[Label], weights: Sequence[float], key: str) -> list[float]:
    """The weights in another order among the labels that are there: what the vote is worth if they say nothing.

    key   what decides the order, such as the seed and the question's id; the same key, the same order
    """
    _refuse_unfit(labels, weights)
    places = [i for i, label in enumerate(labels) if label is not None]
    order = sorted(places, key=lambda i: draw(f"shuffled/{key}/{i}"))
    moved = list(weights)
    for place, source in zip(places, order):
        moved[place] = weights[source]
    return moved


def _refuse_unfit(labels: Sequence[Label], weights: Sequence[float]) -> None:
    if len(labels) != len(weights):
        raise UserError(f"a vote: {len(labels)} labels with {len(weights)} weights; one weight a label is needed")
    for i, weight in enumerate(weights):
        if not (math.isfinite(weight) and weight >= 0):
            raise UserError(f"a vote: weight {i} is {weight}; allowed: finite numbers, at least 0")
