"""Runs are trained once and found again; an interrupted one goes on; what stands among the finished is whole."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_world import STUDENT, TRAIN, data, runs

from lib import pace, paths
from lib import runs as runs_module
from lib.errors import UserError
from lib.records import read_jsonl
from lib.runs import IN_PIPELINE, estimate, find, retire, run_or_load, train_all, train_run, where_to_train
from lib.student import load_student

FIRST = "rationale then answer"
ARMS = {
    "standard": {"explain": False},
    "1 CoT": {"against": ["standard"]},
    "1 CoT w/ SE": {"evaluations": 2, "self_eval_steps": 2},
}


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(paths, "SCRATCH", tmp_path / "scratch")
    return paths.SCRATCH


@pytest.fixture
def trained(monkeypatch) -> list[str]:
    """The names of the arms whose training begins, in order."""
    names = []
    train = runs_module._train_run
    monkeypatch.setattr(runs_module, "_train_run", lambda run, folder: (names.append(run.arm), train(run, folder)))
    return names


def results(arms, folder: Path, read=(), **changes):
    return run_or_load(runs(arms, steps=2, **changes), folder, read, workers=1)


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The results of ARMS, trained without any interruption."""
    patch = pytest.MonkeyPatch()
    patch.setattr(paths, "SCRATCH", tmp_path_factory.mktemp("scratch"))
    yield results(ARMS, tmp_path_factory.mktemp("runs"))
    patch.undo()


def test_a_finished_run_holds_what_was_measured(finished):
    plain, explaining, judging = finished
    assert [r.run.arm for r in finished] == list(ARMS)
    assert all(r.trained for r in finished)
    assert [p["question_id"] for p in plain.predictions()] == ["test-0", "test-1"]
    assert plain.metrics["n"] == 2
    assert plain.metrics["accuracy"] == sum(p["correct"] for p in plain.predictions()) / 2
    assert plain.metrics["tokens"] == plain.run.tokens
    assert "flawed" not in plain.metrics
    assert "rationale" in explaining.predictions()[0]
    assert plain.judgements() == explaining.judgements() == []
    assert [row["phase"] for row in judging.judgements()] == ["after phase 1"] * 2 + ["after phase 2"] * 2


def test_its_history_tells_both_phases(finished):
    _, explaining, judging = finished
    assert list(explaining.metrics["history"]) == ["reasoning"]
    first = judging.metrics["history"]["self_evaluation"]
    assert first[-1]["step"] == 2
    assert all(set(row) == {"step", "loss"} for row in first)  # no validation: phase 1 answers no questions
    looks = [row["step"] for row in judging.metrics["history"]["reasoning"] if "eval_accuracy" in row]
    assert looks == [1, 2]  # train.validations


def test_its_student_can_be_loaded(finished):
    student = load_student(finished[0].folder / "student")
    assert student.model.config.d_model == STUDENT.d_model
    assert student.ids("Ann has 10 pens.") == [finished[0].run.tokenizer("Ann has 10 pens.")["input_ids"]][0]


def test_its_curves_lie_under_its_name(tmp_path, scratch):
    [result] = results({"mine w/ SE": {"evaluations": 1, "self_eval_steps": 2}}, tmp_path)
    found = {str(path.parent.relative_to(scratch / "curves")) for path in scratch.rglob("events*")}
    name = f"mine w_ SE, seed 0 ({result.run.id[:6]})"
    assert found == {f"{name}/phase 1", f"{name}/phase 2"}


@pytest.mark.parametrize(("rank", "name"), [(0, "1 CoT, seed 0"), (1, None)])
def test_the_first_of_several_processes_alone_has_curves(tmp_path, monkeypatch, rank, name):
    heard = []
    monkeypatch.setattr(runs_module, "fit", lambda *args: heard.append(args[-1]))
    monkeypatch.setattr(runs_module.distributed, "rank", lambda: rank)
    [run] = runs({"1 CoT": {}})
    runs_module._fit(None, run, run.reasoning_phase, 2, tmp_path / "2")
    assert [curves and curves.name for curves in heard] == [name]


