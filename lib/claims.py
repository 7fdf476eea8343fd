"""The claims of the papers beside what was found here: docs/claims.md, from the records of the reports.

    python -m lib.report claims     # docs/claims.md and, by lib/coverage.py, docs/coverage.md

docs/claims.yaml says in our words what is claimed and which records test it; every number is read from the tables and
metrics that the notebooks wrote (lib/evidence.py), and every verdict is computed from the recorded interval and the
claim's direction. A claim with one of its tests:

    - claim: A rationale teaches more than the label alone.
      where: table 1
      tests:
        - {profile: default, pairs: [[1 CoT, standard]], expect: more}    # a row of 05's comparisons

A test is of one of these forms; each takes `profile` and `expect` (more | less | {within: points}):

    pairs: [[arm, against], ...]      differences in a table, `table: 05_ablate/comparisons` where not given
    similar: [arm, ...]               05's similarities to the teacher's rationales, against the first arm of that table
    spread: [arm, against]            the ratio of two standard deviations over seeds
    level: {a record}, to: 1          a mean against a number, or another record, which may name its own profile
                                      (`evidence.interval_of`)
    gains: [{pair: ...}, {pair: ...}] one difference against another; each may name its own profile and table
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lib import evidence, paths, reruns
from lib.errors import UserError
from lib.evidence import CONTRADICTED, SUPPORTED, UNSURE, Missing, Outcome
from lib.tables import DASH, plain

SOURCE = paths.ROOT / "docs" / "claims.yaml"
UNTESTABLE, NOT_RUN, NOTHING = "not testable offline", "not run yet", "nothing to compare"
VERDICTS = (SUPPORTED, UNSURE, CONTRADICTED, NOTHING, UNTESTABLE, NOT_RUN)
COMPARISONS = "05_ablate/comparisons"
IMPLIED = {"alike": "05_ablate/similarity", "spread": "05_ablate/main"}  # read where no table is named; else the above
FORMS = ("pairs", "similar", "spread", "level", "gains")
LISTS = {"pairs": "pair", "similar": "alike"}  # forms that hold several tests, and what one of them is called
HEAD = """# What the papers claim, and what was found here

Written by `make reproduce` from the records in reports/; do not edit. The claims stand in docs/claims.yaml, in our
words. By default the teacher is simulated and the students are small and start from random weights: a verdict holds for
them, and nothing about the papers' teachers and students follows.

A claim is **supported** if all its tests are separated in its direction, **contradicted** if one is separated in the
other, else **not separated**: it may be true or not. Differences are paired and separated after Holm over the pairs of
their table; [x, y] is the recorded 95% interval before correction. Two means are separated if their intervals do not
meet, which is the stricter way. "As good as equal" means: the whole interval lies within the margin that is stated.
**Not run yet** names the profile whose run (`make sweep P=name`) would tell, or the record that its last run did not
write. A claim is not called supported while some of its tests are still to be run. Two arms that are the same runs, as
when both learn from all there is, test nothing: **nothing to compare**. "Another recipe": the sweep was trained by
another version of the recipe than the default profile's runs (CHANGELOG.md).
"""


@dataclass(frozen=True)
class Finding:
    """What became of one claim: the verdict with what is still to be run, its results in words, and of how much.

    records   the files that each result was read from
    """

    verdict: str
    note: str
    results: tuple[str, ...]
    size: str
    records: tuple[tuple[Path, ...], ...] = ()


def text() -> str:
    """docs/claims.md. Raises UserError for a test that docs/claims.yaml does not spell out."""
    source = load()
    papers = {paper: [(claim, found(claim)) for claim in claims] for paper, claims in source["claims"].items()}
    sections = [_section(paper, rows) for paper, rows in papers.items()]
    twice = reruns.text([paths.REPORTS, *evidence.sweeps()])
    return "\n".join(filter(None, [HEAD, _counts(papers), *sections, *map(_series, source["series"]), twice]))


def load() -> dict[str, Any]:
    """docs/claims.yaml: `claims`, lists by paper, and `series`, differences that are followed over profiles."""
    return yaml.safe_load(SOURCE.read_text(encoding="utf-8"))


def found(claim: Mapping[str, Any]) -> Finding:
    """The verdict on one claim, from what was recorded; a test whose records are missing says so."""
    if "untestable" in claim:
        return Finding(UNTESTABLE, claim["untestable"], (), DASH)
    verdicts, results, missing, sizes, records = [], [], [], [], []
    for test in singly(claim["tests"]):
        try:
            outcome, of = outcome_of(test), f"{test['profile']}: {size(test)}"
        except Missing as error:
            missing.append(str(error))
            continue
        verdicts.append(NOTHING if math.isnan(outcome.estimate) else evidence.judge(outcome, test["expect"]))
        results.append(outcome.text if "gains" in test else f"{outcome.text} ({_whose(test['profile'])})")
        sizes.append(of)
        records.append(tuple(dict.fromkeys(record_of(one) for one in _sides(test))))
    verdict = together(verdicts)
    if missing and verdict == SUPPORTED:  # by some of its tests only
        verdict = NOT_RUN
    return Finding(verdict, _once(missing), tuple(results), _once(sizes) or DASH, tuple(records))


def singly(tests: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The tests one by one: {pairs: [[a, b], [c, d]]} as {pair: [a, b]} and {pair: [c, d]}."""
    for test in tests:
        form = next((form for form in LISTS if form in test), None)
        rest = {key: value for key, value in test.items() if key != form}
        yield from ({**rest, LISTS[form]: one} for one in test[form]) if form else (dict(test),)


