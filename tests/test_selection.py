"""Strategies: what each prefers, how they are written, and what all of them must keep to."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pools import POOLS, candidate

from lib.errors import UserError
from lib.records import Evaluation, Refined, Selection
from lib.selection import STRATEGIES, WITH_SETTINGS, candidates, check_strategy, get_strategy, select, selections
from lib.steps import Candidate


def samples(strategy, pool, k=1, seed=0) -> list[int]:
    return [r.sample for r in select(strategy, pool, k, seed)]


POOL = [
    candidate(0, slc=1.5, pmi=9, rd=0.9, rd_masked=0.3, log_p=-3),
    candidate(1, slc=0.5, pmi=3, rd=0.4, rd_masked=0.9, log_p=-1, correct=False),
    candidate(2, slc=2.5, pmi=1, rd=0.6, rd_masked=0.8, log_p=-2),
    candidate(3, slc=1.0, pmi=7, rd=1.2, rd_masked=0.4, log_p=-4),
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
        ("rd_masked_low", [0, 3]),
        ("log_p_high", [1, 2]),
        ("morsd", [2, 0]),
        ("morsd(1, 0.8)", [2]),
        ("accurate", [0, 2]),
        ("sound | slc_low", [3, 0]),
        ("accurate | distinct(0.8) | rd_low", [2, 0]),
        ("accurate|all", [0, 2, 3]),
        ("slc_high | take(3) | rd_low", [2, 0]),
        ("rd_low | diversity(1, 2)", [1, 2]),
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
    assert samples("morsd", pool, k=4) == samples("morsd(4, 0.8, jaccard)", pool, k=4) == [3, 0]


def test_ranking_by_scores_leaves_out_what_was_not_scored():
    pool = [candidate(0, slc=None), candidate(1, slc=0.5)]
    assert samples("slc_high", pool, k=2) == samples("rd_low", pool, k=2) == [1]
    assert sorted(samples("random", pool, k=2)) == [0, 1]


def test_ties_favour_no_sample():
    ties = [[candidate(s, question=f"q{q}") for s in range(2)] for q in range(400)]
    first = sum(samples("slc_high", pool)[0] for pool in ties)
    assert 150 < first < 250  # binomial(400, 1/2): beyond five standard deviations


@pytest.mark.parametrize("strategy", ["random", "diversity(2, 1)", "accurate | diversity(1, 2)", "take(4) | diversity"])
def test_chance_is_uniform_over_questions_and_changes_with_the_seed(strategy):
    pools = [[candidate(s, question=f"q{q}", reasoning="the same") for s in range(4)] for q in range(400)]
    chosen = [samples(strategy, pool)[0] for pool in pools]
    assert all(60 < chosen.count(s) < 140 for s in range(4))
    assert chosen != [samples(strategy, pool, seed=1)[0] for pool in pools]


@pytest.mark.parametrize("strategy", ["diversity(4, 1)", "diversity(2, 1)", "diversity(1, 1)", "distinct | diversity"])
def test_clusters_do_not_fall_as_random_chooses(strategy):
    """Neither which comes first nor, within one, what stands first."""
    pools = [[candidate(s, question=f"q{q}") for s in range(4)] for q in range(400)]
    alike = sum(samples(strategy, pool)[0] == samples("random", pool)[0] for pool in pools)
    assert 60 < alike < 140  # binomial(400, 1/4)


def test_random_is_the_same_in_every_process():
    assert samples("random", POOL, k=4) == samples("slc_random", POOL, k=4) == [3, 2, 1, 0]


WRITTEN = [
    "accurate | distinct(0.5) | rd_low", "sound | random", "approved | slc_high", "diversity(2, 2)",
    "distinct(0.8, tfidf)", "slc_high | diversity(3, 1)", "morsd(2, 0.5)", "self_eval(majority) | slc_low", "take(2)",
    "accurate | all",
]  # fmt: skip
KNOWN = [*STRATEGIES, *WRITTEN]


@pytest.mark.parametrize("strategy", KNOWN)
def test_nothing_to_choose_from_gives_nothing(strategy):
    assert select(strategy, [], k=3, seed=0) == []


@pytest.mark.parametrize("strategy", KNOWN)
@settings(max_examples=40, deadline=None)
@given(pool=POOLS, k=st.integers(1, 7), seed=st.integers(0, 3), data=st.data())
def test_every_strategy_keeps_to_the_rules(strategy, pool, k, seed, data):
    chosen = select(strategy, pool, k, seed)
    ids = [r.id for r in chosen]
    assert len(set(ids)) == len(ids)
    assert set(ids) <= {c.rationale.id for c in pool}
    assert len(ids) <= k or strategy.endswith("all")
    assert select(strategy, data.draw(st.permutations(pool)), k, seed) == chosen
    assert strategy.endswith("all") or select(strategy, pool, k + 1, seed)[:k] == chosen


@settings(max_examples=40, deadline=None)
@given(pool=POOLS, seed=st.integers(0, 3))
def test_all_is_everything_and_first_random_and_whole_clusters_fill_k(pool, seed):
    everything = [c.rationale for c in pool]
    assert select("all", pool, 1, seed) == select("first", pool, 9, seed) == everything
    for strategy in ("random", "diversity(2, 6)", "diversity(6, 1)"):
        assert sorted(r.sample for r in select(strategy, pool, 9, seed)) == [r.sample for r in everything]


@settings(max_examples=40, deadline=None)
@given(pool=POOLS, seed=st.integers(0, 3))
def test_sequences_narrow_down(pool, seed):
    chosen = {name: set(samples(name, pool, 9, seed)) for name in ("accurate", "sound", "self_eval", "approved")}
    assert set(samples("morsd", pool, 9, seed)) <= chosen["accurate"]
    assert set(samples("sound | morsd", pool, 9, seed)) <= chosen["accurate"] & chosen["sound"]
    assert chosen["self_eval"] == chosen["approved"]
    assert set(samples("sound | random", pool, 9, seed)) == chosen["sound"]


def test_a_question_s_choice_does_not_depend_on_the_other_questions():
    pools = {q: [candidate(s, question=q) for s in range(4)] for q in ("a", "b")}
    both = selections("diversity(2, 1)", pools, 2, 0)
    assert both == selections("diversity(2, 1)", {"a": pools["a"]}, 2, 0) + selections(
        "diversity(2, 1)", {"b": pools["b"]}, 2, 0
    )


# -- how a strategy is written -----------------------------------------------------------------


def test_unknown_strategy_lists_the_allowed():
    with pytest.raises(UserError, match="unknown selection strategy 'slc_hihg'; allowed: first, random, all, slc_high"):
        select("slc_hihg", POOL, 1, 0)
    with pytest.raises(UserError, match=r"strategy 'sond' in 'sond \| random'; .*, morsd\(k, threshold=0.8"):
        check_strategy("sond | random")


@pytest.mark.parametrize(
    "spec, message",
    [
        ("", "unknown selection strategy ''"),
        ("random |", r"unknown selection strategy '' in 'random \|'"),
        ("slc_high(3)", r"slc_high takes no arguments, given \(3\)"),
        ("distinct(x)", r"threshold: .*valid number.* given x; allowed: distinct\(threshold=0.8, similarity=jaccard\)"),
        ("distinct(1.2)", "threshold: Input should be less than or equal to 1"),
        ("distinct(nan)", "threshold: "),
        ("distinct(0.8", "no closing bracket"),
        ("distinct(0.8) x", "no closing bracket"),
        ("distinct(0.8, tfdif)", "unknown similarity 'tfdif'; allowed: jaccard, tfidf, a sentence-transformers model"),
        ("random | diversity(0, 1)", "clusters: Input should be greater than or equal to 1"),
        ("diversity(1.5)", "clusters: Input should be a valid integer"),
        ("diversity(3, 1, tfidf, 9)", "too many: .* given 3, 1, tfidf, 9"),
        ("take", r"k: Missing required argument, given nothing; allowed: take\(k\)"),
        ("self_eval(minority)", "by: Input should be 'majority', given minority"),
    ],
)
def test_a_strategy_wrongly_written_is_refused(spec, message):
    with pytest.raises(UserError, match=message) as error:
        check_strategy(spec)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("spec", [*KNOWN, "diversity(3, 1, some/model)", "diversity( 3,1 ,/a folder/model (2))"])
def test_what_may_be_written(spec):
    assert check_strategy(spec) == spec  # without looking for the model


def test_one_s_own_step_in_one_line(monkeypatch):
    monkeypatch.setitem(STRATEGIES, "last", lambda pool, seed: pool[::-1])
    assert samples("last", POOL) == [3]
    assert samples("accurate | last", POOL, k=9) == [3, 2, 0]
    assert samples("last | diversity(1, 2)", POOL, k=9) == [3, 2]
    monkeypatch.setitem(STRATEGIES, "last", lambda pool, seed: pool[:1])  # its cell run again
    assert samples("last", POOL) == [0]


@pytest.mark.parametrize("returned", [[candidate(7)], POOL[:1] * 2])
def test_a_step_that_returns_what_it_was_not_given_is_refused(monkeypatch, returned):
    monkeypatch.setitem(STRATEGIES, "mine", lambda pool, seed: returned)
    with pytest.raises(UserError, match=r"strategy 'mine' returns q/00[07], which was not among the candidates"):
        select("mine", POOL, 1, 0)


def test_steps_with_settings_have_their_names():
    assert set(WITH_SETTINGS) - {"take"} <= set(STRATEGIES)
    assert get_strategy("slc_high") is STRATEGIES["slc_high"]


def test_bad_requests_are_refused():
    with pytest.raises(UserError, match="slc_high: k is 0"):
        select("slc_high", POOL, 0, 0)
    with pytest.raises(UserError, match=r"candidates of 2 questions \(q, r, ...\)"):
        select("first", [*POOL, candidate(0, question="r")], 1, 0)
    with pytest.raises(UserError, match="q: one sample stands twice"):
        select("first", [*POOL, candidate(0)], 1, 0)


# -- candidates and rows -----------------------------------------------------------------------


def test_candidates_bring_scores_and_verdicts_together():
    one, two = candidate(0, question="b"), candidate(0, question="a")
    row = {"question_id": "a", "rationale_sample": 0, "split": "train", "critique": ""}
    evaluations = [Evaluation(sample=1, verdict="wrong", **row), Evaluation(sample=0, verdict="correct", **row)]
    pools = candidates([one.rationale, two.rationale], [two.score], evaluations)
    assert list(pools) == ["a", "b"]
    assert pools["a"] == [Candidate(two.rationale, two.score, ("correct", "wrong"))]
    assert pools["b"] == [Candidate(one.rationale)]


def test_a_refined_rationale_has_its_own_score_and_no_verdicts_on_the_original():
    original = candidate(0)
    refined = Refined(**original.rationale.model_dump(), chain="slc_high", round=2)
    score = original.score.model_copy(update={"chain": "slc_high", "round": 2, "slc": 9.0})
    verdict = Evaluation(question_id="q", rationale_sample=0, sample=0, split="train", verdict="correct", critique="")
    assert candidates([refined], [original.score, score], [verdict]) == {"q": [Candidate(refined, score)]}


def test_scores_of_several_students_are_refused():
    one, two = candidate(0), candidate(1)
    small = one.score.model_copy(update={"student": "small"})
    with pytest.raises(UserError, match="q/000 is scored twice, by base and small"):
        candidates([one.rationale], [one.score, small])
    with pytest.raises(UserError, match=r"scores of 2 students \(base, small\)"):
        candidates([one.rationale, two.rationale], [small, two.score])


def test_selections_are_one_row_a_question_empty_where_none_was_chosen():
    pools = {"q": POOL, "r": [candidate(0, question="r", correct=False)]}
    assert selections("morsd", pools, k=1, seed=0, student="small") == [
        Selection(question_id="q", student="small", strategy="morsd", samples=(2,)),
        Selection(question_id="r", student="small", strategy="morsd", samples=()),
    ]
    assert selections("morsd", pools, k=1, seed=0)[0].student == "base"