def test_nothing_that_differs_between_machines_or_names_is_kept(finished):
    for result in finished:
        assert set(content(result.folder)) >= {"metrics.json", "predictions.jsonl", "recipe.json"}
        for name, value in content(result.folder).items():
            if not name.endswith(".safetensors"):
                assert result.run.arm.encode() not in value, name
                assert str(result.folder.parent).encode() not in value, name
                assert b"seconds" not in value, name


def test_runs_are_trained_once_the_longest_first(tmp_path, trained):
    first = results(ARMS, tmp_path / "runs")
    tokens = {r.run.arm: r.run.tokens for r in first}
    assert trained == sorted(ARMS, key=lambda name: -tokens[name])
    again = results(ARMS, tmp_path / "runs")
    assert len(trained) == 3
    assert [r.trained for r in again] == [False] * 3
    assert [r.metrics for r in again] == [r.metrics for r in first]


def test_only_what_is_missing_is_trained(tmp_path, trained, finished):
    folder = finished[0].folder.parent
    added = {**ARMS, "3 CoTs": {"rationales": 3}}
    got = results(added, tmp_path / "added", read=[folder], seeds=[0])
    assert trained == ["3 CoTs"]
    assert [r.trained for r in got] == [False, False, False, True]
    assert [r.folder.parent for r in got] == [folder] * 3 + [tmp_path / "added"]


def test_another_seed_trains_that_seed_alone(tmp_path, trained, finished):
    got = results({"standard": {"explain": False}}, tmp_path, read=[finished[0].folder.parent], seeds=[1, 0])
    assert [(r.run.seed, r.trained) for r in got] == [(1, True), (0, False)]
    assert trained == ["standard"]


def test_a_renamed_arm_trains_nothing(tmp_path, trained, finished):
    renamed = {"label only": {"explain": False}, "mine": {"against": ["label only"]}}
    got = results(renamed, tmp_path, read=[finished[0].folder.parent])
    assert trained == []
    assert [r.run.arm for r in got] == ["label only", "mine"]
    assert [r.metrics for r in got] == [r.metrics for r in finished[:2]]


def test_two_arms_with_one_recipe_are_one_run(tmp_path, trained):
    one, other = results({"standard": {"explain": False}, "same": {"explain": False}}, tmp_path / "runs")
    assert len(trained) == 1
    assert one.folder == other.folder


def test_a_run_is_the_same_bytes_wherever_and_beside_whatever_it_is_trained(tmp_path, finished):
    train_run(finished[2].run, tmp_path / "alone")
    assert content(tmp_path / "alone" / finished[2].run.id) == content(finished[2].folder)


class Interrupted(Exception):
    """Stands for a kill."""


def interrupt(monkeypatch, name: str, call: int) -> None:
    """Let a function of lib.runs fail at its n-th call."""
    calls, function = [], getattr(runs_module, name)

    def failing(*args, **kwargs):
        calls.append(name)
        if len(calls) == call:
            raise Interrupted
        return function(*args, **kwargs)

    monkeypatch.setattr(runs_module, name, failing)


@pytest.mark.parametrize(
    ("where", "call"),
    [
        ("judgements", 1),  # between the phases
        ("validation_accuracy", 2),  # within the second
        ("answers", 1),  # trained, not measured
        ("write_json", 2),  # before the last of its files
        ("_place", 1),  # written, not among the finished
    ],
)
def test_a_run_interrupted_anywhere_is_not_taken_for_finished_and_ends_the_same(
    tmp_path, monkeypatch, finished, where, call
):
    run, folder = finished[2].run, tmp_path / "runs"
    with monkeypatch.context() as patch:
        interrupt(patch, where, call)
        with pytest.raises(Interrupted):
            train_run(run, folder)
    assert find(run, [folder]) is None
    train_run(run, folder)
    assert content(folder / run.id) == content(finished[2].folder)


