"""What a scoring student cannot read: texts longer than its limits, and tokens that its tokenizer does not know.

    lengths(scorers["base"], too_long["base"], targets)     # a row a rationale: its tokens beside the limits
    unknown_tokens(scorers["base"], rationales, targets)    # (3, 410000): 3 of 410,000 tokens cannot be represented

scorers   as `lib.warmup.cross_fitted` returns them: each with the questions that it scores
targets   rationale id -> the answer that RD is computed towards (`pairs.rd_targets`)
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from lib.pairs import Pair, encode_pairs, pairs_of
from lib.records import Question, Rationale, Refined
from lib.scoring import Scorer, places
from lib.words import unknown

Scorers = Sequence[tuple[Scorer, Sequence[Question]]]


def lengths(scorers: Scorers, rationales: Iterable[Rationale], targets: Mapping[str, str]) -> list[dict]:
    """A row a rationale, by question and sample: how many tokens its texts take, beside what the student takes.

    question, completion   the longest of all sequences that the scores are made of: with the rationale's own answer
                           and with the target, with and without the answer masked
    """
    rows = []
    for scorer, question, rationale in _placed(scorers, rationales):
        encoded = encode_pairs(scorer.student, pairs_of(question, rationale, targets[rationale.id]))
        source, target = (max(len(one[i]) for one in encoded) for i in (0, 1))
        row = {"question_id": question.id, "sample": rationale.sample}
        row |= {"chain": rationale.chain, "round": rationale.round} if isinstance(rationale, Refined) else {}
        row |= {"question": source, "completion": target}
        rows.append(row | {"longest question": scorer.max_source, "longest completion": scorer.max_target})
    return sorted(rows, key=lambda row: (row["question_id"], row["sample"]))


def unknown_tokens(scorers: Scorers, rationales: Iterable[Rationale], targets: Mapping[str, str]) -> tuple[int, int]:
    """(tokens that cannot be represented, all tokens) of what is forced: questions and completions, each text once.

    Completions end in the own answer or in the target; where the answer is masked in them is not looked at, for the
    mask is no word of any language. A scorer's tokenizer reads its own texts.
    """
    forced: dict[int, dict[Pair, None]] = {}
    for scorer, question, rationale in _placed(scorers, rationales):
        pairs = pairs_of(question, rationale, targets[rationale.id])
        forced.setdefault(id(scorer), {}).update(dict.fromkeys((pairs.given, pairs.towards, pairs.prior)))
    found = [_unknown(scorer, list(forced[id(scorer)])) for scorer, _ in scorers if id(scorer) in forced]
    return sum(missing for missing, _ in found), sum(of for _, of in found)


def _unknown(scorer: Scorer, pairs: Sequence[Pair]) -> tuple[int, int]:
    encoded = encode_pairs(scorer.student, pairs)
    texts = {part for one in encoded for part in (("source", one.source), ("target", one.target))}
    return unknown(scorer.student.tokenizer, (i for _, text in texts for i in text))


def _placed(scorers: Scorers, rationales: Iterable[Rationale]) -> Iterator[tuple[Scorer, Question, Rationale]]:
    """Each rationale with its question and the scorer of that. Raises UserError for one of no scorer's question."""
    rationales = list(rationales)
    places(scorers, rationales)
    own: dict[str, list[Rationale]] = {}
    for rationale in rationales:
        own.setdefault(rationale.question_id, []).append(rationale)
    for scorer, questions in scorers:
        yield from ((scorer, q, r) for q in questions for r in own.get(q.question_id, []))
