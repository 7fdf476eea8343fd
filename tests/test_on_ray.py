"""Runs on a Ray cluster, here one of two workers on this machine, are those of local processes."""

import os
import sys
import time
from pathlib import Path

import pytest
from test_runs import content
from test_workers import alive, halved, slow_or_killed, within
from tiny_world import runs

from lib import paths
from lib import runs as runs_module
from lib.errors import UserError
from lib.runs import run_or_load, train_run
from lib.workers import spread, worker_count


def test_without_ray_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "lib.on_ray", raising=False)
    for asked in (lambda: worker_count(0, backend="ray"), lambda: list(spread(halved, [1], 1, backend="ray"))):
        with pytest.raises(UserError, match=r"train\.backend ray: .* pip install -r requirements-ray\.txt"):
            asked()


@pytest.fixture(scope="module")
def cluster():
    """Two workers' worth of cores."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-ray.txt")
    where = f"{paths.ROOT}:{Path(__file__).parent}"  # the jobs stand in the tests' modules
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": where}})
    yield ray
    ray.shutdown()


@pytest.mark.slow
def test_it_has_room_for_as_many_as_it_has_cores(cluster):
    assert [worker_count(0, backend="ray"), worker_count(0, 2, "ray"), worker_count(5, 1, "ray")] == [2, 1, 5]
    assert worker_count(0, 3, "ray") == 1


@pytest.mark.slow
def test_what_fails_there_ends_nothing_else(cluster):
    found = dict(spread(halved, [1, 3, 0, 2], 2, backend="ray"))
    assert (found[1], found[2], str(found[3])) == (6.0, 3.0, "3 is odd")
    assert isinstance(found[3], UserError) and isinstance(found[0], ZeroDivisionError)


@pytest.mark.slow
def test_a_killed_workers_job_is_done_again_there_and_no_other(cluster, tmp_path):
    jobs = [tmp_path / name for name in ("other", "once", "always")]
    found = {path.name: outcome for path, outcome in spread(slow_or_killed, jobs, 2, backend="ray")}
    assert (found["once"][1], found["other"][1]) == (2, 1)
    assert isinstance(found["always"], UserError) and "was killed 3 times" in str(found["always"])


@pytest.mark.slow
def test_jobs_under_way_end_with_the_loop(cluster, tmp_path):
    ended = spread(waits, [tmp_path / "quick", tmp_path / "slow"], 2, backend="ray")
    next(ended)
    pid = int((tmp_path / "slow").read_text())
    assert alive(pid)
    ended.close()
    assert within(20, lambda: not alive(pid))


def waits(path: Path) -> None:
    path.write_text(str(os.getpid()))
    end = time.monotonic() + 300
    while time.monotonic() < end and (path.name == "slow" or not path.with_name("slow").exists()):
        time.sleep(0.2)


def train_beside(run, folder):
    """Train in scratch/ beside `folder`."""
    paths.SCRATCH = folder.parent / "scratch"
    train_run(run, folder)


@pytest.mark.slow
def test_runs_there_are_the_same_bytes_as_here(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "SCRATCH", tmp_path / "scratch")
    monkeypatch.setattr(runs_module, "train_run", train_beside)
    arms = {"standard": {"explain": False}, "w/ SE": {"evaluations": 1}}
    here = run_or_load(runs(arms, steps=2), tmp_path / "here" / "runs", workers=1)
    there = run_or_load(runs(arms, steps=2, backend="ray"), tmp_path / "there" / "runs", workers=2)
    assert [r.folder.name for r in here] == [r.folder.name for r in there]
    for one, other in zip(here, there):
        assert other.trained and content(one.folder) == content(other.folder)
