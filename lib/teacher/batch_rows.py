"""The lines of a batch's files: requests as they go out, answers and errors as they come back.

line(settings, item)                      # '{"custom_id": "5e88...-0", "method": "POST", "url": ..., "body": {...}}\\n'
row(b'{"custom_id": "5e88...-0", "response": {"status_code": 200, "body": {...}}}')      # the same as a dict
read(teacher, found, request, answered)   # Response(text="...", ...), or Unanswered is raised
"""

import json

from lib.settings import OpenAITeacher as Settings
from lib.teacher import Pending, Request, Response, wire


class Unanswered(Exception):
    """Why a line has no answer; `stop`: whether no other line would get one either."""

    def __init__(self, why: str, stop: bool = False):
        super().__init__(why)
        self.stop = stop


def line_id(item: Pending) -> str:
    """A line's name: another one for another attempt, so that an old unusable answer is not taken for the new one."""
    return f"{item.key[:48]}-{item.attempts}"


def url(settings: Settings) -> str:
    """Where a batch's lines go: one address for all of them."""
    return f"/v1{wire.PATHS[settings.api]}"


def line(settings: Settings, item: Pending) -> str:
    """One request."""
    body = wire.body(settings, item.request)
    return json.dumps({"custom_id": line_id(item), "method": "POST", "url": url(settings), "body": body}) + "\n"


def row(text: bytes) -> dict | None:
    """A line of a batch's file; None where it is no row with a request's name."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("custom_id"), str) else None


def status(found: dict) -> int | None:
    """A row's HTTP status; None where the request was not made, or the row is odd."""
    response = found.get("response")
    code = response.get("status_code") if isinstance(response, dict) else None
    return code if isinstance(code, int) else None


def read(teacher, found: dict, request: Request, answered: bool) -> Response:
    """A row's answer, or the rejection of its prompt. Raises Unanswered where it is neither.

    answered   whether any call was (see wire.stopping)
    """
    code, response = status(found), found.get("response")
    body = response.get("body") if isinstance(response, dict) else None
    error = body.get("error") if isinstance(body, dict) else found.get("error")
    what = teacher.plain(error or "no answer")
    said = what if code is None else f"HTTP {code}: {what}"
    if code == 200:
        try:
            return teacher.without_key(wire.read(body, request))
        except wire.Garbled as garbled:
            raise Unanswered(teacher.plain(garbled)) from None
    if stop := wire.stopping(code or 0, error, answered):
        raise Unanswered(f"{stop} ({said})", stop=True)
    if code is not None and 400 <= code < 500 and code not in (408, 409, 429):
        return wire.rejection(code, error, what)
    raise Unanswered(said)
