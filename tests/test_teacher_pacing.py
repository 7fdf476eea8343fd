"""Pacing, under a clock that jumps from one event to the next: limits, cool-downs, nobody storms or starves."""

import asyncio
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.teacher import pacing
from lib.teacher.pacing import Pacer, Rate

MINUTE = 60.0


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop that takes no time: where nothing is left to do, its clock jumps to the next timer."""

    def __init__(self):
        super().__init__()
        self.now, self._select = 1000.0, self._selector.select
        self._selector.select = self._jump

    def _jump(self, timeout):
        self.now += timeout or 0.0
        return self._select(0)

    def time(self) -> float:
        return self.now


def timed(run, **limits):
    """The result of `run(pacer, clock)` under the jumping clock."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        loop, begun = runner.get_loop(), runner.get_loop().now
        return runner.run(run(Pacer(clock=loop.time, **limits), lambda: loop.now - begun))


def starts(tokens: list[float], **limits) -> list[float]:
    """When calls of so many tokens, all waiting from the start, may begin."""

    async def run(pacer: Pacer, clock) -> list[float]:
        begun = []
        for amount in tokens:
            await pacer.turn(amount)
            begun.append(clock())
        return begun

    return timed(run, **limits)


@pytest.fixture(autouse=True)
def seeded():
    """The jitter of the back-off."""
    random.seed(0)


# -- limits that are known -----------------------------------------------------------------------


def test_without_limits_nobody_waits():
    assert starts([900.0] * 50) == [0.0] * 50


def test_requests_are_spread_evenly():
    assert starts([1.0] * 4, requests_per_minute=60) == pytest.approx([0.0, 0.9, 1.9, 2.9])  # a tenth is on credit


def test_tokens_are_spread_evenly_and_a_large_call_delays_the_next():
    assert starts([600.0, 60.0, 60.0, 60.0], tokens_per_minute=600) == pytest.approx([0.0, 59.9, 65.9, 71.9])


def test_the_stricter_limit_counts():
    assert starts([10.0] * 3, requests_per_minute=60, tokens_per_minute=60) == pytest.approx([0.0, 9.9, 19.9])


def test_a_call_larger_than_the_limit_is_let_through():
    assert starts([1e6, 1.0], tokens_per_minute=1000)[0] == 0.0


def test_a_pause_earns_no_more_than_a_tenth_of_a_second():
    rate = Rate(600)
    rate.take(100.0, 1)
    assert rate.next == pytest.approx(100.0)
    rate.take(100.0, 1)
    assert rate.next == pytest.approx(100.1)
    unlimited = Rate(None)
    unlimited.take(100.0, 1)
    assert unlimited.next == 0.0


@settings(max_examples=30)
@given(st.lists(st.floats(1, 500), min_size=2, max_size=200), st.integers(1, 2000), st.integers(500, 100_000))
def test_no_minute_holds_more_than_the_limits(tokens, requests_per_minute, tokens_per_minute):
    begun = starts(tokens, requests_per_minute=requests_per_minute, tokens_per_minute=tokens_per_minute)
    assert begun == sorted(begun)
    slack = 1 + pacing.BURST / MINUTE
    for first, moment in enumerate(begun):
        within = [amount for amount, at in zip(tokens[first:], begun[first:]) if at < moment + MINUTE - 1e-6]
        assert len(within) <= requests_per_minute * slack + 1
        assert sum(within) <= tokens_per_minute * slack + max(within)


# -- refusals ------------------------------------------------------------------------------------


def test_a_refusal_stops_everybody_for_as_long_as_it_says():
    async def run(pacer: Pacer, clock) -> list[float]:
        pacer.accepted()
        assert pacer.refused(2.5) == 2.5
        begun = []

        async def call() -> None:
            await pacer.turn(1)
            begun.append(clock())

        await asyncio.gather(*(call() for _ in range(3)))
        return begun

    begun = timed(run)
    assert begun[0] == 2.5 and all(moment >= 2.5 for moment in begun)


def test_the_longest_of_several_cool_downs_counts_and_it_may_be_prolonged_under_way():
    async def run(pacer: Pacer, clock) -> float:
        pacer.refused(3.0)
        pacer.refused(1.0)

        async def later() -> None:
            await asyncio.sleep(2.0)
            pacer.refused(5.0)

        late = asyncio.ensure_future(later())
        await pacer.turn(1)
        await late
        return clock()

    assert timed(run) == pytest.approx(7.0)


def test_without_a_time_it_doubles_with_jitter_and_an_accepted_call_ends_that():
    async def run(pacer: Pacer, clock) -> list[float]:
        waits = []
        for _ in range(12):
            waits.append(pacer.refused(None))
            await asyncio.sleep(waits[-1])
            await pacer.turn(1)
        pacer.accepted()
        return [*waits, pacer.refused(None)]

    *waits, after = timed(run)
    most = [min(pacing.LONGEST, 0.5 * 2**n) for n in range(1, 13)]
    assert all(m / 2 <= wait <= m for wait, m in zip(waits, most)), waits
    assert len({wait / m for wait, m in zip(waits, most)}) > 6  # drawn, so that many clients do not come back at once
    assert after <= 1.0


def test_refusals_of_one_cool_down_are_one_step_of_the_back_off():
    """Sixty-four calls that are refused together are one refusal, not two to the power of sixty-four."""

    async def run(pacer: Pacer, clock) -> list[float]:
        return [pacer.refused(None) for _ in range(64)]

    assert max(timed(run)) <= 1.0


