"""Every table and figure of the papers, and where its counterpart is: docs/coverage.md.

    python -m lib.report claims     # docs/claims.md and docs/coverage.md

docs/coverage.yaml lists them by the papers' numbers, each with its places: a profile and what it must have written.
Whether that is there is looked up on disk; what is absent is listed as absent.

    - item: Figure 3
      what: accuracy by number of CoTs
      ours:
        - {profile: sweeps, finding: number-of-cots}    # a table, its pairs and a figure of 05
        - {profile: levels, tables: [03_slc/slc-by-student], figures: [03_slc/slc-by-student]}
        - {profile: repository, files: [params/default.yaml]}
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lib import paths
from lib.errors import UserError
from lib.evidence import Missing, folder_of, metrics_of, of_another_recipe, table_total
from lib.tables import DASH, plain

SOURCE = paths.ROOT / "docs" / "coverage.yaml"
PRESENT, PART, ABSENT, ELSEWHERE = "present", "present in part", "absent", "not offline"
REPOSITORY = "repository"  # instead of a profile: files that stand there
HEAD = """# The papers' tables and figures, and where ours are

Written by `make reproduce` from what lies in reports/; do not edit. The list stands in docs/coverage.yaml, a line for
each place. **Present**: every file named was found, and no table is empty; **absent**: not so, and the run of the
profile (`make sweep P=name`) writes them; **not offline**: it takes a real teacher or a pretrained student. "Another
recipe": that sweep was trained by another version of the recipe than the default profile's runs (CHANGELOG.md). n: test
questions and seeds of what students answer, rationales (or evaluations) of what the teacher wrote. What was found is
in [claims.md](claims.md).
"""


def text() -> str:
    """docs/coverage.md. Raises UserError for an item that names neither places nor a reason.

    Raises Missing where reports/ has no metrics of its own, against which the recipes of the sweeps are held.
    """
    lists = load()
    states = Counter(state(row) for rows in lists.values() for row in rows)
    counts = ", ".join(f"{states[name]} {name}" for name in (PRESENT, PART, ABSENT, ELSEWHERE))
    return "\n".join([HEAD, f"{sum(states.values())} items: {counts}.\n", *map(_section, lists, lists.values())])


def load() -> dict[str, list[dict]]:
    """The items of docs/coverage.yaml, by paper."""
    return yaml.safe_load(SOURCE.read_text(encoding="utf-8"))


def state(row: Mapping[str, Any]) -> str:
    """Of an item: present if all of its places are; an item without places must say why there is none."""
    if not row.get("ours"):
        if not row.get("why"):
            raise UserError(f"docs/coverage.yaml: {row.get('item')!r}: neither `ours` nor `why`")
        return ELSEWHERE
    there = [present(place) for place in row["ours"]]
    return PRESENT if all(there) else PART if any(there) else ABSENT


def present(place: Mapping[str, Any]) -> bool:
    """Whether all files that a place names are there, none of its tables without rows, and its profile's metrics."""
    files = files_of(place)
    try:
        if place["profile"] != REPOSITORY:
            folder_of(place["profile"])
    except Missing:  # files of a run that nothing tells of
        return False
    return all(file.exists() and _filled(file) for file in files)


def files_of(place: Mapping[str, Any]) -> list[Path]:
    """A place's files, below its profile's reports or, of the repository, below the root. UserError for none."""
    profile, names = place["profile"], list(place.get("files", []))
    tables, figures = list(place.get("tables", [])), list(place.get("figures", []))
    if slug := place.get("finding"):
        tables += [f"05_ablate/finding-{slug}", f"05_ablate/finding-{slug}_pairs"]
        figures += [f"05_ablate/finding-{slug}"]
    names += [f"tables/{name}.md" for name in tables] + [f"figures/{name}.svg" for name in figures]
    if not names:
        raise UserError(f"docs/coverage.yaml: profile {profile!r}: no files, tables, figures or finding")
    reports = paths.REPORTS if profile == "default" else paths.REPORTS / "sweeps" / profile
    return [(paths.ROOT if profile == REPOSITORY else reports) / name for name in names]


def _filled(file: Path) -> bool:
    """Of a report's table, whether it has rows below its head; true of other files."""
    csv = file.with_suffix(".csv")
    return "tables" not in file.parts or not csv.exists() or len(csv.read_text(encoding="utf-8").splitlines()) > 1


def size(place: Mapping[str, Any]) -> str:
    """Of how much a place's results are, from the metrics and tables of its profile; a dash where there are none."""
    if place["profile"] == REPOSITORY or not present(place):
        return DASH
    try:
        folder = folder_of(place["profile"])
        stages = {file.parent.name for file in files_of(place)}
        if stages & {"03_slc", "report"}:
            return f"{max(metrics_of(folder, '03_slc')['scored'].values()):,} rationales"
        if stages & {"01_generate", "02_self_eval"}:
            return _written(folder, stages)
        measured = metrics_of(folder, "05_ablate")
        return f"{measured['questions']} × {measured['seeds']} seeds"
    except Missing:
        return DASH


def _written(folder: Path, stages: set[str]) -> str:
    """How much the teacher wrote: rationales, or evaluations of them."""
    if "01_generate" in stages:
        return f"{table_total(folder / 'tables' / '01_generate' / 'coverage.csv', 'rationales'):,} rationales"
    return f"{table_total(folder / 'tables' / '02_self_eval' / 'coverage.csv', 'evaluations'):,} evaluations"


def _section(paper: str, rows: list[dict]) -> str:
    head = "| | what | ours | profile | n | state |\n| :--- | :--- | :--- | :--- | :--- | :--- |"
    return "\n".join([f"## {paper}", "", head, *(line for row in rows for line in _lines(row)), ""])


def _lines(row: Mapping[str, Any]) -> list[str]:
    """A line for each place of an item, which is named in the first; one with the reason where there is none."""
    named = [f"{row['item']} | {plain(row['what'])}"]
    if state(row) == ELSEWHERE:
        return [f"| {named[0]} | {DASH} | {DASH} | {DASH} | {ELSEWHERE}: {plain(row['why'])} |"]
    places = [
        f"{', '.join(map(_link, files_of(place)))} | {place['profile']} | {size(place)} | {_there(place)}"
        for place in row["ours"]
    ]
    return [f"| {first} | {rest} |" for first, rest in zip(named + [" | "] * len(places), places)]


def _there(place: Mapping[str, Any]) -> str:
    """Whether a place's files are there, and whether they are of an older recipe."""
    if not present(place):
        return f"**{ABSENT}**"
    old = place["profile"] != REPOSITORY and of_another_recipe(folder_of(place["profile"]))
    return PRESENT + ", another recipe" * old


def _link(file: Path) -> str:
    """A link to a file that is there, else its name alone."""
    shown = plain(file.name)
    return f"[{shown}](../{file.relative_to(paths.ROOT)})" if file.exists() else shown
