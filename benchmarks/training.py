"""How fast is a student trained? As a ratio to the reference's way, interleaved in one run, on real text.

    python benchmarks/training.py                       # every case with a bound; a table
    python benchmarks/training.py --check               # the same; exit status 1 where a bound is missed (make bench)
    python benchmarks/training.py --only "d256 bf16"    # one case, or several
    python benchmarks/training.py --shape t5-base --precision bf16 --tokens 512 --peak 989      # TFLOP/s of the card

Both ways take the same steps of 16 of the same examples with the multi-task loss, on the same device: a GPU where there
is one, else the CPU. Neither writes checkpoints.

plain    the Hugging Face Trainer as it comes (its optimizer, random batches, fp32) with the reference's loss: the model
         is called twice, for labels and for rationales, each padded to the longest of the batch
ours     lib/training.py with its settings as in params/default.yaml; AdamW for a large student, as the profiles set it

d256     T5 of random weights (d_model 256, 4 layers, the published T5 tokenizer), gpt-3.5's and PaLM's rationales of
         640 SVAMP questions: one a question in fp32 and bf16, and five (short of different ones they come again)
small    the default profile's student and text: one process with one thread, and two of them at once

The text lies outside the repository: --data or the variable REAL_DATA name its folder.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

import torch  # noqa: E402
import transformers  # noqa: E402

from benchmarks.interleaved import compare, timed  # noqa: E402
from benchmarks.scoring import CLOCKS, Rows, missed, random_student  # noqa: E402
from benchmarks.training_ways import (  # noqa: E402
    default_examples,
    default_student,
    flops,
    furthest,
    large_plan,
    long_texts,
    ours,
    plain,
    real_examples,
    share_of_a_pass,
    small_plan,
)
from lib.encoding import Encoded, encode  # noqa: E402
from lib.forward import best_device  # noqa: E402
from lib.student import Student  # noqa: E402

# So many that their one-rationale batches are the 40 of one pass; 651 have rationales.
QUESTIONS = 640
SMALL = 3  # steps of the small student for one of a large
# What --check holds these to: measure -> (least, most). The two of the small student are those of its cases.
BOUNDS = {
    "ours fp32 : plain": (2.5, None),
    "ours bf16 : plain": (3.0, None),
    "ours, five a question : plain, five a question": (2.2, None),
    "ours, small : plain, small": (1.3, None),
    "small, two processes : one": (1.8, None),
    "furthest loss of fp32 (nats)": (None, 1e-5),
}
SHAPES = {"tiny": (64, 1), "d256": (256, 4), "t5-base": (768, 12)}  # d_model, layers


# -- cases -----------------------------------------------------------------------------------------


def d256_fp32(chosen: Namespace) -> Rows:
    return d256(chosen, {"plain": (plain, {}), "ours fp32": (ours, {"precision": "fp32"})})


def d256_bf16(chosen: Namespace) -> Rows:
    return d256(chosen, {"plain": (plain, {}), "ours bf16": (ours, {"precision": "bf16"})})


def d256_five(chosen: Namespace) -> Rows:
    ways = {"plain, five a question": (plain, {}), "ours, five a question": (ours, {"precision": "fp32"})}
    return d256(chosen, ways, rationales=5)


def d256_parts(chosen: Namespace) -> Rows:
    """What is gained without the length buckets: by encoder, projection and padding of a step alone."""
    exact = {"precision": "fp32", "bucket": 1}
    ways = {"plain, random": (plain, {}), "random batches": (ours, exact)}
    return d256(chosen, ways | {"random batches in passes": (ours, exact | {"pass_tokens": 1024})})


def d256(chosen: Namespace, ways: dict[str, tuple], rationales: int = 1) -> Rows:
    student = random_student(Path(chosen.data))
    encoded = encode(student.tokenizer, real_examples(Path(chosen.data), QUESTIONS, rationales))
    share = share_of_a_pass(encoded, chosen.steps)
    made = {name: (way, share, large_plan(chosen.steps, **how)) for name, (way, how) in ways.items()}
    return compare(student, made, chosen.rounds, CLOCKS[chosen.clock])


def same_loss(chosen: Namespace) -> Rows:
    student = random_student(Path(chosen.data))
    return furthest(student, encode(student.tokenizer, real_examples(Path(chosen.data), QUESTIONS, 1)))


def small(chosen: Namespace) -> Rows:
    """The default student by both ways in this process, with one thread, as its runs have."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    student, encoded = small_student()
    plan = small_plan(SMALL * chosen.steps)
    ways = {"plain, small": (plain, encoded, plan), "ours, small": (ours, encoded, plan)}
    rows = compare(student, ways, chosen.rounds, CLOCKS[chosen.clock])
    torch.set_num_threads(threads)
    return rows


def small_student() -> tuple[Student, list[Encoded]]:
    examples = default_examples(QUESTIONS)
    student = default_student(examples)
    return student, encode(student.tokenizer, examples)


