"""Work spread over parallel processes: a thread or a GPU each; one that fails or is killed leaves the others alone.

    for run, outcome in spread(train, runs, workers=worker_count(0)):      # as they finish
        outcome                                     # what train(run) returned, or the exception that it ended with

A slot is a process of its own, so that only the job within it is lost if it is killed; that job is done again.
"""

import fcntl
import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

import joblib
import torch
from joblib.externals.loky.process_executor import BrokenProcessPool, ProcessPoolExecutor, TerminatedWorkerError

from lib.errors import UserError
from lib.kernel import ONE_THREAD

Item = TypeVar("Item")
Backend = Literal["joblib", "ray"]

GPUS = "CUDA_VISIBLE_DEVICES"
AGAIN = 2  # times that a job whose process was killed is done again
WATCH = "ends with its parent"


def worker_count(asked: int, devices: int = 1, backend: Backend = "joblib") -> int:
    """How many jobs go side by side: as asked; 0: one for each `devices` of the GPUs or, without any, cores."""
    if asked or backend == "joblib":
        return asked or max((len(visible_gpus()) or joblib.cpu_count()) // devices, 1)
    from lib import on_ray  # Ray is installed by those who have a cluster

    return on_ray.room(devices)


def visible_gpus() -> list[str]:
    """What CUDA_VISIBLE_DEVICES calls the GPUs that this process may use: ["0", "1"]; [] without any."""
    count, named = torch.cuda.device_count(), os.environ.get(GPUS)
    return (named.split(",") if named else [str(i) for i in range(count)])[:count]


def slot_environment(slot: int, devices: int = 1) -> dict[str, str]:
    """The variables of a slot's process: one thread and, where there are GPUs, `devices` of them, in turn.

    They are set before the process begins: CUDA reads them once, and a process that saw two GPUs would use both.
    """
    gpus = visible_gpus()
    if devices > len(gpus) > 0:
        raise UserError(f"train.devices {devices}: {len(gpus)} GPUs are visible ({GPUS}); lower it")
    own = [gpus[(slot * devices + i) % len(gpus)] for i in range(devices)] if gpus else []
    return ONE_THREAD | ({GPUS: ",".join(own)} if own else {})


def spread(
    work: Callable[[Item], Any], items: Sequence[Item], workers: int, devices: int = 1, backend: Backend = "joblib"
) -> Iterator[tuple[Item, Any]]:
    """Yield each item with what `work(item)` returned or the exception that it raised, as they finish.

    workers   processes at once, started in the items' order; 1: in this process (backend joblib)
    devices   GPUs of a process, where there are any
    A job whose process was killed is done again, twice at most, and then ends with a UserError.
    """
    if backend == "joblib" and workers == 1:
        yield from ((item, _here(work, item)) for item in items)
        return
    slots = _slots(backend, devices)
    waiting, free, busy = deque((item, 0) for item in items), deque(range(workers)), {}
    try:
        while waiting or busy:
            while waiting and free:
                (item, deaths), slot = waiting.popleft(), free.popleft()
                busy[slots.submit(slot, work, item)] = slot, item, deaths
            for future in wait(busy, return_when=FIRST_COMPLETED).done:
                slot, item, deaths = busy.pop(future)
                free.append(slot)
                outcome = slots.outcome(slot, future)
                if isinstance(outcome, slots.DEATHS) and deaths < AGAIN:
                    waiting.appendleft((item, deaths + 1))
                else:
                    yield item, _named(outcome, slots.DEATHS)
    finally:
        slots.end()


def raise_failed(outcomes: Mapping[str, Any], what: str) -> None:
    """One error that names all that failed; what is no UserError is raised as it is, with the names as a note.

    outcomes   what each job ended with (`spread`), by its name
    """
    failed = {name: outcome for name, outcome in outcomes.items() if isinstance(outcome, Exception)}
    if not failed:
        return
    reasons = "; ".join(f"{name}: {str(error) or type(error).__name__}" for name, error in failed.items())
    said = f"{len(failed)} of {len(outcomes)} {what} failed, the others are finished: {reasons}"
    strange = next((error for error in failed.values() if not isinstance(error, UserError)), None)
    if strange is None:
        raise UserError(said)
    strange.add_note(said)
    raise strange


class Processes:
    """Slots of this machine, each a joblib process that is started when it is first needed."""

    DEATHS = (TerminatedWorkerError,)

    def __init__(self, devices: int):
        self.devices, self.executors = devices, {}

    def submit(self, slot: int, work: Callable, item) -> Future:
        if slot not in self.executors:
            self.executors[slot] = own_process(slot_environment(slot, self.devices))
        return self.executors[slot].submit(user_errors_returned, work, item)

    def outcome(self, slot: int, future: Future):
        """What the job ended with; a broken process is replaced at the next one."""
        error = future.exception()
        if isinstance(error, BrokenProcessPool):
            self.executors.pop(slot).shutdown(wait=True, kill_workers=True)
        return error or future.result()

    def end(self) -> None:
        for executor in self.executors.values():
            executor.shutdown(wait=True, kill_workers=True)


def own_process(environment: Mapping[str, str]) -> ProcessPoolExecutor:
    """An executor of one process with these variables, not yet started; to be shut down by `kill_workers=True`."""
    return ProcessPoolExecutor(1, env=dict(environment))


def _slots(backend: Backend, devices: int):
    if backend == "joblib":
        return Processes(devices)
    from lib.on_ray import Cluster

    return Cluster(devices)


def user_errors_returned(work: Callable, item):
    """Called in a job's process: what the user can mend is a result; any other error tells the way it came."""
    try:
        return work(item)
    except UserError as error:
        return error


def _here(work: Callable, item):
    try:
        return work(item)
    except Exception as error:
        return error


def _named(outcome, deaths: tuple[type, ...]):
    return killed("its process", outcome) if isinstance(outcome, deaths) else outcome


def killed(what: str, error: BaseException) -> UserError:
    """What a job ends with whose process was killed again and again."""
    reason = " ".join(str(error).split())
    return UserError(f"{what} was killed {AGAIN + 1} times; too little memory? ({reason:.160})")


# -- within a process --------------------------------------------------------------------------------


def one_thread_worker() -> None:
    """Pin this process to one thread; if it is a worker, let it end when its parent is killed.

    Results at 1 and 2 threads differ, and two processes of one thread are faster than one of two. A worker that
    outlived its parent would train on beside the next attempt.
    """
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    if parent is not None and all(t.name != WATCH for t in threading.enumerate()):
        threading.Thread(target=_end_with, args=(parent.pid,), name=WATCH, daemon=True).start()


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Hold a lock, a file that may stay; wait while another process holds it. It goes with its process."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
