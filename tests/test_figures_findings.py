"""Figures of findings: what is drawn where, names that do not overlap; the reliability figure."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import UserError
from lib.evaluate import calibration
from lib.figures_findings import apart, draw, grouped, lines, reliability, worded

CURVE = pd.DataFrame(
    [
        (4, "random", 80.0, 78.0, 83.0),
        (1, "random", 70.0, 66.0, 74.0),
        (1, "rd_low", 60.0, 60.0, 60.0),
        (4, "rd_low", 79.9, 79.0, 81.0),
    ],
    columns=["x", "by", "mean", "low", "high"],
)
NAMES = CURVE.assign(x=["hard", "easy", "easy", "hard"])
ROWS = NAMES.rename(columns={"x": "row", "by": "series"})


@pytest.fixture(autouse=True)
def closed():
    mpl.use("agg")
    yield
    plt.close("all")


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_lines_run_by_x_with_a_band_and_their_name_at_the_end():
    figure = lines(CURVE, "CoTs", "accuracy (%)")
    ax = figure.axes[0]
    assert [list(line.get_xdata()) for line in ax.lines] == [[1, 4], [1, 4]]
    assert list(ax.lines[0].get_ydata()) == [70, 80]
    band = ax.collections[0].get_paths()[0].vertices
    assert {tuple(point) for point in band} >= {(1, 66), (1, 74), (4, 78), (4, 83)}
    assert texts(figure) == ["random", "rd_low"]
    assert list(ax.get_xticks()) == [1, 4]


def test_a_line_named_by_a_number_says_what_it_counts():
    curve = CURVE.assign(by=[5, 5, 0, 0])
    assert texts(draw(curve, "lam", "y", "evaluations")) == [
        "5 self-\nevaluations a\nrationale",
        "0 self-\nevaluations a\nrationale",
    ]
    assert texts(draw(curve.assign(by=[1, 1, 5, 5]), "lam", "y", "rationales")) == [
        "1 rationale a\nquestion",
        "5 rationales a\nquestion",
    ]
    assert texts(draw(curve.assign(by=[0.5, 0.5, 1, 1]), "k", "y", "lam")) == ["λ 0.5", "λ 1"]
    assert texts(draw(curve, "lam", "y")) == ["5", "0"]
    assert texts(draw(CURVE, "lam", "y", "select")) == ["random", "rd_low"]


def test_names_of_lines_that_end_together_are_set_apart():
    heights = [text.xy[1] for text in lines(CURVE, "k", "y").axes[0].texts]
    low, high = lines(CURVE, "k", "y").axes[0].get_ylim()
    assert heights[0] - heights[1] == pytest.approx(0.075 * (high - low))
    assert np.mean(heights) == pytest.approx((80 + 79.9) / 2)


def test_one_line_without_a_name_is_not_named():
    assert texts(lines(CURVE[:2].assign(by=""), "k", "y")) == []


def test_rows_hold_a_dot_with_its_interval_and_value_for_each_series():
    figure = grouped(ROWS, "accuracy (%)")
    assert texts(figure) == ["80.0", "70.0", "60.0", "79.9", "hard", "easy"]
    first, second = figure.axes[0].containers
    (y_hard, y_easy) = first.lines[0].get_ydata()
    assert 0 < y_hard < 1 < y_easy < 2
    assert all(second.lines[0].get_ydata() > [y_easy, y_hard])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["random", "rd_low"]
    [bars] = first.lines[2]
    assert [list(bar[:, 0]) for bar in bars.get_segments()] == [[78, 83], [66, 74]]


def test_each_by_is_a_row_in_which_its_x_are_beside_each_other():
    figure = draw(NAMES, "k", "y")
    assert texts(figure)[-2:] == ["random", "rd_low"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["hard", "easy"]


def test_without_by_each_x_is_a_row():
    figure = draw(NAMES[:2].assign(by=""), "k", "y")
    assert texts(figure)[-2:] == ["hard", "easy"] and not figure.legends


def test_strategies_are_put_in_words_numbers_and_other_names_are_not():
    points = pd.DataFrame({"x": ["sound | slc_high", "morsd(6, 0.8)", "round 1"], "by": [1, 2, 3]})
    assert worded(points).to_dict("list") == {"x": ["sound, highest SLC", "MoRSD(6, 0.8)", "round 1"], "by": [1, 2, 3]}
    learned = pd.DataFrame({"x": ["with rationales", "labels alone"], "by": ["small", "random"]})
    assert worded(learned).equals(learned)


def test_the_axis_says_what_a_key_counts():
    assert draw(CURVE, "rationales", "y").axes[0].get_xlabel() == "rationales a question"


def test_a_single_group_needs_no_legend():
    assert grouped(ROWS[:2].assign(series=""), "y").legends == []


def test_numbers_are_drawn_as_lines_names_and_a_single_number_as_rows():
    assert draw(CURVE, "k", "y").axes[0].get_xlabel() == "k"
    for points in (NAMES, CURVE[CURVE.x == 1]):
        assert draw(points, "k", "y").axes[0].get_xlabel() == "y"


def test_heights_by_hand():
    assert apart([1, 1, 5], 2) == [0, 2, 5]
    assert apart([5, 1], 1) == [5, 1]
    assert apart([], 1) == []


@given(st.lists(st.floats(-100, 100), max_size=8), st.floats(0.1, 10))
def test_heights_keep_their_order_their_distance_and_their_mean(values, gap):
    heights = np.array(apart(values, gap))
    order = np.argsort(values, kind="stable")
    assert np.all(np.diff(heights[order]) >= gap - 1e-6)
    assert heights.sum() == pytest.approx(sum(values), abs=1e-6)


def test_filled_bins_stand_where_they_belong():
    figure = reliability({"own": calibration([0.1, 0.15, 0.95, 0.95], [False, True, True, True])})
    diagonal, line = figure.axes[0].lines
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert line.get_xydata().tolist() == [[0.125, 0.5], [0.95, 1.0]]
    small, large = figure.axes[0].collections[0].get_sizes()
    assert small == large  # two of four each


def test_nothing_to_draw_is_refused():
    with pytest.raises(UserError, match="reliability: no group"):
        reliability({})