@pytest.mark.parametrize(
    ("arm", "before", "after"),
    [
        ({}, {"precision": "auto"}, {"precision": "fp32"}),
        ({}, {"backend": "joblib"}, {"backend": "ray"}),  # settles the precision before a run is sent
        ({"explain": False}, {"lam": 0.5}, {"lam": 1.0}),
        ({"format": FIRST}, {"lam": 0.5}, {"lam": 1.0}),
        ({}, {"pass_tokens": None}, {"pass_tokens": 500}),
        ({}, {"workers": 1, "unfed": "refuse"}, {"workers": 2, "unfed": "skip"}),
    ],
)
def test_a_run_under_way_goes_on_where_its_id_stays(tmp_path, monkeypatch, arm, before, after):
    [begun], [now] = runs({"x": arm}, steps=2, **before), runs({"x": arm}, steps=2, **after)
    assert begun.id == now.id
    with monkeypatch.context() as patch:
        interrupt(patch, "validation_accuracy", 2)
        with pytest.raises(Interrupted):
            train_run(begun, tmp_path / "runs")
    assert any((paths.SCRATCH / "runs" / begun.id).glob("2/checkpoint-*"))
    train_run(runs_module._as_planned(now), tmp_path / "runs")
    assert find(now, [tmp_path / "runs"])


def test_a_lam_that_weighs_something_makes_another_run():
    for arm in ({}, {"explain": False, "evaluations": 1}):
        assert len({runs({"x": arm}, lam=lam)[0].id for lam in (0.5, 1.0)}) == 2


def test_a_finished_run_leaves_no_checkpoints_behind(scratch, tmp_path):
    [result] = results({"standard": {"explain": False}}, tmp_path / "runs")
    assert not (scratch / "runs" / result.run.id).exists()
    assert json.loads((scratch / "timings" / f"{result.run.id}.json").read_text())["core_seconds"] > 0
    assert [p.name for p in (tmp_path / "runs").iterdir()] == [result.run.id]


def test_a_run_that_another_process_finished_meanwhile_is_left_as_it_is(tmp_path, trained, finished):
    train_run(finished[0].run, finished[0].folder.parent)
    assert trained == []


def test_a_run_that_fails_leaves_the_finished_ones(tmp_path, monkeypatch, trained):
    arms = {"short": {"explain": False}, "long": {}}
    with monkeypatch.context() as patch:
        interrupt(patch, "answers", 2)
        with pytest.raises(Interrupted):
            results(arms, tmp_path / "runs")
    assert trained == ["long", "short"]
    got = results(arms, tmp_path / "runs")
    assert [r.trained for r in got] == [True, False]
    assert trained == ["long", "short", "short"]


def test_runs_that_fail_are_named_when_all_others_are_finished(tmp_path):
    arms = {"good": {"explain": False}, "bad": {}, "worse": {"rationales": 3}}
    planned = {run.arm: run for run in runs(arms, steps=2)}
    for name in ("bad", "worse"):
        planned[name] = replace(planned[name], held_out=replace(planned[name].held_out, task="none"))
    with pytest.raises(
        UserError, match=r"2 of 3 runs failed, the others are finished: (worse|bad), seed 0 \(\w+\): "
    ) as e:
        train_all(list(planned.values()), tmp_path / "runs", workers=1)
    assert all(f"{name}, seed 0 ({planned[name].id})" in str(e.value) for name in ("bad", "worse"))
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [planned["good"].id]


def killed_at_first(run, folder):
    """Train in scratch/ beside `folder`; the first time, a run that explains is killed at its second look."""
    paths.SCRATCH = folder.parent / "scratch"
    mark = folder.parent / f"{run.arm}, begun"
    if run.recipe.explain and not mark.exists():
        mark.touch()
        look, looks = runs_module.validation_accuracy, []
        runs_module.validation_accuracy = lambda *a: (
            looks.append(1) or (os.kill(os.getpid(), signal.SIGKILL) if len(looks) == 2 else look(*a))
        )
    train_run(run, folder)


