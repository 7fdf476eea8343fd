"""Token by token over a model's cache of keys and values: greedy or sampled, rows that have ended leave the batch.

ids = decode(student, sources, max_tokens=64)                           # [[12, 7, 1], ...], the end included if written
ids = decode(student, sources, 64, Drawing(0.7, 0.95, uniforms), copies=8)     # 8 draws a source, those of one together

Plain generation goes on for the whole batch until its last row has ended. Here a row that has written its end is
dropped as soon as enough others have, and a source that is drawn from several times is read once. What a model's
generation config may ask beyond that (penalties, forced tokens) is left out: what counts is what the student learned.
A pretrained decoder-only student also ends where it runs on into a next question (lib/stops.py).
"""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lib.encoding import padded_with_mask
from lib.mishaps import as_memory_allows
from lib.stops import TAIL, runs_on, stopped
from lib.student import Student

TOKEN_BUDGET = 32_768  # a batch's padded tokens, source and output: bounds its cache
MOST_ROWS = 256
KEPT = 0.85  # the batch is cut to its unfinished rows once they are no more than this share of it


@dataclass(frozen=True)
class Drawing:
    """How tokens are drawn.

    temperature   > 0; logits are divided by it
    top_p         only the most probable tokens that together reach this share are drawn from; 1: all
    uniforms      float[N * copies, max_tokens] in [0, 1): a row's own random numbers, so that what it writes does not
                  depend on the rows beside it (but for rounding of the model's sums: about one token in a million)
    """

    temperature: float
    top_p: float
    uniforms: np.ndarray


