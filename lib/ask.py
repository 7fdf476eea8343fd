"""Ask a finished student: a question in; its answer, its rationale and its own verdict on that out.

    from lib.ask import Reasoner
    reasoner = Reasoner.load("data/04_train/headline_student")      # or a run's folder, or an exported student
    said = reasoner.ask("Tom has 3 pens. Tom buys 4 pens. How many pens does Tom have now?")
    said.answer, said.rationale                     # an equation, and the steps that should lead to it
    said.verdict, said.p_correct                    # correct | wrong | uncertain, 0 to 1: what it thinks of the steps
    reasoner.ask("Tom has ...", samples=8).answer   # the self-evaluated majority of 8 rationales

The default's headline student knows the words of its training text alone: `said.unknown` counts the others ("He" is one
of them), and what it says to a question that has some is not worth much.

In a terminal: python -m lib.ask data/04_train/headline_student "Tom has 3 pens. ..."
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from lib.checkpoint import Finished, open_checkpoint
from lib.errors import UserError
from lib.examples import EXPLAIN, PREDICT, parted, shown
from lib.inference import Written, draw, write
from lib.settings import Infer
from lib.student import to_best_device
from lib.tasks import Task, get_task
from lib.votes import judge, weighted_vote
from lib.words import unknown


@dataclass(frozen=True)
class Said:
    """What a student says to a question.

    answer             after `predict:`, or at its rationale's end; of several samples, what they agree on; None: none
    rationale          what it writes after `explain:`; of several samples, the one with that answer it believes most;
                       None of a student that learned labels alone
    rationale_answer   what the rationale arrives at; None if at nothing, or if the task is not known
    verdict            its own, on that rationale: correct | wrong | uncertain; None of one that never learned to judge
    p_correct          the probability of `correct` among the verdicts
    unknown            how many of the question's tokens its tokenizer does not know; such a question it only half reads
    """

    question: str
    answer: str | None
    rationale: str | None
    rationale_answer: str | None
    verdict: str | None
    p_correct: float | None
    unknown: int = 0


class Reasoner:
    """A finished student that answers, explains and judges its own explanation."""

    def __init__(self, finished: Finished, judges: bool | None = None):
        """judges   whether it learned to judge; None: as its recipe says, and without a recipe it did not."""
        self.finished, self.student = finished, to_best_device(finished.student)
        self.explains = bool(finished.recipe["explain"])
        self.judges = bool(finished.recipe["evaluations"]) if judges is None else judges
        self.task: Task | None = get_task(finished.task) if finished.task else None

    @classmethod
    def load(cls, folder: Path | str, task: str | None = None, judges: bool | None = None) -> "Reasoner":
        """From a run's folder, an exported student or a bare checkpoint (`checkpoint.open_checkpoint`).

        task   the name of its task, where the folder does not say: how answers are found in text and compared
        """
        return cls(open_checkpoint(folder, task), judges)

    def ask(
        self, question: str, choices: Sequence[str] = (), samples: int = 0, temperature: float = 0.7, top_p: float = 1.0
    ) -> Said:
        """One question; see `ask_all`."""
        return self.ask_all([question], [choices], samples, temperature, top_p)[0]

    def ask_all(
        self,
        questions: Sequence[str],
        choices: Sequence[Sequence[str]] = (),
        samples: int = 0,
        temperature: float = 0.7,
        top_p: float = 1.0,
    ) -> list[Said]:
        """Questions together, which is faster than one by one and gives the same.

        choices   the choices of each multiple-choice question; none: open questions
        samples   0: greedily; else so many rationales are drawn and vote, weighed by its own P(correct) if it judges
        temperature, top_p   of the draws: above 0, at most 2 and 1
        """
        _refuse_unfit_draws(samples, temperature, top_p)
        choices = choices or [()] * len(questions)
        if len(choices) != len(questions):
            raise UserError(f"choices: given for {len(choices)} of {len(questions)} questions; allowed: all or none")
        if any(not question.strip() for question in questions):
            raise UserError("question: an empty text; ask something")
        if samples:
            said = self._sampled(questions, choices, samples, temperature, top_p)
        else:
            said = self._greedy(questions, choices)
        return [replace(one, unknown=self._unknown(one.question)) for one in said]

    def _unknown(self, question: str) -> int:
        tokenizer = self.student.tokenizer
        return unknown(tokenizer, tokenizer(question, add_special_tokens=False).input_ids)[0]

    def _greedy(self, questions: Sequence[str], choices: Sequence[Sequence[str]]) -> list[Said]:
        label_tokens, rationale_tokens = self.finished.limits
        if not self.explains:
            answers = write(self.student, [PREDICT + q for q in questions], label_tokens)
            return [Said(q, own.text or None, None, None, None, None) for q, own in zip(questions, answers)]
        read = [
            self._read(one, c) for one, c in zip(write(self.student, self._asked(questions), rationale_tokens), choices)
        ]
        answers = [label for _, label in read]
        if not self.finished.rationale_first:
            answers = [own.text or None for own in write(self.student, [PREDICT + q for q in questions], label_tokens)]
        judged = self._judged(questions, [rationale for rationale, _ in read])
        return [Said(q, a, r, label, *own) for q, a, (r, label), own in zip(questions, answers, read, judged)]

    def _sampled(self, questions, choices, samples: int, temperature: float, top_p: float) -> list[Said]:
        if self.task is None or not self.explains:
            reason = "its task is not known; load it with task=" if self.explains else "it learned labels alone"
            raise UserError(f"samples: {samples}, but {reason}; allowed: 0")
        drawn = draw(
            self.student, self._asked(questions), self.finished.limits[1], samples, temperature, top_p, "asked"
        )
        return [self._agreed(*one) for one in zip(questions, choices, drawn)]

    def _agreed(self, question: str, choices: Sequence[str], drawn: Sequence[Written]) -> Said:
        """The answer that the samples agree on, with the rationale for it that the student believes most."""
        read = [self._read(one, choices) for one in drawn]
        judged = self._judged([question] * len(read), [rationale for rationale, _ in read])
        weights = [1.0 if p is None else p for _, p in judged]
        answer = weighted_vote([label for _, label in read], weights, self.task.equal)
        fits = [i for i, (_, label) in enumerate(read) if answer in (None, label) or self._equal(label, answer)]
        chosen = max(fits, key=lambda i: weights[i])
        return Said(question, answer, *read[chosen], *judged[chosen])

    def _equal(self, label: str | None, answer: str) -> bool:
        return label is not None and self.task.equal(label, answer)

    def _asked(self, questions: Sequence[str]) -> list[str]:
        return list(questions) if self.finished.rationale_first else [EXPLAIN + q for q in questions]

    def _read(self, written: Written, choices: Sequence[str]) -> tuple[str, str | None]:
        """(rationale, the answer it arrives at)."""
        if self.finished.rationale_first:
            return parted(written.text)
        return written.text, self.task.extract(written.text, choices).label if self.task else None

    def _judged(self, questions: Sequence[str], rationales: Sequence[str]) -> list[tuple[str | None, float | None]]:
        """(verdict, P(correct)) of each."""
        if not self.judges:
            return [(None, None)] * len(rationales)
        sees = self.finished.recipe["judge_sees"]
        found = judge(self.student, [shown(q, r, sees) for q, r in zip(questions, rationales)])
        return [(one["student_verdict"], one["p_correct"]) for one in found]


def _refuse_unfit_draws(samples: int, temperature: float, top_p: float) -> None:
    """The bounds are those of `infer` in params.yaml."""
    try:
        Infer(samples=samples, temperature=temperature, top_p=top_p)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{first['loc'][0]}: given {first['input']!r}; {first['msg'].lower()}") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m lib.ask", description=__doc__.splitlines()[0])
    parser.add_argument("student", help="a run's folder, an exported student or a bare checkpoint")
    parser.add_argument("question", nargs="+")
    parser.add_argument("--samples", type=int, default=0, help="rationales that vote; 0: greedily")
    parser.add_argument("--task", help="the task's name, where the folder does not say")
    chosen = parser.parse_args(arguments)
    try:
        reasoner = Reasoner.load(chosen.student, chosen.task)
        for said in reasoner.ask_all(chosen.question, samples=chosen.samples):
            print(_lines(said))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _lines(said: Said) -> str:
    judged = "-" if said.verdict is None else f"{said.verdict} (P(correct) = {said.p_correct:.2f})"
    lines = [f"answer:    {said.answer or '-'}", f"rationale: {said.rationale or '-'}", f"its own verdict: {judged}"]
    lines += [f"tokens of the question that it does not know: {said.unknown}"] if said.unknown else []
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
