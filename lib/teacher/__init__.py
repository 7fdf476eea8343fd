"""The one interface to a teacher (LLM): messages and sampling parameters in; text, token usage and finish reason out.

    request = Request(messages=({"role": "user", "content": "Q: Tom has 3 pens ..."},), temperature=0.7,
                      max_tokens=256, sample=0)
    teacher = open_teacher(cfg.teacher)
    teacher.complete(request)
    # Response(text="... The answer is (3 + 4).", finish_reason="stop", prompt_tokens=9, completion_tokens=17)

A new kind of teacher is one module with a class and one line in `KINDS`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from lib.config import TeacherSettings
from lib.errors import UserError

Message = dict[str, str]  # {"role": "system" | "user" | "assistant", "content": ...}

# Finish reasons that mean: this text is not a whole answer. A live teacher adds its own "error: ...".
NOT_RECORDED = "not recorded"
_FAILURES = {"length": "cut off at the length limit", NOT_RECORDED: NOT_RECORDED}


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that changes the answer, apart from who is asked.

    sample   which of several draws from the same prompt (0, 1, ...)
    """

    messages: tuple[Message, ...]
    temperature: float
    max_tokens: int
    sample: int


@dataclass(frozen=True, slots=True)
class Response:
    """What the teacher wrote. Tokens are the endpoint's own count; the embedded teachers count white-space pieces."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int

    @property
    def failure(self) -> str | None:
        """Why this response cannot be used, in a few words, or None where it can."""
        if self.finish_reason != "stop":
            return _FAILURES.get(self.finish_reason, self.finish_reason)
        return None if self.text.strip() else "empty response"


class Teacher(Protocol):
    """Who answers.

    identity   one line naming all that changes the answers besides the request: endpoint, model, settings
    notes      what every report made with this teacher has to say about it, the first beside every table
    """

    identity: str
    notes: tuple[str, ...]

    def complete(self, request: Request) -> Response:
        """One answer. A failure is a response whose `failure` is not None, never an exception."""


def _simulated(settings: TeacherSettings, test_texts: Sequence[str]) -> Teacher:
    from lib.teacher.simulated import SimulatedTeacher

    return SimulatedTeacher(settings.simulated)


def _recorded(settings: TeacherSettings, test_texts: Sequence[str]) -> Teacher:
    from lib.teacher.recorded import RecordedTeacher

    if settings.recorded.path is None:
        raise UserError("teacher.recorded.path: missing; teacher.kind: recorded needs a JSONL file of raw responses")
    return RecordedTeacher(settings.recorded.path, test_texts)


KINDS: dict[str, Callable[[TeacherSettings, Sequence[str]], Teacher]] = {
    "simulated": _simulated,
    "recorded": _recorded,
    # "openai": _openai,   here goes any OpenAI-compatible endpoint: lib/teacher/openai.py, its section in lib/config.py
}


def open_teacher(settings: TeacherSettings, test_texts: Sequence[str] = ()) -> Teacher:
    """The teacher that `teacher.kind` names.

    test_texts   texts of the test questions: recorded training answers to them are left out (and noted)
    Raises UserError for an unknown kind and for settings the kind cannot work with.
    """
    if settings.kind not in KINDS:
        raise UserError(f"teacher.kind: unknown kind {settings.kind!r}; allowed: {', '.join(KINDS)}")
    return KINDS[settings.kind](settings, test_texts)
