"""Figures that are the same bytes every time, readable on a phone, and hold their own fonts.

style(cfg.figures)
figure = arm_plot({"standard": (0.61, 0.59, 0.63), "5 CoTs": (0.90, 0.88, 0.91)}, "test accuracy (%)")
save_figure(figure, "accuracy", "5 CoTs beat standard. n = 400, 3 seeds; bars ± std.", "Dot plot of …", "ablate")
# writes reports/figures/ablate/accuracy.svg, returns the figure with its caption to display
"""

import io
import re
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from html import escape

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import HTML
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib import paths
from lib.errors import UserError
from lib.records import write_atomically
from lib.tables import artefact_path, true_minus

WIDTH = 5.4  # inches; narrow, so that text stays readable on a 400 px screen
GROWTH = 1.35  # how far a figure may be enlarged on a wide page
GREY = "#767676"
COLUMNS = 3  # panels beside each other
BESIDE = 20  # letters of a name, up to which two of them have room beside each other
ACROSS = 40  # letters of a name that fit the width of the axes
CONTRAST = 4.5  # of text and its ground, at least
HALO = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}


def style(settings) -> None:
    """Set matplotlib's and seaborn's look for this process; settings = cfg.figures (context, palette).

    Text becomes outlines of DejaVu Sans, which ships with matplotlib, so a figure looks the same everywhere.
    """
    try:
        palette = sns.color_palette(settings.palette)
    except ValueError:
        allowed = "colorblind, cividis, viridis or another seaborn palette"
        raise UserError(f"figures.palette: given {settings.palette!r}; allowed: {allowed}") from None
    look = {"figure.figsize": (WIDTH, 3.4), "axes.titlelocation": "left", "legend.frameon": False}
    sns.set_theme(context=settings.context, style="ticks", palette=palette, font="DejaVu Sans", rc=look)


def save_figure(figure: Figure, name: str, caption: str, alt: str, stage: str, note: str | None = None) -> HTML:
    """Write reports/figures/<stage>/<name>.svg, close the figure, return it with its caption for display.

    caption   the claim, n, seeds and what the error bars are
    alt       what one sees, for those who do not see it
    note      what holds for all figures of a report, such as whose teacher it was; stands at the caption's end
    """
    path = artefact_path(paths.FIGURES, stage, name, "svg")
    if not (caption.strip() and alt.strip()):
        raise UserError(f"figure {name!r}: a figure needs a caption and an alternative text")
    svg = _svg(figure, f"figure-{stage}-{name}", alt)
    plt.close(figure)
    write_atomically(path, svg)
    width = float(re.search(r'width="([\d.]+)pt"', svg)[1])
    said = " ".join(filter(None, (caption.strip(), note)))
    fluid = f'<svg style="width:100%;max-width:{GROWTH * width:.0f}pt;height:auto" '
    inline = svg.replace("<svg ", fluid, 1)
    return HTML(f'<figure class="figure">\n{inline}<figcaption>{escape(said)}</figcaption>\n</figure>')


