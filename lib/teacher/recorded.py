"""A teacher that was recorded: raw responses from a JSON Lines file, one a line.

    {"question": "Luke scored 84 points ...", "response": "... 84 / 2 = 42. The answer is (84 / 2).", "sample": 0}
    {"question": "...", "kind": "evaluation", "rationale": "...", "response": "... the given answer is correct."}

Only `question` and `response` are needed. A recording with `choices` is of the question that ends in them. `sample`
defaults to a running number, `kind` to "rationale". A recording says nothing about temperature or prompt: every prompt
about a question gets what was recorded for that question.
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lib.errors import UserError
from lib.records import parse_row
from lib.tasks.datasets import multiple_choice
from lib.teacher import NOT_RECORDED, OneByOne, Request, Response
from lib.teacher.prompts import question_of, rationale_of, reasoning_of
from lib.teacher.tokens import prompt_tokens, white_space_pieces


class Recording(BaseModel):
    """One line of a recorded file. The fields below the blank line are allowed and not used."""

    model_config = ConfigDict(extra="forbid")

    question: str
    response: str
    sample: int | None = Field(None, ge=0)
    split: str | None = None
    kind: Literal["rationale", "evaluation"] = "rationale"
    rationale: str | None = None
    choices: tuple[str, ...] = ()

    task: Any = None
    row: Any = None
    id: Any = None
    gold_label: Any = None
    teacher: Any = None
    reached_gold_label: Any = None

    @property
    def asked(self) -> str:
        """The question's text as the task has it, white space aside."""
        return _normal(multiple_choice(self.question, self.choices, 0).text if self.choices else self.question)


class RecordedTeacher(OneByOne):
    """Answers from a file, matched by the question's text (and the rationale's, for evaluations), white space aside.

    test_texts   a recorded *training* answer to one of these questions is left out; `removed` counts those rows
    Raises UserError for a missing file, a line that is no recording, and two recordings of one sample.
    """

    def __init__(self, path: Path, test_texts: Sequence[str] = ()):
        self.path = Path(path)
        if not self.path.is_file():
            raise UserError(f"teacher.recorded.path: {path}: no such file")
        recordings = _read(self.path)
        if not recordings:
            raise UserError(f"{self.path}: no recordings; expected one JSON object a line")
        withheld = {_normal(text) for text in test_texts}
        kept = [(line, r) for line, r in recordings if not (r.split == "train" and r.asked in withheld)]
        self.removed = len(recordings) - len(kept)
        self._responses = _by_request(self.path, kept)
        # What is answered follows from the rows that were kept, wherever the file lies.
        self.identity = f"recorded {_digest(r for _, r in kept)}"
        self.notes = self._notes()

    def complete(self, request: Request) -> Response:
        """The recorded response, or a failure ("not recorded"). UserError for the second call of a zero-shot prompt."""
        if reasoning_of(request.messages) is not None:
            raise UserError("generate.exemplars: 0 asks for a second call, which no recording answers; allowed: 1 to 5")
        asked = rationale_of(request.messages)
        key = (_normal(question_of(request.messages)), asked and _normal(asked), request.sample)
        text = self._responses.get(key)
        prompt = prompt_tokens(request.messages)
        if text is None:
            return Response("", NOT_RECORDED, 0, 0, attempts=0)
        return Response(text, "stop", prompt, white_space_pieces(text))

    def _notes(self) -> tuple[str, ...]:
        notes = [
            f"Recorded teacher: {len(self._responses)} responses from {self.path.name}; "
            "tokens are an estimate, white-space pieces of today's prompt and of the recorded text."
        ]
        if self.removed:
            notes.append(f"{self.removed} recorded rationales removed: their question is in the test split.")
        return tuple(notes)


def _read(path: Path) -> list[tuple[int, Recording]]:
    with path.open("rb") as file:
        lines = [(number, line) for number, line in enumerate(file, 1) if line.strip()]
    return [(number, _parse(line, f"{path}:{number}")) for number, line in lines]


def _parse(line: bytes, where: str) -> Recording:
    try:
        row = parse_row(Recording, line.decode("utf-8"), where)
    except UnicodeDecodeError:
        raise UserError(f"{where}: not UTF-8 (given {line[:40]!r})") from None
    if (row.kind == "evaluation") != (row.rationale is not None):
        raise UserError(
            f"{where}: kind {row.kind!r} with rationale {row.rationale!r:.40}; an evaluation needs the "
            "rationale that it judges, a rationale has none"
        )
    return row


def _by_request(path: Path, recordings: list[tuple[int, Recording]]) -> dict[tuple[str, str | None, int], str]:
    """(question, rationale or None, sample) -> raw text."""
    responses: dict[tuple[str, str | None, int], str] = {}
    seen: dict[tuple[str, str | None], int] = {}
    for line, row in recordings:
        asked = (row.asked, None if row.rationale is None else _normal(row.rationale))
        sample = seen.get(asked, 0) if row.sample is None else row.sample
        seen[asked] = seen.get(asked, 0) + 1
        if (*asked, sample) in responses:
            raise UserError(f"{path}:{line}: sample {sample} of {row.question!r:.60} is recorded twice")
        responses[(*asked, sample)] = row.response
    return responses


def _digest(recordings: Iterable[Recording]) -> str:
    sha, used = hashlib.sha256(), {"question", "choices", "response", "sample", "kind", "rationale"}
    for row in recordings:
        sha.update(row.model_dump_json(include=used).encode() + b"\n")
    return sha.hexdigest()


def _normal(text: str) -> str:
    return " ".join(text.split())
