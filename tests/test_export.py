"""An exported student stands alone: it loads without the project, and its card says only what was computed."""

import json
import os
import shutil
import subprocess
import sys
from ast import literal_eval
from pathlib import Path

import pytest
import yaml
from httpx2 import ConnectError
from huggingface_hub.errors import LocalTokenNotFoundError
from tiny_world import data

from lib import paths
from lib.ask import Reasoner
from lib.checkpoint import open_checkpoint
from lib.errors import UserError
from lib.export import PICKLED, export, find_run, main, push, teacher_notes
from lib.inference import write
from lib.model_card import pipeline_example
from lib.statistics import wilson
from lib.words import tidy

TEST = [q.text for q in data().split("test")]


@pytest.fixture
def exported(trained, tmp_path):
    return export(trained["judge"], tmp_path / "student", ["Simulated teacher: its errors are planted."])


def test_it_holds_all_it_needs_and_nothing_pickled(exported):
    names = {path.name for path in exported.iterdir()}
    assert {
        "model.safetensors",
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "README.md",
        "recipe.json",
    } <= names
    assert not any(name.endswith(PICKLED) for name in names)
    assert json.loads((exported / "generation_config.json").read_text())["max_new_tokens"] == 32
    assert not list(exported.parent.glob("*.partial"))


def test_it_answers_as_the_run_does(trained, exported):
    run, own = (Reasoner.load(folder, task="svamp").ask_all(TEST) for folder in (trained["judge"], exported))
    assert own == run


def test_it_loads_in_a_clean_process_with_transformers_alone(exported, tmp_path):
    """The card's own example, in a process that cannot see the project."""
    finished = open_checkpoint(exported)
    code = f"folder, question = {str(exported)!r}, {TEST[0]!r}\n{pipeline_example(finished)}\n"
    code += "import sys\nassert not any(name.split('.')[0] == 'lib' for name in sys.modules)\nprint(repr(answer))"
    ran = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert ran.returncode == 0, ran.stderr[-2000:]
    expected = write(finished.student, [f"predict: {TEST[0]}"], 32)[0].text
    assert tidy(literal_eval(ran.stdout)) == expected
    assert pipeline_example(finished) in (exported / "README.md").read_text()


def test_the_card_counts_what_the_run_left(trained, exported):
    card = (exported / "README.md").read_text()
    _, head, body = card.split("---\n", 2)
    meta = yaml.safe_load(head)
    predictions = [json.loads(line) for line in (trained["judge"] / "predictions.jsonl").open()]
    right = sum(p["correct"] for p in predictions)
    assert meta["model-index"][0]["results"][0]["metrics"] == [{"type": "accuracy", "value": right / len(predictions)}]
    low, high = wilson(right, 2)
    assert f"| answers right | {right / 2:.1%} | {low:.1%} to {high:.1%} | 2 |" in body
    assert "verdicts right, after phase 1" in body and "verdicts right, after phase 2" in body
    assert "nothing about real teachers follows" in body and "| recipe.evaluations | 1 |" in body


def test_it_replaces_an_export_and_nothing_else(trained, exported, tmp_path):
    export(trained["labels"], exported)
    assert json.loads((exported / "recipe.json").read_text())["recipe"]["explain"] is False
    mine = tmp_path / "mine"
    mine.mkdir()
    with pytest.raises(UserError, match="mine: exists and is no exported student"):
        export(trained["labels"], mine)


@pytest.mark.parametrize("kind", ["run", "headline"])
def test_a_run_or_a_headline_student_is_not_replaced(trained, tmp_path, kind):
    """Both have a recipe, as an export has."""
    theirs = shutil.copytree(trained["judge"] if kind == "run" else trained["judge"] / "student", tmp_path / "theirs")
    shutil.copy(trained["judge"] / "recipe.json", theirs)
    before = sorted(path.relative_to(theirs) for path in theirs.rglob("*"))
    with pytest.raises(UserError, match="theirs: exists and is no exported student"):
        export(trained["labels"], theirs)
    assert sorted(path.relative_to(theirs) for path in theirs.rglob("*")) == before


def test_the_folder_that_one_stands_in_is_refused(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="exists and is no exported student"):
        export(trained["labels"], Path("."))


