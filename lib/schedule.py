"""Which examples a step learns from, and which of them go through the model at once.

    schedule = batches(lengths, batch=16, steps=600, seed=0)      # 600 lists of 16 example indices
    passes([(20, 4), (90, 5), (22, 4)], budget=100)               # [[0, 2], [1]]: like lengths together, ≤ 100 tokens

A step has a fixed number of examples, whatever their length. A token budget only cuts it into passes, whose gradients
add up to the step's: what is learned does not depend on it but for rounding (and for what dropout draws).
"""

from collections.abc import Sequence

import numpy as np

BUCKET = 50  # batches whose examples are sorted by length together


def batches(lengths: Sequence[int], batch: int, steps: int, seed: int, bucket: int = BUCKET) -> list[list[int]]:
    """The whole schedule: `steps` lists of `batch` example indices.

    Each pass over the examples is a fresh permutation; within a stretch of up to `bucket` batches examples of like
    length share a batch (less padding), and the batches come in random order. A stretch ends with its pass, lest a
    batch hold an example twice; the one batch between two passes takes from both, as the permutations put it. Fewer
    examples than `batch` are repeated. With `bucket` 1 a batch is what the permutation puts there: a plain random one.
    """
    rng = np.random.default_rng(seed)
    need = steps * batch
    order = np.concatenate([rng.permutation(len(lengths)) for _ in range(-(-need // len(lengths)))])[:need]
    schedule: list[list[int]] = []
    while len(schedule) < steps:
        start = len(schedule) * batch
        ends = (start // len(lengths) + 1) * len(lengths) // batch * batch  # of this pass, but for a part of a batch
        end = min(start + bucket * batch, max(ends, start + batch), need)
        stretch = sorted(order[start:end].tolist(), key=lambda i: lengths[i])
        cut = [stretch[i : i + batch] for i in range(0, len(stretch), batch)]
        schedule += [cut[i] for i in rng.permutation(len(cut))]
    return schedule


def passes(lengths: Sequence[tuple[int, ...]], budget: int | None) -> list[list[int]]:
    """A step's examples cut into passes of like length: lists of positions in `lengths`, each of them in one pass.

    lengths   of all texts of an example: its label's source and target, its rationale's
    budget    padded tokens a pass; an example that is longer has a pass to itself. None: one pass, in the order given
    """
    if budget is None or padded_tokens(lengths) <= budget:
        return [list(range(len(lengths)))]
    cut: list[list[int]] = []
    # the longest first, so that only the last pass, of the shortest, is left part empty
    for i in sorted(range(len(lengths)), key=lambda i: (-sum(lengths[i]), i)):
        if cut and padded_tokens([lengths[j] for j in (*cut[-1], i)]) <= budget:
            cut[-1].append(i)
        else:
            cut.append([i])
    return cut


def padded_tokens(lengths: Sequence[tuple[int, ...]]) -> int:
    """Tokens that a pass costs with its padding: [(20, 4), (22, 3)] -> 2 × (22 + 4) = 52."""
    widest = [0] * max(map(len, lengths))
    for own in lengths:
        for place, length in enumerate(own):
            widest[place] = max(widest[place], length)
    return len(lengths) * sum(widest)
