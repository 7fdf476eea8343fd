"""How the simulated teacher solves arithmetic word problems, rightly and wrongly, and puts it in words.

Four styles of the same work, 12 + 7 with the distractor 9:

    0 retell     Tom has 12 pens. Tom buys 7 pens. So 12 + 7 = 19. Tom has 19 pens now. The answer is (12 + 7).
    1 collect    The numbers that count are 12 and 7. So 12 + 7 = 19. Tom has 19 pens now. The answer is (12 + 7).
    2 operate    We have to add here. We add 12 and 7. So 12 + 7 = 19. Tom has 19 pens now. The answer is (12 + 7).
    3 exclude    We do not need the number 9. So 12 + 7 = 19. Tom has 19 pens now. The answer is (12 + 7).
"""

import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from random import Random

from lib.tasks.arithmetic import Problem

OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": Fraction}
VERBS = {"+": "add {} and {}", "-": "subtract {1} from {0}", "*": "multiply {} by {}", "/": "divide {} by {}"}
LARGEST = 200  # flawed work with a larger result is not written: the students' vocabulary of numbers stays small
SLIPS = (-10, -2, -1, 1, 2, 10)


@dataclass(frozen=True)
class Plan:
    """A step to be worked out; an operand None is the result of the step before."""

    left: int | None
    symbol: str
    right: int | None
    statement: str
    slip: int = 0


@dataclass(frozen=True)
class Line:
    """A step worked out; `equation` has the earlier steps put in."""

    left: int
    symbol: str
    right: int
    result: int
    statement: str
    equation: str


Work = tuple[Line, ...]


# -- the work ------------------------------------------------------------------------------------


def solve(problem: Problem) -> Work:
    """The right work."""
    return _work(_plans(problem))


def wrong_operation(problem: Problem, rng: Random) -> Work | None:
    """One step computes with another operator."""
    plans = _plans(problem)
    at = rng.randrange(len(plans))
    symbols = [symbol for symbol in OPERATORS if symbol != plans[at].symbol]
    changed = [replace(plans[at], symbol=symbol) for symbol in rng.sample(symbols, len(symbols))]
    return _first_wrong(problem, at, [either for plan in changed for either in (plan, _swapped(plan))])


def distractor_taken(problem: Problem, rng: Random) -> Work | None:
    """One step takes the distractor instead of a number that counts."""
    plans = _plans(problem)
    places = [(at, side) for at, p in enumerate(plans) for side in ("left", "right") if getattr(p, side) is not None]
    for at, side in rng.sample(places, len(places)):
        changed = replace(plans[at], **{side: problem.distractor.number})
        swappable = [changed, _swapped(changed)] if changed.symbol == "-" else [changed]
        if work := _first_wrong(problem, at, swappable):
            return work
    return None


def slipped_arithmetic(problem: Problem, rng: Random) -> Work | None:
    """One step's result is a little off."""
    plans = _plans(problem)
    for at in rng.sample(range(len(plans)), len(plans)):
        slipped = [replace(plans[at], slip=slip) for slip in rng.sample(SLIPS, len(SLIPS))]
        if work := _first_wrong(problem, at, slipped):
            return work
    return None


FLAWS = {
    "wrong operation": wrong_operation,
    "distractor taken": distractor_taken,
    "slipped arithmetic": slipped_arithmetic,
}


def _plans(problem: Problem) -> list[Plan]:
    """The right solution as plans."""
    plans: list[Plan] = []
    before = None
    for step in problem.steps:
        continues_left = step.left == before
        continues_right = step.right == before and not continues_left
        left, right = None if continues_left else step.left, None if continues_right else step.right
        plans.append(Plan(left, step.operator, right, step.statement))
        before = step.result
    return plans


def _swapped(plan: Plan) -> Plan:
    return replace(plan, left=plan.right, right=plan.left)


def _first_wrong(problem: Problem, at: int, variants: Iterable[Plan]) -> Work | None:
    """The work with step `at` replaced by the first variant that can be worked out and has another result.

    No result is a number of the question: one could not tell which of the two a later step takes.
    """
    plans, taken = _plans(problem), set(problem.numbers.values())
    for variant in variants:
        work = _work([*plans[:at], variant, *plans[at + 1 :]])
        if work and work[at].result != problem.steps[at].result and taken.isdisjoint(line.result for line in work):
            return work
    return None


def _work(plans: Iterable[Plan]) -> Work | None:
    """Plans worked out in order; None unless each result is a whole number from 1 to LARGEST."""
    lines: list[Line] = []
    for plan in plans:
        left, right = (lines[-1].result if n is None else n for n in (plan.left, plan.right))
        result = OPERATORS[plan.symbol](left, right) + plan.slip
        if result != int(result) or not 1 <= result <= LARGEST:
            return None
        parts = [lines[-1].equation if n is None else n for n in (plan.left, plan.right)]
        equation = f"({parts[0]} {plan.symbol} {parts[1]})"
        lines.append(Line(left, plan.symbol, right, int(result), plan.statement, equation))
    return tuple(lines)


