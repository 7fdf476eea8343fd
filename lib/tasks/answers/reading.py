"""What all kinds of answers share: finding the answer sentence, and closing a text with one.

closed("42", "last equation", "84 / 2 = 42. So").text      # "84 / 2 = 42. The answer is 42."
"""

import re
from collections.abc import Callable

from lib.tasks.answers.markup import readable
from lib.tasks.base import Answer
from lib.text import LIMIT, sentences

# "To find the answer: 1. Subtract ..." begins a list, not an answer.
ANSWER = re.compile(r"\bthe (?:final |correct )?answer is\b:? ?|\b(?:final )?answer: (?!1\. )", re.IGNORECASE)
SENTENCE_END = re.compile(r"[.!?][\"')*]*(?: |$)")
_LEFT_OVER = ("", "so", "thus", "therefore", "hence")
_PLEASANTRY = re.compile(
    r" (?:Let me know|I hope (?:this|that)|Hope (?:this|that)|Feel free|If you have any)\b[^.!?]{0,200}[.!?]?$"
)
Found = tuple[str | None, str]  # the label, and how it was found or why not


def read_answer(
    text: str, stated: Callable[[str], Found], fallback: Callable[[str], Found], phrase: re.Pattern = ANSWER
) -> Answer:
    """`stated` reads what follows the last `phrase`, "The answer is"; `fallback` reads a text without one."""
    body = readable(text)
    if not body:
        return Answer(None, "empty text", "", "")
    matches = list(phrase.finditer(body))
    reasoning = body[: matches[-1].start()].rstrip() if matches else body
    label, how = stated(body[matches[-1].end() :]) if matches else fallback(body)
    if label is None:
        return Answer(None, how, reasoning, body)
    return closed(label, how, "" if how.startswith("bare") else reasoning)


def closed(label: str, how: str, reasoning: str, said: str | None = None) -> Answer:
    """An answer whose text ends in "The answer is {label}."; a "So" or "**" before that sentence goes with it.

    said    what that sentence says where it is more than the label: "(d) math problem"
    """
    ending = f"The answer is {said or label}."
    words = readable(reasoning[: max(0, LIMIT - len(ending) - 1)], answered=True).split()
    while words and words[-1].strip("*_#,").lower() in _LEFT_OVER:
        words.pop()
    return Answer(label, how, " ".join(words), " ".join([*words, ending]))


def conclusion(body: str) -> str:
    """The last sentence of a tidy text, an assistant's "Let me know if ..." aside; "" for an empty text."""
    match = _PLEASANTRY.search(body, max(0, len(body) - 300))
    parts = sentences(body[: match.start()] if match else body)
    return parts[-1] if parts else ""
