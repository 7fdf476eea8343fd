"""The teacher as a judge: how well, from 1 to 10, could somebody learn from the rationales that strategies chose?

MoRSD found that such ratings follow rationale difficulty, PeCoTD that they are as good as random; the table tells which
holds here. The judge sees question and rationale, neither gold label nor strategy; a rationale that several strategies
chose is rated once. One greedy call each, by the prompt in lib/teacher/prompts/rating.txt.

    if sentence := not_judged(cfg.teacher, cfg.slc.judged): print(sentence)
    judged = judge(chosen, questions, rationales, teacher, store, cfg.slc.judged)
    rating_table(judged.ratings, chosen)     # [{"strategy": "rd_low", "mean": 7.9, "versus random": 0.6, ...}, ...]
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from lib.asking import Ask, Progress, Usage, answers
from lib.clusters import cluster_mean
from lib.draws import draw
from lib.errors import UserError
from lib.progress import progress as show_progress
from lib.records import Question, Rationale, Selection
from lib.settings import TeacherSettings
from lib.statistics import paired_bootstrap
from lib.teacher import Request, Response, Teacher, prompts
from lib.teacher.store import Store

LOWEST, HIGHEST = 1, 10
NAN = float("nan")


class Rating(NamedTuple):
    """What the judge said of one rationale; rating None where no number from 1 to 10 could be read."""

    question_id: str
    sample: int
    rating: float | None


@dataclass(frozen=True)
class Judged:
    """Ratings by question and sample; why some are missing, most frequent first; what it cost."""

    ratings: list[Rating]
    reasons: dict[str, int]
    usage: Usage


def not_judged(teacher: TeacherSettings, judged: int) -> str | None:
    """Why no rationale is judged, as a sentence to print; None where some are."""
    if teacher.kind != "openai":
        return f"Not judged: a {teacher.kind} teacher cannot rate rationales; teacher.kind: openai can."
    return None if judged else "Not judged: slc.judged is 0."


# -- asking --------------------------------------------------------------------------------------


def judge(
    chosen: Sequence[Selection], questions: Sequence[Question], rationales: Sequence[Rationale], teacher: Teacher,
    store: Store, count: int, seed: int = 0, spent: float = 0.0, progress: Progress = show_progress,
) -> Judged:  # fmt: skip
    """Rate what was chosen for `count` of the questions, drawn by seed (all, where there are fewer).

    spent   what the stage has cost before, which its budget counts
    Raises UserError for a choice that is no rationale or of no question given.
    """
    asks = rating_asks(_wanted(chosen, rationales, count, seed), questions)
    responses, usage = answers(asks, teacher, store, "ratings", progress, spent)
    read = [(ask.item, *_read(response)) for ask, response in zip(asks, responses)]
    reasons = Counter(reason for _, _, reason in read if reason)
    return Judged(
        [Rating(r.question_id, r.sample, rating) for r, rating, _ in read], dict(reasons.most_common()), usage
    )


def rating_asks(rationales: Sequence[Rationale], questions: Sequence[Question]) -> list[Ask]:
    """One greedy request a rationale."""
    texts = {question.id: question.text for question in questions}
    if stray := next((r for r in rationales if r.question_id not in texts), None):
        raise UserError(f"rationale {stray.id} is of none of the {len(texts)} questions given")
    return [
        Ask(r, Request(prompts.rating_messages(texts[r.question_id], r.text), 0.0, prompts.RATING_TOKENS, 0))
        for r in rationales
    ]


def _wanted(chosen: Sequence[Selection], rationales: Sequence[Rationale], count: int, seed: int) -> list[Rationale]:
    """The rationales that any strategy chose for the drawn questions, once each, by id."""
    ids = sorted({row.question_id for row in chosen}, key=lambda q: draw(f"judged/{seed}/{q}"))[:count]
    drawn, by_place = set(ids), {(r.question_id, r.sample): r for r in rationales}
    places = {(row.question_id, sample) for row in chosen if row.question_id in drawn for sample in row.samples}
    if lost := sorted(places - by_place.keys()):
        raise UserError(
            f"{lost[0][0]}/{lost[0][1]:03d} was chosen, but is none of the {len(by_place)} rationales given"
        )
    return [by_place[place] for place in sorted(places)]


# -- what comes back -----------------------------------------------------------------------------

# All repetitions are bounded: the text is not trusted, and reading it must take linear time.
_NUMBER = r"(?<![\d.,\-−–])(\d{1,2}(?:\.\d{1,2})?)(?![\d]|[.,]\d|\s?[-–−]\s?\d)"
_OF_TEN = r"(?:\s?/\s?10|\s(?:out\s)?of\s10)"
_NAMED = re.compile(rf"\b(?:rating|score|grade)\b(?:\s?\([^()\n]{{0,20}}\))?\s?(?:[:=]|is|of)\s{{0,3}}{_NUMBER}", re.I)
_SHARE = re.compile(rf"{_NUMBER}{_OF_TEN}(?!\d)", re.I)
_ALONE = re.compile(rf"\s{{0,9}}{_NUMBER}(?:\.?\s{{0,9}}$| ?\n|[.,:;]\s|\s[-–—]\s)")
_RUN_ON = re.compile(r"\n[ \t]{0,9}(?:Q|Question) ?:")


def parse_rating(text: str) -> float | None:
    """A rating from 1 to 10, or None where the text gives none, or gives several that differ.

    "7" · "**Rating:** 7/10" · "Rating (1-10): 7." · "I would give it 7 out of 10."     -> 7.0
    "7-8" · "Rating: 11" · "seven" · "Steps 2 and 3 are fine."                           -> None

    A number that the text calls a rating counts first, then one out of 10, then one that the text begins with. What
    follows an invented next question does not count. Never raises.
    """
    text = re.sub(r"[*_`#]", "", _RUN_ON.split(text, maxsplit=1)[0])
    for pattern in (_NAMED, _SHARE):
        if found := {float(number) for number in pattern.findall(text)}:
            return _in_range(found)
    alone = _ALONE.match(text)
    return _in_range({float(alone[1])}) if alone else None


def _in_range(found: set[float]) -> float | None:
    [first, *others] = found
    return first if not others and LOWEST <= first <= HIGHEST else None


def _read(response: Response) -> tuple[float | None, str | None]:
    """(rating, None), or (None, why there is none). Cut off behind its rating is no harm: base models go on and on."""
    cut = response.finish_reason == "length" and not response.text.rstrip()[-1:].isdigit()
    if response.failure and not cut:
        return None, response.failure
    rating = parse_rating(response.text)
    return rating, None if rating is not None else response.failure or "no rating found"


# -- the table -----------------------------------------------------------------------------------


def rating_table(
    ratings: Sequence[Rating], chosen: Sequence[Selection], versus: str = "random", draws: int = 10_000, seed: int = 0
) -> list[dict]:
    """Mean rating of each strategy's choice, and its paired difference to `versus`, with 95% bootstrap intervals.

    A question counts once, with the mean of its rated rationales; the bootstrap resamples questions. A difference is
    over the questions that are rated for both. nan where fewer than two questions are rated.
    """
    rating = {(r.question_id, r.sample): r.rating for r in ratings}
    drawn = {r.question_id for r in ratings}
    rows: dict[tuple[str, str], dict[str, float]] = {}
    unread: Counter[tuple[str, str]] = Counter()
    for row in (row for row in chosen if row.question_id in drawn):
        known = [value for sample in row.samples if (value := rating[row.question_id, sample]) is not None]
        unread[row.student, row.strategy] += len(row.samples) - len(known)
        own = rows.setdefault((row.student, row.strategy), {})
        if known:
            own[row.question_id] = fmean(known)
    return [
        {
            "student": student, "strategy": strategy, "questions": len(own), "unread": unread[student, strategy],
            **dict(zip(("mean", "low", "high"), cluster_mean(list(own.values()), list(own), draws, seed))),
            **_versus(own, rows.get((student, versus), {}) if strategy != versus else {}, versus, draws, seed),
        }
        for (student, strategy), own in rows.items()
    ]  # fmt: skip


def _versus(own: dict[str, float], other: dict[str, float], versus: str, draws: int, seed: int) -> dict:
    names = (f"versus {versus}", "difference low", "difference high", "p", "pairs")
    both = sorted(own.keys() & other.keys())
    if len(both) < 2:
        return dict(zip(names, (NAN, NAN, NAN, NAN, len(both))))
    ratings = [[own[q] for q in both]], [[other[q] for q in both]]
    found = paired_bootstrap(*ratings, draws, seed, most=HIGHEST - LOWEST)
    return dict(zip(names, (found.mean, found.low, found.high, found.p, len(both))))
