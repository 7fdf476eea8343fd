"""Iterative refinement (PeCoTD, section 2.3): the teacher rewrites its rationales in the student's favour.

    round 0: the originals -> the student's scores -> of each question the correct one that scores best (D_high)
    round r: five pairs of D_high as exemplars -> new rationales of the same teacher -> scores -> D_high -> round r + 1

    chains = chains_of(cfg.slc.refine, cfg.teacher)
    rounds = refine_all(chains, Start(questions, rationales, scores), score, task, store, cfg.generate, cfg.slc.refine)
    rounds["slc_high"][3].rationales[0].id      # "arithmetic-train-00000/000@slc_high/3"

A chain is named by the strategy that chooses its exemplars: beside slc_high, random and slc_low are the controls, for
a gain may come from being shown any exemplars at all. In a round all chains ask the same questions and, where each has
a correct and scored rationale of them, show exemplars of the same questions: only the choice differs. A question never
sees an exemplar of its own: the next one in the drawn order stands in for it. All is drawn from seed and round.

What a question that a round did not ask had earlier is not used again: D_high is of the round before alone. Incorrect
rationales are rows as well, never exemplars. Correct means by gold label; there are no self-evaluations of new ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lib.asking import Progress
from lib.draws import draw
from lib.errors import UserError
from lib.progress import progress as show_progress
from lib.records import Failure, Question, Rationale, Refined, Score
from lib.rounds import Round, cost, tag
from lib.sampling import Sampled, sample_rationales
from lib.selection import candidates, get_strategy, select
from lib.settings import Generate, Refine, TeacherSettings
from lib.tasks import Task
from lib.teacher import Teacher, open_teacher
from lib.teacher.prompts import Exemplar, stem
from lib.teacher.store import Store

Scoring = Callable[[list[Rationale]], list[Score]]


@dataclass(frozen=True)
class Chain:
    """Rounds that build on each other: who writes, and by which strategy the exemplars are chosen."""

    name: str
    strategy: str
    teacher: Teacher


@dataclass(frozen=True)
class Start:
    """Round 0: the training questions with their originals, as one student scores them, and what was unusable."""

    questions: Sequence[Question]
    rationales: Sequence[Rationale]
    scores: Sequence[Score]
    failures: Sequence[Failure] = ()


# -- the chains ----------------------------------------------------------------------------------


def chains_of(settings: Refine, teacher: TeacherSettings) -> list[Chain]:
    """The configured chains, none for 0 rounds; with a teacher that imitates by design, the first again without that.

    Raises UserError for an unknown strategy, and for a recorded teacher: whatever it is shown, it says the same.
    """
    if not settings.rounds or not settings.chains:
        return []
    for strategy in settings.chains:
        get_strategy(strategy)
    if teacher.kind == "recorded":
        raise UserError("slc.refine.rounds: a recorded teacher cannot rewrite; allowed: 0, or another teacher.kind")
    opened, control = open_teacher(teacher), control_teacher(teacher)
    chains = [Chain(name, name, opened) for name in settings.chains]
    first = settings.chains[0]
    return [*chains, Chain(f"{first}, imitation off", first, control)] if control else chains


def control_teacher(settings: TeacherSettings) -> Teacher | None:
    """The simulated teacher with imitation off; None where that is no other teacher."""
    if settings.kind != "simulated" or not settings.simulated.imitation:
        return None
    blind = settings.simulated.model_copy(update={"imitation": False})
    return open_teacher(settings.model_copy(update={"simulated": blind}))


# -- the loop ------------------------------------------------------------------------------------


def refine_all(
    chains: Sequence[Chain], start: Start, score: Scoring, task: Task, store: Store, generate: Generate,
    settings: Refine, seed: int = 0, spent: float = 0.0, progress: Progress = show_progress,
) -> dict[str, list[Round]]:  # fmt: skip
    """Chain -> its rounds, round 0 first. The budget of `teacher` is for all of them together; see `refine`."""
    found: dict[str, list[Round]] = {}
    for chain in chains:
        found[chain.name] = refine(chain, start, score, task, store, generate, settings, seed, spent, progress)
        spent += cost(found[chain.name])
    return found


def refine(
    chain: Chain, start: Start, score: Scoring, task: Task, store: Store, generate: Generate, settings: Refine,
    seed: int = 0, spent: float = 0.0, progress: Progress = show_progress,
) -> list[Round]:  # fmt: skip
    """One chain's rounds, round 0 first; what the store holds is not asked again, so an interrupted chain goes on.

    score      rationales -> their scores by the student in whose favour they are rewritten
    generate   temperature and max_tokens of the calls
    spent      what the stage has cost before
    Raises UserError without gold labels, with too few correct and scored rationales to draw exemplars from, and where
    the teacher stops.
    """
    _refuse_unfit(start)
    own = {r.id for r in start.rationales}
    scores = tuple(s for s in start.scores if s.rationale_id in own)
    rounds = [Round("", 0, tuple(start.questions), tuple(start.rationales), scores, tuple(start.failures))]
    calls = generate.model_copy(update={"rationales": settings.rationales})
    for number in range(1, settings.rounds + 1):
        drawn = exemplars(rounds[-1], chain, settings.exemplars, seed, number)
        texts = {question.id: question.text for question in rounds[-1].questions}
        show = _show([Exemplar(texts[r.question_id], r.text) for r in drawn], settings.exemplars, chain, number)
        asked = _asked(start.questions, settings, seed, number)
        told = _labelled(progress, f"{chain.name}, round {number}")
        sampled = sample_rationales(asked, task, chain.teacher, store, calls, told, show, spent + cost(rounds))
        rounds.append(_round(chain, number, asked, sampled, score, tuple(r.id for r in drawn)))
    return rounds


def exemplars(before: Round, chain: Chain, count: int, seed: int, number: int) -> list[Rationale]:
    """The chain's choice of `count` + 1 questions of the round before, in an order that seed and round alone decide.

    Candidates are its correct and scored rationales. No two questions are the same but for their choices.
    """
    right = [r for r in before.rationales if r.correct]
    pools = candidates(right, before.scores)
    texts = {question.id: question.text for question in before.questions}
    drawn: dict[str, Rationale] = {}
    for question_id in sorted(pools, key=lambda q: draw(f"exemplar/{seed}/{number}/{q}")):
        scored = [c for c in pools[question_id] if c.score is not None]
        best = select(chain.strategy, scored, 1, seed) if scored and len(drawn) <= count else []
        if best:
            drawn.setdefault(stem(texts[question_id]), best[0])
    return list(drawn.values())


def _show(drawn: list[Exemplar], count: int, chain: Chain, number: int) -> Callable[[Question], list[Exemplar]]:
    """Question -> the first `count` of the drawn exemplars that are not its own."""
    stems = [stem(exemplar.question) for exemplar in drawn]

    def show(question: Question) -> list[Exemplar]:
        own = stem(question.text)
        shown = [exemplar for exemplar, other in zip(drawn, stems) if other != own][:count]
        if len(shown) < count:
            raise UserError(
                f"slc.refine: round {number} of {chain.name!r}: {len(drawn)} questions have a correct and scored "
                f"rationale; exemplars: {count} needs as many, and one more where an exemplar's own question is asked"
            )
        return shown

    return show


def _asked(questions: Sequence[Question], settings: Refine, seed: int, number: int) -> list[Question]:
    """All questions in the last round; in the others the same ones, drawn by seed."""
    if settings.questions is None or number == settings.rounds:
        return list(questions)
    drawn = {q.id for q in sorted(questions, key=lambda q: draw(f"refined/{seed}/{q.id}"))[: settings.questions]}
    return [question for question in questions if question.id in drawn]


def _round(
    chain: Chain, number: int, asked: list[Question], sampled: Sampled, score: Scoring, shown: tuple[str, ...]
) -> Round:
    rows = [Refined(**row.model_dump(), chain=chain.name, round=number) for row in sampled.rows]
    behind = tag(chain.name, number)
    failures = [row.model_copy(update={"item_id": row.item_id + behind}) for row in sampled.failures]
    scores = tuple(score(rows))
    return Round(chain.name, number, tuple(asked), tuple(rows), scores, tuple(failures), shown, sampled.usage)


def _refuse_unfit(start: Start) -> None:
    """UserError for other questions than those of training, several students' scores, and without any gold label."""
    held_out = next((q for q in start.questions if q.split != "train"), None)
    if held_out:
        raise UserError(f"refinement is of training questions alone, given {held_out.id} ({held_out.split})")
    ids = {q.id for q in start.questions}
    if stray := next((r for r in start.rationales if r.question_id not in ids), None):
        raise UserError(f"rationale {stray.id} is of none of the {len(ids)} questions that are refined")
    if len(students := sorted({s.student for s in start.scores})) > 1:
        raise UserError(f"refinement favours one student, given the scores of {', '.join(students)}")
    if not any(r.correct is not None for r in start.rationales):
        raise UserError(
            f"slc.refine.rounds: refinement needs gold labels, for only correct rationales are shown to the teacher; "
            f"none of the {len(start.rationales)} rationales has one; allowed: 0"
        )


def _labelled(progress: Progress, what: str) -> Progress:
    return lambda items, total, label: progress(items, total, f"{label} ({what})")
