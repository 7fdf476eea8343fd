"""Mean SLC by student and task (PeCoTD, figure 4), of several profiles: a figure and a table for the page of contents.

section([{"task": "arithmetic", "profile": "default", "slc_by_student": {"base": [1.5, 1.25, 1.75]}}])
"""

from collections.abc import Mapping, Sequence
from html import escape

STAGE = "report"  # by which the figure is filed

UNTESTED = "No difference between means is tested: each interval is of one mean alone"

SlcRow = tuple[str, str, str, float, float, float]  # task, student, profile; mean SLC and its interval
Own = dict[str, tuple[float, float, float]]  # student -> mean SLC and its interval


def section(profiles: Sequence[Mapping]) -> str:
    """The heading, figure and table as HTML, from the metrics of 03 of each profile; nothing without any mean."""
    from lib.render import scrolling  # here, for README and claims need none of it

    rows = sorted(row for found in profiles for row in _slc_rows(found))
    if not rows:
        return ""
    groups = _grouped(rows)
    note = "How much the question helps each student to predict the teacher's rationales, before it learns from them "
    note += "(1: not at all). Intervals of 95% resample questions."
    scored = [n for found in profiles for n in found.get("scored", {}).values()]
    counts = " to ".join(f"{n:,}" for n in sorted({min(scored), max(scored)})) if scored else ""
    note += f" n = {counts} rationales a student." if counts else ""
    head = "".join(f'<th scope="col">{name}</th>' for name in ("task", "student", "profile", "mean SLC"))
    body = "\n".join(_slc_line(*row) for row in rows)
    table = f'<table class="results"><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>'
    box = scrolling(table, "Mean SLC by student and task")
    return f"<h2>Mean SLC by student and task</h2>\n{_slc_figure(groups, f'{_claim(groups)} {note}')}\n{box}"


def _slc_rows(found: dict) -> list[SlcRow]:
    """One notebook's mean SLC, a row a student; none where it does not say."""
    where = [str(found.get(key, "–")) for key in ("task", "profile")]
    return [(where[0], student, where[1], *own) for student, own in found.get("slc_by_student", {}).items()]


def _grouped(rows: list[SlcRow]) -> dict[str, Own]:
    """The rows as one group of students for each task and profile."""
    groups: dict[str, Own] = {}
    for task, student, profile, *own in rows:
        groups.setdefault(f"{task}, profile {profile}", {})[student] = tuple(own)
    return groups


def _claim(groups: Mapping[str, Own]) -> str:
    """Whose mean is highest and whose lowest, among the students of each group; among all where each has but one."""
    from lib.findings import extremes  # here, for README and claims need none of it

    several = {f"On {name}, mean SLC": own for name, own in groups.items() if len(own) > 1}
    each = {f"{student} on {name}": one for name, own in groups.items() for student, one in own.items()}
    said = [
        extremes(what, {name: one[0] for name, one in own.items()}, {name: _text(*one) for name, one in own.items()})
        for what, own in (several or {"Mean SLC": each}).items()
    ]
    return ". ".join([*said, *([UNTESTED] if len(each) > 1 else [])]) + "."


def _text(mean: float, low: float, high: float) -> str:
    return f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def _slc_line(task: str, student: str, profile: str, mean: float, low: float, high: float) -> str:
    cells = (task, student, profile, f"{mean:.3f} [{low:.3f}, {high:.3f}]")
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _slc_figure(groups: Mapping[str, Own], note: str) -> str:
    """The same rows as dots with their intervals, a group for each task and profile."""
    # here, for what draws takes most of a second to load, and README and claims need none of it
    from lib.figures import save_figure
    from lib.figures_selection import grouped_dots

    figure = grouped_dots(groups, "mean SLC (1 = the question does not help)", reference=1, text="{:.2f}".format)
    said = "; ".join(
        f"{name}: {', '.join(f'{s} {own[0]:.2f}' for s, own in of.items())}" for name, of in groups.items()
    )
    return save_figure(figure, "mean-slc", note, f"Dot plot of mean SLC. {said}.", STAGE).data
