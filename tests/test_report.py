"""The page of contents and the README's results: computed from the reports, whole, and safe whatever they say."""

import json
import re
import shutil

import pytest

from lib import paths, report
from lib.config import load_config
from lib.errors import UserError
from lib.render import faults

HOSTILE = '<script>alert(1)</script><img src="http://example.org/x.png" onerror="alert(2)">'
SVG = '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{}"></svg>'
TABLE = "| arm | accuracy |\n|---|---|\n| {} | 80.0 |\n"
DEFAULT = paths.ROOT / "params" / "default.yaml"
README = f"# Title\n\n{report.BEGIN}\nold\n{report.END}\n\nMore.\n"


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    """Patches every path; `write_reports` fills it."""
    reports = tmp_path / "reports"
    shutil.copy(paths.ROOT / "dvc.yaml", tmp_path)
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(paths, "REPORTS", reports)
    monkeypatch.setattr(paths, "FIGURES", reports / "figures")
    monkeypatch.setattr(paths, "TABLES", reports / "tables")
    places = {"INDEX": "index.html", "SWEEPS": "sweeps", "HEADLINE_TABLE": "tables/05_ablate/arms.md"}
    places["HEADLINE_FIGURE"] = "figures/05_ablate/main.svg"
    for name, place in places.items():
        monkeypatch.setattr(report, name, reports / place)
        (reports / place).parent.mkdir(parents=True, exist_ok=True)
    (reports / "metrics").mkdir()
    monkeypatch.setattr(report, "RUN_LIST", reports / "tables" / "05_ablate" / "runs.csv")
    monkeypatch.setattr(report, "BROWSER", reports / "browser.html")
    monkeypatch.setattr(report, "WHOLE_BROWSER", tmp_path / "scratch" / "browser.html")
    monkeypatch.setattr(report, "README", tmp_path / "README.md")
    for name in ("CLAIMS", "COVERAGE"):
        monkeypatch.setattr(report, name, tmp_path / "docs" / f"{name.lower()}.md")
    report.README.write_text(README, encoding="utf-8")
    return tmp_path


def write_reports(
    headline="It **helped**.", profile="default", arm="5 CoTs", alternative="Bars.", title="What helped?", **numbers
):
    for name in ("04_train", report.HEADLINE):
        (paths.REPORTS / f"{name}.html").write_text(f"<html><title>{title}</title></html>", encoding="utf-8")
        (paths.REPORTS / "metrics" / f"{name}.json").write_text(
            json.dumps({"headline": headline, "profile": profile, **numbers})
        )
    report.HEADLINE_TABLE.write_text(TABLE.format(arm), encoding="utf-8")
    report.HEADLINE_TABLE.with_name("comparisons.csv").write_text("arm,against,verdict\n", encoding="utf-8")
    report.HEADLINE_FIGURE.write_text(SVG.format(alternative), encoding="utf-8")


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


def test_index_shows_the_main_result_and_a_card_for_each_page():
    write_reports()
    text = report.write_index().read_text(encoding="utf-8")
    assert text.count('<div class="card">') == 3
    assert text.index('<h2><a href="04_train.html">') < text.index('<h2><a href="05_ablate.html">')
    assert text.index('<h2><a href="05_ablate.html">') < text.index('<h2><a href="browser.html">')
    assert "<strong>helped</strong>" in text and "<td>5 CoTs</td>" in text and 'alt="Bars."' in text
    assert faults(text) == []


