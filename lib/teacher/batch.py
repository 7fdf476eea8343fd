"""The same service through its Batch API: cheaper, and done within a day. For runs that can wait.

    requests -> JSON Lines file -> upload -> batch -> look every `poll` seconds -> download -> responses

Nothing about a batch is kept here: each carries the teacher's identity in its metadata and each line the request's key,
so a restart asks the service for its batches and finds its own again, whatever became of the process that made them.
Batches under way are waited for; of ended ones, up to a month old, the answers that are still missing are taken; the
rest is sent anew. A line that failed or expired is sent again, `attempts` times in all.

A batch that the service's queue has no room for waits until another one has ended; with none under way it is halved.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import openai

from lib.errors import UserError
from lib.progress import say
from lib.teacher import ERROR, Deliver, Pending, Response, batch_rows, wire
from lib.teacher.batch_service import BatchService
from lib.teacher.openai import OpenAITeacher
from lib.teacher.own_thread import in_own_thread
from lib.teacher.rejections import Rejections
from lib.teacher.terms import Budget

LINES, BYTES = 50_000, 100_000_000  # of one batch; a service takes so many lines and about twice as many bytes
UNDER_WAY = {"validating", "in_progress", "finalizing", "cancelling"}


class BatchTeacher(OpenAITeacher):
    """See the module's text; `settings` is the section teacher.openai."""

    def complete_all(self, pending: Sequence[Pending], deliver: Deliver, budget: Budget | None = None) -> None:
        """See Teacher."""
        if pending:
            in_own_thread(self._run_batches(pending, deliver, budget or Budget(self.terms)))

    async def _run_batches(self, pending: Sequence[Pending], deliver: Deliver, budget: Budget) -> None:
        async with self.client(retries=self.settings.attempts) as client, self._explained():
            await _Batches(self, BatchService(self, client), pending, deliver, budget).go()

    @asynccontextmanager
    async def _explained(self) -> AsyncIterator[None]:
        """The client's errors, which it has tried to get past, in one line."""
        try:
            yield
        except openai.APIStatusError as error:
            why = wire.STOPPING.get(error.status_code, "the service refuses")
            what = self.plain(error.body or error.message)
            raise UserError(f"teacher {self.settings.model}: {why} (HTTP {error.status_code}): {what}") from None
        except openai.APIConnectionError as error:
            raise UserError(f"cannot reach {self.url}: {self.plain(error.__cause__ or error)}") from None


