"""The ledger of claims: each verdict from hand-made records, missing ones said; docs/claims.md is current."""

import ast
import json
import re
from functools import cache

import pytest
import yaml

from lib import claims, coverage, paths, report
from lib.claims import NOT_RUN, UNTESTABLE, found, singly, together
from lib.comparison import slug
from lib.composition import profile_names
from lib.config import load_config
from lib.errors import UserError
from lib.evidence import CONTRADICTED, SUPPORTED, UNSURE

RISE = "+4.2 points [+1.1, +7.3], p = .012, p = .024 after Holm"
FALL = "−4.2 points [−7.3, −1.1], p = .012, p = .024 after Holm"
NULL = "not separated (+0.2 points [−1.0, +1.4], p = 1.00 after Holm; n = 400 × 3 seeds; a difference of 2.0 …)"
ROWS = {("a", "b"): RISE, ("b", "a"): FALL, ("a", "c"): NULL}


@pytest.fixture
def records(tmp_path, monkeypatch):
    """Patches the reports: a default profile, and a sweep of one pair."""
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(paths, "REPORTS", tmp_path / "reports")
    write(paths.REPORTS, ROWS)
    write(paths.REPORTS / "sweeps" / "levels", {("a", "b"): NULL})


def write(folder, rows):
    (folder / "metrics").mkdir(parents=True)
    (folder / "metrics" / "05_ablate.json").write_text(json.dumps({"questions": 400, "seeds": 3}))
    (folder / "metrics" / "03_slc.json").write_text(
        json.dumps({"slc_by_student": {"base": [1.8, 1.7, 1.9]}, "scored": {"base": 4800}})
    )
    (folder / "tables" / "05_ablate").mkdir(parents=True)
    lines = "".join(f'{arm},{other},"{words}"\n' for (arm, other), words in rows.items())
    (folder / "tables" / "05_ablate" / "comparisons.csv").write_text("arm,against,verdict\n" + lines, encoding="utf-8")
    main = "arm,accuracy (%)\na,90.0 ± 1.0\nb,80.0 ± 10.0\n"
    (folder / "tables" / "05_ablate" / "main.csv").write_text(main, encoding="utf-8")


def claim(*tests):
    return {"claim": "It helps.", "where": "table 1", "tests": list(tests)}


def pairs(*pairs, expect="more", profile="default"):
    return {"profile": profile, "pairs": list(pairs), "expect": expect}


@pytest.mark.parametrize(
    ("tests", "verdict"),
    [
        ([pairs(["a", "b"])], SUPPORTED),
        ([pairs(["a", "b"], expect="less")], CONTRADICTED),
        ([pairs(["a", "c"])], UNSURE),
        ([pairs(["a", "c"], expect={"within": 3})], SUPPORTED),
        ([pairs(["a", "b"], ["a", "c"])], UNSURE),  # one of two is separated
        ([pairs(["a", "b"], ["b", "a"])], CONTRADICTED),
        ([pairs(["a", "b"]), pairs(["a", "b"], profile="levels")], UNSURE),
        ([{"profile": "default", "spread": ["a", "b"], "expect": "less"}], SUPPORTED),
        ([{"profile": "default", "gains": [{"pair": ["a", "b"]}, {"pair": ["b", "a"]}], "expect": "more"}], SUPPORTED),
        (
            [{"profile": "levels", "gains": [{"pair": ["a", "b"]}, {"profile": "default", "pair": ["a", "b"]}],
              "expect": "less"}],
            UNSURE,  # [−1.0, +1.4] meets [+1.1, +7.3]
        ),
    ],
)  # fmt: skip
def test_each_verdict_from_its_records(records, tests, verdict):
    assert found(claim(*tests)).verdict == verdict


def test_a_level_is_tested_against_a_number_and_counted_in_rationales(records):
    test = {"profile": "levels", "of": "base", "level": {"metrics": "03_slc", "key": ["slc_by_student", "base"]}}
    one = found(claim({**test, "to": 1, "expect": "less"}))
    assert (one.verdict, one.size) == (CONTRADICTED, "levels: 4,800 rationales")
    assert one.results == ("base: 1.8 [1.7, 1.9] (levels)",)