RECORDS = {
    "QUESTIONS": [
        {"question_id": f"{split}-{i}", "task": "svamp", "split": split, "text": HOSTILE, "gold_label": "1"}
        for split in ("train", "test")
        for i in range(report.EACH + 5)
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
    text = report.BROWSER.read_text(encoding="utf-8")
    assert f"{2 * report.EACH} of {2 * report.EACH + 10} questions" in text and HOSTILE not in text
    assert "Profile default, task svamp. Simulated." in text and '<a href="index.html">' in text
    assert not report.WHOLE_BROWSER.exists()


def test_the_whole_browser_lies_where_git_does_not_look(records, capsys):
    assert report.main(["browser"]) == 0
    text = report.WHOLE_BROWSER.read_text(encoding="utf-8")
    assert f"{2 * report.EACH + 10} of {2 * report.EACH + 10} questions" in text
    assert '<a href="../reports/index.html">' in text
    assert capsys.readouterr().out == f"browser: {report.WHOLE_BROWSER}\n" and not report.BROWSER.exists()


def test_index_escapes_hostile_text():
    quoted = "&lt;script&gt;alert(1)&lt;/script&gt; &quot;&gt;&lt;img src=x&gt;"
    write_reports(headline=HOSTILE, arm=HOSTILE, alternative=quoted, title=quoted)
    text = report.write_index().read_text(encoding="utf-8")
    assert "<script" not in text and "&lt;script&gt;alert(1)" in text
    assert re.findall(r"<img [^>]*?src=\"(?!data:)", text) == []
    assert faults(text) == []


def write_sweep(name: str, headline="None of 8 is **separated**.", slc=None, task="arithmetic", **numbers):
    folder = paths.REPORTS / "sweeps" / name
    (folder / "metrics").mkdir(parents=True)
    (folder / "index.html").write_text("<html></html>", encoding="utf-8")
    said = {"headline": headline, "profile": name, **numbers}
    (folder / "metrics" / "05_ablate.json").write_text(json.dumps(said), encoding="utf-8")
    if slc is not None:
        scores = json.dumps({**said, "slc_by_student": slc, "task": task})
        (folder / "metrics" / "03_slc.json").write_text(scores, encoding="utf-8")


def test_kept_sweeps_are_listed_with_a_link_and_their_headline_by_name():
    write_reports()
    write_sweep("selectors")
    write_sweep("levels", headline="It **helped**.")
    (paths.REPORTS / "sweeps" / "unfinished").mkdir()
    text = report.write_index().read_text(encoding="utf-8")
    links = re.findall(r'<h2><a href="(sweeps/[^"]+)">([^<]+)</a>', text)
    assert links == [("sweeps/levels/index.html", "levels"), ("sweeps/selectors/index.html", "selectors")]
    assert "None of 8 is <strong>separated</strong>." in text
    assert faults(text) == []


def test_a_sweep_that_was_trained_by_another_version_says_so():
    write_reports(recipe_version=2)
    write_sweep("levels")
    write_sweep("selectors", recipe_version=2)
    text = report.write_index().read_text(encoding="utf-8")
    assert text.count("another version of the recipe") == 1
    assert "make sweep P=levels" in text and "make sweep P=selectors" not in text


def test_without_sweeps_and_scores_the_index_says_nothing_of_them():
    write_reports()
    text = report.write_index().read_text(encoding="utf-8")
    assert "Sweeps" not in text and "Mean SLC" not in text


def test_mean_slc_stands_by_task_and_student_whatever_they_are_called():
    write_reports()
    said = {"headline": "h", "profile": "default", "task": "arithmetic", "slc_by_student": {"base": [1.5, 1.25, 1.75]}}
    (paths.REPORTS / "metrics" / "03_slc.json").write_text(json.dumps(said), encoding="utf-8")
    write_sweep("coins", slc={"base": [0.9, 0.8, 1.0], "a | <b>": [1, 1, 1]}, task="coin_flip")
    write_sweep("older", slc={})
    text = report.write_index().read_text(encoding="utf-8")
    rows = [re.findall("<td>(.*?)</td>", row) for row in re.findall("<tr>(<td>.*?)</tr>", text)]
    assert [row for row in rows if len(row) == 4] == [
        ["arithmetic", "base", "default", "1.500 [1.250, 1.750]"],
        ["coin_flip", "a | &lt;b&gt;", "coins", "1.000 [1.000, 1.000]"],
        ["coin_flip", "base", "coins", "0.900 [0.800, 1.000]"],
    ]


def test_mean_slc_is_drawn_for_one_student_and_for_several_of_several_tasks():
    write_reports()
    said = {"headline": "h", "profile": "default", "task": "arithmetic", "slc_by_student": {"base": [1.5, 1.25, 1.75]}}
    (paths.REPORTS / "metrics" / "03_slc.json").write_text(json.dumps(said), encoding="utf-8")
    one = report.write_index().read_text(encoding="utf-8")
    kept = paths.FIGURES / "report" / "mean-slc.svg"
    assert "Dot plot of mean SLC. arithmetic, profile default: base 1.50." in kept.read_text(encoding="utf-8")
    assert "Intervals of 95 % resample questions." in one and faults(one) == []
    write_sweep("coins", slc={"base": [0.9, 0.8, 1.0], "a < b": [1, 1, 1]}, task="coin_flip")
    two = report.write_index().read_text(encoding="utf-8")
    assert "arithmetic, profile default: base 1.50; coin_flip, profile coins: a &lt; b 1.00, base 0.90." in two
    assert two.count('id="figure-report-mean-slc"') == 1 and faults(two) == []


def test_a_sweep_without_results_is_named():
    write_reports()
    write_sweep("levels")
    (paths.REPORTS / "sweeps" / "levels" / "metrics" / "05_ablate.json").unlink()
    with pytest.raises(UserError, match=r"reports/sweeps/levels/metrics/05_ablate.json: no such file"):
        report.write_index()


def write_comparisons(verdict: str, profile="default") -> dict:
    """The last notebook's comparison of 5 CoTs with its control, and the sections that `facts` takes."""
    rows = f'arm,against,verdict\n5 CoTs,"standard, compute of 5 CoTs","{verdict}"\n'
    report.HEADLINE_TABLE.with_name("comparisons.csv").write_text(rows, encoding="utf-8")
    (paths.ROOT / "requirements.txt").write_text("torch==2.0\n")
    cfg = load_config(DEFAULT)
    names = ("ablate", "student", "students", "task", "train")
    return {name: getattr(cfg, name) for name in names} | {"profile": profile}


def test_the_answer_stands_first_with_its_interval_and_the_cell_that_made_it():
    write_reports(questions=400)
    page = '<title>t</title><section id="05-pairs"><div id="table-05_ablate-comparisons"></div></section>'
    (paths.REPORTS / "05_ablate.html").write_text(page, encoding="utf-8")
    known = report.facts(**write_comparisons("not separated (+1.8 points [+0.4, +3.2], p = .23 after Holm; n = 4)"))
    text = report.write_index(known).read_text(encoding="utf-8")
    assert "<strong>+1.8 points [+0.4, +3.2], not separated</strong> (p = .23 after Holm; n = 4)" in text
    assert text.index("+1.8 points") < text.index("<td>5 CoTs</td>")
    assert 'href="05_ablate.html#05-pairs"' in text and "0 of 1 paired differences" in text
    assert "torch 2.0 (requirements.txt)" in text and 'href="provenance.html"' in text and faults(text) == []


def test_a_sweep_page_does_not_link_to_what_is_not_kept():
    write_reports(questions=400)
    known = report.facts(**write_comparisons("the same runs", profile="levels"))
    assert "<code>reports/provenance.html</code>" in report.write_index(known).read_text(encoding="utf-8")


def test_the_answer_is_the_same_bytes_wherever_it_is_made(monkeypatch):
    write_reports(questions=400)
    sections = write_comparisons("the same runs")
    first = report.write_index(report.facts(**sections)).read_bytes()
    monkeypatch.setattr("platform.python_version", lambda: "4.0")
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert report.write_index(report.facts(**sections)).read_bytes() == first


def test_without_a_matched_pair_the_headline_stands_instead():
    write_reports(questions=400)
    sections = write_comparisons("the same runs")
    report.HEADLINE_TABLE.with_name("comparisons.csv").write_text("arm,against,verdict\na,b,the same runs\n")
    assert report.facts(**sections) == []
    assert '<aside class="headline"><p>It <strong>helped' in report.write_index().read_text(encoding="utf-8")


def test_a_table_of_comparisons_that_is_not_there_is_named():
    write_reports(questions=400)
    sections = write_comparisons("the same runs")
    report.HEADLINE_TABLE.with_name("comparisons.csv").unlink()
    with pytest.raises(UserError, match=r"comparisons\.csv: no such file; `make reproduce` writes it"):
        report.facts(**sections)


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
    report.HEADLINE_TABLE.unlink()
    assert report.main([]) == 1
    message = "error: reports/tables/05_ablate/arms.md: no such file; `make reproduce` writes it\n"
    assert capsys.readouterr().err == message
    assert not report.INDEX.exists()


def test_metrics_without_a_headline_are_refused():
    write_reports()
    (paths.REPORTS / "metrics" / "04_train.json").write_text('{"profile": "default", "n": 3}')
    with pytest.raises(UserError, match=r"reports/metrics/04_train.json: no text under 'headline'; keys: profile, n"):
        report.write_index()


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
