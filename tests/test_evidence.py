"""Records as evidence: what the reports wrote is read, not typed; what is missing says so."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib import evidence, paths
from lib.errors import UserError
from lib.evidence import CONTRADICTED, SUPPORTED, UNSURE, Missing, Outcome, difference, judge, level
from lib.statistics import Difference, describe, points

HEADER = "arm,against,verdict\n"
SURE = '5 CoTs,1 CoT,"+4.2 points [+1.1, +7.3], p = .012, p = .024 after Holm"\n'
UNSURE_ROW = '1 CoT,standard,"not separated (−0.3 points [−2.5, +1.9], p = 1.00 after Holm; n = 400 × 3 seeds; a …)"\n'
SAME = "8 random,8 CoTs,the same runs\n"


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "comparisons.csv"
    path.write_text(HEADER + SURE + UNSURE_ROW + SAME, encoding="utf-8")
    return path


def test_a_separated_difference_has_its_side_and_its_interval(table):
    found = difference(table, "5 CoTs", "1 CoT")
    assert (found.estimate, found.low, found.high, found.side) == (4.2, 1.1, 7.3, 1)
    assert found.text == "5 CoTs against 1 CoT: +4.2 points [+1.1, +7.3], p = .024 after Holm"


def test_what_is_not_separated_has_no_side(table):
    found = difference(table, "1 CoT", "standard")
    assert (found.estimate, found.low, found.high, found.side) == (-0.3, -2.5, 1.9, 0)
    assert found.text.endswith("−0.3 points [−2.5, +1.9], p = 1.00 after Holm")


@pytest.mark.parametrize("expect", ["more", "less", {"within": 3}])
def test_the_same_runs_are_no_evidence_and_not_missing(table, expect):
    found = difference(table, "8 random", "8 CoTs")
    assert found.text == "8 random against 8 CoTs: the same runs, nothing to compare"
    assert judge(found, expect) == UNSURE
    assert level((found.estimate, found.low, found.high), (1.0, 0.5, 1.5), "").side == 0


def test_a_difference_that_was_not_made_is_missing(table):
    with pytest.raises(Missing, match="has no row 2 CoTs against 1 CoT"):
        difference(table, "2 CoTs", "1 CoT")


def test_a_table_that_is_not_there_is_missing_by_name(tmp_path):
    with pytest.raises(Missing, match=r"absent\.csv is not written"):
        difference(tmp_path / "absent.csv", "a", "b")


def test_two_rows_for_one_are_refused(tmp_path):
    path = tmp_path / "twice.csv"
    path.write_text(HEADER + SURE + SURE, encoding="utf-8")
    with pytest.raises(UserError, match=r"twice\.csv: 2 rows with .*'5 CoTs'"):
        difference(path, "5 CoTs", "1 CoT")


shares = st.floats(-1, 1).map(lambda x: round(x, 3))


@given(st.tuples(shares, shares, shares).map(sorted), st.floats(0.0001, 1), st.booleans(), st.sampled_from([0.1, 1.3]))
def test_words_are_read_as_they_were_written(tmp_path_factory, values, p, adjusted, detectable):
    low, mean, high = values
    words = describe(Difference(mean, low, high, p, detectable, 3, 400), adjusted=p if adjusted else None)
    path = tmp_path_factory.mktemp("words") / "table.csv"
    path.write_text(f'{HEADER}a,b,"{words}"\n', encoding="utf-8")
    found = difference(path, "a", "b")
    shown = [float(points(share).replace("−", "-")) for share in (mean, low, high)]
    assert [found.estimate, found.low, found.high] == shown
    assert (found.side != 0) == (p < 0.05)


def outcome(low: float, high: float, side: int) -> Outcome:
    return Outcome((low + high) / 2, low, high, side, "")


@pytest.mark.parametrize(
    ("found", "expect", "verdict"),
    [
        (outcome(1, 7, 1), "more", SUPPORTED),
        (outcome(1, 7, 1), "less", CONTRADICTED),
        (outcome(-7, -1, -1), "more", CONTRADICTED),
        (outcome(-7, -1, -1), "less", SUPPORTED),
        (outcome(1, 7, 0), "more", UNSURE),  # its interval leaves 0 out, but p after Holm decides
        (outcome(-3, 3, 0), {"within": 3}, SUPPORTED),
        (outcome(-2, 3.1, 0), {"within": 3}, UNSURE),
        (outcome(3.1, 9, 1), {"within": 3}, CONTRADICTED),
        (outcome(-9, -3.1, -1), {"within": 3}, CONTRADICTED),
        (outcome(1, 2, 1), {"within": 3}, SUPPORTED),  # separated, and yet as good as equal
    ],
)
def test_the_verdict_follows_from_side_and_direction(found, expect, verdict):
    assert judge(found, expect) == verdict


def test_an_unknown_direction_is_refused_with_those_there_are():
    with pytest.raises(UserError, match=r"'better'; allowed: more, less, or \{within: points\}"):
        judge(outcome(1, 2, 1), "better")


@pytest.mark.parametrize(
    ("own", "other", "side"),
    [
        ((2.0, 1.9, 2.1), 1.0, 1),
        ((0.5, 0.4, 0.6), 1.0, -1),
        ((1.0, 0.9, 1.1), 1.0, 0),
        ((2.0, 1.0, 3.0), 1.0, 0),  # an interval that ends at the number
        ((0.5, 0.4, 0.6), (0.7, 0.61, 0.8), -1),
        ((0.5, 0.4, 0.6), (0.7, 0.6, 0.8), 0),
        ((0.9, 0.85, 0.95), (0.7, 0.6, 0.8), 1),
    ],
)
def test_means_are_separated_where_intervals_do_not_meet(own, other, side):
    assert level(own, other, "it").side == side


def test_a_level_says_both_intervals():
    assert level((0.5, -0.4, 0.6), (0.7, 0.6, 0.8), "AUC").text == "AUC: 0.5 [−0.4, 0.6] against 0.7 [0.6, 0.8]"


def write_main(path, *cells):
    rows = "".join(f"arm {i},{cell}\n" for i, cell in enumerate(cells))
    path.write_text("arm,accuracy (%)\n" + rows, encoding="utf-8")
    return path


def test_the_ratio_of_two_spreads_has_the_interval_of_f(tmp_path):
    found = evidence.spread(write_main(tmp_path / "a.csv", "90.0 ± 2.0", "88.0 ± 8.0"), "arm 0", "arm 1", seeds=3)
    assert found.estimate == 0.25
    # with 2 and 2 degrees of freedom P(F < x) = x / (1 + x), so that the quantiles are 1/39 and 39
    assert (found.low, found.high) == pytest.approx((0.25 / np.sqrt(39), 0.25 * np.sqrt(39)))
    assert found.side == 0
    tenfold = evidence.spread(write_main(tmp_path / "b.csv", "90.0 ± 1.0", "88.0 ± 10.0"), "arm 0", "arm 1", seeds=3)
    assert tenfold.side == -1


@pytest.mark.parametrize(
    "cells", [("90.0 ± 2.0", "88.0 ± 0.0"), ("100.0 ± 0.0", "88.0 ± 1.0"), ("90.0", "88.0 ± 1.0"), ("–", "88.0 ± 1.0")]
)
def test_a_spread_that_was_not_recorded_is_missing(tmp_path, cells):
    with pytest.raises(Missing, match=r"spread|std"):
        evidence.spread(write_main(tmp_path / "main.csv", *cells), "arm 0", "arm 1", seeds=3)


def test_intervals_come_from_metrics_columns_and_cells(tmp_path):
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "03_slc.json").write_text(json.dumps({"slc_by_student": {"gpt2": [1.98, 1.94, 2.02]}}))
    (tmp_path / "tables" / "x").mkdir(parents=True)
    rows = 'arm,mean,from,to,AUROC\n1 CoT,0.5,0.4,0.6,"0.58 [0.52, 0.62]"\n2 CoTs,,,,–\n'
    (tmp_path / "tables" / "x" / "y.csv").write_text(rows, encoding="utf-8")
    metrics = {"metrics": "03_slc", "key": ["slc_by_student", "gpt2"]}
    columns = {"table": "x/y", "row": {"arm": "1 CoT"}, "columns": ["mean", "from", "to"]}
    cell = {"table": "x/y", "row": {"arm": "1 CoT"}, "column": "AUROC"}
    assert evidence.interval_of(metrics, tmp_path) == (1.98, 1.94, 2.02)
    assert evidence.interval_of(columns, tmp_path) == (0.5, 0.4, 0.6)
    assert evidence.interval_of(cell, tmp_path) == (0.58, 0.52, 0.62)
    with pytest.raises(Missing, match=r"y\.csv: nothing under mean, from, to for 2 CoTs"):
        evidence.interval_of({**columns, "row": {"arm": "2 CoTs"}}, tmp_path)
    with pytest.raises(Missing, match=r"03_slc\.json has no slc_by_student · t5"):
        evidence.interval_of({"metrics": "03_slc", "key": ["slc_by_student", "t5"]}, tmp_path)
    with pytest.raises(UserError, match=r"no 'value \[low, high\]' in '1 CoT'"):
        evidence.interval_of({**cell, "column": "arm"}, tmp_path)


@pytest.mark.parametrize("unit", ["points", "hundredths"])  # as kept sweeps have it, and as 05 writes it
def test_similarity_is_in_hundredths(tmp_path, unit):
    path = tmp_path / "similarity.csv"
    words = f'"round 0: +5.9 {unit} [+4.0, +7.9], p < .001, p < .001 after Holm"'
    rows = f'round 0,"0.5 [0.4, 0.6]",\nround 3,"0.6 [0.5, 0.7]",{words}\n'
    path.write_text(f"arm,similarity,against the first (in hundredths)\n{rows}", encoding="utf-8")
    found = evidence.similarity(path, "round 3")
    assert found.text == "round 3 against round 0: +5.9 hundredths [+4.0, +7.9], p < .001 after Holm"
    assert (found.estimate, found.side) == (5.9, 1)
    with pytest.raises(Missing, match="not compared"):
        evidence.similarity(path, "round 0")


def test_a_profile_nobody_ran_is_missing_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "REPORTS", tmp_path)
    with pytest.raises(Missing, match=r"^levels$"):
        evidence.folder_of("levels")


def test_a_separated_mean_is_shown_with_the_digits_that_separate_it():
    assert level((0.52286, 0.50028, 0.54439), 0.5, "AUC").text == "AUC: 0.5229 [0.5003, 0.5444]"
    assert level((0.52286, 0.49928, 0.54439), 0.5, "AUC").text == "AUC: 0.523 [0.499, 0.544]"
