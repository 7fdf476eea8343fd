"""How fast is a student trained? As a ratio to the reference's way, interleaved in one run, on real text.

    python benchmarks/training.py            # fp32, bf16, five rationales a question, the default student; a table
    python benchmarks/training.py --check    # the same; exit status 1 where a bound is missed (make bench)

Both ways take the same number of steps of 16 examples with the multi-task loss, checkpoint included:

plain    the Hugging Face Trainer as it comes (its optimizer, random batches, fp32) with the reference's loss: the model
         is called twice, for labels and for rationales, each padded to the longest of the batch
ours     lib/training.py with its settings as in params/default.yaml; AdamW for a large student, as the profiles set it

large    T5 of random weights (d_model 256, 4 layers, the published T5 tokenizer), gpt-3.5's and PaLM's rationales of
         SVAMP questions: one a question, and five (short of different ones they come again)
small    the default profile's student and text: one process, and two at once

The text lies outside the repository: --data or the variable REAL_DATA name its folder.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

import torch  # noqa: E402
import transformers  # noqa: E402
from transformers import PrinterCallback, Trainer, TrainingArguments  # noqa: E402

from benchmarks.scoring import CLOCKS, Rows, missed, random_student  # noqa: E402
from lib.config import load_config  # noqa: E402
from lib.encoding import Encoded, collator, encode, padded  # noqa: E402
from lib.examples import Example  # noqa: E402
from lib.forward import batch_loss  # noqa: E402
from lib.sampling import sample_rationales  # noqa: E402
from lib.student import Student, new_student  # noqa: E402
from lib.tasks import get_task, load_splits  # noqa: E402
from lib.teacher import open_teacher  # noqa: E402
from lib.teacher.store import Store  # noqa: E402
from lib.training import Plan, fit  # noqa: E402

FILES = ("svamp.gpt35.3cot.jsonl", "svamp.palm.1cot.jsonl")
BATCH, LAM, RATE, QUESTIONS = 16, 0.5, 5e-5, 400
Way = Callable[[Student, list[Encoded], Plan, Path], object]
# What --check holds these to: measure -> (least, most).
BOUNDS = {
    "fp32, ours : plain": (2.5, None),
    "bf16, ours : plain": (3.0, None),
    "five a question, ours : plain": (2.2, None),
    "small, ours : plain": (1.3, None),
    "small, two processes : one": (1.8, None),
    "furthest loss of fp32 (nats)": (None, 1e-5),
}


# -- what is learned from --------------------------------------------------------------------------


def real_examples(data: Path, questions: int, rationales: int) -> list[Example]:
    """As many rationales of each of the first questions, all that there are and then again from the first."""
    found: dict[str, list[dict]] = {}
    for name in FILES:
        for line in filter(None, (data / "teacher" / name).read_text(encoding="utf-8").split("\n")):
            row = json.loads(line)
            row["response"] = row["response"].split("\nQ:")[0].strip()  # PaLM goes on with questions of its own
            if row["split"] == "train" and (name == FILES[0] or row["question"] in found):
                found.setdefault(row["question"], []).append(row)
    return [
        Example(f"{i}/{k}", row["question"], row["gold_label"], row["response"])
        for i, rows in enumerate(islice(found.values(), questions))
        for k, row in enumerate(islice(cycle(rows), rationales))
    ]


def default_examples(questions: int) -> list[Example]:
    """One rationale of the simulated teacher for each of the default profile's first training questions."""
    config = load_config(ROOT / "params/default.yaml")
    task = get_task(config.task)
    asked = load_splits(config.task, config.tasks, config.data).of("train")[:questions]
    settings = config.generate.model_copy(update={"rationales": 1})
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "store.jsonl") as store:
        rows = sample_rationales(asked, task, open_teacher(config.teacher), store, settings).rows
    texts = {question.question_id: question.text for question in asked}
    return [Example(row.id, texts[row.question_id], row.teacher_label, row.text) for row in rows]


def default_student(examples: Sequence[Example]) -> Student:
    texts = [text for example in examples for pair in example.pairs() for text in pair]
    return new_student(load_config(ROOT / "params/default.yaml").student, texts, seed=0)


# -- the two ways ----------------------------------------------------------------------------------


