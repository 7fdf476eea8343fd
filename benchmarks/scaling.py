"""What training costs, by the student's size and by the number of rationales: time and memory.

    python benchmarks/scaling.py                            # two tables, some six minutes; T5-base takes 8 GiB
    python benchmarks/scaling.py --sizes 0.25M 1.3M --data-sizes 1000 10000
    python benchmarks/scaling.py --checkpointing --precision bf16

size   T5 of random weights, a few steps of 16 real SVAMP rationales each, AdamW, the batches spread evenly over the
       lengths: seconds a step and peak memory. The smaller have a tokenizer of words, the larger the published one
data   so many rationales (the real ones over and over, each with a number of its own) and the 0.25M student: seconds
       and memory of encoding them, of the schedule of one pass over them and of making all its batches, each of which
       is claimed to be linear, and steps a second, claimed to depend on the length of texts alone

Each row is a process of its own, so that its peak is its own. The text lies outside the repository: --data or the
variable REAL_DATA name its folder.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

import torch  # noqa: E402
from transformers import AutoTokenizer, T5Config, T5ForConditionalGeneration, set_seed  # noqa: E402

from benchmarks.interleaved import no_checkpoints, wait  # noqa: E402
from benchmarks.scoring import CLOCKS  # noqa: E402
from benchmarks.training import quiet  # noqa: E402
from benchmarks.training_ways import BATCH, DEFAULT, real_examples, share_of_a_pass  # noqa: E402
from lib.callbacks import Curves  # noqa: E402
from lib.config import load_config  # noqa: E402
from lib.encoding import Encoded, encode, step_collator  # noqa: E402
from lib.examples import Example  # noqa: E402
from lib.schedule import batches  # noqa: E402
from lib.student import Student, make_tokenizer, parameters  # noqa: E402
from lib.training import Plan, fit  # noqa: E402

Row = dict[str, float]


@dataclass(frozen=True)
class Size:
    """A T5's shape; `words`: its tokenizer is of words, trained on the text. `steps` are timed."""

    d_model: int
    d_ff: int
    layers: int
    heads: int
    words: bool = False
    steps: int = 8


SIZES = {
    "0.25M": Size(48, 192, 2, 4, words=True),
    "1.3M": Size(128, 512, 2, 4, words=True),
    "6M": Size(256, 1024, 3, 4, words=True),
    "16M": Size(256, 1024, 4, 4),
    "T5-small": Size(512, 2048, 6, 8, steps=4),
    "T5-base": Size(768, 3072, 12, 12, steps=2),
}
DATA_SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
QUESTIONS, STEPS = 640, 60  # STEPS: of the data's rows
MOST_STEPS = QUESTIONS // BATCH  # --steps: as many batches as the sizes' pass has


