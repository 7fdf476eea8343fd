"""Cells of notebook 03 that word what is found, run as they stand on a few numbers."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lib import findings, paths, tables
from lib.clusters import cluster_mean
from lib.evaluate import Interval, auc_difference, auc_interval


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
    more |= {"beside_base": {name: (-0.47, -0.5, -0.44) for name in means if name != "base"}}
    return run_cells("03-slc-figure", scored_by=lambda _: "10,000 rationales", ONE="One student.", **more)["shown"]


def test_mean_slc_is_drawn_where_there_are_several_students():
    assert slc_figure(**MEANS)["slc-by-student"].startswith(
        "Mean SLC beside that of base: lower for small (−0.47 [−0.50, −0.44]), paired by rationale, per token "
    )


def test_mean_slc_of_one_student_is_a_sentence():
    found = slc_figure(base=MEANS["base"])
    said = "Mean SLC of base: 1.97 [1.96, 1.98], n = 10,000 rationales; above 1 the question helps. One student."
    assert found == {"texts": [said]}


def test_students_are_set_beside_base_on_the_rationales_that_both_scored():
    def scored(slc, *ids):
        return [SimpleNamespace(rationale_id=f"q{i}/0", question_id=f"q{i}", slc=slc + i) for i in ids]

    scores = {"base": scored(1.0, 1, 2), "small": scored(3.0, 2, 9)}
    more = {"score": {s.rationale_id: s for s in scores["base"]}, "scores": scores, "students": dict.fromkeys(scores)}
    left = run_cells("03-compared-figure", cluster_mean=cluster_mean, SEED=0, **more)
    assert left["beside_base"]["small"][0] == 2.0 and list(left["beside_base"]) == ["small"]


def histogram(column, separable):
    checked = pd.DataFrame({"sound": [True] * 1200 + [False] * 3, "slc": 2.0, "pmi": 3.0, "rd": 1.0})
    checked["question_id"] = [f"q{i % 30}" for i in range(len(checked))]
    more = {"cfg": SimpleNamespace(slc=SimpleNamespace(rd_target="gold")), "auc_interval": auc_interval, "SEED": 0}
    return run_cells("03-18", checked=checked, separable=separable, frame=checked, **more)["shown"][column]


@pytest.mark.parametrize(("column", "log"), [("slc", True), ("pmi", False)])
def test_captions_of_histograms_claim_and_explain(column, log):
    found = histogram(column, separable=True)
    assert " of sound and of flawed rationales is not separated (AUC .500 [.500, .500], chance .500), 95%: " in found
    assert " (n = 1,200); flawed " in found and " (n = 3); they are the vertical lines" in found
    assert ("the axis is logarithmic" in found) == log
    assert found.endswith("the outermost bins hold what lies beyond the axis as well.")


def test_histograms_of_what_cannot_be_told_apart_claim_nothing():
    assert histogram("slc", separable=False).startswith("Medians of SLC: all 2.00 (n = 1,203); they are")


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
        "Highest SLC: all students choose the same in 45.6% [38.1%, 53.4%] of questions, more often than by chance "
        "(22.1%). n = 1,600 questions; "
    )


def test_chains_of_refinement_are_told_apart_where_a_name_holds_a_comma():
    """Each by its own last round, and by the paired gain over its questions, not by its mean alone."""
    columns = ["chain", "round", "SLC", "SLC gain", "SLC gain low", "SLC gain high", "paired"]
    names = ["slc_high", "slc_high, imitation off", "random"]
    gains = [(0.5, 0.4, 0.6), (0.2, -0.1, 0.5), (-0.3, -0.4, -0.2)]
    rows = [(name, 1, 2, *gain, 1200) for name, gain in zip(names, gains)]
    rows = [(names[0], 0, 1.5, 0, 0, 0, 1200), *rows, (names[2], 2, 2, 0.1, 0.0, 0.2, 90)]
    curve = pd.DataFrame(rows, columns=columns)
    more = {"rounds": lambda *_: None, "PANELS": {}, "refined": dict.fromkeys(names)}
    found = run_cells("03-rounds-figure", curve=curve, **more)["shown"]["rounds"]
    assert found.startswith(
        "Mean SLC beside that of the same questions' originals: higher for slc_high, round 1 (+0.50 [+0.40, +0.60]); "
        "not separated for slc_high, imitation off, round 1 (+0.20 [−0.10, +0.50]), "
        "random, round 2 (+0.10 [+0.00, +0.20]); each alone, without correction. n = 90–1,200 questions scored"
    )


def test_the_figure_of_aucs_tells_of_each_score_whether_it_beats_plain_log_p():
    """Not of the best alone, which would be tested as if it had been chosen beforehand."""
    of = {"high SLC": (-0.03, -0.05, -0.01), "high PMI": (0.01, -0.01, 0.03), "low RD": (0.05, 0.02, 0.08)}
    plain = "plain: high log P(c|q)"
    more = {"separation": pd.DataFrame([(name, 0.5, 0.4, 0.6) for name in of], columns=["score", "AUC", "low", "high"])}
    more |= {"differences": {("overall", plain): {name: Interval(*own, 0) for name, own in of.items()}}}
    more |= {"THEORY": dict.fromkeys(of), "SELF": "self", "PLAIN": {plain: 0}, "PLANTED": "", "checked": range(9)}
    texts = []
    run_cells(
        "03-23", separable=True, arm_plot=lambda *_, **__: None, save_table=lambda *_: None,
        save_figure=lambda figure, name, caption, *_: texts.append(caption), **more,
    )  # fmt: skip
    assert texts[0].startswith(
        "AUC of the student's scores beside that of plain log P(c|q): higher for low RD (+0.050 [+0.020, +0.080]); "
        "lower for high SLC (−0.030 [−0.050, −0.010]); not separated for high PMI (+0.010 [−0.010, +0.030]); each by "
    )


def test_what_rd_is_towards_is_compared_with_the_setting_in_pairs():
    kinds, cfg = ("gold", "majority", "own"), SimpleNamespace(slc=SimpleNamespace(rd_target="gold"))
    ids = [f"q{i}/0" for i in range(8)]
    checked = pd.DataFrame({"sound": [True, False] * 4, "question_id": [i[:2] for i in ids]}, index=ids)
    towards = pd.DataFrame({"gold": [1.0, 0.0] * 4, "majority": [1.0, 0.0] * 4, "own": [0.0, 1.0] * 4}, index=ids)
    trap = pd.DataFrame([(kind, 0.5, 0.4, 0.6) for kind in kinds], columns=["score", "AUC", "low", "high"])
    more = {"trap": trap, "towards": towards, "checked": checked, "cfg": cfg, "auc_difference": auc_difference}
    texts = []
    run_cells(
        "03-25", arm_plot=lambda *_, **__: None, DRAWS=200, SEED=0, save_table=lambda *_: None,
        save_figure=lambda figure, name, caption, *_: texts.append(caption), **more,
    )  # fmt: skip
    assert texts[0].startswith(
        "By AUC low RD towards majority is not separated from low RD towards gold (.000 [.000, .000]); "
        "low RD towards own loses to low RD towards gold (−1.000 [−1.000, −1.000]). n = 8 rationales"
    )


def test_texts_of_questions_without_a_choice_do_not_thin_out_how_much_longer_they_are():
    lengths = {"base": {"highest SLC": {"a": 5, "b": 9, "c": 7}, "lowest SLC": {"a": 3, "b": 5, "c": 7}}}
    more = {"lengths_of": lengths, "texts_of": {"a": ["x", "y"], "b": ["x", "y"], "c": ["x", "x"]}, "SEED": 0}
    more |= {"words": {"base": {"highest SLC": (7, 5, 9)}}, "LEVELS": {"highest SLC": ""}, "taken": lambda _: [1, 2, 3]}
    more |= {"picks": {"base": {"highest SLC": []}}, "students": ["base"], "cluster_mean": cluster_mean}
    more |= {"mean_of": lambda values: cluster_mean(list(values.values()), list(values), seed=0)}
    found = run_cells("03-lengths-figure", **more)["shown"]["lengths"]
    assert "in words: longer for base (+3.0 [+2.0, +4.0]). Mean words" in found
