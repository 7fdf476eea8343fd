"""A stand-in for an LLM whose every error is known. It answers prompts about the generated tasks, and nothing else.

Rationales. Flaws are a mixture: with probability `flaw_correlation` a rationale takes its question's shared draw,
else its own; either is flawed with probability `flaw_rate`. So the share of flawed rationales is `flaw_rate`, two
rationales of one question correlate with flaw_correlation², and flaws that come from the shared draw are the same
flaw. Greedy answers follow the same rule. Styles are drawn apart from flaws: with `imitation` from the styles of the
exemplars in the prompt, as often as they occur there, else from all.

Evaluations. `uncertain` with probability `uncertain_rate`; else the verdict agrees with the task's own verifier with
probability `verdict_reliability`, and the critique fits the verdict.

All is drawn from the seed and the request, so changing one rate leaves what it does not govern as it was.
"""

from functools import lru_cache
from random import Random
from typing import Any

from lib.errors import UserError
from lib.records import Question, Verdict
from lib.settings import SimulatedTeacher as Settings
from lib.tasks import get_task
from lib.teacher import OneByOne, Request, Response
from lib.teacher.prompts import question_of, rationale_of, reasoning_of
from lib.teacher.simulation import WRITERS, Writer, writer_of
from lib.teacher.simulation.critiques import evaluation
from lib.teacher.store import request_key
from lib.teacher.tokens import prompt_tokens, white_space_pieces
from lib.verification import Check

# Part of the identity: raised when the wording or the draws change, so that stored answers are not taken for new ones.
VERSION = 1


class SimulatedTeacher(OneByOne):
    """See the module's text; `settings` is the section teacher.simulated."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.identity = f"simulated {VERSION} {settings.model_dump_json()}"
        self.notes = (
            "Simulated teacher: its errors are planted; nothing about real teachers follows.",
            f"Planted: {settings.flaw_rate:.0%} of rationales flawed, {settings.verdict_reliability:.0%} of definite "
            f"verdicts right, {settings.uncertain_rate:.0%} of verdicts uncertain.",
        )
        self.tasks = tuple(WRITERS)
        self._judged = lru_cache(maxsize=4096)(_judged)
        self._styles_shown = lru_cache(maxsize=256)(_styles_shown)

    def complete(self, request: Request) -> Response:
        """A rationale or, for a prompt that shows one, an evaluation, cut at `max_tokens` white-space pieces."""
        question, rationale = question_of(request.messages), rationale_of(request.messages)
        prompt = prompt_tokens(request.messages)
        if reasoning := reasoning_of(request.messages):
            return _cut(_answer_of(question, reasoning), request.max_tokens, prompt)
        # The seed, not the identity: a sweep over one setting then changes only what that setting governs.
        rng = Random(request_key(f"simulated {self.settings.seed}", request))
        try:
            text = self._solve(question, request, rng) if rationale is None else self._judge(question, rationale, rng)
        except UserError as error:
            return Response("", f"error: {error}", 0, 0, attempts=0)
        return _cut(text, request.max_tokens, prompt)

    def _solve(self, question: str, request: Request, own: Random) -> str:
        writer, problem = writer_of(question)
        style, wording, shares = self._style(writer, request, own), Random(own.getrandbits(64)), own.random()
        source = Random(f"{self.settings.seed} {question}") if shares < self.settings.flaw_correlation else own
        flawed = source.random() < self.settings.flaw_rate
        work = _flawed(writer, problem, source) if flawed else writer.solve(problem)
        return writer.word(problem, work, style, wording)

    def _style(self, writer: Writer, request: Request, rng: Random) -> int:
        allowed = tuple(range(self.settings.styles))
        draw = rng.random()
        shown = self._styles_shown(writer.task, _exemplars(request)) if self.settings.imitation else ()
        imitated = [style for style in shown if style in allowed] or allowed
        return imitated[int(draw * len(imitated))]

    def _judge(self, question: str, rationale: str, rng: Random) -> str:
        writer, problem = writer_of(question)
        check, sound = self._judged(writer.task, question, rationale, writer.gold(problem))
        return evaluation(writer, problem, check, self._verdict(sound, rng), Random(rng.getrandbits(64)))

    def _verdict(self, sound: bool, rng: Random) -> Verdict:
        doubt, luck = rng.random(), rng.random()
        if doubt < self.settings.uncertain_rate:
            return "uncertain"
        reliable = luck < self.settings.verdict_reliability
        return "correct" if sound == reliable else "wrong"


def _answer_of(question: str, reasoning: str) -> str:
    """The second zero-shot call: the answer that the reasoning arrives at, and nothing else."""
    writer, _ = writer_of(question)
    return f"{get_task(writer.task).extract(reasoning).label}."


def _flawed(writer: Writer, problem: Any, rng: Random) -> Any:
    """Work with a flaw of a kind drawn from those that the problem can have."""
    for kind in rng.sample(sorted(writer.flaws), len(writer.flaws)):
        if work := writer.flaws[kind](problem, rng):
            return work
    raise UserError(f"no flaw can be planted in {problem!r:.80}")


def _judged(task_name: str, text: str, rationale: str, gold: str) -> tuple[Check, bool]:
    """What the task's verifier says of a rationale: its steps, and whether it is sound and reaches the gold label."""
    task = get_task(task_name)
    question = Question(question_id="judged", task=task_name, split="train", text=text, gold_label=gold)
    check, label = task.check(question, rationale), task.extract(rationale).label
    return check, not check.wrong_steps and label is not None and task.equal(label, gold)


def _exemplars(request: Request) -> tuple[str, ...]:
    return tuple(message["content"] for message in request.messages if message["role"] == "assistant")


def _styles_shown(task_name: str, exemplars: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(WRITERS[task_name].style_of(exemplar) for exemplar in exemplars)


def _cut(text: str, max_tokens: int, prompt: int) -> Response:
    tokens = white_space_pieces(text)
    if tokens <= max_tokens:
        return Response(text, "stop", prompt, tokens)
    return Response(" ".join(text.split()[:max_tokens]), "length", prompt, max_tokens)
