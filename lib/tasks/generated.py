"""Splits of generated questions: each from its own seed, no text on two sides."""

import random
from collections.abc import Callable

from lib.errors import UserError
from lib.records import SPLITS, Question
from lib.settings import Section

# Draws in a row that bring nothing new before a family of questions counts as used up.
PATIENCE = 2000


def generate_splits(task: str, settings: Section, draw: Callable[[random.Random], tuple[str, str]]) -> list[Question]:
    """Questions of all splits, in the numbers that `settings` asks for.

    `draw` makes one (text, gold_label). A text that stands in an earlier split, or already in its own, is drawn
    again, so the splits are disjoint and the numbers are reached. UserError when the family has too few questions.
    """
    seen: set[str] = set()
    return [question for split in SPLITS for question in _split(task, split, settings, draw, seen)]


def _split(task, split, settings, draw, seen) -> list[Question]:
    wanted, rng = getattr(settings, split), random.Random(getattr(settings.seeds, split))
    questions: list[Question] = []
    misses = 0
    while len(questions) < wanted:
        text, gold = draw(rng)
        misses = misses + 1 if text in seen else 0
        if misses > PATIENCE:
            raise UserError(
                f"tasks.{task}.{split}: {wanted} questions asked for, but only {len(questions)} new ones exist "
                f"after {len(seen) - len(questions)} in other splits; ask for fewer"
            )
        if text in seen:
            continue
        seen.add(text)
        identity = f"{task}-{split}-{len(questions):05d}"
        questions.append(Question(question_id=identity, task=task, split=split, text=text, gold_label=gold))
    return questions
