"""The list of the papers' tables and figures: looked up on disk, none missing in silence; the page is current."""

import json

import pytest

from lib import coverage, paths, report
from lib.comparison import slug
from lib.composition import profile_names
from lib.config import load_config
from lib.coverage import ABSENT, ELSEWHERE, PART, PRESENT, files_of, size, state
from lib.errors import UserError

DEFAULT = {"profile": "default", "tables": ["05_ablate/main"]}
SWEEP = {"profile": "levels", "figures": ["05_ablate/main"]}


@pytest.fixture
def reports(tmp_path, monkeypatch):
    """Reports with one table of the default profile."""
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(paths, "REPORTS", tmp_path / "reports")
    table = paths.REPORTS / "tables" / "05_ablate" / "main.md"
    table.parent.mkdir(parents=True)
    table.write_text("table", encoding="utf-8")
    (paths.REPORTS / "metrics").mkdir()
    (paths.REPORTS / "metrics" / "05_ablate.json").write_text(json.dumps({"questions": 400, "seeds": 3}))
    return paths.REPORTS


@pytest.mark.parametrize(
    ("places", "said"), [([DEFAULT], PRESENT), ([DEFAULT, SWEEP], PART), ([SWEEP], ABSENT), ([], ELSEWHERE)]
)
def test_an_item_is_as_present_as_its_places(reports, places, said):
    assert state({"item": "Table 1", "ours": places, "why": "takes a real teacher"}) == said


def test_a_table_without_rows_is_not_there(reports):
    csv = reports / "tables" / "05_ablate" / "main.csv"
    csv.write_text("arm,accuracy\n", encoding="utf-8")
    assert (state({"item": "Table 1", "ours": [DEFAULT]}), size(DEFAULT)) == (ABSENT, "–")
    csv.write_text("arm,accuracy\na,1\n", encoding="utf-8")
    assert state({"item": "Table 1", "ours": [DEFAULT]}) == PRESENT


def test_files_of_a_run_that_recorded_nothing_are_not_there(reports):
    figure = reports / "sweeps" / "levels" / "figures" / "05_ablate" / "main.svg"
    figure.parent.mkdir(parents=True)
    figure.write_text("figure", encoding="utf-8")
    item = {"item": "Table 1", "what": "arms", "ours": [DEFAULT, SWEEP]}
    assert (state(item), size(SWEEP)) == (PART, "–")
    assert [line.split(" | ")[-1] for line in coverage._lines(item)] == ["present |", "**absent** |"]
    (reports / "metrics" / "05_ablate.json").unlink()
    assert state(item) == ABSENT


def test_a_finding_is_a_table_its_pairs_and_a_figure(reports):
    names = [str(file.relative_to(reports)) for file in files_of({"profile": "sweeps", "finding": "weight"})]
    at = "sweeps/sweeps"
    assert names == [
        f"{at}/tables/05_ablate/finding-weight.md",
        f"{at}/tables/05_ablate/finding-weight_pairs.md",
        f"{at}/figures/05_ablate/finding-weight.svg",
    ]


def test_sizes_are_those_recorded_and_none_without_a_run(reports):
    assert size(DEFAULT) == "400 × 3 seeds"
    assert size(SWEEP) == size({"profile": "repository", "files": ["README.md"]}) == "–"


def test_what_another_version_of_the_recipe_trained_says_so(reports):
    figure = reports / "sweeps" / "levels" / "figures" / "05_ablate" / "main.svg"
    figure.parent.mkdir(parents=True)
    figure.write_text("figure", encoding="utf-8")
    metrics = reports / "sweeps" / "levels" / "metrics"
    metrics.mkdir()
    (metrics / "05_ablate.json").write_text(json.dumps({"questions": 400, "seeds": 3, "recipe_version": 9}))
    default, sweep = coverage._lines({"item": "Table 1", "what": "arms", "ours": [DEFAULT, SWEEP]})
    assert default.endswith("| present |") and sweep.endswith("| present, another recipe |")


def test_an_item_without_places_must_say_why(reports):
    with pytest.raises(UserError, match="'Table 1': neither `ours` nor `why`"):
        state({"item": "Table 1"})


def test_a_place_without_files_is_refused(reports):
    with pytest.raises(UserError, match="profile 'levels': no files, tables, figures or finding"):
        files_of({"profile": "levels"})


# -- the committed files -----------------------------------------------------------------------------

# As the papers number them; PAPERS' figures that are diagrams, and its example texts beside the case studies, left out.
NUMBERED = {
    "Mind's Mirror": ["Table 1", "Table 2", "Table 3", "Table 4", "Table 5", "Table 6", "Tables 7, 8, 9", "Figure 3",
                      "Figure 4", "Figure 5"],
    "PeCoTD": ["Table 1", "Table 2", "Table 3", "Figure 2", "Figure 3", "Figure 4", "Figure 5", "Figure 7", "Figure 8",
               "Figure 9"],
}  # fmt: skip


def test_docs_coverage_is_current(default_reports):
    assert report.COVERAGE.read_text(encoding="utf-8") == coverage.text(), "python -m lib.report claims writes it anew"


@pytest.mark.parametrize("paper", NUMBERED)
def test_no_numbered_table_or_figure_is_left_out(paper):
    assert set(NUMBERED[paper]) <= {row["item"] for row in coverage.load()[paper]}


def test_what_is_listed_has_a_profile_that_shows_it():
    """A finding that is absent must be one that its profile names, or no run would ever write it."""
    for row in (row for rows in coverage.load().values() for row in rows):
        for place in row.get("ours", []):
            assert place["profile"] in [*profile_names(), coverage.REPOSITORY]
            if "finding" in place:
                titles = load_config(paths.ROOT / "params" / f"{place['profile']}.yaml").ablate.findings
                assert f"finding-{place['finding']}" in map(slug, titles), place
