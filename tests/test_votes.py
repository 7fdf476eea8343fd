"""Votes by hand, and what must hold of any of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.errors import UserError
from lib.examples import majority
from lib.tasks.answers import equal_numbers
from lib.votes import best, shuffled, vote, weighted_vote

LABELS = ["7", "8", None, "7.0", "8"]


def equal(a: str, b: str) -> bool:
    return float(a) == float(b)


def test_the_largest_sum_of_weights_wins():
    assert weighted_vote(LABELS, [0.2, 0.9, 0.9, 0.1, 0.3], equal) == "8"
    assert weighted_vote(LABELS, [0.9, 0.2, 0.9, 0.4, 0.3], equal) == "7"


def test_equal_labels_vote_together_in_the_words_of_the_first():
    """7 and 7.0 have 2 of 5 votes, 8 has 1, 9 has 1; alone, 7 would tie."""
    assert vote(["8", "7.0", "7", "9"], equal) == "7.0"


def test_a_tie_goes_to_the_label_that_came_first():
    assert vote(["7", "8", "8", "7"], equal) == "7"
    assert vote(["8", "7", "7", "8"], equal) == "8"
    assert best(["8", "7"], [0.5, 0.5]) == "8"


def test_sums_that_are_equal_tie_whatever_their_rounding():
    """.1 + .2 + .3 and .3 + .2 + .1 differ in floating point when added from left to right."""
    assert weighted_vote(["a", "b"] * 3, [0.1, 0.3, 0.2, 0.2, 0.3, 0.1], str.__eq__) == "a"
    assert weighted_vote(["b", "a"] * 3, [0.1, 0.3, 0.2, 0.2, 0.3, 0.1], str.__eq__) == "b"


def test_weights_of_nothing_leave_the_first_label():
    assert weighted_vote([None, "8", "7", "7"], [0, 0, 0, 0], equal) == "8"


def test_no_label_no_winner():
    assert vote([None, None], equal) is None and vote([], equal) is None
    assert best([None], [0.9]) is None and best([], []) is None


def test_the_best_is_among_those_with_a_label():
    assert best(LABELS, [0.2, 0.8, 0.9, 0.1, 0.3]) == "8"


def test_shuffled_weights_by_hand():
    """Those of labels change places; that of the missing one stays."""
    moved = shuffled(LABELS, [0.1, 0.2, 0.3, 0.4, 0.5], "seed 0/q")
    assert sorted(moved) == [0.1, 0.2, 0.3, 0.4, 0.5] and moved[2] == 0.3
    assert moved == shuffled(LABELS, [0.1, 0.2, 0.3, 0.4, 0.5], "seed 0/q")
    assert len({tuple(shuffled(LABELS, [0.1, 0.2, 0.3, 0.4, 0.5], str(key))) for key in range(20)}) > 5


@pytest.mark.parametrize("weights", [[0.1], [0.1, -0.1], [0.1, float("nan")], [0.1, float("inf")]])
def test_unfit_weights_are_refused(weights):
    for poll in (lambda: weighted_vote(["7", "8"], weights, equal), lambda: best(["7", "8"], weights)):
        with pytest.raises(UserError, match="a vote: "):
            poll()


labels = st.lists(st.sampled_from(["7", "7.0", "8", "9", None]), max_size=8)
weighed = labels.flatmap(
    lambda own: st.tuples(st.just(own), st.lists(st.floats(0, 1), min_size=len(own), max_size=len(own)))
)


@settings(deadline=None)
@given(labels)
def test_equal_weights_are_the_plain_majority(own):
    there = [label for label in own if label is not None]
    assert vote(own, equal_numbers) == (majority(there, equal_numbers) if there else None)
    assert weighted_vote(own, [0.25] * len(own), equal_numbers) == vote(own, equal_numbers)


@settings(deadline=None)
@given(weighed, st.randoms())
def test_the_winning_value_does_not_depend_on_the_order_unless_it_ties(pair, random):
    own, weights = pair
    sums = {}
    for label, weight in zip(own, weights):
        if label is not None:
            sums.setdefault(float(label), []).append(weight)
    totals = sorted((sum(sorted(w)) for w in sums.values()), reverse=True)
    if len(totals) > 1 and totals[0] - totals[1] < 1e-9:
        return
    order = random.sample(range(len(own)), len(own))
    one = weighted_vote(own, weights, equal)
    other = weighted_vote([own[i] for i in order], [weights[i] for i in order], equal)
    assert (one is None and other is None) or equal(one, other)


@settings(deadline=None)
@given(weighed)
def test_what_wins_was_said_and_shuffling_keeps_the_weights(pair):
    own, weights = pair
    assert weighted_vote(own, weights, equal) in own or not any(own)
    moved = shuffled(own, weights, "key")
    assert sorted(moved) == sorted(weights)
    assert [w for w, label in zip(moved, own) if label is None] == [
        w for w, label in zip(weights, own) if label is None
    ]


@settings(deadline=None)
@given(weighed)
def test_certainty_about_one_answer_wins_both_ways(pair):
    own, _ = pair
    for i, label in enumerate(own):
        if label is not None:
            sure = [1.0 if j == i else 0.0 for j in range(len(own))]
            assert equal(weighted_vote(own, sure, equal), label) and best(own, sure) == label
