"""Cells of notebook 03 that word what is found, run as they stand on a few numbers."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lib import findings, paths, tables
from lib.evaluate import Interval


def cells() -> dict[str, str]:
    book = json.loads((paths.ROOT / "notebooks" / "03_slc.ipynb").read_text(encoding="utf-8"))
    return {cell["id"]: "".join(cell["source"]) for cell in book["cells"]}


def run_cells(*names, **known) -> dict:
    """The names that the cells leave behind; "shown" holds what they displayed, captions of figures by their name."""
    shown = {"texts": []}
    known = {
        "np": np, "pd": pd, "findings": findings, "STAGE": "03_slc", "NOTE": None, "shown": shown, "Markdown": str,
        "true_minus": tables.true_minus, "percent": tables.percent, "DASH": tables.DASH,
        "TWO_DIGITS": "{:.2f}".format, "THREE_DIGITS": "{:.3f}".format, "display": shown["texts"].append,
        "spread": lambda mean, low, high, text=tables.percent: f"{text(mean)} [{text(low)}, {text(high)}]",
        "save_figure": lambda figure, name, caption, *_: shown.setdefault(name, caption),
        "save_table": lambda table, name, caption, *_: shown.setdefault(name, caption),
        "grouped_dots": lambda *_, **__: None, "distribution": lambda *_, **__: None, "upset": lambda *_, **__: None,
    } | known  # fmt: skip
    for name in names:
        exec(cells()[name], known)
    return known


MEANS = {"base": (1.97, 1.96, 1.98), "small": (1.5, 1.4, 1.6)}


def slc_figure(**means):
    more = {"cfg": SimpleNamespace(task="arithmetic"), "students": means, "slc_by_student": means}
    return run_cells("03-slc-figure", scored_by=lambda _: "10,000 rationales", ONE="One student.", **more)["shown"]


def test_mean_slc_is_drawn_where_there_are_several_students():
    assert slc_figure(**MEANS)["slc-by-student"].startswith(
        "Mean SLC is higher for base (1.97 [1.96, 1.98]) than for small (1.50 [1.40, 1.60]). n, arithmetic: base 10,000"
    )


def test_mean_slc_of_one_student_is_a_sentence():
    found = slc_figure(base=MEANS["base"])
    said = "Mean SLC of base: 1.97 [1.96, 1.98], n = 10,000 rationales; above 1 the question helps. One student."
    assert found == {"texts": [said]}


@pytest.mark.parametrize(("column", "log"), [("slc", True), ("pmi", False)])
def test_captions_of_histograms_claim_and_explain(column, log):
    checked = pd.DataFrame({"sound": [True] * 1200 + [False] * 3, "slc": 2.0, "pmi": 3.0, "rd": 1.0})
    cfg = SimpleNamespace(slc=SimpleNamespace(rd_target="gold"))
    found = run_cells("03-18", checked=checked, separable=True, frame=checked, cfg=cfg)["shown"][column]
    assert found.startswith("Median ") and "is the same for sound, flawed (" in found
    assert "n = 1,200 sound, 3 flawed training rationales; vertical lines: medians; " in found
    assert ("the axis is logarithmic" in found) == log
    assert found.endswith("the outermost bins hold what lies beyond the axis as well.")


@pytest.mark.parametrize(
    ("low", "said"), [(-0.01, "No score of the student was shown to tell"), (0.01, "beaten by SLC")]
)
def test_the_headline_claims_no_more_than_was_shown(low, said):
    strata, found = {"overall": None, "within a question": 0}, {"SLC": Interval(0.02, low, 0.05, 0)}
    more = {"STRATA": strata, "differences": {(mode, "plain"): found for mode in strata}, "PLAIN": {"plain": 0}}
    cfg = SimpleNamespace(slc=SimpleNamespace(rd_target="gold"))
    left = run_cells("03-auc-words", SELF="self", separable=True, cfg=cfg, **more)
    assert said in left["verdict"][0]
    assert left["spoken"]("SLC", 0.51, 0.4996, 0.52) == "SLC 0.510 [0.500, 0.520], not separated from chance"


@pytest.mark.parametrize(
    ("of_all", "of_question", "said"),
    [
        (0.972, 0.925, "in nearly the same order: their rank correlation is 0.97 over all rationales and 0.93 within"),
        (-0.2, float("nan"), "in different orders: their rank correlation is −0.20 over all rationales."),
    ],
)
def test_a_sentence_says_how_alike_slc_and_pmi_rank(of_all, of_question, said):
    columns = ["score", "against", "all rationales", "within a question"]
    table = pd.DataFrame([("slc", "pmi", of_all, of_question), ("slc", "rd", 0, 0)], columns=columns)
    texts = []
    run_cells("03-ranks", correlation=table, per_question={5: 1}, frame=table, Markdown=texts.append)
    assert said in texts[0]


def test_captions_of_overlaps_say_whether_choices_meet_more_often_than_by_chance():
    own = findings.Overlap(("base", "small"), 0.456, 0.381, 0.534, 0.221, 1600)
    more = {"overlapping": {"highest SLC": [own]}, "students": ["base", "small"]}
    found = run_cells("03-overlap-figures", agreed={"highest SLC": own}, **more)["shown"]["overlap-highest"]
    assert found.startswith(
        "Highest SLC: all students choose the same more often than by chance: in 45.6% [38.1%, 53.4%] of questions, "
        "by chance in 22.1%. n = 1,600 questions; "
    )


def test_chains_of_refinement_are_told_apart_where_a_name_holds_a_comma():
    columns = ["chain", "round", "SLC", "SLC low", "SLC high", "SLC before", "questions"]
    names = ["slc_high", "slc_high, imitation off", "random"]
    rows = [(name, 1, 2, low, 3, 1.5, 1200) for name, low in zip(names, (1.6, 1.7, 1.4))]
    curve = pd.DataFrame([(names[0], 0, 1.5, 1.4, 1.6, 1.5, 1200), *rows], columns=columns)
    found = run_cells("03-rounds-figure", curve=curve, rounds=lambda *_: None, PANELS={})["shown"]["rounds"]
    assert found.startswith(
        "Mean SLC rose in 2 of 3 chains (slc_high; slc_high, imitation off). Mean SLC after round 1: "
    )
    assert "; before 1.50. n = 1,200 questions" in found
