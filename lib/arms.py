"""An arm is a named difference from the base recipe; a run is an arm with its labels, its seed and its data.

train.arms in params.yaml, ARMS in 05_ablate:

"5 CoTs":          {"rationales": 5}
"standard":        {"explain": False}
"5 CoTs, easiest": {"rationales": 5, "select": "rd_low", "against": ["5 CoTs"]}
"""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from lib.errors import UserError
from lib.selection import STRATEGIES
from lib.settings import Section, Train


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


class Arm(Section):
    """A recipe with its name and the arms that it is compared with (`against`), which change nothing in training."""

    name: str
    recipe: Recipe
    against: tuple[str, ...] = ()


def make_arms(differences: dict[str, dict[str, Any]], train: Train, where: str = "train.arms") -> dict[str, Arm]:
    """Arms by name. A misspelt key, a wrong value or an unknown arm to match is refused by name."""
    arms = {name: _arm(name, difference, train, where) for name, difference in differences.items()}
    for arm in arms.values():
        for other in (arm.recipe.steps_of, arm.recipe.tokens_of, *arm.against):
            if other is not None and (other not in arms or other == arm.name):
                raise UserError(f"{where}: {arm.name!r}: no other arm {other!r}; arms: {', '.join(arms)}")
        if arm.recipe.steps_of and arm.recipe.tokens_of:
            raise UserError(f"{where}: {arm.name!r}: give steps_of or tokens_of, not both")
        target = arms.get(arm.recipe.steps_of or arm.recipe.tokens_of or "")
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
    if "select" in difference and difference["select"] not in STRATEGIES:
        raise UserError(f"{where}: {name!r}: no strategy {difference['select']!r}; strategies: {', '.join(STRATEGIES)}")
    base = {"lam": train.lam, "steps": train.steps, "self_eval_steps": train.self_eval_steps}
    given = {key: value for key, value in difference.items() if key != "against"}
    against = difference.get("against", [])
    try:
        return Arm(name=name, recipe=Recipe(**{**base, **given}), against=tuple(against))
    except (ValidationError, TypeError) as error:
        raise UserError(f"{where}: {name!r}: {_explain(error, given)}") from None


def _explain(error: Exception, given: dict) -> str:
    allowed = ", ".join([*Recipe.model_fields, "against"])
    if not isinstance(error, ValidationError):
        return f"{error}; allowed keys: {allowed}"
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return f"unknown key {key!r}; allowed: {allowed}"
    return f"{key}: {first['msg']} (given {first['input']!r:.60})"
