"""Mean SLC over profiles: one section of the page of contents, whole and safe whatever students are called."""

import re

import pytest

from lib import mean_slc, paths
from lib.render import faults, page


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "FIGURES", tmp_path / "figures")
    return tmp_path / "figures"


def test_nothing_without_a_mean():
    assert mean_slc.section([]) == mean_slc.section([{"task": "arithmetic", "slc_by_student": {}}]) == ""


def test_the_note_says_how_many_rationales(folder):
    found = {"task": "coins", "profile": "p", "slc_by_student": {"a": [1, 1, 1], "b": [2, 1, 3]}}
    text = mean_slc.section([found | {"scored": {"a": 180, "b": 200}}])
    assert "n = 180 to 200 rationales a student." in text and "2.000 [1.000, 3.000]" in text
    assert "n = 4,800 rationales a student." in mean_slc.section([found | {"scored": {"a": 4800, "b": 4800}}])
    assert "n = " not in mean_slc.section([found])
    assert (folder / "report" / "mean-slc.svg").exists()


def test_names_are_escaped_and_wide_tables_scroll():
    found = {"task": "<script>", "profile": "p", "slc_by_student": {"<b>": [1, 1, 1]}}
    text = mean_slc.section([found])
    assert "<td>&lt;b&gt;</td>" in text and re.search(r'<div class="scroll" tabindex="0"[^>]*><table', text)
    assert text.count('<th scope="col">') == 4
    assert faults(page("t", text, "")) == []
