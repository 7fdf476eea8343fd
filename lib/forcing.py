"""Teacher forcing: what probability a student gives to a text, token by token.

    encoded = encode_pairs(student, [Pair("Tom has 3 pens. He buys 4 pens. How many?", "3 + 4 = 7.", "(3 + 4)")])
    [log_probs] = forced_log_probs(student, encoded)    # float32[T], nats
    [sums] = forced_sums(student, encoded)              # Sums(-38.2, 13, -9.1, 5)

Rows of like length share a batch of TOKEN_BUDGET tokens; an encoder reads each question once, however many rows it has.
In fp32 a row's log-probabilities do not depend on what it shares a batch with, to 1e-5 a token. In bf16 they do, by a
few hundredths: matrices of other shapes are summed in another order, and eight bits of mantissa let it be seen.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import linear
from torch.nn.utils.rnn import pad_sequence

from lib.encoding import beginning, padded_with_mask
from lib.errors import UserError
from lib.pairs import EncodedPair
from lib.student import Student

# padded tokens a batch, by device: on a processor as fast as any larger; on a GPU a guess that a T5-large has room for
TOKEN_BUDGET = {"cpu": 2**11, "cuda": 2**15}
# words of one slab of the vocabulary: with a batch's positions 4 MB, which stay in a processor's cache; on a GPU 1 GB.
# A multiple of 64: with 699 words the projection took half as long again as with 704
SLAB = {"cpu": 2**9, "cuda": 2**13}
LOUD = 1000.0  # a logit beyond any bound that models put to theirs


class Sums(NamedTuple):
    """What is kept of a pair: the summed log-probability of its completion and of the answer in it, and their tokens.

    total, answer_total    nats;  tokens counts the completion's end, answer_tokens does not
    """

    total: float
    tokens: int
    answer_total: float
    answer_tokens: int

    @property
    def mean(self) -> float:
        """Mean log-probability of the completion's tokens, nats."""
        return self.total / self.tokens

    @property
    def answer_mean(self) -> float:
        """Mean log-probability of the answer's tokens, nats."""
        return self.answer_total / self.answer_tokens


def start_tokens(student: Student) -> tuple[int, ...]:
    """What a decoder reads before a target: its start token, and what its tokenizer begins a text with (BART: <s>).

    Nothing for a decoder-only student, whose source stands there.
    """
    if student.decoder_only:
        return ()
    return (student.model.config.decoder_start_token_id, *beginning(student.tokenizer))


def token_log_probs(
    states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, targets: torch.Tensor
) -> torch.Tensor:
    """log P(target) = logit[target] - logsumexp(logits), a slab of the vocabulary at a time.

    states   float[P, D], at the P target positions only
    weight   float[V, D], bias float[V] or None: the output projection, logits = states @ weight.T + bias
    targets  long[P]
    returns  float[P], nats, in fp32 whatever the precision of the rest

    No more than P × SLAB logits exist at a time, and no log-softmax over the vocabulary.
    """
    if not len(targets):
        return torch.zeros(0, device=states.device)
    width = _by_device(SLAB, states.device)
    over, at_target = [], torch.empty(len(targets), device=states.device)
    for first in range(0, len(weight), width):
        shift = None if bias is None else bias[first : first + width]
        logits = linear(states, weight[first : first + width], shift).float()
        inside = ((targets >= first) & (targets < first + width)).nonzero()[:, 0]
        # of the same rounded logits as the sum, or in bf16 their errors would not cancel
        at_target[inside] = logits[inside, targets[inside] - first]
        over.append(_log_sum_exp(logits))
    return at_target - torch.stack(over).logsumexp(0)


def _log_sum_exp(logits: torch.Tensor) -> torch.Tensor:
    """float[P, v] -> float[P], in place: torch.logsumexp writes a second matrix, which costs more than exponents."""
    highest = logits.amax(-1, keepdim=True).clamp_(min=torch.finfo(logits.dtype).min)  # finite where all are -inf
    return logits.sub_(highest).exp_().sum(-1).log_().add_(highest[:, 0])


