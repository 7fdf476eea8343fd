"""The step verifier: which sentences of a rationale are wrong, and why.

    check_equations("He has 3 pens. 3 + 4 = 8. The answer is (3 + 4).").steps
    # Step("He has 3 pens.", wrong=None, checked=False), Step("3 + 4 = 8.", wrong="3 + 4 is 7, not 8"), ...

Here is what every task needs: sentences, the equations they state, their arithmetic. What else a task can check
(numbers against the question, the state of a coin) stands in the task's own file. Any text is read in bounded time.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from lib.equations import canonical, equation_value, is_number, plain_signs
from lib.text import sentences, tidy

LONGEST_SENTENCE = 1000  # a longer one is not checked


@dataclass(frozen=True)
class Step:
    """One sentence of a rationale.

    wrong     why it is wrong, e.g. "3 + 4 is 7, not 8"; None if it is not refuted
    checked   whether it says anything that can be checked
    """

    text: str
    wrong: str | None
    checked: bool = True


@dataclass(frozen=True)
class Check:
    """A rationale, sentence by sentence."""

    steps: tuple[Step, ...]

    @property
    def wrong_steps(self) -> tuple[int, ...]:
        """Indices of the sentences that are refuted."""
        return tuple(i for i, step in enumerate(self.steps) if step.wrong)

    @property
    def checkable(self) -> int:
        """How many sentences say something that can be checked; 0 for garble."""
        return sum(step.checked for step in self.steps)


# What a judge says of a sentence: why it is wrong, RIGHT, or UNCHECKED where it says nothing to check.
Judgement = str | None
RIGHT: Judgement = None
UNCHECKED: Judgement = ""


def check_sentences(rationale: str, judge: Callable[[str], Judgement]) -> Check:
    """Every sentence of a text before its judge, in order."""
    return Check(tuple(_step(sentence, judge) for sentence in sentences(tidy(rationale))))


def _step(sentence: str, judge: Callable[[str], Judgement]) -> Step:
    judgement = judge(sentence) if len(sentence) <= LONGEST_SENTENCE else UNCHECKED
    return Step(sentence, judgement or None, checked=judgement != UNCHECKED)


def check_equations(rationale: str) -> Check:
    """The arithmetic of every stated equation, whatever the question.

    Bare numbers alone are no arithmetic: "13 chairs per set = 143 chairs" and "1 dozen = 12" say something of units.
    """

    def judge(sentence: str) -> Judgement:
        found = [e for e in equations(sentence) if not all(is_number(side.strip("() ")) for side in e)]
        return next(filter(None, map(false_arithmetic, found)), RIGHT) if found else UNCHECKED

    return check_sentences(rationale, judge)


# -- equations in a sentence ---------------------------------------------------------------------

Equation = tuple[str, ...]  # its sides, evenly spaced: ("12 + 7", "19")

# "is" and the like stand for "=" only after an operation: "3 + 4 is 7" is an equation, "1/3 of 12 is 4" is none.
_SIGNS = {
    "+": "plus",
    "-": "minus",
    "*": "times|multiplied by|x",
    "/": "divided by",
    "~": "is equal to|equals|is|are|makes|gives",
}
_WORD_SIGNS = {
    f" {sign} ": re.compile(rf"(?<=[0-9)]) (?:{words}) (?=[-(]?[.0-9])", re.I) for sign, words in _SIGNS.items()
}
# Up to three words of unit before a sign: "12 red pens + 7 pens", "12 pens plus 7".
_UNIT = re.compile(rf"(?<=[0-9])(?: [A-Za-z'/]+){{1,3}}? (?=[-+*/=]|(?:{'|'.join(_SIGNS.values())})\b)")
_PUNCTUATION = re.compile(r"[,;:!?\"']+(?= |$)")
_WORD = re.compile(r"[^ |]*[^-+*/()=~.0-9 |][^ |]*")


def equations(sentence: str) -> list[Equation]:
    """The equations that a sentence states in numbers: "so 5 = 2 + 3" is ("5", "2 + 3"); "x + 3 = 5" is none."""
    plain = _UNIT.sub(" ", plain_signs(sentence))
    for sign, pattern in _WORD_SIGNS.items():
        plain = pattern.sub(sign, plain)
    if "=" not in plain and "~" not in plain:
        return []
    runs = _WORD.sub("|", _PUNCTUATION.sub(" | ", plain)).split("|")
    return [equation for i, run in enumerate(runs) for equation in _in_run(run, after_word=i > 0)]


def _in_run(run: str, after_word: bool) -> list[Equation]:
    """The equations in a stretch without words. After a word, a leading operator belongs to that word: "x + 3 = 5"."""
    parts = re.split(r"([=~])", run)
    sides = [_side(part) for part in parts[::2]]
    if after_word and parts[0].lstrip()[:1] in tuple("+-*/"):
        sides[0] = None
    chains: list[list[str]] = [[]]
    for i, side in enumerate(sides):
        if side is None or (i and parts[2 * i - 1] == "~" and sides[i - 1] is not None and is_number(sides[i - 1])):
            chains.append([])
        if side is not None:
            chains[-1].append(side)
    return [tuple(chain) for chain in chains if len(chain) > 1]


def _side(text: str) -> str | None:
    """One side of an equation, freed of a bracket or full stop that belongs to the sentence."""
    text = text.strip().rstrip(".").rstrip()
    if text.count("(") > text.count(")"):
        text = text.removeprefix("(")
    elif text.count("(") < text.count(")"):
        text = text.removesuffix(")")
    return canonical(text)


def false_arithmetic(equation: Equation) -> str | None:
    """Why an equation is false: "3 + 4 is 7, not 8"; None if it holds. A decimal may be rounded or cut off."""
    for left, right in pairwise(equation):
        if is_number(left) and not is_number(right):
            left, right = right, left
        exact, stated = equation_value(left), equation_value(right)
        if exact != stated and not (is_number(right) and _rounded(exact, right)):
            calculated = is_number(right) and not is_number(left)
            return f"{left} is {_written(exact)}, not {right}" if calculated else f"{left} is not {right}"
    return None


def _rounded(exact: Fraction, stated: str) -> bool:
    """Whether a decimal is the exact value rounded to, or cut off after, its last place."""
    _, point, places = stated.partition(".")
    unit = Fraction(1, 10 ** len(places))
    missing = abs(exact) - abs(Fraction(stated))
    return bool(point and places) and (abs(missing) <= unit / 2 or 0 <= missing < unit)


def _written(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.4g}"