def together(verdicts: Sequence[str]) -> str:
    """One verdict of several tests: contradicted by one, supported by all; without any there is nothing yet.

    Those of two arms that are the same runs count only where there are no others.
    """
    if not verdicts:
        return NOT_RUN
    if not (verdicts := [verdict for verdict in verdicts if verdict != NOTHING]):
        return NOTHING
    if CONTRADICTED in verdicts:
        return CONTRADICTED
    return SUPPORTED if set(verdicts) == {SUPPORTED} else UNSURE


def outcome_of(test: Mapping[str, Any]) -> Outcome:
    """The recorded outcome of one test. Raises Missing, and UserError for a test of no known form."""
    folder = evidence.folder_of(test["profile"])
    if "pair" in test:
        return evidence.difference(record_of(test), *test["pair"])
    if "alike" in test:
        return evidence.similarity(record_of(test), test["alike"])
    if "spread" in test:
        return evidence.spread(record_of(test), *test["spread"], evidence.metrics_of(folder, "05_ablate")["seeds"])
    if "level" in test:
        return _level(test, folder)
    if "gains" in test:
        return _gain(test)
    raise UserError(f"docs/claims.yaml: a test needs one of {', '.join(FORMS)}; given {', '.join(test)}")


def record_of(test: Mapping[str, Any]) -> Path:
    """The file that a test reads, the first of two where gains are set side by side. Raises Missing as `outcome_of`."""
    record = {**test, **test.get("level", {}), **_sides(test)[0]}
    folder = evidence.folder_of(record["profile"])
    if "metrics" in record:
        return folder / "metrics" / f"{record['metrics']}.json"
    implied = next((table for form, table in IMPLIED.items() if form in record), COMPARISONS)
    return folder / "tables" / f"{record.get('table', implied)}.csv"


def size(test: Mapping[str, Any]) -> str:
    """Of how much a test's results are: test questions and seeds, or scored rationales, or questions of theirs."""
    folder = evidence.folder_of(test["profile"])
    record = test.get("level", {})
    if str(record.get("table", "")).startswith("03_slc"):
        row = evidence.row_of(folder / "tables" / f"{record['table']}.csv", record["row"])
        of = next(name for name in ("rationales", "n", "questions") if row.get(name))
        return f"{int(row[of]):,} {'questions' if of == 'questions' else 'rationales'}"
    if record.get("metrics") == "03_slc":  # a mean SLC by student: over all that this one scored
        return f"{evidence.metrics_of(folder, '03_slc')['scored'][record['key'][-1]]:,} rationales"
    measured = evidence.metrics_of(folder, "05_ablate")
    return f"{_learned_from(folder)}{measured['questions']} × {measured['seeds']} seeds"


def _learned_from(folder: Path) -> str:
    """How many training questions there were, where the data card says so."""
    try:
        card = evidence.row_of(folder / "tables" / "01_generate" / "data_card.csv", {"split": "train"})
    except Missing:
        return ""
    return f"{int(card['questions']):,} training questions, "