class _Batches:
    """One run over pending requests."""

    def __init__(
        self, teacher: BatchTeacher, service: BatchService | None, pending: Sequence[Pending], deliver: Deliver,
        budget: Budget,
    ):  # fmt: skip
        self.teacher, self.service, self.deliver, self.budget = teacher, service, deliver, budget
        self.waiting = {batch_rows.line_id(item): item for item in pending}
        self.tries = dict.fromkeys(self.waiting, 0)
        self.under_way: dict[str, dict[str, float]] = {}  # batch id -> line waited for -> money set aside for it
        self.called_off: set[str] = set()  # batches that were being cancelled when this run began
        self.lines, self.at_once = LINES, sys.maxsize  # of a batch; batches that the service's queue has room for
        self.answered, self.rejections = False, Rejections()

    async def go(self) -> None:
        """Find, send, wait, collect, until nothing is waited for."""
        await self._find()
        while self.waiting:
            await self._send()
            if not self.under_way:
                raise self.budget.reached(len(self.waiting))
            await asyncio.sleep(self.teacher.settings.poll)
            for batch_id in list(self.under_way):
                await self._look(batch_id)
        self.rejections.deliver(self.deliver)

    async def _find(self) -> None:
        """Take up this teacher's batches of earlier runs."""
        for batch in await self.service.earlier(self.waiting.values()):
            if not self.waiting:
                return
            if batch.status in UNDER_WAY:
                await self._take_up(batch)
            else:
                await self._collect_earlier(batch)

    async def _take_up(self, batch) -> None:
        """Wait for a batch of an earlier run, and for those of its lines that no other batch under way holds."""
        say(f"batch {batch.id}: found again, {batch.status}")
        try:
            sent = [row["custom_id"] for row in await self.service.rows(batch.input_file_id)]
        except openai.NotFoundError:
            sent = []
            say(f"batch {batch.id}: its input file is gone, so what it holds is not known and may be sent again")
        held = self._held()
        self._expect(batch.id, [line_id for line_id in sent if line_id in self.waiting and line_id not in held])
        if batch.status == "cancelling":
            self.called_off.add(batch.id)

    async def _collect_earlier(self, batch) -> None:
        """What an ended batch of an earlier run answered, as long as the service keeps it."""
        try:
            await self._collect(batch, earlier=True)
        except openai.NotFoundError:
            say(f"batch {batch.id}: {batch.status}, its answers are gone; what is missing of them is asked for again")

    def _held(self) -> set[str]:
        return {line_id for lines in self.under_way.values() for line_id in lines}

    async def _send(self) -> None:
        """Make batches of what no batch under way holds, as far as the budget and the service's queue allow."""
        held = self._held()
        chunks = self._chunks(line_id for line_id in self.waiting if line_id not in held)
        for chunk in chunks[: max(0, self.at_once - len(self.under_way))]:
            batch = await self.service.make([self.waiting[line_id] for line_id in chunk])
            self._expect(batch.id, chunk)
            say(f"batch {batch.id}: {len(chunk)} requests sent")

    def _chunks(self, line_ids: Iterable[str]) -> list[list[str]]:
        """Lines in batches of what the service takes at once, as many as fit the budget."""
        chunks, size, planned = [[]], 0, 0.0
        for line_id in line_ids:
            planned += self._cost(line_id)
            if not self.budget.fits(planned):
                break
            length = len(batch_rows.line(self.teacher.settings, self.waiting[line_id]))
            if len(chunks[-1]) >= self.lines or size + length > BYTES:
                chunks.append([])
                size = 0
            chunks[-1].append(line_id)
            size += length
        return [chunk for chunk in chunks if chunk]

    def _cost(self, line_id: str) -> float:
        return self.teacher.terms.money(*self.teacher.most(self.waiting[line_id].request)) or 0.0

    def _expect(self, batch_id: str, line_ids: list[str]) -> None:
        self.under_way[batch_id] = {line_id: self._cost(line_id) for line_id in line_ids}
        for cost in self.under_way[batch_id].values():
            self.budget.reserve(cost)

    async def _look(self, batch_id: str) -> None:
        batch = await self.service.look(batch_id)
        if batch.status in UNDER_WAY:
            done = batch.request_counts
            say(f"batch {batch_id}: {batch.status}" + (f", {done.completed} of {done.total}" if done else ""))
            return
        await self._collect(batch)

    async def _collect(self, batch, earlier: bool = False) -> None:
        """Deliver an ended batch's answers; what it failed to answer waits for another batch or is given up.

        earlier   it had ended when this run began: what it did not answer says nothing about the service now
        """
        rows = [row for name in (batch.output_file_id, batch.error_file_id) for row in await self.service.rows(name)]
        lines = self.under_way.pop(batch.id, {})
        for cost in lines.values():  # what its answers do cost is charged as they are delivered
            self.budget.settle(cost, 0, 0)
        if batch.status == "failed":
            self._failed(batch, lines)
            return
        why, stop = self._take(rows, earlier)
        if stop:
            raise self._stopped(stop)
        left = [line_id for line_id in lines if line_id in self.waiting]
        if batch.status == "cancelled":  # on purpose: its lines were not tried
            if left and batch.id not in self.called_off:
                raise self._stopped(f"batch {batch.id} was cancelled with {len(left)} requests unanswered")
            return
        for line_id in left:
            self._lost(line_id, why.get(line_id, f"no answer, batch {batch.status}"))

    def _failed(self, batch, lines: dict[str, float]) -> None:
        """A batch that the service did not take: too large for its queue, or wrong as a whole."""
        errors = (batch.errors and batch.errors.data) or []
        what = self.teacher.plain("; ".join(f"{e.code}: {e.message}" for e in errors[:3]) or "no reason given")
        full = any(error.code == "token_limit_exceeded" for error in errors)
        others = len(self.under_way)
        if lines and not (full and (others or len(lines) > 1)):
            raise UserError(f"teacher {self.teacher.settings.model}: batch {batch.id} failed: {what}")
        if lines:
            self.at_once = min(self.at_once, max(1, others))
            if not others:
                self.lines = max(1, len(lines) // 2)
            then = "sent again when one under way has ended" if others else f"in parts of {self.lines} now"
            say(f"batch {batch.id}: too large for the service's queue; {then}")

    def _take(self, rows: list[dict], earlier: bool) -> tuple[dict[str, str], str | None]:
        """Deliver what rows hold. Returns line -> why it has no answer, and why the run has to stop, if it has to."""
        answered = any(batch_rows.status(row) == 200 for row in rows) or (self.answered and not earlier)
        self.answered |= answered and not earlier
        why, stop = {}, None
        for row in rows:
            if (line_id := row["custom_id"]) not in self.waiting:
                continue
            try:
                response = batch_rows.read(self.teacher, row, self.waiting[line_id].request, answered)
            except batch_rows.Unanswered as fault:
                why[line_id] = str(fault)
                stop = stop or (str(fault) if fault.stop else None)
                continue
            if not response.finish_reason.startswith("rejected"):
                self._done(line_id, response)
            elif answered or not earlier:
                self.rejections.add(self.waiting.pop(line_id), response)
        if answered:
            self.rejections.deliver(self.deliver)
        bad = None if answered else self.rejections.all_bad()
        return why, None if earlier else stop or (bad and f"the first lines were {bad}")

    def _stopped(self, why: str) -> UserError:
        return UserError(
            f"teacher {self.teacher.settings.model}: {why}; all answers so far are stored: run again to send the rest "
            "anew" + (f" and to collect {len(self.under_way)} batches under way" if self.under_way else "")
        )

    def _lost(self, line_id: str, why: str) -> None:
        """A line without an answer: free for the next batch, or given up."""
        self.tries[line_id] += 1
        if self.tries[line_id] >= self.teacher.settings.attempts:
            self._done(line_id, Response("", f"{ERROR}batch: {why}", 0, 0, attempts=0))

    def _done(self, line_id: str, response: Response) -> None:
        money = self.teacher.terms.money(response.prompt_tokens, response.completion_tokens)
        self.budget.charge(money or 0.0)
        self.deliver(self.waiting.pop(line_id).key, response)
