"""The one interface to a teacher (LLM): messages and sampling parameters in; text, token usage and finish reason out.

    request = Request(messages=({"role": "user", "content": "Q: Tom has 3 pens ..."},), temperature=0.7,
                      max_tokens=256, sample=0)
    teacher = open_teacher(cfg.teacher)
    teacher.complete_all([Pending(request_key(teacher.identity, request), request)], store.put)
    # store.put("5e88…", Response(text="... The answer is (3 + 4).", finish_reason="stop", prompt_tokens=9, ...))

A new kind of teacher is one module with a class and one line in `KINDS`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from lib.errors import UserError
from lib.settings import TeacherSettings
from lib.teacher.terms import Budget, Terms, terms_of
from lib.teacher.tokens import white_space_pieces

Message = dict[str, str]  # {"role": "system" | "user" | "assistant", "content": ...}

# Finish reasons that mean: this text is not a whole answer.
NOT_RECORDED = "not recorded"
ERROR = "error: "  # the call failed on the way, so it is made again on the next run
# Anything else is the service's last word, and is asked again only as often as `teacher.unusable_retries` says.
_FAILURES = {
    "length": "cut off at the length limit",
    "content_filter": "stopped by the content filter",
    "refusal": "refused",
}


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
    """What the teacher wrote.

    Tokens are the endpoint's own count (an estimate where it gives none); the embedded teachers count white-space
    pieces. `attempts` is how many answers were had for this request, unusable ones included; the tokens are theirs
    together.
    """

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    attempts: int = 1

    @property
    def failure(self) -> str | None:
        """Why this response cannot be used, in a few words, or None where it can."""
        if self.finish_reason != "stop":
            return _FAILURES.get(self.finish_reason, self.finish_reason)
        return None if self.text.strip() else "empty response"

    @property
    def unusable(self) -> bool:
        """The service's last word, but of no use; a call that failed on the way ("error: ...") is not one."""
        return self.failure is not None and not self.finish_reason.startswith((ERROR, NOT_RECORDED))


@dataclass(frozen=True, slots=True)
class Pending:
    """A request to send, with its key in the store and the number of unusable answers had for it."""

    key: str
    request: Request
    attempts: int = 0


Deliver = Callable[[str, Response], None]


class Teacher(Protocol):
    """Who answers.

    identity   one line naming all that changes the answers besides the request: endpoint, model, settings
    notes      what every report made with this teacher has to say about it, the first beside every table
    terms      price, budget and policy: what governs asking and changes no answer
    tasks      the tasks whose questions it can answer; None: any
    """

    identity: str
    notes: tuple[str, ...]
    terms: Terms
    tasks: tuple[str, ...] | None

    def count(self, text: str) -> int:
        """Tokens of a text, as far as can be told before it is sent."""

    def limit(self, max_tokens: int) -> int:
        """The most completion tokens of a call that asks for `max_tokens`."""

    def complete_all(self, pending: Sequence[Pending], deliver: Deliver, budget: Budget | None = None) -> None:
        """Answer every request, in any order: `deliver(key, response)` as soon as each is there, once each.

        A call that failed for good is a response whose `failure` says why. Raises UserError where going on is of no
        use (wrong key, budget reached, ...); what was delivered by then stays delivered.
        """


class OneByOne:
    """Base of teachers that answer here and now, one request at a time, at no cost."""

    terms = Terms()
    tasks: tuple[str, ...] | None = None

    def limit(self, max_tokens: int) -> int:
        """See Teacher."""
        return max_tokens

    def count(self, text: str) -> int:
        """White-space pieces."""
        return white_space_pieces(text)

    def complete(self, request: Request) -> Response:
        """One answer. A failure is a response whose `failure` is not None, never an exception."""
        raise NotImplementedError

    def complete_all(self, pending: Sequence[Pending], deliver: Deliver, budget: Budget | None = None) -> None:
        """See Teacher."""
        for item in pending:
            deliver(item.key, self.complete(item.request))


def _simulated(settings: TeacherSettings, test_texts: Sequence[str]) -> Teacher:
    from lib.teacher.simulated import SimulatedTeacher

    return SimulatedTeacher(settings.simulated)


def _recorded(settings: TeacherSettings, test_texts: Sequence[str]) -> Teacher:
    from lib.teacher.recorded import RecordedTeacher

    if settings.recorded.path is None:
        raise UserError("teacher.recorded.path: missing; teacher.kind: recorded needs a JSONL file of raw responses")
    return RecordedTeacher(settings.recorded.path, test_texts)


def _openai(settings: TeacherSettings, test_texts: Sequence[str]) -> Teacher:
    from lib.teacher.batch import BatchTeacher
    from lib.teacher.openai import OpenAITeacher

    return (BatchTeacher if settings.mode == "batch" else OpenAITeacher)(settings.openai)


KINDS: dict[str, Callable[[TeacherSettings, Sequence[str]], Teacher]] = {
    "simulated": _simulated,
    "recorded": _recorded,
    "openai": _openai,
}


def open_teacher(settings: TeacherSettings, test_texts: Sequence[str] = ()) -> Teacher:
    """The teacher that `teacher.kind` names.

    test_texts   texts of the test questions: recorded training answers to them are left out (and noted)
    Raises UserError for an unknown kind and for settings the kind cannot work with.
    """
    if settings.kind not in KINDS:
        raise UserError(f"teacher.kind: unknown kind {settings.kind!r}; allowed: {', '.join(KINDS)}")
    if settings.mode == "batch" and settings.kind != "openai":
        raise UserError(f"teacher.mode: batch needs teacher.kind: openai, given {settings.kind!r}")
    teacher = KINDS[settings.kind](settings, test_texts)
    terms = terms_of(settings)
    # An embedded teacher would say the same again.
    embedded = settings.kind != "openai"
    teacher.terms = replace(terms, unusable_retries=0, accept_failed=True) if embedded else terms
    return teacher
