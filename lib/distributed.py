"""One big run over several devices: a process each, with its share of every step's examples.

    together(train, (run, folder), processes=2)       # both do train(run, folder); returns what the first one returned
    again_if_killed(train, (run, folder), 2)          # the same; where one is killed, all of them begin again

Within them process r of n takes the examples r, r+n, r+2n, ... of a step. Each divides by the whole step's counts, so
the sums over the processes of their losses and gradients are those of one process, but for rounding. All of them hold
the same weights throughout; the first one alone validates, measures and writes. In any other process the functions
below find that it is alone, and do nothing. Dropout draws otherwise than one process would, and in each otherwise.
"""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, wait
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from joblib.externals.loky.process_executor import TerminatedWorkerError

from lib.draws import draw
from lib.errors import UserError
from lib.workers import AGAIN, killed, one_thread_worker, own_process, slot_environment

Value = TypeVar("Value")

PATIENCE = timedelta(days=1)  # the others wait while the first one validates
AT_ONCE = 2**24  # numbers that are added up in one message
GRACE = 5.0  # seconds that the other processes have to say what they think went wrong


def rank() -> int:
    """Which of the processes of a run this is; 0 also where there is but one."""
    return dist.get_rank() if _several() else 0


def share() -> tuple[int, int]:
    """(r, n): process r of n takes examples r, r+n, ... of a step; (0, 1) takes all."""
    return (dist.get_rank(), dist.get_world_size()) if _several() else (0, 1)


def add_up(tensors: Iterable[torch.Tensor]) -> None:
    """Replace each tensor by its sum over the processes, many tensors in one message."""
    for group in _groups(tensors) if _several() else ():
        flat = torch.cat([tensor.flatten() for tensor in group])
        dist.all_reduce(flat)
        for tensor, summed in zip(group, flat.split([tensor.numel() for tensor in group])):
            tensor.copy_(summed.view_as(tensor))


def as_first(make: Callable[[], Value]) -> Value:
    """What `make()` returns in the first process, in all of them; the others wait and do not call it."""
    if not _several():
        return make()
    told = [make() if rank() == 0 else None]
    dist.broadcast_object_list(told, src=0)
    return told[0]


@torch.no_grad()
def take_weights_of_first(model: torch.nn.Module) -> None:
    """Give all processes the first one's weights: it alone went back to the best of its checkpoints."""
    for weight in model.parameters() if _several() else ():
        dist.broadcast(weight.data, src=0)


def draw_alike_when_resumed(seed: int, step: int) -> None:
    """Seed the random state of one of several processes by seed, step and rank; one that is alone keeps its own.

    Only the first process writes checkpoints: of the others' random states they know nothing.
    """
    if _several():
        torch.manual_seed(int.from_bytes(draw(f"step/{seed}/{step}/{rank()}")[:7]))


def again_if_killed(work: Callable, arguments: Sequence[Any], processes: int) -> Any:
    """`together`; where a process is killed, all are begun again, twice at most, and then it is a UserError."""
    for _ in range(AGAIN + 1):
        try:
            return together(work, arguments, processes)
        except TerminatedWorkerError as error:
            death = error
    raise killed("one of its processes", death) from death


def together(work: Callable, arguments: Sequence[Any], processes: int) -> Any:
    """Call `work(*arguments)` in so many new processes, a GPU or a thread each; returns what the first one returned.

    If one fails, all are ended. Raises a UserError of any of them, else what the first that failed raised.
    """
    with tempfile.TemporaryDirectory() as folder:
        executors = [own_process(slot_environment(slot)) for slot in range(processes)]
        try:
            store = Path(folder) / "store"
            futures = [
                executor.submit(_as_rank, work, arguments, r, processes, store) for r, executor in enumerate(executors)
            ]
            if any(future.exception() for future in wait(futures, return_when=FIRST_EXCEPTION).done):
                _raise_reason(futures)
            return futures[0].result()
        finally:
            for executor in executors:
                executor.shutdown(wait=True, kill_workers=True)


def _as_rank(work: Callable, arguments: Sequence[Any], r: int, processes: int, store: Path) -> Any:
    one_thread_worker()
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    where = {"rank": r, "world_size": processes, "init_method": f"file://{store}"}
    dist.init_process_group(backend, timeout=PATIENCE, **where)
    try:
        returned = work(*arguments)
        return returned if r == 0 else None
    finally:
        dist.destroy_process_group()


def _raise_reason(futures) -> None:
    """The likeliest cause: a process that loses another one fails too, but only the other knows why."""
    done = wait(futures, timeout=GRACE).done
    errors = [error for future in futures if future in done and (error := future.exception())]
    raise min(errors, key=lambda e: (not isinstance(e, UserError), not isinstance(e, TerminatedWorkerError)))


def _several() -> bool:
    return dist.is_available() and dist.is_initialized()


def _groups(tensors: Iterable[torch.Tensor]) -> Iterable[list[torch.Tensor]]:
    """Neighbours of one type on one device, up to AT_ONCE numbers together; a larger tensor is alone."""
    group: list[torch.Tensor] = []
    for tensor in tensors:
        alike = group and (tensor.dtype, tensor.device) == (group[0].dtype, group[0].device)
        if group and not (alike and sum(t.numel() for t in group) + tensor.numel() <= AT_ONCE):
            yield group
            group = []
        group.append(tensor)
    if group:
        yield group
