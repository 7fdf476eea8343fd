"""Runs that two of the kept reports share by their ids, and that answered differently: trained on two processors.

    text(folders)       # a section of docs/claims.md; "" where all that is shared agrees

A run's id holds all that it is made of, but for the order in which a processor adds floating-point numbers. Where that
differs, a seed may begin to learn some steps earlier or later, and verdicts that rest on few seeds turn with it.
"""

import csv
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path

from lib import paths
from lib.tables import plain

INTRODUCTION = """## The same runs, trained twice

Arms whose runs have the same ids in two of the reports, and other accuracies: they were trained on two processors,
which add in another order. What differs between the two is by chance; a verdict above that turns with it is not to be
leaned on. Where a report took over the runs of another they are the same, and not listed.
"""


def text(folders: Iterable[Path]) -> str:
    """The section; folders = those of reports, the default profile's and the kept sweeps'."""
    found = rows(folders)
    head = "| report | arm | accuracy (%) | report | arm | accuracy (%) |\n| :--- | :--- | ---: | :--- | :--- | ---: |"
    lines = [f"| {' | '.join(map(plain, row))} |" for row in found]
    return "\n".join([INTRODUCTION, head, *lines, ""]) if found else ""


def rows(folders: Iterable[Path]) -> list[tuple[str, str, str, str, str, str]]:
    """(report, arm, accuracy) twice for each pair of arms of the same runs that differ, in the order of the folders."""
    known = [("default" if folder == paths.REPORTS else folder.name, accuracies(folder)) for folder in folders]
    return [
        (one, arm, accuracy, two, other, second)
        for (one, first), (two, later) in combinations(known, 2)
        for runs, (arm, accuracy) in first.items()
        for other, second in [later.get(runs, (arm, accuracy))]
        if second != accuracy
    ]


def accuracies(folder: Path) -> Mapping[frozenset[str], tuple[str, str]]:
    """{ids of an arm's runs: (arm, "58.7 ± 14.5")} of one report; {} where it lists no runs."""
    tables = folder / "tables" / "05_ablate"
    listed, main = tables / "runs.csv", tables / "main.csv"
    if not (listed.exists() and main.exists()):
        return {}
    runs: dict[str, set[str]] = {}
    for row in _rows(listed):
        runs.setdefault(row["arm"], set()).add(row["run"])
    measured = {row["arm"]: row["accuracy (%)"] for row in _rows(main)}
    return {frozenset(ids): (arm, measured[arm]) for arm, ids in runs.items() if arm in measured}


def _rows(table: Path) -> list[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
