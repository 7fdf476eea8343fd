"""A changed file outside the repository changes inputs.lock; a missing one is a one-line error."""

import shutil
import subprocess
import sys

import pytest
import yaml

from lib import inputs, paths
from lib.config import parse_config
from lib.errors import UserError

NOTHING = "student: none\ntasks: none\nteacher: none\n"


@pytest.fixture(autouse=True)
def lock(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "LOCK", tmp_path / "inputs.lock")
    return inputs.LOCK


@pytest.fixture
def questions(tmp_path):
    path = tmp_path / "questions.json"
    path.write_text("[1]", encoding="utf-8")
    return path


def config(task="arithmetic", svamp=None, kind="simulated", recorded=None, tokenizer="words", source="scratch"):
    values = yaml.safe_load((paths.ROOT / "params" / "smoke.yaml").read_text(encoding="utf-8"))
    values["task"], values["tasks"]["svamp"]["path"] = task, svamp and str(svamp)
    values["teacher"]["kind"], values["teacher"]["recorded"]["path"] = kind, recorded and str(recorded)
    values["student"] |= {"tokenizer": str(tokenizer), "source": str(source)}
    return parse_config(values, "params.yaml")


def sections(lock) -> dict[str, str]:
    return yaml.safe_load(lock.read_text(encoding="utf-8"))


def test_without_files_each_section_says_none(lock):
    inputs.write_lock(config())
    assert lock.read_text(encoding="utf-8") == inputs.HEADER + NOTHING


def test_file_is_known_by_its_content(lock, questions):
    inputs.write_lock(config("svamp", questions))
    first = sections(lock)
    assert first["tasks"].startswith("sha256 ") and len(first["tasks"]) == len("sha256 ") + 64
    assert (first["teacher"], first["student"]) == ("none", "none")

    questions.write_text("[2]", encoding="utf-8")
    inputs.write_lock(config("svamp", questions))
    assert sections(lock)["tasks"] != first["tasks"]


def test_lock_is_untouched_while_nothing_changes(lock, questions):
    inputs.write_lock(config("svamp", questions))
    before = lock.stat()
    questions.touch()
    inputs.write_lock(config("svamp", questions))
    assert (lock.stat().st_mtime_ns, lock.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_file_may_lie_elsewhere(lock, questions, tmp_path):
    """Equal content is equal, wherever it lies: another machine has other paths."""
    inputs.write_lock(config("svamp", questions))
    first = sections(lock)
    inputs.write_lock(config("svamp", shutil.copy(questions, tmp_path / "moved.json")))
    assert sections(lock) == first


def test_file_that_is_not_used_does_not_count(lock, questions):
    inputs.write_lock(config("arithmetic", svamp=questions, kind="simulated", recorded=questions))
    assert lock.read_text(encoding="utf-8").endswith(NOTHING)


def test_folder_counts_with_its_names(lock, tmp_path):
    tokenizer = tmp_path / "tokenizer"
    tokenizer.mkdir()
    (tokenizer / "a.json").write_text("1")
    inputs.write_lock(config(tokenizer=tokenizer))
    first = sections(lock)["student"]
    (tokenizer / "a.json").rename(tokenizer / "b.json")
    inputs.write_lock(config(tokenizer=tokenizer))
    assert "none" != sections(lock)["student"] != first


def test_name_on_the_hub_is_no_file(lock):
    inputs.write_lock(config(tokenizer="some/name", source="some/name"))
    assert lock.read_text(encoding="utf-8").endswith(NOTHING)


@pytest.mark.parametrize(
    ("section", "settings"),
    [
        ("tasks", {"task": "svamp", "svamp": "/no/questions"}),
        ("teacher", {"kind": "recorded", "recorded": "/no/teacher"}),
    ],
)
def test_missing_file_is_named(lock, section, settings):
    with pytest.raises(UserError) as error:
        inputs.write_lock(config(**settings))
    assert str(error.value) == f"params.yaml: {section}: no such file: {settings.get('svamp') or settings['recorded']}"
    assert not lock.exists()


def test_missing_file_is_one_line_on_the_command_line(tmp_path):
    shutil.copytree(paths.ROOT / "lib", tmp_path / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    text = (paths.ROOT / "params" / "smoke.yaml").read_text(encoding="utf-8")
    text = text.replace("task: arithmetic", "task: svamp").replace("path: null", "path: gone.json")
    (tmp_path / "params.yaml").write_text(text)
    result = subprocess.run(
        [sys.executable, "-m", "lib.inputs"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 1 and result.stdout == ""
    assert result.stderr == "error: params.yaml: tasks: no such file: gone.json\n"
