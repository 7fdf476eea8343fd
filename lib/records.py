"""One typed row per artefact, its reader and its writer.

A data file is JSON Lines, sorted by id, so that equal content is equal bytes:

    {"question_id": "arithmetic-train-00000", "sample": 0, "split": "train",
     "text": "Tom has 3 pens. He buys 4 pens. 3 + 4 = 7. The answer is (3 + 4).",
     "reasoning": "Tom has 3 pens. He buys 4 pens. 3 + 4 = 7.",
     "teacher_label": "(3 + 4)", "how": "answer sentence", "correct": true, "wrong_steps": []}
"""

import json
import math
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from lib.errors import UserError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
Verdict = Literal["correct", "wrong", "uncertain"]
VERDICTS: tuple[Verdict, ...] = ("correct", "wrong", "uncertain")


class Row(BaseModel):
    """Base of all rows: immutable, unknown fields refused. `id` is unique within a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def id(self) -> str:
        raise NotImplementedError


class Question(Row):
    """A question `q` with its human label.

    text      what teacher and student read; a multiple-choice question ends in its lettered choices
    choices   the texts of its choices, in the order of their letters; empty for an open question
    """

    question_id: str
    task: str
    split: Split
    text: str
    gold_label: str | None
    choices: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return self.question_id


class Rationale(Row):
    """A rationale `r` (chain of thought) by the teacher.

    text            as the student learns it: the reasoning and its closing answer sentence
    reasoning       the same without the answer sentence
    teacher_label   the answer the text gives (pseudo-label)
    how             by which rule the answer was found in the text (see tasks.answers)
    correct         teacher_label equals gold_label; None without a gold label
    wrong_steps     indices of sentences the task's verifier refutes; None where the task has no verifier
    """

    question_id: str
    sample: int
    split: Split
    text: str
    reasoning: str
    teacher_label: str
    how: str
    correct: bool | None
    wrong_steps: tuple[int, ...] | None

    @property
    def id(self) -> str:
        return f"{self.question_id}/{self.sample:03d}"

    @property
    def sound(self) -> bool | None:
        """No step refuted and the answer not wrong; None where the task has no verifier.

        A text of which the verifier could read no step has none refuted: of free text, True may only mean "right".
        """
        if self.wrong_steps is None:
            return None
        return not self.wrong_steps and self.correct is not False


class Refined(Rationale):
    """A rationale that the teacher wrote anew, shown the exemplars that a student's scores chose (PeCoTD, §2.3).

    chain   by which the exemplars were chosen, such as "slc_high"
    round   1 for the first rewriting; the originals of 01_generate are round 0 and no rows of this kind
    """

    chain: str
    round: int

    @property
    def id(self) -> str:
        return refined_id(self.question_id, self.sample, self.chain, self.round)


def refined_id(question_id: str, sample: int, chain: str, round: int) -> str:
    """ "q/002" for an original rationale, "q/002@slc_high/3" for one of round 3: the question's id always leads."""
    return f"{question_id}/{sample:03d}" + (f"@{chain}/{round}" if round else "")


class Evaluation(Row):
    """One self-evaluation by the teacher of one rationale: a verdict and the critique that explains it."""

    question_id: str
    rationale_sample: int
    sample: int
    split: Split
    verdict: Verdict
    critique: str

    @property
    def rationale_id(self) -> str:
        return f"{self.question_id}/{self.rationale_sample:03d}"

    @property
    def id(self) -> str:
        return f"{self.rationale_id}/{self.sample:03d}"


class Failure(Row):
    """A response that cannot be used, kept so that it is counted and never trained on.

    reason   short and groupable, e.g. "no answer found", "cut off at the length limit", "not recorded"
    text     what the teacher wrote (may be empty)
    """

    item_id: str
    sample: int
    split: Split
    reason: str
    text: str

    @property
    def id(self) -> str:
        return f"{self.item_id}/{self.sample:03d}"


