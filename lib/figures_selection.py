"""Figures of 03: what students choose, how alike their choices are, and what rounds of refinement do.

figure = grouped_dots({"base": {"highest SLC": (21, 20, 22), "random": (25, 24, 26)}}, "tokens")
figure = upset(overlaps(choices, options), ["base", "small"])
Each is saved and captioned by `figures.save_figure`.
"""

from collections.abc import Callable, Mapping, Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.errors import UserError
from lib.figures import GREY, HALO, WIDTH, contrast
from lib.findings import Overlap, agreement_of_all
from lib.tables import true_minus

MARKERS = "osD^vP*X"
MOST_BARS = 12  # of an upset figure
NARROW = 0.08  # a share below which a part has no room for its number


def grouped_dots(
    rows: Mapping[str, Mapping[str, tuple[float, float, float]]],
    xlabel: str,
    reference: float | None = None,
    text: Callable[[float], str] = "{:.1f}".format,
) -> Figure:
    """A group of dots with intervals for each row: row -> series -> (value, low, high), in the unit of the axis.

    Every series has its colour, marker and line, in order of appearance; each dot's value is written beside it.
    """
    series = list(dict.fromkeys(name for own in rows.values() for name in own))
    height = 0.26 * sum(map(len, rows.values())) + 0.42 * len(rows) + 0.9
    figure, ax = plt.subplots(figsize=(WIDTH, height), layout="constrained")
    y = 0.0
    for name, own in rows.items():
        ax.text(0, y - 0.1, name, transform=ax.get_yaxis_transform(), va="bottom", bbox=HALO)
        for place, (one, point) in enumerate(own.items()):
            _dot(ax, y + 0.55 + place, point, series.index(one), text)
        y += len(own) + 1.5
    if reference is not None:
        ax.axvline(reference, color=GREY, linewidth=1, zorder=0)
    ax.set(xlabel=xlabel, yticks=[], ylim=(y - 1.2, -1.2))
    ax.grid(axis="x", alpha=0.4)
    _legend(figure, series)
    sns.despine(ax=ax, left=True)
    return figure


def upset(found: Sequence[Overlap], students: Sequence[str]) -> Figure:
    """Bars of how often each set of students made the same choice, the sets as dots below them.

    found      as `findings.overlaps` orders them; all students together come first, then the most frequent sets, as
               many as there is room for, of those that occur or would by chance
    A line across each bar shows the share expected if every student chose at random; whiskers are 95% intervals. A
    bar's own share stands below its foot: above it, the number could be read as that of the line.
    Raises UserError where there was no question in common.
    """
    if not found or not found[0].n:
        raise UserError("upset: no question for which every student chose a rationale; nothing to draw")
    everyone = agreement_of_all(found)
    shown = [everyone, *(o for o in found if o is not everyone and (o.share or o.chance > 0.005))][:MOST_BARS]
    figure, (bars, dots) = plt.subplots(
        2,
        1,
        sharex=True,
        layout="constrained",
        figsize=(WIDTH, 2.6 + 0.32 * len(students)),
        gridspec_kw={"height_ratios": [2.4, 0.4 * len(students) + 0.2]},
    )
    for x, one in enumerate(shown):
        _bar(bars, x, one, "C0" if one is everyone else GREY)
    bars.set(ylabel="questions (%)", ylim=(0, None))
    bars.tick_params(bottom=False)
    _matrix(dots, shown, students)
    chance = mpl.lines.Line2D([], [], color="C1", linewidth=2, label="by chance")
    figure.legend(handles=[chance], loc="outside upper right", fontsize="small")
    sns.despine(ax=bars, bottom=True)
    return figure


