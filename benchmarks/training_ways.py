"""What benchmarks/training.py compares: the texts, the students, and the two ways of training on them."""

import json
import tempfile
from collections.abc import Callable, Sequence
from itertools import chain, cycle, islice
from pathlib import Path
from random import Random

import torch
from transformers import PrinterCallback, Trainer, TrainingArguments

from benchmarks.scoring import Rows, products
from lib.config import load_config
from lib.encoding import Encoded, collator, padded
from lib.examples import Example
from lib.forward import batch_loss
from lib.sampling import sample_rationales
from lib.schedule import BUCKET
from lib.student import Student, new_student
from lib.tasks import get_task, load_splits
from lib.teacher import open_teacher
from lib.teacher.store import Store
from lib.training import Plan, fit, on_one_device

DEFAULT = Path(__file__).resolve().parents[1] / "params/default.yaml"
FILES = ("svamp.gpt35.3cot.jsonl", "svamp.palm.1cot.jsonl")
BATCH, LAM, RATE = 16, 0.5, 5e-5
LABEL = 16  # tokens of a long text's label
Way = Callable[[Student, list[Encoded], Plan, Path], object]


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
    config = load_config(DEFAULT)
    task = get_task(config.task)
    asked = load_splits(config.task, config.tasks, config.data).of("train")[:questions]
    settings = config.generate.model_copy(update={"rationales": 1})
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "store.jsonl") as store:
        rows = sample_rationales(asked, task, open_teacher(config.teacher), store, settings).rows
    texts = {question.question_id: question.text for question in asked}
    return [Example(row.id, texts[row.question_id], row.teacher_label, row.text) for row in rows]


def default_student(examples: Sequence[Example]) -> Student:
    texts = [text for example in examples for pair in example.pairs() for text in pair]
    return new_student(load_config(DEFAULT).student, texts, seed=0)


def long_texts(encoded: Sequence[Encoded], tokens: int) -> list[Encoded]:
    """Examples as long as `tokens`: each is several of these behind one another, and cut there.

    How many is drawn, from one to as many as it takes, so that lengths spread about as far as real ones do.
    """
    draw, most = Random(0), -(-tokens // _mean([max(map(len, e.pairs[1])) for e in encoded]))
    made = []
    for i in range(len(encoded)):
        parts = [encoded[(i + k) % len(encoded)] for k in range(draw.randint(1, most))]
        label, source, target = (list(chain(*own)) for own in zip(*((e.pairs[0][1], *e.pairs[1]) for e in parts)))
        source = source[:tokens]
        made.append(Encoded(((source, label[:LABEL]), (source, target[:tokens]))))
    return made


def _mean(values: Sequence[int]) -> int:
    return max(sum(values) // len(values), 1)


def share_of_a_pass(encoded: Sequence[Encoded], steps: int) -> list[Encoded]:
    """Examples of so many of the batches, evenly by length, that a stretch of a pass makes of all of these.

    [1, 9, 2, 8, ...] for 2 steps of 2 -> [1, 2, 8, 9]. A few steps of one way then have exactly the texts of the other,
    and the padding that buckets leave in a whole pass. All its batches are the pass itself; some of them miss the
    longest texts, or give them too much weight, and these cost random batches the most.
    """
    stretch = Random(0).sample(list(encoded), min(len(encoded), BUCKET * BATCH))
    stretch.sort(key=lambda e: e.tokens)
    batches = [stretch[i : i + BATCH] for i in range(0, len(stretch) - BATCH + 1, BATCH)]
    if steps > len(batches):
        raise ValueError(f"{steps} steps, but {len(encoded)} examples make {len(batches)} batches of {BATCH}")
    return [e for k in range(steps) for e in batches[(2 * k + 1) * len(batches) // (2 * steps)]]


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
    """The Trainer as it comes, on the device that `ours` takes too; `plan.precision` bf16 is its own switch."""
    gpu = torch.cuda.is_available()
    arguments = on_one_device(TrainingArguments(
        output_dir=str(folder), max_steps=plan.steps, per_device_train_batch_size=plan.batch,
        learning_rate=plan.learning_rate, bf16=plan.precision == "bf16", report_to=[], disable_tqdm=True,
        remove_unused_columns=False, use_cpu=not gpu, dataloader_pin_memory=gpu, save_strategy="no",
    ))  # fmt: skip
    pad = student.tokenizer.pad_token_id
    trainer = TwoPasses(student.model, arguments, lambda rows: padded_pairs(rows, pad), encoded)
    trainer.remove_callback(PrinterCallback)
    trainer.train()


def ours(student: Student, encoded: list[Encoded], plan: Plan, folder: Path) -> None:
    fit(student, encoded, plan, folder)


def large_plan(steps: int, **changes) -> Plan:
    return Plan(steps, BATCH, RATE, 0, "adamw", LAM, **changes)


def small_plan(steps: int) -> Plan:
    train = load_config(DEFAULT).train
    return Plan(steps, train.batch, train.learning_rate, train.warmup_steps, train.optimizer, train.lam)


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


def flops(student: Student, encoded: Sequence[Encoded]) -> float:
    """What forward and backward of these examples need of an encoder-decoder: real tokens alone, nothing twice.

    Six FLOPs a weight of a matrix product and token (two forward, four backward), and as many for each product of
    attention: S × S of a source's tokens, half of T × T of a target's, which sees no later ones, and T × S across.
    """
    reading, of_question, writing = products(student)
    config, head = student.model.config, student.model.get_output_embeddings().weight.numel()
    total = 0.0
    for source, target in ((len(s), len(t)) for e in encoded for s, t in e.pairs):
        total += 6.0 * (source * (reading + of_question) + target * (writing + head))
        seen = config.num_layers * source**2 + config.num_decoder_layers * (target**2 / 2 + target * source)
        total += 6.0 * 2 * config.num_heads * config.d_kv * seen  # scores, and what they weigh
    return total
