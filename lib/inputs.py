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
from collections.abc import Collection
from pathlib import Path

from lib import paths
from lib.arms import Recipe, make_arms, with_labels
from lib.config import load_config
from lib.errors import UserError, quoted
from lib.records import write_atomically
from lib.selection import check_strategy
from lib.settings import Config, Finding
from lib.similarity import get_similarity
from lib.students import all_students
from lib.tasks import published_source
from lib.tasks.reading import hub_of

LOCK = paths.ROOT / "inputs.lock"
INSTEAD = "ask for more, or set train.unfed: skip"
HEADER = "# Written by `make reproduce`: what is in the files outside the repository that params.yaml names.\n"


def write_lock(config: Config) -> None:
    """Write inputs.lock. It is touched only when something changed. Raises UserError for a missing file."""
    named = inputs_of(config)
    lines = {section: fingerprint(section, inputs) for section, inputs in named.items()}
    lines["data"] = fetched(config) or lines["data"]
    text = HEADER + "".join(f"{section}: {lines[section]}\n" for section in sorted(lines))
    if not LOCK.exists() or LOCK.read_text(encoding="utf-8") != text:
        write_atomically(LOCK, text)


def refuse_mistakes(config: Config) -> None:
    """UserError for names and numbers that a later stage would refuse, before an earlier one costs anything.

    Strategies; similarity; students; arms, what they name and whether there will be enough to feed them; findings;
    the arms that are named for the headline, the cases and the likeness to the teacher.
    """
    for key, specs in (("strategies", config.slc.strategies), ("refine.chains", config.slc.refine.chains)):
        for spec in specs:
            try:
                check_strategy(spec)
            except UserError as error:
                raise UserError(f"params.yaml: slc.{key}: {error}") from None
    try:
        get_similarity(config.slc.similarity)
    except UserError as error:
        raise UserError(f"params.yaml: slc.similarity: {error}") from None
    students = all_students(config.student, config.students)
    arms = with_labels(make_arms(config.train.arms, config.train, where="params.yaml: train.arms"), config.train.labels)
    for arm in arms.values():
        if mistake := _misnamed(arm.recipe, config, students) or _unfed(arm.recipe, config):
            raise UserError(f"params.yaml: train.arms: {arm.name!r}: {mistake}")
    for title, finding in config.ablate.findings.items():
        if mistake := _misplaced(finding, arms):
            raise UserError(f"params.yaml: ablate.findings: {title!r}: {mistake}")
    for key, name, there in _named_arms(config, arms):
        if not there:
            raise UserError(f"params.yaml: {key}: no arm {name!r}; arms: {quoted(arms)}")


def _misnamed(recipe: Recipe, config: Config, students: Collection[str]) -> str | None:
    """Which student or chain of rationales there is not; None if all are there."""
    for key, name in (("student", recipe.student), ("scorer", recipe.scored_by)):
        if name not in students:
            return f"{key}: no student {name!r}; students: {', '.join(students)}"
    if recipe.round and recipe.chain not in (chains := _chains(config)):
        return f"chain: slc.refine makes no chain {recipe.chain!r}; chains: {', '.join(map(repr, chains)) or 'none'}"
    return None


def _chains(config: Config) -> list[str]:
    """The names of `refinement.chains_of`, which would open the teacher; those of 0 rounds, too."""
    chains, teacher = config.slc.refine.chains, config.teacher
    control = teacher.kind == "simulated" and teacher.simulated.imitation
    return [*chains, *(f"{first}, imitation off" for first in chains[:1] if control)]


def _unfed(recipe: Recipe, config: Config) -> str | None:
    """What an arm needs more of than the settings ask the teacher for; None if nothing, or if it may be skipped."""
    if config.train.unfed == "skip":
        return None
    rounds, evaluations = config.slc.refine.rounds, config.self_eval.evaluations
    asked, key = config.generate.rationales, "generate.rationales"
    if recipe.round:
        asked, key = config.slc.refine.rationales, "slc.refine.rationales"
    if recipe.round > rounds:
        return f"round: {recipe.round}, but slc.refine.rounds is {rounds}; {INSTEAD}"
    if recipe.rationales > asked:
        return f"rationales: {recipe.rationales}, but {key} is {asked}; {INSTEAD}"
    if recipe.labels == "majority" and asked < 2:
        return f"labels: a majority needs several rationales, but {key} is {asked}; {INSTEAD}"
    if recipe.evaluations > evaluations:
        return f"evaluations: {recipe.evaluations}, but self_eval.evaluations is {evaluations}; {INSTEAD}"
    return None


def _misplaced(finding: Finding, arms: Collection[str]) -> str | None:
    """Which key or arm of a finding there is not; None if all are there."""
    allowed = [*Recipe.model_fields, "arm"]
    for key in filter(None, (finding.x, finding.by)):
        if key not in allowed:
            return f"no recipe has a key {key!r}; allowed: {', '.join(allowed)}"
    for name in finding.arms:
        if not _ran(name, arms):
            return f"no arm {name!r}; arms: {quoted(arms)}"
    return None


def _named_arms(config: Config, arms: Collection[str]) -> list[tuple[str, str, bool]]:
    """(key, arm, whether there is such an arm) of single arms that settings name.

    Headline and likeness name them as they are shown, "1 CoT (H)"; the cases may leave out " (H)", as findings may.
    """
    cases, exact = config.ablate.cases, [("train.headline", config.train.headline)]
    exact += [("ablate.alike", name) for name in config.ablate.alike]
    either = [("ablate.cases.baseline", cases.baseline)]
    either += [("ablate.cases.method", cases.method)] if cases.method else []
    return [(key, name, name in arms) for key, name in exact] + [(key, name, _ran(name, arms)) for key, name in either]


def _ran(name: str, arms: Collection[str]) -> bool:
    """Whether there is an arm of this name, or one of its name with gold labels."""
    return name in arms or f"{name} (H)" in arms


def inputs_of(config: Config) -> dict[str, list[Path]]:
    """The files and folders that each section of params.yaml makes the pipeline read."""
    recorded = config.teacher.kind == "recorded" and config.teacher.recorded.path
    raw = published_source(config.task, config.tasks) and config.data.raw
    students = all_students(config.student, config.students).values()
    named = {name for student in students for name in (student.source, student.tokenizer)}
    student = [Path(name) for name in sorted(named - {"scratch", "words"}) if Path(name).is_dir()]  # else on the hub
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
        config = load_config()
        refuse_mistakes(config)
        write_lock(config)
    except UserError as error:
        sys.exit(f"error: {error}")
