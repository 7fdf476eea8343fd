"""From arms to runs: what each learns from, for how many steps, and the id that follows from that.

    runs, skipped = plan_runs(arms, data, cfg.train, all_students(cfg.student, cfg.students))
    runs[0].id          # "5f0c...": hash of the full recipe, the examples, the measurement questions and RECIPE_VERSION

Renaming an arm changes no id, nor does it matter which strategy takes all there are. Arms that the data cannot feed
are refused, or listed with the reason.
"""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice

from transformers import PreTrainedTokenizerFast

from lib.arms import Arm, Recipe
from lib.encoding import beginning, encode
from lib.errors import UserError
from lib.examples import ARROW, Example
from lib.forward import precision_here
from lib.material import Data, HeldOut, Material, held_out, load_data, materials, unchosen, unfed
from lib.settings import Student as StudentSettings
from lib.settings import Train
from lib.student import decoder_only, make_tokenizer

__all__ = ["Data", "Run", "load_data", "plan_runs"]

Means = dict[str, tuple[float, float]]  # mean tokens of an example of each phase, by arm

# Raise it when a change of the code makes equal recipes train differently: old runs are then no longer found.
RECIPE_VERSION = 2
# The settings of section `train` that a run's outcome depends on, besides its recipe, its seed and its precision. How a
# step is cut and computed (pass_tokens, checkpointing, compile) decides no more than how numbers are rounded.
RUN_SETTINGS = {
    "batch", "bucket", "keep", "learning_rate", "optimizer", "patience", "reduction", "validations", "warmup_steps",
}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """Everything a process needs to train and measure one run, and the id that follows from it.

    recipe   in the arm's own words, its steps counted
    plain    what the id is made of: the recipe, with `first` for a strategy that took all the rationales there were
    """

    id: str
    arm: str
    labels: str
    seed: int
    recipe: Recipe
    plain: Recipe
    student: StudentSettings
    train: Train
    tokenizer: PreTrainedTokenizerFast
    evaluation_phase: tuple[Example, ...]
    reasoning_phase: tuple[Example, ...]
    held_out: HeldOut
    tokens: int

    @property
    def name(self) -> str:
        """What errors call it, "1 CoT, seed 0 (5f0c...)": no two have the same."""
        return f"{self.arm}, seed {self.seed} ({self.id})"


@dataclass(frozen=True)
class _Plan:
    """What the runs of one call of `plan_runs` have in common."""

    arms: dict[str, Arm]
    data: Data
    train: Train
    students: dict[str, StudentSettings]
    tokenizers: dict[tuple[str, bool], PreTrainedTokenizerFast]
    means: dict[int, Means]


def plan_runs(
    arms: dict[str, Arm],
    data: Data,
    train: Train,
    students: dict[str, StudentSettings],
    only: Collection[str] | None = None,
) -> tuple[list[Run], dict[str, str]]:
    """The runs of these arms for every seed, and the arms that the data cannot feed, with the reason.

    A run's seed also chooses its rationales: the spread over seeds holds that of the choice. Steps that are matched to
    another arm's tokens follow from what the other's run of the same seed learns from.
    students  settings by name (`students.all_students`)
    only      plan just these of the arms; the others are there to be matched to
    With `train.unfed: refuse` an arm that cannot be fed is a UserError instead; an unknown student always is.
    """
    wanted = [name for name in arms if only is None or name in only]
    needed = {*wanted, *_matched({name: arms[name] for name in wanted})}
    _refuse_unknown_students([arms[name] for name in arms if name in needed], students)
    reasons = {name: reason for name in needed if (reason := unfed(arms[name], data))}
    fed = [name for name in arms if name in needed and name not in reasons]
    learned = {name: materials(arms[name].recipe, data, train.seeds) for name in fed}
    found = {name: {seed: phases for seed, (_, phases) in own.items()} for name, own in learned.items()}
    reasons |= {name: unchosen(arms[name].recipe, data) for name in fed if not all(r for _, r in found[name].values())}
    skipped = {name: reason for name in wanted if (reason := _reason(arms[name], reasons))}
    if skipped and train.unfed == "refuse":
        raise UserError("; ".join(f"arm {name!r}: {reason}" for name, reason in skipped.items()))
    known = _tokenizers([arms[name].recipe for name in found], data, students)
    means = _mean_tokens({name: (arms[name].recipe, phases) for name, phases in found.items()}, known, students)
    plan = _Plan(arms, data, train, students, known, means)
    return [run for name in wanted if name not in skipped for run in _runs_of(arms[name], learned[name], plan)], skipped


def _runs_of(arm: Arm, learned: dict[int, tuple[Recipe, Material]], plan: _Plan) -> list[Run]:
    """One run a seed."""
    student, tokenizer = plan.students[arm.recipe.student], plan.tokenizers[_tokenizer_key(arm.recipe)]
    measured = held_out(arm.recipe, plan.data)
    different = {id(phases): tuple(map(tuple, phases)) for _, phases in learned.values()}  # seeds may share them
    digests = {i: _digest([[e.as_dict() for e in p] for p in phases], measured) for i, phases in different.items()}
    runs = []
    for seed, (plain, phases) in learned.items():
        recipe = _with_steps(arm, plan.arms, plan.means[seed])
        plain = recipe.model_copy(update={"select": plain.select})
        runs.append(
            Run(
                id=_run_id(plain, student, plan.train, seed, digests[id(phases)], tokenizer),
                arm=arm.name,
                labels=recipe.labels,
                seed=seed,
                recipe=recipe,
                plain=plain,
                student=student,
                train=plan.train,
                tokenizer=tokenizer,
                evaluation_phase=different[id(phases)][0],
                reasoning_phase=different[id(phases)][1],
                held_out=measured,
                tokens=round(plan.train.batch * _tokens_per_example_step(recipe, plan.means[seed][arm.name])),
            )
        )
    return runs


