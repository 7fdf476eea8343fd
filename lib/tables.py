"""Tables and marked texts for the reports: a CSV for machines, Markdown for GitHub, HTML for the notebook.

    save_table(frame, "main", "Accuracy by arm (%), mean ± std over 3 seeds.", "ablate")
    # writes reports/tables/ablate/main.csv and main.md, returns the HTML table to display

Rationales come from language models: every cell, caption and step is escaped.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from html import escape
from numbers import Integral
from pathlib import Path

import pandas as pd
from IPython.display import HTML

from lib import paths
from lib.errors import UserError
from lib.records import write_atomically

DASH = "–"
SAME = "the same runs"  # instead of words on a difference: of two arms that learned alike
NUMBER = re.compile(r"(p [=<] )?[+−-]?[\d.,]+%?( ± [\d.,]+)?( \[[^\]]*\])?|\[[^\]]*\]")
MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#~$])")


def save_table(
    frame: pd.DataFrame,
    name: str,
    caption: str,
    stage: str,
    note: str | None = None,
    formats: Mapping[str, Callable] | None = None,
    nothing: str | None = None,
) -> HTML:
    """Write a table as CSV (raw values) and Markdown, and return it as HTML; a named index becomes a column.

    The first column names the rows if it was the index or holds words: to a screen reader it is their heading.

    formats   column -> value to text, e.g. {"accuracy": percent}; without one: integers as "12,345", floats with
              three decimals, a missing value as a dash
    nothing   the sentence to show instead of a table without rows; its files are written, with it for a caption
    raises    UserError for a name that is no file name, a format for an unknown column, two columns of one name
    """
    named, frame, anchor = frame.index.names[0] is not None, _flat(frame), f"table-{stage}-{name}"
    said = nothing if nothing and not len(frame) else None
    cells = _as_text(frame, dict(formats or {}))
    numeric = [_is_numeric(cells[column]) for column in cells]
    csv = frame.to_csv(index=False, lineterminator="\n", float_format="%.10g")
    write_atomically(artefact_path(paths.TABLES, stage, name, "csv"), csv)
    write_atomically(artefact_path(paths.TABLES, stage, name, "md"), _markdown(cells, numeric, said or caption, note))
    if said:
        return HTML(f'<div class="table" id="{anchor}"><p>{escape(said)}</p></div>')
    return HTML(_html(cells, numeric, caption, note, anchor, rows_named=named or numeric[:1] == [False]))


def percent(share: float) -> str:
    """0.834 as "83.4%", −0.05 as "−5.0%"; nan or None as a dash."""
    return DASH if pd.isna(share) else true_minus(f"{100 * share:.1f}%")


def true_minus(number: str) -> str:
    """A formatted number with a true minus; what rounds to nothing has no sign: "-5.0%" is "−5.0%", "-0.0%" "0.0%"."""
    return number[1:] if re.fullmatch(r"[+-]0(\.0*)?%?", number) else number.replace("-", "−")


def mean_std_text(mean: float, std: float) -> str:
    """0.834, 0.012 as "83.4 ± 1.2", in percentage points; without a std (one seed) the mean alone."""
    if pd.isna(mean):
        return DASH
    text = true_minus(f"{100 * mean:.1f}")
    return text if pd.isna(std) else f"{text} ± {100 * std:.1f}"


def interval_text(low: float, high: float) -> str:
    """0.581, 1.0 as "[58.1, 100.0]", in percentage points; without an interval (nan) a dash."""
    return DASH if pd.isna(low) or pd.isna(high) else true_minus(f"[{100 * low:.1f}, {100 * high:.1f}]")


def marked_steps(steps: Iterable[tuple[str, str | None]]) -> HTML:
    """A rationale's steps (text, reason it is wrong or None) as a paragraph; wrong ones marked, the reason beside."""
    return HTML(f'<p class="steps">{" ".join(_step(text, reason) for text, reason in steps)}</p>')


def side_by_side(passages: Mapping[str, str | HTML], heading: str = "") -> HTML:
    """Titled passages next to each other (below each other on a narrow page). Strings are escaped, HTML is not."""
    above = f'<p class="heading">{escape(heading)}</p>' if heading else ""
    columns = "".join(_passage(*item) for item in passages.items())
    return HTML(f'{above}<div class="side-by-side" style="display:flex;flex-wrap:wrap;gap:1rem">{columns}</div>')


def plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line, also in a cell of a table."""
    return MARKDOWN.sub(r"\\\1", " ".join(text.split())).replace("&", "&amp;")


def artefact_path(folder: Path, stage: str, name: str, suffix: str) -> Path:
    """folder/stage/name.suffix; stage and name must be plain file names."""
    for part in (stage, name):
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", part):
            raise UserError(f"{part!r} is no name for a report file; allowed: lower-case letters, digits, _ and -")
    return folder / stage / f"{name}.{suffix}"


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with its named index as columns and plain, unique column names."""
    if any(level is not None for level in frame.index.names):
        frame = frame.reset_index()
    frame = frame.rename(columns=str)
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise UserError(f"table column {twice!r} occurs twice; columns: {', '.join(frame.columns)}")
    return frame


def _as_text(frame: pd.DataFrame, formats: dict[str, Callable]) -> dict[str, list[str]]:
    unknown = [column for column in formats if column not in frame.columns]
    if unknown:
        raise UserError(f"format for unknown column {unknown[0]!r}; columns: {', '.join(frame.columns)}")
    return {column: [_cell(value, formats.get(column)) for value in frame[column]] for column in frame.columns}


def _cell(value, formatter: Callable | None = None) -> str:
    if formatter:
        return formatter(value)
    if value is None or value is pd.NA or value != value:  # nan differs from itself
        return DASH
    if isinstance(value, Integral) and not isinstance(value, bool):
        return true_minus(f"{value:,}")
    return true_minus(f"{value:.3f}") if isinstance(value, float) else str(value)


def _is_numeric(texts: list[str]) -> bool:
    filled = [text for text in texts if text != DASH]
    return bool(filled) and all(NUMBER.fullmatch(text) for text in filled)


def _markdown(cells: dict[str, list[str]], numeric: list[bool], caption: str, note: str | None) -> str:
    rows = [list(cells), ["---:" if right else ":---" for right in numeric], *zip(*cells.values())]
    lines = [f"| {' | '.join(map(plain, row) if i != 1 else row)} |" for i, row in enumerate(rows)]
    return "\n".join([plain(caption), "", *lines, *(["", plain(note)] if note else [])]) + "\n"


def _html(
    cells: dict[str, list[str]], numeric: list[bool], caption: str, note: str | None, anchor: str, rows_named: bool
) -> str:
    head = _row(cells, numeric, ["col"] * len(cells))
    scopes = ["row" if rows_named else "", *[""] * (len(cells) - 1)]
    body = "\n".join(_row(row, numeric, scopes) for row in zip(*cells.values()))
    below = f'\n<p class="note">{escape(note)}</p>' if note else ""
    return (
        f'<div class="table" id="{anchor}"><table class="results"><caption>{escape(caption)}</caption>\n'
        f"<thead>{head}</thead>\n<tbody>\n{body}\n</tbody></table>{below}</div>"
    )


def _row(texts: Iterable[str], numeric: list[bool], scopes: list[str]) -> str:
    """scopes: "col" or "row" of a cell that is the heading of its column or row, "" of another one."""
    return f"<tr>{''.join(map(_html_cell, texts, numeric, scopes))}</tr>"


def _html_cell(text: str, right: bool, scope: str) -> str:
    begin, tag = (f'th scope="{scope}"', "th") if scope and text else ("td", "td")  # nothing is no heading
    # a number stays on its line; a column's heading may break, or ten columns would not fit a page
    look = "text-align:left" if not right else "text-align:right" + ";white-space:nowrap" * (scope != "col")
    return f'<{begin} style="{look}">{escape(text)}</{tag}>'


def _step(text: str, reason: str | None) -> str:
    if reason is None:
        return escape(text)
    return f'<mark>{escape(text)}</mark> <small class="reason">({escape(reason)})</small>'


def _passage(title: str, passage: str | HTML) -> str:
    body = passage.data if isinstance(passage, HTML) else f"<p>{escape(passage)}</p>"
    return f'<section style="flex:1 1 16rem"><h3>{escape(title)}</h3>{body}</section>'
