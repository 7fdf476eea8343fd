"""Where results were made: noted by each stage, shown on a page of its own, and never in the way of a stage."""

import json

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
    assert "<th>processor</th><td>&lt;b&gt;, 2 cores</td>" in text and "63 s in all" in text
    assert "3.2 s, ended " in text and faults(text) == []


def test_before_any_stage_the_page_says_so():
    assert "No stage has run here yet." in provenance.write_page().read_text(encoding="utf-8")


def test_what_cannot_be_asked_is_not_known(monkeypatch):
    assert provenance._said("no-such-program") == provenance.NONE
    monkeypatch.setattr(provenance, "_said", lambda *command: provenance.NONE)
    assert provenance.commit() == provenance.NONE and provenance.machine()["GPU"] == "none"


def test_the_page_is_ignored_by_git_and_an_out_of_no_stage():
    assert "/reports/provenance.html" in (paths.ROOT / ".gitignore").read_text().splitlines()
    assert "provenance.html" not in (paths.ROOT / "dvc.yaml").read_text()
