"""Fit a student by the Hugging Face Trainer with the papers' loss.

    schedule = batches(lengths, batch=16, steps=600, seed=0)       # 600 lists of 16 example indices
    history = fit(student, examples, plan, folder, validate=...)   # resumes from `folder` if it was interrupted

A step has a fixed number of examples. One encoder call serves both tasks of an encoder-decoder; a decoder-only student
reads the source with each. The output projection and the cross-entropy are computed at real target positions only. The
schedule is drawn before the first step, so that an interrupted run goes on with exactly the batches that it would have
seen.
"""

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import transformers
from torch.nn.functional import linear
from torch.optim import AdamW, Optimizer
from torch.utils.data import DataLoader
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    get_cosine_schedule_with_warmup,
)
from transformers.optimization import Adafactor

from lib.encoding import Encoded, collator
from lib.errors import UserError
from lib.forcing import output_projection, refuse_other_logits, scaled_states
from lib.losses import multitask_loss, reduce_nll, target_nll
from lib.student import Student

BUCKET = 50  # batches whose examples are sorted by length together


@dataclass(frozen=True)
class Plan:
    """How one phase is trained; see section `train` of params.yaml."""

    steps: int
    batch: int
    learning_rate: float
    warmup_steps: int
    optimizer: str = "adafactor"
    lam: float = 0.5
    reduction: str = "examples"
    validate_every: int = 0  # 0: no validation, the last weights count
    seed: int = 0