def arm_plot(
    arms: Mapping[str, tuple[float, float, float]],
    xlabel: str,
    seeds: Mapping[str, Sequence[float]] | None = None,
    reference: float | None = None,
    muted: Collection[str] = (),
    text: Callable[[float], str] = "{:.1f}".format,
) -> Figure:
    """One row an arm: name, dot, error bar, value; arms: name -> (value, low, high), in the unit of the axis.

    seeds      name -> one value a seed, drawn as rings below the bar
    reference  a vertical line, e.g. 0 for differences
    muted      names drawn in grey, e.g. the controls
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 0.55 * len(arms) + 0.8), layout="constrained")
    for y, (name, (value, *ends)) in enumerate(arms.items()):
        bar = [value if np.isnan(end) else end for end in ends]
        color = GREY if name in muted else "C0"
        ax.plot(bar, [y, y], color=color, linewidth=2.5, solid_capstyle="butt")
        ax.plot(value, y, "o", color=color, markersize=8)
        own = (seeds or {}).get(name, [])
        ax.plot(own, [y + 0.22] * len(own), "o", color="black", fillstyle="none", markersize=3.5, markeredgewidth=0.8)
        ax.text(0, y - 0.23, name, transform=ax.get_yaxis_transform(), va="bottom", bbox=HALO)
        ax.annotate(true_minus(text(value)), (max(value, *bar), y), (8, 0), textcoords="offset points", va="center")
    if reference is not None:
        ax.axvline(reference, color=GREY, linewidth=1, zorder=0)
    ax.set(xlabel=xlabel, yticks=[], ylim=(len(arms) - 0.6, -0.85))
    ax.grid(axis="x", alpha=0.4)
    sns.despine(ax=ax, left=True)
    return figure


def distribution(groups: Mapping[str, Sequence[float]], xlabel: str, log: bool = False, bins: int = 30) -> Figure:
    """Histograms of several groups over one axis, each adding up to 1, with their medians; `log` for ratios > 0.

    The axis spans the middle 99% of all values; those outside count in the outermost bins. An empty group is an error.
    """
    edges = _edges(groups, log, bins)
    names = [f"{name} (n = {len(values):,})" for name, values in groups.items()]
    figure, ax = plt.subplots(figsize=(WIDTH, 3.4 + 0.2 * max(_lifts(names))), layout="constrained")
    for i, values in enumerate(groups.values()):
        look = {"color": f"C{i}", "linestyle": ("-", "--", ":", "-.")[i % 4]}
        share = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] / len(values)
        ax.stairs(share, edges, color=f"C{i}", fill=True, alpha=0.2)
        ax.stairs(share, edges, linewidth=2, **look)
        ax.axvline(np.median(values), linewidth=1, **look)
    if log:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter(ticker.NullFormatter())
    ax.set(xlabel=xlabel, ylabel="share of rationales", xlim=(edges[0], edges[-1]), ylim=(0, None))
    direct_labels(ax, names)
    sns.despine(ax=ax)
    return figure


def curves(
    frame: pd.DataFrame,
    x: str,
    y: str,
    by: str = "arm",
    xlabel: str = "",
    ylabel: str = "",
    text: Callable[[float], str] = "{:.1f}".format,
    limits: tuple[float, float] = (-np.inf, np.inf),
) -> Figure:
    """A panel an arm: mean line and ± 1 std band over seeds, the other arms in grey behind it, the last value written.

    frame   one row a seed and point, with the columns `by`, seed, x and y; arms are drawn in order of appearance. A
            seed that ends before others, as one whose patience is at an end, keeps its last value
    text    writes the last value
    limits  where the band is cut, e.g. (0, 100) for a share in percent, which cannot be more
    """
    means = _by_seed(frame, x, y, by)
    figure, axes = _panels(len(means))
    for ax, (name, own) in zip(axes, means.items()):
        for other in means.values():
            ax.plot(other.index, other["mean"], color="#d0d0d0", linewidth=1)
        band = own["std"].fillna(0)
        ends = [np.clip(own["mean"] + side * band, *limits) for side in (-1, 1)]
        ax.fill_between(own.index, *ends, color="C0", alpha=0.25, linewidth=0)
        ax.plot(own.index, own["mean"], color="C0", linewidth=2)
        ax.annotate(text(own["mean"].iloc[-1]), (1, 0.04), xycoords="axes fraction", ha="right", color="C0")
        ax.set_title(textwrap.fill(name, 17), size="small")
        sns.despine(ax=ax)
    figure.supxlabel(xlabel or x, size="medium")
    figure.supylabel(ylabel or y, size="medium")
    return figure


def last_points(frame: pd.DataFrame, x: str, y: str, by: str = "arm") -> pd.DataFrame:
    """What `curves` draws at the end of each arm: its mean and std over seeds, a row an arm; std nan for one seed."""
    return pd.DataFrame({name: own.iloc[-1] for name, own in _by_seed(frame, x, y, by).items()}).T.rename_axis(by)


def _by_seed(frame: pd.DataFrame, x: str, y: str, by: str) -> dict[str, pd.DataFrame]:
    """Name -> mean and std of y over seeds, at each x; what a seed reached last is its value from there on."""
    wide = {name: rows.pivot(index=x, columns="seed", values=y).ffill() for name, rows in frame.groupby(by, sort=False)}
    return {name: pd.DataFrame({"mean": own.mean(axis=1), "std": own.std(axis=1)}) for name, own in wide.items()}


def contrast(colour, ground="white") -> float:
    """How well text of a colour stands out from its ground, 1 to 21 (WCAG 2); 4.5 is what small text needs."""
    light = sorted(_luminance(mpl.colors.to_rgb(part)) for part in (colour, ground))
    return (light[1] + 0.05) / (light[0] + 0.05)


def readable(colour) -> tuple[float, float, float]:
    """The colour, darkened until it can be read as text on white."""
    found = tuple(0.75 * part for part in mpl.colors.to_rgb(colour))
    while contrast(found) < CONTRAST:
        found = tuple(0.95 * part for part in found)
    return found


def _luminance(rgb: Sequence[float]) -> float:
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in rgb)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def direct_labels(ax: Axes, names: Sequence[str]) -> None:
    """Names above the axes, each in the colour of its line: names[i] belongs to colour Ci.

    One or two short ones stand side by side; more, or longer ones, below each other in the order given.
    """
    lifts = _lifts(names)
    line = 1.3 * mpl.rcParams["font.size"]  # points
    for i, (name, lift) in enumerate(zip(names, lifts)):
        ax.annotate(
            textwrap.fill(name, ACROSS), (0 if any(lifts) else i / len(names), 1), (0, 5 + lift * line),
            xycoords="axes fraction", textcoords="offset points", color=readable(f"C{i}"), va="bottom", weight="bold",
        )  # fmt: skip


def _lifts(names: Sequence[str]) -> list[int]:
    """How many lines of text stand between each name and the axes; all 0: the names stand side by side."""
    lines = [len(textwrap.wrap(name, ACROSS)) for name in names]
    beside = len(names) <= 2 and all(len(name) <= BESIDE for name in names)
    return [0 if beside else sum(lines[i + 1 :]) for i in range(len(names))]


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    """A grid of `count` panels with common axes; places left over in the last row stay blank."""
    rows = -(-count // COLUMNS)
    grid = {"sharex": True, "sharey": True, "squeeze": False, "layout": "constrained"}
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(WIDTH, 1.5 * rows + 0.5), **grid)
    for ax in axes.flat[count:]:
        ax.set_axis_off()
    for ax in axes.flat[max(0, count - COLUMNS) : count]:  # the lowest panel of each column shows the scale
        ax.tick_params(labelbottom=True)
    return figure, list(axes.flat[:count])


def _edges(groups: Mapping[str, Sequence[float]], log: bool, bins: int) -> np.ndarray:
    """float[bins + 1]: bin edges over the middle 99% of all groups' values."""
    for name, values in groups.items():
        if len(values) == 0 or not np.isfinite(values).all() or (log and np.min(values) <= 0):
            needed = "finite numbers above 0" if log else "finite numbers"
            raise UserError(f"distribution: group {name!r} must hold {needed}, at least one")
    low, high = np.quantile(np.concatenate([np.asarray(v, dtype=float) for v in groups.values()]), [0.005, 0.995])
    if low == high:
        low, high = (low / 1.1, high * 1.1) if log else (low - 0.5, high + 0.5)
    return np.geomspace(low, high, bins + 1) if log else np.linspace(low, high, bins + 1)


def _svg(figure: Figure, prefix: str, alt: str) -> str:
    """The figure as SVG text without dates, comments or the prolog, its ids unique to `prefix`."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context({"svg.hashsalt": prefix, "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata=nothing, bbox_inches="tight", pad_inches=0.05)
    svg = re.sub(r"<!--.*?-->", "", buffer.getvalue()[buffer.getvalue().index("<svg") :], flags=re.DOTALL)
    svg = _own_ids(svg, prefix).replace("*{", f"#{prefix} *{{", 1)
    svg = svg.replace("<svg ", f'<svg id="{prefix}" role="img" aria-label="{escape(alt)}" ', 1)
    return "".join(line.strip() + "\n" for line in svg.splitlines() if line.strip())


def _own_ids(svg: str, prefix: str) -> str:
    """Prefix the ids that are referred to and drop the others, so that two figures in one page cannot collide."""
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{prefix}-{m[1]}"' if m[1] in used else "", svg)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{prefix}-", svg)
