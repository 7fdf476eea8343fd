"""The page of contents over all rendered notebooks, the rationale browser, and the results at the top of the README.

    python -m lib.report            # reports/index.html and browser.html, from what is in reports/ and data/
    python -m lib.report readme     # the part of README.md between the two markers
    python -m lib.report browser    # scratch/browser.html: the browser over all questions, not a sample of them

Every notebook's metrics file, reports/metrics/<notebook>.json, holds its headline as Markdown under "headline" and the
profile under "profile", beside its numbers. Below reports/sweeps/ lie the reports of other profiles (`make sweep`), a
folder each with the same files.
"""

import json
import re
import sys
from html import escape, unescape
from pathlib import Path

from lib import browser, paths
from lib.config import load_config
from lib.errors import UserError
from lib.figures import save_figure, style
from lib.figures_selection import grouped_dots
from lib.records import write_atomically
from lib.render import data_uri, markdown, page

INDEX = paths.REPORTS / "index.html"
README = paths.ROOT / "README.md"
SWEEPS = paths.REPORTS / "sweeps"
STAGE = "report"  # by which its own figure is filed
GENERATED = "01_generate"  # the notebook whose metrics say what task and whose teacher
SCORES = "03_slc"  # the notebook whose metrics hold slc_by_student: {student: [mean, low, high]}
# The one table and the one figure that answer the question; written by the last notebook.
HEADLINE = "05_ablate"
HEADLINE_TABLE = paths.TABLES / HEADLINE / "main.md"
HEADLINE_FIGURE = paths.FIGURES / HEADLINE / "main.svg"
BEGIN = "<!-- results: begin; written by `make reproduce`, do not edit -->"
END = "<!-- results: end -->"
# The rationale browser: of a sample in the reports, of everything where Git does not look.
BROWSER = paths.REPORTS / "browser.html"
WHOLE_BROWSER = paths.SCRATCH / "browser.html"
EACH = 20  # questions of each split in the sample
RUN_LIST = paths.TABLES / HEADLINE / "runs.csv"

SlcRow = tuple[str, str, str, float, float, float]  # task, student, profile; mean SLC and its interval


def write_index() -> Path:
    """Write reports/index.html: the main result, a card for each rendered notebook, and what the kept sweeps found."""
    parts = ["<h1>What helped the small model</h1>", _main_result(), *map(_card, rendered()), _browser_card()]
    parts += [_sweeps(), _mean_slc()]
    body = "\n".join(part for part in parts if part)
    write_atomically(INDEX, page("What helped the small model", body, '<a href="../README.md">README</a>'))
    return INDEX


def write_browser(place: Path, each: int | None, reports: str) -> Path:
    """Write the rationale browser: `each` questions of each split, or all; reports: its way to the other pages."""
    records = (paths.QUESTIONS, paths.RATIONALES, paths.REFINED, paths.EVALUATIONS, paths.SCORES, paths.SELECTIONS)
    files = browser.Files(*records, RUN_LIST, (paths.RUNS, paths.ABLATE_RUNS))
    write_atomically(place, browser.page(browser.collect(files, each), _about(), reports))
    return place


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


def metrics(name: str, reports: Path | None = None) -> dict:
    """A notebook's metrics, below reports/ or a sweep's folder; the headline is required."""
    path = (reports or paths.REPORTS) / "metrics" / f"{name}.json"
    found = json.loads(_read(path))
    if not isinstance(found.get("headline"), str):
        raise UserError(f"{path.relative_to(paths.ROOT)}: no text under 'headline'; keys: {', '.join(found)}")
    return found


def sweeps() -> list[Path]:
    """The folders of the kept sweeps, by name: those with a page of contents."""
    return sorted(path.parent for path in SWEEPS.glob("*/index.html"))


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


