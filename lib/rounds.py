"""What a round of refinement asked and got (lib/refinement.py), and a chain's rounds as a table.

pd.DataFrame(round_table(rounds["slc_high"]))       # a row a round: mean SLC, teacher accuracy, coverage, length, ...
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from lib.asking import Usage
from lib.clusters import by_cluster, cluster_mean, share_interval
from lib.records import Failure, Question, Rationale, Score
from lib.similarity import Matrix, jaccard_matrix

NAN = float("nan")


@dataclass(frozen=True)
class Round:
    """What one round asked and got.

    shown      ids of the rationales drawn as exemplars, in order, a spare one last; none in round 0
    failures   unusable answers; their item is "q@slc_high/3", for a file holds all chains and rounds
    usage      None in round 0: the originals are another stage's cost
    """

    chain: str
    number: int
    questions: tuple[Question, ...]
    rationales: tuple[Rationale, ...]
    scores: tuple[Score, ...]
    failures: tuple[Failure, ...]
    shown: tuple[str, ...] = ()
    usage: Usage | None = None


def cost(rounds: Sequence[Round]) -> float:
    """Money that these rounds stand on; 0 where nothing is priced."""
    return sum((r.usage and r.usage.money) or 0.0 for r in rounds)


def tag(chain: str, number: int) -> str:
    """What a failure's item has behind its question's id."""
    return f"@{chain}/{number}" if number else ""


def round_table(rounds: Sequence[Round], similarity: Matrix = jaccard_matrix) -> list[dict]:
    """One chain's rounds, round 0 first, a row each; shares and means are nan where there is nothing to count.

    SLC, SLC before   mean over questions of their rationales' mean, and that of the same questions' originals
    SLC gain, paired  mean of SLC minus SLC before over the questions that have both, and how many have
    correct           teacher accuracy; an answer that cannot be told is wrong
    ... low, ... high   95% interval, by a bootstrap over questions
    with usable, with correct   share of the round's questions that have such a rationale: the more, the more were asked
    words, tokens     mean length; tokens are the student's
    like originals    mean similarity to the originals of the question; of an original, to the other ones
    unlabelled, unscored   rationales of questions without gold label, and those without a score
    """
    return [{**_accuracy(one), **_likeness(one, rounds[0], similarity)} for one in rounds]


def _accuracy(one: Round) -> dict:
    told = [(r.question_id, r.correct) for r in one.rationales if r.correct is not None]
    behind = tag(one.chain, one.number)
    told += [(failure.item_id.removesuffix(behind), False) for failure in one.failures if failure.text.strip()]
    hits, of = by_cluster([question_id for question_id, _ in told], [hit for _, hit in told])
    low, high = share_interval(hits, of)
    usable, right = {r.question_id for r in one.rationales}, {r.question_id for r in one.rationales if r.correct}
    asked = len(one.questions)
    return {
        "round": one.number, "questions": asked, "rationales": len(one.rationales), "unusable": len(one.failures),
        "unlabelled": sum(r.correct is None for r in one.rationales),
        "unscored": len({r.id for r in one.rationales} - {s.rationale_id for s in one.scores}),
        "correct": sum(hits) / sum(of) if of else NAN, "correct low": low, "correct high": high,
        "with usable": len(usable) / asked if asked else NAN,
        **_mean("with correct", {q.id: [q.id in right] for q in one.questions}),
    }  # fmt: skip


def _likeness(one: Round, first: Round, similarity: Matrix) -> dict:
    now, before = _slc(one), _slc(first)
    gains = {question: [value - before[question]] for question, value in now.items() if question in before}
    before = [before[question.id] for question in one.questions if question.id in before]
    return {
        **_mean("SLC", {question: [value] for question, value in now.items()}),
        "SLC before": fmean(before) if before else NAN,
        **_mean("SLC gain", gains),
        "paired": len(gains),
        "tokens": fmean(s.tokens for s in one.scores) if one.scores else NAN,
        **_mean("words", {q: [len(text.split()) for text in own] for q, own in _texts(one, "text").items()}),
        **_mean("like originals", _similarities(one, first, similarity)),
    }


def _slc(one: Round) -> dict[str, float]:
    """Question -> mean SLC of its rationales, by question."""
    values: dict[str, list[float]] = {}
    for s in sorted(one.scores, key=lambda s: s.id):
        values.setdefault(s.question_id, []).append(s.slc)
    return {question: fmean(own) for question, own in values.items()}


def _similarities(one: Round, first: Round, similarity: Matrix) -> dict[str, list[float]]:
    """Each rationale's mean similarity to its question's originals; an original is not compared with itself."""
    found, own, originals = {}, _texts(one, "reasoning"), _texts(first, "reasoning")
    for question in sorted(own.keys() & originals.keys()):
        n, new = len(originals[question]), own[question] if one.number else []
        alike = similarity([*originals[question], *new])
        if new:
            found[question] = alike[n:, :n].mean(axis=1).tolist()
        elif n > 1:
            found[question] = ((alike.sum(axis=1) - 1) / (n - 1)).tolist()
    return found


def _texts(one: Round, field: str) -> dict[str, list[str]]:
    """Question -> the text or the reasoning of its rationales."""
    texts: dict[str, list[str]] = {}
    for r in one.rationales:
        texts.setdefault(r.question_id, []).append(getattr(r, field))
    return texts


def _mean(name: str, values: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Question -> values, as their mean and its interval in three columns."""
    flat = [(value, question) for question, own in sorted(values.items()) for value in own]
    return dict(zip((name, f"{name} low", f"{name} high"), cluster_mean(*zip(*flat)) if flat else (NAN, NAN, NAN)))
