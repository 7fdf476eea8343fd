"""Runs of the tiny world, trained once for the tests of what is done with finished students."""

from pathlib import Path

from tiny_world import STUDENT, runs

from lib.runs import train_run

ARMS = {
    "judge": {"evaluations": 1},
    "labels": {"explain": False},
    "first": {"format": "rationale then answer"},
}


def finished_runs(folder: Path, architecture: str) -> dict[str, Path]:
    """Arm -> the folder of its run, with `lib.paths.SCRATCH` as it is."""
    students = {"base": STUDENT.model_copy(update={"architecture": architecture})}
    planned = runs(ARMS, students=students)
    for run in planned:
        train_run(run, folder)
    return {run.arm: folder / run.id for run in planned}
