"""When may the next call start? Limits a minute that are known, and refusals of a service whose limits are not.

    pacer = Pacer(requests_per_minute=500, tokens_per_minute=None)
    await pacer.turn(tokens=900)       # waits; first come, first served
    pacer.accepted()                   # or pacer.refused(retry_after=2.0): nobody starts for two seconds

Known limits are spread evenly, so that no window of a minute holds more than the limit and a tenth of a second's worth.

A refusal (HTTP 429, or any answer with Retry-After) stops all calls for as long as the service asks, or else for a
time that doubles. If most of the calls that end during this cool-down are refused as well, it was a limit and not
an accident: from then on calls are spaced as the service accepted them since the last cool-down, or over the last
minute, this cool-down included; and the spacing shrinks by one percent with each accepted call, to find out whether
more is allowed. Where not one call was accepted between two cool-downs, nothing is known of the limit: one call goes
ahead, the next after a time that doubles, until one is accepted.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable

BURST = 0.1  # seconds: how much of a known limit may be used at once
SHRINK = 0.99  # of the spacing, with each accepted call
MINUTE = 60.0  # seconds; at least as long a time, and at most twice, is what the spacing is learned from
LOOK = 1.0  # seconds of a wait after which it is reckoned anew
LONGEST = 60.0  # seconds of cool-down where the service asks for none


class Pacer:
    """See the module's text. For one event loop; `clock` and `sleep` are replaced in tests."""

    def __init__(
        self,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable] = asyncio.sleep,
    ):
        self._clock, self._sleep, self._queue = clock, sleep, asyncio.Lock()
        self._requests, self._tokens = Rate(requests_per_minute), Rate(tokens_per_minute)
        self.spacing = 0.0  # seconds between calls, learned from refusals
        self._next = 0.0
        self._openings: deque[float] = deque([clock()])  # the ends of cool-downs, in the last minutes
        self._closed_until: float | None = None
        self._accepted: deque[float] = deque()  # when, in the last two minutes
        self._accepted_while_closed = self._refused_while_closed = self._accepted_since_open = 0
        self._in_a_row, self._probing = 0, False
        self._last_accepted = clock()

    async def turn(self, tokens: int, check: Callable[[], None] = lambda: None) -> None:
        """Wait until a call of so many tokens may start. In order of arrival, so nobody starves.

        check   called again and again while waiting: raises where there is nothing to wait for any more
        """
        async with self._queue:
            while (wait := self._wait()) > 0:
                check()
                await self._sleep(min(wait, LOOK))  # the wait may get shorter
            now = self._clock()
            self._requests.take(now, 1)
            self._tokens.take(now, tokens)
            self._next = now + (_backoff(self._in_a_row) if self._probing else self.spacing)

    def accepted(self) -> None:
        """A call was answered, well or badly, but not refused for its rate."""
        now = self._last_accepted = self._clock()
        self._in_a_row = 0
        if self._probing:
            self._probing, self._next = False, now
        self._accepted.append(now)
        while self._accepted[0] < now - 2 * MINUTE:
            self._accepted.popleft()
        self._accepted_since_open += 1
        self._accepted_while_closed += self._closed_until is not None
        self.spacing = self.spacing * SHRINK if self.spacing > 1e-4 else 0.0

    def refused(self, retry_after: float | None) -> float:
        """A call was refused: close until `retry_after` seconds from now. Returns the seconds."""
        if self._closed_until is None:
            self._in_a_row += 1
            self._accepted_while_closed = self._refused_while_closed = 0
        self._refused_while_closed += 1
        wait = _backoff(self._in_a_row) if retry_after is None else retry_after
        self._closed_until = max(self._closed_until or 0.0, self._clock() + wait)
        return wait

    def since_accepted(self) -> float:
        """Seconds since a call was last accepted, or since the start."""
        return self._clock() - self._last_accepted

    def _wait(self) -> float:
        """Seconds until a call may start; opens again after a cool-down."""
        now = self._clock()
        if self._closed_until is not None:
            if now < self._closed_until:
                return self._closed_until - now
            self._open(now)
        return max(self._next, self._requests.next, self._tokens.next) - now

    def _open(self, now: float) -> None:
        if self._refused_while_closed > self._accepted_while_closed:
            since = self._learned_from(now)
            if accepted := sum(moment >= since for moment in self._accepted):
                self.spacing = (now - since) / accepted
            self._probing = not self._accepted_since_open
        self._openings.append(now)
        self._accepted_since_open, self._closed_until = 0, None

    def _learned_from(self, now: float) -> float:
        """The last end of a cool-down at least a minute ago, so that no burst is cut in two; two minutes at most."""
        while len(self._openings) > 1 and self._openings[1] <= now - MINUTE:
            self._openings.popleft()
        return max(self._openings[0], now - 2 * MINUTE)


class Rate:
    """A limit a minute, spread evenly: a call may start when the earlier ones have been paid off."""

    def __init__(self, per_minute: float | None):
        self.per_second = per_minute and per_minute / 60
        self.next = 0.0

    def take(self, now: float, amount: float) -> None:
        """Count `amount` from now on."""
        if self.per_second:
            self.next = max(self.next, now - BURST) + amount / self.per_second


def _backoff(times: int) -> float:
    """Seconds to wait after so many refusals in a row, with jitter: half of it is drawn."""
    return min(LONGEST, 0.5 * 2 ** min(times, 10)) * random.uniform(0.5, 1)
