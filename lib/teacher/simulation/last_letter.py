"""How the simulated teacher joins last letters, rightly and wrongly, and puts it in words.

Four styles of the same work:

    0 spell out  The last letter of Ka is a. The last letter of Bo is o. Together that makes ao. The answer is ao.
    1 ends in    Ka ends in a. Bo ends in o. Together that makes ao. The answer is ao.
    2 list       Ka gives a and Bo gives o. Joining the letters gives ao. The answer is ao.
    3 brief      Ka - a, Bo - o. The letters make ao. The answer is ao.
"""

import re
from dataclasses import dataclass
from random import Random

Words = tuple[str, ...]
JOINED = (
    "Putting them together gives {}.", "Together that makes {}.", "Joining the letters gives {}.",
    "Together they make {}.",
)  # fmt: skip


@dataclass(frozen=True)
class Work:
    """The letter taken from each word, and what they are joined to."""

    letters: tuple[str, ...]
    joined: str


def solve(words: Words) -> Work:
    """The right work."""
    letters = tuple(word[-1].lower() for word in words)
    return Work(letters, "".join(letters))


def wrong_operation(words: Words, rng: Random) -> Work | None:
    """The first letter of one word is taken."""
    return _other_letter(words, rng, 0)


def distractor_taken(words: Words, rng: Random) -> Work | None:
    """A letter that is neither the first nor the last of a word is taken, the last but one."""
    return _other_letter(words, rng, -2)


def slipped_arithmetic(words: Words, rng: Random) -> Work:
    """Two neighbours change places, or one letter is left out or doubled."""
    right = solve(words)
    at = rng.randrange(len(words))
    before, letter, after = right.joined[:at], right.joined[at], right.joined[at + 1 :]
    joined = before + after[:1] + letter + after[1:]
    if joined == right.joined:
        joined = before + after if len(words) > 2 else before + letter * 2 + after
    return Work(right.letters, joined)


FLAWS = {
    "wrong operation": wrong_operation,
    "distractor taken": distractor_taken,
    "slipped arithmetic": slipped_arithmetic,
}


def _other_letter(words: Words, rng: Random, place: int) -> Work | None:
    """One word's letter at `place` taken instead of its last; None where no word has another letter there."""
    others = {0: (-1,), -2: (-1, 0)}[place]
    places = [
        i
        for i, word in enumerate(words)
        if len(word) >= 2 and all(word[place].lower() != word[other].lower() for other in others)
    ]
    if not places:
        return None
    at = rng.choice(places)
    letters = tuple(word[place if i == at else -1].lower() for i, word in enumerate(words))
    return Work(letters, "".join(letters))


# -- its words -----------------------------------------------------------------------------------


def word(words: Words, work: Work, style: int, rng: Random) -> str:
    """The work in words; within a style, wordings vary."""
    sentences = (_spell_out, _ends_in, _list, _brief)[style](list(zip(words, work.letters)), rng)
    return " ".join([*sentences, _joined(work.joined, rng), f"The answer is {work.joined}."])


def _joined(joined: str, rng: Random) -> str:
    return rng.choice(JOINED).format(joined)


def _spell_out(pairs: list[tuple[str, str]], rng: Random) -> list[str]:
    return [f"The last letter of {word} is {letter}." for word, letter in pairs]


def _ends_in(pairs: list[tuple[str, str]], rng: Random) -> list[str]:
    said = rng.choice(("{} ends in {}.", "{} ends with {}."))
    return [said.format(*pair) for pair in pairs]


def _list(pairs: list[tuple[str, str]], rng: Random) -> list[str]:
    said = [f"{word} gives {letter}" for word, letter in pairs]
    start = rng.choice(("", "We see that "))
    return [start + (", ".join(said[:-1]) + " and " + said[-1] if len(said) > 1 else said[0]) + "."]


def _brief(pairs: list[tuple[str, str]], rng: Random) -> list[str]:
    return [rng.choice((", ", "; ")).join(f"{word} - {letter}" for word, letter in pairs) + "."]


_MARKS = (re.compile("ends (?:in|with)"), re.compile(r"\w+ gives \w\b"), re.compile(r"\w - \w\b"))


def style_of(rationale: str) -> int:
    """Which style a rationale is written in; 0 (spell out) where it has none of the others' marks."""
    return next((i for i, mark in enumerate(_MARKS, 1) if mark.search(rationale)), 0)


# -- faults --------------------------------------------------------------------------------------

DECISIVE = re.compile(r"letter of|ends|gives| - |makes?|together")


def fault(words: Words, step: str, reason: str) -> tuple[str, str]:
    """(kind, what a critique says) of a step that the verifier refutes for `reason`."""
    match = re.fullmatch(r"(\w+) ends in (\w), not (\w)", reason)
    if not match:
        return "slipped arithmetic", "it does not join the letters in order"
    if match[1][0].lower() == match[3]:
        return "wrong operation", f"it takes the first letter of {match[1]}"
    return "distractor taken", f"it takes a letter of {match[1]} that is not the last"


def invented_fault(words: Words, step: str, rng: Random) -> str:
    """What a critique says of a step that is right."""
    named = [word for word in words if word in step]
    if not named:
        return "it does not join the letters in order"
    said = rng.choice(("it takes the first letter of {}", "it takes a letter of {} that is not the last"))
    return said.format(rng.choice(named))