def test_a_killed_workers_run_goes_on_and_the_others_are_unharmed(tmp_path, monkeypatch, finished):
    monkeypatch.setattr(runs_module, "train_run", killed_at_first)
    arms = {name: ARMS[name] for name in ("standard", "1 CoT")}
    got = run_or_load(runs(arms, steps=2), tmp_path / "runs", workers=2)
    assert (tmp_path / "1 CoT, begun").exists() and not (tmp_path / "standard, begun").exists()
    for result, whole in zip(got, finished):
        assert content(result.folder) == content(whole.folder)


@pytest.mark.parametrize("difference", [{}, {"evaluations": 2, "self_eval_steps": 2}, {"format": FIRST}])
def test_a_decoder_only_student_is_trained_and_measured_like_any_other(tmp_path, difference):
    [run] = runs({"arm": difference}, students={"base": STUDENT.model_copy(update={"architecture": "gpt2"})})
    train_run(run, tmp_path / "runs")
    folder = tmp_path / "runs" / run.id
    assert load_student(folder / "student").decoder_only
    metrics = json.loads((folder / "metrics.json").read_text())
    assert [row["step"] for row in metrics["history"]["reasoning"] if "eval_accuracy" in row] == [2, 4]
    rows = read_jsonl(folder / "predictions.jsonl")
    assert all({"rationale", "rationale_tokens", "at_limit"} < set(row) for row in rows)
    assert (folder / "judgements.jsonl").exists() == ("evaluations" in difference)


def test_a_rationale_that_comes_first_has_the_whole_of_the_targets_limit_on_validation_too(tmp_path, monkeypatch):
    limits = []
    spy = lambda student, task, questions, limit, first: limits.append((limit, first)) or 0.0  # noqa: E731
    monkeypatch.setattr(runs_module, "validation_accuracy", spy)
    first, plain = runs({"first": {"format": FIRST}, "plain": {}}, steps=2)
    train_run(first, tmp_path / "runs")
    assert set(limits) == {(STUDENT.max_target_tokens, True)}
    limits.clear()
    train_run(plain, tmp_path / "runs")
    assert set(limits) == {(STUDENT.max_label_tokens, False)}


def test_a_runs_recipe_names_no_student(tmp_path):
    [run] = runs({"arm": {"student": "small"}}, students={"base": STUDENT, "small": STUDENT}, steps=2)
    train_run(run, tmp_path / "runs")
    kept = json.loads((tmp_path / "runs" / run.id / "recipe.json").read_text())
    assert set(kept["recipe"]).isdisjoint({"student", "scorer", "format", "chain", "round"})
    assert kept["student"]["architecture"] == "t5"  # a pretrained one would be known by its source alone


def test_a_run_of_two_arms_keeps_the_same_recipe_whichever_is_trained(tmp_path):
    for name, run in zip("ab", runs({"all": {"rationales": 3, "select": "all"}, "first": {"rationales": 3}}, steps=1)):
        train_run(run, tmp_path / name)
    kept = [(tmp_path / name / run.id / "recipe.json").read_text() for name in "ab"]
    assert kept[0] == kept[1] and json.loads(kept[0])["recipe"]["select"] == "first"


def test_the_estimate_times_each_student():
    small = STUDENT.model_copy(update={"d_model": 8})
    planned = runs({"a": {}, "b": {"student": "small"}}, students={"base": STUDENT, "small": small})
    timed = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs_module, "seconds_per_token", lambda student, *_, **__: timed.append(student) or 2.0)
        assert estimate([*planned, *planned]) == 2 * 2.0 * sum(run.tokens for run in planned)
    assert [student.model.config.d_model for student in timed] == [16, 8]


def test_memory_that_does_not_suffice_for_the_estimate_stops_no_training(tmp_path, monkeypatch, capsys):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(pace, "batch_loss", full)
    planned = runs({"standard": {"explain": False}}, steps=2)
    assert estimate(planned) is None
    train_all(planned, tmp_path / "runs", workers=1)
    assert "1 runs to train: in 1 processes; how long is not known: no memory for a step" in capsys.readouterr().err
    assert find(planned[0], [tmp_path / "runs"])