def two_processes(chosen: Namespace) -> Rows:
    """How many times as many steps two processes make as one, in the same wall-clock time; 2 where none disturbs."""
    ratios = []
    for _ in range(chosen.rounds):
        [lone] = side_by_side(SMALL * chosen.steps, 1)
        ratios.append(2 * lone / max(side_by_side(SMALL * chosen.steps, 2)))
    rows = {"small, two processes : one": statistics.median(ratios)}
    return rows | {"  lowest of two processes": min(ratios), "  highest of two processes": max(ratios)}


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
    student, encoded = small_student()
    print("ready", flush=True)
    sys.stdin.readline()
    print(timed(student, ours, encoded, small_plan(steps), time.perf_counter))


def of_shape(chosen: Namespace) -> Rows:
    """A published model's shape: both ways' examples a second, and what share of the device's peak that is.

    Texts of up to --tokens; `plain` is the reference in fp32, `plain bf16` the same with the Trainer's own switch.
    """
    student = random_student(Path(chosen.data), *SHAPES[chosen.shape])
    encoded = encode(student.tokenizer, real_examples(Path(chosen.data), QUESTIONS, 1))
    share = share_of_a_pass(long_texts(encoded, chosen.tokens) if chosen.tokens else encoded, chosen.steps)
    needed, tokens = flops(student, share) / len(share), sum(e.tokens for e in share) / len(share)
    planned = large_plan(chosen.steps, precision=chosen.precision, pass_tokens=chosen.pass_tokens)
    ways = {"plain": (plain, share, large_plan(chosen.steps, precision="fp32")), "ours": (ours, share, planned)}
    if chosen.precision == "bf16":
        ways["plain bf16"] = plain, share, large_plan(chosen.steps, precision="bf16")
    rows = {f"tokens an example, on {best_device().type}": tokens, "TFLOP an example": needed / 1e12}
    rows |= compare(student, ways, chosen.rounds, CLOCKS[chosen.clock])
    for name in ways if chosen.peak else ():
        rows[f"{name}, share of the peak"] = rows[f"{name} (examples/s)"] * needed / 1e12 / chosen.peak
    return rows


CASES: dict[str, Callable[[Namespace], Rows]] = {
    "loss": same_loss,
    "d256 fp32": d256_fp32,
    "d256 bf16": d256_bf16,
    "d256 five": d256_five,
    "d256 parts": d256_parts,
    "small": small,
    "processes": two_processes,
}
BOUNDED = [name for name in CASES if name != "d256 parts"]
OWN_TEXT = {"small", "processes"}  # need no real text


# -- command line ----------------------------------------------------------------------------------


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("REAL_DATA", ROOT.parent / "shared" / "real"))
    parser.add_argument("--only", nargs="+", choices=CASES, help="these cases; their bounds alone count")
    parser.add_argument(
        "--steps", type=int, default=40, help="of a large student; 40 are a pass. The small one's: 3 times"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: for a busy machine, with 1 thread")
    parser.add_argument("--check", action="store_true", help="fail where a bound is missed")
    parser.add_argument("--shape", choices=SHAPES, help="only this shape")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="with --shape")
    parser.add_argument("--tokens", type=int, help="with --shape: the longest text; without: texts as they are")
    parser.add_argument("--pass-tokens", type=int, help="with --shape: train.pass_tokens")
    parser.add_argument("--peak", type=float, help="with --shape: the device's peak, TFLOP/s")
    parser.add_argument("--alone", type=int, help="one of several processes (used by the benchmark itself)")
    return parser


def main() -> int:
    """Exit status: 1 with --check where a bound of what was measured is missed, else 0."""
    chosen = arguments().parse_args()
    quiet()
    if chosen.alone:
        alone(chosen.alone)
        return 0
    cases = runnable(chosen)
    torch.set_num_threads(chosen.threads)
    rows = of_shape(chosen) if cases and chosen.shape else measured(cases, chosen)
    for name, value in rows.items():
        print(f"{name:<50} {value:10.4g}", flush=True)
    within = BOUNDS if cases == BOUNDED else {n: b for n, b in BOUNDS.items() if n in rows}
    out = missed(rows, within) if chosen.check else []
    for line in out:
        print("missed:", line, file=sys.stderr)
    return 1 if out else 0


def runnable(chosen: Namespace) -> list[str]:
    """The cases asked for, or the shape, but for those that need the real text where it is not there; says which."""
    asked = [f"shape {chosen.shape}"] if chosen.shape else chosen.only or BOUNDED
    there = Path(chosen.data).is_dir()
    cases = [case for case in asked if there or case in OWN_TEXT]
    if len(cases) < len(asked):
        left = ", ".join(case for case in asked if case not in cases)
        print(f"not measured: no folder {chosen.data}; set REAL_DATA or --data: {left}", flush=True)
    return cases


def measured(cases: Sequence[str], chosen: Namespace) -> Rows:
    return {name: value for case in cases for name, value in CASES[case](chosen).items()}


def quiet() -> None:
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


if __name__ == "__main__":
    sys.exit(main())