class TwoPasses(Trainer):
    """The reference's loss: mean over a batch's label tokens, and λ times that over its rationale tokens."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        return two_passes(model, inputs)


def two_passes(model, inputs: dict) -> torch.Tensor:
    label, rationale = (model(**inputs[name]).loss for name in ("predict", "explain"))
    return label + LAM * rationale


def padded_pairs(encoded: Sequence[Encoded], pad: int) -> dict:
    """Each task's batch as the model takes it, padded to its longest."""
    made = {}
    for place, name in enumerate(("predict", "explain")):
        sources = padded([e.pairs[place][0] for e in encoded], pad)
        labels = padded([e.pairs[place][1] for e in encoded], -100)
        made[name] = {"input_ids": sources, "attention_mask": (sources != pad).long(), "labels": labels}
    return made


def plain(student: Student, encoded: list[Encoded], plan: Plan, folder: Path) -> None:
    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=plan.steps, per_device_train_batch_size=plan.batch, learning_rate=RATE,
        report_to=[], disable_tqdm=True, remove_unused_columns=False, use_cpu=True, dataloader_pin_memory=False,
    )  # fmt: skip
    pad = student.tokenizer.pad_token_id
    trainer = TwoPasses(student.model, arguments, lambda rows: padded_pairs(rows, pad), encoded)
    trainer.remove_callback(PrinterCallback)
    trainer.train()


def ours(student: Student, encoded: list[Encoded], plan: Plan, folder: Path) -> None:
    fit(student, encoded, plan, folder)


def large_plan(steps: int, **changes) -> Plan:
    return Plan(steps, BATCH, RATE, 0, "adamw", LAM, **changes)


def small_plan(steps: int) -> Plan:
    train = load_config(ROOT / "params/default.yaml").train
    return Plan(steps, train.batch, train.learning_rate, train.warmup_steps, train.optimizer, train.lam)


# -- measures --------------------------------------------------------------------------------------


def compare(student: Student, ways: dict[str, tuple], rounds: int, clock: Callable[[], float]) -> Rows:
    """Examples a second of each way, and the ratio of each to the first, from the same weights each time.

    ways   name -> (a way, its examples, its plan)
    """
    first = {name: value.clone() for name, value in student.model.state_dict().items()}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds):
        # each time the other way round, so that none always comes first
        for name in list(ways)[:: -1 if turn % 2 else 1]:
            student.model.load_state_dict(first)
            seconds[name].append(timed(student, *ways[name], clock))
    student.model.load_state_dict(first)
    reference, *others = ways
    rows = {f"{n} (examples/s)": ways[n][2].steps * ways[n][2].batch / statistics.median(s) for n, s in seconds.items()}
    for name in others:
        ratios = sorted(theirs / mine for theirs, mine in zip(seconds[reference], seconds[name]))
        rows[f"{name}, ours : plain"] = statistics.median(ratios)
        rows |= {f"  lowest of {name}": ratios[0], f"  highest of {name}": ratios[-1]}
    return rows


