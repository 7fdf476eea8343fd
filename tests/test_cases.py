"""Case studies from predictions written by hand: what goes wrong is counted, drawn by a rule, and marked."""

from types import SimpleNamespace

import pandas as pd
import pytest
from tiny_world import data

from lib import paths
from lib.cases import KINDS, SHOWN, case_studies, cases, counted, difference, drawn, goes_wrong
from lib.config import load_config
from lib.settings import Cases

WORLD = data()
RIGHT = {"rationale": "Ten and two. 10 + 2 = 12.", "rationale_label": "(10 + 2)", "rationale_correct": True}
RIGHT |= {"wrong_steps": []}
FALSE_STEP = {**RIGHT, "rationale": "Ten and two. 10 + 2 = 13.", "wrong_steps": [1]}
FALSE_ANSWER = {**RIGHT, "rationale": "<b>10 - 2</b> = 8.", "rationale_label": "(10 - 2)", "rationale_correct": False}
ONLY_BASELINE, ONLY_METHOD = SHOWN


@pytest.fixture(autouse=True)
def reports(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "TABLES", tmp_path)
    return tmp_path / "stage"


def result(arm: str, seed: int, *predictions: dict, explain=True):
    rows = [{"question_id": f"test-{i}", **p} for i, p in enumerate(predictions)]
    run = SimpleNamespace(arm=arm, seed=seed, recipe=SimpleNamespace(explain=explain))
    return SimpleNamespace(run=run, predictions=lambda: rows[::-1])


def settings(baseline="a", method=None, count=3, seed=0) -> Cases:
    return Cases(baseline=baseline, method=method, count=count, seed=seed)


def ablate(**chosen) -> SimpleNamespace:
    return SimpleNamespace(cases=settings(**chosen), alpha=0.05, bootstrap=200)


def shown(*results, headline="b", **chosen) -> str:
    return case_studies(results, WORLD, ablate(**chosen), headline, "stage").data


FOUR = (
    result("a", 0, FALSE_STEP, RIGHT),
    result("a", 1, FALSE_ANSWER, RIGHT),
    result("b", 0, RIGHT, RIGHT),
    result("b", 1, FALSE_STEP, FALSE_ANSWER),
)


@pytest.mark.parametrize(
    ("prediction", "wrong"),
    [
        (RIGHT, False),
        (FALSE_STEP, True),
        (FALSE_ANSWER, True),
        ({**RIGHT, "wrong_steps": None}, False),
        ({**FALSE_ANSWER, "wrong_steps": None}, True),
    ],
)
def test_a_refuted_step_or_a_wrong_answer_goes_wrong(prediction, wrong):
    assert goes_wrong(prediction) is wrong


def test_a_case_is_a_question_and_a_seed():
    found = cases([FOUR[:2], FOUR[2:]], WORLD.task)
    assert list(zip(found.question_id, found.seed, found.kind)) == [
        ("test-0", 0, ONLY_BASELINE),
        ("test-0", 1, KINDS[True, True]),
        ("test-1", 0, KINDS[False, False]),
        ("test-1", 1, ONLY_METHOD),
    ]


def test_a_seed_that_only_one_arm_has_makes_no_case():
    assert set(cases([FOUR[:2], FOUR[2:3]], WORLD.task).seed) == {0}


def test_all_kinds_are_counted():
    shown(*FOUR)
    counts = pd.read_csv(paths.TABLES / "stage" / "case_counts.csv")
    assert counts.cases.tolist() == [1, 1, 1, 1] and set(counts.share) == {"25.0%"}


def test_counts_without_cases_are_zero_and_have_no_share():
    assert counted(cases([[], []], WORLD.task))["share"].tolist() == ["–"] * 4


def test_the_difference_is_the_methods_share_less_the_baselines():
    rows = [  # of four questions the baseline's rationale goes wrong in three, the method's in one
        result("a", 0, FALSE_STEP, FALSE_ANSWER, FALSE_STEP, RIGHT),
        result("b", 0, RIGHT, RIGHT, FALSE_STEP, RIGHT),
    ]
    [row] = difference(cases([rows[:1], rows[1:]], WORLD.task), 0.05, 2000).to_dict("records")
    assert row["rationales"] == "goes wrong" and (row["seeds"], row["questions"]) == (1, 4)
    assert (row["baseline"], row["method"], row["difference"]) == (0.75, 0.25, -0.5)
    assert row["low"] < -0.5 < row["high"] and row["low"] >= -1 and 0 < row["p"] < 1
    [wider] = difference(cases([rows[:1], rows[1:]], WORLD.task), 0.01, 2000).to_dict("records")
    assert wider["high"] > row["high"] and wider["low"] >= -1  # no two shares differ by more than 1