def _about() -> dict[str, str]:
    """Whose records these are, in words; the task as 03 names it."""
    first = metrics(GENERATED)
    return {"profile": first["profile"], "task": first["task"], "teacher": first["teacher"][0]}


def _browser_card() -> str:
    text = f"All that the teacher wrote for {EACH} questions of each split, with scores, verdicts and critiques, what "
    text += "each strategy chose and what the students answered: to be searched, filtered and sorted."
    return f'<div class="card"><h2><a href="{BROWSER.name}">Browse the rationales</a></h2>\n<p>{text}</p></div>'


def _sweeps() -> str:
    """A card for each kept sweep with a link to its own page of contents; nothing without any."""
    cards = [_sweep_card(folder) for folder in sweeps()]
    return "\n".join(["<h2>Sweeps</h2>", *cards]) if cards else ""


def _sweep_card(folder: Path) -> str:
    """Its headline, and whether it was trained by another version of the recipe than this profile."""
    found, name = metrics(HEADLINE, folder), escape(folder.name)
    old = found.get("recipe_version") != metrics(HEADLINE).get("recipe_version")
    note = "Trained by another version of the recipe than the results above (CHANGELOG.md says what changed); "
    note += f"`make sweep P={folder.name}` trains it anew.\n\n"
    body = markdown((note if old else "") + found["headline"])
    return f'<div class="card"><h2><a href="sweeps/{name}/index.html">{name}</a></h2>\n{body}</div>'


def _mean_slc() -> str:
    """Mean SLC by student and task (PeCoTD, figure 4), over this profile and the kept sweeps; nothing without any."""
    folders = [paths.REPORTS, *sweeps()]
    present = [folder for folder in folders if (folder / "metrics" / f"{SCORES}.json").exists()]
    rows = sorted(row for folder in present for row in _slc_rows(metrics(SCORES, folder)))
    if not rows:
        return ""
    note = "How much the question helps each student to predict the teacher's rationales, before it learns from them "
    note += "(1: not at all). Intervals of 95 % resample questions."
    head = "".join(f"<th>{name}</th>" for name in ("task", "student", "profile", "mean SLC"))
    body = "\n".join(_slc_line(*row) for row in rows)
    table = f'<table class="results"><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>'
    figure = _slc_figure(rows, note)
    return f'<h2>Mean SLC by student and task</h2>\n{figure}\n<div class="table">{table}</div>'


def _slc_rows(found: dict) -> list[SlcRow]:
    """One notebook's mean SLC, a row a student; none where it does not say."""
    where = [str(found.get(key, "–")) for key in ("task", "profile")]
    return [(where[0], student, where[1], *own) for student, own in found.get("slc_by_student", {}).items()]


def _slc_line(task: str, student: str, profile: str, mean: float, low: float, high: float) -> str:
    cells = (task, student, profile, f"{mean:.3f} [{low:.3f}, {high:.3f}]")
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _slc_figure(rows: list[SlcRow], note: str) -> str:
    """The same rows as dots with their intervals, a group for each task and profile."""
    groups: dict[str, dict[str, tuple[float, float, float]]] = {}
    for task, student, profile, *own in rows:
        groups.setdefault(f"{task}, profile {profile}", {})[student] = tuple(own)
    figure = grouped_dots(groups, "mean SLC (1 = the question does not help)", reference=1, text="{:.2f}".format)
    said = "; ".join(
        f"{name}: {', '.join(f'{s} {own[0]:.2f}' for s, own in of.items())}" for name, of in groups.items()
    )
    return save_figure(figure, "mean-slc", note, f"Dot plot of mean SLC. {said}.", STAGE).data


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
        elif arguments == ["browser"]:
            print(f"browser: {write_browser(WHOLE_BROWSER, None, '../reports/')}")
        else:
            cfg = load_config(stage="report")
            style(cfg.figures)
            index = write_index()
            write_browser(BROWSER, EACH, "")
            print(f"report: {index.relative_to(paths.ROOT)}")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
