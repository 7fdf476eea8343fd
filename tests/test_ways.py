"""Ways to answer side by side, from results written by hand."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from test_votes import row
from tiny_world import data, runs

from lib.errors import UserError
from lib.tables import DASH
from lib.tasks import get_task
from lib.ways import compared, controls, main_table, number_of_samples, right, way_name

TASK = get_task("svamp")
ARMS = {"standard": {"explain": False}, "w/ SE": {"evaluations": 1}}
BOTH = ARMS | {"1 CoT": {}}
TEST = [q.question_id for q in data().split("test")]  # golds (10 + 2) and (11 + 3)


def results(seeds=(0, 1), arms=ARMS) -> list:
    """Every run answers its first question rightly and its second wrongly."""
    found = []
    for run in runs(arms, seeds=list(seeds)):
        rows = [{"question_id": q, "correct": i == 0, "student_label": "(10 + 2)"} for i, q in enumerate(TEST)]
        metrics = {"wrong_step": 0.5, "uncheckable": 0.0, "unparsed": 0.0, "rationale_accuracy": 0.5}
        own = metrics if run.recipe.explain else {}
        found.append(SimpleNamespace(run=run, metrics=own, predictions=lambda rows=rows: rows, judgements=list))
    return found


def samples(*labels_and_p) -> list[dict]:
    """The same samples for both questions, none of which could be checked but for the first."""
    return [
        row(q, i, label, p)
        | {"wrong_steps": [0] if i == 0 else [], "checked_steps": i == 0, "rationale_correct": False}
        for q in TEST for i, (label, p) in enumerate(labels_and_p)
    ]  # fmt: skip


def sampled(given) -> dict:
    return {r.run.id: samples(("12", 0.2), ("12", 0.2), ("14", 0.9)) for r in given if r.run.recipe.evaluations}


def test_each_way_is_right_on_its_own_questions():
    """Most samples say 12, right for the first question; the one believed most says 14, right for the second."""
    given = results()
    matrices = right(given, sampled(given), TASK)
    assert [key for key in matrices if key[0] == "standard"] == [("standard", "predict")]
    assert matrices["w/ SE", "majority"].tolist() == [[True, False]] * 2
    for way in ("self-evaluated", "re-ranked"):
        assert matrices["w/ SE", way].tolist() == [[False, True]] * 2
    assert matrices["w/ SE", "one"] == pytest.approx(np.array([[2 / 3, 1 / 3]] * 2))
    assert matrices["w/ SE", "oracle"].tolist() == [[True, True]] * 2
    # 14 keeps its .9 in two of six orders; else it has .2 against 1.1
    assert matrices["w/ SE", "shuffled"] == pytest.approx(np.array([[4 / 6, 2 / 6]] * 2))


def test_the_main_table_has_the_ways_below_their_arm():
    given = results()
    table = main_table(given, sampled(given), TASK, 0.05, 1000)
    assert list(table.index) == [
        "standard", "w/ SE", "w/ SE: one of 3 samples", "w/ SE: majority of 3", "w/ SE: self-evaluated majority of 3",
        "w/ SE: majority of 3, weights shuffled", "w/ SE: best of 3 by its own verdict", "w/ SE: any of 3 is right",
    ]  # fmt: skip
    majority = table.loc["w/ SE: majority of 3"]
    assert majority.accuracy == 0.5 and majority["wrong step"] == pytest.approx(1 / 3)
    assert majority.uncheckable == pytest.approx(2 / 3) and majority["rationale accuracy"] == 0
    assert math.isnan(majority.steps) and math.isnan(majority.tokens) and table.loc["w/ SE"].steps > 0
    assert table.loc["w/ SE"]["wrong step"] == 0.5 and math.isnan(table.loc["standard"]["wrong step"])
    assert table.loc["w/ SE: best of 3 by its own verdict"]["tokens a question"] == pytest.approx(
        majority["tokens a question"] + 60
    )
    assert majority["tokens a question"] > table.loc["w/ SE"]["tokens a question"] > 15
    # one of two questions right in both seeds: nothing is known of two questions, and of a share that is all there is
    assert (majority.low, majority.high) == (0, 1)


def test_without_samples_the_table_is_that_of_the_arms():
    given = results()
    assert list(main_table(given, {}, TASK, 0.05, 100).index) == ["standard", "w/ SE"]
    assert len(compared(given, {}, TASK, 0.05, 100)) == 0 and number_of_samples({}) == 0


def test_pairs_are_those_of_one_arm():
    given = results()
    pairs = compared(given, sampled(given), TASK, 0.05, 100)
    own, majority = way_name("w/ SE", "self-evaluated", 3), way_name("w/ SE", "majority", 3)
    assert ("w/ SE", majority) not in zip(pairs.arm, pairs.against) and (majority, "w/ SE") in zip(
        pairs.arm, pairs.against
    )
    assert pairs[(pairs.arm == own) & (pairs.against == majority)].difference.tolist() == [0.0]
    assert len(pairs) == 6
    in_part = pairs.against.isin([way_name("w/ SE", way, 3) for way in ("shuffled", "one")])
    assert pairs[in_part].mcnemar.tolist() == [DASH, DASH] and (pairs.mcnemar != DASH).sum() == 4


def without_verdicts(rows: list[dict]) -> list[dict]:
    return [{key: own for key, own in row.items() if key not in ("p_correct", "judged_tokens")} for row in rows]


def test_the_arm_without_self_evaluation_has_the_ways_that_ask_for_none():
    given = results(arms=BOTH)
    drawn = sampled(given)
    drawn |= {
        r.run.id: without_verdicts(samples(("12", 0), ("12", 0), ("12", 0))) for r in given if r.run.arm == "1 CoT"
    }
    table = main_table(given, drawn, TASK, 0.05, 100)
    assert [name for name in table.index if name.startswith("1 CoT")] == [
        "1 CoT", "1 CoT: one of 3 samples", "1 CoT: majority of 3", "1 CoT: any of 3 is right",
    ]  # fmt: skip
    pairs = compared(given, drawn, TASK, 0.05, 100)
    across = pairs[pairs.against == "1 CoT: majority of 3"]
    assert across.arm.tolist() == ["w/ SE: majority of 3", "w/ SE: self-evaluated majority of 3"]
    assert len(pairs) == 6 + 1 + 2 and table.loc["1 CoT: any of 3 is right"].accuracy == 0.5


def test_controls_are_told_by_their_names():
    names = [way_name("w/ SE", way, 3) for way in ("predict", "one", "majority", "self-evaluated", "shuffled")]
    assert controls(names, 3) == [names[1], names[4]]


def test_unequal_samples_are_refused():
    with pytest.raises(UserError, match=r"infer.samples: runs have \[1, 2\] samples a question"):
        number_of_samples({"a": [row("q", 0, "7", 1)], "b": [row("q", 0, "7", 1), row("q", 1, "7", 1)]})


def test_answers_to_other_questions_are_refused():
    given = results(seeds=(0,))
    other = {run: rows[:3] for run, rows in sampled(given).items()}
    with pytest.raises(UserError, match="its sampled answers are not those of its 2 test questions"):
        right(given, other, TASK)
