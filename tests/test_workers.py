"""Parallel processes take one thread each, end with their work, and do not outlive a parent that was killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
import torch
from joblib import Parallel, delayed

from lib import paths
from lib.workers import WATCH, one_thread_worker, workers_end

SLEEPERS = """
import os, sys, time
from joblib import Parallel, delayed

def sleep(folder):
    from lib.workers import one_thread_worker
    one_thread_worker()
    open(f"{folder}/{os.getpid()}", "w").close()
    time.sleep(300)

Parallel(2)(delayed(sleep)(sys.argv[1]) for _ in range(2))
"""


def describe() -> tuple[int, int, list[str]]:
    """Called in a worker, twice."""
    one_thread_worker()
    one_thread_worker()
    return os.getpid(), torch.get_num_threads(), [t.name for t in threading.enumerate() if t.name == WATCH]


def test_worker_has_one_thread_and_watches_its_parent_once():
    with workers_end():
        found = Parallel(2)(delayed(describe)() for _ in range(4))
    assert [(threads, watches) for _, threads, watches in found] == [(1, [WATCH])] * 4
    assert os.getpid() not in {pid for pid, _, _ in found}


def test_in_the_process_itself_nothing_watches():
    before = torch.get_num_threads()
    one_thread_worker()
    assert torch.get_num_threads() == 1
    assert all(thread.name != WATCH for thread in threading.enumerate())
    torch.set_num_threads(before)


@pytest.mark.parametrize("mistake", [None, ZeroDivisionError])
def test_workers_end_with_the_block(mistake):
    pids = []
    try:
        with workers_end():
            pids = Parallel(2)(delayed(os.getpid)() for _ in range(4))
            assert all(map(alive, pids))
            if mistake:
                raise mistake
    except ZeroDivisionError:
        assert mistake
    assert pids and not any(map(alive, pids))


def test_workers_end_when_their_parent_is_killed(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(paths.ROOT)}
    parent = subprocess.Popen(
        [sys.executable, "-c", SLEEPERS, str(tmp_path)], env=environment, stderr=subprocess.DEVNULL
    )
    assert within(60, lambda: len(list(tmp_path.iterdir())) == 2)
    pids = [int(Path(path).name) for path in tmp_path.iterdir()]
    assert all(map(alive, pids))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    assert within(10, lambda: not any(map(alive, pids)))


def within(seconds: float, condition) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
