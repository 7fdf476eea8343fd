"""The step verifier of the arithmetic word problems.

    question   Tom has 12 pens. Ann has 9 pens. Tom buys 7 pens. How many pens does Tom have now?
    rationale  Tom has 12 pens. So 12 + 9 = 22. Tom has 22 pens now. The answer is (12 + 9).
    wrong      1: 12 + 9 is 21, not 22 · 2: it is 19, not 22 · 3: uses 9, which the question does not ask about

Whether an equation takes the right numbers in the right way is decided by meaning, not by wording: each quantity of
the question stands for a large prime, a result for what it was computed from. An equation is right when it then has
the value of a step of some right solution, so (a - c) + b is as good as (a + b) - c, and 9 is never 9 by chance.
"""

import re
from fractions import Fraction
from functools import lru_cache
from itertools import permutations, product

from lib.equations import canonical, equation_value, is_number
from lib.records import Question
from lib.tasks.arithmetic import Problem, parse
from lib.tasks.stories import CONTAINERS, DAYS, NAMES, OBJECTS
from lib.verification import RIGHT, UNCHECKED, Check, Equation, Judgement, check_sentences, equations, false_arithmetic

# What the quantities stand for when equations are compared by meaning.
PRIMES = {"a": Fraction(1_000_003), "b": Fraction(10_007), "c": Fraction(131), "d": Fraction(97_213)}
MOST_READINGS = 64
USES = "uses {}, which the question does not ask about"


def check(question: Question, rationale: str) -> Check:
    """Which sentences of a rationale are wrong, given one of this task's questions. UserError for another question."""
    return check_sentences(rationale, _Reader(parse(question.text)).judge)


class _Reader:
    """Reads a rationale in order and remembers what its numbers mean.

    meanings   number -> its possible meanings: a quantity's prime, a result's value in primes
    spoilt     results of wrong steps
    """

    def __init__(self, problem: Problem):
        self.problem = problem
        self.right = _right_meanings(_shape(problem))
        self.meanings: dict[str, list[Fraction]] = {str(f.number): [PRIMES[f.role]] for f in problem.facts}
        self.spoilt: set[str] = set()
        for step in problem.steps:
            self._learn(str(step.result), f"{step.left} {step.operator} {step.right}")
        self.claims = _claims(problem)
        self.forms = {_form(key) for key in self.claims}

    def judge(self, sentence: str) -> Judgement:
        """One sentence: an answer, a claim about the story, equations, numbers chosen or left out, or just numbers."""
        if answer := _ANSWER.match(sentence):
            return self._judge_answer(answer[1])
        claim = self._judge_claim(sentence)
        if claim != UNCHECKED:
            return claim
        found = equations(sentence)
        computed = [self._judge_equation(equation) for equation in found]
        announced = [self._judge_expression(expression) for expression in _announced(sentence)]
        if found or announced:
            return next(filter(None, [*computed, *announced]), RIGHT)
        return self._judge_numbers(sentence)

    # -- equations ---------------------------------------------------------------------------

    def _judge_equation(self, equation: Equation) -> Judgement:
        sides = [side for side in equation if not is_number(side)]
        reason = next(filter(None, [false_arithmetic(equation), *map(self._judge_expression, sides)]), RIGHT)
        for number in filter(is_number, equation):
            if reason:
                self.spoilt.add(number)
            elif sides:
                self._learn(number, sides[0])
        return reason

    def _judge_expression(self, expression: str) -> Judgement:
        """Does it compute something that a right solution computes, or check a quantity of the question?"""
        numbers = _numbers(expression)
        known = [n for n in numbers if n in self.meanings]
        if len(known) == len(numbers) and any(m in self.right for m in self._meanings_of(expression)):
            return RIGHT
        distractor = str(self.problem.distractor.number)
        for number in numbers:
            if number == distractor:
                return USES.format(number)
            if number in self.spoilt:
                return f"builds on {number}, which is wrong"
            if number not in self.meanings:
                return f"{number} comes from nowhere"
        return f"{expression} is not what the question asks for"

    def _meanings_of(self, expression: str) -> list[Fraction]:
        """The values of an expression under every reading of its numbers."""
        numbers = sorted(set(_numbers(expression)))
        readings = list(product(*(self.meanings[n] for n in numbers)))[:MOST_READINGS]
        values = (equation_value(expression, dict(zip(numbers, reading))) for reading in readings)
        return [value for value in values if value is not None]

    def _learn(self, number: str, expression: str) -> None:
        known = self.meanings.setdefault(number, [])
        known += [m for m in self._meanings_of(expression) if m in self.right and m not in known][:4]

    def _judge_answer(self, text: str) -> Judgement:
        label = canonical(text)
        if label is None:
            return "the answer is no equation"
        if not is_number(label):
            reason = self._judge_expression(label)
            if reason:
                return reason
        if equation_value(label) != equation_value(self.problem.gold):
            return f"{label} does not answer the question"
        return RIGHT

    # -- claims and numbers ------------------------------------------------------------------

    def _judge_claim(self, sentence: str) -> Judgement:
        """A fact of the question or the result of a step, told with its own number, another one, or of someone else."""
        number, key = _only_number(sentence), _key(sentence)
        if number is None:
            return UNCHECKED
        loose = _loose(key)
        true = self.claims.get(key) or self.claims.get(loose)
        if true:
            return RIGHT if number in true else f"it is {' or '.join(sorted(true))}, not {number}"
        return "the question does not say so" if _form(loose) in self.forms else UNCHECKED

    def _judge_numbers(self, sentence: str) -> Judgement:
        numbers = _numbers(sentence)
        strange = [number for number in numbers if number not in self.meanings and number not in self.spoilt]
        if strange:
            return f"{strange[0]} comes from nowhere"
        distractor = str(self.problem.distractor.number)
        quantities = [n for n in numbers if n in {str(fact.number) for fact in self.problem.facts}]
        if quantities and _EXCLUDES.search(sentence):
            needed = [number for number in quantities if number != distractor]
            return f"the question needs {needed[0]}" if needed else RIGHT
        if quantities and _SELECTS.search(sentence):
            return USES.format(distractor) if distractor in quantities else RIGHT
        return UNCHECKED


