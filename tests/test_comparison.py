"""Arms side by side, from results written by hand."""

import math
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from tiny_world import TRAIN

from lib.arms import make_arms, with_labels
from lib.comparison import (
    by_arm,
    comparisons,
    correct,
    from_the_first,
    grid,
    in_short,
    in_words,
    overview,
    place,
    reached,
    slug,
)
from lib.errors import UserError
from lib.settings import Finding
from lib.statistics import holm, mcnemar_exact, paired_bootstrap
from lib.tables import SAME


def result(arm: str, seed: int, right: str, judged=(), evaluation_phase=(), steps=4, **metrics):
    """A finished run as comparison sees it; `right` holds one character a question: "1" answered rightly."""
    rows = [{"question_id": f"q{i:03d}", "correct": mark == "1"} for i, mark in enumerate(right)]
    recipe = SimpleNamespace(steps=steps, self_eval_steps=3)
    run = SimpleNamespace(
        id=f"{arm}-{seed}", arm=arm, seed=seed, recipe=recipe, evaluation_phase=evaluation_phase, tokens=100
    )
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


def same_as_a(results: list, arm: str) -> list:
    """The runs of a once more, under another arm's name."""
    own = [result(arm, r.run.seed, "1" * 40) for r in results if r.run.arm == "a"]
    for one in own:
        one.run.id = f"a-{one.run.seed}"
    return [*results, *own]


def test_two_names_for_the_same_runs_are_no_test():
    pairs = arms(a={"against": ["b", "again"]}, b={"against": ["c"]}, c={}, again={})
    frame = comparisons(same_as_a(clear(), "again"), pairs, alpha=0.05, draws=500)
    without = comparisons(clear(), arms(a={"against": ["b"]}, b={"against": ["c"]}, c={}), alpha=0.05, draws=500)
    assert list(frame.against) == ["b", "again", "c"]
    row = frame.iloc[1]
    assert (row.difference, row.low, row.high, row.verdict, row.mcnemar) == (0, 0, 0, "the same runs", "–")
    assert math.isnan(row.p) and math.isnan(row.holm)
    pd.testing.assert_frame_equal(frame.drop(index=1).reset_index(drop=True), without)


def test_runs_that_only_answer_alike_are_compared():
    twin = [*clear(), *(result("twin", seed, "1" * 40) for seed in (0, 1, 2))]
    [verdict] = comparisons(twin, arms(a={"against": ["twin"]}, b={}, c={}, twin={}), alpha=0.05, draws=100).verdict
    assert verdict.startswith("not separated (0.0 points")


def test_a_seed_that_differs_makes_two_arms():
    results = same_as_a(clear(), "again")
    results[-1].run.id = "another"
    [verdict] = comparisons(
        results, arms(a={"against": ["again"]}, b={}, c={}, again={}), alpha=0.05, draws=100
    ).verdict
    assert verdict.startswith("not separated")


def test_a_finding_names_the_same_runs_apart():
    results = same_as_a(clear(), "again")
    frame = comparisons(results, arms(a={"against": ["b", "again"]}, b={}, c={}, again={}), alpha=0.05, draws=500)
    text = in_words("k", frame, 0.05)
    assert text == f"k: 1 of 1 differences separated: a against b: {frame.verdict[0]}. a and again are the same runs."
    assert in_short(frame, 0.05, "arms").startswith("1 of 1 pairs of arms separated: a against b (")
    assert in_words("k", frame[1:], 0.05) == "k: nothing to compare. a and again are the same runs."


def test_in_short_names_what_is_separated():
    rows = [("a", "b", -0.064, 0.04, "…"), ("a", "c", 0.1, 0.05, "…"), ("a", "d", 0.0, math.nan, SAME)]
    pairs = pd.DataFrame(rows, columns=["arm", "against", "difference", "holm", "verdict"])
    assert in_short(pairs, 0.05, "arms") == "1 of 2 pairs of arms separated: a against b (−6.4)."
    assert in_short(pairs, 0.01, "arms") == "0 of 2 pairs of arms separated."


def test_an_arm_that_was_not_run_is_compared_with_nothing():
    without = [r for r in clear() if r.run.arm != "c"]
    frame = comparisons(without, PAIRS, alpha=0.05, draws=100)
    assert list(zip(frame["arm"], frame["against"])) == [("a", "b")]


def test_without_pairs_the_table_is_empty_but_has_its_columns():
    frame = comparisons(clear(), arms(a={}, b={}, c={}), alpha=0.05, draws=100)
    assert len(frame) == 0
    assert list(frame.columns)[:3] == ["arm", "against", "difference"]


