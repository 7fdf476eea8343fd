"""The page of contents: what was asked and found, the main table and figure, a card for each page and each sweep.

known = facts(cfg.ablate, cfg.profile, cfg.student, cfg.students, cfg.task, cfg.train)
# [("Asked", "Does a small student learn more ...?", ""), ("Found", "- 5 CoTs against ...", "05_ablate.html#05-pairs")]
write_index(known)                                      # reports/index.html

Every notebook's metrics file, reports/metrics/<notebook>.json, holds its headline as Markdown under "headline" and the
profile under "profile", beside its numbers. Below reports/sweeps/ lie the reports of other profiles (`make sweep`), a
folder each with the same files.
"""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Sequence
from html import escape, unescape
from pathlib import Path

from lib import browser, evidence, mean_slc, paths, summary
from lib.arms import make_arms, with_labels
from lib.composition import opening, profile_names
from lib.errors import UserError
from lib.records import write_atomically
from lib.render import data_uri, markdown, page
from lib.text import sentences

INDEX, BROWSER = paths.REPORTS / "index.html", paths.REPORTS / "browser.html"
GENERATED = "01_generate"  # the notebook whose metrics say what task and whose teacher
SCORES = "03_slc"  # the notebook whose metrics hold slc_by_student: {student: [mean, low, high]}
# The one table and the one figure that answer the question; written by the last notebook.
HEADLINE = "05_ablate"
HEADLINE_TABLE = paths.TABLES / HEADLINE / "arms.md"  # the main table without the other ways to answer
HEADLINE_FIGURE = paths.FIGURES / HEADLINE / "main.svg"
COMMAND = re.compile(r"`[^`\s]+\s[^`]*`")  # in the comment at the top of a profile
TITLE = "What helped the small model"
# the page of a kept sweep lies two folders deeper: `make sweep` puts ../../ before these (.ci/sweep)
NAVIGATION = " · ".join(
    f'<a href="../{place}">{name}</a>'
    for name, place in (
        ("README", "README.md"),
        ("How to read the reports", "docs/reading.md"),
        ("Claims", "docs/claims.md"),
        ("The papers' tables and figures", "docs/coverage.md"),
    )
)

Fact = tuple[str, str, str]  # what it is, what is said of it (Markdown), the address of what made it ("": none)


def write_index(known: Sequence[Fact] = ()) -> Path:
    """Write reports/index.html: the answer in a minute, the main table and figure, a card for each page, the sweeps.

    known   the answer (`facts`); without any the last notebook's headline stands there instead
    """
    profile = metrics(HEADLINE).get("profile", "default")
    title = TITLE if profile == "default" else f"{TITLE}: profile {profile}"
    parts = [f"<h1>{escape(title)}</h1>", _answer(known) or _headline(), _main_result()]
    parts += ["<h2>Page by page</h2>", *map(_card, rendered()), _browser_card(), _sweeps(), _mean_slc()]
    body = "\n".join(part for part in parts if part)
    write_atomically(INDEX, page(title, body, NAVIGATION))
    return INDEX


def facts(ablate, profile: str, student, students, task: str, train) -> list[Fact]:
    """What was asked, what was found, how surely, on what, at what cost, made with what; by sections of the settings.

    None where the profile compares no arm with its match.
    """
    rows = list(csv.DictReader(io.StringIO(read(HEADLINE_TABLE.with_name("comparisons.csv")))))
    arms = with_labels(make_arms(train.arms, train), train.labels)
    if not (told := summary.found(rows, arms)):
        return []
    asked, judged, trained = (metrics_or_none(name) for name in (GENERATED, "02_self_eval", "04_train"))
    sure = summary.certainty(rows, metrics(HEADLINE)["questions"], len(train.seeds), ablate.alpha)
    compared = _made(HEADLINE, f"table-{HEADLINE}-comparisons")
    return [
        ("Asked", summary.ASKED, ""),
        *([("This profile", header, "")] if (header := _header(profile)) else []),
        ("Found", "\n".join(f"- {sentence}" for sentence in told), compared),
        ("How sure", sure, compared),
        ("Teacher", summary.teacher(asked), _made(GENERATED, f"table-{GENERATED}-accuracy")),
        ("Student", summary.student(student, students), _made("04_train", "table-04_train-arms")),
        ("Cost", summary.cost([asked, judged], trained), _made("02_self_eval", "table-02_self_eval-cost")),
        ("Made with", _made_with(profile, task, train.seeds), ""),
        ("Where", _where(profile), ""),
    ]


