"""params.yaml as typed, immutable settings. An unknown key, a wrong type or a value out of range is refused.

cfg = load_config("params.yaml", stage="generate")
cfg.generate.rationales     # 5
cfg.train                   # refused: dvc.yaml does not declare `train` for stage `generate`
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from lib import paths
from lib.errors import UserError

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


def _no_twice(values: list) -> list:
    if len(set(values)) < len(values):
        raise ValueError("nothing may stand twice")
    return values


class Section(BaseModel):
    """A group of settings: immutable, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Seeds(Section):
    train: int
    validation: int
    test: int


class Arithmetic(Section):
    operations: Literal[1, 2]
    stories: Count
    largest: Annotated[int, Field(ge=12, le=60)]
    distractors: Literal["unrelated", "similar", "both"]
    train: Count
    validation: Count
    test: Count
    seeds: Seeds


class CoinFlip(Section):
    people: Annotated[int, Field(ge=1, le=8)]
    train: Count
    validation: Count
    test: Count
    seeds: Seeds


class LastLetter(Section):
    words: Annotated[int, Field(ge=1, le=8)]
    train: Count
    validation: Count
    test: Count
    seeds: Seeds


class Svamp(Section):
    path: Path | None
    test_share: Annotated[float, Field(gt=0, lt=1)]
    validation_share: Annotated[float, Field(gt=0, lt=1)]


class Tasks(Section):
    arithmetic: Arithmetic
    coin_flip: CoinFlip
    last_letter: LastLetter
    svamp: Svamp


class SimulatedTeacher(Section):
    seed: int
    styles: Annotated[int, Field(ge=1, le=4)]
    flaw_rate: Share
    flaw_correlation: Share
    verdict_reliability: Share
    uncertain_rate: Share
    imitation: bool


class RecordedTeacher(Section):
    path: Path | None


class TeacherSettings(Section):
    kind: Literal["simulated", "recorded"]
    simulated: SimulatedTeacher
    recorded: RecordedTeacher


class Sampling(Section):
    exemplars: Annotated[int, Field(ge=0, le=5)]
    temperature: Annotated[float, Field(ge=0, le=2)]
    max_tokens: Count


class Generate(Sampling):
    rationales: Count


class SelfEval(Sampling):
    evaluations: Annotated[int, Field(ge=0)]


class Student(Section):
    source: str
    tokenizer: str
    d_model: Count
    d_ff: Count
    layers: Count
    heads: Count
    dropout: Share
    max_source_tokens: Count
    max_target_tokens: Count
    max_label_tokens: Count
    max_truncated_share: Share


class Slc(Section):
    warmup_steps: Annotated[int, Field(ge=0)]
    empty_share: Share
    rd_target: Literal["gold", "majority", "own"]
    strategies: Annotated[list[str], Field(min_length=1), AfterValidator(_no_twice)]
    keep: Count


class Train(Section):
    labels: Annotated[list[Literal["teacher", "gold"]], Field(min_length=1), AfterValidator(_no_twice)]
    seeds: Annotated[list[int], Field(min_length=1), AfterValidator(_no_twice)]
    lam: Annotated[float, Field(ge=0)]
    reduction: Literal["examples", "tokens"]
    steps: Count
    self_eval_steps: Count
    batch: Count
    learning_rate: Annotated[float, Field(gt=0)]
    warmup_steps: Annotated[int, Field(ge=0)]
    validations: Count
    optimizer: Literal["adafactor", "adamw"]
    unfed: Literal["refuse", "skip"]
    headline: str
    workers: Annotated[int, Field(ge=0)]
    arms: dict[str, dict[str, Any]]


class Ablate(Section):
    bootstrap: Count
    alpha: Annotated[float, Field(gt=0, lt=1)]


class Figures(Section):
    context: Literal["paper", "notebook", "talk"]
    palette: str


class Config(Section):
    """All of params.yaml."""

    profile: str
    task: Literal["arithmetic", "coin_flip", "last_letter", "svamp"]
    tasks: Tasks
    teacher: TeacherSettings
    generate: Generate
    self_eval: SelfEval
    student: Student
    slc: Slc
    train: Train
    ablate: Ablate
    figures: Figures


class StageConfig:
    """The sections of params.yaml that dvc.yaml declares for one stage; any other is refused."""

    def __init__(self, config: Config, stage: str, declared: list[str]):
        self._config, self._stage, self._declared = config, stage, declared

    def __getattr__(self, section: str):
        if section in self._declared:
            return getattr(self._config, section)
        raise AttributeError(
            f"section {section!r} is not declared for stage {self._stage!r}; "
            f"add it to the stage's params in dvc.yaml (declared: {', '.join(self._declared)})"
        )


def load_config(params_file: Path | str = paths.PARAMS, stage: str | None = None) -> Config | StageConfig:
    """Read and check a params file; with `stage`, expose only what that stage declares in dvc.yaml.

    Raises UserError naming file, key, the value given and what is allowed.
    """
    path = Path(params_file)
    config = parse_config(_read_yaml(path), str(params_file))
    return config if stage is None else StageConfig(config, stage, declared_params(stage))


def parse_config(values: Any, where: str) -> Config:
    """A mapping as settings; `where` is named in errors."""
    if not isinstance(values, dict):
        raise UserError(f"{where}: expected a mapping of sections, given {values!r:.60}")
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise UserError("; ".join(_explain(where, e) for e in error.errors()[:3])) from None


def declared_params(stage: str) -> list[str]:
    """The params.yaml sections that dvc.yaml declares for a stage."""
    stages = _read_yaml(paths.ROOT / "dvc.yaml")["stages"]
    if stage not in stages:
        raise UserError(f"dvc.yaml: no stage {stage!r}; stages: {', '.join(stages)}")
    return [key for key in stages[stage].get("params", []) if isinstance(key, str)]


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _EachKeyOnce)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as text: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise UserError(f"{path}{line}: not valid YAML: {getattr(error, 'problem', error)}") from None


class _EachKeyOnce(yaml.SafeLoader):
    """YAML as usual, but a key that stands twice in a mapping is an error: the last would silently win."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _explain(where: str, error: dict) -> str:
    """One pydantic error as one line in the user's terms."""
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{where}: {key}: unknown key; allowed: {', '.join(_siblings(error['loc']))}"
    if error["type"] == "missing":
        return f"{where}: {key}: missing"
    return f"{where}: {key}: {error['msg']} (given {error['input']!r:.60})"


def _siblings(loc: tuple) -> list[str]:
    """The keys allowed beside an unknown one."""
    model = Config
    for part in loc[:-1]:
        model = model.model_fields[part].annotation
    return list(model.model_fields)
