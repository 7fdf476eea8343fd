"""What params.yaml may say: its sections as typed, immutable settings, in the order of the file.

lib/config.py reads the file; a value out of range, a wrong type or an unknown key is refused there.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

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
    architecture: Literal["t5", "gpt2"]
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


class Refine(Section):
    """Iterative refinement (PAPERS.md, PeCoTD §2.3); rounds: 0 leaves it out."""

    rounds: Annotated[int, Field(ge=0)]
    chains: Annotated[list[str], AfterValidator(_no_twice)]
    exemplars: Annotated[int, Field(ge=1)]
    questions: Count | None
    rationales: Count


class Slc(Section):
    warmup_steps: Annotated[int, Field(ge=0)]
    empty_share: Share
    precision: Literal["fp32", "bf16"]
    rd_target: Literal["gold", "majority", "own"]
    strategies: Annotated[list[str], Field(min_length=1), AfterValidator(_no_twice)]
    keep: Count
    similarity: str
    judged: Annotated[int, Field(ge=0)]
    refine: Refine


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
    keep: Literal["best", "last"]
    patience: Count | None
    precision: Literal["auto", "fp32", "bf16"]
    bucket: Count
    pass_tokens: Count | None
    checkpointing: bool
    compile: bool
    unfed: Literal["refuse", "skip"]
    headline: str
    workers: Annotated[int, Field(ge=0)]
    backend: Literal["joblib", "ray"]
    devices: Count
    arms: dict[str, dict[str, Any]]

    @field_validator("devices")
    @classmethod
    def _a_share_for_each(cls, devices: int, info: ValidationInfo) -> int:
        if devices > info.data.get("batch", devices):
            raise ValueError(f"at most train.batch, {info.data['batch']}: each takes an example of a step at least")
        return devices


class Infer(Section):
    """Sampled rationales of test questions, which the student judges itself; samples: 0 leaves them out."""

    samples: Annotated[int, Field(ge=0)]
    temperature: Annotated[float, Field(gt=0, le=2)]
    top_p: Annotated[float, Field(gt=0, le=1)]


class Finding(Section):
    """A figure and a table in 05: accuracy of the named arms against one key of their recipes, a line for each `by`."""

    x: str
    by: str | None = None
    arms: Annotated[list[str], Field(min_length=2), AfterValidator(_no_twice)]


class Cases(Section):
    """Case studies in 05: `count` questions each where the rationale of one arm goes wrong and the other's does not."""

    baseline: str
    method: str | None  # None: train.headline
    count: Annotated[int, Field(ge=0)]
    seed: int


class Ablate(Section):
    bootstrap: Count
    alpha: Annotated[float, Field(gt=0, lt=1)]
    findings: dict[str, Finding]
    alike: list[str]
    cases: Cases


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
    students: dict[str, dict[str, Any]]
    slc: Slc
    train: Train
    infer: Infer
    ablate: Ablate
    figures: Figures
