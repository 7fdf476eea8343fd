"""How fast does a trained student write? As a ratio to plain generation, interleaved in one run.

    python benchmarks/inference.py            # a table
    python benchmarks/inference.py --check    # the same; exit status 1 where a bound is missed (make bench)
    python benchmarks/inference.py --ways     # instead: what each way to answer costs a question, in ms and tokens

Both ways write the headline student's rationales (`explain: ` and a test question, greedily):

plain    `model.generate`, batches of 16 in the given order, padded
ours     lib/inference.py: batches by length and token budget, rows that have ended leave the batch

as asked       the test questions, at most 64 tokens each: all of them end before
to the limit   the same with at most 256 tokens, but one question in sixteen is broken off in the middle such that the
               student, which never saw the like, finds no end

ways           `predict:`; one sampled rationale; SAMPLES of them, which can vote; the same with a verdict on each

Student and questions are those of the default profile: `dvc pull` restores both; --student and --questions name others.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

import torch  # noqa: E402

from benchmarks.scoring import CLOCKS, Rows, missed  # noqa: E402
from lib import paths  # noqa: E402
from lib.encoding import source_ids  # noqa: E402
from lib.errors import UserError  # noqa: E402
from lib.examples import EXPLAIN, PREDICT  # noqa: E402
from lib.inference import Written, draw, write  # noqa: E402
from lib.records import Question, read_rows  # noqa: E402
from lib.student import Student, load_student, to_best_device  # noqa: E402
from lib.votes import judge  # noqa: E402

BATCH, LABEL, SHORT, LONG = 16, 24, 64, 256
SAMPLES, TEMPERATURE = 5, 0.7
# What --check holds these to: measure -> (least, most).
BOUNDS = {
    "as asked, ours : plain": (2.0, None),
    "as asked, texts that differ": (0, 0),
    "to the limit, ours : plain": (3.0, None),
    "to the limit, texts that differ": (0, 0),
    "to the limit, rows at it": (1, None),
}


@torch.inference_mode()
def plain(student: Student, sources: Sequence[str], max_tokens: int) -> list[str]:
    """What each source is answered, as one would write it with the library alone."""
    written, ids = [], source_ids(student.tokenizer, sources, student.decoder_only)
    ends = {"pad_token_id": student.tokenizer.pad_token_id, "eos_token_id": student.tokenizer.eos_token_id}
    for i in range(0, len(ids), BATCH):
        side = "left" if student.decoder_only else "right"
        inputs = student.tokenizer.pad({"input_ids": ids[i : i + BATCH]}, padding_side=side, return_tensors="pt")
        inputs = inputs.to(student.model.device)
        output = student.model.generate(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], max_new_tokens=max_tokens,
            do_sample=False, num_beams=1, **ends,
        )  # fmt: skip
        before = inputs["input_ids"].shape[1] if student.decoder_only else 1
        written += [student.text(row) for row in output[:, before:].tolist()]
    return written


def ours(student: Student, sources: Sequence[str], max_tokens: int) -> list[str]:
    return [written.text for written in write(student, sources, max_tokens)]


def broken_off(student: Student, questions: Sequence[str], count: int) -> list[str]:
    """At most so many of the questions' first halves behind which the student finds no end."""
    halves = [EXPLAIN + text[: len(text) // 2] for text in questions]
    found = write(student, halves, LONG)
    return [half for half, written in zip(halves, found) if written.at_limit][:count]


def mixed(asked: Sequence[str], broken: Sequence[str]) -> list[str]:
    """Every sixteenth of the questions replaced by one that is broken off, as long as there are any."""
    mix = list(asked)
    for place, text in zip(range(BATCH - 1, len(mix), BATCH), broken):
        mix[place] = text
    return mix


def speed(student: Student, questions: Sequence[Question], count: int, rounds: int, clock: Callable[[], float]) -> Rows:
    """Ratios above 1 where ours is the faster. Asked are test questions; broken off are those of any split."""
    asked = [EXPLAIN + q.text for q in questions if q.split == "test"][:count]
    broken = broken_off(student, [q.text for q in questions], len(asked) // BATCH)
    settings = {"as asked": (asked, SHORT), "to the limit": (mixed(asked, broken), LONG)}
    rows: Rows = {}
    for name, (sources, limit) in settings.items():
        rows |= {f"{name}, {measure}": value for measure, value in compared(student, sources, limit, rounds, clock)}
    return rows


def compared(student: Student, sources: Sequence[str], limit: int, rounds: int, clock: Callable[[], float]):
    """(measure, value) of one setting; the two ways in turn, each time the other way round."""
    ways = {"plain": plain, "ours": ours}
    texts = {name: way(student, sources, limit) for name, way in ways.items()}  # also the warm-up
    seconds = {name: [] for name in ways}
    for turn in range(rounds):
        for name in list(ways)[:: -1 if turn % 2 else 1]:
            begun = clock()
            ways[name](student, sources, limit)
            seconds[name].append(clock() - begun)
    ratios = sorted(theirs / mine for theirs, mine in zip(seconds["plain"], seconds["ours"]))
    yield "ours : plain", statistics.median(ratios)
    yield "lowest", ratios[0]
    yield "highest", ratios[-1]
    yield "texts that differ", sum(a != b for a, b in zip(texts["plain"], texts["ours"]))
    written = write(student, sources, limit)
    yield "rows at it", sum(row.at_limit for row in written)
    yield "tokens a question", sum(row.tokens for row in written) / len(written)
    for name, taken in seconds.items():
        yield f"{name} (ms a question)", 1000 * statistics.median(taken) / len(sources)


# -- ways to answer --------------------------------------------------------------------------------


def costs(student: Student, questions: Sequence[Question], count: int, rounds: int, clock: Callable[[], float]) -> Rows:
    """Of each way: ms a question, the median over the rounds, and the tokens that it reads and writes for one."""
    texts = [q.text for q in questions if q.split == "test"][:count]
    ways = {
        "predict": lambda: predicted(student, texts),
        "one sample": lambda: sampled(student, texts, 1),
        f"{SAMPLES} samples": lambda: sampled(student, texts, SAMPLES),
        f"{SAMPLES} samples and verdicts": lambda: self_evaluated(student, texts, SAMPLES),
    }
    rows = {f"{name} (tokens a question)": way() / len(texts) for name, way in ways.items()}  # also the warm-up
    seconds = {name: [] for name in ways}
    for turn in range(rounds):
        for name in list(ways)[:: -1 if turn % 2 else 1]:
            begun = clock()
            ways[name]()
            seconds[name].append(clock() - begun)
    return rows | {f"{name} (ms a question)": 1000 * statistics.median(s) / len(texts) for name, s in seconds.items()}


def predicted(student: Student, texts: Sequence[str]) -> int:
    """Answers by `predict:`; the tokens they cost, as the others give them."""
    sources = [PREDICT + text for text in texts]
    return read(student, sources) + wrote(write(student, sources, LABEL))


def sampled(student: Student, texts: Sequence[str], copies: int) -> int:
    return _drawn(student, texts, copies)[1]


def self_evaluated(student: Student, texts: Sequence[str], copies: int) -> int:
    written, tokens = _drawn(student, texts, copies)
    return tokens + sum(row["judged_tokens"] for row in judge(student, [own.text for own in written]))


def _drawn(student: Student, texts: Sequence[str], copies: int) -> tuple[list[Written], int]:
    sources = [EXPLAIN + text for text in texts]
    written = list(chain(*draw(student, sources, SHORT, copies, TEMPERATURE, 1.0, "benchmark")))
    return written, read(student, sources) + wrote(written)


def read(student: Student, sources: Sequence[str]) -> int:
    return sum(map(len, source_ids(student.tokenizer, sources, student.decoder_only)))


def wrote(written: Sequence[Written]) -> int:
    return sum(own.tokens + (not own.at_limit) for own in written)


def main() -> int:
    """Exit status: 1 with --check where a bound is missed, else 0; 0 as well where the student is not there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--student", type=Path, default=paths.HEADLINE_STUDENT)
    parser.add_argument("--questions", type=Path, default=paths.QUESTIONS)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="cpu: for a machine that is busy, with 1 thread"
    )
    parser.add_argument("--ways", action="store_true", help="only what each way to answer costs")
    parser.add_argument("--check", action="store_true", help="fail where a bound is missed")
    chosen = parser.parse_args()
    for path in (chosen.student, chosen.questions):
        if not path.exists():
            print(f"not measured: no {path}; dvc pull or --student and --questions")
            return 0
    torch.set_num_threads(chosen.threads)
    try:
        student, questions = to_best_device(load_student(chosen.student)), read_rows(chosen.questions, Question)
        measure = costs if chosen.ways else speed
        rows = measure(student, questions, chosen.count, chosen.rounds, CLOCKS[chosen.clock])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name, value in rows.items():
        print(f"{name:<40} {value:10.4g}")
    out = missed(rows, BOUNDS) if chosen.check and not chosen.ways else []
    for line in out:
        print("missed:", line, file=sys.stderr)
    return 1 if out else 0


if __name__ == "__main__":
    sys.exit(main())
