"""The page of contents: computed from the reports, whole, and safe whatever they say."""

import json
import re

import pytest
from written import HOSTILE, repository_at, write_reports

from lib import contents, paths
from lib.composition import profile_names
from lib.config import load_config
from lib.errors import UserError
from lib.render import faults

DEFAULT = paths.ROOT / "params" / "default.yaml"


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    return repository_at(tmp_path, monkeypatch)


def test_index_shows_the_main_result_and_a_card_for_each_page():
    write_reports()
    text = contents.write_index().read_text(encoding="utf-8")
    assert text.count('<div class="card">') == 3
    assert text.index('<h2><a href="04_train.html">') < text.index('<h2><a href="05_ablate.html">')
    assert text.index('<h2><a href="05_ablate.html">') < text.index('<h2><a href="browser.html">')
    assert "<strong>helped</strong>" in text and ">5 CoTs</th>" in text and 'alt="Bars."' in text
    assert faults(text) == []


def test_the_main_figure_has_the_caption_of_its_page_escaped():
    write_reports()
    assert contents.caption() == "" and "<figcaption>" not in contents.write_index().read_text(encoding="utf-8")
    form = '<svg id="figure-05_ablate-{}"></svg><figcaption>{}</figcaption></figure>'
    other, main = form.format("differences", "Another."), form.format("main", "Bars: &lt;b&gt; std,\nn = 400.")
    (paths.REPORTS / "05_ablate.html").write_text(f"<title>What helped?</title>{other}{main}", encoding="utf-8")
    assert contents.caption() == "Bars: <b> std,\nn = 400."
    text = contents.write_index().read_text(encoding="utf-8")
    assert "<figcaption>Bars: &lt;b&gt; std,\nn = 400.</figcaption></figure>" in text and faults(text) == []


def test_index_escapes_hostile_text():
    quoted = "&lt;script&gt;alert(1)&lt;/script&gt; &quot;&gt;&lt;img src=x&gt;"
    write_reports(headline=HOSTILE, arm=HOSTILE, alternative=quoted, title=quoted)
    text = contents.write_index().read_text(encoding="utf-8")
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


def test_a_profile_but_the_default_says_what_it_shows(monkeypatch):
    folder = paths.ROOT / "params"
    folder.mkdir()
    (folder / "levels.yaml").write_text("# Which level\n# suits whom (at best).\nextends: default\n# more\n")
    (folder / "default.yaml").write_text("# The default.\n")
    (folder / "bare.yaml").write_text("extends: default\n")
    told = [contents._header(profile) for profile in ("levels", "default", "mine", "bare")]
    assert told == ["Which level suits whom (at best).", "", "", ""]


def test_what_only_who_runs_a_profile_needs_is_left_out_and_a_list_stays_one():
    folder = paths.ROOT / "params"
    folder.mkdir()
    comment = """# Which level suits whom, beside `sweeps` (9
# runs: about 25 minutes on two cores; 3 are taken over). It costs 0.5 dollars: `make
# estimate` says more. What is left:
# - Figure 3, for
#   one. `make sweep P=levels` writes it.
# - Figure 4.
"""
    (folder / "levels.yaml").write_text(comment)
    assert contents._header("levels") == (
        "Which level suits whom, beside `sweeps`. What is left:\n- Figure 3, for one.\n- Figure 4."
    )


@pytest.mark.parametrize("profile", [name for name in profile_names() if name != "default"])
def test_every_profile_says_what_it_shows_without_runs_and_commands(profile, monkeypatch):
    monkeypatch.setattr(paths, "ROOT", DEFAULT.parents[1])
    said = contents._header(profile)
    assert len(said) >= 40 and not re.search(r"runs: about|minutes on|make |vllm|#", said)


def test_runs_that_reports_share_are_counted():
    write_reports()
    write_sweep("levels")
    write_sweep("table1")
    assert contents._shared() == ""
    for folder, runs in (("levels", "ab"), ("table1", "bcc")):
        tables = paths.REPORTS / "sweeps" / folder / "tables" / "05_ablate"
        tables.mkdir(parents=True)
        rows = "".join(f"arm,{seed},{run}\n" for seed, run in enumerate(runs))
        (tables / "runs.csv").write_text(f"arm,seed,run\n{rows}", encoding="utf-8")
    assert "1 of the 3 runs that 2 of 3 reports list stand in more than one: " in contents._shared()
    assert contents._shared() in contents.write_index().read_text(encoding="utf-8")


def test_kept_sweeps_are_listed_with_a_link_and_their_headline_by_name():
    write_reports()
    write_sweep("selectors")
    write_sweep("levels", headline="It **helped**.")
    (paths.REPORTS / "sweeps" / "unfinished").mkdir()
    text = contents.write_index().read_text(encoding="utf-8")
    links = re.findall(r'<h2><a href="(sweeps/[^"]+)">([^<]+)</a>', text)
    assert links == [("sweeps/levels/index.html", "levels"), ("sweeps/selectors/index.html", "selectors")]
    assert "None of 8 is <strong>separated</strong>." in text
    assert faults(text) == []


def test_a_sweep_that_was_trained_by_another_version_says_so():
    write_reports(recipe_version=2)
    write_sweep("levels")
    write_sweep("selectors", recipe_version=2)
    text = contents.write_index().read_text(encoding="utf-8")
    assert text.count("another version of the recipe") == 1
    assert "make sweep P=levels" in text and "make sweep P=selectors" not in text


