"""What training costs, by the student's size and by the number of rationales: time and memory.

    python benchmarks/scaling.py                            # two tables; T5-base takes 8 GiB and some minutes
    python benchmarks/scaling.py --sizes 0.2M 1M --data-sizes 1000 10000
    python benchmarks/scaling.py --checkpointing --precision bf16

size   T5 of random weights, a few steps of 16 real SVAMP rationales each, AdamW: seconds a step, peak of the process.
       The smaller have a tokenizer of words, the larger the published one with its 32,128 words
data   so many rationales (the real ones over and over, each with a number of its own) of the 0.2M student: seconds and
       peak of making them ready, as ids and as the schedule of one pass over them, and of a few steps of training

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
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

import torch  # noqa: E402
from transformers import AutoTokenizer, T5Config, T5ForConditionalGeneration, set_seed  # noqa: E402

from benchmarks.scoring import CLOCKS  # noqa: E402
from benchmarks.training import BATCH, quiet, real_examples  # noqa: E402
from lib.config import load_config  # noqa: E402
from lib.encoding import encode  # noqa: E402
from lib.examples import Example  # noqa: E402
from lib.schedule import batches  # noqa: E402
from lib.student import Student, make_tokenizer, parameters  # noqa: E402
from lib.training import Plan, fit  # noqa: E402


@dataclass(frozen=True)
class Size:
    """A T5's shape; `words`: its tokenizer is of words, trained on the text."""

    d_model: int
    d_ff: int
    layers: int
    heads: int
    words: bool = False


SIZES = {
    "0.2M": Size(64, 256, 2, 4, words=True),
    "1M": Size(128, 512, 2, 4, words=True),
    "5M": Size(256, 1024, 3, 4, words=True),
    "16M": Size(256, 1024, 4, 4),
    "T5-small": Size(512, 2048, 6, 8),
    "T5-base": Size(768, 3072, 12, 12),
}
DATA_SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)


def student_of(size: Size, examples: list[Example], data: Path) -> Student:
    """Random weights in a T5's shape, and its tokenizer."""
    set_seed(0)
    if size.words:
        settings = load_config(ROOT / "params/default.yaml").student
        tokenizer = make_tokenizer(settings, [text for e in examples for pair in e.pairs() for text in pair])
    else:
        tokenizer = AutoTokenizer.from_pretrained(data / "tokenizers" / "t5")
    vocabulary = len(tokenizer) if size.words else 32_128
    config = T5Config(
        vocab_size=vocabulary, d_model=size.d_model, d_kv=size.d_model // size.heads, d_ff=size.d_ff,
        num_layers=size.layers, num_heads=size.heads, dropout_rate=0.0, pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id, decoder_start_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return Student(T5ForConditionalGeneration(config), tokenizer)


def one(size: Size, data: Path, rationales: int, plan: Plan, clock) -> dict[str, float]:
    """A row: making ready, then a few steps. Peaks are of the process so far, so the later one holds the earlier."""
    examples = numbered(real_examples(data, 651, 3), rationales)
    student = student_of(size, examples, data)
    begun = clock()
    encoded = encode(student.tokenizer, examples)
    epoch = batches([e.tokens for e in encoded], BATCH, -(-rationales // BATCH), seed=0)
    ready = clock() - begun
    tokens = sum(sum(encoded[i].lengths) for rows in epoch for i in rows) / len(epoch)
    row = {"parameters (M)": parameters(student) / 1e6, "ready (s)": ready, "peak when ready (MiB)": peak()}
    seconds = []
    for steps in (2, 2 + plan.steps):  # the difference leaves out what is done once
        with tempfile.TemporaryDirectory() as folder:
            begun = clock()
            fit(student, encoded, replace(plan, steps=steps), Path(folder))
            seconds.append(clock() - begun)
    step = max((seconds[1] - seconds[0]) / plan.steps, 0.0)
    row |= {"a step (s)": step, "tokens a step": tokens, "peak (MiB)": peak()}
    return row | {"an epoch (min)": step * len(epoch) / 60}


def numbered(examples: list[Example], count: int) -> list[Example]:
    """So many, all different: those given, over and over."""
    rounds = [(str(i // len(examples)), examples[i % len(examples)]) for i in range(count)]
    return [replace(e, source=f"{n} {e.source}", rationale=f"{n} {e.rationale}") for n, e in rounds]


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def in_a_process(chosen, name: str, rationales: int) -> dict[str, float]:
    """The row of `one`; a process that ran out of memory or failed says so on its stderr, and here by its status."""
    own = ["--one", name, str(rationales), "--steps", str(chosen.steps), "--threads", str(chosen.threads)]
    own += ["--data", str(chosen.data), "--clock", chosen.clock, "--precision", chosen.precision]
    own += ["--checkpointing"] * chosen.checkpointing
    own += ["--pass-tokens", str(chosen.pass_tokens)] if chosen.pass_tokens else []
    found = subprocess.run([sys.executable, __file__, *own], stdout=subprocess.PIPE, text=True)
    return json.loads(found.stdout) if found.returncode == 0 else {"failed with status": found.returncode}


def show(title: str, names: list[str], rows) -> None:
    """A table in Markdown, each row as soon as it is there."""
    print(f"\n{title}\n", flush=True)
    for i, (name, row) in enumerate(zip(names, rows)):
        if i == 0:
            print("| | " + " | ".join(row) + " |\n|---" + "|---" * len(row) + "|")
        print(f"| {name} | " + " | ".join(f"{value:.4g}" for value in row.values()) + " |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("REAL_DATA", ROOT.parent / "shared" / "real"))
    parser.add_argument("--sizes", nargs="*", choices=SIZES, default=list(SIZES))
    parser.add_argument("--data-sizes", nargs="*", type=int, default=DATA_SIZES)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: for a machine that is busy")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--pass-tokens", type=int)
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--one", nargs=2, help="one row (used by the benchmark itself)")
    chosen = parser.parse_args()
    if not Path(chosen.data).is_dir():
        print(f"not measured: no folder {chosen.data}; set REAL_DATA or --data")
        return 0
    torch.set_num_threads(chosen.threads)
    quiet()
    if chosen.one:
        how = {"precision": chosen.precision, "pass_tokens": chosen.pass_tokens, "checkpointing": chosen.checkpointing}
        plan = Plan(chosen.steps, BATCH, 1e-4, 0, "adamw", **how)
        name, rationales = chosen.one
        print(json.dumps(one(SIZES[name], Path(chosen.data), int(rationales), plan, CLOCKS[chosen.clock])))
        return 0
    rows = (in_a_process(chosen, name, 1000) for name in chosen.sizes)
    show(f"By the student's size, 1000 rationales, {chosen.precision}", chosen.sizes, rows)
    rows = (in_a_process(chosen, "0.2M", count) for count in chosen.data_sizes)
    show("By the number of rationales, student 0.2M", list(map(str, chosen.data_sizes)), rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
