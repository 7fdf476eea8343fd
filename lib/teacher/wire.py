"""What goes over the wire to an OpenAI-compatible service, and what comes back: shared by live calls and batches.

body(settings, request)      # {"model": "gpt-3.5-turbo", "messages": [...], "temperature": 0.7, "max_tokens": 256}
read(payload, ...)           # Response(text="...", finish_reason="stop", prompt_tokens=812, completion_tokens=61)
"""

import os
import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from time import time
from typing import Any
from urllib.parse import urlsplit

from lib.errors import UserError
from lib.settings import OpenAITeacher as Settings
from lib.teacher import Request, Response
from lib.teacher.prompts import as_text, stops
from lib.teacher.tokens import by_characters, prompt_tokens

OPENAI = "https://api.openai.com/v1"
PATHS = {"chat": "/chat/completions", "completions": "/completions"}
MOST_TOKENS = 10**9  # of one call; a count beyond it is none
# What servers call an answer that came to its end.
_ENDED = {None, "", "stop", "eos", "eos_token", "end_turn", "stop_sequence"}
NO_ANSWER = "no answer in the response"
# Statuses that no other call would escape.
STOPPING = {
    401: "the key is not accepted", 402: "the quota is exhausted", 403: "access is denied",
    404: "unknown model or address",
}  # fmt: skip
_CUT = {"length", "max_tokens", "model_length"}
# Codes of a refusal to process one prompt, which says nothing about the others.
_FILTERED = ("content_filter", "content_policy_violation", "responsibleaipolicyviolation")


class Garbled(Exception):
    """A body that is not an answer: invalid JSON, without choices, of other types. Worth another try."""


def base_url(settings: Settings) -> str:
    """The endpoint, as it stands in the teacher's identity. UserError where it is no URL or holds a password."""
    url = (settings.base_url or OPENAI).rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"teacher.openai.base_url: expected http(s)://host[:port]/v1, given {url!r:.80}")
    if "@" in parts.netloc or parts.query:
        raise UserError(
            "teacher.openai.base_url: holds a user name, password or query; keys come from the environment variable "
            f"{settings.key_variable} alone"
        )
    return url


def found_key(settings: Settings) -> str:
    """What the environment holds as the key; "" where it holds none."""
    return os.environ.get(settings.key_variable, "").strip()


def key(settings: Settings) -> str:
    """The key, from the environment. Servers of one's own take any, so only OpenAI's must be set."""
    found = found_key(settings)
    if not found and settings.base_url is None:
        raise UserError(f"teacher.openai: no key; set the environment variable {settings.key_variable}")
    host = urlsplit(base_url(settings)).hostname
    if found and settings.key_variable == "OPENAI_API_KEY" and not _is_openais_or_local(host):
        raise UserError(
            f"teacher.openai.key_variable: OPENAI_API_KEY is set and would be sent to {host}; name another "
            "variable for that service's own key"
        )
    if not re.fullmatch("[!-~]*", found):
        raise UserError(f"teacher.openai: the key in {settings.key_variable} holds characters that no key has")
    return found or "none"


def _is_openais_or_local(host: str) -> bool:
    return host == "openai.com" or host.endswith(".openai.com") or host in ("localhost", "127.0.0.1", "::1")


def body(settings: Settings, request: Request) -> dict[str, Any]:
    """The JSON body of one call. `teacher.openai.parameters` adds to it; a null there takes one of ours out."""
    ours: dict[str, Any] = {"model": settings.model}
    if settings.api == "chat":
        ours["messages"] = list(request.messages)
    else:
        ours |= {"prompt": as_text(request.messages), "stop": stops(request.messages)}
    ours |= {"temperature": request.temperature, "max_tokens": request.max_tokens} | settings.parameters
    return {name: value for name, value in ours.items() if value is not None}


