"""From arms to runs: what each learns from, for how many steps, and the id that follows from that.

    runs, skipped = plan_runs(arms, data, cfg.train, cfg.student)
    runs[0].id          # "5f0c...": hash of the full recipe, the examples, the measurement questions and RECIPE_VERSION

Renaming an arm changes no id. Arms that the data cannot feed are refused, or listed with the reason.
"""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, field

from transformers import PreTrainedTokenizerFast

from lib.arms import Arm, Recipe
from lib.errors import UserError
from lib.examples import Example, judged_text, majority_labels, reasoning_examples, self_evaluation_examples
from lib.records import Evaluation, Question, Rationale, Score
from lib.selection import candidates, select
from lib.settings import Student as StudentSettings
from lib.settings import Train
from lib.student import make_tokenizer
from lib.tasks.base import Task

# Raise it when a change of the code makes equal recipes train differently: old runs are then no longer found.
RECIPE_VERSION = 1
# The settings of section `train` that a run's outcome depends on, besides its recipe and its seed.
RUN_SETTINGS = {"batch", "learning_rate", "warmup_steps", "optimizer", "reduction", "validations"}


@dataclass
class Data:
    """What runs learn from (train) and are measured on (validation, test)."""

    task: Task
    questions: dict[str, Question]
    rationales: list[Rationale]
    evaluations: list[Evaluation]
    scores: list[Score] = field(default_factory=list)

    def split(self, name: str) -> list[Question]:
        """The questions of one split, by id."""
        return [q for q in self.questions.values() if q.split == name]

    def training_texts(self) -> list[str]:
        """All text that any arm may learn from; a tokenizer of words is trained on it, the same for every arm."""
        train = self.split("train")
        rationales = [r for r in self.rationales if r.split == "train"]
        critiques = [e for e in self.evaluations if e.split == "train"]
        return [
            "predict: explain: correct wrong uncertain",
            *(q.text for q in train),
            *(q.gold_label for q in train if q.gold_label is not None),
            *(text for r in rationales for text in (r.text, r.teacher_label)),
            *(e.critique for e in critiques),
        ]


@dataclass(frozen=True)
class Run:
    """Everything a process needs to train and measure one run, and the id that follows from it."""

    id: str
    arm: str
    labels: str
    seed: int
    recipe: Recipe
    student: StudentSettings
    train: Train
    tokenizer: PreTrainedTokenizerFast
    evaluation_phase: tuple[Example, ...]
    reasoning_phase: tuple[Example, ...]
    held_out: "HeldOut"
    tokens: int


@dataclass(frozen=True)
class HeldOut:
    """What a run is measured on: validation and test questions, and the teacher's rationales of test questions.

    judged   (rationale, the text that the student is shown, the teacher's verdict if there is one)
    """

    task: str
    validation: tuple[Question, ...]
    test: tuple[Question, ...]
    judged: tuple[tuple[Rationale, str, str | None], ...]


def plan_runs(
    arms: dict[str, Arm], data: Data, train: Train, student: StudentSettings, only: Collection[str] | None = None
) -> tuple[list[Run], dict[str, str]]:
    """The runs of these arms for every seed, and the arms that the data cannot feed, with the reason.

    only    plan just these of the arms; the others are there to be matched to
    With `train.unfed: refuse` an arm that cannot be fed is a UserError instead.
    """
    wanted = [name for name in arms if only is None or name in only]
    needed = {*wanted, *_matched({name: arms[name] for name in wanted})}
    reasons = {name: reason for name in needed if (reason := unfed(arms[name], data))}
    material = {name: _material(arms[name].recipe, data) for name in arms if name in needed and name not in reasons}
    empty = {name for name, (_, reasoning) in material.items() if not reasoning}
    reasons |= {name: f"strategy {arms[name].recipe.select!r} selects no rationale" for name in empty}
    skipped = {name: reason for name in wanted if (reason := _reason(arms[name], reasons))}
    if skipped and train.unfed == "refuse":
        raise UserError("; ".join(f"arm {name!r}: {reason}" for name, reason in skipped.items()))
    fed = {name: arms[name] for name in wanted if name not in skipped}
    tokenizer = make_tokenizer(student, data.training_texts())
    means = _mean_tokens(material, tokenizer)
    runs = [
        run for arm in fed.values() for run in _runs_of(arm, arms, data, material, means, train, student, tokenizer)
    ]
    return runs, skipped


