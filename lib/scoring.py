"""How a rationale looks to one student before distillation: SLC, PMI and RD by teacher forcing.

    scorer = Scorer(student, name="scratch, fold 1", max_source=256, max_target=128)
    [score] = scorer.score([question], [rationale], targets={rationale.id: "(3 + 4)"})
    score.slc, score.pmi, score.rd      # 1.31, 9.4, 0.62

What is scored: lib/pairs.py. How it is forced: lib/forcing.py. The equations: lib/score_equations.py.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from lib.errors import UserError
from lib.forcing import Sums, forced_log_probs, forced_sums, refuse_other_logits
from lib.pairs import EncodedPair, Pair, Pairs, encode_pairs, pairs_of
from lib.progress import progress
from lib.records import Question, Rationale, Refined, Score
from lib.score_equations import of_sums
from lib.score_store import ScoreStore, digest
from lib.student import Student

QUESTIONS_AT_ONCE = 128  # a chunk: its texts and encoder states are in memory, and what it scored is durable after it


@dataclass
class Scorer:
    """One student with all that it scored: asking again, or for more, costs only what is new.

    name          how this scorer came about; with `student_name` part of every record
    max_source    longest question and longest completion in tokens; a longer one is refused, never cut
    max_target
    student_name  the student's name in params.yaml
    precision     fp32 or bf16, of the forward passes; probabilities are taken in fp32 in either case. Only fp32 makes
                  scores independent of what was scored beside them (see lib/forcing.py)
    store         folder in which a file of this student keeps what was scored; None: kept as long as this object
    """

    student: Student
    name: str
    max_source: int
    max_target: int
    student_name: str = "base"
    precision: str = "fp32"
    store: Path | None = None
    budget: int | None = None  # of padded tokens a batch; None: by device

    def score(
        self, questions: Iterable[Question], rationales: Sequence[Rationale], targets: Mapping[str, str]
    ) -> list[Score]:
        """SLC, PMI and RD of each rationale, in the order given; in fp32 the same in any order and batch, to 1e-5.

        questions  all those the rationales belong to, perhaps more
        targets    rationale id -> the answer that RD is computed towards (`pairs.rd_targets`)
        Raises UserError for a text beyond the limits and for log-probabilities that are not finite. Works through
        chunks of questions: memory does not grow with the rationales, and each chunk is stored when it is done.
        """
        asked = {q.question_id: q for q in questions}
        chunks, found = list(_chunks(rationales)), {}
        for chunk in progress(chunks, len(chunks), f"score ({self.name})"):
            own = [rationales[i] for i in chunk]
            found.update(zip(chunk, self._score_chunk(own, _pairs(asked, own, targets))))
        return [found[i] for i in range(len(rationales))]

    def fitting(
        self,
        questions: Iterable[Question],
        rationales: Iterable[Rationale],
        targets: Mapping[str, str],
        allowed_share: float = 1.0,
    ) -> tuple[list[Rationale], list[Rationale]]:
        """(rationales that can be scored, rationales of which a text is longer than the student's limits).

        Raises UserError if the latter are more than `allowed_share` of all.
        """
        asked, rationales = {q.question_id: q for q in questions}, list(rationales)
        long = set()
        for chunk in _chunks(rationales):
            pairs = _pairs(asked, [rationales[i] for i in chunk], targets)
            encoded = self._encoded(pairs)
            long.update(i for i, own in zip(chunk, pairs) if self._too_long(own, encoded))
        too_long = [rationales[i] for i in sorted(long)]
        self.refuse_share(too_long, len(rationales), allowed_share)
        return [r for i, r in enumerate(rationales) if i not in long], too_long

    def refuse_share(self, too_long: Sequence[Rationale], of: int, allowed_share: float) -> None:
        """UserError where more than `allowed_share` of so many rationales are too long."""
        if len(too_long) > allowed_share * of:
            raise UserError(
                f"{too_long[0].id} and others: {len(too_long)} of {of} rationales are too long to score "
                f"(student.max_source_tokens {self.max_source}, max_target_tokens {self.max_target}); "
                f"raise the limits or student.max_truncated_share (now {allowed_share})"
            )

    def token_log_probs(self, pairs: Sequence[Pair]) -> list[np.ndarray]:
        """Log-probabilities of each pair's target tokens, float32[T]: to look at a few. Nothing of it is stored."""
        return forced_log_probs(self._forced, encode_pairs(self.student, pairs), self.budget)

    def _score_chunk(self, rationales: Sequence[Rationale], pairs: Sequence[Pairs]) -> list[Score]:
        encoded = self._encoded(pairs)
        for rationale, own in zip(rationales, pairs):
            if self._too_long(own, encoded):
                self._refuse(rationale, own, encoded)
        known = self._known.get(encoded)
        new = sorted(encoded.keys() - known.keys())
        found = forced_sums(self._forced, [encoded[pair] for pair in new], self.budget)
        known.update(zip(new, found))
        scores = [self._score(r, own, [known[pair] for pair in own]) for r, own in zip(rationales, pairs)]
        self._known.put(dict(zip(new, found)))  # after the above, which refuses what is not finite
        return scores

    def _score(self, rationale: Rationale, own: Pairs, sums: Sequence[Sums]) -> Score:
        values = {name: self._rounded(value, name, rationale) for name, value in of_sums(*sums).items()}
        return Score(
            question_id=rationale.question_id,
            sample=rationale.sample,
            student=self.student_name,
            scorer=self.name,
            precision=self.precision,
            rd_target=own.prior.answer,
            chain=rationale.chain if isinstance(rationale, Refined) else "",
            round=rationale.round if isinstance(rationale, Refined) else 0,
            tokens=sums[0].tokens,
            **values,
        )

    def _rounded(self, value: float, name: str, rationale: Rationale) -> float:
        """Six significant digits: beyond them a float differs between machines."""
        if not np.isfinite(value):
            raise UserError(f"{rationale.id}: {name} is {value}: the logits of {self.name} are not finite")
        return float(f"{value:.6g}")

    def _encoded(self, pairs: Iterable[Pairs]) -> dict[Pair, EncodedPair]:
        distinct = list(dict.fromkeys(pair for own in pairs for pair in own))
        return dict(zip(distinct, encode_pairs(self.student, distinct)))

    def _too_long(self, own: Pairs, encoded: Mapping[Pair, EncodedPair]) -> bool:
        texts = [encoded[pair] for pair in own]
        return any(len(e.source) > self.max_source or len(e.target) > self.max_target for e in texts)

    def _refuse(self, rationale: Rationale, own: Pairs, encoded: Mapping[Pair, EncodedPair]) -> None:
        source, target = (max(len(encoded[pair][i]) for pair in own) for i in (0, 1))
        raise UserError(
            f"{rationale.id}: question of {source} and completion of {target} tokens; "
            f"{self.name} takes {self.max_source} and {self.max_target}"
        )

    @cached_property
    def _forced(self) -> Student:
        """The student in the precision asked for, on a GPU if there is one, once it is known that it can be forced."""
        if self.precision not in ("fp32", "bf16"):
            raise UserError(f"slc.precision: unknown {self.precision!r}; allowed: fp32, bf16")
        model = self.student.model.to("cuda" if torch.cuda.is_available() else "cpu")
        refuse_other_logits(self.student)
        return self.student if self.precision == "fp32" else Student(deepcopy(model).bfloat16(), self.student.tokenizer)

    @cached_property
    def _known(self) -> ScoreStore:
        return ScoreStore(self.store and self.store / f"{digest(self.student, self.precision)}.sqlite")


def score_all(
    scorers: Sequence[tuple[Scorer, Sequence[Question]]],
    rationales: Sequence[Rationale],
    targets: Mapping[str, str],
    allowed_share: float = 1.0,
) -> tuple[list[Score], list[Rationale]]:
    """(scores in the order given, rationales that are too long), each by the scorer that may score its question.

    scorers  as `lib.warmup.cross_fitted` returns them; any rationales of their questions, also of later rounds
    Raises UserError as `Scorer.score`, if more than `allowed_share` are too long, and for a question of no scorer.
    """
    place = places(scorers, rationales)
    found, too_long, split = {}, set(), []
    for i, (scorer, own) in enumerate(scorers):
        fits, long = scorer.fitting(own, [r for r in rationales if place[r.question_id] == i], targets)
        split.append((scorer, own, fits))
        too_long.update(r.id for r in long)
    aside = [r for r in rationales if r.id in too_long]
    if scorers:
        scorers[0][0].refuse_share(aside, len(rationales), allowed_share)
    for scorer, own, fits in split:
        found.update(zip((r.id for r in fits), scorer.score(own, fits, targets)))
    return [found[r.id] for r in rationales if r.id in found], aside


def places(scorers: Sequence[tuple[Scorer, Sequence[Question]]], rationales: Iterable[Rationale]) -> dict[str, int]:
    """Question id -> which of the scorers may score it. Raises UserError for a rationale of no scorer's question."""
    place = {q.question_id: i for i, (_, own) in enumerate(scorers) for q in own}
    if stray := next((r for r in rationales if r.question_id not in place), None):
        raise UserError(f"{stray.id}: its question is of none of the {len(scorers)} scorers")
    return place


def _chunks(rationales: Sequence[Rationale]) -> Iterator[list[int]]:
    """Indices of the rationales of QUESTIONS_AT_ONCE questions at a time, whatever order they come in."""
    of = defaultdict(list)
    for i, rationale in enumerate(rationales):
        of[rationale.question_id].append(i)
    ids = sorted(of)
    for first in range(0, len(ids), QUESTIONS_AT_ONCE):
        yield [i for question_id in ids[first : first + QUESTIONS_AT_ONCE] for i in of[question_id]]


def _pairs(asked: Mapping[str, Question], rationales: Iterable[Rationale], targets: Mapping[str, str]) -> list[Pairs]:
    return [pairs_of(asked[r.question_id], r, targets[r.id]) for r in rationales]
