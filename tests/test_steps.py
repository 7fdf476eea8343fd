"""The steps that strategies are made of, one at a time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pools import POOLS, candidate

from lib.errors import UserError
from lib.similarity import groups, jaccard, tfidf
from lib.steps import (
    accurate,
    approved,
    chain,
    distinct,
    diversity,
    highest,
    lowest,
    morsd,
    ranked_by,
    self_eval,
    shuffled,
    sound,
    take,
)


def samples(step, pool, seed=0) -> list[int]:
    return [c.rationale.sample for c in step(pool, seed)]


def test_highest_and_lowest_rank_and_leave_out_what_was_not_scored():
    pool = [candidate(0, rd_masked=2), candidate(1, rd_masked=1), candidate(2, slc=None), candidate(3, rd_masked=3)]
    assert samples(lowest("rd_masked"), pool) == [1, 0, 3]
    assert samples(highest("rd_masked"), pool) == [3, 0, 1]


def test_ranked_by_keeps_all_and_its_ties_favour_no_place():
    pool = [candidate(0, reasoning="a b c"), candidate(1, slc=None, reasoning="a"), candidate(2, reasoning="b")]
    shortest = ranked_by(lambda c: len(c.rationale.text))
    assert {tuple(samples(shortest, pool, seed)) for seed in range(20)} == {(1, 2, 0), (2, 1, 0)}


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(UserError, match="q/001: its score is not a number"):
        lowest("rd")([candidate(0), candidate(1, rd=float("nan"))], 0)
    with pytest.raises(UserError, match="q/000: its score is not a number"):
        ranked_by(lambda c: float("nan"))([candidate(0)], 0)


def test_accurate_goes_by_the_gold_label_then_by_the_verdicts():
    yes = ("correct", "correct", "wrong")
    pool = [
        candidate(0),
        candidate(1, correct=False, verdicts=yes),
        candidate(2, correct=None, verdicts=yes),
        candidate(3, correct=None, verdicts=("correct", "wrong")),
        candidate(4, correct=None),
    ]
    assert samples(accurate, pool) == [0, 2]


def test_sound_goes_by_the_verifier_and_without_one_by_the_gold_label():
    pool = [
        candidate(0, wrong_steps=()),
        candidate(1, wrong_steps=(2,)),
        candidate(2, wrong_steps=(), correct=False),
        candidate(3, wrong_steps=None),
        candidate(4, wrong_steps=None, correct=False),
        candidate(5, wrong_steps=None, correct=None, verdicts=("correct",)),
        candidate(6, wrong_steps=(), correct=None),
    ]
    assert samples(sound, pool) == [0, 3, 6]


def test_approved_keeps_the_order_and_self_eval_ranks_by_the_share():
    pool = [
        candidate(0, verdicts=("correct", "wrong")),  # a half is no majority
        candidate(1, verdicts=("correct", "correct", "uncertain")),
        candidate(2, verdicts=("correct", "correct", "correct")),
        candidate(3),
    ]
    assert samples(approved, pool) == [1, 2]
    assert samples(self_eval(), pool) == [2, 1]


def test_distinct_keeps_the_first_and_counts_the_threshold_as_alike():
    three_of_five = [candidate(0, reasoning="He has 3 pens."), candidate(1, reasoning="he has 4 pens")]
    assert samples(distinct(0.6), three_of_five) == [0]
    assert samples(distinct(0.61), three_of_five) == [0, 1]
    assert samples(distinct(0.6), three_of_five[::-1]) == [1]


def test_distinct_by_tf_idf():
    pool = [candidate(0, reasoning="He has 3 pens"), candidate(1, reasoning="3 pens, he has"), candidate(2)]
    assert samples(distinct(0.99, "tfidf"), pool) == [0, 2]


@settings(max_examples=40, deadline=None)
@given(pool=POOLS, threshold=st.sampled_from([0.0, 0.3, 0.8, 1.0]))
def test_what_distinct_keeps_is_apart_and_what_it_drops_is_near_something_kept(pool, threshold):
    kept = distinct(threshold)(pool, 0)
    texts = [c.rationale.reasoning for c in kept]
    assert all(jaccard(a, b) < threshold for i, a in enumerate(texts) for b in texts[:i])
    dropped = [c for c in pool if c not in kept]
    assert all(any(jaccard(c.rationale.reasoning, text) >= threshold for text in texts) for c in dropped)


STORY = "He has 3 pens and buys 4 so 3 + 4 = 7"
SPREAD = [
    candidate(0, slc=1, reasoning=STORY),
    candidate(1, slc=5, reasoning=STORY + " pens"),
    candidate(2, slc=3, reasoning=STORY + " now"),
    candidate(3, slc=4, reasoning="In all there are seven"),
    candidate(4, slc=2, reasoning="There are seven in all"),
    candidate(5, slc=9, reasoning="Unrelated words"),
]


def test_diversity_takes_turns_largest_cluster_first_each_in_the_order_that_came_in():
    ranked = highest("slc")(SPREAD, 0)  # 5, 1, 3, 2, 4, 0
    assert samples(diversity(3, 1), ranked) == [1, 3, 5]
    assert samples(diversity(3, 2), ranked) == [1, 3, 5, 2, 4]
    assert samples(diversity(1, 2), ranked) == [5, 1]


def test_diversity_with_fewer_rationales_than_clusters_and_with_equal_texts():
    assert sorted(samples(diversity(9, 1), SPREAD)) == [0, 1, 2, 3, 4, 5]
    equal = [candidate(s, reasoning="the same") for s in range(4)]
    assert len(samples(diversity(3, 1), equal)) == 3  # exactly as many clusters as asked for


@settings(max_examples=40, deadline=None)
@given(pool=POOLS, clusters=st.integers(1, 4), each=st.integers(1, 3), seed=st.integers(0, 3), data=st.data())
def test_diversity_properties(pool, clusters, each, seed, data):
    step = diversity(clusters, each)
    chosen = step(pool, seed)
    assert len(chosen) <= clusters * each
    assert len(chosen) >= min(clusters, len(pool))
    whole = diversity(clusters, max(len(pool), 1))(pool, seed)
    assert sorted(c.rationale.sample for c in whole) == [c.rationale.sample for c in pool]  # the clusters' union is all
    other = data.draw(st.permutations(pool))
    drawn = shuffled(pool, seed, "clusters")
    found = groups(tfidf([c.rationale.reasoning for c in drawn]), clusters)
    for order in (pool, other):  # of each cluster the first ones of the order given, whatever it is
        place = {c.rationale.id: i for i, c in enumerate(order)}
        best = [sorted((drawn[i].rationale.id for i in group), key=place.get)[:each] for group in found]
        assert {c.rationale.id for c in step(order, seed)} == {i for group in best for i in group}


def test_ties_of_equally_large_clusters_are_broken_by_seed():
    pool = [candidate(0, reasoning="one way"), candidate(1, reasoning="quite another")]
    assert {tuple(samples(diversity(2, 1), pool, seed)) for seed in range(20)} == {(0, 1), (1, 0)}


def test_morsd_caps_at_k():
    pool = [candidate(s, rd=5 - s) for s in range(5)] + [candidate(5, rd=0.1, correct=False)]
    assert samples(morsd(2), pool) == [4, 3]
    assert samples(morsd(9), pool) == samples(morsd(), pool) == [4, 3, 2, 1, 0]


def test_morsd_thresholds_the_similarity():
    pool = [candidate(0, rd=2, reasoning="He has 3 pens"), candidate(1, rd=1, reasoning="He has 4 pens")]
    assert samples(morsd(2, 0.6), pool) == [0]
    assert samples(morsd(2, 0.7), pool) == [1, 0]


@settings(max_examples=40, deadline=None)
@given(pool=POOLS, seed=st.integers(0, 3))
def test_morsd_chooses_among_the_accurate_ones(pool, seed):
    assert set(samples(morsd(), pool, seed)) <= set(samples(accurate, pool, seed))


STEPS = {
    "accurate": accurate, "sound": sound, "approved": approved, "distinct": distinct(0.5), "take": take(2),
    "shuffled": shuffled, "highest": highest("slc"), "self_eval": self_eval(), "morsd": morsd(2, 0.5),
}  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
@settings(max_examples=40, deadline=None)
@given(pool=POOLS, seed=st.integers(0, 3))
def test_done_twice_is_done_once(name, pool, seed):
    step = STEPS[name]
    assert chain(step, step)(pool, seed) == step(pool, seed)


@pytest.mark.parametrize("name", ["accurate", "sound", "approved", "distinct", "take"])
@settings(max_examples=40, deadline=None)
@given(pool=POOLS, data=st.data())
def test_filters_keep_the_order(name, pool, data):
    order = data.draw(st.permutations(pool))
    kept = STEPS[name](order, 0)
    assert kept == [c for c in order if c in kept]


def test_ties_do_not_fall_as_random_chooses():
    pools = [[candidate(sample, question=f"q{i}") for sample in range(5)] for i in range(400)]
    same = sum(samples(highest("slc"), pool)[0] == samples(shuffled, pool)[0] for pool in pools)
    assert 40 < same < 120  # a fifth of 400 by chance: 80 ± 8
