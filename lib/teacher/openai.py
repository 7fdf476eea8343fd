"""A teacher behind any OpenAI-compatible service: OpenAI itself, vLLM, Ollama, llama.cpp, transformers serve, ...

    teacher = OpenAITeacher(cfg.teacher.openai)
    teacher.complete_all(pending, store.put)        # many calls at once: lib/teacher/live.py

The key comes from the environment and is in nothing that is kept: not in the identity, an answer or an error.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import replace

import openai

from lib.errors import UserError
from lib.settings import OpenAITeacher as Settings
from lib.teacher import Deliver, Pending, Request, Response, wire
from lib.teacher.live import Run
from lib.teacher.own_thread import in_own_thread
from lib.teacher.terms import Budget, Terms
from lib.teacher.tokens import bound, by_characters, prompt_tokens

CONNECT = 20.0  # seconds that a connection may take
SHOWN, REASON = 300, 40  # characters of a service's error, and of its finish reason, that are kept
SECRET = 8  # characters: shorter "keys" are placeholders, and words of many a text


class OpenAITeacher:
    """See the module's text; `settings` is the section teacher.openai."""

    def __init__(self, settings: Settings):
        if not settings.model:
            raise UserError("teacher.openai.model: missing; teacher.kind: openai needs a model's name")
        wire.check_parameters(settings)
        self.settings, self.terms, self.tasks = settings, Terms(), None
        self.url = wire.base_url(settings)
        parameters = json.dumps(settings.parameters, sort_keys=True)
        self.identity = f"openai {self.url} {settings.api} {settings.model} {parameters}"
        self.notes = (f"Teacher: {settings.model} at {self.url} ({settings.api}); tokens are the service's own count.",)

    def count(self, text: str) -> int:
        """An estimate, by characters."""
        return by_characters(text)

    def complete_all(self, pending: Sequence[Pending], deliver: Deliver, budget: Budget | None = None) -> None:
        """See Teacher."""
        if pending:
            in_own_thread(self._run(pending, deliver, budget or Budget(self.terms)))

    async def _run(self, pending: Sequence[Pending], deliver: Deliver, budget: Budget) -> None:
        async with self.client() as client:
            await Run(self, client, pending, deliver, budget).go()

    def client(self, retries: int = 0) -> openai.AsyncOpenAI:
        """The official client. Live calls are retried here, not by it."""
        limit = self.settings.timeout
        return openai.AsyncOpenAI(
            api_key=wire.key(self.settings), base_url=self.url, max_retries=retries,
            timeout=openai.Timeout(limit, connect=min(CONNECT, limit / 2)),
        )  # fmt: skip

    def limit(self, max_tokens: int) -> int:
        """See Teacher; `teacher.openai.parameters` may change it."""
        return wire.completion_limit(self.settings, max_tokens)

    def most(self, request: Request) -> tuple[int, int]:
        """The most tokens that a call can take: prompt (bounded), completion."""
        return bound(request.messages), self.limit(request.max_tokens)

    def expected(self, request: Request) -> int:
        """The tokens that a call counts for a limit a minute, as services reckon it: prompt and completion's limit."""
        return prompt_tokens(request.messages, by_characters) + self.limit(request.max_tokens)

    def plain(self, error: object) -> str:
        """An error as one short line that can be shown; the key is taken out before it is cut, not in part."""
        return self._keyless(wire.error_text(error))[:SHOWN]

    def without_key(self, response: Response) -> Response:
        """The response as it may be stored: should the service repeat the key, it is taken out."""
        text, reason = self._keyless(response.text), self._keyless(response.finish_reason)[:REASON]
        unchanged = (text, reason) == (response.text, response.finish_reason)
        return response if unchanged else replace(response, text=text, finish_reason=reason)

    def _keyless(self, text: str) -> str:
        """Without the key, whole or with its middle hidden behind asterisks, as services like to quote it."""
        key = wire.found_key(self.settings)
        if len(key) < SECRET:
            return text
        return re.sub(rf"{re.escape(key[:3])}[\w-]*\*[\w*-]*", "[key]", text.replace(key, "[key]"))
