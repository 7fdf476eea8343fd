"""How the simulated teacher puts a judgement in words: a critique that names a step, counted from 1, then the verdict.

    Step 2 is wrong: it uses 9, which the question does not ask about.
    Nothing is at fault. Step 3 takes what the question asks about, and its result holds.

A critique never holds the gold label, and a false accusation is worded like a true one.
"""

import re
from random import Random
from typing import Any

from lib.records import Verdict
from lib.teacher.prompts import VERDICT_SENTENCE
from lib.teacher.simulation import Writer
from lib.verification import Check

WRONG = ("Step {} is wrong: {}.", "The fault is in step {}: {}.", "I see a fault in step {}: {}.")
CORRECT = (
    "Every step follows from the question. Step {} is the one that decides, and it is right.",
    "Nothing is at fault. Step {} takes what the question asks about, and its result holds.",
    "I find nothing wrong. Step {} does what the question asks for, and the rest follows from it.",
)
UNCERTAIN = (
    "Step {} may be right or wrong. I cannot tell what the question asks about.",
    "It is hard to tell whether step {} does what the question asks for.",
)


def evaluation(writer: Writer, problem: Any, check: Check, verdict: Verdict, rng: Random) -> str:
    """The whole answer to a self-evaluation prompt, with a critique that fits the verdict, be it right or not."""
    if verdict == "wrong":
        critique = rng.choice(WRONG).format(*_accused(writer, problem, check, rng))
    else:
        critique = rng.choice(CORRECT if verdict == "correct" else UNCERTAIN).format(_decisive(writer, check, rng) + 1)
    return f"Evaluation: {critique}\n\n{VERDICT_SENTENCE.format(verdict=verdict)}"


def tells(text: str, label: str) -> bool:
    """Whether a text holds a label in so many words, brackets and spacing aside: "12+7 is right" tells "(12 + 7)"."""
    wanted, held = _bare(label), _bare(text)
    return bool(wanted) and re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", held) is not None


def _bare(text: str) -> str:
    """Lower case, operators evenly spaced, brackets and quotes left out."""
    spaced = re.sub(r"([-+*/])", r" \1 ", re.sub(r"[()\[\]\"']", "", text.lower()))
    return " ".join(spaced.split())


def _accused(writer: Writer, problem: Any, check: Check, rng: Random) -> tuple[int, str]:
    """Number of the step at fault and what is wrong with it; of a sound rationale, a step and an invented fault."""
    if check.wrong_steps:
        at = check.wrong_steps[0]
        return at + 1, writer.fault(problem, check.steps[at].text, check.steps[at].wrong)[1]
    at = _decisive(writer, check, rng)
    return at + 1, writer.invented_fault(problem, check.steps[at].text, rng)


def _decisive(writer: Writer, check: Check, rng: Random) -> int:
    """Index of a step that decides the answer; of the last step where none is to be seen."""
    reasoning = check.steps[:-1] or check.steps
    deciding = [i for i, step in enumerate(reasoning) if writer.decisive.search(step.text)]
    return rng.choice(deciding or [len(reasoning) - 1])