# -- right meanings ------------------------------------------------------------------------------


def _shape(problem: Problem) -> str:
    """The solution in slots: "((a + b) - c)"."""
    slots = {str(fact.number): fact.role for fact in problem.facts}
    return re.sub(r"[0-9]+", lambda match: slots[match[0]], problem.gold)


@lru_cache(maxsize=256)
def _right_meanings(shape: str) -> frozenset[Fraction]:
    """The values that steps of right solutions can have: the solution's, those on the ways to it, the quantities'."""
    gold = equation_value(re.sub("[abc]", lambda match: str(PRIMES[match[0]]), shape))
    slots = sorted(set(re.findall("[abc]", shape)))
    values = {gold, *(PRIMES[slot] for slot in slots)}
    if len(slots) == 3:
        for x, y, z in permutations(PRIMES[slot] for slot in slots):
            values |= {first for first in _combined(x, y) if gold in _combined(first, z) | _combined(z, first)}
            for symbols in product("+-*/", repeat=2):
                parts = [_apply(symbols[0], x, z), _apply(symbols[0], y, z)]
                if _apply(symbols[1], *parts) == gold:
                    values |= set(parts)
    return frozenset(values)


def _combined(x: Fraction, y: Fraction) -> set[Fraction]:
    return {_apply(symbol, x, y) for symbol in "+-*/"}


def _apply(symbol: str, x: Fraction, y: Fraction) -> Fraction:
    return {"+": x + y, "-": x - y, "*": x * y, "/": x / y}[symbol]


# -- wordings ------------------------------------------------------------------------------------

_ANSWER = re.compile(r"(?:(?:So|Thus|Therefore|Hence),? )?[Tt]he answer is:? (.+?)[.!]?$")
_CONNECTIVE = re.compile(r"^(?:(?:so|then|first|next|thus|now|therefore|hence|finally|and|but|also)\b,? ?)+", re.I)
_NUMBER = re.compile(r"(?<![0-9.])[0-9]{1,20}(?:\.[0-9]{1,20})?(?![0-9])")
_EXCLUDES = re.compile(
    r"(?:\bnot|n't) (?:need|use|matter|count|ask|relevant|important)|\b(?:ignore|irrelevant|leave out)\b", re.I
)
_SELECTS = re.compile(
    r"\bnumbers? (?:that|which) (?:count|matter)|\bwhat (?:counts|matters)|\b(?:we|only) (?:need|use)\b", re.I
)
_VERBS = {"add": "+", "subtract": "-", "take": "-", "multiply": "*", "divide": "/"}
_ANNOUNCED = re.compile(
    r"\b(add|subtract|take|multiply|divide)(?:ing)? (?:the )?([0-9]{1,20})(?: [a-z]+){0,2}?"
    r" (and|to|from|by|with) (?:the )?([0-9]{1,20})\b",
    re.IGNORECASE,
)


def _announced(sentence: str) -> list[str]:
    """Operations said in words: "We subtract 7 from 12" -> ["12 - 7"]."""
    found = []
    for verb, one, link, other in _ANNOUNCED.findall(sentence):
        symbol = _VERBS[verb.lower()]
        left, right = (other, one) if symbol == "-" and link == "from" else (one, other)
        found.append(f"{left} {symbol} {right}")
    return found


def _numbers(text: str) -> list[str]:
    return _NUMBER.findall(text)


def _only_number(sentence: str) -> str | None:
    numbers = _numbers(sentence)
    return numbers[0] if len(numbers) == 1 else None


def _claims(problem: Problem) -> dict[str, set[str]]:
    """What the question says and what its steps find: wording without its number -> the numbers that make it true."""
    truths = [(fact.sentence, str(fact.number)) for fact in problem.facts]
    truths += [(step.say(step.result), str(step.result)) for step in problem.steps]
    claims: dict[str, set[str]] = {}
    for sentence, number in truths:
        key = _key(sentence)
        claims.setdefault(key, set()).add(number)
    for sentence, number in truths:
        claims.setdefault(_loose(_key(sentence)), set()).add(number)
    return claims


def _key(sentence: str) -> str:
    """A sentence without its number, connectives and full stop."""
    return _NUMBER.sub("#", _CONNECTIVE.sub("", sentence).rstrip(" .!")).lower()


_LOOSE = re.compile(r"\b(?:now|left|in all|then|also|still|together) ?")


def _loose(key: str) -> str:
    """A key without the words that do not change who has what: now, left, ..."""
    return _LOOSE.sub("", key).strip()


_KINDS = (("name", NAMES), ("object", OBJECTS), ("one", CONTAINERS), ("many", CONTAINERS.values()), ("day", DAYS))
_KIND = {word.lower(): kind for kind, words in _KINDS for word in words}


def _form(key: str) -> str:
    """A wording with people, objects, ... replaced by their kind: "tom has # pens" -> "name has # object"."""
    return " ".join(_KIND.get(word, word) for word in key.split())
