"""Arms side by side, from results written by hand."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_world import TRAIN

from lib.arms import make_arms
from lib.comparison import by_arm, comparisons, correct, overview, verdicts
from lib.statistics import holm, mcnemar_exact, paired_bootstrap


def result(arm: str, seed: int, right: str, judged=(), evaluation_phase=(), steps=4, **metrics):
    """A finished run as comparison sees it; `right` holds one character a question: "1" answered rightly."""
    rows = [{"question_id": f"q{i:03d}", "correct": mark == "1"} for i, mark in enumerate(right)]
    recipe = SimpleNamespace(steps=steps, self_eval_steps=3)
    run = SimpleNamespace(arm=arm, seed=seed, recipe=recipe, evaluation_phase=evaluation_phase, tokens=100)
    return SimpleNamespace(
        run=run, metrics=metrics, predictions=lambda: rows[::-1] if seed else rows, judgements=lambda: list(judged)
    )


RESULTS = [result("b", 1, "1100"), result("a", 1, "1110"), result("b", 0, "1000"), result("a", 0, "1111")]


def test_arms_keep_their_order_and_seeds_are_put_in_theirs():
    groups = by_arm(RESULTS)
    assert list(groups) == ["b", "a"]
    assert [r.run.seed for r in groups["b"]] == [0, 1]


def test_answers_are_matched_by_question():
    assert correct(by_arm(RESULTS)["b"]).tolist() == [[True, False, False, False], [True, True, False, False]]


def test_the_overview_by_hand():
    frame = overview(RESULTS)
    assert list(frame.index) == ["b", "a"]
    assert frame.loc["a", "accuracy"] == pytest.approx((1 + 0.75) / 2)
    assert frame.loc["a", "std"] == pytest.approx(math.sqrt(2) / 8)  # of 1 and .75, ddof 1
    assert frame.loc["b", "accuracy"] == pytest.approx((0.25 + 0.5) / 2)
    assert math.isnan(frame.loc["a", "wrong step"])


def test_one_seed_has_no_spread():
    assert math.isnan(overview(RESULTS[:1]).loc["b", "std"])


def test_shares_are_means_over_the_seeds_that_have_them():
    several = [
        result("a", 0, "11", wrong_step=0.2, rationale_accuracy=0.5),
        result("a", 1, "11", wrong_step=0.4, rationale_accuracy=0.7),
        result("a", 2, "11", wrong_step=None, rationale_accuracy=0.6),  # none of its rationales could be checked
    ]
    row = overview(several).loc["a"]
    assert row["wrong step"] == pytest.approx(0.3)
    assert row["rationale accuracy"] == pytest.approx(0.6)


def test_steps_count_phase_one_only_where_there_was_one():
    frame = overview([result("plain", 0, "11"), result("w/ SE", 0, "11", evaluation_phase=("example",))])
    assert frame.loc["plain", "steps"] == 4
    assert frame.loc["w/ SE", "steps"] == 4 + 3
    assert frame.loc["plain", "tokens"] == 100


def arms(**differences):
    return make_arms(differences, TRAIN)


def clear(n: int = 40) -> list:
    """Arm a right on all of n questions, b on the first quarter of them, c on all but the last."""
    marks = {"a": "1" * n, "b": "1" * (n // 4) + "0" * (n - n // 4), "c": "1" * (n - 1) + "0"}
    return [result(arm, seed, right) for arm, right in marks.items() for seed in (0, 1, 2)]


PAIRS = arms(a={"against": ["b", "c"]}, b={"against": ["c"]}, c={})


def test_pairs_are_those_that_the_arms_name():
    frame = comparisons(clear(), PAIRS, alpha=0.05, draws=500)
    assert list(zip(frame["arm"], frame["against"])) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert frame["difference"].tolist() == pytest.approx([0.75, 1 / 40, 0.25 - 39 / 40])
    assert all(frame["low"] <= frame["difference"])
    assert all(frame["difference"] <= frame["high"])


def test_a_pair_holds_the_statistics_of_its_matrices():
    frame = comparisons(clear(), PAIRS, alpha=0.05, draws=500)
    groups = by_arm(clear())
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    expected = [paired_bootstrap(correct(groups[a]), correct(groups[b]), draws=500) for a, b in pairs]
    assert frame["p"].tolist() == [d.p for d in expected]
    assert frame["low"].tolist() == [d.low for d in expected]
    assert frame["holm"].tolist() == holm([d.p for d in expected])
    ones, quarter = np.ones(40, bool), np.arange(40) < 10
    assert mcnemar_exact(ones, quarter) < 0.001
    assert frame["mcnemar"].tolist()[:2] == ["p < .001 · p < .001 · p < .001", "p = 1.00 · p = 1.00 · p = 1.00"]


def test_a_difference_is_separated_or_the_smallest_visible_one_is_named():
    separated, small, _ = comparisons(clear(), PAIRS, alpha=0.05, draws=500)["verdict"]
    assert separated.startswith("+75.0 points [")
    assert small.startswith("not separated (+2.5 points [")
    assert "n = 40 × 3 seeds; a difference of " in small


def test_p_is_adjusted_for_all_pairs_of_the_table():
    alone = comparisons(clear(), arms(a={"against": ["b"]}, b={}, c={}), alpha=0.05, draws=500)
    together = comparisons(clear(), PAIRS, alpha=0.05, draws=500)
    assert alone["holm"].tolist() == alone["p"].tolist()
    assert together["holm"][0] >= 2 * together["p"][0]


def test_an_arm_that_was_not_run_is_compared_with_nothing():
    without = [r for r in clear() if r.run.arm != "c"]
    frame = comparisons(without, PAIRS, alpha=0.05, draws=100)
    assert list(zip(frame["arm"], frame["against"])) == [("a", "b")]


def test_without_pairs_the_table_is_empty_but_has_its_columns():
    frame = comparisons(clear(), arms(a={}, b={}, c={}), alpha=0.05, draws=100)
    assert len(frame) == 0
    assert list(frame.columns)[:3] == ["arm", "against", "difference"]


def judged(phase: str, student: str, p: float, teacher: str | None, sound: bool | None) -> dict:
    return {
        "phase": phase,
        "rationale_id": "q/000",
        "student_verdict": student,
        "p_correct": p,
        "teacher_verdict": teacher,
        "sound": sound,
    }


ONE, TWO = "after phase 1", "after phase 2"
FIRST_SEED = [
    judged(ONE, "correct", 0.9, "correct", True),
    judged(ONE, "wrong", 0.2, "correct", True),
    judged(ONE, "wrong", 0.3, "wrong", False),
    judged(ONE, "uncertain", 0.4, None, None),  # the teacher did not judge it, the verifier cannot
    judged(TWO, "wrong", 0.1, "correct", True),
]
SECOND_SEED = [
    judged(ONE, "correct", 0.9, "correct", True),
    judged(ONE, "correct", 0.8, "correct", True),
    judged(ONE, "wrong", 0.3, "wrong", False),
    judged(ONE, "uncertain", 0.4, None, None),
    judged(TWO, "correct", 0.9, "correct", True),
]


def test_verdicts_by_hand():
    seeds = [result("w/ SE", 0, "11", FIRST_SEED), result("w/ SE", 1, "11", SECOND_SEED)]
    frame = verdicts([*seeds, result("1 CoT", 0, "11")])
    assert list(zip(frame.arm, frame.phase)) == [("w/ SE", ONE), ("w/ SE", TWO)]
    first = frame.iloc[0]
    assert first["rationales"] == 4
    assert first["with teacher"] == pytest.approx((2 / 3 + 1) / 2)
    assert first["with truth"] == pytest.approx((2 / 3 + 1) / 2)
    assert first["auc"] == pytest.approx((1 / 2 + 1) / 2)  # .9 > .3 > .2, and .9 > .8 > .3


def test_a_phase_without_flawed_rationales_has_no_auc():
    frame = verdicts([result("w/ SE", 0, "11", FIRST_SEED)])
    assert frame["with teacher"].iloc[1] == 0
    assert math.isnan(frame["auc"].iloc[1])


def test_arms_without_judgements_have_no_verdicts():
    empty = verdicts(clear())
    assert len(empty) == 0 and {"arm", "phase", "auc"} <= set(empty.columns)
