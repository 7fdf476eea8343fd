"""Generated arithmetic word problems with a distractor: one number that the question does not ask about.

    {"question_id": "arithmetic-train-00000", "task": "arithmetic", "split": "train",
     "text": "Tom has 12 pens. Ann has 9 pens. Tom buys 7 pens. How many pens does Tom have now?",
     "gold_label": "(12 + 7)"}

`parse` is the inverse of `generate`: it finds in a text the story, its numbers and its solution.
"""

import operator
import random
import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations, zip_longest

from lib.errors import UserError
from lib.records import Question
from lib.settings import Arithmetic
from lib.tasks.generated import generate_splits
from lib.tasks.stories import CONTAINERS, DAYS, NAMES, OBJECTS, ONE_OPERATION, TWO_OPERATIONS, UNRELATED, Story

SMALLEST = 2
LARGEST_RESULT = 100
OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}


@dataclass(frozen=True)
class Fact:
    """A sentence of the question with its number; `role` is the number's slot: a, b, c, or d for the distractor."""

    sentence: str
    number: int
    role: str


@dataclass(frozen=True)
class Solution:
    """One step: left operator right = result; `statement` says what the result means, with {r} for the number."""

    left: int
    operator: str
    right: int
    result: int
    statement: str

    def say(self, result: int | str) -> str:
        """What the step finds: "Tom has 19 pens now."."""
        return self.statement.replace("{r}", str(result))


@dataclass(frozen=True)
class Problem:
    """A word problem understood.

    facts     in the order of the text, the distractor among them
    question  the closing question sentence
    steps     the solution; a step's numbers are facts' numbers or earlier steps' results
    gold      the solution as one equation: "(12 + 7)", "((12 + 7) - 3)"
    words     what fills the story's word slots: {"N": "Tom", "O": "pens", ...}
    counts    the unit of the result: "pens"
    """

    story: str
    facts: tuple[Fact, ...]
    question: str
    steps: tuple[Solution, ...]
    gold: str
    words: dict[str, str]
    counts: str

    @property
    def distractor(self) -> Fact:
        """The fact that the question does not ask about."""
        return next(fact for fact in self.facts if fact.role == "d")

    @property
    def numbers(self) -> dict[str, int]:
        """Slot -> number, the distractor as d."""
        return {fact.role: fact.number for fact in self.facts}

    @property
    def text(self) -> str:
        """The question as posed."""
        return " ".join([*(fact.sentence for fact in self.facts), self.question])


def generate(rng: random.Random, settings: Arithmetic) -> tuple[str, str]:
    """One question with its gold label. Each sequence of operators that a solution can have is equally likely."""
    stories = stories_of(settings.operations, settings.stories)
    operators = rng.choice(sorted({_operators(story) for story in stories}))
    story = rng.choice([story for story in stories if _operators(story) == operators])
    numbers, words = _draw_numbers(rng, story, settings.largest), _draw_words(rng)
    position = rng.randrange(len(story.facts) + 1)
    distractor = rng.choice(_distractors(story, settings.distractors))
    template = _layout(story, rng.choice(_orders(story)), distractor, position)
    return template.format(**numbers, **words), _equation(story, numbers)


@lru_cache
def stories_of(operations: int, n: int) -> tuple[Story, ...]:
    """The first n stories, taken in turn from each sequence of operators, so that all are there."""
    stories = ONE_OPERATION if operations == 1 else TWO_OPERATIONS
    if n > len(stories):
        raise UserError(f"tasks.arithmetic.stories: {n} asked for; {operations}-operation stories: {len(stories)}")
    by_operators: dict[str, list[Story]] = {}
    for story in stories:
        by_operators.setdefault(_operators(story), []).append(story)
    in_turn = [story for round_ in zip_longest(*by_operators.values()) for story in round_ if story]
    return tuple(in_turn[:n])


def _distractors(story: Story, kind: str) -> tuple[str, ...]:
    return {"similar": story.distractors, "unrelated": UNRELATED, "both": (*story.distractors, *UNRELATED)}[kind]


@lru_cache(maxsize=50_000)
def parse(text: str) -> Problem:
    """The problem that a generated text poses. UserError if it is none of this task's questions."""
    for story in (*ONE_OPERATION, *TWO_OPERATIONS):
        if not _pattern(story.question).search(text):
            continue
        for roles, pattern in _patterns(story):
            match = pattern.fullmatch(text)
            words = _words(match.groupdict()) if match else None
            if words is not None:
                return _problem(text, story, roles, words, match.groupdict())
    raise UserError(f"not a generated arithmetic question: {text!r:.80}")


def load(settings: Arithmetic) -> list[Question]:
    """Questions of all splits, each split from its own seed."""
    return generate_splits("arithmetic", settings, lambda rng: generate(rng, settings))


def _operators(story: Story) -> str:
    return "".join(symbol for _, symbol, _, _ in story.steps)


def _orders(story: Story) -> list[tuple[str, ...]]:
    """The orders in which the facts may be told."""
    return [story.facts] if story.ordered else list(permutations(story.facts))


def _layout(story: Story, facts: tuple[str, ...], distractor: str, position: int) -> str:
    """The question as a template, its distractor before the fact at `position`."""
    return " ".join([*facts[:position], distractor, *facts[position:], story.question])


# -- numbers and words ---------------------------------------------------------------------------


