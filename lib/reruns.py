"""Runs that two of the kept reports share by their ids, and that answered differently: trained twice.

    text(folders)       # a section of docs/claims.md; "" where all that is shared agrees

A run's id holds all that it is made of, but for the order in which a processor adds floating-point numbers. Where that
differs, a seed may begin to learn some steps earlier or later, and verdicts that rest on few seeds turn with it.
"""

from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

from lib import paths
from lib.evidence import Missing, rows_of
from lib.tables import plain

INTRODUCTION = """## The same runs, trained twice

Arms whose runs have the same ids in two of the reports, and other accuracies: they were trained twice, and not to the
same digits, as another processor adds in another order. What differs is chance; a verdict above that turns with it is
not to be leaned on. Where a report took over the runs of another they are the same, and not listed.
"""


def text(folders: Iterable[Path]) -> str:
    """The section; folders = those of reports, the default profile's and the kept sweeps'."""
    found = rows(folders)
    head = "| report | arm | accuracy (%) | report | arm | accuracy (%) |\n| :--- | :--- | ---: | :--- | :--- | ---: |"
    lines = [f"| {' | '.join(map(plain, row))} |" for row in found]
    return "\n".join([INTRODUCTION, head, *lines, ""]) if found else ""


def rows(folders: Iterable[Path]) -> list[tuple[str, str, str, str, str, str]]:
    """(report, arm, accuracy) twice for each pair of arms of the same runs that differ, in the order of the folders."""
    found = []
    for one, two in combinations(folders, 2):
        first, second = accuracies(one), accuracies(two)
        shared = [(*first[runs], *second[runs]) for runs in first if runs in second]
        found += [(_name(one), arm, a, _name(two), other, b) for arm, a, other, b in shared if a != b]
    return found


def accuracies(folder: Path) -> dict[frozenset[str], tuple[str, str]]:
    """{ids of an arm's runs: (arm, "58.7 ± 14.5")} of one report; {} of an older one, which lists no runs."""
    tables = folder / "tables" / "05_ablate"
    try:
        listed, main = rows_of(tables / "runs.csv"), rows_of(tables / "main.csv")
    except Missing:
        return {}
    measured = {row["arm"]: row["accuracy (%)"] for row in main}  # arms added in 05 stand in a table of their own
    arms = [arm for arm in dict.fromkeys(row["arm"] for row in listed) if arm in measured]
    return {frozenset(row["run"] for row in listed if row["arm"] == arm): (arm, measured[arm]) for arm in arms}


def _name(folder: Path) -> str:
    return "default" if folder == paths.REPORTS else folder.name
