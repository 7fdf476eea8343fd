"""What is written over all stages: the page of contents, the rationale browser, the results at the top of the README.

python -m lib.report            # reports/index.html and browser.html, from what is in reports/ and data/
python -m lib.report readme     # the part of README.md between the two markers
python -m lib.report claims     # docs/claims.md and docs/coverage.md
python -m lib.report provenance # reports/provenance.html, what differs from machine to machine; words may be joined
python -m lib.report browser    # scratch/browser.html: the browser over all questions, not a sample of them
"""

import sys
from pathlib import Path

import pandas as pd

from lib import browser, claims, contents, coverage, mean_slc, paths, provenance
from lib.config import load_config
from lib.contents import HEADLINE, metrics, metrics_or_none, read
from lib.errors import UserError
from lib.records import write_atomically, write_json
from lib.tables import plain, save_table

README = paths.ROOT / "README.md"
CLAIMS, COVERAGE = paths.ROOT / "docs" / "claims.md", paths.ROOT / "docs" / "coverage.md"
BEGIN = "<!-- results: begin; written by `make reproduce`, do not edit -->"
END = "<!-- results: end -->"
WHOLE_BROWSER = paths.SCRATCH / "browser.html"  # where Git does not look
RUN_LIST = paths.TABLES / HEADLINE / "runs.csv"


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


def update_claims() -> bool:
    """Write docs/claims.md and docs/coverage.md, from the default profile's results. Returns whether one changed."""
    if metrics(HEADLINE).get("profile") != "default":
        return False
    texts = {CLAIMS: claims.text(), COVERAGE: coverage.text()}
    new = {path: text for path, text in texts.items() if not path.exists() or read(path) != text}
    for path, text in new.items():
        write_atomically(path, text)
    return bool(new)


def with_results(readme: str, block: str) -> str:
    """README's text with the part between the markers replaced."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise UserError(f"README.md: the markers are missing; expected {BEGIN!r} and, below it, {END!r}")
    return f"{before}{BEGIN}\n{block}{END}{after}"


def readme_block() -> str:
    """The headline, table and figure of the last notebook as Markdown with paths from the repository's root."""
    figure = contents.HEADLINE_FIGURE
    image = f"![{contents.alternative(read(figure))}]({figure.relative_to(paths.ROOT)})"
    parts = [metrics(HEADLINE)["headline"], read(contents.HEADLINE_TABLE).strip(), image, plain(contents.caption())]
    return "\n\n".join(filter(None, parts)) + "\n"


def write_plots() -> None:
    """Numbers as rows for `dvc plots`, which draws no intervals: accuracy by arm, and the paired differences."""
    found = metrics(HEADLINE)
    for name, key in (("accuracy", "accuracy"), ("differences", "difference")):
        rows = [(arm, 100 * share) for arm, share in found.get(key, {}).items()]
        frame = pd.DataFrame(rows, columns=["arm" if key == "accuracy" else "pair", "points"])
        caption = f"{name.capitalize()} on test questions, in points, by {frame.columns[0]}."
        save_table(frame, name, caption, mean_slc.STAGE)


def write_summary() -> None:
    """The few numbers that `dvc metrics show` and `dvc exp show` compare: a column each, so no text among them."""
    notebooks = (contents.GENERATED, contents.SCORES, "04_train", HEADLINE)
    asked, scored, trained, last = map(metrics_or_none, notebooks)
    shares = {split: row["share"] for split, row in asked.get("accuracy", {}).items()}
    numbers = {"accuracy": last.get("accuracy"), "difference": last.get("difference"), "teacher": shares}
    numbers |= {"auc": scored.get("auc"), "runs": trained.get("runs"), "million_tokens": trained.get("million_tokens")}
    write_json(paths.REPORTS / "metrics" / "summary.json", {name: n for name, n in numbers.items() if n})


def _about() -> dict[str, str]:
    """Whose records these are, in words; the task as 03 names it."""
    first = metrics(contents.GENERATED)
    return {"profile": first["profile"], "task": first["task"], "teacher": first["teacher"][0]}


def write_whole_browser() -> None:
    """The browser over all questions, which Git ignores."""
    print(f"browser: {write_browser(WHOLE_BROWSER, None, '../reports/')}")


def _update(name: str) -> None:
    """Bring one of the texts up to date by its name on the command line."""
    known = {
        "readme": update_readme,
        "claims": update_claims,
        "provenance": provenance.write_page,
        "browser": write_whole_browser,
    }
    if name not in known:
        raise UserError(f"lib.report: {name!r}; allowed: nothing, for the page of contents, or {', '.join(known)}")
    known[name]()


def main(arguments: list[str]) -> int:
    """The command line; returns the exit status."""
    try:
        if arguments:
            for name in arguments:
                _update(name)
        else:
            from lib.figures import style  # here, for it takes most of a second to load

            cfg = load_config(stage="report")
            style(cfg.figures)
            write_plots()
            write_summary()
            answer = contents.facts(cfg.ablate, cfg.profile, cfg.student, cfg.students, cfg.task, cfg.train)
            index = contents.write_index(answer)
            write_browser(contents.BROWSER, browser.EACH, "")
            print(f"report: {index.relative_to(paths.ROOT)}")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
