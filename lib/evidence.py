"""What the reports recorded, as evidence for or against a claim, and the verdict that follows.

    outcome = difference(table, "1 CoT", "standard")    # Outcome(estimate=8.3, low=-16.5, high=35.0, side=0, ...)
    judge(outcome, "more")                              # "not separated"

Records are the CSV files and the metrics below reports/ (the default profile) and reports/sweeps/<profile>/. What is
not there raises `Missing`, whose text says which profile's run would write it: nothing is passed over in silence.
"""

import csv
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from scipy.special import fdtri

from lib import paths
from lib.errors import UserError
from lib.tables import SAME

SUPPORTED, UNSURE, CONTRADICTED = "supported", "not separated", "contradicted"
SIGNS = {"more": 1, "less": -1}
NUMBER = r"[+−-]?\d*\.?\d+"
INTERVAL = re.compile(rf"({NUMBER})%?(?: points)? \[({NUMBER})%?, ({NUMBER})%?\]")
MEAN_STD = re.compile(rf"({NUMBER}) ± ({NUMBER})")
ADJUSTED = re.compile(rf"p ([=<]) ({NUMBER}) after Holm")
ALPHA = 0.05  # of what is tested here: the ratio of two spreads


class Missing(Exception):
    """A record that no run has written yet; the text says what and where."""


@dataclass(frozen=True)
class Outcome:
    """One recorded result: an estimate with its interval, in the units of its record.

    side   1: separated, above what it is compared with; −1: separated, below; 0: not separated
    text   the result in words, with its interval
    """

    estimate: float
    low: float
    high: float
    side: int
    text: str


def judge(outcome: Outcome, expect: str | Mapping[str, float]) -> str:
    """Whether an outcome supports or contradicts what a claim expects, or tells neither.

    expect   "more" | "less": separated, and on that side, or on the other
             {"within": 3}: as good as equal, the whole interval within ± 3, or the whole of it outside
    """
    if isinstance(expect, Mapping):
        margin = expect["within"]
        if -margin <= outcome.low and outcome.high <= margin:
            return SUPPORTED
        return CONTRADICTED if outcome.low > margin or outcome.high < -margin else UNSURE
    if expect not in SIGNS:
        raise UserError(f"docs/claims.yaml: expect: {expect!r}; allowed: {', '.join(SIGNS)}, or {{within: points}}")
    return {SIGNS[expect]: SUPPORTED, 0: UNSURE}.get(outcome.side, CONTRADICTED)


def difference(table: Path, arm: str, against: str) -> Outcome:
    """The row of a table of paired differences that compares two arms, in percentage points.

    Taken from its words, which have one decimal. Whether it is separated is what the pipeline concluded, after Holm
    over the pairs of that table. Of two arms that are the same runs nothing was estimated: nan, and not separated.
    """
    words, what = row_of(table, {"arm": arm, "against": against})["verdict"], f"{arm} against {against}"
    if words == SAME:
        return Outcome(math.nan, math.nan, math.nan, 0, f"{what}: {SAME}, nothing to compare")
    return _from_words(words, what, table)


def similarity(table: Path, arm: str) -> Outcome:
    """The row of 05's table of similarities: an arm against the first one, in hundredths."""
    row = row_of(table, {"arm": arm})
    against, _, words = row["against the first (in hundredths)"].partition(": ")
    return _from_words(words.replace(" points", " hundredths"), f"{arm} against {against}", table)


def level(interval: tuple[float, float, float], other: float | tuple[float, float, float], what: str) -> Outcome:
    """A mean with its interval against a number, or against another mean: separated where no interval holds both.

    level((1.98, 1.94, 2.02), 1.0, "gpt2")                    # side 1: the interval lies above 1
    level((0.5, 0.4, 0.6), (0.55, 0.5, 0.7), "…").side        # 0: the intervals overlap
    """
    value, low, high = interval
    beside = other if isinstance(other, tuple) else (other, other, other)
    side = 1 if low > beside[2] else -1 if high < beside[1] else 0
    digits = 3
    while side and digits < 6 and _meet(interval, beside, digits):  # else a separated one would be shown as touching
        digits += 1
    text = f"{what}: {_shown(interval, digits)}" + (f" against {_shown(other)}" if isinstance(other, tuple) else "")
    return Outcome(value, low, high, side, text)


def spread(table: Path, arm: str, against: str, seeds: int) -> Outcome:
    """The ratio of two arms' standard deviations over seeds with its 95 % interval, by the F distribution.

    The square root of s₁²/s₂² · F⁻¹(.025), F⁻¹(.975) with seeds − 1 degrees of freedom each; s from the recorded
    "mean ± std". Accuracies of seeds are taken to be normal. Missing where a std is nought or was not recorded.
    """
    first, second = (_std(row_of(table, {"arm": name}), table) for name in (arm, against))
    if seeds < 2 or not (first and second):
        raise Missing(f"{_name(table)}: {against if first else arm!r} has no spread over {seeds} seed(s)")
    edges = fdtri(seeds - 1, seeds - 1, [ALPHA / 2, 1 - ALPHA / 2])
    low, high = (first / second * math.sqrt(edge) for edge in edges)
    side = 1 if low > 1 else -1 if high < 1 else 0
    text = f"std of {arm} {first:.1f} points, of {against} {second:.1f}: ratio {_shown((first / second, low, high))}"
    return Outcome(first / second, low, high, side, text)