def test_an_accident_slows_nobody_down_and_a_limit_does():
    async def run(pacer: Pacer, clock, refused: int, accepted: int) -> float:
        for _ in range(10):
            pacer.accepted()
        await asyncio.sleep(10.0)
        for _ in range(refused):
            pacer.refused(10.0)
        for _ in range(accepted):
            pacer.accepted()
        await pacer.turn(1)
        return pacer.spacing

    assert timed(lambda *a: run(*a, refused=1, accepted=1)) == 0.0
    # ten calls in twenty seconds
    assert timed(lambda *a: run(*a, refused=2, accepted=0)) == pytest.approx(2.0)


def test_spacing_shrinks_with_accepted_calls_until_it_is_gone():
    async def run(pacer: Pacer, clock) -> list[float]:
        pacer.spacing = 1.0
        seen = []
        for _ in range(1000):
            pacer.accepted()
            seen.append(pacer.spacing)
        return seen

    seen = timed(run)
    assert seen[:2] == pytest.approx([0.99, 0.9801]) and seen[-1] == 0.0


# -- against services ----------------------------------------------------------------------------


class Window:
    """At most so many calls in each fixed window; `gone` seconds of the first have passed, and all of its calls."""

    def __init__(self, calls: int, seconds: float, gone: float | None = None):
        self.calls, self.seconds = calls, seconds
        self.start, self.count = (None, 0) if gone is None else (-gone, calls)

    def wait(self, now: float) -> float | None:
        """Seconds until a call would be accepted; None if this one is."""
        if self.start is None or now >= self.start + self.seconds:
            self.start, self.count = now, 0
        self.count += 1
        return self.start + self.seconds - now if self.count > self.calls else None


class Bucket:
    """So many calls a minute on average, `size` of them at once."""

    def __init__(self, per_minute: float, size: float):
        self.rate, self.size, self.level, self.at = per_minute / MINUTE, size, size, 0.0

    def wait(self, now: float) -> float | None:
        self.level, self.at = min(self.size, self.level + (now - self.at) * self.rate), now
        if self.level < 1:
            return (1 - self.level) / self.rate
        self.level -= 1
        return None


@dataclass
class Seen:
    """What came of it: requests, refusals, seconds in all, and how long the unluckiest call took."""

    requests: int = 0
    refused: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    accepted: list[float] = field(default_factory=list)


def against(service, calls: int = 2000, concurrency: int = 64, latency: float = 0.5, told: bool = True, **limits):
    """What becomes of so many calls; `told`: whether refusals say when to come again."""

    async def run(pacer: Pacer, clock) -> Seen:
        seen, left = Seen(), iter(range(calls))

        async def work() -> None:
            for _ in left:
                begun = clock()
                while True:
                    await pacer.turn(900)
                    seen.requests += 1
                    wait = service.wait(clock())
                    await asyncio.sleep(0.02 if wait is not None else latency)
                    if wait is None:
                        break
                    seen.refused += 1
                    pacer.refused(wait if told else None)
                pacer.accepted()
                seen.accepted.append(clock())
                seen.longest = max(seen.longest, clock() - begun)

        await asyncio.gather(*(work() for _ in range(concurrency)))
        seen.seconds = clock()
        return seen

    seen = timed(run, **limits)
    assert len(seen.accepted) == calls
    return seen


def test_no_limit_no_delay():
    assert against(Window(10**9, MINUTE)).seconds == pytest.approx(16.0)  # 2000 / 64 waves of half a second


# 2000 calls at 200 a minute take nine to ten minutes at best; a call has to wait for the next minute at times.
@pytest.mark.parametrize(
    ("service", "most_requests", "most_seconds"),
    [
        (lambda: Window(200, MINUTE), 2300, 560),
        (lambda: Window(200, MINUTE, gone=30.0), 2300, 600),  # as after a restart: the minute's calls are used up
        (lambda: Bucket(200, size=200), 2800, 560),
        (lambda: Bucket(200, size=10), 2800, 620),
        (lambda: Bucket(200, size=1), 3000, 900),
    ],
    ids=["window", "used up", "bucket of 200", "bucket of 10", "bucket of 1"],
)
def test_a_hard_limit_of_200_a_minute(service, most_requests, most_seconds):
    seen = against(service())
    assert seen.requests <= most_requests and seen.seconds <= most_seconds and seen.longest <= 120


@pytest.mark.parametrize("gone", [None, 30.0])
@pytest.mark.parametrize("latency", [0.5, 20.0])
def test_a_hard_limit_whose_refusals_say_nothing(gone, latency):
    seen = against(Window(200, MINUTE, gone), told=False, latency=latency)
    assert seen.requests <= 2400 and seen.seconds <= 900 and seen.longest <= 180


def test_a_known_limit_is_hardly_ever_refused():
    """Only where the service counts by the clock and not by a bucket, at the edges of its minutes."""
    for limits in ({"requests_per_minute": 200}, {"tokens_per_minute": 200 * 900}):
        seen = against(Window(200, MINUTE), **limits)
        assert seen.refused <= 10 and seen.seconds <= 620 and seen.longest <= 70


def test_a_service_that_always_refuses_is_asked_ever_less_often():
    class Closed:
        def __init__(self):
            self.asked = []

        def wait(self, now: float) -> float:
            self.asked.append(now)
            if now > 600:
                raise TimeoutError
            return 0.0

    for told in (True, False):  # "come again in 0 seconds" is no advice
        service = Closed()
        with pytest.raises(TimeoutError):
            against(service, told=told)
        assert len(service.asked) <= 64 + 40, told