def rendered() -> list[str]:
    """The names of the notebooks that have a page, in reading order."""
    return sorted(path.stem for path in paths.REPORTS.glob("[0-9]*.html"))


def metrics(name: str, reports: Path | None = None) -> dict:
    """A notebook's metrics, below reports/ or a sweep's folder; the headline is required."""
    path = (reports or paths.REPORTS) / "metrics" / f"{name}.json"
    found = json.loads(read(path))
    if not isinstance(found.get("headline"), str):
        raise UserError(f"{path.relative_to(paths.ROOT)}: no text under 'headline'; keys: {', '.join(found)}")
    return found


def metrics_or_none(name: str) -> dict:
    """The same of this profile; {} where the notebook has not run."""
    return metrics(name) if (paths.REPORTS / "metrics" / f"{name}.json").exists() else {}


def read(path: Path) -> str:
    """A report's text. Raises UserError where it is not written."""
    if not path.exists():
        raise UserError(f"{path.relative_to(paths.ROOT)}: no such file; `make reproduce` writes it")
    return path.read_text(encoding="utf-8")


def alternative(svg: str) -> str:
    """What the figure's own text alternative says, safe inside Markdown's brackets."""
    found = re.search(r'aria-label="([^"]*)"', svg)
    return re.sub(r"[\[\]\n]", " ", unescape(found.group(1))) if found else "the main result"


def caption() -> str:
    """What stands below the main figure in its notebook's page, as plain text; "" where no such page is."""
    path = paths.REPORTS / f"{HEADLINE}.html"
    below = read(path).partition(f'id="figure-{HEADLINE}-main"')[2] if path.exists() else ""
    found = re.search(r"<figcaption>(.*?)</figcaption>", below.partition("</figure>")[0], re.DOTALL)
    return unescape(found[1]) if found else ""


def _answer(known: Sequence[Fact]) -> str:
    """The facts as a list of terms under the title; nothing without any."""
    lines = [f"<dt>{what}</dt><dd>{markdown(said)}{_source(address)}</dd>" for what, said, address in known]
    return '<dl class="answer headline">\n' + "\n".join(lines) + "\n</dl>" if lines else ""


def _headline() -> str:
    return f'<aside class="headline">{markdown(metrics(HEADLINE)["headline"])}</aside>'


def _main_result() -> str:
    """The main table and figure, each with the cell that made it."""
    figure = f'<img alt="{escape(alternative(read(HEADLINE_FIGURE)))}" src="{_inline(HEADLINE_FIGURE)}">'
    table = markdown(read(HEADLINE_TABLE)) + _source(_made(HEADLINE, f"table-{HEADLINE}-main"))
    below = f"<figcaption>{escape(said)}</figcaption>" if (said := caption()) else ""
    made = _source(_made(HEADLINE, f"figure-{HEADLINE}-main"))
    return f"<h2>The arms</h2>\n{table}\n<figure>{figure}{below}</figure>{made}"


def _card(name: str) -> str:
    """A notebook's title with a link, and its headline."""
    title = re.search(r"<title>(.*?)</title>", read(paths.REPORTS / f"{name}.html"))
    heading = f'<h2><a href="{name}.html">{title.group(1) if title else name}</a></h2>'
    return f'<div class="card">{heading}\n{markdown(metrics(name)["headline"])}{_source(_made(name, "said"))}</div>'