def _runs_of(arm, arms, data, material, means, train, student, tokenizer) -> list[Run]:
    """One run a seed."""
    steps = _steps(arm.name, arms, means)
    if steps < 1:
        raise UserError(f"arm {arm.name!r}: matched to its target it would take {steps} steps of phase 2; at least 1")
    recipe = arm.recipe.model_copy(update={"steps": steps, "steps_of": None, "tokens_of": None})
    (first, second), held_out = material[arm.name], _held_out(recipe, data)
    digest = _digest([[e.as_dict() for e in phase] for phase in (first, second)], held_out)
    tokens = round(train.batch * _tokens_per_example_step(recipe, means[arm.name]))
    return [
        Run(
            id=_run_id(recipe, student, train, seed, digest, tokenizer),
            arm=arm.name,
            labels=recipe.labels,
            seed=seed,
            recipe=recipe,
            student=student,
            train=train,
            tokenizer=tokenizer,
            evaluation_phase=tuple(first),
            reasoning_phase=tuple(second),
            held_out=held_out,
            tokens=tokens,
        )
        for seed in train.seeds
    ]


def _matched(arms: dict[str, Arm]) -> set[str]:
    """The names that these arms are matched to."""
    return {name for arm in arms.values() if (name := arm.recipe.steps_of or arm.recipe.tokens_of)}


def _reason(arm: Arm, reasons: dict[str, str]) -> str | None:
    """Why an arm is skipped: it cannot be fed, or the arm that it is matched to cannot."""
    target = arm.recipe.steps_of or arm.recipe.tokens_of
    return reasons.get(arm.name) or (f"matched to {target!r}, which is skipped" if target in reasons else None)


def unfed(arm: Arm, data: Data) -> str | None:
    """Why the data cannot feed this arm; None if it can."""
    recipe = arm.recipe
    per_question: dict[str, int] = {}
    for rationale in data.rationales:
        if rationale.split == "train":
            per_question[rationale.question_id] = per_question.get(rationale.question_id, 0) + 1
    most = max(per_question.values(), default=0)
    if recipe.rationales > most:
        return f"needs {recipe.rationales} rationales a question, at most {most} were written"
    if recipe.labels == "majority" and most < 2:
        return "a majority needs several rationales a question, at most 1 was written"
    evaluations = max((e.sample + 1 for e in data.evaluations if e.split == "train"), default=0)
    if recipe.evaluations > evaluations:
        return f"needs {recipe.evaluations} self-evaluations a rationale, at most {evaluations} were written"
    if recipe.labels == "gold" and any(q.gold_label is None for q in data.split("train")):
        return "needs a gold label for every train question"
    return None


def chosen_rationales(recipe: Recipe, data: Data, seed: int = 0) -> dict[str, list[Rationale]]:
    """The rationales that the arm's strategy selects, by train question (questions with none are absent)."""
    pool = candidates([r for r in data.rationales if r.split == "train"], data.scores, data.evaluations)
    chosen = {q: select(recipe.select, group, recipe.rationales, seed) for q, group in sorted(pool.items())}
    return {q: rationales for q, rationales in chosen.items() if rationales}