def stacked_shares(table: pd.DataFrame, xlabel: str) -> Figure:
    """A horizontal bar of adjoining shares for each row of the table; columns are its parts, in percent of the row.

    Parts that are wide enough have their number written in them; a row without a number (nan) is an empty bar.
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 0.5 * len(table) + 1.1), layout="constrained")
    colours = sns.color_palette("Blues", len(table.columns) + 1)[1:]
    for y, (name, own) in enumerate(table.fillna(0.0).iterrows()):
        left = 0.0
        for share, colour in zip(own, colours):
            ax.barh(y, 100 * share, left=100 * left, height=0.5, color=colour, edgecolor="white")
            ink = max(("white", "black"), key=lambda tone, ground=colour: contrast(tone, ground))
            label = f"{100 * share:.1f}" if share >= NARROW else ""
            ax.text(100 * (left + share / 2), y, label, ha="center", va="center", color=ink, fontsize="small")
            left += share
        ax.text(0, y - 0.29, name, va="bottom")
    ax.set(xlabel=xlabel, yticks=[], xlim=(0, 100), ylim=(len(table) - 0.6, -0.75))
    handles = [mpl.patches.Patch(color=colour, label=name) for name, colour in zip(table.columns, colours)]
    figure.legend(handles=handles, loc="outside upper left", ncols=min(4, len(handles)), fontsize="small")
    sns.despine(ax=ax, left=True)
    return figure


def rounds(frame: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """A panel for each measure: a line a chain over the rounds, with its interval where it has one.

    frame    columns chain, round and, for each measure m: m and perhaps "m low", "m high"; a row a chain and round
    panels   measure -> what its axis says
    """
    chains = list(dict.fromkeys(frame["chain"]))
    count = -(-len(panels) // 2)
    figure, axes = plt.subplots(
        count, 2, figsize=(WIDTH, 1.9 * count + 0.6), sharex=True, squeeze=False, layout="constrained"
    )
    for ax, (measure, label) in zip(axes.flat, panels.items()):
        for i, chain in enumerate(chains):
            _line(ax, frame[frame["chain"] == chain], measure, i, len(chains))
        ax.set_title(label, size="small")
        ax.set_xticks(sorted(set(frame["round"])))
        sns.despine(ax=ax)
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    for ax in axes.flat[max(0, len(panels) - 2) : len(panels)]:  # the lowest panel of each column shows the scale
        ax.tick_params(labelbottom=True)
    figure.supxlabel("round", size="medium")
    _legend(figure, chains)
    return figure


def _dot(ax: Axes, y: float, point: tuple[float, float, float], i: int, text: Callable[[float], str]) -> None:
    value, *ends = point
    if np.isnan(value):
        ax.annotate("none", (0, y), xycoords=ax.get_yaxis_transform(), va="center", color=GREY)
        return
    bar = [value if np.isnan(end) else end for end in ends]
    ax.plot(bar, [y, y], color=f"C{i}", linewidth=2.2, solid_capstyle="butt")
    ax.plot(value, y, MARKERS[i % len(MARKERS)], color=f"C{i}", markersize=7)
    place = {"textcoords": "offset points", "va": "center", "fontsize": "small"}
    ax.annotate(true_minus(text(value)), (max(bar), y), (8, 0), **place)


def _bar(ax: Axes, x: int, one: Overlap, colour: str) -> None:
    ax.bar(x, 100 * one.share, width=0.6, color=colour)
    ax.plot([x, x], [100 * one.low, 100 * one.high], color="black", linewidth=1)
    ax.plot([x - 0.38, x + 0.38], [100 * one.chance] * 2, color="C1", linewidth=2)
    place = {"textcoords": "offset points", "ha": "center", "va": "top", "fontsize": "small"}
    ax.annotate(f"{100 * one.share:.1f}", (x, 0), (0, -3), **place)


def _matrix(ax: Axes, shown: Sequence[Overlap], students: Sequence[str]) -> None:
    for x, one in enumerate(shown):
        inside = [y for y, name in enumerate(students) if name in one.members]
        ax.plot([x] * len(students), range(len(students)), "o", color="#dddddd", markersize=8)
        ax.plot([x] * len(inside), inside, "-o", color="black", markersize=8, linewidth=1.5)
    ax.set(xticks=[], yticks=range(len(students)), ylim=(len(students) - 0.5, -0.5), xlim=(-0.7, len(shown) - 0.3))
    ax.set_yticklabels(students)
    ax.tick_params(left=False)
    sns.despine(ax=ax, left=True, bottom=True)


def _line(ax: Axes, own: pd.DataFrame, measure: str, i: int, of: int) -> None:
    x = own["round"] + 0.06 * (i - (of - 1) / 2)  # beside each other where they coincide
    ax.plot(x, own[measure], color=f"C{i}", marker=MARKERS[i % len(MARKERS)], markersize=5, linewidth=1.5)
    ends = [f"{measure} low", f"{measure} high"]
    if set(ends) <= set(own):
        ax.vlines(x, own[ends[0]], own[ends[1]], color=f"C{i}", linewidth=1.2)


def _legend(figure: Figure, series: Sequence[str]) -> None:
    """Colour and marker of each series, above the axes."""
    handles = [
        mpl.lines.Line2D([], [], color=f"C{i}", marker=MARKERS[i % len(MARKERS)], label=name)
        for i, name in enumerate(series)
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=min(3, len(handles)), fontsize="small")
