"""The Batch API as a service that may be lost for a while: batches listed, made, looked at; their files read.

    service = BatchService(teacher, client)
    batch = await service.make(items)                # one batch, even where the answer to its creation is lost
    batch = await service.look(batch.id)             # waits through an outage
    rows = await service.rows(batch.output_file_id)  # [{"custom_id": "5e88...-0", "response": {...}}, ...]

Raises the client's errors, `openai.APIError`, once waiting is of no use.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from time import monotonic, time
from typing import TypeVar

import openai
from openai.types import Batch

from lib.progress import say
from lib.teacher import Pending, batch_rows, wire

T = TypeVar("T")
MADE_BY = "distilling-reasoning"
OUTAGE = 6 * 3600.0  # seconds without an answer after which the service counts as gone
KEPT = 31 * 86400.0  # seconds: files are kept for 30 days from a batch's end, and a batch ends within a day
KINDS = 50  # that fit one value of the metadata: 512 characters


class BatchService:
    """See the module's text. The first call has to succeed: a service that never answered is a wrong address."""

    def __init__(self, teacher, client: openai.AsyncOpenAI):
        self.client, self.settings = client, teacher.settings
        self.metadata = {"made_by": MADE_BY, "teacher": hashlib.sha256(teacher.identity.encode()).hexdigest()}
        self.answered: float | None = None  # when the service last did
        self.out = False  # whether it has been said that it does not

    async def earlier(self, items: Iterable[Pending]) -> list[Batch]:
        """This teacher's batches that may hold one of `items`. Those whose files the service keeps no more are not."""
        wanted, since = _kinds(items), time() - KEPT
        return [
            batch
            for batch in await self._listed()
            if self.metadata.items() <= (batch.metadata or {}).items()
            and batch.created_at >= since
            and _may_hold(batch.metadata.get("kinds", ""), wanted)
        ]

    async def make(self, items: Sequence[Pending]) -> Batch:
        """Upload these requests and make one batch of them.

        The answer to the creation may be lost when the batch has been made; the client would then make a second one.
        """
        content = "".join(batch_rows.line(self.settings, item) for item in items).encode()
        file = await self._through(lambda: self.client.files.create(file=("requests.jsonl", content), purpose="batch"))
        kinds = _kinds(items)
        metadata = self.metadata | ({"kinds": " ".join(sorted(kinds))} if len(kinds) <= KINDS else {})
        once = self.client.with_options(max_retries=0)
        for left in reversed(range(self.settings.attempts)):
            try:
                return await once.batches.create(
                    input_file_id=file.id, endpoint=batch_rows.url(self.settings), completion_window="24h",
                    metadata=metadata,
                )  # fmt: skip
            except openai.APIError as error:
                if not _passing(error):
                    raise
                say(f"no answer to a batch's creation ({type(error).__name__}); looking whether it was made")
                await asyncio.sleep(self.settings.poll)
                made = [batch for batch in await self._listed() if batch.input_file_id == file.id]
                if made:
                    return made[0]
                if not left:
                    raise

    async def look(self, batch_id: str) -> Batch:
        """How a batch is doing."""
        return await self._through(lambda: self.client.batches.retrieve(batch_id))

    async def rows(self, file_id: str | None) -> list[dict]:
        """The rows of a batch's file; none without a file. Raises openai.NotFoundError where it is gone."""
        if file_id is None:
            return []
        content = await self._through(lambda: self.client.files.content(file_id))
        # At newlines alone: `splitlines` would also cut where a text holds one of Unicode's other line ends.
        rows = [batch_rows.row(line) for line in content.content.split(b"\n") if line.strip()]
        if unread := rows.count(None):
            say(f"file {file_id}: {unread} lines cannot be read; their requests count as not answered")
        return [row for row in rows if row is not None]

    async def _listed(self) -> list[Batch]:
        async def all_pages() -> list[Batch]:
            return [batch async for batch in self.client.batches.list(limit=100)]

        return await self._through(all_pages)

    async def _through(self, call: Callable[[], Awaitable[T]]) -> T:
        """What a call returns. In an outage it is made again every `poll` seconds, and that is said once."""
        while True:
            try:
                found = await call()
            except openai.APIError as error:
                if not _passing(error) or self.answered is None or monotonic() - self.answered > OUTAGE:
                    raise
                if not self.out:
                    say(f"the service does not answer ({type(error).__name__}); waiting for it")
                self.out = True
                await asyncio.sleep(self.settings.poll)
            else:
                self.answered, self.out = monotonic(), False
                return found


def _passing(error: openai.APIError) -> bool:
    """Whether it may be over by the next try: a lost connection, a server error, a refusal for the rate."""
    if isinstance(error, openai.APIConnectionError):
        return True
    status = getattr(error, "status_code", 0)
    return (status >= 500 or status in (408, 409, 429)) and wire.stopping(status, error.body, answered=True) is None


def _kinds(items: Iterable[Pending]) -> set[str]:
    """What requests have in common, as digests: system line, turns, sampling, and attempts before.

    A batch carries its lines' kinds in its metadata, so that those of another stage, or of an earlier round of
    attempts, need not be downloaded to see that they hold none of the lines wanted.
    """
    kinds = set()
    for item in items:
        one = item.request
        system = [message["content"] for message in one.messages if message["role"] == "system"]
        kinds.add((*system, len(one.messages), float(one.temperature), one.max_tokens, item.attempts))
    return {hashlib.sha256(json.dumps(kind).encode()).hexdigest()[:8] for kind in kinds}


def _may_hold(kinds: str, wanted: set[str]) -> bool:
    """Whether a batch of these kinds may; one that names none may hold anything."""
    return not kinds or not wanted.isdisjoint(kinds.split())
