"""The page of contents and the README's results: computed from the reports, whole, and safe whatever they say."""

import json
import re

import pytest

from lib import paths, report
from lib.errors import UserError
from lib.render import faults

HOSTILE = '<script>alert(1)</script><img src="http://example.org/x.png" onerror="alert(2)">'
SVG = '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{}"></svg>'
TABLE = "| arm | accuracy |\n|---|---|\n| {} | 80.0 |\n"
README = f"# Title\n\n{report.BEGIN}\nold\n{report.END}\n\nMore.\n"


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    """Patches every path; `write_reports` fills it."""
    reports = tmp_path / "reports"
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(paths, "REPORTS", reports)
    places = {"METRICS": "metrics", "INDEX": "index.html", "HEADLINE_TABLE": "tables/05_ablate/main.md"}
    places["HEADLINE_FIGURE"] = "figures/05_ablate/main.svg"
    for name, place in places.items():
        monkeypatch.setattr(report, name, reports / place)
        (reports / place).parent.mkdir(parents=True, exist_ok=True)
    report.METRICS.mkdir()
    monkeypatch.setattr(report, "README", tmp_path / "README.md")
    report.README.write_text(README, encoding="utf-8")
    return tmp_path


def write_reports(
    headline="It **helped**.", profile="default", arm="5 CoTs", alternative="Bars.", title="What helped?"
):
    for name in ("04_train", report.HEADLINE):
        (paths.REPORTS / f"{name}.html").write_text(f"<html><title>{title}</title></html>", encoding="utf-8")
        (report.METRICS / f"{name}.json").write_text(json.dumps({"headline": headline, "profile": profile}))
    report.HEADLINE_TABLE.write_text(TABLE.format(arm), encoding="utf-8")
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
    assert text.count('<div class="card">') == 2 and text.index("04_train.html") < text.index("05_ablate.html")
    assert "<strong>helped</strong>" in text and "<td>5 CoTs</td>" in text and 'alt="Bars."' in text
    assert faults(text) == []


def test_index_escapes_hostile_text():
    quoted = "&lt;script&gt;alert(1)&lt;/script&gt; &quot;&gt;&lt;img src=x&gt;"
    write_reports(headline=HOSTILE, arm=HOSTILE, alternative=quoted, title=quoted)
    text = report.write_index().read_text(encoding="utf-8")
    assert "<script" not in text and "&lt;script&gt;alert(1)" in text
    assert re.findall(r"<img [^>]*?src=\"(?!data:)", text) == []
    assert faults(text) == []


def test_missing_results_are_named(capsys):
    write_reports()
    report.HEADLINE_TABLE.unlink()
    assert report.main([]) == 1
    message = "error: reports/tables/05_ablate/main.md: no such file; `make reproduce` writes it\n"
    assert capsys.readouterr().err == message
    assert not report.INDEX.exists()


def test_metrics_without_a_headline_are_refused():
    write_reports()
    (report.METRICS / "04_train.json").write_text('{"profile": "default", "n": 3}')
    with pytest.raises(UserError, match=r"reports/metrics/04_train.json: no text under 'headline'; keys: profile, n"):
        report.write_index()


def test_readme_of_the_repository_is_current(monkeypatch):
    """The results in the README are those of the reports beside it."""
    monkeypatch.undo()
    if not report.HEADLINE_TABLE.exists():
        pytest.skip("no reports/ here; `make reproduce` writes it")
    if (profile := report.metrics(report.HEADLINE)["profile"]) != "default":
        pytest.skip(f"reports/ is of profile {profile}; the README shows the default one's")
    readme = report.README.read_text(encoding="utf-8")
    assert report.with_results(readme, report.readme_block()) == readme
