"""What is written over all stages: README's results, the browser, claims and coverage, numbers for DVC."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from written import HOSTILE, repository_at, write_reports

from lib import browser, contents, paths, report
from lib.errors import UserError

README = f"# Title\n\n{report.BEGIN}\nold\n{report.END}\n\nMore.\n"


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    """Patches every path; `write_reports` fills it."""
    repository_at(tmp_path, monkeypatch)
    monkeypatch.setattr(report, "RUN_LIST", paths.TABLES / "05_ablate" / "runs.csv")
    monkeypatch.setattr(report, "WHOLE_BROWSER", tmp_path / "scratch" / "browser.html")
    monkeypatch.setattr(report, "README", tmp_path / "README.md")
    for name in ("CLAIMS", "COVERAGE"):
        monkeypatch.setattr(report, name, tmp_path / "docs" / f"{name.lower()}.md")
    report.README.write_text(README, encoding="utf-8")
    return tmp_path


def test_block_is_headline_table_and_figure():
    write_reports()
    assert report.readme_block() == (
        "It **helped**.\n\n| arm | accuracy |\n|---|---|\n| 5 CoTs | 80.0 |\n\n"
        "![Bars.](reports/figures/05_ablate/main.svg)\n"
    )


def test_only_what_is_between_the_markers_is_replaced():
    write_reports()
    assert report.update_readme()
    text = report.README.read_text(encoding="utf-8")
    assert text == README.replace("old\n", report.readme_block())


def test_second_update_changes_nothing():
    write_reports()
    report.update_readme()
    before = report.README.stat()
    assert not report.update_readme()
    assert report.README.stat().st_mtime_ns == before.st_mtime_ns


def test_results_of_another_profile_stay_out_of_the_readme():
    write_reports(profile="smoke")
    assert not report.update_readme()
    assert report.README.read_text(encoding="utf-8") == README


@pytest.mark.parametrize(
    "readme", ["", f"{report.BEGIN}\n", f"{report.END}\n", f"{report.END}\n{report.BEGIN}\n"], ids=range(4)
)
def test_missing_marker_is_refused(readme):
    with pytest.raises(UserError, match=r"README.md: the markers are missing; expected .*begin.*end"):
        report.with_results(readme, "new")


def test_brackets_in_the_alternative_text_do_not_end_it():
    write_reports(alternative="[a]&#10;&quot;b&quot;")
    assert '![ a  "b"](reports/figures/' in report.readme_block()


RECORDS = {
    "QUESTIONS": [
        {"question_id": f"{split}-{i}", "task": "svamp", "split": split, "text": HOSTILE, "gold_label": "1"}
        for split in ("train", "test")
        for i in range(browser.EACH + 5)
    ],
    **dict.fromkeys(("RATIONALES", "REFINED", "EVALUATIONS", "SCORES", "SELECTIONS")),
}


@pytest.fixture
def records(repository, monkeypatch):
    """Questions without any rationales, and the metrics that say whose they are."""
    for name, rows in RECORDS.items():
        place = repository / f"{name.lower()}.jsonl"
        place.write_text("".join(json.dumps(row) + "\n" for row in rows or ()), encoding="utf-8")
        monkeypatch.setattr(paths, name, place)
    report.RUN_LIST.write_text("arm,seed,run\n", encoding="utf-8")
    said = {"headline": "h", "profile": "default", "task": "svamp", "teacher": ["Simulated."]}
    (paths.REPORTS / "metrics" / "01_generate.json").write_text(json.dumps(said), encoding="utf-8")
    return repository


def test_the_browser_in_the_reports_is_of_a_sample(records):
    write_reports()
    assert report.main([]) == 0
    text = contents.BROWSER.read_text(encoding="utf-8")
    assert f"{2 * browser.EACH} of {2 * browser.EACH + 10} questions" in text and HOSTILE not in text
    assert "Profile default, task svamp. Simulated." in text and '<a href="index.html">' in text
    assert not report.WHOLE_BROWSER.exists()


def test_the_whole_browser_lies_where_git_does_not_look(records, capsys):
    assert report.main(["browser"]) == 0
    text = report.WHOLE_BROWSER.read_text(encoding="utf-8")
    assert f"{2 * browser.EACH + 10} of {2 * browser.EACH + 10} questions" in text
    assert '<a href="../reports/index.html">' in text
    assert capsys.readouterr().out == f"browser: {report.WHOLE_BROWSER}\n" and not contents.BROWSER.exists()


def test_numbers_for_dvc_are_rows_and_hold_no_text():
    write_reports(accuracy={"5 CoTs": 0.978}, difference={"5 CoTs - standard": -0.5})
    report.write_plots()
    report.write_summary()
    rows = (paths.TABLES / "report" / "differences.csv").read_text().splitlines()
    assert rows == ["pair,points", "5 CoTs - standard,-50"]
    found = json.loads((paths.REPORTS / "metrics" / "summary.json").read_text())
    assert found == {"accuracy": {"5 CoTs": 0.978}, "difference": {"5 CoTs - standard": -0.5}}


def test_missing_results_are_named(capsys):
    write_reports()
    contents.HEADLINE_TABLE.unlink()
    assert report.main([]) == 1
    message = "error: reports/tables/05_ablate/arms.md: no such file; `make reproduce` writes it\n"
    assert capsys.readouterr().err == message
    assert not contents.INDEX.exists()


def test_readme_of_the_repository_is_current(default_reports, monkeypatch):
    """The results in the README are those of the reports beside it."""
    monkeypatch.undo()
    readme = report.README.read_text(encoding="utf-8")
    assert report.with_results(readme, report.readme_block()) == readme


def test_claims_and_coverage_are_written_once(monkeypatch):
    write_reports()
    monkeypatch.setattr(report.claims, "text", lambda: "claims\n")
    monkeypatch.setattr(report.coverage, "text", lambda: "coverage\n")
    assert report.main(["readme", "claims"]) == 0
    assert report.CLAIMS.read_text(encoding="utf-8") == "claims\n"
    before = report.COVERAGE.stat().st_mtime_ns
    assert not report.update_claims()
    assert report.COVERAGE.stat().st_mtime_ns == before


def test_another_profiles_reports_leave_the_claims_alone():
    write_reports(profile="smoke")
    assert not report.update_claims()
    assert not report.CLAIMS.exists()


def test_an_unknown_text_is_refused_with_those_there_are(capsys):
    write_reports()
    assert report.main(["claim"]) == 1
    assert "'claim'; allowed: nothing, for the page of contents, or readme, claims" in capsys.readouterr().err


def test_texts_are_written_without_loading_what_trains_draws_or_tests():
    """`make reproduce` does so each time, also where there is nothing else to do."""
    heavy = ["torch", "transformers", "datasets", "matplotlib", "scipy.stats", "scipy.cluster"]
    command = [sys.executable, "-c", f"import sys, lib.report; print([n for n in {heavy} if n in sys.modules])"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(report.__file__).parents[1])
    assert done.stdout == "[]\n", done.stderr