def test_a_level_may_be_tested_against_that_of_another_profile(records):
    key = {"metrics": "03_slc", "key": ["slc_by_student", "base"]}
    metrics = paths.REPORTS / "metrics" / "03_slc.json"
    metrics.write_text(json.dumps({"slc_by_student": {"base": [1.2, 1.1, 1.3]}, "scored": {"base": 4800}}))
    test = {"profile": "levels", "of": "base", "level": key, "to": {**key, "profile": "default"}, "expect": "more"}
    one = found(claim(test))
    assert (one.verdict, one.results) == (SUPPORTED, ("base: 1.8 [1.7, 1.9] against 1.2 [1.1, 1.3] (levels)",))
    assert found(claim({**test, "to": {**key, "profile": "selectors"}})).note == "selectors"


def test_results_carry_interval_profile_and_size(records):
    one = found(claim(pairs(["a", "b"])))
    assert one.results == ("a against b: +4.2 points [+1.1, +7.3], p = .024 after Holm (default)",)
    assert (one.size, one.note) == ("default: 400 × 3 seeds", "")


def test_a_claim_whose_records_are_missing_says_which_run_would_tell(records):
    one = found(claim(pairs(["a", "b"], profile="selectors")))
    assert (one.verdict, one.note, one.results) == (NOT_RUN, "selectors", ())
    one = found(claim(pairs(["x", "y"])))
    assert one.verdict == NOT_RUN
    assert one.note.endswith("comparisons.csv has no row x against y")


def test_the_same_runs_are_shown_and_not_waited_for(records):
    table = paths.REPORTS / "tables" / "05_ablate" / "comparisons.csv"
    table.write_text(table.read_text(encoding="utf-8") + "a,d,the same runs\n", encoding="utf-8")
    one = found(claim(pairs(["a", "b"], ["a", "d"])))
    assert (one.verdict, one.note) == (SUPPORTED, "")  # by the pair that could be compared
    assert found(claim(pairs(["a", "d"]))).verdict == "nothing to compare"
    assert one.results[1] == "a against d: the same runs, nothing to compare (default)"


def test_what_is_there_is_shown_and_what_is_not_is_named(records):
    one = found(claim(pairs(["a", "b"], ["a", "z"])))
    assert (one.verdict, len(one.results)) == (NOT_RUN, 1)  # what is there supports it, but it is not all
    assert one.note.endswith("no row a against z")


def test_a_result_links_to_the_table_it_was_read_from(records):
    table = claims._row(claim(pairs(["a", "b"])), found(claim(pairs(["a", "b"]))))
    assert "p = .024 after Holm (default), [comparisons](../reports/tables/05_ablate/comparisons.md) |" in table
    metrics = {"profile": "levels", "level": {"metrics": "03_slc", "key": ["slc_by_student", "base"]}}
    assert claims.record_of(metrics) == paths.REPORTS / "sweeps" / "levels" / "metrics" / "03_slc.json"
    gains = {"profile": "default", "gains": [{"profile": "levels", "pair": ["a", "b"]}, {"pair": ["c", "d"]}]}
    assert claims.record_of(gains).is_relative_to(paths.REPORTS / "sweeps" / "levels")


def test_two_gains_each_name_their_profile_and_link_their_table(records):
    gains = [{"pair": ["a", "b"]}, {"profile": "default", "pair": ["a", "c"]}]
    test = claim({"profile": "levels", "gains": gains, "expect": "more"})
    row = claims._row(test, found(test))
    assert "after Holm (levels); beside it a against c: +0.2 points" in row and "after Holm (default), [" in row
    assert "sweeps/levels/tables/05_ablate/comparisons.md), [comparisons](../reports/tables/05_ablate/" in row


def test_it_is_said_how_many_questions_were_learned_from(records):
    card = paths.REPORTS / "tables" / "01_generate" / "data_card.csv"
    card.parent.mkdir()
    card.write_text("split,questions\ntrain,2000\ntest,400\n", encoding="utf-8")
    assert found(claim(pairs(["a", "b"]))).size == "default: 2,000 training questions, 400 × 3 seeds"


def test_results_of_another_version_of_the_recipe_say_so(records):
    metrics = paths.REPORTS / "metrics" / "05_ablate.json"
    assert "another recipe" not in found(claim(pairs(["a", "b"], profile="levels"))).results[0]
    metrics.write_text(json.dumps({"questions": 400, "seeds": 3, "recipe_version": 2}))
    assert found(claim(pairs(["a", "b"], profile="levels"))).results[0].endswith("(levels, another recipe)")
    assert found(claim(pairs(["a", "b"]))).results[0].endswith("(default)")


