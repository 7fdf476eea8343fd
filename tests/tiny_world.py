"""A world small enough to train in: eight questions, their rationales and evaluations, a student of a few weights.

Task svamp, because its verifier reads any text. Each train question has three rationales, the last of them wrong,
with two self-evaluations each; the questions held out have one rationale and one self-evaluation.
"""

from typing import Any

from lib.arms import make_arms
from lib.material import Data
from lib.planning import Run, plan_runs
from lib.records import Evaluation, Question, Rationale
from lib.settings import Student as StudentSettings
from lib.settings import Train
from lib.tasks import get_task

STUDENT = StudentSettings(
    source="scratch",
    architecture="t5",
    tokenizer="words",
    d_model=16,
    d_ff=32,
    layers=1,
    heads=2,
    dropout=0.1,
    max_source_tokens=64,
    max_target_tokens=32,
    max_label_tokens=8,
    max_truncated_share=0.0,
)
TRAIN = Train(
    labels=["teacher"],
    seeds=[0],
    lam=0.5,
    reduction="examples",
    steps=4,
    self_eval_steps=3,
    batch=4,
    learning_rate=0.02,
    warmup_steps=1,
    validations=2,
    optimizer="adafactor",
    keep="best",
    patience=None,
    precision="auto",
    bucket=50,
    pass_tokens=None,
    checkpointing=False,
    compile=False,
    unfed="refuse",
    headline="standard",
    workers=1,
    backend="joblib",
    devices=1,
    arms={},
)
NAMES = {"train": ("Ann", "Bob", "Cat", "Dan"), "validation": ("Eve", "Fay"), "test": ("Gus", "Hal")}


def question(split: str, i: int) -> Question:
    a, b = 10 + i, 2 + i
    text = f"{NAMES[split][i]} has {a} pens and buys {b} more. How many pens are there now?"
    return Question(question_id=f"{split}-{i}", task="svamp", split=split, text=text, gold_label=f"({a} + {b})")


def rationale(of: Question, sample: int) -> Rationale:
    """Samples 0 and 1 are right in two wordings; sample 2 subtracts."""
    i = int(of.question_id[-1])
    a, b = 10 + i, 2 + i
    reasoning = (
        f"There were {a} pens. {a} + {b} = {a + b}.",
        f"With {b} more there are {b} + {a} = {a + b} pens.",
        f"{b} pens are gone. {a} - {b} = {a - b}.",
    )[sample]
    label = (f"({a} + {b})", f"({b} + {a})", f"({a} - {b})")[sample]
    return Rationale(
        question_id=of.question_id,
        sample=sample,
        split=of.split,
        text=f"{of.text.split()[0]}: {reasoning} The answer is {label}.",
        reasoning=reasoning,
        teacher_label=label,
        how="answer sentence",
        correct=sample < 2,
        wrong_steps=() if sample < 2 else (0,),
    )


def evaluation(of: Rationale, sample: int) -> Evaluation:
    right, name = of.sample < 2, of.text.split(":")[0]
    return Evaluation(
        question_id=of.question_id,
        rationale_sample=of.sample,
        sample=sample,
        split=of.split,
        verdict="correct" if right else "wrong",
        critique=f"{name}: every step of {of.teacher_label} follows." if right else f"{name}: nothing is gone.",
    )


def data(samples: int = 3, evaluations: int = 2) -> Data:
    """The whole world, or one with fewer rationales a train question and fewer self-evaluations a rationale."""
    questions = [question(split, i) for split, names in NAMES.items() for i in range(len(names))]
    count = {"train": samples, "validation": 1, "test": 1}
    rationales = [rationale(q, sample) for q in questions for sample in range(count[q.split])]
    judged = [evaluation(r, k) for r in rationales for k in range(evaluations if r.split == "train" else 1)]
    return Data(get_task("svamp"), {q.question_id: q for q in questions}, rationales, judged if evaluations else [])


def runs(
    arms: dict[str, dict[str, Any]],
    given: Data | None = None,
    train: Train = TRAIN,
    students: dict[str, StudentSettings] | None = None,
    **changes,
) -> list[Run]:
    """The runs of some arms in this world; `changes` are settings of section `train`."""
    train = train.model_copy(update=changes)
    planned, _ = plan_runs(make_arms(arms, train), given or data(), train, students or {"base": STUDENT})
    return planned
