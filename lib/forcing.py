"""Teacher forcing: what probability a student gives to a text, token by token.

    pair = Pair("Tom has 3 pens. He buys 4 pens. How many?", "3 + 4 = 7.", "(3 + 4)")
    [encoded] = encode_pairs(student, [pair])
    [log_probs] = forced_log_probs(student.model, [encoded], start_token(student))    # float32[T], nats

A completion is c = "reasoning --> answer". Encoder-decoder: the question goes to the encoder, c </s> is the decoder's
target; without a question the encoder reads </s> alone. Decoder-only: "question ###" is continued by " c END";
without a question the text before c is the BOS token alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from lib.errors import UserError
from lib.student import Student

ARROW = " --> "


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


def completion(reasoning: str, answer: str) -> str:
    """c = (r, a) as text: "3 + 4 = 7." and "(3 + 4)" -> "3 + 4 = 7. --> (3 + 4)"; without reasoning "--> (3 + 4)"."""
    return f"{reasoning}{ARROW}{answer}".strip()


def token_log_probs(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """log P(target) = logit[target] - logsumexp(logits), without keeping a log-softmax over the vocabulary.

    logits   float[P, V], at the P target positions only
    targets  long[P]
    returns  float[P], nats, in fp32 whatever the logits' precision
    """
    logits = logits.float()
    return logits.gather(-1, targets[:, None])[:, 0] - logits.logsumexp(-1)


def encode_pairs(student: Student, pairs: Sequence[Pair]) -> list[Encoded]:
    """Pairs as token ids. Raises UserError for an answer without a token."""
    if not pairs:
        return []
    seq2seq = student.model.config.is_encoder_decoder
    sources = _source_ids(student, [pair.question for pair in pairs])
    texts = [pair.completion if seq2seq else " " + pair.completion for pair in pairs]
    found = student.tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    end = student.tokenizer.eos_token_id
    return [
        Encoded(source, (*ids, end), _answer_range(offsets, len(text) - len(pair.answer), pair))
        for pair, text, source, ids, offsets in zip(pairs, texts, sources, found["input_ids"], found["offset_mapping"])
    ]


def start_token(student: Student) -> int:
    """What stands before the first token: the decoder's start token, or BOS (END where the tokenizer has no BOS)."""
    config, tokenizer = student.model.config, student.tokenizer
    if config.is_encoder_decoder:
        return config.decoder_start_token_id
    return tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id


def batches_by_budget(encoded: Sequence[Encoded], budget: int) -> list[list[int]]:
    """Indices in batches of like length; rows × longest row ≤ budget tokens, or one row that is longer by itself.

    Those without a question stand together: their one source is then encoded once a batch.
    """

    def key(i: int):
        return len(encoded[i].source) > 1, len(encoded[i].target), len(encoded[i].source), i

    batches, widest = [], (0, 0)
    for i in sorted(range(len(encoded)), key=key):
        sizes = max(widest[0], len(encoded[i].source)), max(widest[1], len(encoded[i].target))
        if batches and sum(sizes) * (len(batches[-1]) + 1) <= budget:
            batches[-1].append(i)
        else:
            batches.append([i])
            sizes = len(encoded[i].source), len(encoded[i].target)
        widest = sizes
    return batches


def forced_log_probs(model, batch: Sequence[Encoded], start: int) -> list[np.ndarray]:
    """Log-probabilities of every target token of a batch, teacher-forced: one float32[T] a row.

    The output projection is computed at target positions only. The model is left in eval mode.
    """
    forward = _encoder_decoder_hidden if model.config.is_encoder_decoder else _decoder_only_hidden
    lengths = [len(row.target) for row in batch]
    targets = torch.tensor([i for row in batch for i in row.target], device=model.device)
    model.eval()
    with torch.inference_mode():
        logits = model.get_output_embeddings()(forward(model, batch, start))  # (P, V)
        values = token_log_probs(logits, targets).cpu().numpy()
    return np.split(values, np.cumsum(lengths)[:-1])


def _encoder_decoder_hidden(model, batch: Sequence[Encoded], start: int) -> torch.Tensor:
    """Decoder states at the target positions, float[P, D]; each distinct question of the batch is encoded once."""
    sources = sorted({row.source for row in batch})
    place = {source: i for i, source in enumerate(sources)}
    rows = torch.tensor([place[row.source] for row in batch], device=model.device)
    ids, mask = _padded(sources, model.device)
    encoded = model.get_encoder()(input_ids=ids, attention_mask=mask)[0]  # (N, S, D)
    inputs, real = _padded([(start, *row.target[:-1]) for row in batch], model.device)
    hidden = model.get_decoder()(
        input_ids=inputs, encoder_hidden_states=encoded[rows], encoder_attention_mask=mask[rows], use_cache=False
    )[0][real.bool()]
    # T5 with tied embeddings scales its states before the projection
    return hidden * model.config.d_model**-0.5 if getattr(model.config, "scale_decoder_outputs", False) else hidden


def _decoder_only_hidden(model, batch: Sequence[Encoded], start: int) -> torch.Tensor:
    """States at the positions that predict target tokens, float[P, D]. Padding stands on the right, unseen by them."""
    texts = [(row.source or (start,)) + row.target for row in batch]
    ids, mask = _padded(texts, model.device)
    hidden = model.get_decoder()(input_ids=ids, attention_mask=mask, use_cache=False)[0]  # (B, T, D)
    first = [len(row.source) or 1 for row in batch]
    return torch.cat([hidden[i, n - 1 : len(texts[i]) - 1] for i, n in enumerate(first)])


def _source_ids(student: Student, questions: list[str]) -> list[tuple[int, ...]]:
    """Encoder-decoder: question </s>, </s> alone for none. Decoder-only: "question ###", nothing for none."""
    seq2seq = student.model.config.is_encoder_decoder
    texts = questions if seq2seq else [q and f"{q} ###" for q in questions]
    found = student.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    return [(*ids, student.tokenizer.eos_token_id) if seq2seq else tuple(ids) for ids in found]


def _answer_range(offsets: Sequence[tuple[int, int]], start: int, pair: Pair) -> tuple[int, int]:
    """The tokens that reach beyond character `start`, where the answer begins."""
    first = next((i for i, (_, end) in enumerate(offsets) if end > start), len(offsets))
    if first == len(offsets):
        raise UserError(f"question {pair.question!r:.60}: the answer {pair.answer!r} has no token; RD needs an answer")
    return first, len(offsets)


def _padded(sequences: Sequence[Sequence[int]], device) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids long[N, T], 0 on padding, and their mask long[N, T]."""
    width = max(map(len, sequences))
    ids = torch.tensor([[*s, *[0] * (width - len(s))] for s in sequences], device=device)
    lengths = torch.tensor([len(s) for s in sequences], device=device)
    return ids, (torch.arange(width, device=device) < lengths[:, None]).long()