@pytest.mark.parametrize("devices", [1, 2])
def test_the_estimate_knows_how_many_share_a_step(monkeypatch, devices):
    asked = []
    monkeypatch.setattr(runs_module, "seconds_per_token", lambda *_, **own: asked.append(own) or 1.0)
    estimate(runs({"1 CoT": {}}, devices=devices))
    assert asked == [{"devices": devices}]


def test_texts_over_the_students_limits_are_refused_before_training(tmp_path, trained):
    [run] = runs({"1 CoT": {}})
    short = replace(run, student=STUDENT.model_copy(update={"max_target_tokens": 5}))
    with pytest.raises(UserError, match=r"student\.max_source_tokens 64, max_target_tokens 5: .* of 8 training texts"):
        run_or_load([short], tmp_path / "runs", workers=1)
    assert trained == []


def test_without_validation_questions_the_last_weights_count(tmp_path):
    world = data()
    world.questions = {name: q for name, q in world.questions.items() if q.split != "validation"}
    [run] = runs({"standard": {"explain": False}}, world, steps=2)
    [result] = run_or_load([run], tmp_path / "runs", workers=1)
    history = result.metrics["history"]["reasoning"]
    assert history[-1]["step"] == 2
    assert all(set(row) == {"step", "loss"} for row in history)


def test_the_estimate_grows_with_the_tokens():
    short, long = runs({"short": {"steps": 10}, "long": {"steps": 1000}})
    assert long.tokens == pytest.approx(100 * short.tokens, rel=0.01)
    assert 0 < estimate([short]) < estimate([long])


def test_what_is_to_be_trained_is_announced(tmp_path, capsys):
    results({"standard": {"explain": False}}, tmp_path / "runs")
    assert "1 runs to train: about " in capsys.readouterr().err
    results({"standard": {"explain": False}}, tmp_path / "runs")
    assert capsys.readouterr().err == ""


def test_added_arms_are_kept_by_the_stage_in_the_pipeline_and_in_scratch_otherwise(scratch, monkeypatch):
    monkeypatch.delenv(IN_PIPELINE, raising=False)
    assert where_to_train() == scratch / "interactive"
    monkeypatch.setenv(IN_PIPELINE, "")  # a runner without a terminal
    assert where_to_train() == paths.ABLATE_RUNS


def test_training_settings_are_the_runs_own(tmp_path, monkeypatch):
    plans = []
    fit = runs_module.fit
    monkeypatch.setattr(runs_module, "fit", lambda *args: (plans.append(args[2]), fit(*args))[1])
    changes = {"reduction": "tokens", "optimizer": "adamw", "learning_rate": 0.001, "warmup_steps": 0, "batch": 3}
    [run] = runs({"w/ SE": {"evaluations": 1, "lam": 0.25, "steps": 5, "self_eval_steps": 2}}, seeds=[7], **changes)
    train_run(run, tmp_path / "runs")
    first, second = plans
    assert (first.steps, first.validate_every, second.steps, second.validate_every) == (2, 0, 5, 5 // TRAIN.validations)
    for plan in plans:
        assert (plan.lam, plan.seed) == (0.25, 7)
        assert {key: getattr(plan, key) for key in changes} == changes


def test_runs_configured_no_longer_are_set_aside_and_found_again(tmp_path, scratch):
    folder = tmp_path / "runs"
    [first] = results({"standard": {"explain": False}}, folder)
    retire(folder, keep=[])
    assert list(folder.iterdir()) == []
    [again] = results({"standard": {"explain": False}}, folder)
    assert not again.trained and again.metrics == first.metrics and again.folder == folder / first.run.id


def test_what_an_interactive_kernel_trained_is_not_trained_again(tmp_path, scratch):
    results({"standard": {"explain": False}}, scratch / "interactive")
    [found] = results({"standard": {"explain": False}}, tmp_path / "runs")
    assert not found.trained and (tmp_path / "runs" / found.run.id / "metrics.json").exists()
