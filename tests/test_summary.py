"""The answer at the top of the page of contents: computed from what was recorded, in words that say how sure it is."""

import re
from types import SimpleNamespace

import pytest

from lib import paths, statistics, summary
from lib.arms import make_arms, with_labels
from lib.config import load_config

CONFIG = load_config(paths.ROOT / "params" / "default.yaml")
NAMED = {
    "standard": {"explain": False},
    "1 CoT": {"against": ["standard"]},
    "1 CoT w/ SE": {"rationales": 1, "evaluations": 5, "self_eval_steps": 9, "against": ["1 CoT"]},
    "5 CoTs": {"rationales": 5},
    "5 CoTs w/ SE": {"rationales": 5, "evaluations": 5, "judge_sees": "rationale"},
    "same compute": {"explain": False, "tokens_of": "5 CoTs"},
    "same steps": {"explain": False, "steps_of": "5 CoTs w/ SE"},
    "more reasoning": {"rationales": 5, "steps_of": "5 CoTs w/ SE"},
}
ARMS = make_arms(NAMED, CONFIG.train)
NULL = "not separated (+1.8 points [+0.4, +3.2], p = .23 after Holm; n = 400 × 3 seeds; a difference of 2.0 would be)"
SURE = "−6.4 points [−9.6, −3.1], p = .003, p = .028 after Holm"


def row(arm: str, against: str, verdict: str) -> dict[str, str]:
    return {"arm": arm, "against": against, "verdict": verdict}


def test_matched_pairs_are_of_equal_compute_or_steps_or_say_how_many_fewer():
    alone, steps = "the same without self-evaluation and its", CONFIG.train.self_eval_steps
    assert summary.matched(ARMS) == [
        ("5 CoTs", "same compute", "same compute (equal compute)"),
        ("1 CoT", "same compute", "same compute (equal compute)"),
        ("5 CoTs w/ SE", "same steps", "same steps (equal steps)"),
        ("5 CoTs w/ SE", "more reasoning", "more reasoning (without self-evaluation, as many steps)"),
        ("5 CoTs w/ SE", "5 CoTs", f"5 CoTs ({alone} {steps} steps)"),
        ("1 CoT w/ SE", "1 CoT", f"1 CoT ({alone} 9 steps)"),
    ]


def test_a_control_is_matched_to_no_arm_that_reads_or_learns_otherwise():
    others = {
        "1 CoT w/ SE": {"evaluations": 5},
        "shown": {"rationales": 5, "evaluations": 5, "judge_sees": "question and rationale"},
        "5 easiest": {"rationales": 5, "select": "rd_low"},
    }
    arms = make_arms({**NAMED, **others}, CONFIG.train)
    pairs = [(arm, other) for arm, other, _ in summary.matched(arms) if other in ("same compute", "more reasoning")]
    assert pairs == [("5 CoTs", "same compute"), ("1 CoT", "same compute"), ("5 CoTs w/ SE", "more reasoning")]


def test_pairs_with_gold_labels_come_after_the_others():
    pairs = [pair[:2] for pair in summary.matched(with_labels(ARMS, ["teacher", "gold"]))]
    assert pairs[6:] == [(f"{arm} (H)", f"{other} (H)") for arm, other in pairs[:6]]
    assert [pair[:2] for pair in summary.matched(with_labels(ARMS, ["gold"]))] == pairs[6:]


@pytest.mark.parametrize("profile", ["default", "table1", "sweeps", "sweeps-gold"])
def test_profiles_with_self_evaluation_compare_it_with_its_like(profile):
    """However their recipes are written: `rationales: 1` and nothing are the same."""
    train = load_config(paths.ROOT / "params" / f"{profile}.yaml").train
    arms = with_labels(make_arms(train.arms, train), train.labels)
    found = [(arm, other) for arm, other, name in summary.matched(arms) if "the same without" in name]
    assert any(other in arms[arm].against for arm, other in found)


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (NULL, "a against b: **+1.8 points [+0.4, +3.2], not separated** (p = .23 after Holm; "
               "a difference of 2.0 would be)."),
        (SURE, "a against b: **−6.4 points [−9.6, −3.1], separated** (p = .003, p = .028 after Holm)."),
        ("the same runs", "a against b: the same runs."),
    ],
)  # fmt: skip
def test_sentence_begins_with_the_difference(verdict, expected):
    assert summary.sentence("a", "b", verdict) == expected


def test_a_size_that_no_difference_can_have_is_understood():
    words = statistics.describe(statistics.Difference(-0.029, -1.1, 0.95, 0.9, 1.288, 3, 400), adjusted=1.0)
    assert summary.sentence("a", "b", words) == (
        "a against b: **−2.9 points [−110.0, +95.0], not separated** (p = 1.00 after Holm; "
        "no possible difference would have been seen, before correction)."
    )


