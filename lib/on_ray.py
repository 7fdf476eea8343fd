"""The slots of a Ray cluster, for lib/workers.py: a job is a task on whichever machine has a GPU or a core free.

    train.backend: ray        # in params.yaml; the cluster is the one that RAY_ADDRESS or `ray start` names

Where there is no cluster, Ray starts one of this machine alone. The repository's folder must be the same shared one
on all machines, with the same environment: checkpoints, locks and finished runs are files in it.
"""

import os
from collections.abc import Callable
from concurrent.futures import Future

from lib import INSTRUCTIONS, paths
from lib.errors import UserError
from lib.kernel import ONE_THREAD
from lib.workers import user_errors_returned

try:
    import ray
    from ray import exceptions
except ImportError:
    raise UserError("train.backend ray: Ray is not installed: pip install -r requirements-ray.txt") from None


class Cluster:
    """Slots of a cluster; a job takes `devices` GPUs where the cluster has any, else as many cores."""

    # what a job's process, or the machine that it was on, may end of
    DEATHS = (exceptions.WorkerCrashedError, exceptions.NodeDiedError, exceptions.OutOfMemoryError)

    def __init__(self, devices: int):
        connect()
        needs = {f"num_{_kind().lower()}s": devices}
        self.task = ray.remote(max_retries=0, **needs)(user_errors_returned)
        self.begun: list = []

    def submit(self, slot: int, work: Callable, item) -> Future:
        self.begun.append(self.task.remote(work, item))
        return self.begun[-1].future()

    def outcome(self, slot: int, future: Future):
        """What the job ended with."""
        return future.exception() or future.result()

    def end(self) -> None:
        """End what is still under way; the cluster stays."""
        under_way = ray.wait(self.begun, num_returns=len(self.begun), timeout=0)[1] if self.begun else []
        for job in under_way:
            ray.cancel(job, force=True)


def room(devices: int) -> int:
    """How many jobs of so many devices the cluster has room for, at least 1."""
    connect()
    return max(int(ray.cluster_resources().get(_kind(), 0)) // devices, 1)


def connect() -> None:
    """Join the cluster, once; its processes find lib/ in this repository's folder and take one thread each.

    They add as this process does: its choice of instructions goes with them.
    """
    if not ray.is_initialized():
        chosen = {name: os.environ[name] for name in INSTRUCTIONS if name in os.environ}
        variables = ONE_THREAD | chosen | {"PYTHONPATH": str(paths.ROOT)}
        ray.init(runtime_env={"env_vars": variables}, log_to_driver=False)


def _kind() -> str:
    return "GPU" if ray.cluster_resources().get("GPU") else "CPU"
