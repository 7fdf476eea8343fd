"""The page of contents over all rendered notebooks, and the results at the top of the README.

    python -m lib.report            # reports/index.html, from the pages, metrics, tables and figures in reports/
    python -m lib.report readme     # the part of README.md between the two markers

Every notebook's metrics file, reports/metrics/<notebook>.json, holds its headline as Markdown under "headline" and the
profile under "profile", beside its numbers.
"""

import json
import re
import sys
from html import escape, unescape
from pathlib import Path

from lib import paths
from lib.errors import UserError
from lib.records import write_atomically
from lib.render import data_uri, markdown, page

METRICS = paths.REPORTS / "metrics"
INDEX = paths.REPORTS / "index.html"
README = paths.ROOT / "README.md"
# The one table and the one figure that answer the question; written by the last notebook.
HEADLINE = "05_ablate"
HEADLINE_TABLE = paths.TABLES / HEADLINE / "main.md"
HEADLINE_FIGURE = paths.FIGURES / HEADLINE / "main.svg"
BEGIN = "<!-- results: begin; written by `make reproduce`, do not edit -->"
END = "<!-- results: end -->"


def write_index() -> Path:
    """Write reports/index.html: the main result, then a card for each rendered notebook."""
    body = f"<h1>What helped the small model</h1>\n{_main_result()}\n" + "\n".join(map(_card, rendered()))
    write_atomically(INDEX, page("What helped the small model", body, '<a href="../README.md">README</a>'))
    return INDEX


def update_readme() -> bool:
    """Put the current results between README's markers. Returns whether README changed.

    Only the default profile's results stand in the README; those of another profile leave it alone.
    """
    if metrics(HEADLINE).get("profile") != "default":
        return False
    old = README.read_text(encoding="utf-8")
    new = with_results(old, readme_block())
    if new != old:
        write_atomically(README, new)
    return new != old


def with_results(readme: str, block: str) -> str:
    """README's text with the part between the markers replaced."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise UserError(f"README.md: the markers are missing; expected {BEGIN!r} and, below it, {END!r}")
    return f"{before}{BEGIN}\n{block}{END}{after}"


def readme_block() -> str:
    """The headline, table and figure of the last notebook as Markdown with paths from the repository's root."""
    figure = HEADLINE_FIGURE.relative_to(paths.ROOT)
    image = f"![{_alternative(_read(HEADLINE_FIGURE))}]({figure})"
    return f"{metrics(HEADLINE)['headline']}\n\n{_read(HEADLINE_TABLE).strip()}\n\n{image}\n"


def rendered() -> list[str]:
    """The names of the notebooks that have a page, in reading order."""
    return sorted(path.stem for path in paths.REPORTS.glob("[0-9]*.html"))


def metrics(name: str) -> dict:
    """A notebook's metrics; the headline is required."""
    found = json.loads(_read(METRICS / f"{name}.json"))
    if not isinstance(found.get("headline"), str):
        raise UserError(f"reports/metrics/{name}.json: no text under 'headline'; keys: {', '.join(found)}")
    return found


def _main_result() -> str:
    """The headline with its table and figure."""
    figure = f'<img alt="{escape(_alternative(_read(HEADLINE_FIGURE)))}" src="{_inline(HEADLINE_FIGURE)}">'
    headline = f'<aside class="headline">{markdown(metrics(HEADLINE)["headline"])}</aside>'
    return f"{headline}\n{markdown(_read(HEADLINE_TABLE))}\n<figure>{figure}</figure>"


def _card(name: str) -> str:
    """A notebook's title with a link, and its headline."""
    title = re.search(r"<title>(.*?)</title>", _read(paths.REPORTS / f"{name}.html"))
    heading = f'<h2><a href="{name}.html">{title.group(1) if title else name}</a></h2>'
    return f'<div class="card">{heading}\n{markdown(metrics(name)["headline"])}</div>'


def _alternative(svg: str) -> str:
    """What the figure's own text alternative says, safe inside Markdown's brackets."""
    found = re.search(r'aria-label="([^"]*)"', svg)
    return re.sub(r"[\[\]\n]", " ", unescape(found.group(1))) if found else "the main result"


def _inline(figure: Path) -> str:
    return data_uri(figure.read_bytes(), "image/svg+xml")


def _read(path: Path) -> str:
    if not path.exists():
        raise UserError(f"{path.relative_to(paths.ROOT)}: no such file; `make reproduce` writes it")
    return path.read_text(encoding="utf-8")


def main(arguments: list[str]) -> int:
    """The command line; returns the exit status."""
    try:
        if arguments == ["readme"]:
            update_readme()
        else:
            print(f"report: {write_index().relative_to(paths.ROOT)}")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
