"""How a rationale looks to one student before distillation: SLC, PMI and RD by teacher forcing.

    scorer = Scorer(student, name="scratch, fold 1", max_source=256, max_target=128)
    [score] = scorer.score([question], [rationale], targets={rationale.id: "(3 + 4)"})
    score.slc, score.pmi, score.rd      # 1.31, 9.4, 0.62

How sequences are put together and forced: lib/forcing.py. All log-probabilities are in nats.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from lib.errors import UserError
from lib.forcing import Encoded, Pair, batches_by_budget, encode_pairs, forced_log_probs, start_token
from lib.masking import mask_answer
from lib.progress import progress
from lib.records import Question, Rationale, Score
from lib.student import Student

TOKEN_BUDGET = 2048  # padded tokens a batch, as fast as any larger; scores do not depend on it


# -- the equations -----------------------------------------------------------------------------


def mean_log_prob(log_probs: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean over each row's tokens; perplexity is exp of its negative.

    log_probs  float[B, T], nats;  mask  bool[B, T], True on the tokens that count, at least one a row
    returns    float[B]
    """
    return np.where(mask, log_probs, 0.0).sum(-1) / mask.sum(-1)


def self_logic_consistency(conditional: np.ndarray, marginal: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """How much the question helps the student predict a completion.

    PeCoTD eq. 3, per token:  SLC = P(c|q) / P(c) = exp( mean_t log P(c_t|q,c_<t) - mean_t log P(c_t|c_<t) )
    conditional, marginal   float[B, T], log-probabilities in nats per token
    mask                    bool[B, T], True on completion tokens
    returns                 float[B] > 0; 1 means the question did not help
    """
    return np.exp(mean_log_prob(conditional, mask) - mean_log_prob(marginal, mask))


def pointwise_mutual_information(conditional: np.ndarray, marginal: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The same summed over tokens, so that a longer completion counts for more:  PMI = log P(c|q) - log P(c).

    Arguments as for `self_logic_consistency`; returns float[B], nats; 0 means the question did not help.
    """
    return np.where(mask, conditional - marginal, 0.0).sum(-1)


def rationale_difficulty(with_rationale: np.ndarray, without: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """How much harder the answer is after the rationale than before it; below 1 the rationale helps.

    MoRSD:  RD = PPL(a|q,r) / PPL(a|q) = exp( mean_t log P(a_t|q,a_<t) - mean_t log P(a_t|q,r,a_<t) )
    with_rationale, without   float[B, A], log-probabilities of the answer's tokens, nats
    mask                      bool[B, A], True on answer tokens
    returns                   float[B] > 0
    """
    return np.exp(mean_log_prob(without, mask) - mean_log_prob(with_rationale, mask))


# -- what is scored ----------------------------------------------------------------------------


class Pairs(NamedTuple):
    """The sequences that one rationale's scores are made of. Equal ones are scored once."""

    given: Pair  # c | q, own answer
    alone: Pair  # c
    towards: Pair  # target answer | q, r
    masked: Pair  # target answer | q, r without the answer
    prior: Pair  # target answer | q
    own_prior: Pair  # own answer | q


def pairs_of(question: Question, rationale: Rationale, target: str) -> Pairs:
    """Every sequence whose log-probability a rationale's scores need; `target` is the answer that RD is towards."""
    q, r, own = question.text, rationale.reasoning, rationale.teacher_label
    return Pairs(
        given=Pair(q, r, own),
        alone=Pair("", r, own),
        towards=Pair(q, r, target),
        masked=Pair(q, mask_answer(r, target), target),
        prior=Pair(q, "", target),
        own_prior=Pair(q, "", own),
    )


def rd_targets(
    questions: Sequence[Question], rationales: Sequence[Rationale], majority: dict[str, str], kind: str
) -> dict[str, str]:
    """The answer that each rationale's RD is computed towards, by rationale id.

    majority  each question's most frequent teacher_label
    kind      "gold": the gold label, where there is none the majority label (PAPERS.md: never silently the own answer);
              "majority"; "own": the rationale's own answer, which makes flawed rationales look easy
    """
    gold = {q.question_id: q.gold_label for q in questions}
    by_kind = {
        "gold": lambda r: gold[r.question_id] if gold[r.question_id] is not None else majority[r.question_id],
        "majority": lambda r: majority[r.question_id],
        "own": lambda r: r.teacher_label,
    }
    if kind not in by_kind:
        raise UserError(f"slc.rd_target: unknown {kind!r}; allowed: {', '.join(by_kind)}")
    return {r.id: by_kind[kind](r) for r in rationales}


# -- the scorer --------------------------------------------------------------------------------


class Scored(NamedTuple):
    """The log-probabilities of one pair's target tokens, float32[T]; and of the answer's tokens among them."""

    tokens: np.ndarray
    answer: np.ndarray


@dataclass
class Scorer:
    """One student, and every pair that it has scored: asking again, or for more, costs only what is new.

    name         who scored; part of every record
    max_source   longest question and longest completion in tokens; a longer one is refused, never cut
    max_target
    """

    student: Student
    name: str
    max_source: int
    max_target: int
    budget: int = TOKEN_BUDGET
    _known: dict[Pair, Scored] = field(default_factory=dict)
    _encoded: dict[Pair, Encoded] = field(default_factory=dict)

    def score(
        self, questions: Iterable[Question], rationales: Sequence[Rationale], targets: dict[str, str]
    ) -> list[Score]:
        """SLC, PMI and RD of each rationale, in the order given; the same for any order and batch size (to 1e-5).

        questions  all those the rationales belong to, perhaps more
        targets    rationale id -> the answer that RD is computed towards (`rd_targets`)
        Raises UserError for a text beyond the limits and for log-probabilities that are not finite.
        """
        if not rationales:
            return []
        asked = {q.question_id: q for q in questions}
        pairs = [pairs_of(asked[r.question_id], r, targets[r.id]) for r in rationales]
        self._refuse_too_long(rationales, pairs)
        scored = self.log_probs(pair for own in pairs for pair in own)
        return self._scores(rationales, Pairs(*(scored[i :: len(Pairs._fields)] for i in range(len(Pairs._fields)))))

    def fitting(
        self,
        questions: Iterable[Question],
        rationales: Iterable[Rationale],
        targets: dict[str, str],
        allowed_share: float = 1.0,
    ) -> tuple[list[Rationale], list[Rationale]]:
        """(rationales that can be scored, rationales of which a text is longer than the student's limits).

        Raises UserError if the latter are more than `allowed_share` of all.
        """
        asked = {q.question_id: q for q in questions}
        pairs = {r: pairs_of(asked[r.question_id], r, targets[r.id]) for r in rationales}
        self._encode(list(dict.fromkeys(pair for own in pairs.values() for pair in own)))  # one call is fast
        fits, too_long = [], []
        for rationale, own in pairs.items():
            (too_long if self._too_long(own) else fits).append(rationale)
        if len(too_long) > allowed_share * len(pairs):
            raise UserError(
                f"{too_long[0].id} and others: {len(too_long)} of {len(pairs)} rationales are too long to score "
                f"(student.max_source_tokens {self.max_source}, max_target_tokens {self.max_target}); "
                f"raise the limits or student.max_truncated_share (now {allowed_share})"
            )
        return fits, too_long

    def log_probs(self, pairs: Iterable[Pair]) -> list[Scored]:
        """Log-probabilities of each pair's target tokens; equal pairs are scored once."""
        pairs = list(pairs)
        self._score_new(sorted(set(pairs) - self._known.keys()))
        return [self._known[pair] for pair in pairs]

    def _score_new(self, pairs: list[Pair]) -> None:
        encoded = self._encode(pairs)
        batches, start = batches_by_budget(encoded, self.budget), start_token(self.student)
        for batch in progress(batches, len(batches), f"score ({self.name})"):
            values = forced_log_probs(self.student.model, [encoded[i] for i in batch], start)
            for i, tokens in zip(batch, values):
                first, last = encoded[i].answer
                self._known[pairs[i]] = Scored(tokens, tokens[first:last])

    def _encode(self, pairs: Sequence[Pair]) -> list[Encoded]:
        new = [pair for pair in pairs if pair not in self._encoded]
        self._encoded.update(zip(new, encode_pairs(self.student, new)))
        return [self._encoded[pair] for pair in pairs]

    def _too_long(self, pairs: Pairs) -> bool:
        return any(len(e.source) > self.max_source or len(e.target) > self.max_target for e in self._encode(pairs))

    def _refuse_too_long(self, rationales: Sequence[Rationale], pairs: Sequence[Pairs]) -> None:
        self._encode(list(dict.fromkeys(pair for one in pairs for pair in one)))  # all texts in one call: fast
        for rationale, own in zip(rationales, pairs):
            if self._too_long(own):
                source, target = (max(len(e[i]) for e in self._encode(own)) for i in (0, 1))
                raise UserError(
                    f"{rationale.id}: question of {source} and completion of {target} tokens; "
                    f"{self.name} takes {self.max_source} and {self.max_target}"
                )

    def _scores(self, rationales: Sequence[Rationale], scored: Pairs) -> list[Score]:
        given, mask = _matrix([s.tokens for s in scored.given])
        alone, _ = _matrix([s.tokens for s in scored.alone])
        columns = {
            "slc": self_logic_consistency(given, alone, mask),
            "pmi": pointwise_mutual_information(given, alone, mask),
            "rd": _difficulty(scored.towards, scored.prior),
            "rd_masked": _difficulty(scored.masked, scored.prior),
            "rd_own": _difficulty(scored.given, scored.own_prior),
            "log_p": mean_log_prob(given, mask),
            "log_p_answer": mean_log_prob(*_matrix([s.answer for s in scored.own_prior])),
        }
        return [
            Score(
                question_id=r.question_id,
                sample=r.sample,
                scorer=self.name,
                tokens=int(mask[i].sum()),
                **{name: self._rounded(values[i], name, r) for name, values in columns.items()},
            )
            for i, r in enumerate(rationales)
        ]

    def _rounded(self, value: float, name: str, rationale: Rationale) -> float:
        """Six significant digits: beyond them a float differs between machines."""
        if not np.isfinite(value):
            raise UserError(f"{rationale.id}: {name} is {value}: the logits of {self.name} are not finite")
        return float(f"{value:.6g}")


def _difficulty(after: Sequence[Scored], before: Sequence[Scored]) -> np.ndarray:
    with_rationale, mask = _matrix([s.answer for s in after])
    without, _ = _matrix([s.answer for s in before])
    return rationale_difficulty(with_rationale, without, mask)


def _matrix(rows: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of unequal length as float64[B, T] and their mask bool[B, T]."""
    lengths = np.array([len(row) for row in rows])
    mask = np.arange(lengths.max()) < lengths[:, None]
    values = np.zeros(mask.shape)
    values[mask] = np.concatenate(rows)
    return values, mask