class Score(Row):
    """How one rationale looks to one student before distillation (PAPERS: PeCoTD eq. 3, MoRSD).

    slc         exp of the mean per-token log-ratio, > 0
    pmi         summed log-ratio, nats
    rd          PPL(a | q, r) / PPL(a | q), > 0, a = `rd_target`, an answer as `pairs.rd_targets` chooses it
    rd_masked   the same with the answer masked in the rationale
    rd_own      the same towards the rationale's own answer
    log_p       mean log P(c | q) per token, nats
    log_p_answer  mean log P(own answer | q) per token, nats: what a score of rationales must beat
    tokens      completion length in tokens, its end included
    student     which student scored, by its name in params.yaml ("base" is section `student`)
    scorer      how it came about, such as its warm-up
    precision   of its forward passes, fp32 or bf16
    chain, round  of a refined rationale; "" and 0 for those of 01_generate
    """

    question_id: str
    sample: int
    student: str
    scorer: str
    precision: str
    rd_target: str
    chain: str = ""
    round: int = 0
    slc: float
    pmi: float
    rd: float
    rd_masked: float
    rd_own: float
    log_p: float
    log_p_answer: float
    tokens: int

    @property
    def rationale_id(self) -> str:
        return refined_id(self.question_id, self.sample, self.chain, self.round)

    @property
    def id(self) -> str:
        return f"{self.rationale_id} {self.student}"


class Selection(Row):
    """What one strategy chose for one question: the samples of its rationales, best first; empty if it chose none.

    student   whose scores it chose by
    """

    question_id: str
    student: str
    strategy: str
    samples: tuple[int, ...]

    @property
    def id(self) -> str:
        return f"{self.student}/{self.strategy}/{self.question_id}"


R = TypeVar("R", bound=Row)


def write_rows(path: Path, rows: Iterable[Row]) -> int:
    """Write rows sorted by id, atomically. Returns how many. Two rows with one id are an error."""
    rows = sorted(rows, key=lambda row: row.id)
    _refuse_duplicates(path, [row.id for row in rows])
    write_atomically(path, "".join(row.model_dump_json() + "\n" for row in rows))
    return len(rows)


def read_rows(path: Path, kind: type[R]) -> list[R]:
    """Read and validate a file written by `write_rows`. Errors name the file and the line."""
    rows = [parse_row(kind, line, f"{path}:{number}") for number, line in _lines(path)]
    _refuse_duplicates(path, [row.id for row in rows])
    return rows


def parse_row(kind: type[R], line: str, where: str) -> R:
    """One JSON line as a row of this kind; `where` is named in the error."""
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "line"
        allowed = ", ".join(kind.model_fields)
        raise UserError(f"{where}: {field}: {first['msg']} (given {first['input']!r:.80}); fields: {allowed}") from None


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old one or the whole new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def write_json(path: Path, value) -> None:
    """Write JSON with sorted keys and one trailing newline, atomically; a number that is none (nan) becomes null."""
    text = json.dumps(_or_null(value), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_atomically(path, text + "\n")


def _or_null(value):
    """The value with None for nan, which JSON does not have: a mean of nothing, an AUROC of one kind."""
    if isinstance(value, dict):
        return {key: _or_null(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_or_null(own) for own in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def write_jsonl(path: Path, rows: Iterable[dict]) -> None:
    """Write a JSON Lines file of rows with sorted keys, atomically; a text may hold any character."""
    lines = (json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)
    write_atomically(path, "".join(lines))


def read_jsonl(path: Path) -> list[dict]:
    """The rows of a JSON Lines file as they are."""
    with path.open(encoding="utf-8") as file:  # not splitlines: that also cuts at U+2028 within a text
        return [json.loads(line) for line in file]


def _lines(path: Path):
    if not path.exists():
        raise UserError(f"{path}: no such file")
    with path.open(encoding="utf-8") as file:
        yield from ((number, line) for number, line in enumerate(file, 1) if line.strip())


def _refuse_duplicates(path: Path, ids: list[str]) -> None:
    if len(set(ids)) < len(ids):
        [(worst, count)] = Counter(ids).most_common(1)
        raise UserError(f"{path}: id {worst!r} stands {count} times; ids must be unique")
