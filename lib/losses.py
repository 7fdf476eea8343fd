"""The papers' losses, one function an equation. Everything is in nats.

nll = target_nll(logits, targets)                    # (P,) one value a target token
per_target = mean_by_row(nll, rows, n)               # (B,) ℓ: the mean over one target's tokens
loss = multitask_loss(label_nll, rationale_nll, lam) # L_CoT, or L_SE with verdict and critique
"""

import torch
import torch.nn.functional as F


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
    return sums / torch.bincount(rows, minlength=n)


def reduce_nll(nll: torch.Tensor, rows: torch.Tensor, n: int, reduction: str) -> torch.Tensor:
    """One task's loss over a batch.

    "examples": mean over a target's tokens, then over targets; does not depend on how a batch was cut (our reading).
    "tokens": mean over all tokens of the batch (what the reference implementation does).
    """
    if reduction == "tokens":
        return nll.mean()
    return mean_by_row(nll, rows, n).mean()


def multitask_loss(first: torch.Tensor, second: torch.Tensor | None, lam: float) -> torch.Tensor:
    """Mind's Mirror, both phases:  L = ℓ(f(x), first) + λ · ℓ(f(x), second), averaged over the batch.

    L_SE   x = the CoT to be judged, first = verdict_c, second = critique_c
    L_CoT  x = the question, first = ŷ (teacher_label or gold_label), second = the rationale r
    first, second   scalars, already reduced over the batch; second is None where no rationale is learned
    """
    return first if second is None else first + lam * second