def _draw_numbers(rng: random.Random, story: Story, largest: int) -> dict[str, int]:
    """Numbers for the slots: solvable in small positive integers, all of them and all results distinct.

    The distractor is drawn like one of the slots, so that its size does not give it away.
    """
    while True:
        numbers = _draw_solvable(rng, story, largest)
        imitated = rng.choice(sorted(numbers))
        numbers["d"] = _draw_solvable(rng, story, largest)[imitated]
        everything = [*numbers.values(), *_results(story, numbers)]
        if len(set(everything)) == len(everything):
            return numbers


def _draw_solvable(rng: random.Random, story: Story, largest: int) -> dict[str, int]:
    while True:
        # Most draws are refused (for example 37 / 5), so they have to be cheap: random() instead of randint().
        draws = {slot: SMALLEST + int(rng.random() * (largest - SMALLEST + 1)) for slot in "abc"[: len(story.facts)]}
        if all(2 <= result <= LARGEST_RESULT and result == int(result) for result in _results(story, draws)):
            return draws


def _results(story: Story, numbers: dict[str, int]) -> list[float]:
    """The result of each step."""
    values: dict[str, float] = dict(numbers)
    for i, (left, symbol, right, _) in enumerate(story.steps, 1):
        values[f"r{i}"] = OPERATORS[symbol](values[left], values[right])
    return list(values.values())[len(numbers) :]


def _equation(story: Story, numbers: dict[str, int]) -> str:
    """The whole solution as one equation."""
    parts = {slot: str(number) for slot, number in numbers.items()}
    for i, (left, symbol, right, _) in enumerate(story.steps, 1):
        parts[f"r{i}"] = f"({parts[left]} {symbol} {parts[right]})"
    return parts[f"r{len(story.steps)}"]


def _draw_words(rng: random.Random) -> dict[str, str]:
    people, things = rng.sample(NAMES, 3), rng.sample(OBJECTS, 2)
    containers, days = rng.sample(sorted(CONTAINERS), 2), rng.sample(DAYS, 3)
    plurals = [CONTAINERS[container] for container in containers]
    return dict(
        zip(
            ["N", "M", "X", "O", "T", "C", "E", "CS", "ES", "D", "G", "H"],
            [*people, *things, *containers, *plurals, *days],
        )
    )


# -- from text back to the problem ---------------------------------------------------------------

_CHOICES = {
    **dict.fromkeys(["N", "M", "X"], "|".join(NAMES)),
    **dict.fromkeys(["O", "T"], "|".join(OBJECTS)),
    **dict.fromkeys(["C", "E"], "|".join(CONTAINERS)),
    **dict.fromkeys(["CS", "ES"], "|".join(CONTAINERS.values())),
    **dict.fromkeys(["D", "G", "H"], "|".join(DAYS)),
    **dict.fromkeys(["a", "b", "c", "d"], "[0-9]{1,3}"),
}
_ALIKE = ("NMX", "OT", "CE", "DGH")


@lru_cache(maxsize=4096)
def _pattern(template: str) -> re.Pattern[str]:
    """A template as a regular expression; a slot that stands twice must be filled alike."""
    seen: set[str] = set()

    def group(match: re.Match[str]) -> str:
        slot = match[1]
        if slot in seen:
            return f"(?P={slot})"
        seen.add(slot)
        return f"(?P<{slot}>{_CHOICES[slot]})"

    return re.compile(re.sub(r"\\\{(\w+)\\\}", group, re.escape(template).replace(r"\ ", " ")))


@lru_cache(maxsize=64)
def _patterns(story: Story) -> list[tuple[str, re.Pattern[str]]]:
    """Every layout of a story: the roles of its sentences' numbers in order, and the expression that matches it."""
    layouts = [
        _layout(story, facts, distractor, position)
        for facts in _orders(story)
        for position in range(len(facts) + 1)
        for distractor in dict.fromkeys((*story.distractors, *UNRELATED))
    ]
    return [("".join(re.findall(r"\{([abcd])\}", layout)), _pattern(layout)) for layout in layouts]


def _words(slots: dict[str, str]) -> dict[str, str] | None:
    """The words of a match, containers in singular and plural; None if two people, objects, ... are the same one."""
    singular = {plural: container for container, plural in CONTAINERS.items()}
    words = {slot: word for slot, word in slots.items() if slot in "NMXOTCEDGH"}
    for one, many in (("C", "CS"), ("E", "ES")):
        if many in slots and words.setdefault(one, singular[slots[many]]) != singular[slots[many]]:
            return None
        if one in words:
            words[many] = CONTAINERS[words[one]]
    kinds = [[words[slot] for slot in alike if slot in words] for alike in _ALIKE]
    return words if all(len(set(kind)) == len(kind) for kind in kinds) else None


def _problem(text: str, story: Story, roles: str, words: dict[str, str], slots: dict[str, str]) -> Problem:
    numbers = {role: int(slots[role]) for role in roles}
    *sentences, question = re.split(r"(?<=[.?]) ", text)
    facts = tuple(Fact(sentence, numbers[role], role) for sentence, role in zip(sentences, roles))
    counts, steps = story.counts.format(**words), _solution(story, numbers, words)
    return Problem(story.name, facts, question, steps, _equation(story, numbers), words, counts)


def _solution(story: Story, numbers: dict[str, int], words: dict[str, str]) -> tuple[Solution, ...]:
    values: dict[str, int] = dict(numbers)
    steps = []
    for i, (left, symbol, right, statement) in enumerate(story.steps, 1):
        result = int(OPERATORS[symbol](values[left], values[right]))
        values[f"r{i}"] = result
        steps.append(Solution(values[left], symbol, values[right], result, statement.format(r="{r}", **words)))
    return tuple(steps)
