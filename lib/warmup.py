"""The scoring student: it scores only rationales of questions that it has not seen.

A pretrained student scores as it is. A student from scratch knows no language yet, so it is warmed up first — on the
*other* fold's questions, lest it rank rationales by how well it remembers them:

    for scoring, questions in cross_fitted(questions, rationales, cfg.student, cfg.slc):
        scoring.score(questions, ...)       # `questions` played no part in this scorer's warm-up

Each rationale is one warm-up example: mostly q -> "r --> a", some q -> "--> a" so that P(a|q) is known, and a share of
the former without their question, so that P(c) is not out of distribution.
"""

import hashlib
import json
import re
import shutil
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path

from lib import paths
from lib.draws import draw, uniform
from lib.encoding import Encoded, kept_ends, limit_lengths, source_ids, target_ids
from lib.errors import UserError
from lib.examples import completion
from lib.records import Question, Rationale
from lib.scoring import Scorer
from lib.settings import Slc
from lib.settings import Student as StudentSettings
from lib.student import Student, load_student, new_student
from lib.students import BASE
from lib.tasks import get_task
from lib.text import sentences
from lib.training import Plan, fit
from lib.workers import alone, one_thread_worker, raise_failed, spread

FOLDS = 2
VERSION = 2  # raise it when a change of the code warms up otherwise
ANSWER_SHARE = 0.2  # with half of them, or each with both targets, RD told sound from flawed after twice the time
# chosen by log P(c|q) of held-out rationales. t5: -.59 after 500 steps, -.64 at a rate of .02, -.91 with two targets
# each. gpt2 learns later: -1.14 after 500 steps and -.43 after 1000, at .03 -1.30 after 500, at .1 -1.09 and -.47
BATCH, LEARNING_RATES, LEARNING_RATE_STEPS = 16, {"t5": 0.03, "gpt2": 0.05}, 50
MEND = (
    "a scorer's warm-up reads no setting of train: take a smaller student (d_model, layers), or lower its "
    "max_source_tokens or max_target_tokens"
)


def folds(questions: Iterable[Question], n: int, seed: int) -> list[list[str]]:
    """Question ids cut into n parts, each sorted; which part one is in is random, but the same for equal questions.

    Questions about one story stay together: who was warmed up on one knows much of the others' rationales. The parts'
    sizes differ by no more than the largest story.
    """
    stories = defaultdict(list)
    for question in sorted(questions, key=lambda q: q.question_id):
        stories[story(question)].append(question.question_id)
    parts: list[list[str]] = [[] for _ in range(n)]
    for ids in sorted(stories.values(), key=lambda ids: draw(f"fold/{seed}/{ids[0]}")):
        min(parts, key=len).extend(ids)
    return [sorted(part) for part in parts]


def story(question: Question) -> Hashable:
    """What a published question shares with its siblings: the words of all but its last sentence (SVAMP's variants).

    Neither their order nor numbers matter. Of one sentence all words count. A generated question, which is drawn by
    itself, stands alone.
    """
    if get_task(question.task).generate is not None:
        return question.question_id
    body = " ".join(sentences(question.text)[:-1]) or question.text
    return frozenset(re.findall(r"[^\W\d]+", body.lower()))


def warmup_examples(
    student: Student, questions: Sequence[Question], rationales: Iterable[Rationale], empty_share: float, seed: int
) -> list[Encoded]:
    """One example a rationale of these questions, as token ids; which kind it is, a hash of seed and id decides.

    ANSWER_SHARE of them ask for the answer alone, (q, "--> a"), the others for the completion, (q, "r --> a");
    of the latter a share of `empty_share` stands without its question.
    """
    texts = {q.question_id: q.text for q in questions}
    own = sorted((r for r in rationales if r.question_id in texts), key=lambda r: r.id)
    pairs = [_source_and_target(texts[r.question_id], r, empty_share, seed) for r in own]
    sources = source_ids(student.tokenizer, [source for source, _ in pairs], student.decoder_only)
    targets = target_ids(student.tokenizer, [target for _, target in pairs], student.decoder_only)
    ends = kept_ends(student.tokenizer, student.decoder_only)
    return [Encoded((pair,), ends) for pair in zip(sources, targets)]


