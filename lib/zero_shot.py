"""A rationale without exemplars takes two calls (Kojima et al. 2022): reasoning, then the answer that it arrives at.

first   "Q: ...\\nA: Let's think step by step."     -> "Tom has 3 pens. He buys 4."
second  the same, that text, "Therefore, the answer, as one number, is"     -> "7."
text    "Tom has 3 pens. He buys 4.\\nThe answer is 7."
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from lib.asking import Ask, Progress, Usage, answers, distinct_asks, together, usage_of
from lib.tasks import Task
from lib.tasks.answers.reading import ANSWER, conclusion
from lib.teacher import Request, Response, Teacher, prompts
from lib.teacher.store import Store, request_key
from lib.text import tidy

_ANSWERS = re.compile(rf"(?:(?:so|thus|therefore|hence),? )?(?:{ANSWER.pattern})", re.IGNORECASE)
# Tokens of the second zero-shot call's answer: a label and a few words around it.
ANSWER_TOKENS = 32


def with_answers(
    asks: Sequence[Ask],
    responses: list[Response],
    usage: Usage,
    task: Task,
    teacher: Teacher,
    store: Store,
    progress: Progress,
    before: float,
) -> tuple[list[Response], Usage]:
    """Zero-shot responses with the answers that a second call extracts from them.

    usage    of the first calls; what is returned counts both
    before   what the stage had cost before the first calls
    """
    second = _second(asks, responses, task)
    found, more = answers(list(second.values()), teacher, store, "answers", progress, before + (usage.money or 0.0))
    closed = list(responses)
    trigger = prompts.load_zero_shot(task.prompts).answer
    for i, answer in zip(second, found):
        closed[i] = _closed(responses[i], answer, trigger)
    return closed, together(usage, more)


def spent_on_answers(asks: Sequence[Ask], task: Task, teacher: Teacher, store: Store) -> float:
    """What the second calls of earlier runs have cost: the budget is for both calls."""
    stored = [store.get(request_key(teacher.identity, ask.request)) for ask in asks]
    second = distinct_asks(list(_second(asks, stored, task).values()), teacher)
    return usage_of(second, store, teacher, 0).money or 0.0


def _second(asks: Sequence[Ask], responses: Sequence[Response | None], task: Task) -> dict[int, Ask]:
    """Place of a usable first answer -> the second call about it."""
    pairs = enumerate(zip(asks, responses))
    return {i: answer_ask(ask, response, task) for i, (ask, response) in pairs if response and not response.failure}


def answer_ask(ask: Ask, response: Response, task: Task) -> Ask:
    """The second zero-shot call, greedy: which answer does this reasoning arrive at?"""
    messages = prompts.answer_messages(task.prompts, ask.request.messages, tidy(response.text))
    return Ask(ask.item, Request(messages, 0.0, ANSWER_TOKENS, 0))


def _closed(reasoning: Response, answer: Response, trigger: str) -> Response:
    """The reasoning with the answer as its last sentence; a failed second call fails the whole."""
    said = _without_trigger(answer.text, trigger)
    # Cut off after the answer is no harm: base models go on and on.
    if answer.failure and not (answer.finish_reason == "length" and said):
        return replace(reasoning, finish_reason=answer.finish_reason if answer.finish_reason != "stop" else "no answer")
    return replace(reasoning, text=f"{_without_answer(tidy(reasoning.text))}\nThe answer is {said}")


def _without_answer(reasoning: str) -> str:
    """The reasoning alone: one that already ends in an answer would tell it twice, and tell it as reasoning."""
    last = conclusion(reasoning)
    return reasoning[: reasoning.rindex(last)].rstrip() if _ANSWERS.match(last) else reasoning


def _without_trigger(answer: str, trigger: str) -> str:
    """The answer alone: many a teacher first repeats what it was asked with, or "The answer is"."""
    said = " ".join(answer.replace("**", "").split())
    for begun in (trigger, "The answer is"):
        if said.lower().startswith(begun.lower()):
            said = said[len(begun) :].lstrip(" :")
    return said