# -- its words -----------------------------------------------------------------------------------


def word(problem: Problem, work: Work, style: int, rng: Random) -> str:
    """The work in words; within a style, connectives and the order of facts vary."""
    opening = (_retell, _collect, _operate, _exclude)[style](problem, work, rng)
    connectives = rng.choice((("So", "Then"), ("Thus", "Next"), ("Now", "So"), ("", "")))
    steps = [
        f"{connective} {line.left} {line.symbol} {line.right} = {line.result}.".strip()
        for connective, line in zip(connectives, work)
    ]
    result = work[-1].statement.replace("{r}", str(work[-1].result))
    return " ".join([*opening, *steps, result, f"The answer is {work[-1].equation}."])


def _retell(problem: Problem, work: Work, rng: Random) -> list[str]:
    facts = [fact.sentence for fact in problem.facts if fact.number in _taken(problem, work)]
    return rng.sample(facts, len(facts)) if rng.random() < 0.5 else facts


def _collect(problem: Problem, work: Work, rng: Random) -> list[str]:
    numbers = [str(number) for number in _taken(problem, work)]
    if rng.random() < 0.5:
        numbers.reverse()
    listed = ", ".join(numbers[:-1]) + " and " + numbers[-1]
    return [rng.choice(("The numbers that count are {}.", "What counts are the numbers {}.")).format(listed)]


def _operate(problem: Problem, work: Work, rng: Random) -> list[str]:
    before = [None, *(line.result for line in work)]
    verbs = [
        VERBS[line.symbol].format(*("the result" if n == result else n for n in (line.left, line.right)))
        for line, result in zip(work, before)
    ]
    start = rng.choice(("We {}.", "Here we {}.", "We have to {}.", "We need to {}."))
    return [start.format(" and then ".join(verbs))]


def _exclude(problem: Problem, work: Work, rng: Random) -> list[str]:
    taken = _taken(problem, work)
    left_out = [fact for fact in problem.facts if fact.number not in taken]
    numbers = " and ".join(str(fact.number) for fact in left_out)
    said = ("We do not need the number {}.", "The number {} does not matter.", "The number {} is not asked for.")
    kept = [fact.sentence for fact in problem.facts if fact not in left_out]
    return [rng.choice(said).format(numbers), rng.choice(kept)]


def _taken(problem: Problem, work: Work) -> list[int]:
    """The question's numbers that the work uses, in the order of the text."""
    used = {number for line in work for number in (line.left, line.right)}
    return [fact.number for fact in problem.facts if fact.number in used]


_COLLECT = re.compile(r"numbers that count|What counts")
_OPERATE = re.compile(r"\b[Ww]e (?:have to |need to )?(?:add|subtract|multiply|divide)\b")
_EXCLUDE = re.compile(r"do not need|does not matter|is not asked for")


def style_of(rationale: str) -> int:
    """Which style a rationale is written in; 0 (retell) where it has none of the others' marks."""
    return next((i for i, mark in enumerate((_COLLECT, _OPERATE, _EXCLUDE), 1) if mark.search(rationale)), 0)


# -- faults --------------------------------------------------------------------------------------

DECISIVE = re.compile("=")
_SLIP, _OPERATION = "its result is not what its numbers give", "it {}, which is not what the question asks for"
_DOES = {"+": "adds", "-": "subtracts", "*": "multiplies", "/": "divides"}


def fault(problem: Problem, step: str, reason: str) -> tuple[str, str]:
    """(kind, what a critique says) of a step that the verifier refutes for `reason`. The right equation is not told."""
    if match := re.search(r"uses (\d+)", reason):
        return "distractor taken", f"it uses {match[1]}, which the question does not ask about"
    if match := re.search(r"the question needs (\d+)", reason):
        return "distractor taken", f"it leaves out {match[1]}, which the question needs"
    if re.search(r"is \d+, not \d+$", reason):
        return "slipped arithmetic", _SLIP
    return "wrong operation", _OPERATION.format(_does(step))


def invented_fault(problem: Problem, step: str, rng: Random) -> str:
    """What a critique says of a step that is right."""
    number = rng.choice(re.findall(r"\d+", step.partition("=")[0]) or ["a number"])
    taken = f"it uses {number}, which the question does not ask about"
    return rng.choice((taken, _SLIP, _OPERATION.format(_does(step))))


def _does(step: str) -> str:
    """What a step does, by its operator or verb."""
    found = [symbol for symbol, verb in VERBS.items() if symbol in step or verb.split()[0] in step]
    return _DOES[found[0]] if found else "goes another way"
