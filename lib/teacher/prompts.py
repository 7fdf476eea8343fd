"""Few-shot prompts from text files, and back: which question, which rationale does a prompt ask about?

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

A chat prompt is the system line, the exemplars as user and assistant messages in turn, and the question as the last
user message: "Q: {question}", or "Question: {question}\\nAnswer: {rationale}" where a rationale is to be judged.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from lib.errors import UserError
from lib.records import VERDICTS
from lib.teacher import Message

FOLDER = Path(__file__).with_name("prompts")
COT, SELF_EVAL = "cot", "self_eval"
PARTS = {COT: ("question", "rationale"), SELF_EVAL: ("question", "rationale", "evaluation")}
ANSWER_SENTENCE = re.compile(r"The answer is \S.*\.$")
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


# -- prompts out ---------------------------------------------------------------------------------


def cot_messages(task: str, question: str, exemplars: int | Sequence[Exemplar] = 5) -> tuple[Message, ...]:
    """The prompt that asks for a rationale.

    exemplars   how many of the file's to show, or the exemplars themselves (iterative refinement brings its own)
    """
    return (*_prefix(task, COT, exemplars), _message("user", f"Q: {question}"))


def self_eval_messages(
    task: str, question: str, rationale: str, exemplars: int | Sequence[Exemplar] = 5
) -> tuple[Message, ...]:
    """The prompt that asks for a critique and a verdict of one rationale."""
    return (*_prefix(task, SELF_EVAL, exemplars), _message("user", _judged(question, rationale)))


def refuse_seen(task: str, kind: str, questions: Iterable[str]) -> None:
    """UserError where an exemplar's question is one of `questions`: it would be answered in its own prompt."""
    prompt = load_prompt(task, kind)
    shown = {_normal(exemplar.question) for exemplar in prompt.exemplars}
    for text in questions:
        if _normal(text) in shown:
            raise UserError(f"{prompt.path}: an exemplar is a question of the data set: {text!r:.80}; change it")


def _prefix(task: str, kind: str, exemplars: int | Sequence[Exemplar]) -> tuple[Message, ...]:
    path = _path(task, kind)
    # Read again only where the file has changed: tens of thousands of prompts share these messages.
    return _chat(path, path.stat().st_mtime_ns, kind, exemplars if isinstance(exemplars, int) else tuple(exemplars))


@lru_cache(maxsize=256)
def _chat(path: Path, changed: int, kind: str, exemplars: int | tuple[Exemplar, ...]) -> tuple[Message, ...]:
    """System line and exemplars."""
    prompt = read_prompt(path, kind)
    shown = _first(prompt, exemplars) if isinstance(exemplars, int) else exemplars
    turns = [_turn(kind, exemplar) for exemplar in shown]
    return (_message("system", prompt.system), *(message for turn in turns for message in turn))


def _first(prompt: Prompt, count: int) -> tuple[Exemplar, ...]:
    if not 0 <= count <= len(prompt.exemplars):
        raise UserError(f"{prompt.path}: {count} exemplars asked for, the file has {len(prompt.exemplars)}")
    return prompt.exemplars[:count]


def _turn(kind: str, exemplar: Exemplar) -> tuple[Message, Message]:
    if kind == COT:
        return _message("user", f"Q: {exemplar.question}"), _message("assistant", exemplar.rationale)
    return _message("user", _judged(exemplar.question, exemplar.rationale)), _message("assistant", exemplar.evaluation)


def _judged(question: str, rationale: str) -> str:
    # On one line, so that "\nAnswer: " stands once, or at least last.
    return f"Question: {question}\nAnswer: {_normal(rationale)}"


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _normal(text: str) -> str:
    return " ".join(text.split())


# -- prompts in ----------------------------------------------------------------------------------


def question_of(messages: Sequence[Message]) -> str:
    """The question that the last message of a prompt asks about."""
    return _asked(messages)[0]


def rationale_of(messages: Sequence[Message]) -> str | None:
    """The rationale that the last message asks to judge; None in a prompt that asks for one."""
    return _asked(messages)[1]


def _asked(messages: Sequence[Message]) -> tuple[str, str | None]:
    text = messages[-1]["content"]
    if text.startswith("Q: "):
        return text[3:], None
    if text.startswith("Question: ") and "\nAnswer: " in text:
        question, _, rationale = text[len("Question: ") :].rpartition("\nAnswer: ")
        return question, rationale
    raise UserError(f"a prompt must end in 'Q: ...' or 'Question: ...\\nAnswer: ...', given {text!r:.80}")


# -- what comes back -----------------------------------------------------------------------------

# All repetitions are bounded: the text is not trusted, and reading it must take linear time.
_GAP = r"[\s*_]{0,5}"
_RUN_ON = re.compile(r"\n[ \t]{0,9}(?:Q|Question) ?:")
_HEADING = re.compile(rf"[*_#]{{0,5}} ?Evaluation{_GAP}:{_GAP}", re.IGNORECASE)
_SAYS = r"the[\s*_]{1,5}(?:given[\s*_]{1,5})?answer[\s*_]{1,5}is[\s*_]{1,5}"
_WORD = r"(not[\s*_]{1,5})?(correct|right|incorrect|wrong|uncertain|unclear)\b"
_RESULT = re.compile(rf"[*_#]{{0,5}}Evaluation[\s*_]{{1,5}}result{_GAP}:?{_GAP}(?:{_SAYS})?{_WORD}", re.IGNORECASE)
_SENTENCE = re.compile(rf"(?:(?:therefore|thus|so|hence)[,\s]{{1,3}})?{_SAYS}{_WORD}", re.IGNORECASE)
_MEANING = {"right": "correct", "incorrect": "wrong", "unclear": "uncertain"}
_OPPOSITE = {"correct": "wrong", "wrong": "correct"}


def parse_evaluation(text: str) -> tuple[str | None, str]:
    """(verdict, critique) of a self-evaluation; verdict None where the text gives none.

    "Evaluation: Step 2 slips. Evaluation result: the given answer is wrong." -> ("wrong", "Step 2 slips.")

    The verdict is the last "Evaluation result: ..." before an invented next question, else the last "the answer is
    ...". The critique is what stands before it, without its heading, on one line. Never raises.
    """
    text = _RUN_ON.split(text, maxsplit=1)[0]
    found = list(_RESULT.finditer(text)) or list(_SENTENCE.finditer(text))
    if not found:
        return None, _critique(text)
    return _verdict(*found[-1].groups()), _critique(text[: found[-1].start()])


def _verdict(negated: str | None, word: str) -> str | None:
    word = word.lower()
    verdict = _MEANING.get(word, word)
    return _OPPOSITE.get(verdict) if negated else verdict


def _critique(text: str) -> str:
    text = _normal(text)
    heading = _HEADING.match(text)
    return text[heading.end() :] if heading else text


# -- files ---------------------------------------------------------------------------------------


def load_prompt(task: str, kind: str, folder: Path = FOLDER) -> Prompt:
    """The prompt file of a task, `kind` "cot" or "self_eval". UserError naming file and line."""
    return read_prompt(_path(task, kind, folder), kind)


def read_prompt(path: Path, kind: str) -> Prompt:
    """A prompt file, checked. UserError naming file and line."""
    (line, name, system), *sections = _sections(path)
    if name != "system":
        raise UserError(f"{path}:{line}: the first section must be 'system', given {name!r}")
    return Prompt(path, system, tuple(_exemplars(path, kind, sections)))


def _path(task: str, kind: str, folder: Path = FOLDER) -> Path:
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
