"""What a parallel process does before its work, one thread and no life after its parent's, and how all of them end."""

import fcntl
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from joblib.externals.loky import get_reusable_executor


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


@contextmanager
def workers_end() -> Iterator[None]:
    """End joblib's processes with the block; else they wait for more work, and hold their memory, for minutes."""
    try:
        yield
    finally:
        get_reusable_executor().shutdown(wait=True, kill_workers=True)


WATCH = "ends with its parent"


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