def timed(student: Student, way: Way, encoded: list[Encoded], plan: Plan, clock: Callable[[], float]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        begun = clock()
        way(student, encoded, plan, Path(folder))
        return clock() - begun


def large(data: Path, steps: int, rounds: int, clock: Callable[[], float]) -> Rows:
    student = random_student(data)
    one, five = (encode(student.tokenizer, real_examples(data, QUESTIONS, k)) for k in (1, 5))
    exact = large_plan(steps)
    ways = {
        "plain": (plain, one, exact),
        "fp32": (ours, one, exact),
        "bf16": (ours, one, large_plan(steps, precision="bf16")),
        "random batches": (ours, one, large_plan(steps, bucket=1)),
        "random batches in passes": (ours, one, large_plan(steps, bucket=1, pass_tokens=1024)),
    }
    rows = furthest(student, one) | compare(student, ways, rounds, clock)
    ways = {"plain, five a question": (plain, five, exact), "five a question": (ours, five, exact)}
    return rows | compare(student, ways, rounds, clock)


def furthest(student: Student, encoded: list[Encoded], batches: int = 3) -> Rows:
    """How far both ways' losses of the same batches lie apart, with the same reduction and without dropout."""
    student.model.eval()
    apart = {"fp32": [], "bf16": []}
    for first in range(0, batches * BATCH, BATCH):
        rows = encoded[first : first + BATCH]
        with torch.no_grad():
            exact = two_passes(student.model, padded_pairs(rows, student.tokenizer.pad_token_id)).item()
            for name, kept in apart.items():
                with torch.autocast("cpu", torch.bfloat16, enabled=name == "bf16"):
                    loss = batch_loss(student.model, collator(student)(rows), LAM, "tokens")
                kept.append(abs(loss.item() - exact))
    return {f"furthest loss of {name} (nats)": max(kept) for name, kept in apart.items()}


def small(steps: int, rounds: int, clock: Callable[[], float]) -> Rows:
    """The default student by both ways in this process, with one thread, as its runs have."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    examples = default_examples(QUESTIONS)
    student = default_student(examples)
    encoded = encode(student.tokenizer, examples)
    ways = {"plain, small": (plain, encoded, small_plan(steps)), "small": (ours, encoded, small_plan(steps))}
    rows = compare(student, ways, rounds, clock)
    torch.set_num_threads(threads)
    return rows


def two_processes(steps: int, rounds: int) -> Rows:
    """How many times as many steps two processes make as one, in the same wall-clock time; 2 where none disturbs."""
    ratios = []
    for _ in range(rounds):
        [alone] = side_by_side(steps, 1)
        ratios.append(2 * alone / max(side_by_side(steps, 2)))
    return {"small, two processes : one": statistics.median(ratios)}


def side_by_side(steps: int, count: int) -> list[float]:
    """Seconds of each of so many processes that begin to train at the same time."""
    command = [sys.executable, __file__, "--alone", str(steps)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = [subprocess.Popen(command, text=True, env=environment, **pipes) for _ in range(count)]
    for process in running:
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    return [float(process.communicate()[0]) for process in running]


def alone(steps: int) -> None:
    """One of these processes: says that it is ready, waits, trains, and says how long it took."""
    torch.set_num_threads(1)
    examples = default_examples(QUESTIONS)
    student = default_student(examples)
    encoded = encode(student.tokenizer, examples)
    print("ready", flush=True)
    sys.stdin.readline()
    print(timed(student, ours, encoded, small_plan(steps), time.perf_counter))


def main() -> int:
    """Exit status: 1 with --check where a bound is missed, else 0; 0 as well where the real text is not there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("REAL_DATA", ROOT.parent / "shared" / "real"))
    parser.add_argument(
        "--steps", type=int, default=12, help="of the large student; of the small one ten times as many"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="cpu: for a machine that is busy, with 1 thread"
    )
    parser.add_argument("--check", action="store_true", help="fail where a bound is missed")
    parser.add_argument("--only", choices=["large", "small", "processes"], help="a part of it; its bounds alone count")
    parser.add_argument("--alone", type=int, help="one of several processes (used by the benchmark itself)")
    chosen = parser.parse_args()
    quiet()
    if chosen.alone:
        alone(chosen.alone)
        return 0
    data = Path(chosen.data)
    if not data.is_dir() and chosen.only in (None, "large"):
        print(f"not measured: no folder {data}; set REAL_DATA or --data")
        return 0
    torch.set_num_threads(chosen.threads)
    rows = measured(data, chosen.steps, chosen.rounds, CLOCKS[chosen.clock], chosen.only)
    for name, value in rows.items():
        print(f"{name:<45} {value:10.4g}")
    within = BOUNDS if chosen.only is None else {name: bound for name, bound in BOUNDS.items() if name in rows}
    out = missed(rows, within) if chosen.check else []
    for line in out:
        print("missed:", line, file=sys.stderr)
    return 1 if out else 0


def measured(data: Path, steps: int, rounds: int, clock: Callable[[], float], only: str | None) -> Rows:
    parts = {
        "large": lambda: large(data, steps, rounds, clock),
        "small": lambda: small(10 * steps, rounds, clock),
        "processes": lambda: two_processes(10 * steps, rounds),
    }
    return {name: value for part in parts if only in (None, part) for name, value in parts[part]().items()}


def quiet() -> None:
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


if __name__ == "__main__":
    sys.exit(main())