def _sides(test: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The two differences of `gains`, each with its profile; of another test itself."""
    return [{"profile": test["profile"], **one} for one in test.get("gains", [test])]


def _level(test: Mapping[str, Any], folder: Path) -> Outcome:
    own, other = evidence.interval_of(test["level"], folder), test["to"]
    if not isinstance(other, Mapping):
        return evidence.level(own, other, test["of"])
    elsewhere = evidence.folder_of(other.get("profile", test["profile"]))
    return evidence.level(own, evidence.interval_of(other, elsewhere), test["of"])


def _gain(test: Mapping[str, Any]) -> Outcome:
    """One recorded difference against another: more or less than it, if their intervals do not meet."""
    first, second = (evidence.difference(record_of(own), *own["pair"]) for own in _sides(test))
    beside = evidence.level(_triple(first), _triple(second), "")
    texts = [f"{one.text} ({_whose(own['profile'])})" for one, own in zip((first, second), _sides(test))]
    return Outcome(first.estimate, first.low, first.high, beside.side, "; beside it ".join(texts))


def _whose(profile: str) -> str:
    """A profile by name, and whether its runs are of another version of the recipe than the default's."""
    return profile + ", another recipe" * evidence.of_another_recipe(evidence.folder_of(profile))


def _triple(outcome: Outcome) -> tuple[float, float, float]:
    return outcome.estimate, outcome.low, outcome.high


def _once(texts: Iterable[str]) -> str:
    """Each text once, in order."""
    return "; ".join(dict.fromkeys(texts))


def _counts(papers: Mapping[str, list]) -> str:
    """How many claims got which verdict, by paper."""
    lines = [f"| | {' | '.join(VERDICTS)} |", f"| :--- |{' ---: |' * len(VERDICTS)}"]
    for paper, rows in papers.items():
        counts = Counter(finding.verdict for _, finding in rows)
        lines.append(f"| {paper} | {' | '.join(str(counts[verdict] or DASH) for verdict in VERDICTS)} |")
    return "\n".join([*lines, ""])


def _section(paper: str, rows: list) -> str:
    head = "| where | claim | results | n | published | verdict |\n| :--- | :--- | :--- | :--- | :--- | :--- |"
    return "\n".join([f"## {paper}", "", head, *(_row(claim, finding) for claim, finding in rows), ""])


def _row(claim: Mapping[str, Any], finding: Finding) -> str:
    still = f": {plain(finding.note)}" if finding.verdict in (UNTESTABLE, NOT_RUN) else ""
    still = still or (f"<br>{NOT_RUN}: {plain(finding.note)}" if finding.note else "")
    claimed = f"{plain(claim['claim'])}<br>*Test:* {plain(claim['test'])}" if "test" in claim else plain(claim["claim"])
    results = "<br>".join(map(_result, finding.results, finding.records)) or DASH
    cells = [plain(claim["where"]), claimed, results, finding.size, plain(claim.get("published", DASH))]
    return f"| {' | '.join(cells)} | **{finding.verdict}**{still} |"


def _result(words: str, records: Sequence[Path]) -> str:
    """A result with links to its records; to tables as one reads them."""
    shown = [record.with_suffix(".md") if record.suffix == ".csv" else record for record in records]
    return ", ".join([plain(words), *(f"[{plain(file.stem)}](../{file.relative_to(paths.ROOT)})" for file in shown)])


def _series(series: Mapping[str, Any]) -> str:
    """The same differences in several profiles: a row a profile, a column a difference."""
    pairs = [f"{arm} − {against}" for arm, against in series["pairs"]]
    head = f"| profile | {' | '.join(map(plain, pairs))} |\n| :--- |{' :--- |' * len(pairs)}"
    rows = [f"| {name} | {' | '.join(_cell(name, pair) for pair in series['pairs'])} |" for name in series["profiles"]]
    return "\n".join([f"## {series['title']}, over profiles", "", head, *rows, ""])


def _cell(profile: str, pair: Sequence[str]) -> str:
    try:
        return plain(outcome_of({"profile": profile, "pair": pair}).text.split(": ")[-1])
    except Missing:
        return NOT_RUN
