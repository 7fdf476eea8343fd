"""Cells of notebooks 02 and 05 that word what is found, run as they stand on a few numbers."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest

from lib import comparison, figures_findings, paths, summary, tables
from lib.arms import make_arms
from lib.config import load_config


def run_cell(book: str, name: str, **known) -> dict:
    """The names that a cell leaves behind; "captions" holds those of its figures."""
    cells = json.loads((paths.ROOT / "notebooks" / f"{book}.ipynb").read_text(encoding="utf-8"))["cells"]
    [source] = ["".join(cell["source"]) for cell in cells if cell["id"] == name]
    captions = []
    drawn = SimpleNamespace(axes=[SimpleNamespace(set_xlim=lambda *_: None)])
    figures = SimpleNamespace(
        arm_plot=lambda *_, **__: drawn, save_figure=lambda figure, name, caption, *_: captions.append(caption)
    )
    known = {"figures": figures, "STAGE": "x", "NOTE": "", "display": lambda _: None, "captions": captions} | known
    exec(source, known)
    return known


SOUND, FEW, MANY = ({"share": share, "low": share - 0.01, "high": share + 0.01, "n": 9} for share in (0.15, 0.79, 0.81))


@pytest.mark.parametrize(
    ("alarms", "said"),
    [
        (
            {"sound": SOUND, "distractor taken": MANY, "wrong operation": FEW},
            "sound rationales in 15.0% [14.0%, 16.0%], flawed ones in 79.0% [78.0%, 80.0%] (wrong operation) to "
            "81.0% [80.0%, 82.0%] (distractor taken)",
        ),
        ({"sound": SOUND}, "sound rationales in 15.0% [14.0%, 16.0%]"),
        ({"only the answer is wrong": FEW}, "flawed ones in 79.0% [78.0%, 80.0%] (only the answer is wrong)"),
    ],
)
def test_what_is_called_wrong_is_told_of_sound_and_of_flawed_rationales(tmp_path, monkeypatch, alarms, said):
    monkeypatch.setattr(paths, "FIGURES", tmp_path)
    more = {"formats": dict.fromkeys(["share", "low", "high"]), "train": pd.DataFrame({"kind": ["sound"]})}
    found = run_cell("02_self_eval", "02-kinds-figure", alarms=alarms, paths=paths, **more)["captions"]
    assert found[0].startswith(f"Evaluations call wrong: {said}. How often")


def test_reliability_has_the_error_of_each_kind_of_rationale(monkeypatch):
    groups = {"the teacher's, after phase 2": SimpleNamespace(ece=0.221, n=5), "its own": SimpleNamespace(ece=0.4, n=7)}
    monkeypatch.setattr(figures_findings, "reliability", lambda _: None)
    cfg = SimpleNamespace(train=SimpleNamespace(headline="5 CoTs w/ SE"))
    known = {"found": pd.DataFrame({"arm": ["5 CoTs w/ SE"]}), "cfg": cfg, "SEEDS": "1 seed"}
    known |= {"verdicts": SimpleNamespace(reliability=lambda _: groups), "figures_findings": figures_findings}
    found = run_cell("05_ablate", "infer005", **known)["captions"]
    assert found[0].startswith(
        "Expected calibration error: 0.22 (the teacher's, after phase 2); 0.40 (its own). 5 CoTs w/ SE, 1 seed together"
    )


TRAIN = load_config(paths.ROOT / "params" / "default.yaml").train
ARMS = make_arms({"5 CoTs": {"rationales": 5}, "labels": {"explain": False, "tokens_of": "5 CoTs"}}, TRAIN)
SURE = "+2.4 points [+0.9, +3.9], p < .001, p = .008 after Holm"


def pairs(*rows) -> pd.DataFrame:
    return pd.DataFrame(
        [(*row, 0.024, 0.008) for row in rows], columns=["arm", "against", "verdict", "difference", "holm"]
    )


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [("5 CoTs", "labels", SURE)],
            "At equal compute 1 of 1 differences from controls are separated: 5 CoTs (+2.4 ",
        ),
        ([("a", "b", SURE)], "1 of 1 pairs of arms separated: a against b (+2.4). Test accuracy by arm"),
        ([], "No arm is compared with another. Test accuracy by arm"),
    ],
)
def test_the_main_figure_begins_with_the_matched_controls(monkeypatch, rows, said):
    monkeypatch.setattr(comparison, "by_arm", lambda _: {})
    monkeypatch.setattr(comparison, "comparisons", lambda *_: pairs(*rows))
    frame = pd.DataFrame({"accuracy": [0.9], "std": [0.1]}, index=["5 CoTs"])
    known = {"results": [], "frame": frame, "arms": ARMS, "bootstrap": (0.05, 9), "seeds": 3, "n": 9}
    known |= {"comparison": comparison, "summary": summary, "cfg": SimpleNamespace(ablate=SimpleNamespace(alpha=0.05))}
    assert run_cell("05_ablate", "05-main-figure", **known)["captions"][0].startswith(said)


def headline(rows, accuracy: dict) -> list[str]:
    """The lines of 05's summary."""
    frame = pd.DataFrame({"accuracy": accuracy, "std": dict.fromkeys(accuracy, 0.01)})
    main = frame.assign(low=0.9, high=1.0, **{"verdicts right": tables.DASH})
    cfg = SimpleNamespace(ablate=SimpleNamespace(alpha=0.05), train=SimpleNamespace(headline="5 CoTs"), infer=None)
    known = {"pairs": pairs(*rows), "arms": ARMS, "cfg": cfg, "main": main, "frame": frame, "sampled": {}, "told": {}}
    known |= {"n": 400, "SEEDS": "3 seeds", "INTERVAL": "95% interval", "samples": 0, "sound": 0.7}
    known |= {"ways": SimpleNamespace(way_name=lambda *_: ""), "finding": None}
    known |= {"comparison": comparison, "summary": summary, "tables": tables}
    return run_cell("05_ablate", "05-headline-text", **known)["headline"].splitlines()


def test_the_summary_names_the_profiles_own_controls_and_that_a_maximum_was_picked():
    first, _, *others = headline([("5 CoTs", "labels", SURE)], {"labels": 0.9, "5 CoTs": 0.95})
    assert first == (
        "Highest of 2 arms: 5 CoTs, 95.0 ± 1.0% [90.0, 100.0] of 400 test questions (3 seeds; 95% interval); picked by "
        "these very numbers, so that they flatter it."
    )
    assert others == [
        "- At equal compute **1 of 1** differences from controls are separated: 5 CoTs (+2.4 points).",
        "- 5 CoTs against labels (equal compute): **+2.4 points [+0.9, +3.9], separated** (p < .001, p = .008 after "
        "Holm).",
        "- 1 of 1 pairs of arms separated: 5 CoTs against labels (+2.4).",
    ]


def test_one_arm_is_not_called_the_highest():
    first, *_ = headline([], {"5 CoTs": 0.95})
    assert first == "The one arm: 5 CoTs, 95.0 ± 1.0% [90.0, 100.0] of 400 test questions (3 seeds; 95% interval)."
