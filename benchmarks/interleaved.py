"""Ways of training timed in turn, in one run: their ratios hold on a machine whose speed does not."""

import statistics
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from transformers import Trainer

from benchmarks.scoring import Rows
from benchmarks.training_ways import Way
from lib.encoding import Encoded
from lib.student import Student
from lib.training import Plan


def compare(
    student: Student, ways: dict[str, tuple[Way, list[Encoded], Plan]], rounds: int, clock: Callable[[], float]
) -> Rows:
    """Examples a second of each way, and the ratio of each to the first, from the same weights each time.

    ways   name -> (a way, its examples, its plan); each is first tried untimed, for a step
    """
    first = {name: value.clone() for name, value in student.model.state_dict().items()}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way, encoded, plan in ways.values():
        timed(student, way, encoded, replace(plan, steps=1), clock)
    for turn in range(rounds):
        # each time the other way round, so that none always comes first
        for name in list(ways)[:: -1 if turn % 2 else 1]:
            student.model.load_state_dict(first)
            seconds[name].append(timed(student, *ways[name], clock))
    student.model.load_state_dict(first)
    reference, *others = ways
    rows = {f"{n} (examples/s)": ways[n][2].steps * ways[n][2].batch / statistics.median(s) for n, s in seconds.items()}
    for name in others:
        ratios = sorted(theirs / mine for theirs, mine in zip(seconds[reference], seconds[name]))
        rows[f"{name} : {reference}"] = statistics.median(ratios)
        rows |= {f"  lowest of {name}": ratios[0], f"  highest of {name}": ratios[-1]}
    return rows


def timed(student: Student, way: Way, encoded: list[Encoded], plan: Plan, clock: Callable[[], float]) -> float:
    """Seconds of a way; a GPU has finished what it was given before the clock is read."""
    with tempfile.TemporaryDirectory() as folder, no_checkpoints():
        wait()
        begun = clock()
        way(student, encoded, plan, Path(folder))
        wait()
        return clock() - begun


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@contextmanager
def no_checkpoints():
    """Neither way writes any: in a few steps they would weigh as they never do in hundreds."""
    written = Trainer._save_checkpoint
    Trainer._save_checkpoint = lambda *_, **__: None
    try:
        yield
    finally:
        Trainer._save_checkpoint = written
