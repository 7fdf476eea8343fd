"""What may go wrong in the middle of training or writing, said so that something can be done about it.

A loss that is not finite, memory that does not suffice, checkpoints that another recipe left behind: each is a
UserError that names the file or the setting. None of them is skipped over.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from lib.encoding import Encoded
from lib.errors import UserError, out_of_memory
from lib.records import write_json
from lib.schedule import passes
from lib.student import Student

PHASE = "phase.json"  # beside a phase's checkpoints: what they are of
# What may differ between a phase's beginning and its end: how its steps are computed, not which they are. Nor is it in
# a run's id: a run that ran out of memory goes on with less from its last checkpoint, and finished ones stay found.
HOW = {"pass_tokens", "checkpointing", "compile"}
R = TypeVar("R")
FIRST = 8  # of a weight's numbers, by which a student is known


def not_finite(
    folder: Path,
    student: Student,
    step: int,
    examples: Sequence[tuple[int, Encoded]],
    values: dict[str, float],
    mend: str | None = None,
) -> UserError:
    """The error of a step whose loss or gradient is no number; the step is written to a file, to be looked at.

    folder    of the phase; the file is <folder>/not_finite_step_<n>.json
    examples  the step's, each with its index among the phase's
    values    {"loss": nan, "gradient norm": nan, "learning rate": 0.03}
    mend      what to do about it, where the settings of section train are not read
    """
    file = folder / f"not_finite_step_{step}.json"
    rows = [{"index": i, "texts": _texts(student, e), "ids": e.pairs} for i, e in examples]
    write_json(file, {"step": step, **{key: repr(value) for key, value in values.items()}, "examples": rows})
    said = ", ".join(f"{key} {value:.4g}" for key, value in values.items())
    last = ([path.name for path in checkpoints(folder)] or ["none yet"])[-1]
    mend = mend or "lower train.learning_rate, or set train.precision: fp32 (all runs are then trained anew)"
    return UserError(
        f"training stopped at step {step}: {said}; its {len(rows)} examples stand in {file}; last good checkpoint: "
        f"{last}; {mend}"
    )


def checkpoints(folder: Path) -> list[Path]:
    """A phase's checkpoints, the newest last: checkpoint-50, checkpoint-100."""
    return sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))


def _texts(student: Student, example: Encoded) -> list[list[str]]:
    return [[student.tokenizer.decode(ids) for ids in pair] for pair in example.pairs]


@contextmanager
def memory_suffices(
    batch: int, budget: int | None, checkpointing: bool, examples, mend: str | None = None
) -> Iterator[None]:
    """Turn running out of memory within the block into a UserError that says which setting to lower.

    examples   called then: those of the step under way that this process has
    mend       what to do instead, where the settings of section train are not read
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        said = " ".join(str(error).split())
        where, ways = _what_to_lower(batch, budget, checkpointing, examples())
        raise UserError(f"out of memory at {where}: {mend or ways} ({said:.100})") from error


def as_memory_allows(
    batches: Iterable[list[int]], work: Callable[[list[int]], R], what: str
) -> Iterator[tuple[list[int], R]]:
    """(rows, work(rows)) of each batch; one that is too much for the memory is halved, and so are all behind it.

    batches   lists of rows, those of short texts first, so that what is too much once is too much from then on
    what      is done, for the UserError where a single row is too much
    """
    most = None
    for batch in batches:
        while batch:
            rows = batch[:most]
            found = _unless_out_of_memory(work, rows)
            if found is not None:
                yield rows, found
                batch = batch[len(rows) :]
            elif len(rows) == 1:
                raise UserError(
                    f"student.max_target_tokens: out of memory at one row alone, while {what}; lower it or "
                    "max_source_tokens, or take a smaller student"
                )
            else:
                most = len(rows) // 2


def _unless_out_of_memory(work: Callable, rows: list[int]):
    """None where memory runs out; what had been computed is let go with the error."""
    try:
        return work(rows)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        return None


def _what_to_lower(batch: int, budget: int | None, checkpointing: bool, examples: Sequence[Encoded]) -> tuple[str, str]:
    """At which pass the memory ended, and the settings that would make it smaller."""
    lengths = [e.lengths for e in examples]
    cut = passes(lengths, budget)
    tokens = max(sum(sum(lengths[i]) for i in rows) for rows in cut)
    longest = max(map(sum, lengths))
    ways, after = [] if checkpointing else ["set train.checkpointing: true"], ""
    if max(map(len, cut)) > 1:
        ways.append(f"lower train.pass_tokens (now {budget or 'null, a whole step'}; an example has up to {longest})")
        after = "; it then goes on from its last checkpoint"
    else:
        limits = f"lower student.max_source_tokens or max_target_tokens (an example of {longest} tokens is alone"
        ways.append(f"{limits}; all runs are then trained anew)")
    return f"a pass of {tokens} tokens of a step of {batch} examples", f"{' or '.join(ways)}{after}"


def refuse_another_recipe(folder: Path, plan, encoded: Sequence[Encoded], student: Student) -> None:
    """UserError where `folder` has checkpoints of another plan, other examples or another student; else remember these.

    plan   a dataclass; what only says how its steps are computed (`HOW`) may differ
    """
    own = {key: value for key, value in dataclasses.asdict(plan).items() if key not in HOW}
    own |= {"examples": _hash([e.pairs for e in encoded]), "student": fingerprint(student)}
    file = folder / PHASE
    found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else own
    differing = [f"{key} {found.get(key)!r}, now {value!r}" for key, value in own.items() if found.get(key) != value]
    if differing and checkpoints(folder):
        raise UserError(f"{folder}: its checkpoints are of another recipe ({'; '.join(differing)}); delete the folder")
    write_json(file, own)


def fingerprint(student: Student) -> str:
    """A hash of where a student is from, of its shape, and of the first numbers of each of its weights.

    Published students of one shape (T5 v1.1 and Flan-T5), and one from scratch with other seeds, are different ones.
    """
    weights = [
        [name, list(p.shape), p.detach().flatten()[:FIRST].tolist()] for name, p in student.model.named_parameters()
    ]
    return _hash([student.model.config.name_or_path, weights])


def _hash(content) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
