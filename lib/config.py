"""params.yaml as typed, immutable settings. An unknown key, a wrong type or a value out of range is refused.

cfg = load_config("params.yaml", stage="generate")
cfg.generate.rationales     # 5
cfg.train                   # refused: dvc.yaml does not declare `train` for stage `generate`
"""

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from lib import paths
from lib.composition import layers, overlay, read_yaml
from lib.errors import UserError

TaskName = Literal[
    "arithmetic", "coin_flip", "last_letter",
    "svamp", "single_eq", "add_sub", "multi_arith", "gsm8k", "aqua",
    "commonsense_qa", "strategy_qa", "anli_r1", "anli_r2", "anli_r3",
    "date_understanding", "tracking_shuffled_objects",
]  # fmt: skip
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
    source: Literal["generated", "published"]
    people: Annotated[int, Field(ge=1, le=8)]
    train: Count
    validation: Count
    test: Count
    seeds: Seeds


class LastLetter(Section):
    source: Literal["generated", "published"]
    words: Annotated[int, Field(ge=1, le=8)]
    train: Count
    validation: Count
    test: Count
    seeds: Seeds


class Tasks(Section):
    arithmetic: Arithmetic
    coin_flip: CoinFlip
    last_letter: LastLetter


def _can_be_resampled(limit: int) -> int:
    if limit < 2:
        raise ValueError("at least 2: the bootstrap cannot resample 1 question")
    return limit


Resampled = Annotated[int, AfterValidator(_can_be_resampled)]


class Limits(Section):
    train: Count | None
    validation: Resampled | None
    test: Resampled | None


class Data(Section):
    raw: Path | None
    revision: str | None
    validation_share: Annotated[float, Field(gt=0, lt=1)]
    limits: Limits


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


class OpenAITeacher(Section):
    model: str | None
    base_url: str | None
    api: Literal["chat", "completions"]
    key_variable: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    parameters: dict[str, Any]
    concurrency: Annotated[int, Field(ge=1, le=1000)]  # the client opens no more connections
    requests_per_minute: Count | None
    tokens_per_minute: Count | None
    timeout: Annotated[float, Field(gt=0)]
    attempts: Count
    poll: Annotated[float, Field(gt=0)]


class Price(Section):
    """Money for a million tokens; `batch`: the share of it that the Batch API charges."""

    prompt: Annotated[float, Field(ge=0)]
    completion: Annotated[float, Field(ge=0)]
    batch: Share = 1.0


class TeacherSettings(Section):
    kind: Literal["simulated", "recorded", "openai"]
    mode: Literal["live", "batch"]
    dry_run: bool
    budget: Annotated[float, Field(ge=0)] | None
    prices: dict[str, Price]
    unusable_retries: Annotated[int, Field(ge=0)]
    failed_calls: Literal["refuse", "accept"]
    simulated: SimulatedTeacher
    recorded: RecordedTeacher
    openai: OpenAITeacher


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
    task: TaskName
    tasks: Tasks
    data: Data
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

    A profile with `extends` is laid over the profile that it extends (lib/composition.py), and each is checked, so
    that an error names the file it is in. Raises UserError naming file, key, the value given and what is allowed.
    """
    config = checked(layers(Path(params_file), str(params_file)))
    return config if stage is None else StageConfig(config, stage, declared_params(stage))


def checked(stack: list[tuple[Path, str, Any]]) -> Config:
    """The settings that the layers of a params file give together (see `layers`), checked after each of them."""
    (_, where, values), *differences = stack
    config = parse_config(values, where)
    for _, where, difference in differences:
        overlay(values, difference, where)
        config = parse_config(values, where)
    return config


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
    stages = read_yaml(paths.ROOT / "dvc.yaml")["stages"]
    if stage not in stages:
        raise UserError(f"dvc.yaml: no stage {stage!r}; stages: {', '.join(stages)}")
    return [key for key in stages[stage].get("params", []) if isinstance(key, str)]


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
    model: Any = Config
    for part in loc[:-1]:
        # a mapping by names, such as the prices by model, has no fields: what its values are is its second argument
        model = model.model_fields[part].annotation if hasattr(model, "model_fields") else get_args(model)[1]
    return list(model.model_fields)
