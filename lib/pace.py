"""How fast this machine trains a student, from a few steps before there is a run.

seconds_per_token(student, encoded, plan)       # 3.1e-05: 10,000 tokens of it take a third of a second
off_the_gpu(timed, run)                         # timed(run), on a GPU by a process of its own; None: too little memory
"""

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError

from lib.encoding import Encoded, step_collator
from lib.errors import out_of_memory
from lib.forward import batch_loss, computed, in_precision, to_device
from lib.schedule import batches
from lib.student import Student, best_device
from lib.training import Plan
from lib.workers import own_process, slot_environment, user_errors_returned

# The optimizer and the Trainer add about a third to forward and backward.
WITH_OPTIMIZER = 1.33


def off_the_gpu(work: Callable, item) -> float | None:
    """work(item), a time; None where memory did not suffice: the training then says what to lower.

    Where there is a GPU, by a process of its own: what this one took of it, it would keep from the workers.
    """
    try:
        return _by_another(work, item) if torch.cuda.is_available() else work(item)
    except (MemoryError, RuntimeError) as error:
        if not (out_of_memory(error) or isinstance(error, TerminatedWorkerError)):
            raise
        return None


def _by_another(work: Callable, item):
    executor = own_process(slot_environment(0))
    try:
        found = executor.submit(user_errors_returned, work, item).result()
    finally:
        executor.shutdown(wait=True, kill_workers=True)
    if isinstance(found, Exception):
        raise found
    return found


def seconds_per_token(
    student: Student, encoded: Sequence[Encoded], plan: Plan, steps: int = 6, devices: int = 1
) -> float:
    """Seconds of training a non-padding token, the median of a few steps; weights stay, on the CPU, as they are.

    On a GPU by the clock on the wall; else core-seconds, which other work beside it leaves as they are. A first step,
    in which a device makes itself ready, is not counted. It is computed as in training: with dropout, with
    `plan.checkpointing`, and of a step only the share that one of so many devices has.
    """
    device = best_device()
    schedule = batches([e.tokens for e in encoded], plan.batch, 1 + steps, seed=0, bucket=plan.bucket)
    training = student.model.training
    student.model.to(device)
    student.model.train()
    try:
        with computed(student.model, plan.checkpointing, False):
            found = [_seconds(student, [encoded[i] for i in rows], plan, device, devices) for rows in schedule]
    finally:
        student.model.zero_grad()
        student.model.train(training)
        student.model.to("cpu")
    return WITH_OPTIMIZER * float(np.median(found[1:]))


def _seconds(student: Student, examples: list[Encoded], plan: Plan, device: torch.device, devices: int) -> float:
    """A token's share of the first device's part of one step, forward and backward."""
    began = now(device)
    for batch in step_collator(student, plan.pass_tokens, (0, devices))(examples)["passes"]:
        with in_precision(plan.precision, device):
            loss = batch_loss(student.model, to_device(batch, device), plan.lam, plan.reduction)
        loss.backward()
    return (now(device) - began) / sum(e.tokens for e in examples[::devices])


def now(device: torch.device) -> float:
    """Seconds: a GPU's when all that it was given is done, a CPU's of this process."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()
