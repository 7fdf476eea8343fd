"""A finished student with what is known of it: a run's folder, an exported checkpoint, or a bare Hugging Face folder.

    finished = open_checkpoint("data/04_train/runs/5f0c2b...")
    finished.student, finished.recipe["evaluations"], finished.task       # Student, 5, "arithmetic"

Beside the weights lies recipe.json (what the student learned, by which settings); a bare folder has none, and what it
learned is then taken to be `predict:` and `explain:`. Weights are read from safetensors only: nothing is unpickled.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from lib.errors import UserError, out_of_memory
from lib.settings import TaskName
from lib.student import Student, load_student
from lib.unfit import UNREADABLE, refuse_other_end, refuse_unfit

RECIPE = "recipe.json"
BARE = {"explain": True, "evaluations": 0, "judge_sees": "rationale"}
LABEL_TOKENS, RATIONALE_TOKENS = 32, 256  # written at most, where no recipe says so
# a recipe's name of a size, and what T5 and GPT-2 call it
SIZES = {
    "d_model": ("d_model", "n_embd"), "layers": ("num_layers", "n_layer"), "heads": ("num_heads", "n_head"),
    "d_ff": ("d_ff", "n_inner"), "architecture": ("model_type",),
}  # fmt: skip


@dataclass(frozen=True)
class Finished:
    """A student as it was left by training.

    said     all of recipe.json: recipe, labels, seed, student, train; {} of a bare folder
    task     the name of its task, if that can be told
    """

    student: Student
    folder: Path
    said: dict = field(default_factory=dict)
    task: str | None = None

    @property
    def recipe(self) -> dict:
        """What it learned, as `arms.Recipe` has it."""
        return self.said.get("recipe", BARE)

    @property
    def rationale_first(self) -> bool:
        """Whether it answers at its rationale's end."""
        return bool(self.recipe["explain"]) and self.recipe.get("format") == "rationale then answer"

    @property
    def limits(self) -> tuple[int, int]:
        """Tokens that it may write: of a label and of a rationale."""
        settings = self.said.get("student", {})
        return settings.get("max_label_tokens", LABEL_TOKENS), settings.get("max_target_tokens", RATIONALE_TOKENS)


def open_checkpoint(folder: Path | str, task: str | None = None) -> Finished:
    """Read a student and its recipe.

    task     the name of its task, where the folder does not say
    Raises UserError for a folder that is none of the three kinds, for weights in pickle files alone, for a recipe of
    another model, and for a tokenizer that does not fit the model; running out of memory is raised as it is.
    """
    folder = Path(folder).expanduser()
    own = folder / "student" if (folder / "student").is_dir() else folder
    if not (own / "config.json").is_file():
        raise UserError(f"{folder}: no student: expected config.json in it, or in its folder student/")
    if not list(own.glob("*.safetensors")):
        raise UserError(f"{own}: no weights in safetensors (*.safetensors); pickled ones (*.bin, *.pt) are not read")
    said = _recipe(folder / RECIPE)
    student = _loaded(own)
    refuse_unfit(student.model, student.tokenizer, str(own), "its tokenizer")
    settings = said.get("student", {})
    if not settings or settings.get("tokenizer") != settings.get("source"):
        refuse_other_end(student.model, student.tokenizer, str(own), "its tokenizer")
    _refuse_other_recipe(student, said, folder)
    return Finished(student, folder, said, task or _said_task(said, folder) or _task_of(folder))


def _said_task(said: dict, folder: Path) -> str | None:
    task, allowed = said.get("task"), get_args(TaskName)
    if task is not None and task not in allowed:
        raise UserError(f"{folder / RECIPE}: task is {task!r}; allowed: {', '.join(allowed)}")
    return task


def _loaded(folder: Path) -> Student:
    try:
        return load_student(folder)
    except UserError:
        raise
    except UNREADABLE as error:
        if out_of_memory(error):
            raise
        reason = " ".join(str(error).split())
        raise UserError(f"{folder}: cannot be loaded as a student ({reason:.160})") from None


def _recipe(path: Path) -> dict:
    if not path.is_file():
        return {}
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(said, dict) or not {"explain", "evaluations", "judge_sees"} <= set(said["recipe"]):
            raise KeyError
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: no recipe of a run; expected recipe.explain, .evaluations and .judge_sees") from None
    if not isinstance(said.get("student", {}), dict):
        raise UserError(f"{path}: student is {said['student']!r}; expected its settings by name")
    return said


def _refuse_other_recipe(student: Student, said: dict, folder: Path) -> None:
    """The recipe's sizes, of a student from scratch, must be the model's."""
    settings = said.get("student", {})
    if settings.get("source") != "scratch":
        return
    for key, names in SIZES.items():
        own = next((getattr(student.model.config, name) for name in names if hasattr(student.model.config, name)), None)
        if key in settings and own != settings[key]:
            raise UserError(
                f"{folder}: a checkpoint from another recipe: {RECIPE} says {key} {settings[key]}, config.json {own}"
            )


def _task_of(folder: Path) -> str | None:
    """The task whose test questions a run has answered, which their ids begin with; None without predictions."""
    path = folder / "predictions.jsonl"
    if not path.is_file():
        return None
    with path.open(encoding="utf-8") as file:
        line = file.readline()
    try:
        first = json.loads(line or "{}").get("question_id", "")
    except (ValueError, AttributeError):
        raise UserError(f"{path}: row 1 is no prediction ({line!r:.40}); train the run again") from None
    return max((name for name in get_args(TaskName) if first.startswith(f"{name}-")), key=len, default=None)
