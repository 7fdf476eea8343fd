"""What happens at the steps of a training besides the training: logs, looks at validation, curves.

out_of_patience([{"eval_accuracy": 0.4}, {"eval_accuracy": 0.4}, {"eval_accuracy": 0.3}], looks=2)      # True
"""

from collections.abc import Sequence

from transformers import TrainerCallback

from lib.curves import Curves


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


class LiveCurves(TrainerCallback):
    """Hand on what is logged."""

    def __init__(self, curves: Curves):
        self.curves = curves

    def on_log(self, args, state, control, logs=None, **kwargs):
        names = {"loss": "loss", "grad_norm": "grad_norm", "learning_rate": "learning_rate"}
        names |= {"eval_accuracy": "accuracy"}
        values = {new: float(logs[old]) for old, new in names.items() if old in logs}
        if values:  # at the end the Trainer also logs how long it took
            self.curves.add(state.global_step, values)


def out_of_patience(history: Sequence[dict], looks: int) -> bool:
    """Whether the last `looks` accuracies are all no better than the best before: [.1, .4, .4, .3] for 2, not for 3."""
    seen = [row["eval_accuracy"] for row in history if "eval_accuracy" in row]
    return bool(seen) and len(seen) - 1 - seen.index(max(seen)) >= looks
