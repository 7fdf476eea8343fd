"""How the simulated teacher follows a coin, rightly and wrongly, and puts it in words.

Four styles of the same work, Ka flips the coin and Bo does not:

    0 follow     Ka flips it to tails. Bo does not flip it. So the coin is tails up. The answer is no.
    1 count      Ka flipped the coin. That makes 1 flips. 1 is odd, so the coin is tails up. The answer is no.
    2 exclude    Bo did not flip the coin. Ka flipped the coin. ... The answer is no.
    3 flippers   Ka flipped it to tails. So the coin is tails up. The answer is no.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from random import Random

from lib.tasks.coin_flip import Coin

SIDES = ("heads", "tails")


@dataclass(frozen=True)
class Work:
    """Who is thought to have flipped the coin, whose flip is not followed, and by how much the count is off."""

    people: tuple[str, ...]
    flips: tuple[bool, ...]
    missed: int | None = None
    slip: int = 0

    @property
    def count(self) -> int:
        return sum(self.flips) + self.slip

    @property
    def up(self) -> str:
        """The side that ends up, as this work has it."""
        return SIDES[(self.count + (self.missed is not None)) % 2]

    def followed(self) -> list[str]:
        """The side after each person, the count's slip left out."""
        turned = [flip and i != self.missed for i, flip in enumerate(self.flips)]
        return [SIDES[sum(turned[: i + 1]) % 2] for i in range(len(turned))]


def solve(coin: Coin) -> Work:
    """The right work."""
    return Work(coin.people, coin.flips)


def wrong_operation(coin: Coin, rng: Random) -> Work | None:
    """One flip is not taken to turn the coin, or even and odd are mixed up."""
    flippers = [i for i, flip in enumerate(coin.flips) if flip]
    return replace(solve(coin), missed=rng.choice(flippers)) if flippers else None


def distractor_taken(coin: Coin, rng: Random) -> Work | None:
    """One person who does not flip the coin is taken to flip it."""
    others = [i for i, flip in enumerate(coin.flips) if not flip]
    if not others:
        return None
    taken = rng.choice(others)
    return replace(solve(coin), flips=tuple(flip or i == taken for i, flip in enumerate(coin.flips)))


def slipped_arithmetic(coin: Coin, rng: Random) -> Work:
    """One flip too many or too few is counted."""
    return replace(solve(coin), slip=rng.choice((-1, 1)) if any(coin.flips) else 1)


FLAWS = {
    "wrong operation": wrong_operation,
    "distractor taken": distractor_taken,
    "slipped arithmetic": slipped_arithmetic,
}


# -- its words -----------------------------------------------------------------------------------


def word(coin: Coin, work: Work, style: int, rng: Random) -> str:
    """The work in words; within a style, wordings vary."""
    sentences = (_follow, _count, _exclude, _flippers)[style](work, rng)
    return " ".join([*sentences, f"The answer is {'yes' if work.up == 'heads' else 'no'}."])


def _follow(work: Work, rng: Random) -> list[str]:
    start = rng.choice((["The coin is heads up."], ["At first the coin is heads up."], []))
    still = rng.choice(("{} does not flip it.", "{} does not flip the coin."))
    turns = [
        f"{name} flips it to {side}." if flip else still.format(name)
        for name, flip, side in zip(work.people, work.flips, work.followed())
    ]
    return [*start, *turns, _end(work, rng)]


def _count(work: Work, rng: Random) -> list[str]:
    return [_flipped(work, rng), *_parity(work, rng)]


def _exclude(work: Work, rng: Random) -> list[str]:
    others = [name for name, flip in zip(work.people, work.flips) if not flip]
    left_out = rng.choice(("{} did not flip the coin.", "The coin was not flipped by {}."))
    first = left_out.format(_listed(others)) if others else "There is nobody who did not flip the coin."
    return [first, _flipped(work, rng), *_parity(work, rng)]


def _flippers(work: Work, rng: Random) -> list[str]:
    turns = zip(work.people, work.flips, work.followed())
    told = rng.choice(("{} flipped it to {}.", "{} flipped the coin to {}."))
    flips = [told.format(name, side) for name, flip, side in turns if flip]
    return [*(flips or ["Nobody flipped it."]), _end(work, rng)]


def _end(work: Work, rng: Random) -> str:
    return rng.choice(("So the coin is {} up.", "Thus the coin ends {} up.", "Now the coin is {} up.")).format(work.up)


def _flipped(work: Work, rng: Random) -> str:
    names = [name for name, flip in zip(work.people, work.flips) if flip]
    return rng.choice(("{} flipped the coin.", "The coin was flipped by {}.")).format(_listed(names) or "nobody")


def _parity(work: Work, rng: Random) -> list[str]:
    parity = "odd" if work.up == "tails" else "even"
    count = rng.choice(("The coin was flipped {} times.", "That makes {} flips.")).format(work.count)
    end = rng.choice(("{} is {}, so the coin is {} up.", "As {} is {}, the coin is {} up now."))
    return [count, end.format(work.count, parity, work.up)]


def _listed(names: Iterable[str]) -> str:
    *most, last = list(names) or [""]
    return f"{', '.join(most)} and {last}" if most else last


_EXCLUDE = re.compile(r"did not flip|was not flipped")
_COUNT = re.compile(r"was flipped|times|makes \d+ flips|is (?:even|odd)")
_FLIPPERS = re.compile(r"flipped (?:it|the coin) to|flipped it\.")


def style_of(rationale: str) -> int:
    """Which style a rationale is written in; 0 (follow) where it has none of the others' marks."""
    return next((i for i, mark in ((2, _EXCLUDE), (1, _COUNT), (3, _FLIPPERS)) if mark.search(rationale)), 0)


# -- faults --------------------------------------------------------------------------------------

DECISIVE = re.compile(r"flip|heads|tails|even|odd")


def fault(coin: Coin, step: str, reason: str) -> tuple[str, str]:
    """(kind, what a critique says) of a step that the verifier refutes for `reason`."""
    if reason.endswith(("flips the coin", "flip the coin")):
        return "distractor taken", f"it does not say what {reason.split()[0]} did"
    if reason.endswith("times"):
        return "slipped arithmetic", "the flips are not counted right"
    if "even" in step or "odd" in step:
        return "wrong operation", "it mixes up even and odd"
    if any(name in step for name in coin.people):
        return "wrong operation", "a flip must turn the coin over"
    return "slipped arithmetic", "it loses track of the coin"


def invented_fault(coin: Coin, step: str, rng: Random) -> str:
    """What a critique says of a step that is right."""
    named = [name for name in coin.people if name in step]
    faults = ["the flips are not counted right", "it mixes up even and odd"] if _COUNT.search(step) else []
    if named:
        faults += [f"it does not say what {rng.choice(named)} did", "a flip must turn the coin over"]
    return rng.choice(faults or ["it loses track of the coin"])
