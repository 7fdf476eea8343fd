"""How fast are rationales scored? As a ratio to the plain way, interleaved in one run, on real text.

    python benchmarks/scoring.py            # fp32, bf16 and memory; a table
    python benchmarks/scoring.py --check    # the same; exit status 1 where a bound is missed (make bench)
    python benchmarks/scoring.py --shape t5-base --peak 989    # pairs/s of that shape in bf16, share of the peak

Both ways compute SLC's two log-probabilities of every completion, log P(c|q) and log P(c), with one T5 of random
weights (d_model 256, 4 layers, the published T5 tokenizer) for gpt-3.5's rationales of SVAMP and StrategyQA questions,
each text once:

plain    batches of 16 in the given order, padded; the model's own forward and a log-softmax of all its logits, kept
         until the target's are taken; twice, with and without the question
ours     lib/forcing.py as lib/scoring.py calls it, a chunk of questions at a time
memory   by how much the peak of a process grows that has scored and stored all pairs of 500 rationales and goes on
         to 2000; with a narrow T5, as only what grows counts

The text lies outside the repository: --data or the variable REAL_DATA name its folder.
"""

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

import torch  # noqa: E402
from transformers import (  # noqa: E402
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Tokenizer,
    T5Config,
    T5ForConditionalGeneration,
    set_seed,
)
from transformers.pytorch_utils import Conv1D  # noqa: E402

from lib.forcing import forced_sums, start_tokens  # noqa: E402
from lib.pairs import Pair, encode_pairs  # noqa: E402
from lib.records import Question, Rationale  # noqa: E402
from lib.scoring import QUESTIONS_AT_ONCE, Scorer  # noqa: E402
from lib.student import Student  # noqa: E402

FILES = ("svamp.gpt35.3cot.jsonl", "strategy_qa.gpt35.3cot.jsonl")
BATCH, LIMIT, SOME = 16, 1024, 500
MORE = "2000 need more (MiB)"
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
Rows = dict[str, float]
# What --check holds these to: measure -> (least, most).
BOUNDS = {
    "fp32, ours : plain": (1.9, None),
    "bf16, ours : plain": (2.7, None),
    MORE: (None, 16.0),
}