# -- findings ------------------------------------------------------------------------------------

CURVE = arms(
    one={"select": "random"},
    two={"select": "random", "rationales": 2},
    easy={"select": "rd_low"},
    easy_two={"select": "rd_low", "rationales": 2},
)


def placed(finding: dict, of=CURVE):
    return place("k", Finding(**finding), of)


def of_four(n: int = 40) -> list:
    """one and easy_two are right on all questions, two on a quarter, easy on all but the last; three seeds."""
    marks = {"one": "1" * n, "two": "1" * (n // 4) + "0" * (n - n // 4), "easy": "1" * (n - 1) + "0"}
    return [result(arm, seed, right) for arm, right in (marks | {"easy_two": "1" * n}).items() for seed in (0, 1, 2)]


LINES = {"x": "rationales", "by": "select", "arms": ["one", "two", "easy", "easy_two"]}


def test_arms_stand_at_their_keys_in_the_order_given():
    frame = placed(LINES)
    assert frame.to_dict("list") == {
        "arm": ["one", "two", "easy", "easy_two"],
        "x": [1, 2, 1, 2],
        "by": ["random", "random", "rd_low", "rd_low"],
    }


def test_without_by_all_arms_stand_in_one_line():
    assert placed({"x": "arm", "arms": ["easy", "one"]}).to_dict("list") == {
        "arm": ["easy", "one"],
        "x": ["easy", "one"],
        "by": ["", ""],
    }


LEARNING = {"x": "explain", "arms": ["one", "two"]}, arms(one={"explain": False}, two={})


def test_what_is_learned_is_told_in_words():
    assert placed(*LEARNING).x.tolist() == ["labels alone", "with rationales"]


def test_what_is_learned_heads_the_columns_of_the_grid():
    finding, of = LEARNING
    table = grid(reached(placed(finding | {"by": "student"}, of), of_four(), 0.05, 100), "explain", "student")
    assert list(table.columns) == ["labels alone", "with rationales"]
    assert [text.split(" [")[0] for text in table.loc["base"]] == ["100.0 ± 0.0", "25.0 ± 0.0"]


@pytest.mark.parametrize(
    ("finding", "said"),
    [
        ({"x": "rationals", "arms": ["one", "two"]}, "no recipe has a key 'rationals'; allowed: rationales, select"),
        ({"x": "arm", "by": "k", "arms": ["one", "two"]}, "no recipe has a key 'k'; allowed: .*, arm$"),
        ({"x": "select", "arms": ["one", "tow"]}, "no arm 'tow'; arms: one, two, easy, easy_two"),
        ({"x": "select", "arms": ["one", "easy", "two"]}, "arms 'one' and 'two' are alike in select$"),
        (LINES | {"by": "lam"}, "arms 'one' and 'easy' are alike in rationales and lam$"),
    ],
)
def test_a_finding_that_cannot_be_placed_is_refused(finding, said):
    with pytest.raises(UserError, match=rf"^ablate.findings: 'k': {said}"):
        placed(finding)


def test_with_gold_labels_alone_an_arm_is_found_by_its_plain_name():
    assert placed({"x": "select", "arms": ["one", "easy"]}, with_labels(CURVE, ["gold"])).arm.tolist() == [
        "one (H)",
        "easy (H)",
    ]


def chained(**recipes):
    return arms(**{name: {"chain": chain, "round": round} for name, (chain, round) in recipes.items()})


def test_every_chain_starts_from_the_originals():
    frame = placed(
        {"x": "round", "by": "chain", "arms": ["start", "a1", "b1"]},
        chained(start=("", 0), a1=("slc_high", 1), b1=("random", 1)),
    )
    assert list(frame.itertuples(index=False, name=None)) == [
        ("start", 0, "slc_high"),
        ("start", 0, "random"),
        ("a1", 1, "slc_high"),
        ("b1", 1, "random"),
    ]


def test_a_scorer_not_given_is_the_arms_own_student_and_no_chain_the_originals():
    of = chained(start=("", 0), a1=("slc_high", 1))
    assert placed({"x": "chain", "by": "scorer", "arms": ["start", "a1"]}, of).to_dict("list") == {
        "arm": ["start", "a1"],
        "x": ["originals", "slc_high"],
        "by": ["base", "base"],
    }


def test_what_was_reached_by_hand_without_the_arms_that_were_not_run():
    results = [result("one", 0, "1111"), result("one", 1, "1100"), result("easy", 0, "1000")]
    frame = reached(placed(LINES), results, 0.05, 500)
    assert frame.arm.tolist() == ["one", "easy"]
    assert frame["mean"].tolist() == pytest.approx([0.75, 0.25])
    assert frame["std"].iloc[0] == pytest.approx(math.sqrt(1 / 8)) and math.isnan(frame["std"].iloc[1])
    assert frame.seeds.tolist() == [2, 1]


def test_an_arms_interval_is_that_of_its_difference_from_never_right_and_stays_a_share():
    results = of_four()
    frame = reached(placed(LINES), results, 0.05, 500).set_index("arm")
    two, easy = (
        paired_bootstrap(correct(by_arm(results)[arm]), np.zeros((3, 40)), draws=500) for arm in ("two", "easy")
    )
    assert frame.loc["two", ["low", "high"]].tolist() == [two.low, two.high]
    assert easy.high == 1 and frame.loc["easy", ["low", "high"]].tolist() == [easy.low, 1]


def test_the_grid_has_a_row_for_each_by_and_a_column_for_each_number():
    results = [r for r in of_four() if r.run.arm != "easy_two"]
    shown = {**LINES, "arms": ["two", "one", "easy", "easy_two"]}
    table = grid(reached(placed(shown), results, 0.05, 100), "rationales", "select")
    assert list(table.columns) == ["rationales 1", "rationales 2"] and table.index.name == "select"
    assert table.loc["random", "rationales 1"] == "100.0 ± 0.0 [100.0, 100.0]" and table.loc["rd_low"].iloc[1] == "–"
    two = reached(placed(shown), results, 0.05, 100).set_index("arm").loc["two"]
    assert table.loc["random", "rationales 2"] == f"25.0 ± 0.0 [{100 * two.low:.1f}, {100 * two.high:.1f}]"


def test_the_grid_of_names_keeps_their_order_and_without_by_they_are_rows():
    points = reached(placed({"x": "arm", "arms": ["two", "easy"]}), of_four(), 0.05, 100)
    table = grid(points, "arm", None)
    assert (table.index.name, list(table.columns)) == ("arm", ["accuracy (%)"])
    assert [text.split(" [")[0] for text in table["accuracy (%)"]] == ["25.0 ± 0.0", "97.5 ± 0.0"]
    by_k = grid(
        reached(placed({**LINES, "x": "select", "by": "rationales"}), of_four(), 0.05, 100), "select", "rationales"
    )
    assert list(by_k.columns) == ["random", "rd_low"] and list(by_k.index) == [1, 2]


def test_each_arm_is_compared_with_the_first_of_its_line_under_one_correction():
    results = of_four()
    frame = from_the_first(reached(placed(LINES), results, 0.05, 100), results, alpha=0.05, draws=500)
    assert list(zip(frame.arm, frame.against)) == [("two", "one"), ("easy_two", "easy")]
    assert frame.difference.tolist() == pytest.approx([-0.75, 1 / 40])
    assert frame.holm.tolist() == holm(frame.p.tolist())


def test_the_first_that_was_run_takes_the_place_of_one_that_was_not():
    results = [r for r in of_four() if r.run.arm != "one"]
    frame = from_the_first(reached(placed(LINES), results, 0.05, 100), results, alpha=0.05, draws=100)
    assert list(zip(frame.arm, frame.against)) == [("easy_two", "easy")]


def test_a_finding_in_words_names_what_is_separated_and_the_largest_that_is_not():
    results = of_four()
    frame = from_the_first(reached(placed(LINES), results, 0.05, 100), results, alpha=0.05, draws=500)
    clear, null = frame.verdict
    assert clear.startswith("−75.0 points [")
    assert in_words("k", frame, 0.05) == (
        f"k (Holm over these 2): 1 of 2 differences separated: two against one: {clear}. "
        f"The largest of the others: easy_two against easy: {null}."
    )
    assert in_words("k", frame[:1], 0.05) == f"k: 1 of 1 differences separated: two against one: {clear}."
    assert in_words("k", frame[:0], 0.05) == "k: nothing to compare."


def test_a_null_finding_says_how_large_a_difference_would_have_been_seen():
    results = of_four()
    frame = from_the_first(reached(placed(LINES), results, 0.05, 100), results, alpha=0.05, draws=500)
    text = in_words("k", frame[frame.arm == "easy_two"], 0.05)
    assert text.startswith("k: 0 of 1 differences separated. The largest: easy_two against easy: not separated (+2.5")
    assert re.search(r"n = 40 × 3 seeds; a difference of \d+\.\d would have been seen, before correction\)\.$", text)


@pytest.mark.parametrize(("title", "name"), [("Level × student (k = 1)", "level-student-k-1"), ("a_b", "a-b")])
def test_a_title_becomes_a_file_name(title, name):
    assert slug(title) == f"finding-{name}"
