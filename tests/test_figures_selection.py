"""Figures of 03: what is drawn, what is refused, and that each can be saved."""

from types import SimpleNamespace

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import pytest

from lib import paths
from lib.errors import UserError
from lib.figures import save_figure, style
from lib.figures_selection import grouped_dots, rounds, stacked_shares, upset
from lib.findings import overlaps

NAN = float("nan")


@pytest.fixture(autouse=True)
def look(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "FIGURES", tmp_path)
    before = mpl.rcParams.copy()
    mpl.use("agg")
    style(SimpleNamespace(context="notebook", palette="colorblind"))
    yield
    plt.close("all")
    mpl.rcParams.update(before)


def texts(ax):
    return [text.get_text() for text in ax.texts if text.get_text()]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_grouped_dots_name_rows_and_write_values():
    rows = {"base": {"highest": (21, 20, 22), "lowest": (-30, -31, -29)}, "small": {"lowest": (25, NAN, NAN)}}
    figure = grouped_dots(rows, "tokens", reference=0)
    [ax] = figure.axes
    assert texts(ax) == ["base", "21.0", "−30.0", "small", "25.0"]
    assert legend(figure) == ["highest", "lowest"]
    by_height = [(list(line.get_xdata()), line.get_ydata()[0], line.get_color()) for line in ax.lines[:6:2]]
    assert [x for x, _, _ in by_height] == [[20, 22], [-31, -29], [25, 25]]  # no interval: a bar without length
    heights = [y for _, y, _ in by_height]
    assert heights == sorted(set(heights))  # no two dots at one height
    assert by_height[1][2] == by_height[2][2] != by_height[0][2]  # a series keeps its colour
    assert heights[-1] < ax.get_ylim()[0]
    save_figure(figure, "levels", "c", "a", "03_slc")


def test_a_group_without_a_value_says_so():
    figure = grouped_dots({"base": {"highest": (NAN, NAN, NAN), "lowest": (1, 1, 1)}}, "tokens")
    assert texts(figure.axes[0]) == ["base", "none", "1.0"]


def test_upset_shows_shares_chance_and_members():
    choices = {"base": {"a": 0, "b": 1}, "small": {"a": 0, "b": 0}}
    figure = upset(overlaps(choices, {"a": [0, 1], "b": [0, 1]}), ["base", "small"])
    bars, dots = figure.axes
    assert [patch.get_height() for patch in bars.patches] == [50, 50, 50]
    assert texts(bars) == ["50.0", "50.0", "50.0"]
    assert all(text.xy[1] == 0 and text.get_va() == "top" for text in bars.texts)  # below the foot, not at the line
    assert legend(figure) == ["by chance"] and figure.legends[0].get_lines()[0].get_color() == bars.lines[1].get_color()
    assert [list(line.get_ydata()) for line in bars.lines[1::2]] == [[50, 50]] * 3  # chance, with two rationales
    members = [list(line.get_ydata()) for line in dots.lines[1::2]]
    assert members == [[0, 1], [0], [1]]  # all students first
    assert [label.get_text() for label in dots.get_yticklabels()] == ["base", "small"]
    save_figure(figure, "overlap", "c", "a", "03_slc")


def test_upset_leaves_out_what_neither_happens_nor_would_by_chance():
    same = {name: {"a": 0, "b": 0} for name in ("base", "small", "large")}
    figure = upset(overlaps(same, {"a": [0], "b": [0]}), list(same))
    assert [patch.get_height() for patch in figure.axes[0].patches] == [100]


def test_upset_has_room_for_few_sets_and_always_for_all_students(monkeypatch):
    monkeypatch.setattr("lib.figures_selection.MOST_BARS", 2)
    choices = {"base": {"a": 0, "b": 1, "c": 2}, "small": {"a": 1, "b": 0, "c": 2}}
    bars = upset(overlaps(choices, dict.fromkeys("abc", range(9))), list(choices)).axes[0]
    assert texts(bars) == ["33.3", "66.7"] and bars.patches[0].get_facecolor() != bars.patches[1].get_facecolor()


def test_upset_without_a_common_question_is_refused():
    with pytest.raises(UserError, match="no question for which every student chose"):
        upset(overlaps({"base": {"a": 0}, "small": {}}, {"a": [0]}), ["base", "small"])


def test_stacked_shares_fill_the_row():
    table = pd.DataFrame({"style 0": [0.25, NAN], "style 1": [0.7, NAN], "style 2": [0.05, NAN]}, index=["random", "x"])
    figure = stacked_shares(table, "rationales (%)")
    [ax] = figure.axes
    ends = [(patch.get_x(), patch.get_width()) for patch in ax.patches[:3]]
    assert ends == [pytest.approx(end) for end in [(0, 25), (25, 70), (95, 5)]]
    assert texts(ax) == ["25.0", "70.0", "random", "x"]  # 5 % is too narrow for its number; an empty row keeps its name
    assert legend(figure) == list(table)
    save_figure(figure, "styles", "c", "a", "03_slc")


def test_rounds_draw_a_line_a_chain_in_each_panel():
    rows = [("slc_high", 0, 1.0, 0.9, 1.1, 20), ("slc_high", 1, 1.5, 1.4, 1.6, 18), ("random", 0, 1.0, 0.9, 1.1, 20)]
    frame = pd.DataFrame(rows, columns=["chain", "round", "SLC", "SLC low", "SLC high", "words"])
    figure = rounds(frame, {"SLC": "mean SLC", "words": "words", "SLC high": "upper end"})
    slc, words, _, blank = figure.axes
    assert [list(line.get_ydata()) for line in slc.lines] == [[1.0, 1.5], [1.0]]
    assert len(slc.collections) == 2 and not words.collections  # intervals where there are some
    assert list(slc.get_xticks()) == [0, 1] and legend(figure) == ["slc_high", "random"]
    assert slc.get_title(loc="left") == "mean SLC" and not blank.axison
    save_figure(figure, "rounds", "c", "a", "03_slc")
