"""Runs are trained once, in parallel processes, and found again by every stage and every table.

    results = run_or_load(runs, folder=paths.RUNS)          # trains only what never finished
    results[0].metrics["accuracy"], results[0].trained      # 0.87, False

A run under way lives in scratch/; its folder appears among the finished ones by one rename, whole:
recipe.json, metrics.json, predictions.jsonl, judgements.jsonl (arms with self-evaluation), student/ (a checkpoint).
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

from lib import distributed, paths
from lib.callbacks import Curves
from lib.encoding import Encoded, encode, limit_lengths
from lib.examples import Example
from lib.forward import precision_here
from lib.kernel import IN_PIPELINE
from lib.lengths import refuse_unfit_runs
from lib.measurement import answers, judgements, summary, validation_accuracy
from lib.pace import off_the_gpu, seconds_per_token
from lib.planning import Run, recipe_keys, student_keys, train_keys, weighs_by_lam
from lib.progress import progress
from lib.records import read_jsonl, write_json, write_jsonl
from lib.settings import Student as StudentSettings
from lib.student import Student, decoder_only, start_student
from lib.tasks import Task, get_task
from lib.training import Plan, fit
from lib.workers import alone, one_thread_worker, raise_failed, spread, worker_count

# Folders of scratch/ with runs that no stage keeps, but that need not be trained again: those of an interactive
# kernel, and those of arms or settings that are configured no longer.
INTERACTIVE, RETIRED = "interactive", "retired"


@dataclass(frozen=True)
class Result:
    """A finished run: what it measured on the test questions, and whether it was trained just now."""

    run: Run
    folder: Path
    metrics: dict
    trained: bool

    def predictions(self) -> list[dict]:
        """One row a test question, by id (`measurement.answers`)."""
        return read_jsonl(self.folder / "predictions.jsonl")

    def judgements(self) -> list[dict]:
        """One row a judged test rationale and phase; empty for arms without self-evaluation."""
        path = self.folder / "judgements.jsonl"
        return read_jsonl(path) if path.exists() else []


def run_or_load(runs: Sequence[Run], folder: Path, read: Sequence[Path] = (), workers: int = 0) -> list[Result]:
    """The results of all runs, in the given order; those that never finished are trained.

    folder    where finished runs are kept, one folder a run id
    read      other such folders, looked through as well
    workers   parallel processes, a GPU or one thread each; 0: one a GPU or, where there is none, one a core
    A run that fails ends no other; then one error names each that did.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for run in runs:
        _fetch(run, folder, read)
    missing = {run.id: run for run in runs if find(run, [folder, *read]) is None}
    train_all(list(missing.values()), folder, workers)
    return [_load(run, find(run, [folder, *read]), run.id in missing) for run in runs]


def retire(folder: Path, keep: Sequence[Run]) -> None:
    """Move runs that are configured no longer out of a stage's folder: what DVC sees follows from the settings."""
    retired, wanted = paths.SCRATCH / RETIRED, {run.id for run in keep}
    retired.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.iterdir() if folder.is_dir() else []):
        if path.name not in wanted:
            shutil.rmtree(retired / path.name, ignore_errors=True)
            shutil.move(path, retired / path.name)


def _fetch(run: Run, folder: Path, read: Sequence[Path]) -> None:
    """Bring a run that was finished elsewhere, interactively or under earlier settings, into `folder`."""
    found = find(run, [paths.SCRATCH / INTERACTIVE, paths.SCRATCH / RETIRED])
    if found and find(run, [folder, *read]) is None:
        partial = paths.SCRATCH / f"{run.id}.partial"
        shutil.copytree(found, partial, dirs_exist_ok=True)
        os.rename(partial, folder / run.id)


def where_to_train() -> Path:
    """Where an added arm's runs go: the ablate stage's own folder in the pipeline, scratch/ when interactive."""
    return paths.ABLATE_RUNS if IN_PIPELINE in os.environ else paths.SCRATCH / INTERACTIVE


def find(run: Run, folders: Sequence[Path]) -> Path | None:
    """The folder of a finished run, if there is one."""
    return next((folder / run.id for folder in folders if (folder / run.id).is_dir()), None)


def train_all(runs: Sequence[Run], folder: Path, workers: int) -> None:
    """Train runs, the longest first. One that fails ends no other; when all are done, an error names those that did.

    One whose process is killed goes on from its last checkpoint, twice at most.
    """
    if not runs:
        return
    refuse_unfit_runs(runs)
    devices, backend = runs[0].train.devices, runs[0].train.backend
    workers = min(worker_count(workers, devices, backend), len(runs))
    seconds = estimate(runs)
    time_left = "" if seconds is None else f"about {seconds / workers / devices / 60:.1f} min "
    unknown = "; how long is not known: no memory for a step beforehand" if seconds is None else ""
    said = f"{len(runs)} runs to train: {time_left}in {workers} processes{unknown}"
    print(said, file=sys.stderr, flush=True)
    longest_first = [_as_planned(run) for run in sorted(runs, key=lambda run: (-run.tokens, run.id))]
    with closing(spread(partial(train_run, folder=folder), longest_first, workers, devices, backend)) as ended:
        outcomes = list(progress(ended, len(runs), "training runs"))
    raise_failed({run.name: outcome for run, outcome in outcomes}, "runs")


def _as_planned(run: Run) -> Run:
    """On a cluster precision `auto` is what it came to here, where the run had its id from it."""
    if run.train.backend == "joblib":
        return run
    return replace(run, train=run.train.model_copy(update={"precision": precision_here(run.train.precision)}))