def _browser_card() -> str:
    text = f"All that the teacher wrote for {browser.EACH} questions of each split, with scores, verdicts and "
    text += "critiques, what each strategy chose and what the students answered: to be searched, filtered and sorted."
    return f'<div class="card"><h2><a href="{BROWSER.name}">Browse the rationales</a></h2>\n<p>{text}</p></div>'


def _sweeps() -> str:
    """A card for each kept sweep with a link to its own page of contents; nothing without any."""
    cards = [_sweep_card(folder) for folder in evidence.sweeps()]
    return "\n".join(["<h2>Sweeps</h2>", markdown(_shared()), *cards]) if cards else ""


def _shared() -> str:
    """How many of the runs that these reports list are the same; "" where none lists its runs or shares one."""
    folders = [paths.REPORTS, *evidence.sweeps()]
    listed = [table for folder in folders if (table := folder / "tables" / HEADLINE / "runs.csv").exists()]
    runs = Counter(run for table in listed for run in {row["run"] for row in evidence.rows_of(table)})
    again = sum(count > 1 for count in runs.values())
    same = f"{again} of the {len(runs)} runs that {len(listed)} of {len(folders)} reports list stand in more than one"
    return f"Reports share runs. {same}: equal numbers there are one result, not two." if again else ""


def _sweep_card(folder: Path) -> str:
    """Its headline, and whether it was trained by another version of the recipe than this profile."""
    found, name, old = metrics(HEADLINE, folder), escape(folder.name), evidence.of_another_recipe(folder)
    note = "Trained by another version of the recipe than the results above (CHANGELOG.md says what changed); "
    note += f"`make sweep P={folder.name}` trains it anew.\n\n"
    body = markdown((note if old else "") + found["headline"])
    return f'<div class="card"><h2><a href="sweeps/{name}/index.html">{name}</a></h2>\n{body}</div>'


def _mean_slc() -> str:
    """Mean SLC by student and task over this profile and the kept sweeps; nothing where no stage scored."""
    folders = [paths.REPORTS, *evidence.sweeps()]
    return mean_slc.section([metrics(SCORES, f) for f in folders if (f / "metrics" / f"{SCORES}.json").exists()])


def _made_with(profile: str, task: str, seeds: Sequence[int]) -> str:
    """Settings and versions; those of requirements.txt, so that the page is the same wherever it is made."""
    settings = f"profile `{profile}` (params.yaml), task `{task}`, training seeds {', '.join(map(str, seeds))}"
    return f"{settings}; {summary.versions(read(paths.ROOT / 'requirements.txt'))} (requirements.txt)."


def _header(profile: str) -> str:
    """What a profile other than the default shows, as the comment at its file's top says; "" without such a file.

    Without what only who runs it needs: the parenthesis with its runs and minutes, and each sentence with a command,
    which is code of several words.
    """
    if profile == "default" or profile not in profile_names():
        return ""
    told = re.sub(r"\s+\(\d+\s+runs: about [^()]*\)", "", opening(profile))
    paragraphs = re.sub(r"\n(?!- )\s*", " ", told).split("\n")  # one, and one for each item of a list
    shown = (" ".join(s for s in sentences(text) if not COMMAND.search(s)) for text in paragraphs)
    return "\n".join(filter(None, shown))


def _where(profile: str) -> str:
    """Where to see what differs from machine to machine; a sweep's page is kept without it."""
    page_of_it = "[provenance.html](provenance.html)" if profile == "default" else "`reports/provenance.html`"
    return f"Commit, hardware and wall time: {page_of_it}, which `make reproduce` writes and Git does not keep."


def _source(address: str) -> str:
    return f'<p class="source"><a href="{escape(address)}">the cell that made it</a></p>' if address else ""


def _made(name: str, element: str) -> str:
    """The address of the cell in a notebook's page that made something; "" where there is no such page."""
    path = paths.REPORTS / f"{name}.html"
    return f"{name}.html{summary.anchor(read(path), element)}" if path.exists() else ""


def _inline(figure: Path) -> str:
    return data_uri(figure.read_bytes(), "image/svg+xml")
