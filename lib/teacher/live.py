"""Calls to a service, many at once, until all are answered or going on is of no use. What happens to a call:

answered                    delivered, whatever its finish reason: it was paid for
refused for its rate        all calls wait (lib/teacher/pacing.py), then it is sent again, for as long as it takes
lost, or a server error     sent again after 0.5 s, 1 s, 2 s, ... (drawn up to that), `attempts` times in all
its prompt is rejected      delivered as a failure; if the very first calls all are, the run stops
wrong key, unknown model, exhausted quota, host not reached: the run stops, what was delivered stays
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence

import openai
from tenacity import AsyncRetrying, RetryError, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from lib.errors import UserError
from lib.progress import say
from lib.teacher import ERROR, Deliver, Pending, Request, Response, wire
from lib.teacher.pacing import Pacer
from lib.teacher.rejections import Rejections
from lib.teacher.terms import Budget

BACKOFF = 0.5  # seconds: the most that is waited before the second try; doubled with each further one
LONGEST = 60.0  # seconds between two tries
PATIENCE = 600.0  # seconds without one accepted call after which refusals end the run
GIVEN_UP = 10  # calls in a row that were given up, after which the service counts as gone
GRACE = 5.0  # seconds that calls under way are given to end when the run has to stop


class Passing(Exception):
    """A fault that may have passed by the next try: its kind, which reports count by, and what the service said."""

    def __init__(self, kind: str, said: str = ""):
        super().__init__(f"{kind}: {said}" if said else kind)
        self.kind, self.said = kind, said


class Run:
    """One run over pending requests: workers that take the next one until there are none, or one says stop."""

    def __init__(self, teacher, client, pending: Sequence[Pending], deliver: Deliver, budget: Budget):
        self.teacher, self.client, self.settings = teacher, client, teacher.settings
        self.waiting: Iterator[Pending] = iter(pending)
        self.left, self.answered, self.given_up = len(pending), 0, 0
        self.at_once = min(self.settings.concurrency, self.left)
        self.rejections = Rejections()
        self.again: Counter[str] = Counter()  # why calls were sent again
        self.deliver, self.budget, self.settled = deliver, budget, asyncio.Condition()
        self.pacer = Pacer(self.settings.requests_per_minute, self.settings.tokens_per_minute)
        self.stop: UserError | None = None
        self.path = wire.PATHS[self.settings.api]

    async def go(self) -> None:
        """Start the workers and wait for them; raise what stopped them."""
        workers = [asyncio.create_task(self._work()) for _ in range(self.at_once)]
        try:
            await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            if self.stop is not None:
                async with self.settled:  # those who wait for the budget, too
                    self.settled.notify_all()
                await asyncio.wait(workers, timeout=GRACE)
        finally:
            for worker in workers:
                worker.cancel()
            ended = await asyncio.gather(*workers, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception) and not isinstance(error, Stopped):
                raise error
        if self.again:
            say("sent again: " + ", ".join(f"{times} ({why})" for why, times in self.again.most_common()))
        if self.stop is not None:
            raise self.stop
        self.rejections.deliver(self.deliver)

    async def _work(self) -> None:
        for item in self.waiting:
            most = self.teacher.most(item.request)
            await self._set_aside(most)
            response = await self._ask(item.request)
            self.left -= 1
            if response.finish_reason.startswith("rejected"):
                self._reject(item, response)
            else:
                self.deliver(item.key, response)
            await self._settle(most, response)

    def _reject(self, item: Pending, response: Response) -> None:
        self.rejections.add(item, response)
        if self.answered:
            self.rejections.deliver(self.deliver)
        elif why := self.rejections.all_bad(self.at_once):
            self._stop(f"the first calls were {why}")

    async def _set_aside(self, most: tuple[int, int]) -> None:
        """Wait until the budget has room for this call; stop the run where it never will."""
        if self.budget.limit is None:
            return
        cost = self.budget.terms.money(*most)
        async with self.settled:
            await self.settled.wait_for(lambda: self.stop or self.budget.fits(cost) or not self.budget.reserved)
            if not self.stop and not self.budget.fits(cost):
                # None is under way any more: what they might cost was still reserved.
                self.stop = self.budget.reached(self.left)
            self._check()
            self.budget.reserve(cost)

    async def _settle(self, most: tuple[int, int], response: Response) -> None:
        if self.budget.limit is not None:
            async with self.settled:
                self.budget.settle(self.budget.terms.money(*most), response.prompt_tokens, response.completion_tokens)
                self.settled.notify_all()

    async def _ask(self, request: Request) -> Response:
        """The answer to one request; a failure where it could not be had."""
        tries = AsyncRetrying(
            stop=stop_after_attempt(self.settings.attempts),
            wait=wait_random_exponential(multiplier=BACKOFF, max=LONGEST),
            retry=retry_if_exception_type(Passing),
            before_sleep=lambda state: self.again.update([state.outcome.exception().kind]),
        )
        body = wire.body(self.settings, request)
        try:
            response = await tries(self._try, body, request)
        except RetryError as error:
            return self._give_up(error.last_attempt.exception())
        self.given_up = 0
        return response

    def _give_up(self, error: Passing) -> Response:
        self.given_up += 1
        if self.given_up >= GIVEN_UP:
            self._stop(f"the service has stopped answering; the last {GIVEN_UP} calls were given up: {error}")
        return Response(error.said, f"{ERROR}{error.kind}", 0, 0, attempts=0)

    async def _try(self, body: dict, request: Request) -> Response:
        """One try; refusals for the rate do not count as one."""
        while True:
            self._check()
            await self.pacer.turn(self.teacher.expected(request), self._check)
            self._check()
            try:
                async with asyncio.timeout(self.settings.timeout):
                    payload = await self.client.post(self.path, cast_to=object, body=body)
                if isinstance(payload, str):  # JSON under another name: the client leaves it as text
                    payload = json.loads(payload)
                response = wire.read(payload, request)
            except (TimeoutError, openai.APITimeoutError) as error:
                if type(error.__cause__).__name__ == "ConnectTimeout":
                    raise self._lost(error) from None
                # The service may well have answered, and charged for it, after we hung up.
                self.budget.charge(self.budget.terms.money(*self.teacher.most(request)) or 0.0)
                raise Passing(f"no answer within {self.settings.timeout:g} s") from None
            except openai.APIConnectionError as error:
                raise self._lost(error) from None
            except openai.APIStatusError as error:
                if rejection := self._refused(error):
                    return rejection
                continue
            except (ValueError, RecursionError, wire.Garbled) as error:  # too deep for the parser: RecursionError
                self.pacer.accepted()
                garbled = isinstance(error, wire.Garbled)
                said = self.teacher.plain(error).removeprefix(wire.NO_ANSWER).lstrip(": ") if garbled else ""
                raise Passing(wire.NO_ANSWER if garbled else "the response is not valid JSON", said) from None
            self.pacer.accepted()
            self.answered += 1
            return self.teacher.without_key(response)

    def _lost(self, error: Exception) -> Exception:
        """A broken connection may be mended by the next try; one that never was is a mistake in the settings."""
        cause = type(error.__cause__).__name__
        if cause in ("ConnectError", "ConnectTimeout") and not self.answered:
            what = self.teacher.plain(error.__cause__) or cause
            return self._stopped(f"cannot reach {self.teacher.url}: {what}")
        return Passing(f"connection lost ({cause})")

    def _refused(self, error: openai.APIStatusError) -> Response | None:
        """What an error status means: None to send again, a failure of this one request, or an exception."""
        status, what = error.status_code, self.teacher.plain(error.body or error.message)
        if why := wire.stopping(status, error.body, bool(self.answered)):
            hint = f"; the key is read from {self.settings.key_variable}" if status in (401, 403) else ""
            self._stop(f"{why} (HTTP {status}): {what}{hint}")
        if status == 429 and "too large" in what.lower():  # for the limit itself: it would be refused for ever
            return wire.rejection(status, error.body, what)
        wait = wire.retry_after(error.response.headers)
        if status == 429 or (wait is not None and status >= 500):
            self._hold_back(wait, status, what)
            return None
        self.pacer.accepted()
        if status >= 500 or status in (408, 409):
            raise Passing(f"HTTP {status}", what)
        return wire.rejection(status, error.body, what)

    def _hold_back(self, wait: float | None, status: int, what: str) -> None:
        """All calls pause. A service that accepts nothing for long, or says that it will not, ends the run."""
        self.again["refused for the rate"] += 1
        waited = self.pacer.refused(wait)
        silent = self.pacer.since_accepted()
        if waited > PATIENCE or silent > PATIENCE:
            self._stop(f"no call accepted for {silent:.0f} s, and {waited:.0f} s more to wait (HTTP {status}): {what}")

    def _check(self) -> None:
        """End this worker if the run has to stop."""
        if self.stop is not None:
            raise Stopped

    def _stop(self, message: str) -> None:
        raise self._stopped(message)

    def _stopped(self, message: str) -> Exception:
        """Note why the run stops, the first reason only, and return what ends this worker."""
        self.stop = self.stop or UserError(f"teacher {self.settings.model}: {message}; all answers so far are stored")
        return Stopped()


class Stopped(Exception):
    """Ends a worker; the reason is the run's `stop`."""