def interval_of(source: Mapping[str, Any], folder: Path) -> tuple[float, float, float]:
    """A recorded (mean, low, high), from one of

    {metrics: 03_slc, key: [slc_by_student, gpt2]}                          a list of three in a metrics file
    {table: 03_slc/rounds, row: {round: 3}, columns: [SLC, SLC low, SLC high]}
    {table: 05_ablate/calibration, row: {arm: …}, column: AUROC}            a cell "0.58 [0.52, 0.62]"
    """
    if "metrics" in source:
        return _from_metrics(source, folder)
    table = folder / "tables" / f"{source['table']}.csv"
    row = row_of(table, source["row"])
    if "column" in source:
        return _interval(row[source["column"]], source["table"])
    if empty := [name for name in source["columns"] if not row.get(name)]:
        raise Missing(
            f"{_name(table)}: nothing under {', '.join(empty)} for {', '.join(map(str, source['row'].values()))}"
        )
    mean, low, high = (float(row[name]) for name in source["columns"])
    return mean, low, high


def folder_of(profile: str) -> Path:
    """Where a profile's reports are; Missing if nobody ran it here."""
    folder = paths.REPORTS if profile == "default" else paths.REPORTS / "sweeps" / profile
    if not (folder / "metrics" / "05_ablate.json").exists():
        raise Missing(profile)
    return folder


def sweeps() -> list[Path]:
    """The folders of the kept sweeps, by name: those with a page of contents."""
    return sorted(path.parent for path in (paths.REPORTS / "sweeps").glob("*/index.html"))


def of_another_recipe(folder: Path) -> bool:
    """Whether another version of the recipe trained what lies in a folder of reports than what lies in reports/."""
    own, here = (metrics_of(place, "05_ablate").get("recipe_version") for place in (folder, paths.REPORTS))
    return own != here


def metrics_of(folder: Path, notebook: str) -> dict:
    """A notebook's metrics file."""
    path = folder / "metrics" / f"{notebook}.json"
    if not path.exists():
        raise Missing(f"{_name(path)} is not written")
    return json.loads(path.read_text(encoding="utf-8"))


def row_of(table: Path, wanted: Mapping[str, Any]) -> dict[str, str]:
    """The one row of a CSV file whose columns have the wanted values."""
    rows = [row for row in rows_of(table) if all(row.get(key) == str(value) for key, value in wanted.items())]
    if not rows:
        raise Missing(f"{_name(table)} has no row {' against '.join(map(str, wanted.values()))}")
    if len(rows) > 1:
        raise UserError(f"{_name(table)}: {len(rows)} rows with {dict(wanted)}; expected one")
    return rows[0]


def table_total(table: Path, column: str) -> int:
    """The sum of a column of whole numbers."""
    return sum(int(row[column]) for row in rows_of(table))


@lru_cache
def rows_of(table: Path) -> tuple[dict[str, str], ...]:
    """All rows of a CSV file. Raises Missing where it is not written."""
    if not table.exists():
        raise Missing(f"{_name(table)} is not written")
    with table.open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def _from_words(words: str, what: str, table: Path) -> Outcome:
    """An outcome from `statistics.describe`'s words: "+4.2 points [+1.1, +7.3], p = .012, p = .024 after Holm"."""
    if "[" not in words:
        raise Missing(f"{_name(table)}: {what}: {words or 'not compared'}")
    mean, low, high = _interval(words.replace(" hundredths", " points"), _name(table))
    sure = not words.startswith("not separated")
    adjusted = ADJUSTED.search(words)
    shown = re.search(rf"{NUMBER} (?:points|hundredths) \[[^\]]*\]", words)
    p = f", p {adjusted[1]} {adjusted[2]} after Holm" if adjusted else ""
    return Outcome(mean, low, high, (1 if mean > 0 else -1) if sure else 0, f"{what}: {shown[0] if shown else ''}{p}")


def _from_metrics(source: Mapping[str, Any], folder: Path) -> tuple[float, float, float]:
    found: Any = metrics_of(folder, source["metrics"])
    for key in source["key"]:
        if key not in found:
            raise Missing(f"{folder.name}: metrics/{source['metrics']}.json has no {' · '.join(source['key'])}")
        found = found[key]
    mean, low, high = found
    return mean, low, high


def _interval(text: str, where: str) -> tuple[float, float, float]:
    found = INTERVAL.search(text)
    if not found:
        raise UserError(f"{where}: no 'value [low, high]' in {text!r:.80}")
    mean, low, high = (float(number.replace("−", "-")) for number in found.groups())
    return mean, low, high


def _std(row: Mapping[str, str], table: Path) -> float:
    found = MEAN_STD.search(row["accuracy (%)"])
    if not found:
        raise Missing(f"{_name(table)}: {row['arm']!r} has no std: {row['accuracy (%)']!r}")
    return float(found[2])


def _meet(one: tuple[float, float, float], other: tuple[float, float, float], digits: int) -> bool:
    """Whether two intervals touch once they are rounded to so many digits."""
    first, second = ([float(f"{value:.{digits}g}") for value in values] for values in (one, other))
    return first[1] <= second[2] and second[1] <= first[2]


def _shown(values: float | tuple[float, float, float], digits: int = 3) -> str:
    mean, low, high = values if isinstance(values, tuple) else (values,) * 3
    return f"{mean:.{digits}g} [{low:.{digits}g}, {high:.{digits}g}]".replace("-", "−")


def _name(path: Path) -> str:
    return str(path.relative_to(paths.ROOT)) if path.is_relative_to(paths.ROOT) else str(path)
