"""What happens at the steps of a training besides the training: logs, looks at validation, live curves.

live = Curves("5 CoTs, seed 0", folder, steps=540)
live.add(54, {"loss": 1.93, "learning_rate": 0.02})       # also shown, at most every 20 seconds:
# 5 CoTs, seed 0: step 108 of 540, loss 1.93 ▇▅, accuracy 0.41
out_of_patience([{"eval_accuracy": 0.4}, {"eval_accuracy": 0.4}, {"eval_accuracy": 0.3}], looks=2)      # True

tensorboard --logdir scratch/curves
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from transformers import TrainerCallback

from lib.progress import say
from lib.tfevents import Events

EVERY = 20.0  # seconds between two lines of a run in the terminal
POINTS = 200  # of a live curve
BARS, MOST_BARS = "▁▂▃▄▅▆▇█", 20


class Curves:
    """Where the values of one phase of a run go as they come. Nothing of it is part of a result."""

    def __init__(self, name: str, folder: Path | None = None, steps: int = 0):
        self.name, self.steps = name, steps
        self.last: dict[str, float] = {}
        self.losses: list[float] = []
        self._file = None if folder is None else Events(folder)
        self._said = time.monotonic()

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Values measured after a step; the terminal hears of them if it has not for a while."""
        self.last |= values
        self.losses += [values["loss"]] if "loss" in values else []
        if self._file is not None:
            self._file.add(step, values)
        if time.monotonic() - self._said >= EVERY:
            self._said = time.monotonic()
            say(self.line(step))

    def line(self, step: int) -> str:
        """ "1 CoT, seed 0: step 20 of 100, loss 1.5 █▃▁, accuracy 0.41" """
        said = [f"step {step} of {self.steps}"]
        if self.losses:
            said.append(f"loss {self.losses[-1]:.3g} {sparkline(thinned(self.losses, MOST_BARS))}")
        if "accuracy" in self.last:
            said.append(f"accuracy {self.last['accuracy']:.3g}")
        return f"{self.name}: {', '.join(said)}"


def sparkline(values: Sequence[float]) -> str:
    """A curve as bars, lowest to highest: [3, 1, 2] -> "█▁▄"; what is not finite shows as "!"."""
    finite = [v for v in values if abs(v) < float("inf")]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[int((v - low) * scale)] if abs(v) < float("inf") else "!" for v in values)


def thinned(values: Sequence[float], most: int) -> list[float]:
    """Means of neighbours, at most so many, the last group perhaps smaller: [4, 2, 1], 2 -> [3, 1]."""
    size = -(-len(values) // most) or 1
    groups = [values[i : i + size] for i in range(0, len(values), size)]
    return [sum(own) / len(own) for own in groups]


class LiveCurves(TrainerCallback):
    """Hand a phase's values on while it trains: some POINTS of the loss, each the mean of the steps since the last.

    loss   gives the last step's, a scalar on any device; it is waited for at the points alone

    The Trainer's own log, a few rows that are kept as the history, stays as it is. Of several processes that train one
    run the first alone has curves to hand values to (lib/runs.py).
    """

    def __init__(self, curves: Curves, loss: Callable[[], torch.Tensor], steps: int):
        self.curves, self.loss, self.every = curves, loss, max(steps // POINTS, 1)
        self._sum, self._steps = 0.0, 0

    def on_step_end(self, args, state, control, lr_scheduler=None, **kwargs):
        self._sum, self._steps = self._sum + self.loss(), self._steps + 1
        if state.global_step % self.every == 0:
            values = {"loss": float(self._sum) / self._steps}
            values |= {} if lr_scheduler is None else {"learning_rate": lr_scheduler.get_last_lr()[0]}
            self.curves.add(state.global_step, values)
            self._sum, self._steps = 0.0, 0

    def on_log(self, args, state, control, logs=None, **kwargs):
        names = {"grad_norm": "grad_norm", "eval_accuracy": "accuracy"}
        values = {new: float(logs[old]) for old, new in names.items() if old in logs}
        if values:  # at the end the Trainer also logs how long it took
            self.curves.add(state.global_step, values)


class LogAtCheckpoints(TrainerCallback):
    """Every checkpoint starts a new mean of the loss, so that a resumed run logs what an uninterrupted one does."""

    def on_step_end(self, args, state, control, **kwargs):
        control.should_log |= state.global_step % args.save_steps == 0


class Patience(TrainerCallback):
    """Stop after so many looks at validation that were not better than the best before them."""

    def __init__(self, looks: int):
        self.looks = looks

    def on_evaluate(self, args, state, control, **kwargs):
        control.should_training_stop |= out_of_patience(state.log_history, self.looks)


def out_of_patience(history: Sequence[dict], looks: int) -> bool:
    """Whether the last `looks` accuracies are all no better than the best before: [.1, .4, .4, .3] for 2, not for 3."""
    seen = [row["eval_accuracy"] for row in history if "eval_accuracy" in row]
    return bool(seen) and len(seen) - 1 - seen.index(max(seen)) >= looks
