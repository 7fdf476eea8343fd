"""The cells of notebook 05 that sample, judge and compare, run as they stand on the runs of the tiny world."""

import json
import re
from types import SimpleNamespace

import pytest
from tiny_world import TRAIN, data, runs

from lib import comparison, figures, paths, tables, verdicts
from lib.arms import make_arms
from lib.runs import run_or_load
from lib.settings import Infer

ARMS = {"standard": {"explain": False}, "1 CoT": {}, "w/ SE": {"evaluations": 1}}
CELLS = ["infer002", "05-main-table", "infer004", "infer005", "infer007", "infer008"]


def cells() -> dict[str, str]:
    book = json.loads((paths.ROOT / "notebooks" / "05_ablate.ipynb").read_text(encoding="utf-8"))
    return {cell["id"]: "".join(cell["source"]) for cell in book["cells"]}


@pytest.fixture
def shown(monkeypatch) -> dict:
    """What would be written: a table or a figure by its name."""
    found = {}
    monkeypatch.setattr(tables, "save_table", lambda table, name, *_, **__: found.setdefault(name, table))
    monkeypatch.setattr(figures, "save_figure", lambda figure, name, *_, **__: found.setdefault(name, figure))
    return found


def run_cells(names, results, samples: int, folder, **more) -> dict:
    """The names that the cells leave behind; more: names that they find."""
    cfg = SimpleNamespace(
        infer=Infer(samples=samples, temperature=1.0, top_p=1.0),
        train=SimpleNamespace(workers=1, headline="w/ SE"),
        ablate=SimpleNamespace(alpha=0.05),
    )
    known = {
        "cfg": cfg, "results": results, "data": data(), "n": 2, "seeds": 1, "STAGE": "05_ablate", "NOTE": "a note",
        "groups": comparison.by_arm(results), "display": lambda *_: None, "Markdown": str, "pd": tables.pd,
        "arms": make_arms(ARMS, TRAIN), "bootstrap": (0.05, 100), "SEEDS": "1 seed", "INTERVAL": "95% interval",
        "BARS": "bars", **more,
    }  # fmt: skip
    exec(
        "from lib import comparison, figures, figures_findings, inferred, paths, statistics, summary, tables\n"
        "from lib import verdicts, ways",
        known,
    )
    for name in names:
        exec(cells()[name], known)
    return known


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "SCRATCH", tmp_path / "scratch")
    monkeypatch.setattr(paths, "INFERENCE", tmp_path / "inference")
    return run_or_load(runs(ARMS), tmp_path / "runs", workers=1)


def test_the_cells_run_and_show_all_ways(results, shown, tmp_path):
    left = run_cells(CELLS, results, 3, tmp_path)
    assert set(shown) == {"main", "arms", "calibration", "reliability", "inference"}
    assert list(shown["arms"].index) == [arm for arm in shown["main"].index if ": " not in arm] == list(ARMS)
    assert shown["arms"].equals(shown["main"].loc[list(ARMS)])
    assert set(left["sampled"]) == {r.run.id for r in results if r.run.arm != "standard"}
    assert list(shown["main"].index) == list(left["main"].index)
    assert list(shown["main"].columns[:2]) == ["accuracy (%)", "95% interval"]
    assert re.fullmatch(r"\[\d+\.\d, \d+\.\d\]", shown["main"]["95% interval"]["w/ SE"])
    assert {"w/ SE: any of 3 is right", "1 CoT: majority of 3"} <= set(shown["main"].index)
    first, second = left["told_ways"]
    assert first.startswith("Ways to answer (Holm over these 9): ")
    assert second.startswith("1 CoT: the majority is right for ")
    assert len(left["ways_pairs"]) == 2 * 6 - 5 + 2  # without verdicts an arm has but one pair


def test_without_samples_the_cells_run_as_well(results, shown, tmp_path):
    left = run_cells(CELLS, results, 0, tmp_path)
    assert left["sampled"] == {} and left["told_ways"] == []
    assert left["NOT_SAMPLED"] == "No answers were sampled: infer.samples is 0."
    assert verdicts.OWN not in set(left["found"].judged)
    assert list(left["main"].index) == list(comparison.overview(results).index)


def test_the_bars_of_the_main_figure_end_at_0_and_at_100(results, shown, tmp_path):
    """Also where mean ± std would not; without a std there is no bar."""
    frame = comparison.overview(results).assign(accuracy=[0.98, 0.03, 0.5], std=[0.05, 0.04, float("nan")])
    run_cells(["05-main-figure"], results, 0, tmp_path, frame=frame)
    bars = [sorted(line.get_xdata()) for line in shown["main"].axes[0].lines[::3]]
    assert bars == [pytest.approx([93, 100]), pytest.approx([0, 7]), pytest.approx([50, 50])]


def test_where_no_arm_is_added_one_sentence_says_so_and_all_files_are_written(results, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "TABLES", tmp_path / "tables")
    displayed = []
    known = {"added": [], "new": {}, "not_fed": {}, "shares": {}, "places": (None,)}
    known |= {"where_to_train": lambda: None, "NONE_ADDED": "No arm is added."}
    known |= {"display": displayed.append}
    names = ["05-arms-table", "05-arms-compare", "05-arms-verdicts"]
    left = run_cells(names, results, 0, tmp_path, **known)
    assert displayed == [] and "<p>No arm is added.</p>" in left["of_ways"].data
    written = {path.name: path.read_text() for path in (tmp_path / "tables" / "05_ablate").iterdir()}
    names = {"ablation", "ablation_inference", "ablation_comparisons", "ablation_verdicts"}
    assert set(written) == {f"{name}.{kind}" for name in names for kind in ("csv", "md")}
    assert all(text.startswith("No arm is added.\n\n| ") for name, text in written.items() if name.endswith(".md"))