def read(payload: Any, request: Request) -> Response:
    """The answer in a response's JSON. Raises Garbled where there is none. Without usage, tokens are estimated."""
    try:
        choice = payload["choices"][0]
        text, finish = _text(choice), choice.get("finish_reason")
        finish = "stop" if finish in _ENDED else "length" if finish in _CUT else _whole(str(finish))
        refusal = choice["message"].get("refusal") if "message" in choice else None
        usage = payload.get("usage") or {}
        tokens = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    except (KeyError, IndexError, TypeError, AttributeError):
        raise Garbled(_without_answer(payload)) from None
    if refusal and isinstance(refusal, str) and not text:
        text, finish = refusal, "refusal"
    prompt, completion = (n if type(n) is int and 0 <= n < MOST_TOKENS else None for n in tokens)
    prompt = prompt_tokens(request.messages, by_characters) if prompt is None else prompt
    return Response(_whole(text), finish, prompt, by_characters(text) if completion is None else completion)


def _text(choice: dict) -> str:
    """A choice's text; "" where it is null. TypeError where it is none."""
    text = choice["message"].get("content") if "message" in choice else choice["text"]
    if text is not None and not isinstance(text, str):
        raise TypeError
    return text or ""


def _without_answer(payload: Any) -> str:
    """What to say of a body without an answer: the error that it may hold, else that."""
    error = payload.get("error") if isinstance(payload, dict) else None
    return f"{NO_ANSWER}: {error_text(error)}" if error else NO_ANSWER


def _whole(text: str) -> str:
    """Text that can be written as UTF-8: half a surrogate pair becomes a question mark."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def error_text(error: Any) -> str:
    """A service's error, whatever its form, as one line."""
    if isinstance(error, dict):
        # "detail": servers made with FastAPI
        error = error.get("message") or error.get("detail") or error.get("code") or error
    return _whole(" ".join(str(error).split()))


def stopping(status: int, error: Any, answered: bool) -> str | None:
    """Why going on is of no use after this error status; None where it may be. `answered`: whether any call was.

    A 403 among answers is about one prompt: some services moderate what goes in.
    """
    if isinstance(error, dict) and error.get("code") == "insufficient_quota":
        return STOPPING[402]
    return None if status == 403 and answered else STOPPING.get(status)


# Keys of a request that are the engine's, and where to set what they mean.
_OURS = {
    "model": "teacher.openai.model", "messages": "the prompt files", "prompt": "the prompt files",
    "stream": "nothing: answers are taken whole", "n": "generate.rationales", "best_of": "nothing",
    "seed": "nothing: with one seed all samples of a question would be the same",
}  # fmt: skip


def check_parameters(settings: Settings) -> None:
    """UserError where teacher.openai.parameters holds a key of ours, or takes the completion's limit away."""
    for name, instead in _OURS.items():
        if name in settings.parameters:
            raise UserError(f"teacher.openai.parameters: {name!r} is not allowed there; set {instead}")
    if completion_limit(settings, 1) is None:
        raise UserError(
            "teacher.openai.parameters: max_tokens: null leaves no limit; give max_completion_tokens as well"
        )


def completion_limit(settings: Settings, max_tokens: int) -> int | None:
    """The most completion tokens of a call: the largest limit that its body holds; None if it holds none."""
    ours = {"max_tokens": max_tokens} | settings.parameters
    limits = [ours.get(name) for name in ("max_tokens", "max_completion_tokens")]
    return max((limit for limit in limits if isinstance(limit, int)), default=None)


def rejection(status: int, error: Any, what: str) -> Response:
    """A failure of one request alone: the service will not answer this prompt. No other says anything about it."""
    code = str(error.get("code") or "" if isinstance(error, dict) else "")
    code = "" if code == str(status) else code  # some repeat the status there
    reason = "content_filter" if code.lower() in _FILTERED else f"rejected: HTTP {status} {code:.40}".strip()
    return Response(what, reason, 0, 0)


def retry_after(headers) -> float | None:
    """Seconds to wait as the service asks: retry-after-ms, or Retry-After as seconds or as a date.

    A date is by the service's clock, so what is left until then is counted from its own Date.
    """
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            return max(0.0, float(value) * unit)
        except ValueError:
            pass
        until, now = _seconds(value), _seconds(headers.get("date", ""))
        if until is not None:
            return max(0.0, until - (time() if now is None else now))
    return None


def _seconds(date: str) -> float | None:
    """A header's date, in seconds since 1970; None where it is none."""
    try:
        found = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    # Without a zone (-0000) it is UTC, not the time here.
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