def forced_log_probs(student: Student, encoded: Sequence[EncodedPair], budget: int | None = None) -> list[np.ndarray]:
    """Log-probabilities of every target token, teacher-forced: one float32[T] a row. For few rows: all are kept."""
    found = [np.empty(0)] * len(encoded)
    for i, values in _forced(student, encoded, budget):
        found[i] = values
    return found


def forced_sums(student: Student, encoded: Sequence[EncodedPair], budget: int | None = None) -> list[Sums]:
    """The same, summed up as it comes: four numbers a row, in the order given."""
    found: dict[int, Sums] = {}
    for i, values in _forced(student, encoded, budget):
        first, last = encoded[i].answer
        exact = values.astype(np.float64)
        found[i] = Sums(float(exact.sum()), len(exact), float(exact[first:last].sum()), last - first)
    return [found[i] for i in range(len(encoded))]


def _forced(student: Student, encoded: Sequence[EncodedPair], budget: int | None) -> Iterator[tuple[int, np.ndarray]]:
    """(index, its target tokens' log-probabilities) batch by batch. The model is left in eval mode."""
    model, start = student.model.eval(), start_tokens(student)
    budget = budget or _by_device(TOKEN_BUDGET, model.device)
    with torch.inference_mode():
        sources = {} if student.decoder_only else _encoder_states(model, {row.source for row in encoded}, budget)
        for batch in batches_by_budget(encoded, budget, joined=student.decoder_only):
            rows = [encoded[i] for i in batch]
            states = _decoder_states(model, rows, start, sources) if start else _joined_states(model, rows)
            targets = torch.tensor([i for row in rows for i in row.target], device=model.device)
            values = token_log_probs(states, *output_projection(model), targets).cpu().numpy()
            yield from zip(batch, np.split(values, np.cumsum([len(row.target) for row in rows])[:-1]))


def _by_device(sizes: dict[str, int], device: torch.device) -> int:
    return sizes["cpu" if device.type == "cpu" else "cuda"]


def output_projection(model) -> tuple[torch.Tensor, torch.Tensor | None]:
    """(weight float[V, D], bias float[V] or None) between a model's last states and its logits."""
    head = model.get_output_embeddings()
    bias = getattr(head, "bias", None)
    final = getattr(model, "final_logits_bias", None)  # BART
    return head.weight, bias if final is None else final[0]


def scaled_states(model, hidden: torch.Tensor) -> torch.Tensor:
    """The states that meet the output projection: a T5 with tied embeddings scales its last ones before it."""
    return hidden * model.config.d_model**-0.5 if getattr(model.config, "scale_decoder_outputs", False) else hidden


def refuse_other_logits(student: Student) -> None:
    """UserError for a model whose logits are not its last states times its output projection.

    Some models scale or squash them; what is computed here would then silently be something else. Compared are the
    logits of two tokens as they are, and with states so large that one is LOUD: those of a model that has not learned
    yet are small, and 30 tanh(x / 30), which bounds logits, differs from a small x by nothing. Weights that are
    not finite are left to scoring and training, which name the text they met.
    """
    model, start = student.model.eval(), start_tokens(student)
    rows = [EncodedPair((1,), (2, 3), (0, 2))]
    with torch.inference_mode():
        sources = _encoder_states(model, {rows[0].source}, 1) if start else {}
        states = _decoder_states(model, rows, start, sources) if start else _joined_states(model, rows)
        weight, bias = output_projection(model)
        for factor in (1.0, LOUD / float(linear(states, weight).abs().max().clamp(min=1e-30))):
            ours, theirs = linear(states * factor, weight, bias), _own_logits(model, rows[0], start, factor)
            loose = 1e-3 if theirs.dtype == torch.float32 else 0.1
            finite = theirs.isfinite()
            broken = (ours.isfinite() & ~finite).any()
            if broken or (finite.all() and (ours - theirs).abs().max() > loose * theirs.abs().max()):
                why = "are not finite" if broken else "are no projection of its states"
                raise UserError(f"student {type(model).__name__}: cannot be scored or trained, its logits {why}")