def student_of(size: Size, examples: list[Example], data: Path) -> Student:
    """Random weights in a T5's shape, and its tokenizer."""
    set_seed(0)
    if size.words:
        texts = [text for e in examples for pair in e.pairs() for text in pair]
        tokenizer = make_tokenizer(load_config(DEFAULT).student, texts)
    else:
        tokenizer = AutoTokenizer.from_pretrained(data / "tokenizers" / "t5")
    vocabulary = len(tokenizer) if size.words else 32_128
    config = T5Config(
        vocab_size=vocabulary, d_model=size.d_model, d_kv=size.d_model // size.heads, d_ff=size.d_ff,
        num_layers=size.layers, num_heads=size.heads, dropout_rate=0.0, pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id, decoder_start_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return Student(T5ForConditionalGeneration(config), tokenizer)


def of_size(size: Size, data: Path, plan: Plan, clock: Callable[[], float]) -> Row:
    """A row of the first table."""
    examples = real_examples(data, QUESTIONS, 1)
    student = student_of(size, examples, data)
    encoded = encode(student.tokenizer, examples)
    steps = plan.steps or size.steps
    share = share_of_a_pass(encoded, steps)
    row = {"parameters (M)": parameters(student) / 1e6, "peak before (MiB)": peak()}
    pace = seconds_per_token(student, share, replace(plan, steps=1 + steps), clock)
    tokens = BATCH * mean_tokens(encoded)
    row |= {"tokens a step": tokens, "a step (s)": pace * tokens, "examples/s": BATCH / (pace * tokens)}
    return row | {"peak (MiB)": peak()}


def of_data(rationales: int, data: Path, plan: Plan, clock: Callable[[], float]) -> Row:
    """A row of the second; what grows is told apart from what a process needs before."""
    some = real_examples(data, 651, 3)
    student = student_of(SIZES["0.25M"], numbered(some, len(some)), data)
    before, marks = peak_of_process(), [clock()]
    encoded = encode(student.tokenizer, numbered(some, rationales))
    marks.append(clock())
    schedule = batches([e.tokens for e in encoded], BATCH, -(-rationales // BATCH), seed=0)
    marks.append(clock())
    together = step_collator(student, plan.pass_tokens)
    for rows in schedule:
        together([encoded[i] for i in rows])
    marks.append(clock())
    encoding, scheduling, making = (b - a for a, b in pairwise(marks))
    row = {"encode (s)": encoding, "schedule (s)": scheduling, "batches (s)": making}
    row |= {"memory added (MiB)": peak_of_process() - before, "tokens an example": mean_tokens(encoded)}
    pace = seconds_per_token(student, encoded, replace(plan, steps=1 + (plan.steps or STEPS)), clock)
    return row | {"steps/s": 1 / (pace * BATCH * mean_tokens(encoded)), "peak (MiB)": peak()}


def mean_tokens(encoded: list[Encoded]) -> float:
    return sum(e.tokens for e in encoded) / len(encoded)


class Clocked(Curves):
    """Reads the clock after each step."""

    def __init__(self, clock: Callable[[], float]):
        super().__init__("steps")
        self.clock, self.at = clock, []

    def add(self, step, values):
        if "loss" in values:
            wait()
            self.at.append(self.clock())


def seconds_per_token(student: Student, encoded: list[Encoded], plan: Plan, clock: Callable[[], float]) -> float:
    """Of all steps but the first, in which much makes itself ready; by token, as batches are of unlike lengths."""
    clocked = Clocked(clock)
    with tempfile.TemporaryDirectory() as folder, no_checkpoints():
        fit(student, encoded, plan, Path(folder), curves=clocked)
    assert len(clocked.at) == plan.steps, "a phase of fewer than 400 steps has a point a step"
    schedule = batches([e.tokens for e in encoded], plan.batch, plan.steps, plan.seed, plan.bucket)
    return (clocked.at[-1] - clocked.at[0]) / sum(encoded[i].tokens for rows in schedule[1:] for i in rows)


def numbered(examples: list[Example], count: int) -> list[Example]:
    """So many, all different: those given, over and over."""
    rounds = [(str(i // len(examples)), examples[i % len(examples)]) for i in range(count)]
    return [replace(e, source=f"{n} {e.source}", rationale=f"{n} {e.rationale}") for n, e in rounds]


def peak() -> float:
    """MiB, of this process; with a GPU the GPU's."""
    return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else peak_of_process()


def peak_of_process() -> float:
    """MiB; what encoding, schedule and batches take, also where a GPU trains."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


# -- command line ----------------------------------------------------------------------------------


def in_a_process(chosen: Namespace, name: str) -> Row:
    """A row; a process that ran out of memory or failed says so on its stderr, and here by its status."""
    own = ["--one", name, "--threads", str(chosen.threads), "--data", str(chosen.data), "--clock", chosen.clock]
    own += ["--precision", chosen.precision, *["--checkpointing"] * chosen.checkpointing]
    own += ["--steps", str(chosen.steps)] if chosen.steps else []
    own += ["--pass-tokens", str(chosen.pass_tokens)] if chosen.pass_tokens else []
    found = subprocess.run([sys.executable, __file__, *own], stdout=subprocess.PIPE, text=True)
    return json.loads(found.stdout) if found.returncode == 0 else {"failed with status": found.returncode}


def show(title: str, names: list[str], rows) -> None:
    """A table in Markdown, each row as soon as it is there."""
    print(f"\n{title}\n", flush=True)
    columns: list[str] = []
    for name, row in zip(names, rows):
        if list(row) != columns:  # the first, or one that failed
            columns = list(row)
            print("| | " + " | ".join(columns) + " |\n|---" + "|---:" * len(columns) + "|")
        print(f"| {name} | " + " | ".join(f"{value:,.4g}" for value in row.values()) + " |", flush=True)


def one(chosen: Namespace) -> Row:
    how = {"precision": chosen.precision, "pass_tokens": chosen.pass_tokens, "checkpointing": chosen.checkpointing}
    plan = Plan(chosen.steps or 0, BATCH, 1e-4, 0, "adamw", **how)
    if chosen.one in SIZES:
        return of_size(SIZES[chosen.one], Path(chosen.data), plan, CLOCKS[chosen.clock])
    return of_data(int(chosen.one), Path(chosen.data), plan, CLOCKS[chosen.clock])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("REAL_DATA", ROOT.parent / "shared" / "real"))
    parser.add_argument("--sizes", nargs="*", choices=SIZES, default=list(SIZES))
    parser.add_argument("--data-sizes", nargs="*", type=int, default=DATA_SIZES)
    parser.add_argument("--steps", type=int, help="timed in each row; without: fewer the larger the student")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: for a machine that is busy")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--pass-tokens", type=int)
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--one", help="one row (used by the benchmark itself)")
    chosen = parser.parse_args()
    if chosen.steps is not None and not 1 <= chosen.steps <= MOST_STEPS:
        parser.error(f"--steps {chosen.steps}: 1 to {MOST_STEPS}, the batches of a pass")
    if not Path(chosen.data).is_dir():
        print(f"not measured: no folder {chosen.data}; set REAL_DATA or --data")
        return 0
    torch.set_num_threads(chosen.threads)
    quiet()
    if chosen.one:
        print(json.dumps(one(chosen)))
        return 0
    rows = (in_a_process(chosen, name) for name in chosen.sizes)
    show(f"By the student's size, {chosen.precision}, {chosen.threads} threads", chosen.sizes, rows)
    counts = list(map(str, chosen.data_sizes))
    show("By the number of rationales, student 0.25M", counts, (in_a_process(chosen, count) for count in counts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