def test_a_result_is_of_as_many_rationales_as_its_own_row(records):
    (paths.REPORTS / "tables" / "03_slc").mkdir()
    (paths.REPORTS / "tables" / "03_slc" / "rounds.csv").write_text("round,rationales,SLC,low,high\n3,1800,2,1.9,2.1\n")
    level = {"table": "03_slc/rounds", "row": {"round": 3}, "columns": ["SLC", "low", "high"]}
    one = found(claim({"profile": "default", "of": "SLC", "level": level, "to": 1, "expect": "more"}))
    assert (one.verdict, one.size) == (SUPPORTED, "default: 1,800 rationales")


def test_a_share_of_questions_is_counted_in_questions(records):
    (paths.REPORTS / "tables" / "03_slc").mkdir()
    (paths.REPORTS / "tables" / "03_slc" / "overlap.csv").write_text(
        "level,questions,share,low,high\nhigh,1800,.6,.5,.7\n"
    )
    level = {"table": "03_slc/overlap", "row": {"level": "high"}, "columns": ["share", "low", "high"]}
    one = found(claim({"profile": "default", "of": "the same", "level": level, "to": 0.55, "expect": "more"}))
    assert (one.verdict, one.size) == (UNSURE, "default: 1,800 questions")


def test_a_claim_that_takes_a_real_teacher_gives_the_reason():
    one = found({"claim": "It is rated higher.", "where": "-", "untestable": "takes a judge"})
    assert (one.verdict, one.note) == (UNTESTABLE, "takes a judge")


def test_a_test_of_no_known_form_is_refused(records):
    with pytest.raises(UserError, match="needs one of pairs, similar, spread, level, gains; given profile, expect"):
        found(claim({"profile": "default", "expect": "more"}))


@pytest.mark.parametrize(
    ("verdicts", "verdict"),
    [
        ([], NOT_RUN),
        ([SUPPORTED, SUPPORTED], SUPPORTED),
        ([SUPPORTED, UNSURE], UNSURE),
        ([SUPPORTED, CONTRADICTED], CONTRADICTED),
    ],
)
def test_several_tests_together(verdicts, verdict):
    assert together(verdicts) == verdict


def test_a_list_of_pairs_is_as_many_tests():
    assert list(singly([pairs(["a", "b"], ["a", "c"])])) == [
        {"profile": "default", "expect": "more", "pair": ["a", "b"]},
        {"profile": "default", "expect": "more", "pair": ["a", "c"]},
    ]


def test_the_page_counts_verdicts_and_escapes_what_it_quotes(records, tmp_path, monkeypatch):
    source = {
        "claims": {"A paper": [claim(pairs(["a", "b"])) | {"claim": "a|b <i>helps</i>"}]},
        "series": [{"title": "Errors", "profiles": ["default", "absent"], "pairs": [["a", "b"]]}],
    }
    monkeypatch.setattr(claims, "SOURCE", tmp_path / "claims.yaml")
    claims.SOURCE.write_text(yaml.safe_dump(source), encoding="utf-8")
    text = claims.text()
    assert "| A paper | 1 | – | – | – | – |" in text
    assert r"a\|b \<i\>helps\</i\>" in text
    assert r"| default | +4.2 points \[+1.1, +7.3\], p = .024 after Holm |" in text
    assert "| absent | not run yet |" in text


# -- the committed files -----------------------------------------------------------------------------


def test_docs_claims_is_current(default_reports):
    assert report.CLAIMS.read_text(encoding="utf-8") == claims.text(), "python -m lib.report claims writes it anew"


def test_every_claim_is_tested_or_says_why_not():
    for paper, listed in claims.load()["claims"].items():
        for one in listed:
            assert {"claim", "where"} <= set(one), (paper, one)
            assert ("tests" in one) != ("untestable" in one), (paper, one["claim"])


def test_the_profiles_and_arms_that_are_tested_exist():
    """A claim that waits for a run waits in vain if no profile trains its arms."""
    for test in every_test():
        for profile, pair in named(test):
            assert profile in profile_names()
            config = load_config(paths.ROOT / "params" / f"{profile}.yaml")
            arms = {*config.train.arms, *(f"{arm} (H)" for arm in config.train.arms if "gold" in config.train.labels)}
            answering = {re.sub(r": (self-evaluated )?majority.*", "", name) for name in pair}
            assert answering <= arms, (profile, pair)


