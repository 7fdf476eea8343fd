"""Sampled answers are drawn once and found again."""

import json
from types import SimpleNamespace

import pytest
from tiny_world import runs

from lib import inferred, paths
from lib.inferred import asked, counterparts, file_name, infer_or_load, retire
from lib.runs import run_or_load
from lib.settings import Infer

INFER = Infer(samples=2, temperature=0.8, top_p=1.0)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "SCRATCH", folder / "scratch")
        yield run_or_load(
            runs({"standard": {"explain": False}, "w/ SE": {"evaluations": 1}}), folder / "runs", workers=1
        )


def test_students_with_self_evaluation_are_asked_once(results, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(inferred, "say", said.append)
    found = infer_or_load(results, INFER, tmp_path, workers=1)
    [judge] = [r.run for r in results if r.run.recipe.evaluations]
    assert list(found) == [judge.id] and len(found[judge.id]) == 2 * len(judge.held_out.test)
    [path] = tmp_path.iterdir()
    assert path.name == file_name(judge.id, INFER)
    text = path.read_bytes()
    assert not any("second" in key for key in json.loads(text.splitlines()[0])), "seconds differ between reruns"
    assert said == ["1 students draw 2 rationales of 2 questions each, 1 at a time"]  # beforehand, to whoever waits
    monkeypatch.setattr(inferred, "infer_run", None)  # a second drawing would fail
    assert infer_or_load(results, INFER, tmp_path / "other", read=[tmp_path], workers=1) == found


def arms(found) -> set[str]:
    return {r.run.arm for r in found}


def test_an_arm_that_is_like_a_judging_one_but_for_that_is_asked_too():
    named = {
        "standard": {"explain": False}, "1 CoT": {}, "2 CoTs": {"rationales": 2},
        "w/ SE": {"evaluations": 1, "self_eval_steps": 2, "judge_sees": "question and rationale"},
    }  # fmt: skip
    given = [SimpleNamespace(run=run) for run in runs(named)]
    assert counterparts(given) == {"w/ SE": "1 CoT"} and arms(asked(given)) == {"1 CoT", "w/ SE"}
    other = [r for r in given if r.run.arm != "w/ SE"]
    assert counterparts(other) == {} and asked(other) == []


def test_a_student_that_did_not_learn_to_judge_is_not_asked_to(tmp_path_factory, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "SCRATCH", tmp_path_factory.mktemp("scratch"))
        both = run_or_load(runs({"1 CoT": {}, "w/ SE": {"evaluations": 1}}), tmp_path / "runs", workers=1)
        found = infer_or_load(both, INFER, tmp_path / "inference", workers=1)
    plain, judge = (found[r.run.id] for r in both)
    assert len(plain) == len(judge) == 4
    assert not any("p_correct" in row for row in plain) and all("p_correct" in row for row in judge)


def test_the_same_bytes_again(results, tmp_path):
    for folder in ("one", "two"):
        infer_or_load(results, INFER, tmp_path / folder, workers=1)
    one, two = (next((tmp_path / folder).iterdir()).read_bytes() for folder in ("one", "two"))
    assert one == two


def test_seconds_go_to_scratch(results, tmp_path):
    infer_or_load(results, INFER, tmp_path, workers=1)
    [timing] = (paths.SCRATCH / "timings").glob("inference-*.json")
    assert json.loads(timing.read_text())["questions"] == 2


def test_no_samples_no_answers(results, tmp_path):
    assert infer_or_load(results, INFER.model_copy(update={"samples": 0}), tmp_path) == {}


def test_other_settings_other_files(results, tmp_path):
    other = INFER.model_copy(update={"temperature": 0.9})
    for infer in (INFER, other):
        infer_or_load(results, infer, tmp_path, workers=1)
    assert len(list(tmp_path.iterdir())) == 2
    retire(tmp_path, results, other)
    assert [path.name for path in tmp_path.iterdir()] == [file_name(results[1].run.id, other)]


def test_what_earlier_settings_drew_is_put_away_and_found_again(results, tmp_path, monkeypatch):
    infer_or_load(results, INFER, tmp_path, workers=1)
    [path] = tmp_path.iterdir()
    drawn = path.read_bytes()
    for _ in range(2):  # a second time over what lies there from the first
        retire(tmp_path, results, INFER.model_copy(update={"samples": 3}))
        assert list(tmp_path.iterdir()) == []
        monkeypatch.setattr(inferred, "infer_run", None)  # a second drawing would fail
        infer_or_load(results, INFER, tmp_path, workers=1)
        assert path.read_bytes() == drawn


def test_what_was_drawn_interactively_is_brought_in(results, tmp_path):
    folder = paths.SCRATCH / "interactive" / "inference"
    infer_or_load(results, INFER, folder, workers=1)
    infer_or_load(results, INFER, tmp_path / "stage", workers=1)
    [name] = [path.name for path in (tmp_path / "stage").iterdir()]
    assert (tmp_path / "stage" / name).read_bytes() == (folder / name).read_bytes()
