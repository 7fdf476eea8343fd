"""Sampled answers of finished students, drawn once, in parallel processes, and found again.

    sampled = infer_or_load(results, cfg.infer, folder=where_to_infer(), read=[paths.INFERENCE])
    sampled[results[0].run.id][0]["p_correct"]          # 0.83; see lib/votes.py for a row

Asked are students with self-evaluation, and those of arms that are like theirs but without (`counterparts`): these
cannot judge, but tell what learning to judge does to the samples. A file belongs to a run and the settings that drew
it, `<run id>-<settings>.jsonl`. Seconds differ from time to time, so they go to scratch/ and not into it.
"""

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from lib import arms, paths
from lib.comparison import by_arm
from lib.kernel import IN_PIPELINE
from lib.progress import progress, say
from lib.records import read_jsonl, write_json, write_jsonl
from lib.runs import INTERACTIVE, RETIRED, Result
from lib.settings import Infer
from lib.student import load_student, to_best_device
from lib.tasks import get_task
from lib.votes import sampled_answers
from lib.workers import Backend, one_thread_worker, raise_failed, spread, worker_count

# Raise it when a change of the code makes equal settings draw or judge differently.
INFERENCE_VERSION = 2


def infer_or_load(
    results: Sequence[Result], infer: Infer, folder: Path, read: Sequence[Path] = (), workers: int = 0
) -> dict[str, list[dict]]:
    """The sampled answers to the test questions of each run that is asked (`asked`), by the run's id.

    folder    where new ones are kept
    read      other such folders, looked through as well
    workers   parallel processes, a GPU or one thread each; 0: one a GPU or, where there is none, one a core
    """
    wanted = asked(results) if infer.samples else []
    names = {r.run.id: file_name(r.run.id, infer) for r in wanted}
    for name in names.values():
        _fetch(name, folder, read)
    missing = [r for r in wanted if _find(names[r.run.id], [folder, *read]) is None]
    if missing:
        backend = missing[0].run.train.backend
        _infer_all(missing, infer, folder, worker_count(workers, backend=backend), backend)
    return {run: read_jsonl(_find(name, [folder, *read])) for run, name in names.items()}


def counterparts(results: Sequence[Result]) -> dict[str, str]:
    """`arms.counterparts` of the arms that were run."""
    return arms.counterparts({arm: group[0].run.recipe for arm, group in by_arm(results).items()})


def asked(results: Sequence[Result]) -> list[Result]:
    """Runs of arms with self-evaluation and of their counterparts; two arms that are the same runs are asked once."""
    names = {arm for arm, group in by_arm(results).items() if group[0].run.recipe.evaluations}
    names |= set(counterparts(results).values())
    return list({r.run.id: r for r in results if r.run.arm in names}.values())


def _infer_all(missing: Sequence[Result], infer: Infer, folder: Path, workers: int, backend: Backend) -> None:
    """Draw for all of them; one that fails ends no other."""
    count, workers = len(missing), min(workers, len(missing))
    questions = sum(len(r.run.held_out.test) for r in missing)
    say(f"{count} students draw {infer.samples} rationales of {questions // count} questions each, {workers} at a time")
    work = partial(infer_run, infer=infer, folder=folder)
    with closing(spread(work, missing, workers, backend=backend)) as ended:
        outcomes = [(r.run, outcome) for r, outcome in progress(ended, count, "drawing rationales")]
    raise_failed({run.name: outcome for run, outcome in outcomes}, "runs")
    seconds = sum(outcome for _, outcome in outcomes)
    print(f"{1000 * seconds / questions:.1f} ms a question and core", file=sys.stderr, flush=True)


def infer_run(result: Result, infer: Infer, folder: Path) -> float:
    """Draw and judge one run's answers in this process; returns the seconds of processor time it took."""
    one_thread_worker()
    run, began = result.run, time.process_time()
    student, task = to_best_device(load_student(result.folder / "student")), get_task(result.run.held_out.task)
    limit, sees = run.student.max_target_tokens, run.recipe.judge_sees if run.recipe.evaluations else None
    rows = sampled_answers(student, task, run.held_out.test, infer, f"seed {run.seed}", limit, sees)
    seconds, name = time.process_time() - began, file_name(run.id, infer)
    folder.mkdir(parents=True, exist_ok=True)
    write_jsonl(folder / name, rows)
    timing = {"core_seconds": round(seconds, 1), "questions": len(run.held_out.test)}
    write_json(paths.SCRATCH / "timings" / f"inference-{Path(name).stem}.json", timing)
    return seconds


def retire(folder: Path, keep: Sequence[Result], infer: Infer) -> None:
    """Move answers that belong to no run and setting any more out of a stage's folder, as `runs.retire` moves runs.

    What DVC sees follows from the settings; to draw again what earlier ones drew would cost as long as before.
    """
    retired, wanted = _retired(), {file_name(r.run.id, infer) for r in asked(keep) if infer.samples}
    for place in (folder, retired):
        place.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.glob("*.jsonl")):
        if path.name not in wanted:
            shutil.move(path, retired / path.name)


def file_name(run_id: str, infer: Infer) -> str:
    """A run's file under these settings."""
    said = json.dumps([INFERENCE_VERSION, infer.model_dump()], sort_keys=True)
    return f"{run_id}-{hashlib.sha256(said.encode()).hexdigest()[:8]}.jsonl"


def where_to_infer() -> Path:
    """The stage's own folder in the pipeline, scratch/ when interactive."""
    return paths.INFERENCE if IN_PIPELINE in os.environ else paths.SCRATCH / INTERACTIVE / "inference"


def _fetch(name: str, folder: Path, read: Sequence[Path]) -> None:
    """Bring what was drawn interactively, or under earlier settings, into `folder`."""
    found = _find(name, [paths.SCRATCH / INTERACTIVE / "inference", _retired()])
    if found and _find(name, [folder, *read]) is None:
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"{name}.partial"
        shutil.copyfile(found, partial)
        os.replace(partial, folder / name)


def _retired() -> Path:
    return paths.SCRATCH / RETIRED / "inference"


def _find(name: str, folders: Sequence[Path]) -> Path | None:
    return next((folder / name for folder in folders if (folder / name).is_file()), None)
