"""The README of an exported student: data, teacher, recipe, what it reached, what it is for and what not.

    text = model_card(finished, run_folder, teacher=["Simulated teacher: ..."])

Every number is computed from what the run left behind: predictions.jsonl and judgements.jsonl, with Wilson's 95%
intervals over test questions. They are of this one student; the spread over seeds stands in the project's reports.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from lib.checkpoint import RECIPE, Finished
from lib.errors import UserError
from lib.evaluate import auc_interval, calibration
from lib.records import read_jsonl
from lib.statistics import wilson
from lib.student import parameters
from lib.tasks import get_task

DASH = "–"
SIMULATED = "Simulated teacher"  # how lib/teacher describes one
UNKNOWN_TEACHER = "Its teacher is not known."
HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


def model_card(finished: Finished, run: Path, teacher: Sequence[str] = ()) -> str:
    """Markdown with the hub's metadata above it.

    run       the run's folder, for its predictions and judgements
    teacher   what 01_generate notes about the teacher; none: not known here
    Raises UserError where the run has no predictions.
    """
    predictions = _rows(run / "predictions.jsonl")
    if not predictions:
        raise UserError(f"{run / 'predictions.jsonl'}: no predictions; a student is exported with what it reached")
    name = f"{finished.task or 'reasoning'}-{run.name[:8]}"
    parts = [
        _metadata(finished, name, predictions, teacher),
        f"# {name}\n\n{_what(finished)}",
        "## Data and teacher\n\n" + _data(finished, teacher),
        "## Recipe\n\n" + _recipe(finished),
        "## What it reached\n\n" + _reached(predictions, _rows(run / "judgements.jsonl")),
        "## Use\n\n" + _use(finished),
        "## Intended use and limits\n\n" + _limits(finished, teacher),
    ]
    return "\n\n".join(parts) + "\n"


def measures(predictions: Sequence[dict], judgements: Sequence[dict]) -> list[tuple[str, int, int]]:
    """(what, how many of, how many) of one student.

    measures([{"correct": True}, {"correct": False}], [])       # [("answers right", 1, 2)]
    """
    found = [("answers right", [p["correct"] for p in predictions])]
    explained = [p for p in predictions if "rationale" in p]
    found.append(("rationales whose answer is right", [p["rationale_correct"] for p in explained]))
    found.append(("rationales without an answer", [p["rationale_label"] is None for p in explained]))
    checked = [p for p in explained if p["wrong_steps"] is not None]
    found.append(("rationales with a step that the verifier refutes", [bool(p["wrong_steps"]) for p in checked]))
    for phase in dict.fromkeys(row["phase"] for row in judgements):
        own = [row for row in judgements if row["phase"] == phase]
        both = [row for row in own if row["teacher_verdict"] is not None]
        agreed = [row["student_verdict"] == row["teacher_verdict"] for row in both]
        found.append((f"verdicts as the teacher's, {phase}", agreed))
        known = [row for row in own if row["sound"] is not None]
        found.append((f"verdicts right, {phase}", [(r["student_verdict"] == "correct") == r["sound"] for r in known]))
    return [(name, sum(flags), len(flags)) for name, flags in found if flags]


def _metadata(finished: Finished, name: str, predictions: Sequence[dict], teacher: Sequence[str]) -> str:
    """What the hub reads: YAML between two lines of dashes. What is not known is left out."""
    kind = "text-generation" if finished.student.decoder_only else "text2text-generation"
    accuracy = sum(p["correct"] for p in predictions) / len(predictions)
    result = {
        "task": {"type": kind},
        "dataset": {"name": finished.task or "unknown", "type": _data_set(finished), "split": "test"},
        "metrics": [{"type": "accuracy", "value": round(accuracy, 4)}],
    }
    said = {
        "library_name": "transformers", "pipeline_tag": kind, **_known(finished, teacher),
        "tags": ["distillation", "chain-of-thought", "self-evaluation"],
        "model-index": [{"name": name, "results": [result]}],
    }  # fmt: skip
    return f"---\n{yaml.safe_dump(said, sort_keys=False).strip()}\n---"


def _known(finished: Finished, teacher: Sequence[str]) -> dict:
    """Of licence, language and base model those that follow from what the student was made of.

    The project's own licence holds where all of it is the project's: questions, teacher and weights. Otherwise it is
    for whoever exports to choose, by those of the data, the teacher's service and the base model.
    """
    source = finished.said.get("student", {}).get("source")
    task = get_task(finished.task) if finished.task else None
    own = source == "scratch" and task and task.data_set is None and any(SIMULATED in line for line in teacher)
    known = {"license": "apache-2.0"} if own else {}
    known |= {"language": ["en"]} if task else {}  # all tasks there are
    if source not in (None, "scratch") and HUB_NAME.fullmatch(source) and not Path(source).exists():
        known["base_model"] = source
    return known


def _data_set(finished: Finished) -> str:
    """The hub's name of the test questions' data set, or else the task's."""
    task = get_task(finished.task) if finished.task else None
    hub = task.data_set.hub if task and task.data_set and task.generate is None else None
    return hub.id if hub else finished.task or "unknown"


def _what(finished: Finished) -> str:
    student = finished.student
    kind = "decoder-only" if student.decoder_only else "encoder-decoder"
    learned = ["answers questions"]
    learned += ["writes a rationale"] if finished.recipe["explain"] else []
    learned += ["judges rationales"] if finished.recipe["evaluations"] else []
    return (
        f"A {student.model.config.model_type} student ({kind}, {parameters(student):,} weights) into which a language "
        f"model's reasoning was distilled. It {', '.join(learned)}."
    )