def _own_logits(model, row: EncodedPair, start: tuple[int, ...], factor: float) -> torch.Tensor:
    """A model's own logits of a row's target tokens, float[T, V], were the states before its projection so much larger.

    row    its target has T tokens
    """
    read = [*start, *row.target[:-1]] if start else [*row.source, *row.target]
    ids = {"input_ids": [row.source], "decoder_input_ids": [read]} if start else {"input_ids": [read]}
    enlarge = lambda _, inputs: (inputs[0] * factor, *inputs[1:])  # noqa: E731
    hook = model.get_output_embeddings().register_forward_pre_hook(enlarge)
    try:
        logits = model(**{name: torch.tensor(rows, device=model.device) for name, rows in ids.items()}).logits[0]
    finally:
        hook.remove()
    return logits[-len(row.target) :] if start else logits[len(row.source) - 1 : -1]


def batches_by_budget(encoded: Sequence[EncodedPair], budget: int, joined: bool = False) -> list[list[int]]:
    """Indices in batches of like length; rows × widths ≤ budget tokens, or one row that is longer by itself.

    joined  decoder-only, where source and target are one row; else the widest source and the widest target count, and
            those without a question (special tokens alone) stand together: next to nothing is then padded
    """

    def sizes(i: int) -> tuple[int, int]:
        source, target = len(encoded[i].source), len(encoded[i].target)
        return (0, source + target) if joined else (source, target)

    def key(i: int):
        source, target = sizes(i)
        return source > 2, target, source, i

    batches, widest = [], (0, 0)
    for i in sorted(range(len(encoded)), key=key):
        wider = tuple(map(max, zip(widest, sizes(i))))
        if batches and sum(wider) * (len(batches[-1]) + 1) <= budget:
            batches[-1].append(i)
            widest = wider
        else:
            batches.append([i])
            widest = sizes(i)
    return batches


def _encoder_states(model, sources: set[tuple[int, ...]], budget: int) -> dict[tuple[int, ...], torch.Tensor]:
    """Source -> what the encoder makes of it, float[S, D]: each is encoded once, however many rows it has."""
    order = sorted(sources)
    found = {}
    for batch in batches_by_budget([EncodedPair(source, (), (0, 0)) for source in order], budget):
        ids, mask = padded_with_mask([order[i] for i in batch], 0, model.device)
        states = model.get_encoder()(input_ids=ids, attention_mask=mask)[0]
        found.update({order[i]: row[: len(order[i])] for i, row in zip(batch, states)})
    return found


def _decoder_states(model, rows: Sequence[EncodedPair], start: tuple[int, ...], sources: dict) -> torch.Tensor:
    """Encoder-decoder: decoder states at the target positions, float[P, D]."""
    read = [sources[row.source] for row in rows]
    lengths = torch.tensor([len(states) for states in read], device=model.device)
    encoded = pad_sequence(read, batch_first=True)  # (B, S, D)
    mask = (torch.arange(encoded.shape[1], device=model.device) < lengths[:, None]).long()
    inputs, real = padded_with_mask([(*start, *row.target[:-1]) for row in rows], 0, model.device)
    real[:, : len(start) - 1] = 0  # these predict no target token
    states = model.get_decoder()(
        input_ids=inputs, encoder_hidden_states=encoded, encoder_attention_mask=mask, use_cache=False
    )[0]  # (B, T, D)
    return scaled_states(model, states[real.bool()])


def _joined_states(model, rows: Sequence[EncodedPair]) -> torch.Tensor:
    """Decoder-only: states at the positions that predict target tokens, float[P, D]; none of them sees padding."""
    ids, mask = padded_with_mask([row.source + row.target for row in rows], 0, model.device)
    hidden = model.get_decoder()(input_ids=ids, attention_mask=mask, use_cache=False)[0]  # (B, T, D)
    spans = [(len(row.source) - 1, len(row.source) + len(row.target) - 1) for row in rows]
    return torch.cat([hidden[i, first:last] for i, (first, last) in enumerate(spans)])