def test_an_interrupted_replacement_keeps_the_earlier_export(trained, exported, monkeypatch):
    """Killed between the two renames: the earlier one stands aside, whole."""
    before = (exported / "README.md").read_text()
    rename = os.rename

    def killed(source, to):
        if str(source).endswith(".partial"):
            raise KeyboardInterrupt
        rename(source, to)

    monkeypatch.setattr(os, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        export(trained["labels"], exported)
    monkeypatch.undo()
    assert (exported.parent / "student.replaced" / "README.md").read_text() == before
    export(trained["labels"], exported)
    assert not list(exported.parent.glob("student.*"))


@pytest.mark.parametrize("stage", ["04_train", "05_ablate"])
def test_the_teacher_is_noted_by_the_checkout_that_trained_the_run(tmp_path, stage):
    run = tmp_path / "copy" / "data" / stage / "runs" / "5f0c"
    metrics = tmp_path / "copy" / "reports" / "metrics" / "01_generate.json"
    for folder in (run, metrics.parent):
        folder.mkdir(parents=True)
    assert teacher_notes(run) == []  # 01_generate has not run there
    metrics.write_text('{"teacher": ["The copy\'s own."]}')
    assert teacher_notes(run) == ["The copy's own."]
    for other in (tmp_path / "copy" / "scratch" / "retired" / "5f0c", tmp_path / "copy" / "5f0c"):
        other.mkdir(parents=True)
        assert teacher_notes(other) == []


def test_what_is_no_run_is_refused(trained, tmp_path):
    with pytest.raises(UserError, match=r"no recipe\.json"):
        export(trained["judge"] / "student", tmp_path / "x")
    with pytest.raises(UserError, match=r"predictions\.jsonl: no predictions"):
        (tmp_path / "run").mkdir()
        for name in ("student", "recipe.json"):
            (tmp_path / "run" / name).symlink_to(trained["judge"] / name)
        export(tmp_path / "run", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_runs_are_found_by_the_beginning_of_their_id(trained):
    run = trained["judge"]
    assert find_run(run.name[:6], [run.parent]) == run == find_run(str(run), [])
    with pytest.raises(UserError, match=r"RUN: no run 'zz'; there are: .*: 1 rationales, 1 evaluations, 4 steps"):
        find_run("zz", [run.parent])
    with pytest.raises(UserError, match="RUN: no run ''; there are: none; `make reproduce` trains them"):
        find_run("", [])


# -- the hub -----------------------------------------------------------------------------------------


class Hub:
    """A hub that notes what it is asked."""

    def __init__(self, error=None):
        self.asked, self.error = [], error

    def whoami(self):
        if self.error:
            raise self.error

    def create_repo(self, repo, **how):
        self.asked.append(("create", repo, how["exist_ok"]))

    def upload_folder(self, folder_path, repo_id, **how):
        self.asked.append(("upload", repo_id, sorted(path.name for path in folder_path.iterdir())))


def test_the_folder_is_sent_whole(exported):
    hub = Hub()
    files = push(exported, "me/student", api=hub)
    assert hub.asked == [("create", "me/student", True), ("upload", "me/student", files)]


def test_a_dry_run_sends_nothing(exported):
    hub = Hub()
    assert "model.safetensors" in push(exported, "me/student", dry_run=True, api=hub) and hub.asked == []


def test_without_a_login_it_says_what_to_do(exported):
    with pytest.raises(UserError, match="not logged in; run `hf auth login`"):
        push(exported, "me/student", api=Hub(LocalTokenNotFoundError("no token")))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionError("no route\nby this network"), "no route"),
        (ConnectError(""), "ConnectError"),  # a refusal may come without words
    ],
)
def test_a_hub_that_refuses_is_told_in_one_line(exported, error, said):
    with pytest.raises(UserError, match=rf"refused or cannot be reached \({said}\)$"):
        push(exported, "me/student", api=Hub(error))


def test_a_file_that_cannot_be_read_is_not_laid_to_the_hub(exported):
    with pytest.raises(PermissionError, match="weights"):
        push(exported, "me/student", api=Hub(PermissionError("weights")))


@pytest.mark.parametrize("repo", ["student", "a/b/c", "/student", ""])
def test_a_name_that_is_none_is_refused(exported, repo):
    with pytest.raises(UserError, match=r"REPO: given .*; expected user/name"):
        push(exported, repo, dry_run=True)


def test_the_command_line(trained, tmp_path, capsys):
    run = str(trained["judge"])
    assert main([run, "--to", str(tmp_path / "out"), "--push", "me/student", "--dry-run"]) == 0
    assert "would push to me/student: README.md, config.json" in capsys.readouterr().out
    assert "Its teacher is not known." in (tmp_path / "out" / "README.md").read_text()
    assert main(["no such run"]) == 1
    assert "error: RUN: no run" in capsys.readouterr().err


def test_to_push_without_a_repository_exports_nothing(trained, tmp_path, capsys):
    """As `make push-student RUN=...` asks, without REPO."""
    assert main([str(trained["judge"]), "--to", str(tmp_path / "out"), "--push", ""]) == 1
    assert "error: REPO: given ''; expected user/name" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_a_run_they_are_listed(trained, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(paths, "RUNS", trained["judge"].parent)
    monkeypatch.setattr(paths, "ABLATE_RUNS", tmp_path / "none")
    assert main([""]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {path.name for path in trained.values()} <= {line.partition(":")[0] for line in lines}
    monkeypatch.setattr(paths, "RUNS", tmp_path / "none")
    assert main([""]) == 1


@pytest.mark.slow
def test_make_export_writes_the_folder(trained):
    """By the Makefile, with this interpreter's environment; what it writes lies in the checkout's own scratch/."""
    run = trained["judge"]
    folder = paths.ROOT / "scratch" / "exports" / run.name
    made = ["make", "--old-file=.venv/ready", "export", f"RUN={run}"]
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    try:
        ran = subprocess.run(
            made, cwd=paths.ROOT, env=os.environ | {"PATH": programs}, capture_output=True, text=True, timeout=600
        )
        assert ran.returncode == 0, ran.stderr[-2000:]
        assert f"exported: {folder}" in ran.stdout
        assert {"README.md", "model.safetensors", "recipe.json"} <= {path.name for path in folder.iterdir()}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
