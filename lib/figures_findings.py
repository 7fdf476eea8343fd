"""Figures of 05: accuracy against one key of the recipes, for each value of another; reliability of P(correct).

figure = draw(points, "rationales", "test accuracy (%)", "select")  # lines over numbers, or a row for each name
figure = reliability({"the teacher's, after phase 1": calibration(p, sound)})

points   one row an arm with the columns x, by, mean, low and high, such as `comparison.reached` gives, in units of the
         axis
"""

import re
import textwrap
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas.api.types import is_numeric_dtype

from lib.errors import UserError
from lib.evaluate import Calibration
from lib.figures import GREY, HALO, WIDTH, direct_labels, readable

STYLES = ("-", "--", ":", "-.")
MARKERS = "os^Dv"
LARGEST = 90  # points², the dot of a bin that holds all
LABEL_WIDTH = 16  # letters of a line's name, before it is wrapped
STRATEGIES = {  # what they are called in a figure; others stand as they are
    "slc_high": "highest SLC", "slc_low": "lowest SLC", "slc_random": "random", "pmi_high": "highest PMI",
    "pmi_low": "lowest PMI", "log_p_high": "highest P(c|q)", "rd_low": "lowest RD", "rd_high": "highest RD",
    "rd_masked_low": "lowest masked RD", "self_eval": "best self-evaluated", "accurate": "right answer",
    "morsd": "MoRSD", "diversity": "diverse",
}  # fmt: skip
COUNTED = ("rationales a question", "self-evaluations a rationale")
KEYS = {"rationales": COUNTED[0], "evaluations": COUNTED[1], "round": "round of refinement", "lam": "λ"}


def worded(points: pd.DataFrame) -> pd.DataFrame:
    """The points with strategies among their x and `by` in words, numbers as they are.

    "sound | slc_high" becomes "sound, highest SLC"
    """
    return points.assign(x=points.x.map(_in_words), by=points.by.map(_in_words))


def draw(points: pd.DataFrame, x: str, value: str, by: str | None = None) -> Figure:
    """`lines` where the x are numbers, several of them; else `grouped`, a row for each `by` if there is one."""
    if is_numeric_dtype(points.x) and points.x.nunique() > 1:
        return lines(points, KEYS.get(x, x), value, KEYS.get(by, by))
    if points.by.nunique() == 1 and not points.by.iloc[0]:
        return grouped(points.rename(columns={"x": "row", "by": "series"}), value)
    return grouped(points.rename(columns={"by": "row", "x": "series"}), value)