def test_the_difference_is_written_with_its_row_named():
    shown(*FOUR)
    rows = pd.read_csv(paths.TABLES / "stage" / "case_difference.csv").set_index("rationales")
    assert rows.loc["goes wrong", ["baseline", "method", "difference"]].tolist() == [0.5, 0.5, 0]


def test_one_question_makes_no_difference_to_be_tested():
    assert difference(cases([[result("a", 0, RIGHT)], [result("b", 0, RIGHT)]], WORLD.task), 0.05, 200).empty


def test_both_kinds_stand_side_by_side_with_refuted_steps_marked():
    text = shown(*FOUR)
    assert "2 test questions × 2 seeds = 4 cases" in text
    assert "<mark>10 + 2 = 13.</mark>" in text and "10 + 2 is 12, not 13" in text
    assert text.count('class="side-by-side"') == 2
    assert text.index("Only the baseline") < text.index("(test-0, seed 0)") < text.index("Only the method")
    assert text.index("Only the method") < text.index("(test-1, seed 1)")


def test_what_a_student_wrote_is_escaped():
    text = shown(*FOUR)
    assert "&lt;b&gt;10 - 2&lt;/b&gt;" in text and "<b>" not in text


def test_the_table_numbers_wrong_sentences_from_one():
    shown(*FOUR)
    rows = pd.read_csv(paths.TABLES / "stage" / "cases.csv").set_index("kind")
    assert rows["baseline wrong steps"][ONLY_BASELINE] == 2
    assert rows["method answer"][ONLY_METHOD] == "(10 - 2)"
    assert rows.question_id.to_dict() == {ONLY_BASELINE: "test-0", ONLY_METHOD: "test-1"}


@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_no_more_are_drawn_than_asked_for_or_there(count):
    found = pd.DataFrame({"kind": [ONLY_BASELINE] * 3 + [ONLY_METHOD], "question_id": list("xyzx"), "seed": 0})
    chosen = drawn(found, count, seed=0)
    assert chosen.kind.value_counts().to_dict() == {k: n for k, n in zip(SHOWN, (min(count, 3), min(count, 1))) if n}


def test_the_draw_follows_from_the_seed_and_not_from_the_order():
    found = pd.DataFrame({"kind": ONLY_BASELINE, "question_id": [f"q{i}" for i in range(30)], "seed": 0})
    first = drawn(found, 5, seed=0).question_id.tolist()
    assert drawn(found[::-1], 5, seed=0).question_id.tolist() == first
    assert drawn(found, 5, seed=1).question_id.tolist() != first


@pytest.mark.parametrize(
    ("results", "chosen", "reason"),
    [
        (FOUR[2:], {}, "arm &#x27;a&#x27; was not run"),
        ((*FOUR[:2], result("b", 0, {}, {}, explain=False)), {}, "students of &#x27;b&#x27; write no rationales"),
        (FOUR, {"method": "a"}, "baseline and method are both &#x27;a&#x27;"),
    ],
)
def test_why_there_are_none_is_said(results, chosen, reason):
    text = shown(*results, **chosen)
    assert "No case studies: " in text and reason in text
    assert pd.read_csv(paths.TABLES / "stage" / "case_counts.csv").cases.tolist() == [0] * 4
    assert all(pd.read_csv(paths.TABLES / "stage" / f"{name}.csv").empty for name in ("cases", "case_difference"))


def test_an_arm_with_gold_labels_alone_is_found_by_its_plain_name():
    text = shown(result("a (H)", 0, FALSE_STEP), result("b (H)", 0, RIGHT))
    assert "Baseline &#x27;a (H)&#x27;, method &#x27;b (H)&#x27;" in text and "<mark>" in text


def test_without_a_verifier_the_answer_decides():
    blind = SimpleNamespace(task=SimpleNamespace(check=None), questions=WORLD.questions)
    unchecked = [{**p, "wrong_steps": None} for p in (FALSE_ANSWER, RIGHT)]
    results = [result(arm, 0, p) for arm, p in zip("ab", unchecked)]
    text = case_studies(results, blind, ablate(), "b", "stage").data
    assert "the task has no verifier" in text and "Refuted steps" not in text
    assert "&lt;b&gt;10 - 2&lt;/b&gt;" in text and "<mark>" not in text


@pytest.mark.parametrize("profile", sorted(path.stem for path in (paths.ROOT / "params").glob("*.yaml")))
def test_each_profile_names_two_arms_that_explain(profile):
    config = load_config(paths.ROOT / "params" / f"{profile}.yaml")
    named = config.ablate.cases.baseline, config.ablate.cases.method or config.train.headline
    chosen = [name.removesuffix(" (H)") for name in named]
    assert len(set(chosen)) == 2 and set(chosen) <= config.train.arms.keys()
    assert all(config.train.arms[arm].get("explain", True) for arm in chosen)