def cross_fitted(
    questions: Sequence[Question],
    rationales: Sequence[Rationale],
    settings: StudentSettings,
    slc: Slc,
    seed: int = 0,
    workers: int = FOLDS,
    name: str = BASE,
) -> list[tuple[Scorer, list[Question]]]:
    """Scorers, each with the questions that it may score: all of `questions` once.

    Of a student from scratch two, each warmed up on the other's questions (one process and one thread each); a
    pretrained one as it is, for all of them, whatever the warm-up. Weights, and so scores, do not depend on `workers`.
    `name` is the student's in params.yaml. What they score is kept in scratch/scores, a file a student.
    Raises UserError for a student from scratch without warm-up, and for too few questions to cut in two.
    """
    if not slc.warmup_steps or settings.source != "scratch":
        return [(as_it_is(settings, slc, seed, name), list(questions))]
    parts = folds(questions, FOLDS, seed)
    if not all(parts):
        raise UserError(
            f"slc.warmup_steps {slc.warmup_steps}: {len(questions)} train questions; cross-fitting needs 2 "
            "that do not share their story"
        )
    held_out = [[q for q in questions if q.question_id in set(part)] for part in parts]
    seen = [[q for q in questions if q.question_id not in set(part)] for part in parts]
    common = (questions, rationales, settings, slc, seed, name)
    scorers = dict(spread(lambda fold: warmed_up(fold, seen[fold], *common), range(FOLDS), workers))
    raise_failed({f"fold {fold}": scorer for fold, scorer in scorers.items()}, "warm-ups")
    return [(scorers[fold], held_out[fold]) for fold in range(FOLDS)]


def warmed_up(
    fold: int,
    seen: Sequence[Question],
    questions: Sequence[Question],
    rationales: Sequence[Rationale],
    settings: StudentSettings,
    slc: Slc,
    seed: int,
    name: str,
) -> Scorer:
    """A student fitted on the rationales of `seen`; its tokenizer knows the words of all `questions`."""
    one_thread_worker()
    how = f"{settings.source}, {slc.warmup_steps} steps of warm-up, fold {fold}"
    kept = paths.SCRATCH / "scorers" / _content(seen, questions, rationales, settings, slc, seed)
    with alone(kept.with_name(f"{kept.name}.lock")):
        if not kept.exists():
            _warm_up(kept, seen, questions, rationales, settings, slc, seed)
    return _scorer(load_student(kept), how, settings, slc, name)


def _content(seen, questions, rationales, settings: StudentSettings, slc: Slc, seed: int) -> str:
    """Hash of all that a warmed-up student follows from: with other figures or strategies it is found again."""
    rate = LEARNING_RATES[settings.architecture]
    numbers = [slc.warmup_steps, slc.empty_share, BATCH, rate, LEARNING_RATE_STEPS, seed, VERSION]
    rows = [[row.model_dump(mode="json") for row in group] for group in (seen, questions, rationales)]
    return hashlib.sha256(json.dumps([numbers, settings.model_dump(), rows]).encode()).hexdigest()[:16]


def _warm_up(kept: Path, seen, questions, rationales, settings: StudentSettings, slc: Slc, seed: int) -> None:
    """Fit a student on the rationales of `seen` and keep it; its folder appears when it is whole."""
    student = new_student(settings, _vocabulary(questions, rationales), seed)
    encoded = warmup_examples(student, seen, rationales, slc.empty_share, seed)
    encoded = limit_lengths(
        encoded, settings.max_source_tokens, settings.max_target_tokens, settings.max_truncated_share
    )
    rate = LEARNING_RATES[settings.architecture]
    # fp32 everywhere, so that a scorer found in a folder is the same wherever it was warmed up
    plan = Plan(slc.warmup_steps, BATCH, rate, LEARNING_RATE_STEPS, seed=seed, precision="fp32")
    under_way = kept.with_name(f"{kept.name}.under-way")  # an interrupted warm-up goes on from there
    fit(student, encoded, plan, under_way, mend=MEND)
    student.save(kept.with_name(f"{kept.name}.partial"))
    kept.with_name(f"{kept.name}.partial").rename(kept)
    shutil.rmtree(under_way)


def as_it_is(settings: StudentSettings, slc: Slc, seed: int, name: str) -> Scorer:
    """A pretrained student. Raises UserError for one from scratch: random weights score nothing."""
    if settings.source == "scratch":
        raise UserError("slc.warmup_steps is 0 and student.source is scratch: random weights score nothing; warm it up")
    student = new_student(settings, [], seed)
    return _scorer(student, settings.source, settings, slc, name)


def _scorer(student: Student, how: str, settings: StudentSettings, slc: Slc, name: str) -> Scorer:
    limits = settings.max_source_tokens, settings.max_target_tokens
    return Scorer(student, how, *limits, student_name=name, precision=slc.precision, store=paths.SCRATCH / "scores")


def _source_and_target(question: str, r: Rationale, empty_share: float, seed: int) -> tuple[str, str]:
    if uniform(f"answer/{seed}/{r.id}") < ANSWER_SHARE:
        return question, completion("", r.teacher_label)
    empty = uniform(f"empty/{seed}/{r.id}") < empty_share
    return "" if empty else question, completion(r.reasoning, r.teacher_label)


def _vocabulary(questions: Sequence[Question], rationales: Iterable[Rationale]) -> list[str]:
    """The training text, for a tokenizer of words."""
    wholes = [completion(r.reasoning, r.teacher_label) for r in rationales]
    golds = [q.gold_label for q in questions if q.gold_label is not None]
    return [*(q.text for q in questions), *wholes, *golds]
