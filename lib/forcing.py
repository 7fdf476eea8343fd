"""Teacher forcing: what probability a student gives to a text, token by token.

    pair = Pair("Tom has 3 pens. He buys 4 pens. How many?", "3 + 4 = 7.", "(3 + 4)")
    encoded = encode_pairs(student, [pair])
    [log_probs] = forced_log_probs(student.model, encoded, start_token(student))    # float32[T], nats
    [sums] = forced_sums(student.model, encoded, start_token(student))              # Sums(-38.2, 13, -9.1, 5)

A completion is c = "reasoning --> answer". Encoder-decoder: the question goes to the encoder, c </s> is the decoder's
target; without a question the encoder reads </s> alone. Decoder-only: "question ###" is continued by " c END";
without a question the text before c is the BOS token alone.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import linear
from torch.nn.utils.rnn import pad_sequence

from lib.errors import UserError
from lib.student import Student
from lib.words import SEPARATOR

ARROW = " --> "
TOKEN_BUDGET = 2048  # padded tokens a batch, as fast as any larger; scores do not depend on it
LOGITS_AT_ONCE = 2**20  # positions × words of one slab of the vocabulary: the 4 MB stay in a processor's cache


class Pair(NamedTuple):
    """One teacher-forced sequence: a completion, and the question before it ("" for none)."""

    question: str
    reasoning: str
    answer: str

    @property
    def completion(self) -> str:
        return completion(self.reasoning, self.answer)


class Encoded(NamedTuple):
    """A pair as token ids; `answer` is the half-open range of the answer's tokens within `target`."""

    source: tuple[int, ...]
    target: tuple[int, ...]
    answer: tuple[int, int]


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


def completion(reasoning: str, answer: str) -> str:
    """c = (r, a) as text: "3 + 4 = 7." and "(3 + 4)" -> "3 + 4 = 7. --> (3 + 4)"; without reasoning "--> (3 + 4)"."""
    return f"{reasoning}{ARROW}{answer}".strip()


def start_token(student: Student) -> int:
    """What stands before the first token: the decoder's start token, or BOS (END where the tokenizer has no BOS)."""
    config, tokenizer = student.model.config, student.tokenizer
    if config.is_encoder_decoder:
        return config.decoder_start_token_id
    return tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id


# -- pairs as token ids --------------------------------------------------------------------------


def encode_pairs(student: Student, pairs: Sequence[Pair]) -> list[Encoded]:
    """Pairs as token ids; each distinct question and completion is tokenized once.

    Raises UserError for an answer without a token.
    """
    if not pairs:
        return []
    sources = _source_ids(student, list(dict.fromkeys(pair.question for pair in pairs)))
    seq2seq = student.model.config.is_encoder_decoder
    wholes = list(dict.fromkeys(pair.completion for pair in pairs))
    texts = wholes if seq2seq else [" " + whole for whole in wholes]
    found = student.tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    end = student.tokenizer.eos_token_id
    targets = {
        whole: ((*ids, end), offsets, len(text))
        for whole, text, ids, offsets in zip(wholes, texts, found["input_ids"], found["offset_mapping"])
    }
    out = []
    for pair in pairs:
        target, offsets, length = targets[pair.completion]
        out.append(Encoded(sources[pair.question], target, _answer_range(offsets, length - len(pair.answer), pair)))
    return out


def _source_ids(student: Student, questions: list[str]) -> dict[str, tuple[int, ...]]:
    """Encoder-decoder: question </s>, </s> alone for none. Decoder-only: "question ###", nothing for none."""
    seq2seq = student.model.config.is_encoder_decoder
    texts = questions if seq2seq else [q and f"{q} {SEPARATOR}" for q in questions]
    found = student.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    end = (student.tokenizer.eos_token_id,) if seq2seq else ()
    return {question: (*ids, *end) for question, ids in zip(questions, found)}


def _answer_range(offsets: Sequence[tuple[int, int]], start: int, pair: Pair) -> tuple[int, int]:
    """The tokens that reach beyond character `start`, where the answer begins."""
    first = next((i for i, (_, end) in enumerate(offsets) if end > start), len(offsets))
    if first == len(offsets):
        raise UserError(f"question {pair.question!r:.60}: the answer {pair.answer!r} has no token; RD needs an answer")
    return first, len(offsets)


# -- log-probabilities ---------------------------------------------------------------------------


