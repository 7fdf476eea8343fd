"""What is scored of a rationale: completions with and without their question, as text and as token ids.

    pairs = pairs_of(question, rationale, target="(3 + 4)")     # all that its SLC, PMI and RD are made of
    [encoded] = encode_pairs(student, [pairs.given])            # EncodedPair((5, 9, 1), (3, 7, 4, 1), (2, 3))

A completion is c = "reasoning --> answer". The ids are those that training feeds (lib/encoding.py): encoder-decoder the
question </s>, or </s> alone where there is none, and c </s>; decoder-only "question ###", or the token that a text
begins with, and " c" END.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from lib.encoding import continuations, source_ids
from lib.errors import UserError
from lib.examples import completion
from lib.masking import mask_answer
from lib.records import Question, Rationale
from lib.student import Student


class Pair(NamedTuple):
    """One teacher-forced sequence: a completion, and the question before it ("" for none)."""

    question: str
    reasoning: str
    answer: str

    @property
    def completion(self) -> str:
        return completion(self.reasoning, self.answer)


class Pairs(NamedTuple):
    """The sequences that one rationale's scores are made of. Equal ones are scored once."""

    given: Pair  # c | q, own answer
    alone: Pair  # c
    towards: Pair  # target answer | q, r
    masked: Pair  # target answer | q, r without the answer
    prior: Pair  # target answer | q
    own_prior: Pair  # own answer | q


def pairs_of(question: Question, rationale: Rationale, target: str) -> Pairs:
    """Every sequence whose log-probability a rationale's scores need; `target` is the answer that RD is towards.

    Masked are the target and the rationale's own answer: a wrong answer that stands there to be copied would else tell
    a wrong rationale from a right one.
    """
    q, r, own = question.text, rationale.reasoning, rationale.teacher_label
    hidden = mask_answer(mask_answer(r, target), own)
    return Pairs(
        given=Pair(q, r, own),
        alone=Pair("", r, own),
        towards=Pair(q, r, target),
        masked=Pair(q, hidden, target),
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

    The gold label stands as the teacher mostly writes it, "(84 / 2)" and not "( 84.0 / 2.0 )", where any of the
    question's rationales reaches it: how easy an answer is should not depend on its spelling.
    """
    gold = {q.question_id: q.gold_label for q in questions} | _spelt_by_teacher(rationales)
    by_kind = {
        "gold": lambda r: gold[r.question_id] if gold[r.question_id] is not None else majority[r.question_id],
        "majority": lambda r: majority[r.question_id],
        "own": lambda r: r.teacher_label,
    }
    if kind not in by_kind:
        raise UserError(f"slc.rd_target: unknown {kind!r}; allowed: {', '.join(by_kind)}")
    return {r.id: by_kind[kind](r) for r in rationales}


def _spelt_by_teacher(rationales: Iterable[Rationale]) -> dict[str, str]:
    """Question id -> the most frequent teacher_label that equals the gold label; the earliest sample's on a tie."""
    right: dict[str, Counter] = {}
    for r in sorted((r for r in rationales if r.correct), key=lambda r: r.id):
        right.setdefault(r.question_id, Counter())[r.teacher_label] += 1
    return {question_id: labels.most_common(1)[0][0] for question_id, labels in right.items()}


# -- as token ids --------------------------------------------------------------------------------


class EncodedPair(NamedTuple):
    """A pair as token ids; `answer` is the half-open range of the answer's tokens within `target`."""

    source: tuple[int, ...]
    target: tuple[int, ...]
    answer: tuple[int, int]


def encode_pairs(student: Student, pairs: Sequence[Pair]) -> list[EncodedPair]:
    """Pairs as token ids; each distinct question and completion is tokenized once.

    Raises UserError for an answer without a token.
    """
    questions = list(dict.fromkeys(pair.question for pair in pairs))
    sources = dict(zip(questions, map(tuple, source_ids(student.tokenizer, questions, student.decoder_only))))
    wholes = list(dict.fromkeys(pair.completion for pair in pairs))
    targets = dict(zip(wholes, _targets(student, wholes)))
    out = []
    for pair in pairs:
        target, offsets, length = targets[pair.completion]
        answer = _answer_range(offsets, length - len(pair.answer.rstrip()), pair)  # a completion ends without spaces
        out.append(EncodedPair(sources[pair.question], target, answer))
    return out


def _targets(student: Student, wholes: Sequence[str]) -> list[tuple[tuple[int, ...], list[tuple[int, int]], int]]:
    """Of each completion: its ids, its end among them; which characters each of the others stands for; its length."""
    if not wholes:
        return []
    texts = continuations(student.tokenizer, wholes) if student.decoder_only else list(wholes)
    found = student.tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    end = student.tokenizer.eos_token_id
    rows = zip(texts, found["input_ids"], found["offset_mapping"])
    return [((*ids, end), offsets, len(text)) for text, ids, offsets in rows]


def _answer_range(offsets: Sequence[tuple[int, int]], start: int, pair: Pair) -> tuple[int, int]:
    """The tokens that reach beyond character `start`, where the answer begins."""
    first = next((i for i, (_, end) in enumerate(offsets) if end > start), len(offsets))
    if first == len(offsets):
        raise UserError(f"question {pair.question!r:.60}: the answer {pair.answer!r} has no token; RD needs an answer")
    return first, len(offsets)
