"""Votes by hand, and what must hold of any of them; sampled answers: what they hold, and what becomes of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_world import STUDENT, data

from lib.encoding import source_ids
from lib.errors import UserError
from lib.examples import majority
from lib.inference import draw, verdict_probabilities
from lib.records import VERDICTS
from lib.settings import Infer
from lib.student import new_student
from lib.tasks import get_task
from lib.tasks.answers import equal_numbers
from lib.votes import (
    ACROSS,
    CONTROLS,
    JUDGED,
    ORACLE,
    PAIRS,
    WAYS,
    any_one,
    best,
    by_question,
    decided,
    judge,
    sampled_answers,
    shuffled,
    tokens_a_question,
    vote,
    weighted_vote,
)  # fmt: skip

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
    """.9 and .1 change places in one of two orders; of .5, .3 and .1 the lone 8 wins with .5 alone: in 2 of 6."""
    assert shuffled(["7", "8"], [0.9, 0.1], equal, "key") == {"7": 0.5, "8": 0.5}
    found = shuffled(["7", "8", "7.0", None], [0.5, 0.3, 0.1, 0.9], equal, "key")
    assert found == pytest.approx({"7": 4 / 6, "8": 2 / 6})
    assert shuffled(["7", "7.0", None], [0.5, 0.3, 0.1], equal, "key") == {"7": 1.0}
    assert shuffled([None], [0.5], equal, "key") == {} and shuffled(["8"], [0.5], equal, "key") == {"8": 1.0}


def test_all_orders_of_five_weights_are_counted_and_some_of_six():
    """One weight is heavy, so each label wins as often as it is said; of six weights 120 orders are drawn."""
    assert shuffled(["7", "8", "8", "9", "9"], [1, 0, 0, 0, 0], equal, "any") == {"7": 0.2, "8": 0.4, "9": 0.4}
    six = ["7", "8", "8", "9", "9", "9"]
    one, same, other = (shuffled(six, [1, 0, 0, 0, 0, 0], equal, key) for key in ("a", "a", "b"))
    assert one == same != other
    assert one == pytest.approx({"7": 1 / 6, "8": 2 / 6, "9": 3 / 6}, abs=0.15)


@pytest.mark.parametrize("weights", [[0.1], [0.1, -0.1], [0.1, float("nan")], [0.1, float("inf")]])
def test_unfit_weights_are_refused(weights):
    for poll in (
        lambda: weighted_vote(["7", "8"], weights, equal),
        lambda: best(["7", "8"], weights),
        lambda: shuffled(["7", "8"], weights, equal, "key"),
    ):
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
def test_what_wins_was_said(pair):
    own, weights = pair
    assert weighted_vote(own, weights, equal) in own or not any(own)
    found = shuffled(own, weights, equal, "key")
    assert set(found) <= set(own) and sum(found.values()) == pytest.approx(1.0 if any(own) else 0.0)


def test_any_one_by_hand():
    assert any_one(["7", "8", "7", None]) == {"7": 0.5, "8": 0.25}
    assert any_one(["7"]) == {"7": 1.0} and any_one([None, None]) == {}


@settings(deadline=None)
@given(labels, st.randoms())
def test_any_one_does_not_depend_on_the_order(own, random):
    assert any_one(own) == any_one(random.sample(own, len(own)))


@settings(deadline=None)
@given(labels)
def test_shuffling_equal_weights_is_the_plain_majority(own):
    winner = vote(own, equal)
    assert shuffled(own, [0.5] * len(own), equal, "key") == ({} if winner is None else {winner: 1.0})


@settings(deadline=None)
@given(weighed)
def test_certainty_about_one_answer_wins_both_ways(pair):
    own, _ = pair
    for i, label in enumerate(own):
        if label is not None:
            sure = [1.0 if j == i else 0.0 for j in range(len(own))]
            assert equal(weighted_vote(own, sure, equal), label) and best(own, sure) == label


# -- samples -----------------------------------------------------------------------------------------

WORLD, TASK = data(), get_task("svamp")
INFER = Infer(samples=3, temperature=1.0, top_p=0.9)


@pytest.fixture(scope="module", params=["t5", "gpt2"])
def student(request):
    return new_student(STUDENT.model_copy(update={"architecture": request.param}), WORLD.training_texts(), seed=0)


def test_a_row_a_sample(student):
    questions = WORLD.split("test")
    rows = sampled_answers(student, TASK, questions, INFER, "seed 0", 12, "rationale")
    assert [(row["question_id"], row["sample"]) for row in rows] == [
        (q.question_id, i) for q in questions for i in range(3)
    ]
    sources = [f"explain: {q.text}" for q in questions]
    written = [w for own in draw(student, sources, 12, 3, 1.0, 0.9, "seed 0") for w in own]
    assert [row["rationale"] for row in rows] == [w.text for w in written]
    assert len({row["rationale"] for row in rows}) > 3
    p = verdict_probabilities(student, [row["rationale"] for row in rows])
    assert [row["p_correct"] for row in rows] == pytest.approx(p[:, VERDICTS.index("correct")].tolist(), abs=1e-5)


def test_the_judge_sees_the_question_if_it_learned_so(student):
    questions = WORLD.split("test")
    alone, both = (
        sampled_answers(student, TASK, questions, INFER, "k", 8, sees)
        for sees in ("rationale", "question and rationale")
    )
    assert [row["rationale"] for row in alone] == [row["rationale"] for row in both]
    assert all(a["judged_tokens"] < b["judged_tokens"] for a, b in zip(alone, both))
    assert [row["p_correct"] for row in alone] != [row["p_correct"] for row in both]


def test_draws_depend_on_key_question_and_number_alone(student):
    one, two = (f"explain: {q.text}" for q in WORLD.split("test"))
    both = draw(student, [one, two], 12, 4, 1.0, 1.0, "seed 0")
    assert draw(student, [two], 12, 2, 1.0, 1.0, "seed 0") == [both[1][:2]]
    assert draw(student, [one, two], 12, 4, 1.0, 1.0, "seed 0", batch=1) == both
    assert draw(student, [one, two], 12, 4, 1.0, 1.0, "seed 1") != both


def test_equal_texts_are_judged_alike_and_counted_each(student):
    first, second, third = judge(student, ["3 pens.", "4 pens.", "3 pens."])
    assert first == third and first["p_correct"] != second["p_correct"]
    [read] = source_ids(student.tokenizer, ["predict: 3 pens."], student.decoder_only)
    times = 3 if student.decoder_only else 1  # an encoder reads a text once for all verdicts
    assert first["judged_tokens"] == times * len(read) + 6  # each verdict is a token and its end


def test_a_student_that_did_not_learn_to_judge_writes_the_same_samples(student):
    questions = WORLD.split("test")
    judged, bare = (sampled_answers(student, TASK, questions, INFER, "k", 8, sees) for sees in ("rationale", None))
    of_the_judge = {"p_correct", "student_verdict", "judged_tokens"}
    assert [{key: own for key, own in row.items() if key not in of_the_judge} for row in judged] == bare


# -- what becomes of them ----------------------------------------------------------------------------


def row(question: str, sample: int, label: str | None, p: float) -> dict:
    return {
        "question_id": question, "sample": sample, "rationale_label": label, "p_correct": p,
        "rationale_tokens": 10 + sample, "at_limit": label is None, "judged_tokens": 20,
    }  # fmt: skip


ROWS = [
    row("b", 1, "8", 0.9), row("b", 0, "7", 0.3), row("b", 2, "7.0", 0.4), row("b", 3, None, 0.99),
    row("a", 0, None, 0.5), row("a", 1, None, 0.5), row("a", 2, None, 0.5), row("a", 3, None, 0.5),
]  # fmt: skip


def test_each_way_decides_by_hand():
    """8 weighs .9, 7 and 7.0 together .7 and two votes; what arrives at no answer has no say.

    In two of the six orders 8 keeps .9, more than .3 and .4 together; in the others it has less than the 7 and 7.0.
    """
    answers = decided(ROWS, TASK.equal, "seed 0")
    assert list(answers) == [way for way in WAYS if way != ORACLE]
    assert {way: own["b"] for way, own in answers.items() if way != "shuffled"} == {
        "one": {"7": 0.25, "8": 0.25, "7.0": 0.25},
        "majority": {"7": 1}, "self-evaluated": {"8": 1}, "re-ranked": {"8": 1},
    }  # fmt: skip
    assert answers["shuffled"]["b"] == pytest.approx({"8": 2 / 6, "7": 4 / 6})
    assert all(own["a"] == {} for own in answers.values())


def test_without_verdicts_only_the_ways_that_need_none_decide():
    bare = [{key: own for key, own in row.items() if key not in ("p_correct", "judged_tokens")} for row in ROWS]
    assert list(decided(bare, TASK.equal, "seed 0")) == ["one", "majority"]
    costs = tokens_a_question(bare, {"a": 5, "b": 7})
    assert set(costs) == {"one", "majority", ORACLE} and costs[ORACLE] == costs["majority"]


def test_rows_are_put_in_order():
    assert {q: [r["sample"] for r in own] for q, own in by_question(ROWS).items()} == {
        "a": [0, 1, 2, 3],
        "b": [0, 1, 2, 3],
    }


def test_tokens_by_hand():
    """a is read in 5 tokens, b in 7; the ends that were written count, the limit's do not."""
    costs = tokens_a_question(ROWS, {"a": 5, "b": 7})
    assert costs["one"] == (5 + 46 / 4 + 7 + (46 + 3) / 4) / 2
    assert costs["majority"] == (5 + 46 + 7 + 46 + 3) / 2
    assert costs["self-evaluated"] == costs["re-ranked"] == costs["majority"] + 80


def test_what_is_compared_exists():
    assert {way for pair in (*PAIRS, *ACROSS) for way in pair} <= {*WAYS, "predict"}
    assert {*JUDGED, ORACLE, *CONTROLS} <= {*WAYS}