def _with_steps(arm: Arm, arms: dict[str, Arm], means: Means) -> Recipe:
    """The arm's recipe with phase 2's steps in place of the arm that they are matched to."""
    steps = _steps(arm.name, arms, means)
    if steps < 1:
        raise UserError(f"arm {arm.name!r}: matched to its target it would take {steps} steps of phase 2; at least 1")
    return arm.recipe.model_copy(update={"steps": steps, "steps_of": None, "tokens_of": None})


def recipe_keys(recipe: Recipe) -> dict:
    """A recipe's keys as they are hashed and kept with a run: without those that decide nothing.

    What student learns, and whose scores chose, are names: the run is known by the student's settings and by the
    chosen examples. So is a chain of refinement no round of which is taken, and an order where nothing is explained.
    """
    names = {"student", "scorer"} | (set() if recipe.round else {"chain", "round"})
    return recipe.model_dump(exclude=names | (set() if recipe.rationale_first else {"format"}))


def weighs_by_lam(recipe: Recipe) -> bool:
    """Whether an example of either phase has a second task, whose loss λ weighs."""
    return bool(recipe.evaluations) or (recipe.explain and not recipe.rationale_first)


def student_keys(student: StudentSettings) -> dict:
    """A student's settings as they are hashed and kept with a run; a pretrained one is what its checkpoint is."""
    return student.model_dump(exclude=set() if student.source == "scratch" else {"architecture"})


def train_keys(train: Train) -> dict:
    """The settings of section `train` that are hashed and kept with a run, and the precision that it has here."""
    return train.model_dump(include=RUN_SETTINGS) | {"precision": precision_here(train.precision)}


def _refuse_unknown_students(arms: list[Arm], students: dict[str, StudentSettings]) -> None:
    for arm in arms:
        for key, name in (("student", arm.recipe.student), ("scorer", arm.recipe.scored_by)):
            if name not in students:
                raise UserError(f"arm {arm.name!r}: {key}: no student {name!r}; students: {', '.join(students)}")


def _tokenizer_key(recipe: Recipe) -> tuple[str, bool]:
    return recipe.student, recipe.rationale_first


def _tokenizers(
    recipes: list[Recipe], data: Data, students: dict[str, StudentSettings]
) -> dict[tuple[str, bool], PreTrainedTokenizerFast]:
    """A tokenizer for each student and format: one of words knows the arrow only where it is written."""
    texts = data.training_texts()
    return {
        (name, first): make_tokenizer(students[name], [*texts, ARROW] if first else texts)
        for name, first in sorted({_tokenizer_key(recipe) for recipe in recipes})
    }


def _matched(arms: dict[str, Arm]) -> set[str]:
    """The names that these arms are matched to."""
    return {name for arm in arms.values() if (name := arm.recipe.steps_of or arm.recipe.tokens_of)}


def _reason(arm: Arm, reasons: dict[str, str]) -> str | None:
    """Why an arm is skipped: it cannot be fed, or the arm that it is matched to cannot."""
    target = arm.recipe.steps_of or arm.recipe.tokens_of
    return reasons.get(arm.name) or (f"matched to {target!r}, which is skipped" if target in reasons else None)


def _mean_tokens(
    found: dict[str, tuple[Recipe, dict[int, Material]]], tokenizers: dict, students: dict[str, StudentSettings]
) -> dict[int, Means]:
    """Mean non-padding tokens of an example of each phase, by seed and arm; a tokenizer reads every text once."""
    means: dict[int, Means] = {seed: {} for _, by_seed in found.values() for seed in by_seed}
    for key, tokenizer in tokenizers.items():
        own = {name: by_seed for name, (recipe, by_seed) in found.items() if _tokenizer_key(recipe) == key}
        different = {id(phases): phases for by_seed in own.values() for phases in by_seed.values()}
        together = [example for phases in different.values() for phase in phases for example in phase]
        tokens = (e.tokens for e in encode(tokenizer, together, decoder_only(students[key[0]])))
        mean = {i: tuple(_mean(list(islice(tokens, len(p)))) for p in phases) for i, phases in different.items()}
        for name, by_seed in own.items():
            for seed, phases in by_seed.items():
                means[seed][name] = mean[id(phases)]
    return means


def _mean(values: list[int]) -> float:
    return sum(values) / max(len(values), 1)


def _tokens_per_example_step(recipe: Recipe, means: tuple[float, float]) -> float:
    """Tokens that a batch of one example would spend over both phases."""
    return _phase_one_steps(recipe) * means[0] + recipe.steps * means[1]


def _steps(name: str, arms: dict[str, Arm], means: Means) -> int:
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
    settings = train_keys(train)
    unused = set() if recipe.evaluations else {"self_eval_steps", "judge_sees"}
    unused |= set() if weighs_by_lam(recipe) else {"lam"}
    own = {key: value for key, value in recipe_keys(recipe).items() if key not in unused}
    vocabulary = sorted(tokenizer.get_vocab().items())
    whole = [RECIPE_VERSION, own, student_keys(student), settings, seed, digest, vocabulary]
    whole += [first] if (first := beginning(tokenizer)) else []  # an OPT's BOS; a T5 or GPT-2 has none to hash
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]


def _digest(examples: list, measured: HeldOut) -> str:
    rows = [
        measured.task,
        [q.model_dump() for q in (*measured.validation, *measured.test)],
        [(r.model_dump(mode="json"), text, verdict) for r, text, verdict in measured.judged],
    ]
    return hashlib.sha256(json.dumps([examples, rows], sort_keys=True).encode()).hexdigest()