def every_test():
    source = claims.load()
    tests = [test for listed in source["claims"].values() for one in listed for test in singly(one.get("tests", []))]
    series = [{"profile": p, "pair": pair} for s in source["series"] for p in s["profiles"] for pair in s["pairs"]]
    return tests + series


def named(test):
    """The profiles of a test, each with the arms that it compares."""
    for one in test.get("gains", [test]):
        pair = one.get("pair", one.get("spread", []))
        yield one.get("profile", test["profile"]), [*pair, *([one["alike"]] if "alike" in one else [])]


def test_the_pairs_that_are_tested_will_be_compared():
    """Against the arm that the recipe names, or against the first one of the finding's line."""
    for test in every_test():
        for one in test.get("gains", [test]):
            table = one.get("table", claims.COMPARISONS)
            if "pair" in one and table == claims.COMPARISONS:
                profile = one.get("profile", test["profile"])
                arms = load_config(paths.ROOT / "params" / f"{profile}.yaml").train.arms
                arm, against = (name.removesuffix(" (H)") for name in one["pair"])
                compared = arms[arm].get("against", [])
                assert against in ([compared] if isinstance(compared, str) else compared), (profile, one["pair"])


# -- what is named is written ------------------------------------------------------------------------


BY_COLUMN = {"03_slc/slc", "03_slc/pmi", "03_slc/rd"}  # saved in a loop, under the names of the scores


@pytest.mark.parametrize("kind", ["table", "figure"])
def test_every_table_and_figure_that_is_named_has_a_writer(kind):
    """A claim waits in vain for a table that no notebook saves."""
    writers = saved(f"save_{kind}") | (BY_COLUMN if kind == "figure" else set())
    for profile, name in sorted(in_claims(kind) | in_coverage(kind)):
        if "/finding-" in name:  # saved under the titles of its profile's findings
            titles = load_config(paths.ROOT / "params" / f"{profile}.yaml").ablate.findings
            assert name.removesuffix("_pairs") in [f"05_ablate/{slug(title)}" for title in titles], (profile, name)
        else:
            assert any(re.fullmatch(writer, name) for writer in writers), f"{profile}: nothing writes {kind} {name}"


def test_a_name_that_nothing_saves_has_no_writer():
    writers = saved("save_table")
    for name in ("03_slc/lengthy", "05_ablate/overlap", "01_generate/main", "06_new/main"):
        assert not any(re.fullmatch(writer, name) for writer in writers), name


def in_claims(kind):
    """{(profile, "03_slc/lengths"), ...}: the tables of docs/claims.yaml, those included that a form implies."""
    implied = {"pair": claims.COMPARISONS, **claims.IMPLIED}
    found = set()
    for test in every_test():
        records = [
            one for one in (*test.get("gains", [test]), test.get("level"), test.get("to")) if isinstance(one, dict)
        ]
        for one in records:
            names = [one["table"]] if "table" in one else [name for form, name in implied.items() if form in one]
            found |= {(one.get("profile", test["profile"]), name) for name in names}
    return found if kind == "table" else set()


def in_coverage(kind):
    """The same of docs/coverage.yaml; what a finding writes follows from its profile's, and is tested beside it."""
    places = [place for rows in coverage.load().values() for row in rows for place in row.get("ours", [])]
    return {(place["profile"], name) for place in places for name in place.get(f"{kind}s", [])}


@cache
def saved(function):
    """Patterns of "stage/name" of all that calls of the function save; what lib saves may go into any folder."""
    sources = {f"{page.stem}/": code_of(page) for page in (paths.ROOT / "notebooks").glob("*.ipynb")}
    sources["[^/]+/"] = "\n".join(file.read_text(encoding="utf-8") for file in (paths.ROOT / "lib").glob("*.py"))
    calls = [(stage, node) for stage, source in sources.items() for node in ast.walk(ast.parse(source))]
    named = [(stage, node.args[1]) for stage, node in calls if is_call(node, function)]
    return {stage + pattern_of(name) for stage, name in named if isinstance(name, ast.Constant | ast.JoinedStr)}


def is_call(node, function):
    return isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == function and len(node.args) > 1


def code_of(page):
    cells = json.loads(page.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def pattern_of(name):
    """A string as it is, one with {values} in it with a word for each."""
    parts = name.values if isinstance(name, ast.JoinedStr) else [name]
    return "".join(re.escape(part.value) if isinstance(part, ast.Constant) else "[^/]+" for part in parts)