def lines(points: pd.DataFrame, xlabel: str, ylabel: str, by: str | None = None) -> Figure:
    """A line with the band of its intervals for each `by`, its name at its right end; ticks are the x that occur.

    by   what a number among the names counts: "5" is called "5 self-evaluations a rationale"
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 3.6), layout="constrained")
    ends = []
    for i, (name, rows) in enumerate(points.groupby("by", sort=False)):
        rows = rows.sort_values("x")
        look = {"color": f"C{i}", "linestyle": STYLES[i % len(STYLES)], "marker": MARKERS[i % len(MARKERS)]}
        ax.fill_between(rows.x, rows.low, rows.high, color=f"C{i}", alpha=0.15, linewidth=0)
        ax.plot(rows.x, rows["mean"], linewidth=2, **look)
        called = _counted(name, by) if by and is_numeric_dtype(points.by) else str(name)
        ends.append((called, float(rows["mean"].iloc[-1])))
    ax.set(xlabel=xlabel, ylabel=ylabel, xticks=sorted(points.x.unique()))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.grid(axis="y", alpha=0.4)
    sns.despine(ax=ax)
    if any(name for name, _ in ends):
        _name_ends(ax, ends)
    return figure


def grouped(points: pd.DataFrame, xlabel: str) -> Figure:
    """Dots with their intervals: those of one `row` beneath its name, each in the colour of its `series`."""
    names, groups = list(points.row.unique()), list(points.series.unique())
    tall = 0.3 * len(groups) + 0.3  # inches of a row
    figure, ax = plt.subplots(figsize=(WIDTH, tall * len(names) + 1.1), layout="constrained")
    step = 0.3 / tall
    for i, series in enumerate(groups):
        rows = points[points.series == series]
        y = np.array([names.index(row) + (i + 0.5) * step for row in rows.row])
        look = {"fmt": MARKERS[i % len(MARKERS)], "color": f"C{i}", "elinewidth": 2.5, "markersize": 7}
        ends = np.maximum(0, [rows["mean"] - rows.low, rows.high - rows["mean"]])  # below and above
        ax.errorbar(rows["mean"], y, xerr=ends, label=textwrap.fill(str(series), 24), **look)
        for value, end, at in zip(rows["mean"], rows.high, y):
            ax.annotate(f"{value:.1f}", (end, at), (6, 0), textcoords="offset points", va="center", size="small")
    for row, name in enumerate(names):
        ax.text(0, row - 0.02, str(name), transform=ax.get_yaxis_transform(), va="bottom", bbox=HALO)
    ax.set(xlabel=xlabel, yticks=[], ylim=(len(names) - 0.2, -0.35))
    ax.grid(axis="x", alpha=0.4)
    sns.despine(ax=ax, left=True)
    if len(groups) > 1:
        figure.legend(loc="outside upper left", ncols=min(len(groups), 3), fontsize="small", handletextpad=0.2)
    return figure


def reliability(groups: Mapping[str, Calibration]) -> Figure:
    """Does what a student calls 80% likely come true in 80% of cases?

    A line a group: mean probability of each filled bin against the share that came true; dots grow with the bin. The
    diagonal is perfect calibration. UserError for a figure of nothing.
    """
    if not groups:
        raise UserError("reliability: no group of probabilities to draw")
    names = [f"{name} (ECE {group.ece:.2f}, n = {group.n:,})" for name, group in groups.items()]
    figure, ax = plt.subplots(figsize=(WIDTH, 3.8 + 0.25 * len(names)), layout="constrained")
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=1, zorder=0)
    for i, group in enumerate(groups.values()):
        filled = [b for b in group.bins if b.n]
        p, share = [b.probability for b in filled], [b.share for b in filled]
        ax.plot(p, share, color=f"C{i}", linestyle=STYLES[i % len(STYLES)], linewidth=1.5)
        ax.scatter(p, share, s=[8 + LARGEST * b.n / group.n for b in filled], color=f"C{i}", zorder=3)
    ax.set(xlabel="P(correct)", ylabel="share that came true", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    direct_labels(ax, names)
    sns.despine(ax=ax)
    return figure


def apart(values: Sequence[float], gap: float) -> list[float]:
    """Heights near `values`, in their order, no two closer than `gap`: [1, 1, 5] with gap 2 is [0, 2, 5]."""
    order = np.argsort(values, kind="stable")
    blocks: list[list[float]] = []  # [sum of (value − own offset), members]: members of a block stand `gap` apart
    for value in np.asarray(values, dtype=float)[order]:
        blocks.append([value, 1])
        while len(blocks) > 1 and _start(blocks[-2]) + blocks[-2][1] * gap > _start(blocks[-1]):
            (left, count), (right, more) = blocks[-2], blocks.pop()
            blocks[-1] = [left + right - more * count * gap, count + more]
    heights = [_start(block) + k * gap for block in blocks for k in range(int(block[1]))]
    placed = np.empty(len(heights))
    placed[order] = heights
    return placed.tolist()


def _in_words(name):
    """A strategy, or a chain, which is named after one; anything else as it is."""
    if not isinstance(name, str):
        return name
    return re.sub(r"\w+", lambda found: STRATEGIES.get(found[0], found[0]), name.replace(" | ", ", "))


def _counted(number: float, what: str) -> str:
    """ "5 rationales a question", "1 rationale a question"; what is not counted, such as λ, stands before."""
    if what not in COUNTED:
        return f"{what} {number:g}"
    return f"{number:g} {what.replace('s ', ' ', 1) if number == 1 else what}"


def _start(block: list[float]) -> float:
    """Where the lowest member of a block stands, so that its members are nearest to their own heights."""
    return block[0] / block[1]


def _name_ends(ax: Axes, ends: Sequence[tuple[str, float]]) -> None:
    """Names right of the axes, each beside the last point of its line and in its colour."""
    texts = [textwrap.fill(name, LABEL_WIDTH) for name, _ in ends]
    low, high = ax.get_ylim()
    tallest = max(text.count("\n") + 1 for text in texts)
    heights = apart([value for _, value in ends], 0.075 * tallest * (high - low))
    for i, (text, height) in enumerate(zip(texts, heights)):
        ax.annotate(
            text, (1, height), (6, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
            va="center", color=readable(f"C{i}"), weight="bold", size="small", annotation_clip=False,
        )  # fmt: skip