def token_log_probs(
    states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, targets: torch.Tensor
) -> torch.Tensor:
    """log P(target) = logit[target] - logsumexp(logits), a slab of the vocabulary at a time.

    states   float[P, D], at the P target positions only
    weight   float[V, D], bias float[V] or None: the output projection, logits = states @ weight.T + bias
    targets  long[P]
    returns  float[P], nats, in fp32 whatever the precision of the rest

    No more than LOGITS_AT_ONCE logits exist at a time (more of them on a GPU), and no log-softmax over the vocabulary.
    """
    if not len(targets):
        return torch.zeros(0, device=states.device)
    at_once = LOGITS_AT_ONCE if states.device.type == "cpu" else 256 * LOGITS_AT_ONCE
    width = max(at_once // len(targets), 1)
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


def forced_log_probs(model, encoded: Sequence[Encoded], start: int, budget: int = TOKEN_BUDGET) -> list[np.ndarray]:
    """Log-probabilities of every target token, teacher-forced: one float32[T] a row. For few rows: all are kept."""
    found = [np.empty(0)] * len(encoded)
    for i, values in _forced(model, encoded, start, budget):
        found[i] = values
    return found


def forced_sums(model, encoded: Sequence[Encoded], start: int, budget: int = TOKEN_BUDGET) -> list[Sums]:
    """The same, summed up as it comes: four numbers a row, in the order given."""
    found: dict[int, Sums] = {}
    for i, values in _forced(model, encoded, start, budget):
        first, last = encoded[i].answer
        exact = values.astype(np.float64)
        found[i] = Sums(float(exact.sum()), len(exact), float(exact[first:last].sum()), last - first)
    return [found[i] for i in range(len(encoded))]


def _forced(model, encoded: Sequence[Encoded], start: int, budget: int) -> Iterator[tuple[int, np.ndarray]]:
    """(index, its target tokens' log-probabilities) batch by batch. The model is left in eval mode."""
    model.eval()
    seq2seq = model.config.is_encoder_decoder
    with torch.inference_mode():
        sources = _encoder_states(model, {row.source for row in encoded}, budget) if seq2seq else {}
        for batch in batches_by_budget(encoded, budget, joined=not seq2seq):
            rows = [encoded[i] for i in batch]
            states = _decoder_states(model, rows, start, sources) if seq2seq else _joined_states(model, rows, start)
            targets = torch.tensor([i for row in rows for i in row.target], device=model.device)
            values = token_log_probs(states, *output_projection(model), targets).cpu().numpy()
            yield from zip(batch, np.split(values, np.cumsum([len(row.target) for row in rows])[:-1]))


def output_projection(model) -> tuple[torch.Tensor, torch.Tensor | None]:
    """(weight float[V, D], bias float[V] or None) between a model's last states and its logits."""
    head = model.get_output_embeddings()
    bias = getattr(head, "bias", None)
    final = getattr(model, "final_logits_bias", None)  # BART
    return head.weight, bias if final is None else final[0]


def refuse_other_logits(student: Student) -> None:
    """UserError for a model whose logits are not its last states times its output projection.

    Some models scale or squash them; what is computed here would then silently be something else.
    """
    model, start = student.model.eval(), start_token(student)
    row = Encoded((1,), (2, 3), (0, 2))
    [ours] = forced_log_probs(model, [row], start)
    with torch.inference_mode():
        if model.config.is_encoder_decoder:
            ids = {"input_ids": [list(row.source)], "decoder_input_ids": [[start, row.target[0]]]}
        else:
            ids = {"input_ids": [[*row.source, row.target[0]]]}
        logits = model(**{name: torch.tensor(rows, device=model.device) for name, rows in ids.items()}).logits[0]
    theirs = logits.float().log_softmax(-1)[range(2), list(row.target)].cpu().numpy()
    loose = 1e-3 if logits.dtype == torch.float32 else 0.2
    if np.isfinite(theirs).all() and not np.allclose(ours, theirs, rtol=loose, atol=loose):
        raise UserError(f"student {type(model).__name__}: cannot be scored, its logits are no projection of its states")


def batches_by_budget(encoded: Sequence[Encoded], budget: int, joined: bool = False) -> list[list[int]]:
    """Indices in batches of like length; rows × widths ≤ budget tokens, or one row that is longer by itself.

    joined  decoder-only, where source and target are one row; else the widest source and the widest target count, and
            those without a question stand together: next to nothing is then padded
    """

    def sizes(i: int) -> tuple[int, int]:
        source, target = len(encoded[i].source), len(encoded[i].target)
        return (0, source + target) if joined else (source, target)

    def key(i: int):
        source, target = sizes(i)
        return source > 1, target, source, i

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
    for batch in batches_by_budget([Encoded(source, (), (0, 0)) for source in order], budget):
        ids, mask = _padded([order[i] for i in batch], model.device)
        states = model.get_encoder()(input_ids=ids, attention_mask=mask)[0]
        found.update({order[i]: row[: len(order[i])] for i, row in zip(batch, states)})
    return found


def _decoder_states(model, rows: Sequence[Encoded], start: int, sources: dict) -> torch.Tensor:
    """Encoder-decoder: decoder states at the target positions, float[P, D]."""
    read = [sources[row.source] for row in rows]
    lengths = torch.tensor([len(states) for states in read], device=model.device)
    encoded = pad_sequence(read, batch_first=True)  # (B, S, D)
    mask = (torch.arange(encoded.shape[1], device=model.device) < lengths[:, None]).long()
    inputs, real = _padded([(start, *row.target[:-1]) for row in rows], model.device)
    hidden = model.get_decoder()(
        input_ids=inputs, encoder_hidden_states=encoded, encoder_attention_mask=mask, use_cache=False
    )[0][real.bool()]
    # T5 with tied embeddings scales its states before the projection
    return hidden * model.config.d_model**-0.5 if getattr(model.config, "scale_decoder_outputs", False) else hidden


def _joined_states(model, rows: Sequence[Encoded], start: int) -> torch.Tensor:
    """Decoder-only: states at the positions that predict target tokens, float[P, D]; none of them sees padding."""
    texts = [(row.source or (start,)) + row.target for row in rows]
    ids, mask = _padded(texts, model.device)
    hidden = model.get_decoder()(input_ids=ids, attention_mask=mask, use_cache=False)[0]  # (B, T, D)
    first = [len(row.source) or 1 for row in rows]
    return torch.cat([hidden[i, n - 1 : len(texts[i]) - 1] for i, n in enumerate(first)])


def _padded(sequences: Sequence[Sequence[int]], device) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids long[N, T], 0 on padding, and their mask long[N, T]."""
    width = max(map(len, sequences))
    ids = torch.tensor([[*s, *[0] * (width - len(s))] for s in sequences], device=device)
    lengths = torch.tensor([len(s) for s in sequences], device=device)
    return ids, (torch.arange(width, device=device) < lengths[:, None]).long()