@torch.inference_mode()
def decode(
    student: Student,
    sources: Sequence[list[int]],
    max_tokens: int,
    drawing: Drawing | None = None,
    copies: int = 1,
    most_rows: int = MOST_ROWS,
) -> list[list[int]]:
    """The ids that the student writes behind each source, its end token included if it wrote one.

    sources   ids as `encoding.source_ids` gives them
    drawing   None: the most probable token each time
    copies    how often each source is answered; copies of a source follow each other in what is returned
    A row that ran into a stop has it written, and an end behind it. UserError if memory does not suffice for one row.
    """
    student.model.eval()
    written: list[list[int]] = [[]] * (len(sources) * copies)
    planned = batches(list(map(len, sources)), max_tokens, copies, most_rows)
    in_rows = ([i * copies + copy for i in batch for copy in range(copies)] for batch in planned)

    def work(rows: list[int]) -> list[list[int]]:
        uniforms = None if drawing is None else torch.from_numpy(drawing.uniforms[rows]).to(student.model.device)
        places = [row // copies for row in rows]
        own = list(dict.fromkeys(places))  # a source is read once for all its copies
        twins = None if len(own) == len(rows) else [own.index(place) for place in places]
        return _decoded(student, [sources[i] for i in own], max_tokens, _choice(drawing, uniforms), twins)

    for rows, found in as_memory_allows(in_rows, work, f"up to {max_tokens} tokens are written"):
        for row, ids in zip(rows, found):
            written[row] = ids
    return written


def batches(
    lengths: Sequence[int], max_tokens: int, copies: int = 1, most_rows: int = MOST_ROWS, budget: int = TOKEN_BUDGET
) -> Iterator[list[int]]:
    """Indices of sources, short ones first, in batches of at most `most_rows` rows and `budget` padded tokens.

    list(batches([5, 2, 9], max_tokens=1, budget=12))      # [[1, 0], [2]]: 2 × (5 + 1) tokens, then 9 + 1
    """
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        rows = (len(batch) + 1) * copies
        if batch and (rows > most_rows or rows * (lengths[i] + max_tokens) > budget):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def draw_tokens(logits: torch.Tensor, uniforms: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """One token a row, by the inverse of the cumulated probabilities.

    logits     float[B, V]
    uniforms   float64[B] in [0, 1)
    returns    long[B]
    """
    p = (logits.double() / temperature).softmax(-1)
    if top_p >= 1:
        return _inverse(p, uniforms)
    p, order = torch.sort(p, stable=True, dim=-1, descending=True)
    kept = p.cumsum(-1) - p < top_p  # what stands before a token has not reached the share yet
    return order.gather(-1, _inverse(p * kept, uniforms)[:, None])[:, 0]


def _inverse(p: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    """The first place at which the cumulated p, not necessarily adding up to 1, exceeds u of its total: long[B]."""
    cumulated = p.cumsum(-1)
    found = torch.searchsorted(cumulated, uniforms[:, None] * cumulated[:, -1:], right=True)[:, 0]
    last = p.shape[-1] - 1 - (p.flip(-1) > 0).int().argmax(-1)  # rounding never goes beyond what can be drawn
    return torch.minimum(found, last)


def _choice(drawing: Drawing | None, uniforms: torch.Tensor | None):
    """(logits float[B, V], rows of the batch long[B], step) -> tokens long[B]."""
    if drawing is None:
        return lambda logits, rows, step: logits.argmax(-1)
    return lambda logits, rows, step: draw_tokens(logits, uniforms[rows, step], drawing.temperature, drawing.top_p)


def _decoded(
    student: Student, sources: Sequence[list[int]], max_tokens: int, choose, twins: list[int] | None
) -> list[list[int]]:
    """One batch to its end. twins: the source that each row continues; None: a row a source."""
    device, end, stops = student.model.device, student.tokenizer.eos_token_id, runs_on(student)
    state = (_Continuing if student.decoder_only else _Translating)(student, sources)
    logits = state.begin()
    if twins is not None:
        twin = torch.tensor(twins, device=device)
        state.keep(twin)
        logits = logits[twin]
    rows = torch.arange(len(logits), device=device)  # where each row of the cache stands in the batch
    out = torch.full((len(logits), max_tokens + 1), end, device=device)  # behind what is written stands an end
    open_ = torch.ones(len(logits), dtype=torch.bool, device=device)
    for step in range(max_tokens):
        tokens = choose(logits, rows, step)
        out[rows[open_], step] = tokens[open_]
        open_ &= tokens != end
        if stops:
            open_ &= ~stopped(student, out[rows, max(step + 1 - TAIL, 0) : step + 1])
        left = int(open_.sum())
        if not left or step + 1 == max_tokens:
            break
        if left <= KEPT * len(rows):
            kept = open_.nonzero()[:, 0]
            state.keep(kept)
            rows, tokens, open_ = rows[kept], tokens[kept], open_[kept]
        logits = state.step(tokens)
    at_limit = set(rows[open_].tolist())
    return [ids[:-1] if row in at_limit else ids[: ids.index(end) + 1] for row, ids in enumerate(out.tolist())]


class _Translating:
    """An encoder-decoder under way: what it read, and the cache of what it wrote."""

    def __init__(self, student: Student, sources: Sequence[list[int]]):
        self.model = student.model
        ids, self.mask = padded_with_mask(sources, student.tokenizer.pad_token_id, self.model.device)
        self.read = self.model.get_encoder()(input_ids=ids, attention_mask=self.mask)
        self.cache = None

    def begin(self) -> torch.Tensor:
        start = self.model.config.decoder_start_token_id
        return self.step(torch.full((len(self.mask),), start, device=self.mask.device))

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """tokens long[B], the last ones written -> logits float[B, V] of the next."""
        found = self.model(
            encoder_outputs=self.read, attention_mask=self.mask, decoder_input_ids=tokens[:, None],
            past_key_values=self.cache, use_cache=True,
        )  # fmt: skip
        self.cache = found.past_key_values
        return found.logits[:, -1]

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with these rows only; a row may come more than once."""
        self.cache.batch_select_indices(rows)
        self.read.last_hidden_state, self.mask = self.read.last_hidden_state[rows], self.mask[rows]


class _Continuing:
    """A decoder-only student under way; it goes on where its input ends, so that padding comes before it."""

    def __init__(self, student: Student, sources: Sequence[list[int]]):
        self.model = student.model
        self.ids, self.mask = padded_with_mask(sources, student.tokenizer.pad_token_id, self.model.device, left=True)
        self.cache = None
        known = inspect.signature(self.model.forward).parameters
        self.placed = "position_ids" in known
        self.last = {"logits_to_keep": 1} if "logits_to_keep" in known else {}

    def begin(self) -> torch.Tensor:
        return self._forward(self.ids, (self.mask.cumsum(-1) - 1).clamp(min=0))

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """tokens long[B], the last ones written -> logits float[B, V] of the next."""
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(tokens), 1)], 1)
        return self._forward(tokens[:, None], self.mask.sum(-1, keepdim=True) - 1)

    def _forward(self, ids: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        where = {"position_ids": places} if self.placed else {}
        found = self.model(
            input_ids=ids, attention_mask=self.mask, past_key_values=self.cache, use_cache=True, **where, **self.last
        )
        self.cache = found.past_key_values
        return found.logits[:, -1]

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with these rows only; a row may come more than once."""
        self.cache.batch_select_indices(rows)
        self.mask = self.mask[rows]
