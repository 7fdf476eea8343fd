"""Prompts out, and back: which question, which rationale does a prompt ask about, and what does an evaluation say?

A chat prompt is the system line, the exemplars as user and assistant messages in turn, and the question as the last
user message: "Q: {question}", or "Question: {question}\\nAnswer: {rationale}" where a rationale is to be judged.

Without exemplars a rationale is asked for zero-shot, in two calls (Kojima et al. 2022): the first ends in
"Q: {question}\\nA: Let's think step by step.", the second shows what came back and ends in "Therefore, the answer ...".

A base model, which completes text, gets the same as one text (`as_text`), and is told where to stop (`stops`).
The texts themselves stand in files (lib/teacher/prompt_files.py).
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from lib.errors import UserError
from lib.teacher import Message
from lib.teacher.prompt_files import (
    ANSWER_TRIGGER,
    COT,
    RATING_TRIGGER,
    SELF_EVAL,
    VERDICT_SENTENCE,
    ZERO_SHOT,
    Exemplar,
    Prompt,
    ZeroShot,
    load_prompt,
    load_rating,
    load_zero_shot,
    path_of,
    read_prompt,
)

__all__ = ["COT", "SELF_EVAL", "VERDICT_SENTENCE", "ZERO_SHOT", "Exemplar", "Prompt", "ZeroShot", "load_prompt",
           "load_rating", "load_zero_shot", "read_prompt"]  # fmt: skip

RATING_TOKENS = 32  # of a rating: a number, and a few words that were not asked for
_CHOICES = re.compile(r" (?:Answer choices:|Which choice is true\?)")

# -- prompts out ---------------------------------------------------------------------------------


def cot_messages(task: str, question: str, exemplars: int | Sequence[Exemplar] = 5) -> tuple[Message, ...]:
    """The prompt that asks for a rationale; without exemplars the first of the two zero-shot calls.

    exemplars   how many of the file's to show, or the exemplars themselves (iterative refinement brings its own)
    """
    if not exemplars:
        asked = load_zero_shot(task)
        return _message("system", asked.system), _message("user", f"Q: {question}\nA: {asked.reasoning}")
    return (*_prefix(task, COT, exemplars), _message("user", f"Q: {question}"))


def self_eval_messages(
    task: str, question: str, rationale: str, exemplars: int | Sequence[Exemplar] = 5
) -> tuple[Message, ...]:
    """The prompt that asks for a critique and a verdict of one rationale."""
    return (*_prefix(task, SELF_EVAL, exemplars), _message("user", _judged(question, rationale)))


def rating_messages(question: str, rationale: str) -> tuple[Message, ...]:
    """The prompt that asks for a rating of one rationale, from 1 to 10; the same for every task."""
    prompt = load_rating()
    # On one line: nothing in the rationale can pass for the request that follows it.
    asked = f"Question: {question}\nExplanation: {_normal(rationale)}\n\n{prompt.request}"
    return _message("system", prompt.system), _message("user", asked)


def answer_messages(task: str, messages: Sequence[Message], reasoning: str) -> tuple[Message, ...]:
    """The second zero-shot call: what was asked, the reasoning that came back, and the trigger that asks the answer."""
    trigger = load_zero_shot(task).answer
    return (*messages, _message("assistant", _normal(reasoning)), _message("user", trigger))


def refuse_seen(task: str, kind: str, questions: Iterable[str]) -> None:
    """UserError where an exemplar's question is one of `questions`: it would be answered in its own prompt.

    Choices are left aside, for the same question may come with others, or with the same in another order.
    """
    prompt = load_prompt(task, kind)
    shown = {stem(exemplar.question) for exemplar in prompt.exemplars}
    for text in questions:
        if stem(text) in shown:
            raise UserError(f"{prompt.path}: an exemplar is a question of the data set: {text!r:.80}; change it")


def stem(question: str) -> str:
    """A question without its choices, by which two are the same: "Where?\\nAnswer choices: (a) zoo" -> "Where?"."""
    return _CHOICES.split(_normal(question), maxsplit=1)[0]


def _prefix(task: str, kind: str, exemplars: int | Sequence[Exemplar]) -> tuple[Message, ...]:
    path = path_of(task, kind)
    # Read again only where the file has changed: tens of thousands of prompts share these messages.
    return _chat(path, path.stat().st_mtime_ns, kind, exemplars if isinstance(exemplars, int) else tuple(exemplars))


@lru_cache(maxsize=256)
def _chat(path: Path, changed: int, kind: str, exemplars: int | tuple[Exemplar, ...]) -> tuple[Message, ...]:
    """System line and exemplars."""
    prompt = read_prompt(path, kind)
    shown = _first(prompt, exemplars) if isinstance(exemplars, int) else exemplars
    turns = [_turn(kind, exemplar) for exemplar in shown]
    return (_message("system", prompt.system), *(message for turn in turns for message in turn))


def _first(prompt: Prompt, count: int) -> tuple[Exemplar, ...]:
    if not 0 <= count <= len(prompt.exemplars):
        raise UserError(f"{prompt.path}: {count} exemplars asked for, the file has {len(prompt.exemplars)}")
    return prompt.exemplars[:count]


def _turn(kind: str, exemplar: Exemplar) -> tuple[Message, Message]:
    if kind == COT:
        return _message("user", f"Q: {exemplar.question}"), _message("assistant", exemplar.rationale)
    return _message("user", _judged(exemplar.question, exemplar.rationale)), _message("assistant", exemplar.evaluation)


def _judged(question: str, rationale: str) -> str:
    # On one line, so that "\nAnswer: " stands once, or at least last.
    return f"Question: {question}\nAnswer: {_normal(rationale)}"


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _normal(text: str) -> str:
    return " ".join(text.split())


# -- prompts as one text -------------------------------------------------------------------------


def as_text(messages: Sequence[Message]) -> str:
    """A chat prompt as the text that a base model completes.

    system, [user Q: 1 + 1?, assistant Two. The answer is 2.], user Q: 1 + 2?
    -> "...\\n\\nQ: 1 + 1?\\nA: Two. The answer is 2.\\n\\nQ: 1 + 2?\\nA:"
    """
    text = ""
    for message, following in zip(messages, (*messages[1:], None)):
        content = message["content"]
        if message["role"] == "assistant":
            answer = content.removeprefix("Evaluation:").strip()
            text += f" {answer}" + ("\n" if _is_answer_trigger(following) else "\n\n")
        else:
            text += content + ("\n\n" if message["role"] == "system" else _lead(content))
    return text


def stops(messages: Sequence[Message]) -> list[str]:
    """Where a base model would begin to invent the next question."""
    if _is_answer_trigger(messages[-1]):
        return ["\nQ:", "\n\n"]
    return ["\nQuestion:"] if messages[-1]["content"].startswith("Question: ") else ["\nQ:"]


def _lead(content: str) -> str:
    """How the completion of a user message begins."""
    if content.endswith(RATING_TRIGGER):
        return ""
    if content.startswith("Question: "):
        return "\nEvaluation:"
    return "" if "\nA: " in content or content.startswith(ANSWER_TRIGGER) else "\nA:"


def _is_answer_trigger(message: Message | None) -> bool:
    return message is not None and message["content"].startswith(ANSWER_TRIGGER)


# -- prompts in ----------------------------------------------------------------------------------


def question_of(messages: Sequence[Message]) -> str:
    """The question that the last message of a prompt asks about."""
    return _asked(messages)[0]


def rationale_of(messages: Sequence[Message]) -> str | None:
    """The rationale that the last message asks to judge; None in a prompt that asks for one."""
    return _asked(messages)[1]


def reasoning_of(messages: Sequence[Message]) -> str | None:
    """The reasoning that the last message asks the answer of (second zero-shot call); None in any other prompt."""
    return messages[-2]["content"] if len(messages) > 2 and _is_answer_trigger(messages[-1]) else None


def _asked(messages: Sequence[Message]) -> tuple[str, str | None]:
    text = messages[-1 if reasoning_of(messages) is None else -3]["content"]
    if text.startswith("Q: "):
        question, trigger, _ = text[3:].rpartition("\nA: ")
        return (question if trigger else text[3:]), None
    if text.startswith("Question: ") and "\nAnswer: " in text:
        question, _, rationale = text[len("Question: ") :].rpartition("\nAnswer: ")
        return question, rationale
    raise UserError(f"a prompt must end in 'Q: ...' or 'Question: ...\\nAnswer: ...', given {text!r:.80}")


# -- what comes back -----------------------------------------------------------------------------

# All repetitions are bounded: the text is not trusted, and reading it must take linear time.
_GAP = r"[\s*_]{0,5}"
_RUN_ON = re.compile(r"\n[ \t]{0,9}(?:Q|Question) ?:")
_HEADING = re.compile(rf"[*_#]{{0,5}} ?Evaluation{_GAP}:{_GAP}", re.IGNORECASE)
_SAYS = r"the[\s*_]{1,5}(?:given[\s*_]{1,5})?answer[\s*_]{1,5}is(n['’]t)?[\s*_]{1,5}"
_WORD = r"(not[\s*_]{1,5})?(correct|right|incorrect|wrong|uncertain|unclear)\b"
_LEAD = rf"(?:Evaluation[\s*_]{{1,5}}result{_GAP}:?|\bVerdict{_GAP}:)"
_RESULT = re.compile(rf"[*_#]{{0,5}}{_LEAD}{_GAP}(?:{_SAYS})?{_WORD}", re.IGNORECASE)
_SENTENCE = re.compile(rf"(?:(?:therefore|thus|so|hence)[,\s]{{1,3}})?{_SAYS}{_WORD}", re.IGNORECASE)
_MEANING = {"right": "correct", "incorrect": "wrong", "unclear": "uncertain"}
_OPPOSITE = {"correct": "wrong", "wrong": "correct"}


def parse_evaluation(text: str) -> tuple[str | None, str]:
    """(verdict, critique) of a self-evaluation; verdict None where the text gives none.

    "Evaluation: Step 2 slips. Evaluation result: the given answer is wrong." -> ("wrong", "Step 2 slips.")

    The verdict is the last "Evaluation result: ..." or "Verdict: ..." before an invented next question, else the last
    "the answer is ..." or "isn't ...". The critique is what stands before it, without its heading, on one line. Never
    raises.
    """
    text = _RUN_ON.split(text, maxsplit=1)[0]
    found = list(_RESULT.finditer(text)) or list(_SENTENCE.finditer(text))
    if not found:
        return None, _critique(text)
    return _verdict(*found[-1].groups()), _critique(text[: found[-1].start()])


def _verdict(short: str | None, negated: str | None, word: str) -> str | None:
    """What a verdict's words mean; short: the "n't" of "isn't". None for two negations and for "not uncertain"."""
    word = word.lower()
    verdict = _MEANING.get(word, word)
    if short and negated:
        return None
    return _OPPOSITE.get(verdict) if short or negated else verdict


def _critique(text: str) -> str:
    text = _normal(text)
    heading = _HEADING.match(text)
    return text[heading.end() :] if heading else text
