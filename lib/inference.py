"""What a student writes and how it judges.

write(student, ["predict: Tom has ..."], max_tokens=32)       # [Written("(3 + 4)", tokens=5, at_limit=False)], greedy
draw(student, ["explain: Tom has ..."], 64, copies=8, temperature=0.7, top_p=1, key="seed 0")       # [8 Written]
verdict_probabilities(student, ["Tom has 3 pens. ..."])       # [[.9, .08, .02]]: correct, wrong, uncertain
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from lib import draws
from lib.decoding import MOST_ROWS, Drawing, decode
from lib.encoding import Encoded, collator, source_ids, target_ids
from lib.examples import PREDICT
from lib.forward import task_nll, to_device
from lib.losses import mean_by_row
from lib.mishaps import as_memory_allows
from lib.records import VERDICTS
from lib.stops import before_stop, runs_on
from lib.student import Student
from lib.unfit import refuse_no_room

LIMITS = "student.max_label_tokens or max_target_tokens"  # the settings that say how much is written


class Written(NamedTuple):
    """What a student wrote: the text, its length in tokens without the end, and whether only the limit ended it.

    A text that ran on into a next question ends before that (lib/stops.py); its tokens were written and count.
    """

    text: str
    tokens: int
    at_limit: bool


def write(student: Student, sources: Sequence[str], max_tokens: int, batch: int = MOST_ROWS) -> list[Written]:
    """The student's greedy output for each input text, in the given order, `batch` of like length at once.

    Raises UserError where a decoder-only student has too few positions for an input and `max_tokens` more.
    """
    ids = _asked(student, sources, max_tokens)
    return _written(student, decode(student, ids, max_tokens, most_rows=batch))


def draw(
    student: Student,
    sources: Sequence[str],
    max_tokens: int,
    copies: int,
    temperature: float,
    top_p: float,
    key: str,
    batch: int = MOST_ROWS,
) -> list[list[Written]]:
    """`copies` sampled outputs for each input text.

    key   what the random numbers follow from, with the input text and the number of the copy: neither the other inputs
          nor the batches matter, and the first copies are the same however many there are
    """
    ids = _asked(student, sources, max_tokens)
    own = [_random_numbers(f"{key}/{copy}/{source}", max_tokens) for source in sources for copy in range(copies)]
    drawing = Drawing(temperature, top_p, np.array(own).reshape(-1, max_tokens))
    flat = _written(student, decode(student, ids, max_tokens, drawing, copies, batch))
    return [flat[i : i + copies] for i in range(0, len(flat), copies)]


@torch.inference_mode()
def verdict_probabilities(student: Student, judged: Sequence[str], batch: int = 128) -> np.ndarray:
    """P(verdict | the shown text) among the three verdicts.

    judged    what the student is shown (`examples.judged_text`)
    returns   float[N, 3] in the order of `records.VERDICTS`; rows sum to 1
    raises    UserError as `write` does
    """
    student.model.eval()
    targets = target_ids(student.tokenizer, VERDICTS, student.decoder_only)
    sources = source_ids(student.tokenizer, [PREDICT + text for text in judged], student.decoder_only)
    _refuse_too_long(student, judged, sources, ("a verdict of", max(map(len, targets))))
    log_p = np.zeros((len(sources), len(VERDICTS)))
    order = sorted(range(len(sources)), key=lambda i: len(sources[i]))
    planned = (order[start : start + batch] for start in range(0, len(order), batch))
    work = lambda rows: _verdicts_log_p(student, [sources[i] for i in rows], targets)  # noqa: E731
    for rows, found in as_memory_allows(planned, work, "texts are judged"):
        log_p[rows] = found
    p = np.exp(log_p - log_p.max(axis=1, keepdims=True, initial=-np.inf))
    return p / p.sum(axis=1, keepdims=True)


def tokens_to_judge(student: Student, judged: Sequence[str]) -> list[int]:
    """What `verdict_probabilities` reads for each text: the text and three verdicts behind it.

    An encoder reads a text once for all three; a decoder-only student reads it before each.
    """
    said = sum(map(len, target_ids(student.tokenizer, VERDICTS, student.decoder_only)))
    times = len(VERDICTS) if student.decoder_only else 1
    ids = source_ids(student.tokenizer, [PREDICT + text for text in judged], student.decoder_only)
    return [times * len(own) + said for own in ids]


def _verdicts_log_p(student: Student, sources: Sequence[list[int]], targets: Sequence[list[int]]) -> np.ndarray:
    """log P of each verdict and its end behind each source: float[N, 3], nats."""
    asked = collator(student)([Encoded(tuple((source, target) for target in targets)) for source in sources])
    found = task_nll(student.model, to_device(_read_once(asked, len(sources)), student.model.device))
    columns = [-mean_by_row(nll, row, n) * len(target) for target, (nll, row, n) in zip(targets, found)]
    return torch.stack(columns, 1).double().cpu().numpy()


def _read_once(batch: dict, n: int) -> dict:
    """Tasks that ask the same of n texts: an encoder reads each of them for all. A decoder-only student reads again."""
    if "sources" not in batch:
        return batch
    tasks = [task | {"rows": torch.arange(n)} for task in batch["tasks"]]
    return {"sources": batch["sources"][:n], "mask": batch["mask"][:n], "tasks": tasks}


def _asked(student: Student, sources: Sequence[str], max_tokens: int) -> list[list[int]]:
    """Inputs as ids, refused where there is no room to write behind them."""
    ids = source_ids(student.tokenizer, sources, student.decoder_only)
    _refuse_too_long(student, sources, ids, (LIMITS, max_tokens))
    return ids


def _random_numbers(key: str, count: int) -> np.ndarray:
    return np.random.default_rng(int.from_bytes(draws.draw(f"drawn/{key}"))).random(count)


def _written(student: Student, rows: Sequence[list[int]]) -> list[Written]:
    end, stops, found = student.tokenizer.eos_token_id, runs_on(student), []
    for ids in rows:
        at_limit = end not in ids
        length = len(ids) if at_limit else ids.index(end)
        text = student.text(ids[:length])
        found.append(Written(before_stop(text) if stops else text, length, at_limit))
    return found


def _refuse_too_long(student: Student, sources: Sequence[str], ids: Sequence[list[int]], limit: tuple[str, int]):
    """A model with learned positions cannot write beyond the last of them; one with an encoder not read beyond it."""
    room = getattr(student.model.config, "max_position_embeddings", None)
    for source, own in zip(sources, ids):
        refuse_no_room(source, len(own), room, limit if student.decoder_only else None)