def _material(recipe: Recipe, data: Data) -> tuple[list[Example], list[Example]]:
    """Examples of phase 1 (none without evaluations) and of phase 2."""
    chosen = chosen_rationales(recipe, data)
    train = (r for r in data.rationales if r.split == "train")
    votes = majority_labels(train, data.task.equal) if recipe.labels == "majority" else {}
    reasoning = reasoning_examples(data.questions, chosen, recipe.labels, recipe.explain, votes)
    if not recipe.evaluations:
        return [], reasoning
    by_id = {r.id: r for group in chosen.values() for r in group}
    evaluations = self_evaluation_examples(
        data.questions, by_id, data.evaluations, recipe.evaluations, recipe.judge_sees
    )
    return evaluations, reasoning


def _held_out(recipe: Recipe, data: Data) -> HeldOut:
    """Measurement questions; for arms with phase 1 also the teacher's test rationales, to be judged."""
    verdicts = {e.rationale_id: e.verdict for e in data.evaluations if e.split == "test" and e.sample == 0}
    judged = [
        (r, judged_text(data.questions[r.question_id], r, recipe.judge_sees), verdicts.get(r.id))
        for r in data.rationales
        if r.split == "test" and recipe.evaluations
    ]
    return HeldOut(data.task.name, tuple(data.split("validation")), tuple(data.split("test")), tuple(judged))


def _mean_tokens(material: dict[str, tuple[list[Example], list[Example]]], tokenizer) -> dict[str, tuple[float, float]]:
    """Mean non-padding tokens of an example of each phase, by arm; every text is tokenized once."""
    texts = {text for phases in material.values() for phase in phases for e in phase for p in e.pairs() for text in p}
    ordered = sorted(texts)
    length = dict(zip(ordered, map(len, tokenizer(ordered, verbose=False)["input_ids"] if ordered else [])))
    return {
        name: tuple(
            sum(length[text] for e in phase for pair in e.pairs() for text in pair) / max(len(phase), 1)
            for phase in phases
        )
        for name, phases in material.items()
    }


def _tokens_per_example_step(recipe: Recipe, means: tuple[float, float]) -> float:
    """Tokens that a batch of one example would spend over both phases."""
    return _phase_one_steps(recipe) * means[0] + recipe.steps * means[1]


def _steps(name: str, arms: dict[str, Arm], means: dict[str, tuple[float, float]]) -> int:
    """Phase 2's steps, matched to another arm's steps or tokens where the recipe asks for it."""
    recipe = arms[name].recipe
    if recipe.steps_of:
        other = arms[recipe.steps_of].recipe
        return other.steps + _phase_one_steps(other) - _phase_one_steps(recipe)
    if recipe.tokens_of:
        theirs = _tokens_per_example_step(arms[recipe.tokens_of].recipe, means[recipe.tokens_of])
        return round((theirs - _phase_one_steps(recipe) * means[name][0]) / means[name][1])
    return recipe.steps


def _phase_one_steps(recipe: Recipe) -> int:
    return recipe.self_eval_steps if recipe.evaluations else 0


def _run_id(recipe: Recipe, student: StudentSettings, train: Train, seed: int, digest: str, tokenizer) -> str:
    """Hash of everything that the run's outcome depends on."""
    settings = train.model_dump(include=RUN_SETTINGS)
    unused = set() if recipe.evaluations else {"self_eval_steps", "judge_sees"}
    if not recipe.evaluations and not recipe.explain:
        unused.add("lam")  # nothing is weighed by it
    own = recipe.model_dump(exclude=unused)
    whole = [RECIPE_VERSION, own, student.model_dump(), settings, seed, digest, sorted(tokenizer.get_vocab().items())]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]


def _digest(examples: list, held_out: HeldOut) -> str:
    measured = [
        held_out.task,
        [q.model_dump() for q in (*held_out.validation, *held_out.test)],
        [(r.model_dump(mode="json"), text, verdict) for r, text, verdict in held_out.judged],
    ]
    return hashlib.sha256(json.dumps([examples, measured], sort_keys=True).encode()).hexdigest()
