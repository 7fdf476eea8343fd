"""How fast this machine trains a student, from a few steps before there is a run.

seconds_per_token(student, encoded, plan)       # 3.1e-05: 10,000 tokens of it take a third of a second
"""

import time
from collections.abc import Sequence

import numpy as np
import torch

from lib.encoding import Encoded, step_collator
from lib.forward import batch_loss, in_precision, to_device
from lib.schedule import batches
from lib.student import Student, best_device
from lib.training import Plan

# The optimizer and the Trainer add about a third to forward and backward.
WITH_OPTIMIZER = 1.33


def seconds_per_token(student: Student, encoded: Sequence[Encoded], plan: Plan, steps: int = 6) -> float:
    """Seconds of training a non-padding token, the median of a few steps; weights stay, on the CPU, as they are.

    On a GPU by the clock on the wall; else core-seconds, which other work beside it leaves as they are. A first step,
    in which a device makes itself ready, is not counted.
    """
    device = best_device()
    schedule = batches([e.tokens for e in encoded], plan.batch, 1 + steps, seed=0, bucket=plan.bucket)
    student.model.to(device)
    try:
        found = [_seconds(student, [encoded[i] for i in rows], plan, device) for rows in schedule]
    finally:
        student.model.zero_grad()
        student.model.to("cpu")
    return WITH_OPTIMIZER * float(np.median(found[1:]))


def _seconds(student: Student, examples: list[Encoded], plan: Plan, device: torch.device) -> float:
    """A token's share of one step, forward and backward."""
    began = now(device)
    for batch in step_collator(student, plan.pass_tokens)(examples)["passes"]:
        with in_precision(plan.precision, device):
            loss = batch_loss(student.model, to_device(batch, device), plan.lam, plan.reduction)
        loss.backward()
    return (now(device) - began) / sum(e.tokens for e in examples)


def now(device: torch.device) -> float:
    """Seconds: a GPU's when all that it was given is done, a CPU's of this process."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()