def batches(lengths: Sequence[int], batch: int, steps: int, seed: int) -> list[list[int]]:
    """The whole schedule: `steps` lists of `batch` example indices.

    Each pass over the examples is a fresh permutation; within a stretch of `BUCKET` batches examples of like length
    share a batch (less padding), and the batches come in random order. Fewer examples than `batch` are repeated.
    """
    rng = np.random.default_rng(seed)
    need = steps * batch
    order = np.concatenate([rng.permutation(len(lengths)) for _ in range(-(-need // len(lengths)))])[:need]
    schedule: list[list[int]] = []
    for start in range(0, need, BUCKET * batch):
        stretch = sorted(order[start : start + BUCKET * batch].tolist(), key=lambda i: lengths[i])
        cut = [stretch[i : i + batch] for i in range(0, len(stretch), batch)]
        schedule += [cut[i] for i in rng.permutation(len(cut))]
    return schedule


def task_nll(model, batch: dict) -> list[tuple[torch.Tensor, torch.Tensor, int]]:
    """For each task of a batch: nll float[P] of its real target tokens, the row long[P] of each, and how many rows."""
    if not model.config.is_encoder_decoder:
        return [_one_continuation(model, task) for task in batch["tasks"]]
    encoded = model.get_encoder()(input_ids=batch["sources"], attention_mask=batch["mask"])[0]  # (N, S, D)
    return [_one_task(model, encoded, batch["mask"], task) for task in batch["tasks"]]


def batch_loss(model, batch: dict, lam: float, reduction: str) -> torch.Tensor:
    """The multi-task loss of one batch (see lib/losses.py)."""
    losses = [reduce_nll(nll, rows, n, reduction) for nll, rows, n in task_nll(model, batch)]
    return multitask_loss(losses[0], losses[1] if len(losses) > 1 else None, lam)


class DistillationTrainer(Trainer):
    """The Hugging Face Trainer with the papers' loss, a schedule drawn beforehand, and accuracy as its evaluation."""

    def __init__(self, *args, plan: Plan, schedule: list[list[int]], validate: Callable | None, **kwargs):
        super().__init__(*args, **kwargs)
        self.plan, self.schedule, self.validate = plan, schedule, validate
        self.remove_callback(PrinterCallback)

    def get_train_dataloader(self) -> DataLoader:
        # a generator of its own: drawing the loader's seed must not touch the global random state
        generator = torch.Generator().manual_seed(self.plan.seed)
        return DataLoader(
            self.train_dataset, batch_sampler=self.schedule, collate_fn=self.data_collator, generator=generator
        )

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        loss = batch_loss(model, inputs, self.plan.lam, self.plan.reduction)
        return (loss, {}) if return_outputs else loss

    def evaluate(self, *args, **kwargs) -> dict[str, float]:
        self.model.eval()
        metrics = {"eval_accuracy": self.validate()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


class LogAtCheckpoints(TrainerCallback):
    """Every checkpoint starts a new mean of the loss, so that a resumed run logs what an uninterrupted one does."""

    def on_step_end(self, args, state, control, **kwargs):
        control.should_log |= state.global_step % args.save_steps == 0


def fit(
    student: Student, encoded: Sequence[Encoded], plan: Plan, folder: Path, validate: Callable[[], float] | None = None
) -> list[dict]:
    """Train one phase in place; with `validate`, the weights that did best on it are kept (the earliest of ties).

    folder    checkpoints while under way; an interrupted phase resumes from the last one, bit for bit on one machine
    validate  called every `plan.validate_every` steps: accuracy on validation questions, 0..1
    returns   the history: [{"step": 100, "loss": 1.2}, {"step": 100, "eval_accuracy": 0.4}, ...]
    """
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if not encoded:
        raise UserError("no usable training examples: nothing to fit the student on")
    refuse_other_logits(student)
    schedule = batches([e.tokens for e in encoded], plan.batch, plan.steps, plan.seed)
    optimizer = make_optimizer(student.model, plan)
    scheduler = get_cosine_schedule_with_warmup(optimizer, min(plan.warmup_steps, plan.steps // 2), plan.steps)
    trainer = DistillationTrainer(
        model=student.model,
        args=_arguments(plan, folder, validate is not None),
        train_dataset=list(encoded),
        # evaluation is by `validate`; the Trainer only asks that something be there
        eval_dataset=list(encoded[:1]) if validate else None,
        data_collator=collator(student),
        optimizers=(optimizer, scheduler),
        callbacks=[LogAtCheckpoints()],
        plan=plan,
        schedule=schedule,
        validate=validate,
    )
    trainer.train(resume_from_checkpoint=_last_checkpoint(folder))
    student.model.eval()
    return [_history_row(row) for row in trainer.state.log_history if "loss" in row or "eval_accuracy" in row]


def make_optimizer(model, plan: Plan) -> Optimizer:
    """Adafactor with scaled parameters for a student from scratch; AdamW, the papers' choice, for a pretrained one."""
    if plan.optimizer == "adafactor":
        return Adafactor(model.parameters(), lr=plan.learning_rate, scale_parameter=True, relative_step=False)
    return AdamW(model.parameters(), lr=plan.learning_rate)


def seconds_per_token(student: Student, encoded: Sequence[Encoded], batch: int, steps: int = 6) -> float:
    """Core-seconds of training a non-padding token, from a few steps on this machine; weights stay as they are."""
    schedule = batches([e.tokens for e in encoded], batch, steps, seed=0)
    together, seconds = collator(student), []
    for rows in schedule:
        began = time.process_time()
        batch_loss(student.model, together([encoded[i] for i in rows]), 1.0, "examples").backward()
        seconds.append((time.process_time() - began) / sum(encoded[i].tokens for i in rows))
    student.model.zero_grad()
    # the optimiser and the Trainer add about a third to forward and backward
    return 1.33 * float(np.median(seconds))


def _one_continuation(model, task: dict):
    """One task of a decoder-only student: the source is read and the target predicted in one pass."""
    hidden = model.get_decoder()(input_ids=task["inputs"], attention_mask=task["mask"], use_cache=False)[0]  # (B, T, D)
    real = task["targets"] >= 0
    # neither source nor padding reaches the projection
    return _nll(model, hidden[real], task["targets"][real]), real.nonzero()[:, 0], len(real)


def _one_task(model, encoded: torch.Tensor, mask: torch.Tensor, task: dict):
    """Decode one task's targets over its rows of the shared encoder output."""
    hidden = model.get_decoder()(
        input_ids=task["inputs"],
        encoder_hidden_states=encoded[task["rows"]],
        encoder_attention_mask=mask[task["rows"]],
        use_cache=False,
    )[0]  # (B, T, D)
    real = task["targets"] >= 0
    return _nll(model, hidden[real], task["targets"][real]), real.nonzero()[:, 0], len(real)


def _nll(model, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """float[P] of the states (P, D) that predict P target tokens."""
    return target_nll(linear(scaled_states(model, hidden), *output_projection(model)), targets)


def _arguments(plan: Plan, folder: Path, validated: bool) -> TrainingArguments:
    """One pass over the schedule; a checkpoint every 200 steps, or with every validation."""
    every = min(plan.validate_every or 200, plan.steps)
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=plan.steps,
        per_device_train_batch_size=plan.batch,
        max_grad_norm=1.0,
        seed=plan.seed,
        eval_strategy="steps" if validated else "no",
        eval_steps=every if validated else None,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=1,
        load_best_model_at_end=validated,
        metric_for_best_model="accuracy" if validated else None,
        greater_is_better=True if validated else None,
        logging_steps=max(plan.steps // 10, 1),
        logging_nan_inf_filter=False,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=False,
    )


def _last_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written whole; a torn one is deleted."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]), reverse=True)
    for path in found:
        if _whole(path):
            return str(path)
        shutil.rmtree(path)
    return None


def _whole(checkpoint: Path) -> bool:
    """Whether a checkpoint was written to its end: the Trainer writes its state last, and not in one go."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def _history_row(row: dict) -> dict:
    return {key: row[key] for key in ("step", "loss", "eval_accuracy") if key in row}
