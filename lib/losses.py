"""The papers' losses, one function an equation. Everything is in nats.

nll = target_nll(logits, targets)                    # (P,) one value a target token
per_target = mean_by_row(nll, rows, n)               # (B,) ℓ: the mean over one target's tokens
loss = multitask_loss(label_nll, rationale_nll, lam) # L_CoT, or L_SE with verdict and critique

Σ w·nll of many tokens over a large vocabulary, without all of their logits at once:

loss = weighted_nll(states, head.weight, None, targets, token_weights(rows, n, "examples"))
"""

import torch
import torch.nn.functional as F

from lib.errors import UserError

# positions × words of one piece in `weighted_nll`: 32 MB on a processor; 512 MB on a GPU, a guess that keeps it busy
LOGITS_AT_ONCE = {"cpu": 2**23, "cuda": 2**27}


def logits_at_once(device: torch.device) -> int:
    """The size of a piece on a device; any that is no CPU has a GPU's."""
    return LOGITS_AT_ONCE["cpu" if device.type == "cpu" else "cuda"]


def target_nll(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Negative log-likelihood of each target token.

    logits   float[P, V], at the P real target positions only
    targets  long[P]
    returns  float[P], in fp32 whatever the logits' precision
    """
    return F.cross_entropy(logits.float(), targets, reduction="none")


def mean_by_row(nll: torch.Tensor, rows: torch.Tensor, n: int) -> torch.Tensor:
    """ℓ of n targets: the mean over each target's own tokens, so that a long rationale does not outweigh a short one.

    nll      float[P], one value a token
    rows     long[P], which target the token belongs to, each of 0..n-1 at least once
    returns  float[n]
    """
    sums = torch.zeros(n, dtype=nll.dtype, device=nll.device).index_add(0, rows, nll)
    return sums / tokens_of_row(rows, n)


def reduce_nll(nll: torch.Tensor, rows: torch.Tensor, n: int, reduction: str) -> torch.Tensor:
    """One task's loss over a batch.

    "examples": mean over a target's tokens, then over targets; does not depend on how a batch was cut (our reading).
    "tokens": mean over all tokens of the batch (what the reference implementation does).
    """
    if reduction == "tokens":
        return nll.mean()
    if reduction == "examples":
        return mean_by_row(nll, rows, n).mean()
    raise unknown_reduction(reduction)


def token_weights(rows: torch.Tensor, n: int, reduction: str) -> torch.Tensor:
    """What each token's nll counts in `reduce_nll`, float[P] with (w * nll).sum() = reduce_nll(nll); they sum to 1."""
    if reduction == "tokens":
        return torch.full((len(rows),), 1 / len(rows), device=rows.device)
    if reduction == "examples":
        return 1 / (n * tokens_of_row(rows, n)[rows])
    raise unknown_reduction(reduction)


def unknown_reduction(reduction: str) -> UserError:
    """So that a choice that is new in the settings is not computed as one of the others where its branch is missing."""
    branches = "reduce_nll and token_weights (lib/losses.py) and _share (lib/forward.py)"
    return UserError(f"train.reduction: {reduction!r} is not computed yet; it takes a branch in {branches}")


def tokens_of_row(rows: torch.Tensor, n: int) -> torch.Tensor:
    """How many tokens each of n rows has, float[n]: [0, 1, 1] -> [1, 2]. torch.bincount would wait for a GPU."""
    ones = torch.ones(len(rows), device=rows.device)
    return torch.zeros(n, device=rows.device).index_add(0, rows, ones)


def weighted_nll(
    states: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    targets: torch.Tensor,
    token_weight: torch.Tensor,
    at_once: int | None = None,
) -> torch.Tensor:
    """Σ w · nll of the tokens whose logits are states @ weight.T + bias; at most `at_once` of these exist at a time.

    states        float[P, D] and targets long[P], at the real target positions only
    weight        float[V, D], bias float[V] or None: the output projection
    token_weight  float[P], w; no gradient reaches it
    at_once       positions × words; None: as suits the device (LOGITS_AT_ONCE)
    returns       a scalar in fp32. Under autocast the products are of its precision, softmax and sums of fp32

    A piece's gradient is taken while its logits are there, so that nothing is computed twice:
    d loss / d logits = w · (softmax(logits) - onehot(target)).
    """
    kind = states.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else states.dtype
    at_once = at_once or logits_at_once(states.device)
    return _WeightedNll.apply(states, weight, bias, targets, token_weight, at_once, dtype)


class _WeightedNll(torch.autograd.Function):
    @staticmethod
    def forward(ctx, states, weight, bias, targets, token_weight, at_once: int, dtype: torch.dtype):
        with torch.autocast(states.device.type, enabled=False):
            loss, *gradients = _loss_and_gradients(states, weight, bias, targets, token_weight, at_once, dtype)
        ctx.save_for_backward(*gradients)
        return loss

    @staticmethod
    def backward(ctx, out):
        scaled = [None if g is None else g * out for g in ctx.saved_tensors]
        return (*scaled, None, None, None, None)


def _loss_and_gradients(states, weight, bias, targets, token_weight, at_once, dtype):
    """The loss, and its gradients by states, weight and bias, piece by piece of the positions."""
    inputs, projection = states.detach().to(dtype), weight.detach().to(dtype)
    loss = torch.zeros((), device=states.device)
    by_states, by_weight = torch.empty_like(states), torch.zeros_like(weight)
    by_bias = None if bias is None else torch.zeros_like(bias)
    size = max(at_once // len(weight), 1)
    for first in range(0, len(targets), size):
        part = slice(first, first + size)
        own, w = targets[part, None], token_weight[part, None].float()
        log_p = F.linear(inputs[part], projection, None if bias is None else bias.to(dtype)).float().log_softmax(1)
        loss -= (w * log_p.gather(1, own)).sum()
        slope = log_p.exp_().scatter_add_(1, own, -torch.ones_like(w))  # softmax less one at the target, w yet to come
        if by_bias is not None:
            by_bias += (w.t() @ slope)[0].to(bias.dtype)
        slope = slope.to(dtype)
        by_states[part] = (slope @ projection) * w  # D wide, not V: here w costs nothing
        weighed = (inputs[part] * w).to(dtype)
        if dtype == by_weight.dtype:
            by_weight.addmm_(slope.t(), weighed)
        else:
            by_weight += slope.t() @ weighed
    return loss, by_states, by_weight, by_bias


def multitask_loss(first: torch.Tensor, second: torch.Tensor | None, lam: float) -> torch.Tensor:
    """Mind's Mirror, both phases:  L = ℓ(f(x), first) + λ · ℓ(f(x), second), averaged over the batch.

    L_SE   x = the CoT to be judged, first = verdict_c, second = critique_c
    L_CoT  x = the question, first = ŷ (teacher_label or gold_label), second = the rationale r
    first, second   scalars, already reduced over the batch; second is None where no rationale is learned
    """
    return first if second is None else first + lam * second
