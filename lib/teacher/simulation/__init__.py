"""How the simulated teacher writes and judges: one file a task, entered in `WRITERS`.

writer, problem = writer_of("Tom has 12 pens. Ann has 9 pens. Tom buys 7 pens. How many pens does Tom have now?")
work = writer.flaws["distractor taken"](problem, rng)       # or writer.solve(problem)
writer.word(problem, work, 0, rng)
# "Tom has 12 pens. Ann has 9 pens. So 12 + 9 = 21. Tom has 21 pens now. The answer is (12 + 9)."
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from random import Random
from types import ModuleType
from typing import Any

from lib.errors import UserError
from lib.tasks import arithmetic as arithmetic_task
from lib.tasks import coin_flip as coin_flip_task
from lib.tasks import last_letter as last_letter_task
from lib.teacher.simulation import arithmetic, coin_flip, last_letter
from lib.verification import Check

STYLES = 4
KINDS = ("wrong operation", "distractor taken", "slipped arithmetic")


@dataclass(frozen=True)
class Writer:
    """What the simulated teacher knows about one task.

    parse           a question's text -> its problem; UserError where it is not the task's
    gold            problem -> gold label
    solve           problem -> the right work
    flaws           kind -> (problem, rng) -> flawed work, or None where the problem has no such flaw
    word            (problem, work, style, rng) -> the rationale's text
    style_of        a rationale's text -> its style, 0 to STYLES - 1
    fault           (problem, step, the verifier's reason) -> (kind of flaw, clause of a critique)
    invented_fault  (problem, step, rng) -> clause of a critique that accuses a right step
    decisive        what marks a step that decides the answer
    """

    task: str
    parse: Callable[[str], Any]
    gold: Callable[[Any], str]
    solve: Callable[[Any], Any]
    flaws: dict[str, Callable[[Any, Random], Any]]
    word: Callable[[Any, Any, int, Random], str]
    style_of: Callable[[str], int]
    fault: Callable[[Any, str, str], tuple[str, str]]
    invented_fault: Callable[[Any, str, Random], str]
    decisive: re.Pattern[str]


def _writer(task: str, parse: Callable, gold: Callable, file: ModuleType) -> Writer:
    words = file.word, file.style_of, file.fault, file.invented_fault, file.DECISIVE
    return Writer(task, parse, gold, file.solve, file.FLAWS, *words)


WRITERS: dict[str, Writer] = {
    writer.task: writer
    for writer in (
        _writer("coin_flip", coin_flip_task.parse, attrgetter("gold"), coin_flip),
        _writer("last_letter", last_letter_task.parse, last_letter_task.concatenated, last_letter),
        _writer("arithmetic", arithmetic_task.parse, attrgetter("gold"), arithmetic),
    )
}


def writer_of(question: str) -> tuple[Writer, Any]:
    """The writer that knows this question, and the problem it poses. UserError where none does."""
    for writer in WRITERS.values():
        try:
            return writer, writer.parse(question)
        except UserError:
            continue
    raise UserError(f"the simulated teacher knows no such question: {question!r:.80}; tasks: {', '.join(WRITERS)}")


def flaw_kind(task: str, question: str, check: Check) -> str | None:
    """What kind of flaw the verifier's first refuted step is; None without one.

    Tasks that no writer knows have their equations checked and nothing else, so theirs are slips.
    """
    if not check.wrong_steps:
        return None
    if task not in WRITERS:
        return "slipped arithmetic"
    writer, step = WRITERS[task], check.steps[check.wrong_steps[0]]
    return writer.fault(writer.parse(question), step.text, step.wrong)[0]
