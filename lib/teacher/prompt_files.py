"""The prompt files: text with sections, one folder for all tasks.

A file `prompts/<task>.cot.txt` holds a system line and worked exemplars; `prompts/<task>.self_eval.txt` judged ones:

    # Anything before the first section is a comment.
    === system
    You solve arithmetic word problems step by step. ...
    === question
    Nora has 8 pencils. ... How many pencils does Nora have now?
    === rationale
    We know that Nora has 8 pencils. ... The answer is (8 + 5).
    === evaluation                       (self_eval only)
    Step 2 uses ... Evaluation result: the given answer is wrong.

A file `prompts/<task>.zero_shot.txt` has the sections system, reasoning ("Let's think step by step.") and answer
("Therefore, the answer, as one number, is"): the triggers of two calls without exemplars.

The file `prompts/rating.txt`, one for all tasks, has the sections system and request: how a rationale is rated.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from lib.errors import UserError
from lib.records import VERDICTS

FOLDER = Path(__file__).with_name("prompts")
COT, SELF_EVAL, ZERO_SHOT = "cot", "self_eval", "zero_shot"
PARTS = {COT: ("question", "rationale"), SELF_EVAL: ("question", "rationale", "evaluation")}
ZERO_SHOT_SECTIONS = ("system", "reasoning", "answer")
ANSWER_TRIGGER = "Therefore, the answer"
ANSWER_SENTENCE = re.compile(r"The answer is \S.*\.$")
RATING_TRIGGER = "Rating:"
VERDICT_SENTENCE = "Evaluation result: the given answer is {verdict}."


@dataclass(frozen=True)
class Exemplar:
    """One worked example of a prompt; `evaluation` is None in a CoT prompt."""

    question: str
    rationale: str
    evaluation: str | None = None


@dataclass(frozen=True)
class Prompt:
    """A prompt file: what the teacher is told, and its exemplars in the file's order."""

    path: Path
    system: str
    exemplars: tuple[Exemplar, ...]


@dataclass(frozen=True)
class ZeroShot:
    """A zero-shot prompt file: what the teacher is told, and the triggers of its two calls."""

    path: Path
    system: str
    reasoning: str
    answer: str


@dataclass(frozen=True)
class RatingPrompt:
    """The prompt file of the judge: what the teacher is told, and what follows the rationale that is to be rated."""

    path: Path
    system: str
    request: str


def load_rating(folder: Path = FOLDER) -> RatingPrompt:
    """The prompt by which a rationale is rated. UserError naming file and line."""
    path = folder / "rating.txt"
    if not path.exists():
        raise UserError(f"{path}: no such prompt; it must have the sections system, request")
    sections = _sections(path)
    if [name for _, name, _ in sections] != ["system", "request"]:
        given = ", ".join(name for _, name, _ in sections)
        raise UserError(f"{path}: sections {given}; expected system, request, each once, in this order")
    (line, _, system), (last, _, request) = sections
    if not system:
        raise UserError(f"{path}:{line}: section 'system' is empty")
    if not request.endswith(RATING_TRIGGER):
        raise UserError(f"{path}:{last}: must end in {RATING_TRIGGER!r}, given {request[-40:]!r}")
    return RatingPrompt(path, system, request)


def load_zero_shot(task: str, folder: Path = FOLDER) -> ZeroShot:
    """The zero-shot prompt of a task. UserError naming file and line."""
    path = path_of(task, ZERO_SHOT, folder)
    return _zero_shot(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _zero_shot(path: Path, changed: int) -> ZeroShot:
    sections = _sections(path)
    if [name for _, name, _ in sections] != list(ZERO_SHOT_SECTIONS):
        given = ", ".join(name for _, name, _ in sections)
        raise UserError(f"{path}: sections {given}; expected {', '.join(ZERO_SHOT_SECTIONS)}, each once, in this order")
    for line, name, text in sections:
        if not text:
            raise UserError(f"{path}:{line}: section {name!r} is empty")
    if not sections[-1][2].startswith(ANSWER_TRIGGER):
        raise UserError(f"{path}:{sections[-1][0]}: must begin {ANSWER_TRIGGER!r}, given {sections[-1][2]!r:.60}")
    return ZeroShot(path, *(text for _, _, text in sections))


def load_prompt(task: str, kind: str, folder: Path = FOLDER) -> Prompt:
    """The prompt file of a task, `kind` "cot" or "self_eval". UserError naming file and line."""
    return read_prompt(path_of(task, kind, folder), kind)


def read_prompt(path: Path, kind: str) -> Prompt:
    """A prompt file, checked. UserError naming file and line."""
    (line, name, system), *sections = _sections(path)
    if name != "system":
        raise UserError(f"{path}:{line}: the first section must be 'system', given {name!r}")
    return Prompt(path, system, tuple(_exemplars(path, kind, sections)))


def path_of(task: str, kind: str, folder: Path = FOLDER) -> Path:
    path = folder / f"{task}.{kind}.txt"
    if not path.exists():
        there = ", ".join(sorted(p.name for p in folder.glob(f"*.{kind}.txt"))) or "none"
        raise UserError(f"{path}: no such prompt; there are: {there}")
    return path


def _sections(path: Path) -> list[tuple[int, str, str]]:
    """(line number, name, text) of each "=== name" section."""
    sections: list[tuple[int, str, list[str]]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("==="):
            sections.append((number, line.strip("= "), []))
        elif sections:
            sections[-1][2].append(line)
        elif line.strip() and not line.startswith("#"):
            raise UserError(f"{path}:{number}: text before the first '=== system'; begin comments with '#'")
    if not sections:
        raise UserError(f"{path}: empty; expected '=== system' and exemplars")
    return [(number, name, "\n".join(lines).strip()) for number, name, lines in sections]


def _exemplars(path: Path, kind: str, sections: list[tuple[int, str, str]]):
    parts = PARTS[kind]
    for start in range(0, len(sections), len(parts)):
        group = sections[start : start + len(parts)]
        for (line, name, text), expected in zip(group, parts):
            _check_part(f"{path}:{line}", name, text, expected)
        if len(group) < len(parts):
            raise UserError(f"{path}:{group[-1][0]}: the last exemplar ends here; expected: {', '.join(parts)}")
        yield Exemplar(*(text for _, _, text in group))


def _check_part(where: str, name: str, text: str, expected: str) -> None:
    """One part of an exemplar: the right one, not empty, and ending as the teacher's texts have to end."""
    if name != expected:
        raise UserError(f"{where}: section {name!r}, expected {expected!r}")
    if not text:
        raise UserError(f"{where}: section {name!r} is empty")
    if name == "rationale" and not ANSWER_SENTENCE.search(text):
        raise UserError(f"{where}: a rationale must end in 'The answer is ... .', given {text[-40:]!r}")
    if name == "evaluation" and not text.endswith(tuple(VERDICT_SENTENCE.format(verdict=v) for v in VERDICTS)):
        raise UserError(f"{where}: an evaluation must end in {VERDICT_SENTENCE!r}, given {text[-40:]!r}")
