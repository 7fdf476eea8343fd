"""Strategies: what each prefers, and what all of them must keep to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import UserError
from lib.records import Evaluation, Rationale, Score, Selection
from lib.selection import STRATEGIES, Candidate, candidates, select, selections


def candidate(
    sample, *, slc=1.0, pmi=0.0, rd=1.0, correct=True, verdicts=(), reasoning=None, question="q"
) -> Candidate:
    reasoning = f"step {sample} of {sample}" if reasoning is None else reasoning
    rationale = Rationale(
        question_id=question,
        sample=sample,
        split="train",
        text=reasoning,
        reasoning=reasoning,
        teacher_label="(3 + 4)",
        how="answer sentence",
        correct=correct,
        wrong_steps=None,
    )
    rest = {"rd_masked": 1, "rd_own": 1, "log_p": -1, "log_p_answer": -1, "tokens": 9, "scorer": "tiny"}
    score = None if slc is None else Score(question_id=question, sample=sample, slc=slc, pmi=pmi, rd=rd, **rest)
    return Candidate(rationale, score, tuple(verdicts))


def samples(strategy, pool, k=1, seed=0) -> list[int]:
    return [r.sample for r in select(strategy, pool, k, seed)]


POOL = [
    candidate(0, slc=1.5, pmi=9, rd=0.9),
    candidate(1, slc=0.5, pmi=3, rd=0.4, correct=False),
    candidate(2, slc=2.5, pmi=1, rd=0.6),
    candidate(3, slc=1.0, pmi=7, rd=1.2),
]


@pytest.mark.parametrize(
    "strategy, expected",
    [
        ("first", [0, 1]),
        ("all", [0, 1, 2, 3]),
        ("slc_high", [2, 0]),
        ("slc_low", [1, 3]),
        ("pmi_high", [0, 3]),
        ("pmi_low", [2, 1]),
        ("rd_low", [1, 2]),
        ("rd_high", [3, 0]),
        ("morsd", [2, 0]),
    ],
)
def test_what_each_strategy_prefers(strategy, expected):
    assert samples(strategy, POOL, k=2) == expected


def test_morsd_is_accuracy_then_diversity_then_difficulty():
    pool = [
        candidate(0, rd=0.8, reasoning="He has 3 and he buys 4 so 3 + 4 = 7"),
        candidate(1, rd=0.2, reasoning="He has 3 and he buys 4, so 3 + 4 = 7."),  # says what 0 says
        candidate(2, rd=0.1, correct=False, reasoning="Wrong but easy"),
        candidate(3, rd=0.5, reasoning="In all there are seven pens"),
    ]
    assert samples("morsd", pool, k=4) == [3, 0]


def test_morsd_without_gold_labels_asks_the_verdicts_and_without_those_keeps_none():
    yes, no = ("correct", "correct", "wrong"), ("correct", "wrong", "wrong")
    pool = [candidate(0, correct=None, verdicts=no), candidate(1, correct=None, verdicts=yes)]
    assert samples("morsd", pool, k=2) == [1]
    assert samples("morsd", [candidate(0, correct=None)], k=1) == []


def test_self_eval_wants_a_majority_and_ranks_by_the_share():
    pool = [
        candidate(0, verdicts=("correct", "wrong")),  # a half is no majority
        candidate(1, verdicts=("correct", "correct", "uncertain")),
        candidate(2, verdicts=("correct", "correct", "correct")),
        candidate(3),
    ]
    assert samples("self_eval", pool, k=4) == [2, 1]


def test_ranking_by_scores_leaves_out_what_was_not_scored():
    pool = [candidate(0, slc=None), candidate(1, slc=0.5)]
    assert samples("slc_high", pool, k=2) == samples("rd_low", pool, k=2) == [1]
    assert sorted(samples("random", pool, k=2)) == [0, 1]


def test_ties_favour_no_sample():
    ties = [[candidate(s, question=f"q{q}") for s in range(2)] for q in range(400)]
    first = sum(samples("slc_high", pool)[0] for pool in ties)
    assert 150 < first < 250  # binomial(400, 1/2): beyond five standard deviations


def test_random_is_uniform_over_questions_and_changes_with_the_seed():
    pools = [[candidate(s, question=f"q{q}") for s in range(4)] for q in range(400)]
    chosen = [samples("random", pool)[0] for pool in pools]
    assert all(60 < chosen.count(s) < 140 for s in range(4))
    assert chosen != [samples("random", pool, seed=1)[0] for pool in pools]


def test_random_is_the_same_in_every_process():
    assert samples("random", POOL, k=4) == [3, 0, 1, 2]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_nothing_to_choose_from_gives_nothing(strategy):
    assert select(strategy, [], k=3, seed=0) == []


SCORES = st.sampled_from([0.5, 1.0, 2.0])  # few values: many ties
POOLS = st.lists(
    st.builds(
        dict,
        slc=st.none() | SCORES,
        pmi=SCORES,
        rd=SCORES,
        correct=st.none() | st.booleans(),
        verdicts=st.lists(st.sampled_from(["correct", "wrong", "uncertain"]), max_size=3),
        reasoning=st.sampled_from(["one way", "one more way", "quite another"]),
    ),
    max_size=6,
).map(lambda rows: [candidate(sample, **row) for sample, row in enumerate(rows)])


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(pool=POOLS, k=st.integers(1, 7), seed=st.integers(0, 3), data=st.data())
def test_every_strategy_keeps_to_the_rules(strategy, pool, k, seed, data):
    chosen = select(strategy, pool, k, seed)
    ids = [r.id for r in chosen]
    assert len(set(ids)) == len(ids)
    assert set(ids) <= {c.rationale.id for c in pool}
    assert len(ids) <= k or strategy == "all"
    assert select(strategy, data.draw(st.permutations(pool)), k, seed) == chosen
    assert strategy == "all" or select(strategy, pool, k + 1, seed)[:k] == chosen


@given(pool=POOLS, seed=st.integers(0, 3))
def test_all_is_everything_and_first_and_random_fill_k(pool, seed):
    everything = [c.rationale for c in pool]
    assert select("all", pool, 1, seed) == select("first", pool, 9, seed) == everything
    assert sorted(r.sample for r in select("random", pool, 9, seed)) == [r.sample for r in everything]


def test_unknown_strategy_lists_the_allowed():
    with pytest.raises(UserError, match="unknown selection strategy 'slc_hihg'; allowed: first, random, all, slc_high"):
        select("slc_hihg", POOL, 1, 0)


def test_bad_requests_are_refused():
    with pytest.raises(UserError, match="slc_high: k is 0"):
        select("slc_high", POOL, 0, 0)
    with pytest.raises(UserError, match=r"candidates of 2 questions \(q, r, ...\)"):
        select("first", [*POOL, candidate(0, question="r")], 1, 0)
    with pytest.raises(UserError, match="q: one sample stands twice"):
        select("first", [*POOL, candidate(0)], 1, 0)


def test_candidates_bring_scores_and_verdicts_together():
    one, two = candidate(0, question="b"), candidate(0, question="a")
    row = {"question_id": "a", "rationale_sample": 0, "split": "train", "critique": ""}
    evaluations = [Evaluation(sample=1, verdict="wrong", **row), Evaluation(sample=0, verdict="correct", **row)]
    pools = candidates([one.rationale, two.rationale], [two.score], evaluations)
    assert list(pools) == ["a", "b"]
    assert pools["a"] == [Candidate(two.rationale, two.score, ("correct", "wrong"))]
    assert pools["b"] == [Candidate(one.rationale)]


def test_selections_are_one_row_a_question_empty_where_none_was_chosen():
    pools = {"q": POOL, "r": [candidate(0, question="r", correct=False)]}
    assert selections("morsd", pools, k=1, seed=0) == [
        Selection(question_id="q", strategy="morsd", samples=(2,)),
        Selection(question_id="r", strategy="morsd", samples=()),
    ]
