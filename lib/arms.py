"""An arm is a named difference from the base recipe; a run is an arm with its labels, its seed and its data.

train.arms in params.yaml, ARMS in 05_ablate:

"5 CoTs":          {"rationales": 5}
"standard":        {"explain": False}
"5 CoTs, easiest": {"rationales": 5, "select": "rd_low", "against": ["5 CoTs"]}
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from lib.errors import UserError, quoted
from lib.selection import check_strategy
from lib.settings import Section, Train
from lib.students import BASE

# What a recipe may differ in from one without self-evaluation and still be its like.
OF_SELF_EVALUATION = {"evaluations", "self_eval_steps", "judge_sees"}


class Recipe(Section):
    """What can differ between arms. Anything not given is the base recipe: section `train` of params.yaml.

    rationales        how many of a question's rationales are learned from (with their labels)
    select            which ones: a strategy of lib/selection.py
    explain           False: their labels only, no rationale
    labels            "teacher" (P-label) | "gold" (H-label) | "majority" of the question's teacher_labels
    evaluations       self-evaluations of each chosen rationale learned in phase 1; 0: no phase 1
    judge_sees        "rationale" (as the reference) | "question and rationale"
    lam               weight λ of the rationale's (critique's) loss
    steps             optimiser steps of phase 2
    self_eval_steps   optimiser steps of phase 1
    steps_of          take as many steps in all as this arm takes in both phases
    tokens_of         take as many steps as spend the same non-padding tokens as this arm does in both phases
    student           which student learns: "base" (section `student`) or a name of section `students`
    scorer            by whose scores `select` chooses; not given: the student's own
    format            "multitask": `predict:` -> label, `explain:` -> rationale | "rationale then answer":
                      question -> "rationale --> label" (Fine-tune-CoT), and so it answers
    chain, round      refined rationales instead of the originals: which chain's (section slc.refine), of which round;
                      round 0 are the originals, whatever the chain
    """

    rationales: Annotated[int, Field(ge=1)] = 1
    select: str = "first"
    explain: bool = True
    labels: Literal["teacher", "gold", "majority"] = "teacher"
    evaluations: Annotated[int, Field(ge=0)] = 0
    judge_sees: Literal["rationale", "question and rationale"] = "rationale"
    lam: Annotated[float, Field(ge=0)]
    steps: Annotated[int, Field(ge=1)]
    self_eval_steps: Annotated[int, Field(ge=1)]
    steps_of: str | None = None
    tokens_of: str | None = None
    student: str = BASE
    scorer: str | None = None
    format: Literal["multitask", "rationale then answer"] = "multitask"
    chain: str = ""
    round: Annotated[int, Field(ge=0)] = 0

    @property
    def rationale_first(self) -> bool:
        """Whether the label is the end of the rationale; labels alone are learned the one way there is."""
        return self.explain and self.format == "rationale then answer"

    @property
    def scored_by(self) -> str:
        """The student whose scores choose."""
        return self.scorer or self.student


class Arm(Section):
    """A recipe with its name and the arms that it is compared with (`against`), which change nothing in training."""

    name: str
    recipe: Recipe
    against: tuple[str, ...] = ()


def make_arms(differences: dict[str, dict[str, Any]], train: Train, where: str = "train.arms") -> dict[str, Arm]:
    """Arms by name. A misspelt key, a wrong value or an unknown arm to match is refused by name."""
    arms = {name: _arm(name, difference, train, where) for name, difference in differences.items()}
    for arm in arms.values():
        recipe, against = arm.recipe, [("against", other) for other in arm.against]
        for key, other in (("steps_of", recipe.steps_of), ("tokens_of", recipe.tokens_of), *against):
            if other is not None and (other not in arms or other == arm.name):
                others = quoted(name for name in arms if name != arm.name)
                raise UserError(f"{where}: {arm.name!r}: {key}: no other arm {other!r}; arms: {others}")
        if recipe.steps_of and recipe.tokens_of:
            raise UserError(f"{where}: {arm.name!r}: give steps_of or tokens_of, not both")
        target = arms.get(recipe.steps_of or recipe.tokens_of or "")
        if target and (target.recipe.steps_of or target.recipe.tokens_of):
            raise UserError(
                f"{where}: {arm.name!r} is matched to {target.name!r}, which is itself matched to another arm"
            )
    return arms


def with_labels(arms: dict[str, Arm], labels: list[str]) -> dict[str, Arm]:
    """The arms with P-labels ("teacher") and, under the name "… (H)", with H-labels ("gold").

    An arm that fixes its labels (majority) appears once, unchanged.
    """
    fixed = {name for name, arm in arms.items() if arm.recipe.labels != "teacher"}
    result = {} if "teacher" not in labels else dict(arms)
    if "gold" in labels:
        result |= {f"{name} (H)": _with_gold(arm, fixed) for name, arm in arms.items() if name not in fixed}
        result |= {name: arms[name] for name in arms if name in fixed}
    return result


def counterparts(recipes: Mapping[str, Recipe]) -> dict[str, str]:
    """Arm with self-evaluation -> the first arm that learns the same without it, if there is one: {"w/ SE": "1 CoT"}.

    By what recipes come to, not by how they are written: {"rationales": 1} and {} are the same.
    """
    same = {arm: recipe.model_dump(exclude=OF_SELF_EVALUATION) for arm, recipe in recipes.items()}
    plain = [arm for arm, recipe in recipes.items() if recipe.explain and not recipe.evaluations]
    found = {arm: next((other for other in plain if same[other] == same[arm]), None) for arm in recipes}
    return {arm: other for arm, other in found.items() if recipes[arm].evaluations and other}


def _with_gold(arm: Arm, fixed: set[str]) -> Arm:
    """The arm with gold labels; the arms that it names become their H-label counterparts, where they have one."""
    recipe = arm.recipe
    named = (*arm.against, recipe.steps_of, recipe.tokens_of)
    counterpart = {name: name if name in fixed else f"{name} (H)" for name in named}
    matched = {key: counterpart[name] for key in ("steps_of", "tokens_of") if (name := getattr(recipe, key))}
    against = tuple(counterpart[name] for name in arm.against)
    return Arm(name=f"{arm.name} (H)", recipe=recipe.model_copy(update={"labels": "gold", **matched}), against=against)


def _arm(name: str, difference: dict[str, Any], train: Train, where: str) -> Arm:
    if not isinstance(difference, dict):
        raise UserError(f"{where}: {name!r}: expected keys and values, given {difference!r:.60}")
    if isinstance(difference.get("against"), str):
        difference = {**difference, "against": [difference["against"]]}
    base = {"lam": train.lam, "steps": train.steps, "self_eval_steps": train.self_eval_steps}
    given = {key: value for key, value in difference.items() if key != "against"}
    against = difference.get("against", [])
    try:
        arm = Arm(name=name, recipe=Recipe(**{**base, **given}), against=tuple(against))
        check_strategy(arm.recipe.select)
    except (ValidationError, TypeError) as error:
        raise UserError(f"{where}: {name!r}: {_explain(error, given)}") from None
    except UserError as error:
        raise UserError(f"{where}: {name!r}: select: {error}") from None
    if arm.recipe.evaluations and (reason := _without_evaluations(arm.recipe)):
        raise UserError(f"{where}: {name!r}: evaluations: {arm.recipe.evaluations}, but {reason}; allowed: 0")
    return arm


def _without_evaluations(recipe: Recipe) -> str | None:
    """Why there is no phase 1 for a recipe; None if there may be one."""
    if recipe.rationale_first:
        return "phase 1 has a label and a critique to learn, which takes format: multitask"
    return f"round {recipe.round}: refined rationales have no self-evaluations" if recipe.round else None


def _explain(error: Exception, given: dict) -> str:
    allowed = ", ".join([*Recipe.model_fields, "against"])
    if not isinstance(error, ValidationError):
        return f"{error}; allowed keys: {allowed}"
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return f"unknown key {key!r}; allowed: {allowed}"
    return f"{key}: {first['msg']} (given {first['input']!r:.60})"
