"""The reports in reports/: figures one can read, captions that say n and seeds, pages in order, links with ends.

What is checked of the kept sweeps, which older code may have drawn, is that no figure is without words or too small.
"""

import re
from html import unescape
from itertools import pairwise
from pathlib import Path

import pytest

from lib import paths
from lib.figures import CONTRAST, contrast

PHONE = 368  # px for a page's content on a screen of 400
SMALLEST = 9  # px of text there
POINT = 96 / 72  # px
LATER = {"provenance.html"}  # Git does not keep it; `make reproduce` writes it
RESULTS = ("04_train", "05_ablate")  # whose figures show what students reached

OWN = sorted(paths.FIGURES.rglob("*.svg"))
KEPT = sorted((paths.REPORTS / "sweeps").glob("*/figures/**/*.svg"))
PAGES = sorted(path for path in paths.REPORTS.glob("*.html") if path.name not in LATER)

pytestmark = pytest.mark.skipif(not PAGES, reason="no reports/ here; `make reproduce` writes it")


def name(path: Path) -> str:
    return str(path.relative_to(paths.REPORTS))


def text_sizes(svg: str) -> list[float]:
    """Points of each text; matplotlib draws it as outlines of 100 units, scaled to its size."""
    return [100 * float(size) for size in re.findall(r"scale\(([\d.]+) -[\d.]+\)", svg)]


def captions(page: str) -> dict[str, str]:
    found = re.findall(r'<svg[^>]* id="figure-([^"]+)".*?<figcaption>(.*?)</figcaption>', page, re.DOTALL)
    return {figure: unescape(caption) for figure, caption in found}


@pytest.mark.parametrize("path", OWN + KEPT, ids=name)
def test_a_figure_says_what_is_seen_and_is_legible_on_a_phone(path):
    svg = path.read_text(encoding="utf-8")
    assert 'role="img"' in svg and len(re.search(r'aria-label="([^"]*)"', svg)[1]) >= 20
    shown = min(1.0, PHONE / (POINT * float(re.search(r'width="([\d.]+)pt"', svg)[1])))
    sizes = text_sizes(svg)
    assert sizes and min(sizes) * POINT * shown >= SMALLEST


@pytest.mark.parametrize("path", OWN, ids=name)
def test_text_stands_out_from_white(path):
    """White text stands on coloured bars, and is not looked at."""
    look = r'<g style="fill: (#\w{6})[^"]*" transform="translate\([^)]*\) (?:rotate\([^)]*\) )?scale'
    inks = set(re.findall(look, path.read_text(encoding="utf-8"))) - {"#ffffff"}
    assert {ink: round(contrast(ink), 2) for ink in inks if contrast(ink) < CONTRAST} == {}


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_captions_say_n_and_seeds(path):
    for figure, caption in captions(path.read_text(encoding="utf-8")).items():
        assert re.search(r"n = \d|n, [^:]+: \w+ \d|\d+ (test )?questions", caption), f"{figure}: no n: {caption}"
        if figure.startswith(RESULTS):
            assert re.search(r"\d+ seeds?\b", caption), f"{figure}: no seeds: {caption}"


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_headings_are_in_order_and_nothing_is_without_words(path):
    page = path.read_text(encoding="utf-8")
    levels = [int(level) for level in re.findall(r"<h([1-6])\b", page)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert re.search(r"<title>[^<]+</title>", page) and '<html lang="en">' in page
    assert not re.search(r'<img(?![^>]*\balt="[^"])[^>]*>', page)
    assert not re.search(r"<svg(?![^>]*\baria-label=)[^>]*>", page)
    assert not re.search(r"<th[^>]*>\s*</th>", page)
    assert "\N{REPLACEMENT CHARACTER}" not in page


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_links_have_an_end(path):
    page = path.read_text(encoding="utf-8")
    for address, cell in re.findall(r'<a href="([^"#:]*)(?:#([^"]*))?"', page):
        target = path.parent / address if address else path
        assert target.exists() or address in LATER, address
        if cell and target.suffix == ".html":
            assert f'id="{cell}"' in target.read_text(encoding="utf-8"), f"{address}#{cell}"
