"""Fit a student by the Hugging Face Trainer with the papers' loss.

    plan = Plan(steps=600, batch=16, learning_rate=0.03, warmup_steps=100)
    history = fit(student, examples, plan, folder, validate=...)   # resumes from `folder` if it was interrupted

A step has a fixed number of examples, in passes of at most `plan.pass_tokens` (lib/schedule.py); their losses are those
of lib/forward.py. The schedule is drawn before the first step, so that an interrupted run goes on with exactly the
batches that it would have seen.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
import transformers
from torch.optim import AdamW, Optimizer
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainingArguments, get_cosine_schedule_with_warmup
from transformers.optimization import Adafactor

from lib import distributed
from lib.callbacks import Curves, LiveCurves, LogAtCheckpoints, Patience, out_of_patience
from lib.encoding import Encoded, step_collator
from lib.errors import UserError
from lib.forcing import refuse_other_logits
from lib.forward import batch_loss, computed, in_precision, to_device
from lib.mishaps import checkpoints, memory_suffices, not_finite, refuse_another_recipe
from lib.schedule import BUCKET, batches
from lib.student import Student

__all__ = ["Plan", "fit", "make_optimizer", "on_one_device"]


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
    precision: str = "auto"  # fp32, or bf16 where there is a GPU that has it
    pass_tokens: int | None = None
    bucket: int = BUCKET
    keep: str = "best"
    patience: int | None = None
    checkpointing: bool = False
    compile: bool = False


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
            self.train_dataset,
            batch_sampler=self.schedule,
            collate_fn=self.data_collator,
            generator=generator,
            pin_memory=self.args.dataloader_pin_memory,
        )

    def training_step(self, model, inputs, num_items_in_batch=None):
        """Forward and backward of a step's passes; their gradients add up. Returns the step's loss."""
        if not model.training:  # walking through all modules at each step is a twentieth of a small student's time
            model.train()
        distributed.draw_alike_when_resumed(self.plan.seed, self.state.global_step)
        self.step_loss = torch.zeros((), device=self.args.device)
        for batch in inputs["passes"]:
            with in_precision(self.plan.precision, self.args.device):
                loss = batch_loss(model, to_device(batch, self.args.device), self.plan.lam, self.plan.reduction)
            self.accelerator.backward(loss)
            self.step_loss += loss.detach()
        distributed.add_up(chain((p.grad for p in model.parameters() if p.grad is not None), [self.step_loss]))
        return self.step_loss

    def _clip_grad_norm(self, model):
        """Before the weights are touched: a step whose loss or gradient is no number ends the training."""
        norm = super()._clip_grad_norm(model)
        if not torch.isfinite(self.step_loss + norm):  # the one place where a GPU is waited for
            values = {"loss": self.step_loss.item(), "gradient norm": float(norm)}
            raise _NotFiniteStep(values | {"learning rate": self._get_learning_rate()})
        return norm

    def evaluate(self, *args, **kwargs) -> dict[str, float]:
        self.model.eval()
        with torch.compiler.set_stance("force_eager"):  # writing has another shape at every token
            metrics = {"eval_accuracy": distributed.as_first(self.validate)}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def examples_under_way(self) -> list[tuple[int, Encoded]]:
        """The examples of the step that is not finished yet, with their index; where they are few, one comes twice."""
        step = min(self.state.global_step, len(self.schedule) - 1)
        return [(i, self.train_dataset[i]) for i in self.schedule[step]]

    def own_examples_under_way(self) -> list[Encoded]:
        """This process's share of them, which has one at least: `train.devices` are no more than `train.batch`."""
        first, every = distributed.share()
        return [example for _, example in self.examples_under_way()][first::every]


class _NotFiniteStep(Exception):
    """What was measured of it."""


