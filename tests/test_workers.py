"""Parallel processes take a thread or a GPU each, end with their work or their parent, and fail or die alone."""

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

from lib import paths, workers
from lib.errors import UserError
from lib.workers import (
    AGAIN,
    GPUS,
    WATCH,
    one_thread_worker,
    raise_failed,
    slot_environment,
    spread,
    visible_gpus,
    worker_count,
)

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


def describe(_) -> tuple[int, int, list[str]]:
    """Called in a worker, twice."""
    one_thread_worker()
    one_thread_worker()
    return os.getpid(), torch.get_num_threads(), [t.name for t in threading.enumerate() if t.name == WATCH]


def test_worker_has_one_thread_and_watches_its_parent_once():
    found = [outcome for _, outcome in spread(describe, range(4), workers=2)]
    assert [(threads, watches) for _, threads, watches in found] == [(1, [WATCH])] * 4
    pids = {pid for pid, _, _ in found}
    assert len(pids) == 2 and os.getpid() not in pids


def test_in_the_process_itself_nothing_watches():
    before = torch.get_num_threads()
    one_thread_worker()
    assert torch.get_num_threads() == 1
    assert all(thread.name != WATCH for thread in threading.enumerate())
    torch.set_num_threads(before)


@pytest.mark.parametrize("mistake", [None, ZeroDivisionError])
def test_workers_end_with_the_loop(mistake):
    pids = set()
    try:
        for _, (pid, _, _) in spread(describe, range(4), workers=2):
            assert alive(pid)
            pids.add(pid)
            if mistake:
                raise mistake
    except ZeroDivisionError:
        assert mistake
    assert pids and within(20, lambda: not any(map(alive, pids)))


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


# -- spread ------------------------------------------------------------------------------------------


def halved(number: int) -> float:
    if number == 3:
        raise UserError("3 is odd")
    return 6 / number  # 0: a mistake of ours


@pytest.mark.parametrize("workers", [1, 2])
def test_what_fails_ends_nothing_else(workers):
    found = dict(spread(halved, [1, 3, 0, 2], workers))
    assert (found[1], found[2]) == (6.0, 3.0)
    assert isinstance(found[3], UserError) and str(found[3]) == "3 is odd"
    assert isinstance(found[0], ZeroDivisionError)


def slow_or_killed(path: Path) -> tuple[int, int]:
    """The process and how often it was begun; "once" kills its process at the first time, "always" each time."""
    path.with_name(f"{path.name} {os.getpid()}").touch()
    begun = len(list(path.parent.glob(f"{path.name} *")))
    if path.name == "always" or (path.name == "once" and begun == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(1)
    return os.getpid(), begun


def test_a_killed_workers_job_is_done_again_and_no_other(tmp_path):
    jobs = [tmp_path / name for name in ("other", "once", "another")]
    found = {path.name: outcome for path, outcome in spread(slow_or_killed, jobs, workers=2)}
    assert found["once"][1] == 2
    assert (found["other"][1], found["another"][1]) == (1, 1)
    assert not any(alive(pid) for pid, _ in found.values())


def test_a_job_that_always_dies_is_named_after_the_third_time(tmp_path):
    found = {path.name: o for path, o in spread(slow_or_killed, [tmp_path / "always", tmp_path / "other"], workers=2)}
    assert isinstance(found["always"], UserError) and f"was killed {AGAIN + 1} times" in str(found["always"])
    assert len(list(tmp_path.glob("always *"))) == AGAIN + 1
    assert found["other"][1] == 1


def test_one_error_names_all_that_failed():
    raise_failed({}, "runs")
    raise_failed({"a": 1.5, "b": None}, "runs")
    with pytest.raises(UserError, match=r"^2 of 3 runs failed, the others are finished: a: no number; b: too long$"):
        raise_failed({"a": UserError("no number"), "b": UserError("too long"), "c": 1.5}, "runs")
    with pytest.raises(ZeroDivisionError) as found:
        raise_failed({"a": UserError("no number"), "b": ZeroDivisionError(), "c": None}, "runs")
    assert found.value.__notes__ == ["2 of 3 runs failed, the others are finished: a: no number; b: ZeroDivisionError"]


# -- GPUs --------------------------------------------------------------------------------------------


@pytest.fixture
def gpus(monkeypatch):
    """Let there be so many."""
    monkeypatch.delenv(GPUS, raising=False)
    return lambda count: monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


def test_workers_are_one_a_gpu_else_one_a_core_unless_asked(gpus, monkeypatch):
    monkeypatch.setattr(workers.joblib, "cpu_count", lambda: 16)
    gpus(0)
    assert [worker_count(0), worker_count(0, devices=4), worker_count(0, devices=17), worker_count(3)] == [16, 4, 1, 3]
    gpus(4)
    assert [worker_count(0), worker_count(0, devices=2), worker_count(6)] == [4, 2, 6]


def test_each_slot_has_gpus_of_its_own(gpus, monkeypatch):
    gpus(4)
    assert [slot_environment(slot)[GPUS] for slot in range(5)] == ["0", "1", "2", "3", "0"]
    assert [slot_environment(slot, devices=2)[GPUS] for slot in range(2)] == ["0,1", "2,3"]
    monkeypatch.setenv(GPUS, "5,7")  # CUDA would count two of them
    gpus(2)
    assert visible_gpus() == ["5", "7"]
    assert [slot_environment(slot)[GPUS] for slot in range(2)] == ["5", "7"]
    gpus(0)
    assert GPUS not in slot_environment(0) and slot_environment(0)["OMP_NUM_THREADS"] == "1"


def test_more_devices_than_there_are_are_refused(gpus):
    gpus(1)
    with pytest.raises(UserError, match=r"train\.devices 2: 1 GPUs are visible"):
        slot_environment(0, devices=2)


def gpu_of(_) -> str | None:
    time.sleep(1)
    return os.environ.get(GPUS)


def test_a_worker_knows_its_gpu_from_its_beginning(gpus):
    gpus(2)
    assert sorted(gpu for _, gpu in spread(gpu_of, range(2), workers=2)) == ["0", "1"]


COUNTING = """
import torch
asked = []
torch.cuda.is_available = torch.cuda._lazy_init = lambda: asked.append(1)
import lib.runs, lib.inferred
assert not asked, asked
"""


def test_no_import_asks_for_cuda():
    """What CUDA sees is settled by its first call."""
    subprocess.run([sys.executable, "-c", COUNTING], cwd=paths.ROOT, check=True)


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
