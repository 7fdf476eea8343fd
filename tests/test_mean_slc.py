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


def claim(*profiles: dict) -> str:
    """What the caption says before it says what is measured."""
    caption = re.search("<figcaption>(.*?)</figcaption>", mean_slc.section(profiles))[1]
    return caption.partition(" How much the question helps")[0]


def test_the_caption_begins_with_who_is_highest_and_that_it_is_not_tested():
    coins = {"task": "coins", "profile": "p", "slc_by_student": {"a": [1, 0.9, 1.1], "b": [2, 1, 3], "c": [1.5, 1, 2]}}
    words = {"task": "words", "profile": "q", "slc_by_student": {"a": [1.204, 1, 2], "b": [1, 0.9, 1.1]}}
    alone = {"task": "sums", "profile": "r", "slc_by_student": {"a": [9, 9, 9]}}
    untested = "No difference between means is tested: each interval is of one mean alone."
    assert claim(coins, words, alone) == (
        "On coins, profile p, mean SLC is highest for b (2.00 [1.00, 3.00]), lowest for a (1.00 [0.90, 1.10]). "
        f"On words, profile q, mean SLC is higher for a (1.20 [1.00, 2.00]) than for b (1.00 [0.90, 1.10]). {untested}"
    )
    assert claim(alone) == "Mean SLC for a on sums, profile r is 9.00 [9.00, 9.00]."
    other = alone | {"task": "more", "slc_by_student": {"a": [8, 7, 9]}}
    assert claim(alone, other) == (
        "Mean SLC is higher for a on sums, profile r (9.00 [9.00, 9.00]) than for a on more, profile r "
        f"(8.00 [7.00, 9.00]). {untested}"
    )


def test_names_are_escaped_and_wide_tables_scroll():
    found = {"task": "<script>", "profile": "p", "slc_by_student": {"<b>": [1, 1, 1]}}
    text = mean_slc.section([found])
    assert "<td>&lt;b&gt;</td>" in text and re.search(r'<div class="scroll" tabindex="0"[^>]*><table', text)
    assert text.count('<th scope="col">') == 4
    assert faults(page("t", text, "")) == []
