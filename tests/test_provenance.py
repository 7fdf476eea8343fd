"""Where results were made: noted by each stage, shown on a page of its own, and never in the way of a stage."""

import json
import os
import subprocess

import pytest

from lib import paths, provenance
from lib.render import faults


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "SCRATCH", tmp_path / "scratch")
    monkeypatch.setattr(paths, "REPORTS", tmp_path / "reports")
    return tmp_path


def test_the_last_time_of_each_stage_is_kept(repository):
    provenance.note_stage("01_generate", 3.21)
    provenance.note_stage("04_train", 60)
    provenance.note_stage("01_generate", 1.04)
    known = json.loads((repository / "scratch" / "provenance.json").read_text())
    assert {name: row["seconds"] for name, row in known.items()} == {"01_generate": 1.0, "04_train": 60}


def test_a_broken_file_stops_no_stage(repository):
    (repository / "scratch").mkdir()
    (repository / "scratch" / "provenance.json").write_text("{")
    provenance.note_stage("04_train", 2)
    assert "04_train" in (repository / "scratch" / "provenance.json").read_text()


def test_the_page_shows_machine_and_times_and_needs_nothing_else(monkeypatch):
    monkeypatch.setattr(provenance, "machine", lambda: {"processor": "<b>, 2 cores"})
    provenance.note_stage("01_generate", 3.2)
    provenance.note_stage("04_train", 60)
    text = provenance.write_page().read_text(encoding="utf-8")
    assert '<th scope="row">processor</th><td>&lt;b&gt;, 2 cores</td>' in text and "63 s in all" in text
    assert '<table class="results facts">' in text  # whose values break, see lib/render.css
    assert "3.2 s, ended " in text and faults(text) == []


def test_before_any_stage_the_page_says_so():
    assert "No stage has run here yet." in provenance.write_page().read_text(encoding="utf-8")


def test_what_cannot_be_asked_is_not_known(monkeypatch):
    assert provenance._said("no-such-program") == provenance.NONE
    monkeypatch.setattr(provenance, "_said", lambda *command: provenance.NONE)
    assert provenance.commit() == provenance.NONE and provenance.machine()["GPU"] == "none"


@pytest.fixture
def checkout(repository, monkeypatch):
    """A repository of one commit, with a tag on it."""
    monkeypatch.setattr(paths, "ROOT", repository)
    (repository / "file").write_text("one")
    git(repository, "init", "-q")
    git(repository, "add", "file")
    git(repository, "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "-qm", "One")
    git(repository, "tag", "v1")
    return repository


def git(folder, *command):
    return subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_is_named_and_changes_are_told(checkout):
    head = git(checkout, "rev-parse", "--short=12", "HEAD")
    assert provenance.commit() == head and len(head) == 12
    (checkout / "other").write_text("not tracked")
    assert provenance.commit() == head
    (checkout / "file").write_text("two")
    assert provenance.commit() == f"{head}, with changes"


def test_files_that_git_cannot_look_at_do_not_read_as_unchanged(checkout):
    (checkout / ".git" / "index").write_bytes(b"broken")
    assert provenance.commit() == provenance.NONE


def test_a_gpu_is_named_without_its_number(repository, monkeypatch):
    program = repository / "nvidia-smi"
    program.write_text(
        '#!/bin/sh\n[ "$1" = -L ] && echo "GPU 0: Some GPU (UUID: GPU-1234)" || echo "Some GPU, 8 MiB"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{repository}{os.pathsep}{os.environ['PATH']}")
    assert provenance.machine()["GPU"] == "Some GPU, 8 MiB"


def test_the_page_is_ignored_by_git_and_an_out_of_no_stage():
    assert "/reports/provenance.html" in (paths.ROOT / ".gitignore").read_text().splitlines()
    assert "provenance.html" not in (paths.ROOT / "dvc.yaml").read_text()