def estimate(runs: Sequence[Run]) -> float | None:
    """Core-seconds that training these runs will take, from a few steps of the first of each student, timed here.

    None where memory does not suffice for that.
    """
    tokens: dict[StudentSettings, int] = {}
    first: dict[StudentSettings, Run] = {}
    for run in runs:
        first.setdefault(run.student, run)
        tokens[run.student] = tokens.get(run.student, 0) + run.tokens
    timed = {student: off_the_gpu(_seconds_per_token, first[student]) for student in first}
    if None in timed.values():
        return None
    return sum(seconds * tokens[student] for student, seconds in timed.items())


def _seconds_per_token(run: Run) -> float:
    student = start_student(run.student, run.tokenizer, run.seed)
    encoded = _encoded(run, run.reasoning_phase)
    return seconds_per_token(student, encoded, _plan(run, run.recipe.steps), devices=run.train.devices)


def train_run(run: Run, folder: Path) -> None:
    """Train and measure one run; its folder appears under `folder` when it is finished.

    In this process or, with several `train.devices`, in as many new ones, for which this one holds the run's lock.
    """
    one_thread_worker()
    with alone(paths.SCRATCH / "runs" / f"{run.id}.lock"):
        if find(run, [folder]) is not None:
            return
        if run.train.devices == 1:
            _train_run(run, folder)
        else:
            distributed.again_if_killed(_train_run, (run, folder), run.train.devices)


def _train_run(run: Run, folder: Path) -> None:
    started = time.process_time()
    work, task = paths.SCRATCH / "runs" / run.id, get_task(run.held_out.task)
    student = start_student(run.student, run.tokenizer, run.seed)
    history, judged = {}, []
    if run.evaluation_phase:
        history["self_evaluation"] = _fit(student, run, run.evaluation_phase, run.recipe.self_eval_steps, work / "1")
        judged += _judge(student, run, "after phase 1")
    history["reasoning"] = _fit(
        student, run, run.reasoning_phase, run.recipe.steps, work / "2", _validation(student, run, task)
    )
    if distributed.rank():  # one of several processes: the first measures and writes
        return
    judged += _judge(student, run, "after phase 2") if run.evaluation_phase else []
    limits = run.student.max_label_tokens, run.student.max_target_tokens
    predictions = answers(student, task, run.held_out.test, run.recipe.explain, *limits, run.recipe.rationale_first)
    _write(run, student, history, predictions, judged, work / "finished")
    _place(work, folder / run.id)
    # Seconds differ from run to run, so they stay out of what DVC tracks.
    write_json(paths.SCRATCH / "timings" / f"{run.id}.json", {"core_seconds": round(time.process_time() - started, 1)})


def _fit(student: Student, run: Run, examples: Sequence[Example], steps: int, work: Path, validate=None) -> list[dict]:
    name = f"{run.arm}, seed {run.seed}"
    folder = paths.SCRATCH / "curves" / f"{name.replace('/', '_')} ({run.id[:6]})" / f"phase {work.name}"
    curves = None if distributed.rank() else Curves(name, folder, steps)
    return fit(student, _encoded(run, examples), _plan(run, steps, validate is not None), work, validate, curves)


def _plan(run: Run, steps: int, validated: bool = False) -> Plan:
    """A phase's plan. What its id does not tell apart stays one plan, so that a run under way goes on."""
    own = {"steps", "lam", "precision"}
    names = {field.name for field in fields(Plan)} & set(type(run.train).model_fields) - own
    return Plan(
        steps=steps,
        lam=run.recipe.lam if weighs_by_lam(run.recipe) else 0.0,
        precision=precision_here(run.train.precision),
        # about as many looks at validation for a long run as for a short one, at the same places of its schedule
        validate_every=max(steps // run.train.validations, 1) if validated else 0,
        seed=run.seed,
        **{name: getattr(run.train, name) for name in names},
    )


def _encoded(run: Run, examples: Sequence[Example]) -> list[Encoded]:
    limits = run.student
    encoded = encode(run.tokenizer, examples, decoder_only(limits))
    return limit_lengths(encoded, limits.max_source_tokens, limits.max_target_tokens, limits.max_truncated_share)


def _validation(student: Student, run: Run, task: Task) -> Callable[[], float] | None:
    """Accuracy on the validation questions; None where there are none."""
    questions, first = run.held_out.validation, run.recipe.rationale_first
    longest = run.student.max_target_tokens if first else run.student.max_label_tokens
    return (lambda: validation_accuracy(student, task, questions, longest, first)) if questions else None


def _judge(student: Student, run: Run, phase: str) -> list[dict]:
    judged = [] if distributed.rank() else judgements(student, run.held_out.judged)
    return [{"phase": phase} | row for row in judged]


def _write(
    run: Run, student: Student, history: dict, predictions: list[dict], judged: list[dict], folder: Path
) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    student.save(folder / "student")
    recipe = {"recipe": recipe_keys(run.plain), "labels": run.labels, "seed": run.seed}
    recipe |= {"student": student_keys(run.student), "train": train_keys(run.train)}
    write_json(folder / "recipe.json", recipe)
    write_jsonl(folder / "predictions.jsonl", predictions)
    if judged:
        write_jsonl(folder / "judgements.jsonl", judged)
    write_json(folder / "metrics.json", {**summary(predictions), "tokens": run.tokens, "history": history})


def _place(work: Path, final: Path) -> None:
    """Move the finished folder among the finished runs, then drop the checkpoints of the way there."""
    final.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.rename(work / "finished", final)
    except OSError:
        if not final.is_dir():  # else another process finished the same run first: equal content, so nothing is lost
            raise
    shutil.rmtree(work, ignore_errors=True)


def _load(run: Run, folder: Path, trained: bool) -> Result:
    return Result(run, folder, json.loads((folder / "metrics.json").read_text(encoding="utf-8")), trained)
