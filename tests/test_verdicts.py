"""Verdicts and P(correct) against the truth, from results written by hand."""

import math

import pytest
from test_comparison import clear, result

from lib.verdicts import ANSWER, OWN, SOUND, always_correct, beliefs, calibrations, reliability, unchecked, verdicts


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


def test_what_each_seed_says_is_not_averaged():
    seeds = [result("w/ SE", 0, "11", FIRST_SEED), result("w/ SE", 1, "11", SECOND_SEED)]
    assert verdicts(seeds)["says correct"].tolist() == ["25.0% · 50.0%", "0.0% · 100.0%"]


def test_always_saying_correct_by_hand():
    """Of the first seed's verdicts that can be checked 3 of 4 are of sound rationales, of the second's 2 of 3."""
    seeds = [result("w/ SE", 0, "11", FIRST_SEED), result("w/ SE", 1, "11", SECOND_SEED[:3])]
    assert always_correct(seeds) == pytest.approx(5 / 7) and always_correct(seeds[:1]) == 3 / 4
    assert math.isnan(always_correct([result("1 CoT", 0, "11")]))


def test_a_phase_without_flawed_rationales_has_no_auc():
    frame = verdicts([result("w/ SE", 0, "11", FIRST_SEED)])
    assert frame["with teacher"].iloc[1] == 0
    assert math.isnan(frame["auc"].iloc[1])


def test_arms_without_judgements_have_no_verdicts():
    empty = verdicts(clear())
    assert len(empty) == 0 and {"arm", "phase", "auc"} <= set(empty.columns)


# -- P(correct) ----------------------------------------------------------------------------------


def sample(question: str, p: float, right: bool, wrong_steps=(), checked: int = 2) -> dict:
    steps = None if wrong_steps is None else list(wrong_steps)
    found = {"question_id": question, "rationale_correct": right, "wrong_steps": steps, "checked_steps": checked}
    return found | {"p_correct": p}


def judge(seed: int = 0, judgements=FIRST_SEED):
    found = result("w/ SE", seed, "11", judgements)
    found.run.id = f"run {seed}"
    return found


def test_beliefs_by_hand():
    own = [sample("q/a", 0.7, True), sample("q/a", 0.6, True, (1,)), sample("q/b", 0.2, False, None)]
    found = beliefs([judge()], {"run 0": own})
    assert found[found.judged == f"the teacher's, {ONE}"].p.tolist() == [0.9, 0.2, 0.3]  # what nothing checked is out
    assert found[found.judged == f"the teacher's, {ONE}"].question_id.unique().tolist() == ["q"]
    answers = found[(found.judged == OWN) & (found.truth == ANSWER)]
    assert list(zip(answers.p, answers.true)) == [(0.7, True), (0.6, True), (0.2, False)]
    sound = found[(found.judged == OWN) & (found.truth == SOUND)]
    assert list(zip(sound.p, sound.true)) == [(0.7, True), (0.6, False)]  # right, but with a wrong step


def test_an_own_sample_in_which_nothing_was_checked_is_only_held_against_its_answer():
    """A garbled text with the right answer has no wrong step, but is not sound for that."""
    found = beliefs([judge(0, ())], {"run 0": [sample("q/a", 0.7, True, checked=0), sample("q/b", 0.4, True)]})
    assert found[found.truth == ANSWER].p.tolist() == [0.7, 0.4]
    assert found[found.truth == SOUND].p.tolist() == [0.4]


def test_samples_in_which_nothing_was_checked_are_counted():
    """They are what the n of the two truths differ by."""
    own = [sample("q/a", 0.7, True, checked=0), sample("q/b", 0.4, True), sample("q/b", 0.2, False, checked=0)]
    found = beliefs([judge()], {"run 0": own})
    assert unchecked(found) == {"w/ SE": 2}
    n = calibrations(found).set_index(["judged", "truth"]).n
    assert n[OWN, ANSWER] - n[OWN, SOUND] == 2
    assert unchecked(beliefs([judge()], {"run 0": own[1:2]})) == {}


def test_where_no_sample_can_be_checked_none_is_left_out():
    no_verifier = [sample("q/a", 0.7, True, None), sample("q/b", 0.4, True, None)]
    assert unchecked(beliefs([judge()], {"run 0": no_verifier})) == unchecked(beliefs([judge()], {})) == {}


def test_samples_of_a_student_that_does_not_judge_are_no_beliefs():
    bare = {key: value for key, value in sample("q/a", 0.7, True).items() if key != "p_correct"}
    assert len(beliefs([judge(0, ())], {"run 0": [bare]})) == 0


def test_calibrations_by_hand():
    """Two seeds, each with one pair in the right order; across seeds there would be one in the wrong order."""
    own = {"run 0": [sample("q/a", 0.91, True), sample("q/b", 0.81, False)],
           "run 1": [sample("q/a", 0.31, True), sample("q/b", 0.21, False)]}  # fmt: skip
    table = calibrations(beliefs([judge(0, ()), judge(1, ())], own), draws=50)
    row = table[table.truth == ANSWER].iloc[0]
    assert (row.n, row["P(correct)"], row.true, row.AUROC) == (4, pytest.approx(0.56), 0.5, 1.0)
    assert row.Brier == pytest.approx((0.09**2 + 0.81**2 + 0.69**2 + 0.21**2) / 4)
    assert row["ECE"] == pytest.approx((0.09 + 0.81 + 0.69 + 0.21) / 4)


def test_truth_of_one_kind_has_no_auroc():
    table = calibrations(beliefs([judge(0, ())], {"run 0": [sample("q/a", 0.9, True), sample("q/b", 0.8, True)]}))
    assert table.AUROC.isna().all() and table.n.tolist() == [2, 2]


def test_without_judging_arms_there_is_nothing_to_calibrate():
    nobody = clear()
    for i, own in enumerate(nobody):
        own.run.id = str(i)
    found = beliefs(nobody, {})
    assert len(found) == 0 and len(calibrations(found)) == 0 and reliability(found) == {}


def test_reliability_names_the_truth_only_where_there_are_two():
    found = beliefs([judge()], {"run 0": [sample("q/a", 0.95, True), sample("q/b", 0.95, False)]})
    drawn = reliability(found)
    assert list(drawn) == [f"the teacher's, {ONE}", f"the teacher's, {TWO}", f"{OWN}: {ANSWER}", f"{OWN}: {SOUND}"]
    last = drawn[f"{OWN}: {ANSWER}"].bins[-1]
    assert (last.n, last.probability, last.share) == (2, 0.95, 0.5)
