"""Figures: equal bytes in two processes, ids that cannot collide, what is drawn, refusals."""

import itertools
import re
import subprocess
import sys
from types import SimpleNamespace
from xml.etree import ElementTree

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from lib import figures, paths
from lib.errors import UserError
from lib.figures import CONTRAST, arm_plot, contrast, curves, distribution, last_points, readable, save_figure, style

ARMS = {"standard": (61.0, 59.0, 63.0), "5 CoTs": (90.0, float("nan"), float("nan"))}
DRAW = """
import sys; from pathlib import Path; from types import SimpleNamespace
from lib import paths; from lib.figures import *
paths.FIGURES = Path(sys.argv[1])
style(SimpleNamespace(context="notebook", palette="colorblind"))
figure = arm_plot({"standard": (61, 59, 63), "5 CoTs": (90, 88, 91)}, "accuracy", seeds={"standard": [60, 62]})
print(save_figure(figure, "main", "c", "a", "05_ablate").data)
figure = distribution({"sound": [1, 2, 2], "flawed": [3, 4, 4]}, "SLC", log=True)
print(save_figure(figure, "slc", "c", "a", "slc").data)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "FIGURES", tmp_path)
    before = mpl.rcParams.copy()
    mpl.use("agg")
    yield tmp_path
    plt.close("all")
    mpl.rcParams.update(before)


def save(name="main", caption="Claim.", alt="Dots."):
    return save_figure(arm_plot(ARMS, "accuracy (%)"), name, caption, alt, "05_ablate").data


def test_two_processes_draw_the_same_bytes(tmp_path):
    def draw(name):
        run = [sys.executable, "-c", DRAW, str(tmp_path / name)]
        shown = subprocess.run(run, cwd=paths.ROOT, check=True, capture_output=True).stdout
        return shown, [(tmp_path / name / file).read_bytes() for file in ("05_ablate/main.svg", "slc/slc.svg")]

    assert draw("first") == draw("second")


def test_the_file_is_svg_without_dates_or_foreign_references(folder):
    save()
    text = (folder / "05_ablate" / "main.svg").read_text()
    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert not re.search(r"\b20\d\d-\d\d|<!--|<\?xml|<metadata|<text|font-family|[ \t]\n", text)
    assert set(re.findall(r'(?:href|src)="([^#"]*)', text)) <= {""}


def test_two_figures_in_one_page_share_no_id_and_every_reference_resolves():
    pages = [save("one"), save("two")]
    ids = [set(re.findall(r'\bid="([^"]+)"', page)) for page in pages]
    assert len(ids[0]) == len(re.findall(r'\bid="', pages[0])) > 3
    assert not ids[0] & ids[1]
    for page, own in zip(pages, ids):
        root = next(name for name in own if name.startswith("figure-") and name.count("-") == 2)
        assert set(re.findall(r'(?:url\(#|href="#)([^)"]+)', page)) == own - {root}
        assert re.findall(r"([^\s>]+) \*\s*\{", page) == [f"#figure-05_ablate-{'one' if page is pages[0] else 'two'}"]


def test_the_display_is_described_fluid_and_escaped():
    html = save(caption="5 CoTs > standard & <b>all</b>.", alt='Dots, "left" < right')
    assert "<figcaption>5 CoTs &gt; standard &amp; &lt;b&gt;all&lt;/b&gt;.</figcaption>" in html
    assert 'role="img" aria-label="Dots, &quot;left&quot; &lt; right"' in html
    assert 'style="width:100%;max-width:' in html


def test_a_note_ends_the_caption_and_none_leaves_it_alone():
    def shown(note):
        figure = arm_plot(ARMS, "accuracy (%)")
        return save_figure(figure, "main", "Claim. ", "Dots.", "05_ablate", note).data

    assert "<figcaption>Claim. Simulated &amp; planted.</figcaption>" in shown("Simulated & planted.")
    assert "<figcaption>Claim.</figcaption>" in shown(None)


def test_saving_closes_the_figure():
    save()
    assert plt.get_fignums() == []


@pytest.mark.parametrize("change", [{"caption": " "}, {"alt": ""}, {"name": "a/b"}])
def test_a_figure_without_words_or_name_is_refused(folder, change):
    with pytest.raises(UserError, match=r"caption and an alternative|no name for"):
        save(**change)
    assert not list(folder.iterdir())


def test_unknown_palette_is_refused():
    with pytest.raises(UserError, match="given 'rainbows'; allowed: colorblind"):
        style(SimpleNamespace(context="notebook", palette="rainbows"))


def test_arm_plot_writes_names_and_values_beside_the_dots():
    arms = ARMS | {"worse": (-3.0, -4.0, -2.0), "same": (-0.01, -1.0, 1.0)}
    figure = arm_plot(arms, "points", seeds={"standard": [60, 62]}, reference=0, muted=["standard"])
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["standard", "61.0", "5 CoTs", "90.0", "worse", "−3.0", "same", "0.0"]
    lines = [line.get_xdata() for line in figure.axes[0].lines]
    assert list(lines[0]) == [59, 63] and list(lines[2]) == [60, 62]
    assert list(lines[3]) == [90, 90]  # no interval: a bar without length, not a missing arm
    assert figure.axes[0].lines[0].get_color() == figures.GREY != figure.axes[0].lines[3].get_color()


def test_distribution_adds_up_to_one_for_each_group_outliers_included():
    values = np.concatenate([np.arange(1, 1000), [1e6]])
    figure = distribution({"sound": values, "flawed": [1.0]}, "SLC")
    heights = [patch.get_data().values.sum() for patch in figure.axes[0].patches]
    assert heights == pytest.approx([1, 1, 1, 1])  # filled and outlined
    assert [text.get_text() for text in figure.axes[0].texts] == ["sound (n = 1,000)", "flawed (n = 1)"]


@pytest.mark.parametrize(
    "names",
    [
        ["sound", "flawed"],
        ["1 CoT", "5 CoTs w/ SE, question shown"],
        ["1 CoT", "5 CoTs w/ SE", "standard"],
        ["round 0", "slc_high, round 3", "slc_high, imitation off, 8 rationales a question, round 3"],
    ],
)
def test_names_above_a_distribution_neither_overlap_nor_run_off(names):
    style(SimpleNamespace(context="notebook", palette="colorblind"))
    figure = distribution(dict.fromkeys(names, [1.0, 2.0] * 600), "similarity")
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    axes = figure.axes[0].get_window_extent()
    assert all(box.y0 >= axes.y1 and box.y1 <= figure.bbox.y1 and box.x1 <= figure.bbox.x1 for box in boxes)
    assert axes.height > 0.6 * 3.4 * figure.dpi


def test_distribution_of_one_value_can_be_drawn():
    save_figure(distribution({"sound": [2.0, 2.0]}, "SLC", log=True), "flat", "c", "a", "03_slc")


@pytest.mark.parametrize(("values", "log"), [([], False), ([1, float("nan")], False), ([0, 1], True)])
def test_distribution_refuses_what_it_cannot_show(values, log):
    with pytest.raises(UserError, match="group 'sound' must hold finite numbers"):
        distribution({"sound": values}, "SLC", log=log)


def test_curves_show_mean_and_band_over_seeds_for_each_arm():
    rows = [("a", 0, 1, 60), ("a", 1, 1, 80), ("a", 0, 2, 90), ("a", 1, 2, 90), ("b", 0, 1, 50), ("b", 0, 2, 51)]
    figure = curves(pd.DataFrame(rows, columns=["arm", "seed", "step", "accuracy"]), "step", "accuracy")
    [first, second] = figure.axes[:2]
    assert [first.get_title(), second.get_title()] == ["a", "b"]
    assert [text.get_text() for ax in (first, second) for text in ax.texts] == ["90.0", "51.0"]
    assert list(first.lines[-1].get_ydata()) == [70, 90]
    band = first.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (pytest.approx(70 - 200**0.5), pytest.approx(90))  # std of 60 and 80 is √200


def test_the_band_of_a_share_ends_where_shares_end():
    rows = [("a", 0, 1, 1), ("a", 1, 1, 20), ("a", 0, 2, 85), ("a", 1, 2, 100)]
    rows = pd.DataFrame(rows, columns=["a", "seed", "x", "y"])
    shown = {limits: curves(rows, "x", "y", by="a", **limits_of) for limits, limits_of in {
        "cut": {"limits": (0, 100)}, "whole": {}}.items()}  # fmt: skip
    reach = {name: figure.axes[0].collections[0].get_paths()[0].vertices[:, 1] for name, figure in shown.items()}
    assert (reach["cut"].min(), reach["cut"].max()) == (0, 100)
    assert reach["whole"].min() < 0 and reach["whole"].max() > 100


def test_last_points_are_the_numbers_that_curves_write():
    rows = [("a", 0, 1, 60), ("a", 1, 1, 80), ("a", 0, 2, 89), ("a", 1, 2, 91), ("b", 0, 1, 50), ("b", 0, 2, 51)]
    frame = pd.DataFrame(rows, columns=["arm", "seed", "step", "accuracy"])
    ends = last_points(frame, "step", "accuracy")
    written = [text.get_text() for ax in curves(frame, "step", "accuracy").axes for text in ax.texts]
    assert [f"{value:.1f}" for value in ends["mean"]] == written == ["90.0", "51.0"]
    assert list(ends.index) == ["a", "b"]
    assert ends["std"]["a"] == pytest.approx(2**0.5) and np.isnan(ends["std"]["b"])  # one seed has no std


def test_a_seed_that_ends_early_keeps_its_last_value():
    """Else the mean at the end would be that of the seeds that lasted."""
    rows = [("a", 0, 1, 60), ("a", 1, 1, 80), ("a", 0, 2, 90), ("a", 0, 3, 96)]
    frame = pd.DataFrame(rows, columns=["arm", "seed", "step", "accuracy"])
    assert last_points(frame, "step", "accuracy")["mean"]["a"] == (96 + 80) / 2
    assert list(curves(frame, "step", "accuracy").axes[0].lines[-1].get_ydata()) == [70, 85, 88]


def test_contrast_of_black_and_of_like_colours():
    """The two ends of the scale of WCAG 2, whichever of the two is the text."""
    assert contrast("black") == contrast("white", "black") == pytest.approx(21)
    assert contrast("#767676") == pytest.approx(4.54, abs=0.01) and contrast("white") == 1


@pytest.mark.parametrize("colour", ["yellow", "white", "black", *mpl.colors.TABLEAU_COLORS])
def test_any_colour_can_be_made_readable(colour):
    assert contrast(readable(colour)) >= CONTRAST
