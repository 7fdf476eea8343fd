"""What is in the files outside the repository that params.yaml names, so that a changed file is noticed.

    python -m lib.inputs        # writes inputs.lock; `make reproduce` does it first

dvc.yaml cannot name these files, for they differ from machine to machine. It names the sections of inputs.lock:

    data: sha256 6f1c…          # of what data.raw names, where the task is a published data set
    student: none
    teacher: none

A data set that is fetched from the hub stands there as "hub openai/gsm8k newest", or with its revision.
"""

import hashlib
import sys
from pathlib import Path

from lib import paths
from lib.config import load_config
from lib.errors import UserError
from lib.records import write_atomically
from lib.settings import Config
from lib.tasks import published_source
from lib.tasks.reading import hub_of

LOCK = paths.ROOT / "inputs.lock"
HEADER = "# Written by `make reproduce`: what is in the files outside the repository that params.yaml names.\n"


def write_lock(config: Config) -> None:
    """Write inputs.lock. It is touched only when something changed. Raises UserError for a missing file."""
    named = inputs_of(config)
    lines = {section: fingerprint(section, inputs) for section, inputs in named.items()}
    lines["data"] = fetched(config) or lines["data"]
    text = HEADER + "".join(f"{section}: {lines[section]}\n" for section in sorted(lines))
    if not LOCK.exists() or LOCK.read_text(encoding="utf-8") != text:
        write_atomically(LOCK, text)


def inputs_of(config: Config) -> dict[str, list[Path]]:
    """The files and folders that each section of params.yaml makes the pipeline read."""
    recorded = config.teacher.kind == "recorded" and config.teacher.recorded.path
    raw = published_source(config.task, config.tasks) and config.data.raw
    named = {config.student.source, config.student.tokenizer} - {"scratch", "words"}
    student = [Path(name) for name in sorted(named) if Path(name).is_dir()]  # else it is a name on the hub
    return {
        "data": [Path(raw)] if raw else [],
        "student": student,
        "teacher": [Path(recorded)] if recorded else [],
    }


def fetched(config: Config) -> str | None:
    """Which data set, in which revision, comes from the hub; None if none does. UserError if it cannot."""
    data_set = published_source(config.task, config.tasks)
    if data_set is None or config.data.raw is not None:
        return None
    return f"hub {hub_of(data_set).id} {config.data.revision or 'newest'}"


def fingerprint(section: str, inputs: list[Path]) -> str:
    """One hash over the content of files and folders, in order; "none" without any."""
    if not inputs:
        return "none"
    digest = hashlib.sha256()
    for path in inputs:
        if not path.exists():
            raise UserError(f"params.yaml: {section}: no such file: {path}")
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                digest.update(f"{file.relative_to(path)}\0{_sha256(file)}\n".encode())
    return f"sha256 {digest.hexdigest()}"


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


if __name__ == "__main__":
    try:
        write_lock(load_config())
    except UserError as error:
        sys.exit(f"error: {error}")