def fit(
    student: Student,
    encoded: Sequence[Encoded],
    plan: Plan,
    folder: Path,
    validate: Callable[[], float] | None = None,
    curves: Curves | None = None,
    mend: str | None = None,
) -> list[dict]:
    """Train one phase in place; with `validate`, the weights that did best on it are kept (the earliest of ties).

    folder    checkpoints while under way; an interrupted phase resumes from the last one, bit for bit on one machine
    validate  called every `plan.validate_every` steps: accuracy on validation questions, 0..1
    curves    hears of the looks at validation, and of the loss at some 200 steps
    mend      what to do about a mishap, where the plan is not from section train
    returns   the history: [{"step": 100, "loss": 1.2}, {"step": 100, "eval_accuracy": 0.4}, ...]
    Raises UserError for no examples, for checkpoints of another recipe, for a loss or gradient that is not finite (the
    last good checkpoint stays), and where memory does not suffice.
    """
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if not encoded:
        raise UserError("no usable training examples: nothing to fit the student on")
    refuse_other_logits(student)
    distributed.as_first(lambda: refuse_another_recipe(folder, plan, encoded, student))
    checkpoint = distributed.as_first(lambda: _last_checkpoint(folder))
    trainer = _trainer(student, list(encoded), plan, folder, validate, checkpoint, curves)
    under_way, own = trainer.examples_under_way, trainer.own_examples_under_way
    try:
        with (
            memory_suffices(plan.batch, plan.pass_tokens, plan.checkpointing, own, mend),
            computed(student.model, plan.checkpointing, plan.compile),
        ):
            trainer.train(resume_from_checkpoint=checkpoint)
    except _NotFiniteStep as found:
        raise not_finite(folder, student, trainer.state.global_step, under_way(), found.args[0], mend) from None
    distributed.take_weights_of_first(student.model)
    student.model.eval()
    return [_history_row(row) for row in trainer.state.log_history if "loss" in row or "eval_accuracy" in row]


def _trainer(student: Student, encoded: list[Encoded], plan: Plan, folder, validate, checkpoint, curves):
    steps = _stopped_at(checkpoint, plan) or plan.steps
    schedule = batches([e.tokens for e in encoded], plan.batch, plan.steps, plan.seed, plan.bucket)[:steps]
    optimizer = make_optimizer(student.model, plan)
    scheduler = get_cosine_schedule_with_warmup(optimizer, min(plan.warmup_steps, plan.steps // 2), plan.steps)
    callbacks = [LogAtCheckpoints()]
    callbacks += [Patience(plan.patience)] if validate and plan.patience else []
    trainer = DistillationTrainer(
        model=student.model,
        args=_arguments(plan, folder, validate is not None, steps),
        train_dataset=encoded,
        # evaluation is by `validate`; the Trainer only asks that something be there
        eval_dataset=encoded[:1] if validate else None,
        data_collator=step_collator(student, plan.pass_tokens, distributed.share()),
        optimizers=(optimizer, scheduler),
        callbacks=callbacks,
        plan=plan,
        schedule=schedule,
        validate=validate,
    )
    if curves:
        trainer.add_callback(LiveCurves(curves, lambda: trainer.step_loss, plan.steps))
    return trainer


def make_optimizer(model, plan: Plan) -> Optimizer:
    """Adafactor with scaled parameters for a student from scratch; AdamW, the papers' choice, for a pretrained one."""
    if plan.optimizer == "adafactor":
        return Adafactor(model.parameters(), lr=plan.learning_rate, scale_parameter=True, relative_step=False)
    # torch's default for the decay is .01; fused, all weights are one call of a GPU (unmeasured), on a CPU no gain
    fused = torch.cuda.is_available() or None
    return AdamW(model.parameters(), lr=plan.learning_rate, weight_decay=0.0, fused=fused)


def _arguments(plan: Plan, folder: Path, validated: bool, steps: int) -> TrainingArguments:
    """One pass over the schedule; a checkpoint every 200 steps, or with every validation."""
    every = min(plan.validate_every or 200, plan.steps)
    writes = distributed.rank() == 0
    best = validated and plan.keep == "best" and writes
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=plan.batch,
        max_grad_norm=1.0,
        seed=plan.seed,
        eval_strategy="steps" if validated else "no",
        eval_steps=every if validated else None,
        save_strategy="steps" if writes else "no",
        save_steps=every,
        save_total_limit=1 if writes else None,  # who writes none deletes none
        load_best_model_at_end=best,
        metric_for_best_model="accuracy" if best else None,
        greater_is_better=True if best else None,
        logging_steps=max(plan.steps // 10, 1),
        logging_nan_inf_filter=False,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    return on_one_device(arguments)


def on_one_device(arguments: TrainingArguments) -> TrainingArguments:
    """Without this the Trainer would cut each pass over all visible GPUs (DataParallel), a model apart from ours."""
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def _last_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written whole; a torn one is deleted."""
    for path in reversed(checkpoints(folder)):
        if _state(path) is not None:
            return str(path)
        shutil.rmtree(path)
    return None


def _state(checkpoint: Path) -> dict | None:
    """The Trainer's state in a checkpoint; None where it is torn: the state is written last, and not in one go."""
    try:
        return json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _stopped_at(checkpoint: str | None, plan: Plan) -> int | None:
    """The step at which a phase that lost its patience ended; None if it goes on from this checkpoint."""
    state = _state(Path(checkpoint)) if checkpoint and plan.patience else None
    return state["global_step"] if state and out_of_patience(state["log_history"], plan.patience) else None


def _history_row(row: dict) -> dict:
    return {key: row[key] for key in ("step", "loss", "eval_accuracy") if key in row}