def real_pairs(data: Path, count: int) -> list[tuple[str, str, str]]:
    """(question, response, gold label), as many from each file, in the files' order, no completion twice."""
    found = []
    for name in FILES:
        lines = (data / "teacher" / name).read_text(encoding="utf-8").split("\n")
        rows = map(json.loads, filter(None, lines))
        texts = dict.fromkeys((r["question"], r["response"], r["gold_label"]) for r in rows)
        first = {(response, label): (question, response, label) for question, response, label in texts}
        found += list(first.values())[: count // len(FILES)]
    return found


def random_student(data: Path, width: int = 256, layers: int = 4) -> Student:
    """T5 of random weights with the published tokenizer; its vocabulary rounded up as the published models' is."""
    tokenizer = AutoTokenizer.from_pretrained(data / "tokenizers" / "t5")
    set_seed(0)
    config = T5Config(
        vocab_size=32_128, d_model=width, d_kv=64, d_ff=4 * width, num_layers=layers, num_heads=width // 64,
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    return Student(T5ForConditionalGeneration(config).eval(), tokenizer)


# -- the two ways ----------------------------------------------------------------------------------


def plain(student: Student, texts: list[tuple[str, str, str]]) -> list[float]:
    """log P(c|q) of each text, then log P(c) of each, summed over tokens."""
    found = []
    for asked in (True, False):
        for i in range(0, len(texts), BATCH):
            batch = texts[i : i + BATCH]
            sources = [question if asked else "" for question, _, _ in batch]
            targets = [Pair("", reasoning, label).completion for _, reasoning, label in batch]
            found += plain_batch(student, sources, targets)
    return found


@torch.inference_mode()
def plain_batch(student: Student, sources: list[str], targets: list[str]) -> list[float]:
    source = student.tokenizer(sources, padding=True, return_tensors="pt")
    labels = student.tokenizer(targets, padding=True, return_tensors="pt")["input_ids"]
    real = labels != student.tokenizer.pad_token_id
    inputs = labels.roll(1, 1)  # not `labels=`: that would compute a loss as well
    inputs[:, 0] = student.model.config.decoder_start_token_id
    logits = student.model(**source, decoder_input_ids=inputs).logits
    log_probs = logits.float().log_softmax(-1).gather(-1, labels[..., None])[..., 0]
    return (log_probs * real).sum(-1).tolist()


def ours(student: Student, texts: list[tuple[str, str, str]]) -> list[float]:
    """The same sums in the same order, chunk by chunk as a scorer works: of three rationales a question."""
    given, alone = [], []
    for i in range(0, len(texts), 3 * QUESTIONS_AT_ONCE):
        chunk = texts[i : i + 3 * QUESTIONS_AT_ONCE]
        pairs = [Pair(*text) for text in chunk] + [Pair("", *text[1:]) for text in chunk]
        sums = forced_sums(student, encode_pairs(student, pairs))
        given += [one.total for one in sums[: len(chunk)]]
        alone += [one.total for one in sums[len(chunk) :]]
    return given + alone


# -- measures --------------------------------------------------------------------------------------


def speed(data: Path, count: int, rounds: int, clock: Callable[[], float] = time.perf_counter) -> Rows:
    """Ratios above 1 where ours is the faster; both precisions against the plain way, which is fp32."""
    texts, student = real_pairs(data, count), random_student(data)
    exact = Student(student.model, student.tokenizer)
    rough = Student(random_student(data).model.bfloat16(), student.tokenizer)
    ways = {
        "plain fp32": lambda: plain(exact, texts),
        "fp32": lambda: ours(exact, texts),
        "bf16": lambda: ours(rough, texts),
    }
    seconds = {name: [] for name in ways}
    sums = {name: way() for name, way in ways.items()}  # also the warm-up
    for turn in range(rounds):
        # each time the other way round, so that none always comes first
        for name in list(ways)[:: -1 if turn % 2 else 1]:
            begun = clock()
            ways[name]()
            seconds[name].append(clock() - begun)
    rows = {f"{name} (pairs/s)": 2 * len(texts) / statistics.median(taken) for name, taken in seconds.items()}
    for name in ("fp32", "bf16"):
        ratios = sorted(theirs / mine for theirs, mine in zip(seconds["plain fp32"], seconds[name]))
        rows[f"{name}, ours : plain"] = statistics.median(ratios)
        rows |= {f"  mean of {name}": statistics.fmean(ratios), f"  lowest of {name}": ratios[0]}
        rows |= {f"  highest of {name}": ratios[-1], f"  furthest of {name} (nats a text)": apart(sums, name)}
    return rows


def apart(sums: dict[str, list[float]], name: str) -> float:
    return max(abs(a - b) for a, b in zip(sums["plain fp32"], sums[name]))


# -- shapes of published models --------------------------------------------------------------------


def gpt2_medium(data: Path) -> Student:
    """GPT-2 of random weights in the shape of gpt2-medium, with the published tokenizer."""
    tokenizer = GPT2Tokenizer.from_pretrained(data / "tokenizers" / "gpt2")
    set_seed(0)
    config = GPT2Config(vocab_size=50_257, n_embd=1024, n_layer=24, n_head=16, n_positions=1024)
    return Student(GPT2LMHeadModel(config).eval(), tokenizer)


SHAPES = {"t5-base": lambda data: random_student(data, width=768, layers=12), "gpt2-medium": gpt2_medium}


def of_shape(data: Path, shape: str, count: int, rounds: int, peak: float | None) -> Rows:
    """Pairs a second in bf16 on the device that there is; with its peak in TFLOP/s also how much of that is used.

    Only work that is needed counts: matrix products at real tokens, two FLOPs a weight, each question read once.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    student = SHAPES[shape](data)
    student.model.to(device).bfloat16()
    texts = real_pairs(data, count)
    needed, seconds = flops(student, texts), []
    ours(student, texts)  # the warm-up
    for _ in range(rounds):
        begun = time.perf_counter()
        ours(student, texts)  # its sums are numbers of Python: the device has finished
        seconds.append(time.perf_counter() - begun)
    taken = statistics.median(seconds)
    rows = {f"{shape} on {device.type} (pairs/s)": 2 * len(texts) / taken, "  TFLOP/s": needed / taken / 1e12}
    return rows if peak is None else rows | {"  share of the peak": needed / taken / 1e12 / peak}


def flops(student: Student, texts: list[tuple[str, str, str]]) -> float:
    """Of the matrix products with weights; attention's own, a few percent at these lengths, are left out.

    An encoder runs over each question once; what a decoder's attention makes of it, its keys and values, once a row.
    A decoder runs over all of a row but the last token, which predicts none; the vocabulary is met at target tokens.
    """
    pairs = encode_pairs(student, [Pair(*text) for text in texts] + [Pair("", *text[1:]) for text in texts])
    reading, of_question, writing = products(student)
    questions = 0 if student.decoder_only else sum(map(len, {e.source for e in pairs}))
    sources, targets = sum(len(e.source) for e in pairs), sum(len(e.target) for e in pairs)
    before = sources if student.decoder_only else len(start_tokens(student)) * len(pairs)
    written = before + targets - len(pairs)
    head = student.model.get_output_embeddings().weight.numel()
    return 2.0 * (questions * reading + sources * of_question + written * writing + targets * head)


def products(student: Student) -> tuple[int, int, int]:
    """Weights that multiply states: the encoder's, those of the keys and values of its output, the decoder's others."""
    model, sums = student.model, [0, 0, 0]
    head = model.get_output_embeddings()
    encoder = set() if student.decoder_only else set(model.get_encoder().modules())
    for name, module in model.named_modules():
        if isinstance(module, (torch.nn.Linear, Conv1D)) and module is not head:
            of_question = name.endswith(("EncDecAttention.k", "EncDecAttention.v"))
            sums[0 if module in encoder else 1 if of_question else 2] += module.weight.numel()
    return tuple(sums)


def memory(data: Path) -> Rows:
    """In a process of its own, so that its peaks are its own; what is freed goes back at once, lest holes count."""
    command = [sys.executable, __file__, "--data", str(data), "--peaks"]
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    return json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def peaks(data: Path) -> Rows:
    """MiB at the peak of this process when SOME rationales are scored, all their pairs, and when 4 * SOME are.

    The others are the same ones with a number in front of each text: how much memory a batch needs is decided by its
    longest text, which should be no longer.
    """
    student, some = random_student(data, width=64, layers=1), real_pairs(data, SOME)
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        scorer = Scorer(student, "random", LIMIT, LIMIT, store=Path(folder))
        for name, times in ((f"peak of {SOME} (MiB)", range(1)), (f"peak of {4 * SOME} (MiB)", range(1, 4))):
            texts = [(f"{i} {question}", f"{i} {r}", label) for i in times for question, r, label in some]
            score(scorer, texts)
            rows[name] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    few, many = rows.values()
    return rows | {MORE: many - few}


def score(scorer: Scorer, texts: list[tuple[str, str, str]]) -> None:
    """Shuffled, so that each chunk of questions has long and short ones."""
    texts = random.Random(0).sample(texts, len(texts))
    ids = {question: f"q{i:05d}" for i, question in enumerate(dict.fromkeys(question for question, _, _ in texts))}
    questions = [Question(question_id=i, task="svamp", split="train", text=q, gold_label=None) for q, i in ids.items()]
    rationales = [
        Rationale(question_id=ids[question], sample=i, split="train", text=response, reasoning=response,
                  teacher_label=label, how="", correct=None, wrong_steps=None)
        for i, (question, response, label) in enumerate(texts)
    ]  # fmt: skip
    scorer.score(questions, rationales, {r.id: r.teacher_label for r in rationales})


def missed(rows: Rows, bounds: dict) -> list[str]:
    """What is out of bounds: {"fp32, ours : plain": 1.2} -> ["fp32, ours : plain: 1.2, allowed: at least 1.9"]."""
    out = []
    for name, (least, most) in bounds.items():
        if least is not None and not rows[name] >= least:
            out.append(f"{name}: {rows[name]:.4g}, allowed: at least {least:g}")
        if most is not None and not rows[name] <= most:
            out.append(f"{name}: {rows[name]:.4g}, allowed: at most {most:g}")
    return out


def main() -> int:
    """Exit status: 1 with --check where a bound is missed, else 0; 0 as well where the real text is not there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("REAL_DATA", ROOT.parent / "shared" / "real"))
    parser.add_argument("--texts", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="cpu: for a machine that is busy, with 1 thread"
    )
    parser.add_argument("--check", action="store_true", help="fail where a bound is missed")
    parser.add_argument("--shape", choices=SHAPES, help="only the speed of this shape, in bf16")
    parser.add_argument("--peak", type=float, help="with --shape: the device's peak in bf16, TFLOP/s")
    parser.add_argument("--peaks", action="store_true", help="memory only (used by the benchmark itself)")
    chosen = parser.parse_args()
    data = Path(chosen.data)
    if not data.is_dir():
        print(f"not measured: no folder {data}; set REAL_DATA or --data")
        return 0
    torch.set_num_threads(chosen.threads)
    if chosen.peaks:
        print(json.dumps(peaks(data)))
        return 0
    if chosen.shape:
        rows = of_shape(data, chosen.shape, chosen.texts, chosen.rounds, chosen.peak)
    else:
        rows = speed(data, chosen.texts, chosen.rounds, CLOCKS[chosen.clock]) | memory(data)
    for name, value in rows.items():
        print(f"{name:<40} {value:10.4g}")
    out = missed(rows, BOUNDS) if chosen.check and not chosen.shape else []
    for line in out:
        print("missed:", line, file=sys.stderr)
    return 1 if out else 0


if __name__ == "__main__":
    sys.exit(main())