def _data(finished: Finished, teacher: Sequence[str]) -> str:
    if finished.task is None:
        return "\n".join(f"- {line}" for line in ["Its task is not known.", *(teacher or [UNKNOWN_TEACHER])])
    task = get_task(finished.task)
    if task.data_set is None or task.generate is not None:
        source = "questions generated by the project, unless its settings took the published ones"
    else:
        hub = f", https://huggingface.co/datasets/{task.data_set.hub.id}" if task.data_set.hub else ""
        source = f"published questions (licence: {task.data_set.licence}{hub})"
    label = {"gold": "human labels", "majority": "the majority of the teacher's answers"}
    label |= {"teacher": "the teacher's answers"}
    learned = label.get(finished.said.get("labels"), "not known")
    lines = [f"Task `{task.name}`: {source}. Learned labels: {learned}.", *(teacher or [UNKNOWN_TEACHER])]
    return "\n".join(f"- {line}" for line in lines if line)


def _recipe(finished: Finished) -> str:
    """Every setting of recipe.json that this student used, a row each."""
    rows = [(f"{part}.{key}", value) for part, own in finished.said.items() if isinstance(own, dict)
            for key, value in sorted(own.items()) if value is not None]  # fmt: skip
    rows += [("seed", finished.said["seed"])] if "seed" in finished.said else []
    rows = [row for row in rows if row[0] not in _unused(finished)]
    return "\n".join([f"As in `{RECIPE}`:", "", "| setting | value |", "| :--- | :--- |",
                      *(f"| {key} | {value} |" for key, value in rows)])  # fmt: skip


def _unused(finished: Finished) -> set[str]:
    """Settings of what this student did not learn: verdicts, or a label and a rationale whose losses are weighed."""
    judges, both = finished.recipe["evaluations"], finished.recipe["explain"] and not finished.rationale_first
    unused = set() if judges else {"recipe.self_eval_steps", "recipe.judge_sees"}
    return unused | (set() if both else {"recipe.lam"})


def _reached(predictions: Sequence[dict], judgements: Sequence[dict]) -> str:
    head = ["| of this student, on test questions | share | 95% interval | n |", "| :--- | ---: | ---: | ---: |"]
    rows = []
    for name, count, n in measures(predictions, judgements):
        low, high = wilson(count, n)
        rows.append(f"| {name} | {count / n:.1%} | {low:.1%} to {high:.1%} | {n} |")
    rows += _beliefs(judgements)
    note = (
        "Intervals over questions (Wilson's; AUROC's by resampling) leave out how much students of other seeds differ."
    )
    return "\n".join([*head, *rows, "", note])


def _beliefs(judgements: Sequence[dict]) -> list[str]:
    """AUROC and expected calibration error of P(correct), a row each and phase; none of what has no truth."""
    rows = []
    for phase in dict.fromkeys(row["phase"] for row in judgements):
        own = [row for row in judgements if row["phase"] == phase and row["sound"] is not None]
        p, sound = [row["p_correct"] for row in own], [row["sound"] for row in own]
        if len(set(sound)) == 2:  # of one kind alone nothing can be told apart
            area = auc_interval(p, sound, [row["rationale_id"].rpartition("/")[0] for row in own])
            between = f"{area.low:.2f} to {area.high:.2f}"
            rows.append(f"| AUROC of P(correct), {phase} (.5: chance) | {area.value:.2f} | {between} | {len(own)} |")
        if own:
            ece = calibration(p, sound).ece
            rows.append(f"| calibration error (ECE) of P(correct), {phase} | {ece:.2f} | {DASH} | {len(own)} |")
    return rows


def _use(finished: Finished) -> str:
    fields = ["answer"] + ["rationale"] * bool(finished.recipe["explain"])
    fields += ["p_correct"] if finished.recipe["evaluations"] else []
    said = "from lib.ask import Reasoner  # of the project's repository\n"
    said += 'said = Reasoner.load("<this folder>").ask("<question>")\n'
    said += ", ".join(f"said.{field}" for field in fields)
    return f"```python\n{said}\n```\n\nWith `transformers` alone:\n\n```python\n{pipeline_example(finished)}\n```"


def pipeline_example(finished: Finished) -> str:
    """Python that answers a question by `transformers.pipeline`; `folder` and `question` are given."""
    asked = 'f"{question} ###"' if finished.rationale_first else 'f"predict: {question}"'
    call = 'from transformers import pipeline\n\npipe = pipeline("text-generation", model=folder)\n'
    if finished.student.decoder_only:
        prompt = asked if finished.rationale_first else 'f"predict: {question} ###"'
        return call + f'answer = pipe({prompt}, return_full_text=False)[0]["generated_text"]'
    asked = "question" if finished.rationale_first else asked
    # transformers 5 has no pipeline of its own for encoder-decoders; as tokens it returns all that they write
    return call + (
        f'ids = pipe({asked}, return_tensors=True)[0]["generated_token_ids"]\n'
        "answer = pipe.tokenizer.decode(ids, skip_special_tokens=True)"
    )


def _limits(finished: Finished, teacher: Sequence[str]) -> str:
    lines = [
        "Made to study how reasoning is distilled, not to be relied on: it knows what its training questions show."
    ]
    if finished.recipe["explain"]:
        lines.append("Its rationales may state false steps and still end in the right answer; a rationale is no proof.")
    if finished.recipe["evaluations"]:
        lines.append("Its P(correct) tells no more than its AUROC and ECE above; without these it was not measured.")
    lines += [
        "Questions unlike those of its task, in other words or of more steps, are outside of what was measured.",
    ]
    if any(SIMULATED in line for line in teacher):
        lines.append("Its teacher was simulated, with planted errors: nothing about real teachers follows.")
    return "\n".join(f"- {line}" for line in lines)


def _rows(path: Path) -> list[dict]:
    return read_jsonl(path) if path.is_file() else []