@pytest.mark.parametrize("adjusted", [None, 0.001, 0.9])
@pytest.mark.parametrize("shift", [0, 1])
def test_what_statistics_says_is_understood(shift, adjusted):
    """The words of lib/statistics.describe, whatever it found, become a sentence that says whether it is separated."""
    right = [[1, 1, 1, 0, 1, 1], [1, 1, 0, 1, 1, 1]]
    other = [[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]] if shift else right
    found = statistics.paired_bootstrap(right, other, draws=200)
    said = summary.sentence("a", "b", statistics.describe(found, 0.05, adjusted))
    sure = statistics.separated(found, 0.05, adjusted)
    assert (", separated**" in said, ", not separated**" in said) == (sure, not sure)


def test_only_comparisons_that_were_made_are_told():
    rows = [row("5 CoTs", "same compute", NULL), row("5 CoTs", "standard", SURE)]
    first, *others = summary.found(rows, ARMS)
    assert first == "At equal compute **0 of 1** differences from controls are separated."
    assert [said[:28] for said in others] == ["5 CoTs against same compute "]
    assert summary.found([], ARMS) == []


def test_a_profile_without_a_control_of_equal_compute_says_so():
    rows = [row("5 CoTs w/ SE", "same steps", NULL)]
    assert summary.counts(rows, ARMS) == [
        "No arm is compared with a control of equal compute.",
        "At equal steps **0 of 1** differences from controls are separated.",
    ]
    assert summary.counts([row("a", "b", NULL)], ARMS) == []


def test_the_first_sentences_name_what_is_separated_from_its_control():
    rows = [row("5 CoTs", "same compute", NULL), row("1 CoT", "same compute", SURE)]
    others = [row("5 CoTs w/ SE", "same steps", NULL), row("5 CoTs w/ SE", "more reasoning", "the same runs")]
    compute, steps = summary.found([*rows, *others], ARMS)[:2]
    assert compute == "At equal compute **1 of 2** differences from controls are separated: 1 CoT (−6.4 points)."
    assert steps == "At equal steps **0 of 1** differences from controls are separated."


def test_certainty_counts_what_is_separated_and_leaves_out_what_is_no_test():
    rows = [row("a", "b", NULL), row("a", "c", SURE), row("a", "d", "the same runs")]
    said = summary.certainty(rows, 400, 1, 0.05)
    assert said.startswith("1 of 2 paired differences of arms are separated at α = 0.05")
    assert "for all of them: a against c (−6.4 points [−9.6, −3.1]). Findings" in said
    assert "95% resample 400 test questions and 1 seed," in said


def test_cost_adds_up_and_does_not_invent_money():
    asked = [{"calls": 1000, "prompt_tokens": 2_000_000, "completion_tokens": 500_000, "money": None}, {"calls": 500}]
    said = summary.cost(asked, {"runs": 3, "million_tokens": 1.5})
    assert (
        said.startswith("1,500 calls of the teacher") and "2.00 million tokens of prompts, 0.50 million written" in said
    )
    assert "no money recorded" in said and said.endswith("3 runs, 1.50 million tokens.")
    assert "1.75 in the currency" in summary.cost([asked[0] | {"money": 1.25}, {"money": 0.5}], {})


def test_teacher_and_student_in_words():
    share = {"share": 0.8375, "low": 0.8, "high": 0.87, "n": 400}
    said = summary.teacher({"teacher": ["Simulated."], "accuracy": {"test": share}})
    assert said == "Simulated. 83.8% [80.0%, 87.0%] of 400 test answers right."
    assert summary.teacher({}) == "not recorded."
    scratch = load_config(paths.ROOT / "params" / "default.yaml").student
    assert summary.student(scratch) == "t5 from scratch, 2 layers of width 64, tokenizer words."
    hub = SimpleNamespace(source="google/flan-t5-small", tokenizer="google/flan-t5-small")
    assert (
        summary.student(hub, {"small": {"d_model": 32, "heads": 4}})
        == "google/flan-t5-small, tokenizer google/flan-t5-small; beside it: small (d_model 32, heads 4)."
    )


def test_versions_are_those_that_are_pinned():
    text = "numpy==2.4.6\ntorch==2.13.0 ; python_version > '3'\ntorchvision==1\n"
    assert summary.versions(text) == "torch 2.13.0, numpy 2.4.6"
    real = summary.versions((paths.ROOT / "requirements.txt").read_text())
    assert re.fullmatch(r"torch \S+, transformers \S+, numpy \S+, dvc \S+, papermill \S+", real)


def test_anchor_is_the_cell_around_a_table_or_figure():
    page = '<section id="a">x</section><section id="b"><svg id="figure-s-f"></svg><div id="table-s-t"></div></section>'
    page += '<section id="c" class="said"></section>'
    assert summary.anchor(page, "figure-s-f") == summary.anchor(page, "table-s-t") == "#b"
    assert summary.anchor(page, "said") == "#c"
    assert summary.anchor(page, "table-s-other") == summary.anchor("<p>old page</p>", "said") == ""