def test_without_sweeps_and_scores_the_index_says_nothing_of_them():
    write_reports()
    text = contents.write_index().read_text(encoding="utf-8")
    assert "Sweeps" not in text and "Mean SLC" not in text


def test_mean_slc_stands_by_task_and_student_whatever_they_are_called():
    write_reports()
    said = {"headline": "h", "profile": "default", "task": "arithmetic", "slc_by_student": {"base": [1.5, 1.25, 1.75]}}
    (paths.REPORTS / "metrics" / "03_slc.json").write_text(json.dumps(said), encoding="utf-8")
    write_sweep("coins", slc={"base": [0.9, 0.8, 1.0], "a | <b>": [1, 1, 1]}, task="coin_flip")
    write_sweep("older", slc={})
    text = contents.write_index().read_text(encoding="utf-8")
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
    one = contents.write_index().read_text(encoding="utf-8")
    kept = paths.FIGURES / "report" / "mean-slc.svg"
    assert "Dot plot of mean SLC. arithmetic, profile default: base 1.50." in kept.read_text(encoding="utf-8")
    assert "Intervals of 95% resample questions." in one and faults(one) == []
    write_sweep("coins", slc={"base": [0.9, 0.8, 1.0], "a < b": [1, 1, 1]}, task="coin_flip")
    two = contents.write_index().read_text(encoding="utf-8")
    assert "arithmetic, profile default: base 1.50; coin_flip, profile coins: a &lt; b 1.00, base 0.90." in two
    assert two.count('id="figure-report-mean-slc"') == 1 and faults(two) == []


def test_a_sweep_without_results_is_named():
    write_reports()
    write_sweep("levels")
    (paths.REPORTS / "sweeps" / "levels" / "metrics" / "05_ablate.json").unlink()
    with pytest.raises(UserError, match=r"reports/sweeps/levels/metrics/05_ablate.json: no such file"):
        contents.write_index()


def write_comparisons(verdict: str, profile="default") -> dict:
    """The last notebook's comparison of 5 CoTs with its control, and the sections that `facts` takes."""
    rows = f'arm,against,verdict\n5 CoTs,"standard, compute of 5 CoTs","{verdict}"\n'
    contents.HEADLINE_TABLE.with_name("comparisons.csv").write_text(rows, encoding="utf-8")
    (paths.ROOT / "requirements.txt").write_text("torch==2.0\n")
    cfg = load_config(DEFAULT)
    names = ("ablate", "student", "students", "task", "train")
    return {name: getattr(cfg, name) for name in names} | {"profile": profile}


def test_the_answer_stands_first_with_its_interval_and_the_cell_that_made_it():
    write_reports(questions=400)
    page = '<title>t</title><section id="05-pairs"><div id="table-05_ablate-comparisons"></div></section>'
    (paths.REPORTS / "05_ablate.html").write_text(page, encoding="utf-8")
    known = contents.facts(**write_comparisons("not separated (+1.8 points [+0.4, +3.2], p = .23 after Holm; n = 4)"))
    text = contents.write_index(known).read_text(encoding="utf-8")
    assert "<strong>+1.8 points [+0.4, +3.2], not separated</strong> (p = .23 after Holm; n = 4)" in text
    assert text.index("+1.8 points") < text.index(">5 CoTs</th>")
    assert 'href="05_ablate.html#05-pairs"' in text and "0 of 1 paired differences" in text
    assert "torch 2.0 (requirements.txt)" in text and 'href="provenance.html"' in text and faults(text) == []


def test_a_page_of_another_profile_says_whose_it_is():
    write_reports(profile="levels")
    text = contents.write_index().read_text(encoding="utf-8")
    assert "<h1>What helped the small model: profile levels</h1>" in text
    write_reports()
    text = contents.write_index().read_text(encoding="utf-8")
    assert "<h1>What helped the small model</h1>" in text and '<a href="../docs/reading.md">How to read' in text


def test_a_sweep_page_does_not_link_to_what_is_not_kept():
    write_reports(questions=400)
    known = contents.facts(**write_comparisons("the same runs", profile="levels"))
    assert "<code>reports/provenance.html</code>" in contents.write_index(known).read_text(encoding="utf-8")


def test_the_answer_is_the_same_bytes_wherever_it_is_made(monkeypatch):
    write_reports(questions=400)
    sections = write_comparisons("the same runs")
    first = contents.write_index(contents.facts(**sections)).read_bytes()
    monkeypatch.setattr("platform.python_version", lambda: "4.0")
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert contents.write_index(contents.facts(**sections)).read_bytes() == first


def test_without_a_matched_pair_the_headline_stands_instead():
    write_reports(questions=400)
    sections = write_comparisons("the same runs")
    contents.HEADLINE_TABLE.with_name("comparisons.csv").write_text("arm,against,verdict\na,b,the same runs\n")
    assert contents.facts(**sections) == []
    assert '<aside class="headline"><p>It <strong>helped' in contents.write_index().read_text(encoding="utf-8")


def test_a_table_of_comparisons_that_is_not_there_is_named():
    write_reports(questions=400)
    sections = write_comparisons("the same runs")
    contents.HEADLINE_TABLE.with_name("comparisons.csv").unlink()
    with pytest.raises(UserError, match=r"comparisons\.csv: no such file; `make reproduce` writes it"):
        contents.facts(**sections)


def test_metrics_without_a_headline_are_refused():
    write_reports()
    (paths.REPORTS / "metrics" / "04_train.json").write_text('{"profile": "default", "n": 3}')
    with pytest.raises(UserError, match=r"reports/metrics/04_train.json: no text under 'headline'; keys: profile, n"):
        contents.write_index()
