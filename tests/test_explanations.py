"""Students' rationales beside the teacher's, from predictions written by hand."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_world import question, rationale

from lib.errors import UserError
from lib.explanations import TEACHER, explaining, likeness, nearness, wordiness

THEIRS = {f"test-{i}": rationale(question("test", i), 0) for i in (0, 1)}
FIRST, SECOND = THEIRS.values()


def result(arm: str, seed: int, *written: str | None, first=False, **more):
    """A finished run; `written`: its rationale of each test question, None for an arm that does not explain."""
    rows = [
        {"question_id": f"test-{i}"} | ({} if text is None else {"rationale": text, "rationale_label": None, **more})
        for i, text in enumerate(written)
    ]
    run = SimpleNamespace(arm=arm, seed=seed, recipe=SimpleNamespace(rationale_first=first))
    return SimpleNamespace(run=run, predictions=lambda: rows[::-1])


def equal(texts) -> np.ndarray:
    """A similarity that only knows equal and different."""
    return np.array([[float(a == b) for b in texts] for a in texts])


def test_only_arms_with_rationales_are_looked_at():
    assert list(explaining([result("standard", 0, None), result("CoT", 0, "Tom has 3.")])) == ["CoT"]


def test_similarity_is_by_seed_and_question():
    results = [result("CoT", 1, FIRST.text, SECOND.text), result("CoT", 0, FIRST.text, "else")]
    assert likeness(results, THEIRS, equal)["CoT"].tolist() == [[1, 0], [1, 1]]


def test_what_ends_before_the_answer_is_compared_with_reasoning():
    results = [result("CoT", 0, FIRST.reasoning, SECOND.text, first=True)]
    assert likeness(results, THEIRS, equal)["CoT"].tolist() == [[1, 0]]


def test_a_question_that_the_teacher_did_not_answer_is_left_out():
    alike = likeness([result("CoT", 0, "x", SECOND.text)], {"test-1": SECOND}, equal)
    assert alike["CoT"].tolist() == [[1]]


def test_without_any_rationale_by_the_teacher_nothing_can_be_said():
    with pytest.raises(UserError, match="arm 'CoT': the teacher has written no rationale"):
        likeness([result("CoT", 0, "x")], {}, equal)


def test_nearness_by_hand():
    half = np.tile([[1.0, 0.0]], (3, 20))
    frame = nearness({"a": half, "b": np.ones_like(half), "c": half}, alpha=0.05, draws=500)
    assert frame.arm.tolist() == ["a", "b", "c"]
    assert frame.similarity.tolist() == pytest.approx([0.5, 1, 0.5])
    assert frame.low[0] < 0.5 < frame.high[0] and frame.low[1] == frame.high[1] == 1
    assert frame.against[0] == ""
    assert frame.against[1].startswith("a: +50.0 hundredths [")
    assert (
        frame.against[2]
        == "a: not separated (0.0 hundredths [0.0, 0.0], p = 1.00 after Holm; n = 40 × 3 seeds; nothing varied)"
    )


def test_the_interval_of_a_mean_similarity_stays_between_0_and_1():
    frame = nearness({"a": np.array([[0.9, 1.0] * 10, [0.1, 0.0] * 10])}, alpha=0.05, draws=500)
    assert (frame.low[0], frame.high[0]) == (0, 1)  # two seeds, far apart


def test_one_arm_is_compared_with_nothing_and_none_gives_an_empty_table():
    assert nearness({"a": np.eye(3)}, 0.05, 100).against.tolist() == [""]
    assert list(nearness({}, 0.05, 100).columns) == ["arm", "similarity", "low", "high", "against"]


def test_length_and_repetition_by_hand():
    frame = wordiness([result("CoT", 0, "a b c d", "a b c d a b c d")], {"test-0": FIRST})
    assert frame.loc["CoT", "words"] == 6
    assert frame.loc["CoT", "repeated"] == pytest.approx((0 + 1 / 5) / 2)  # the second has 5 4-grams, one twice
    assert math.isnan(frame.loc["CoT", "cut off"])  # runs of old did not note it
    assert frame.loc[TEACHER, "words"] == len(FIRST.text.split())


def test_cut_off_is_at_the_limit_and_without_an_answer():
    answered = result("CoT", 0, "a", at_limit=True)
    answered.predictions()[0]["rationale_label"] = "3"
    runs = [answered, result("CoT", 1, "a", at_limit=True), result("CoT", 2, "a", at_limit=False)]
    assert wordiness(runs, {}).loc["CoT", "cut off"] == pytest.approx(1 / 3)


def test_a_run_that_did_not_note_it_leaves_the_arm_without_a_share():
    runs = [result("CoT", 0, "a", at_limit=True), result("CoT", 1, "a")]
    assert math.isnan(wordiness(runs, {}).loc["CoT", "cut off"])


def test_nothing_explained_leaves_the_teacher_alone():
    assert wordiness([result("standard", 0, None)], THEIRS).index.tolist() == [TEACHER]
