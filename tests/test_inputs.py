"""A changed file outside the repository changes inputs.lock; a missing one is a one-line error."""

import shutil
import subprocess
import sys

import pytest
import yaml

from lib import inputs, paths
from lib.config import parse_config
from lib.errors import UserError

NOTHING = "data: none\nstudent: none\nteacher: none\n"


@pytest.fixture(autouse=True)
def lock(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "LOCK", tmp_path / "inputs.lock")
    return inputs.LOCK


@pytest.fixture
def questions(tmp_path):
    path = tmp_path / "questions.json"
    path.write_text("[1]", encoding="utf-8")
    return path


def config(task="arithmetic", raw=None, kind="simulated", recorded=None, tokenizer="words", source="scratch", **more):
    values = yaml.safe_load(paths.PARAMS.read_text(encoding="utf-8"))
    values["task"], values["data"]["raw"] = task, raw and str(raw)
    values["data"]["revision"] = more.get("revision")
    values["tasks"]["coin_flip"]["source"] = more.get("coins", "generated")
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
    assert first["data"].startswith("sha256 ") and len(first["data"]) == len("sha256 ") + 64
    assert (first["teacher"], first["student"]) == ("none", "none")

    questions.write_text("[2]", encoding="utf-8")
    inputs.write_lock(config("svamp", questions))
    assert sections(lock)["data"] != first["data"]


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
    inputs.write_lock(config("arithmetic", raw=questions, kind="simulated", recorded=questions))
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
    ("settings", "line"),
    [
        ({"task": "gsm8k"}, "hub openai/gsm8k newest"),
        ({"task": "gsm8k", "revision": "abc123"}, "hub openai/gsm8k abc123"),
        ({"task": "coin_flip", "coins": "published"}, "hub skrishna/coin_flip newest"),
        ({"task": "coin_flip", "revision": "abc123"}, "none"),
    ],
)
def test_data_set_on_the_hub_is_known_by_its_revision(lock, settings, line):
    inputs.write_lock(config(**settings))
    assert sections(lock)["data"] == line


def test_published_coin_flips_are_read_from_their_file(lock, questions):
    inputs.write_lock(config("coin_flip", questions, coins="published"))
    first = sections(lock)["data"]
    inputs.write_lock(config("coin_flip", questions))
    assert first.startswith("sha256 ") and sections(lock)["data"] == "none"


def test_data_set_that_is_not_on_the_hub_must_be_given(lock):
    with pytest.raises(UserError, match=r"data\.raw: not set, and no whole copy of AddSub on the hub is known"):
        inputs.write_lock(config("add_sub"))
    assert not lock.exists()


@pytest.mark.parametrize(
    ("section", "settings"),
    [
        ("data", {"task": "svamp", "raw": "/no/questions"}),
        ("teacher", {"kind": "recorded", "recorded": "/no/teacher"}),
    ],
)
def test_missing_file_is_named(lock, section, settings):
    with pytest.raises(UserError) as error:
        inputs.write_lock(config(**settings))
    assert str(error.value) == f"params.yaml: {section}: no such file: {settings.get('raw') or settings['recorded']}"
    assert not lock.exists()


def test_missing_file_is_one_line_on_the_command_line(tmp_path):
    shutil.copytree(paths.ROOT / "lib", tmp_path / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    text = paths.PARAMS.read_text(encoding="utf-8")
    text = text.replace("task: arithmetic", "task: svamp").replace("raw: null", "raw: gone.json")
    (tmp_path / "params.yaml").write_text(text)
    result = subprocess.run(
        [sys.executable, "-m", "lib.inputs"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 1 and result.stdout == ""
    assert result.stderr == "error: params.yaml: data: no such file: gone.json\n"
