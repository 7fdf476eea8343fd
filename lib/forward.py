"""A batch of a student's tasks, forward to the loss; lib/encoding.py makes the batch.

    loss = batch_loss(student.model, collator(student)(examples), lam=0.5, reduction="examples")

One encoder call serves both tasks of an encoder-decoder; a decoder-only student reads the source with each. The output
projection and the cross-entropy are computed at real target positions only, and where these and the vocabulary are
many, a piece at a time (`losses.weighted_nll`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch.nn.functional import linear

from lib.forcing import output_projection, scaled_states
from lib.losses import (
    logits_at_once,
    multitask_loss,
    reduce_nll,
    target_nll,
    token_weights,
    unknown_reduction,
    weighted_nll,
)
from lib.student import best_device

# Pieces' worth of logits from which the loss is computed in pieces; for fewer, all logits at once are the faster.
MANY_PIECES = 2


class TaskStates(NamedTuple):
    """The states that predict a task's real target tokens.

    states   float[P, D], what the output projection takes;  targets long[P];  rows long[P], the row of each;  n rows
    """

    states: torch.Tensor
    targets: torch.Tensor
    rows: torch.Tensor
    n: int


def task_nll(model, batch: dict) -> list[tuple[torch.Tensor, torch.Tensor, int]]:
    """For each task of a batch: nll float[P] of its real target tokens, the row long[P] of each, and how many rows."""
    head = output_projection(model)
    return [(target_nll(linear(own.states, *head), own.targets), own.rows, own.n) for own in task_states(model, batch)]


def batch_loss(model, batch: dict, lam: float, reduction: str) -> torch.Tensor:
    """The multi-task loss of one batch (see lib/losses.py).

    With `batch["whole"]`, a (rows, tokens) of each task, the batch is one pass of a step that has so many in all, and
    this is its part of the step's loss: the parts sum to it.
    """
    losses = []
    for i, own in enumerate(task_states(model, batch)):
        loss = _task_loss(*output_projection(model), own, reduction)
        losses.append(loss * _share(own, batch["whole"][i], reduction) if "whole" in batch else loss)
    return multitask_loss(losses[0], losses[1] if len(losses) > 1 else None, lam)


def task_states(model, batch: dict) -> Iterator[TaskStates]:
    """The states at the real target positions of each task of a batch.

    One by one: in which order the losses are computed decides in which order their gradients are added up.
    """
    if not model.config.is_encoder_decoder:
        yield from (_one_continuation(model, task) for task in batch["tasks"])
        return
    encoded = model.get_encoder()(input_ids=batch["sources"], attention_mask=batch["mask"])[0]  # (N, S, D)
    yield from (_one_task(model, encoded, batch["mask"], task) for task in batch["tasks"])


def _task_loss(weight: torch.Tensor, bias: torch.Tensor | None, own: TaskStates, reduction: str) -> torch.Tensor:
    if len(own.targets) * len(weight) > MANY_PIECES * logits_at_once(weight.device):
        weights = token_weights(own.rows, own.n, reduction)
        return weighted_nll(own.states, weight, bias, own.targets, weights)
    return reduce_nll(target_nll(linear(own.states, weight, bias), own.targets), own.rows, own.n, reduction)


def _share(own: TaskStates, whole: tuple[int, int], reduction: str) -> float:
    """A pass's part of a step's mean: by rows, or by tokens."""
    rows, tokens = whole
    if reduction == "examples":
        return own.n / rows
    if reduction == "tokens":
        return len(own.targets) / tokens
    raise unknown_reduction(reduction)


def _one_continuation(model, task: dict) -> TaskStates:
    """One task of a decoder-only student: the source is read and the target predicted in one pass."""
    hidden = model.get_decoder()(input_ids=task["inputs"], attention_mask=task["mask"], use_cache=False)[0]  # (B, T, D)
    return _at_targets(hidden, task)


def _one_task(model, encoded: torch.Tensor, mask: torch.Tensor, task: dict) -> TaskStates:
    """Decode one task's targets over its rows of the shared encoder output."""
    hidden = model.get_decoder()(
        input_ids=task["inputs"],
        encoder_hidden_states=encoded[task["rows"]],
        encoder_attention_mask=mask[task["rows"]],
        use_cache=False,
    )[0]  # (B, T, D)
    own = _at_targets(hidden, task)
    return own._replace(states=scaled_states(model, own.states))


def _at_targets(hidden: torch.Tensor, task: dict) -> TaskStates:
    """hidden float[B, T, D] at the real targets alone: neither source nor padding reaches the projection.

    By places that the collator found, not by a mask: how many a mask selects a GPU would have to be asked.
    """
    return TaskStates(hidden.flatten(0, 1)[task["at"]], task["targets"], task["of"], len(hidden))


# -- how it is computed ------------------------------------------------------------------------------


def to_device(batch, device: torch.device):
    """A batch, nested dicts and lists of tensors among other values, on a device; from pinned memory without a wait."""
    if isinstance(batch, dict):
        return {key: to_device(value, device) for key, value in batch.items()}
    if isinstance(batch, list):
        return [to_device(value, device) for value in batch]
    return batch.to(device, non_blocking=True) if isinstance(batch, torch.Tensor) else batch


def in_precision(precision: str, device: torch.device):
    """The context of a forward pass: weights stay in fp32; bf16 rounds what the matrix products take and give."""
    return torch.autocast(device.type, torch.bfloat16, enabled=takes_bf16(precision, device))


def takes_bf16(precision: str, device: torch.device) -> bool:
    """ "auto": on a GPU that computes in it; on a CPU it is for those who ask for it, as its results differ."""
    fits = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return precision == "bf16" or (precision == "auto" and fits)


def precision_here(precision: str) -> str:
    """What a setting comes to on this machine's best device: "auto" is "fp32" without a GPU."""
    return "bf16" if takes_bf16(precision, best_device()) else "fp32"


@contextmanager
def computed(model, checkpointing: bool, compile: bool) -> Iterator[None]:
    """Gradient checkpointing and torch.compile for the block; the model is afterwards as it was."""
    parts = [model.get_encoder(), model.get_decoder()] if model.config.is_encoder_decoder else [model.get_decoder()]
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    for part in parts if compile else []:
        part.compile(dynamic=True)
    try:
        yield
    finally:
        if checkpointing:
            model.gradient_checkpointing_disable()
        for part in parts:
            part._compiled_call_impl = None
