"""The rationale browser: one page with every question's rationales, their scores, verdicts, critiques and readers.

    page(collect(files), {"profile": "default", "task": "arithmetic", "teacher": "..."})      # a whole HTML page
    page(collect(files, each=20), about)                                                # 20 questions of each split

The one page with a script, which stands in it whole (lib/browser.js), as its style does; nothing is fetched. Teachers
and students wrote the texts, so they travel as JSON that can end no element, the script puts them in as text only, and
the page's policy lets run what it names by hash and nothing else.
"""

import base64
import csv
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template

from lib.draws import draw
from lib.errors import UserError
from lib.records import SPLITS, Evaluation, Question, Rationale, Refined, Row, Score, Selection, read_jsonl, read_rows
from lib.students import BASE
from lib.text import sentences

HERE = Path(__file__).parent
SEED = 0  # of the drawn questions
EACH = 20  # of each split, in the sample that the reports hold
SCORES = ("slc", "pmi", "rd")
RUN_COLUMNS = ["arm", "seed", "run"]
NAVIGATION = '<a href="{0}index.html">Contents</a>'


@dataclass(frozen=True)
class Files:
    """Where the records are.

    runs      CSV with the columns arm, seed and run (its id): whose answers are shown
    folders   of finished runs, one folder an id
    """

    questions: Path
    rationales: Path
    refined: Path
    evaluations: Path
    scores: Path
    selections: Path
    runs: Path
    folders: tuple[Path, ...]


def collect(files: Files, each: int | None = None, seed: int = SEED) -> dict:
    """All that the page shows, as JSON will have it; with `each` only so many questions of each split, drawn.

    {"of": {"questions": 2600, "rationales": 10600, ...}, "each": None, "seed": 0, "scores": ["SLC", "PMI", "RD"],
     "strategies": ["random", ...], "runs": ["1 CoT, seed 0", ...], "critiques": [...], "questions": [...]}

    A critique or a run is named by its place in its list, so that equal texts are kept once. Raises UserError for a
    record of an unknown question and for a run that is listed but not there.
    """
    questions = read_rows(files.questions, Question)
    rationales = [*read_rows(files.rationales, Rationale), *read_rows(files.refined, Refined)]
    _refuse_strangers(files.rationales, rationales, {q.id for q in questions})
    shown = drawn(questions, each, seed)
    evaluations, scores = read_rows(files.evaluations, Evaluation), read_rows(files.scores, Score)
    runs, written = _written(files, {q.id for q in shown})
    critiques: dict[str, int] = {}
    known = _Known(
        _grouped(evaluations, "rationale_id"),
        _grouped(scores, "rationale_id"),
        _chosen(read_rows(files.selections, Selection)),
        critiques,
        list(dict.fromkeys(score.student for score in scores)),
    )
    own = _grouped(rationales, "question_id")
    rows = [_question(q, own.get(q.id, []), written.get(q.id, []), known) for q in shown]
    totals = {"questions": len(questions), "rationales": len(rationales), "self-evaluations": len(evaluations)}
    return {
        "of": totals,
        "each": each,
        "seed": seed,
        "scores": [_scored_by(name.upper(), student) for student in known.students for name in SCORES],
        "strategies": sorted({label for labels in known.chosen.values() for label in labels}),
        "runs": runs,
        "critiques": list(critiques),
        "questions": rows,
    }


def drawn(questions: Sequence[Question], each: int | None, seed: int = SEED) -> list[Question]:
    """At most `each` questions of each split, chosen by a hash of seed and id; all without `each`. In order of ids."""
    order = sorted(questions, key=lambda q: draw(f"browser/{seed}/{q.id}"))
    shares = [[q for q in order if q.split == split][:each] for split in SPLITS]
    return sorted((q for share in shares for q in share), key=lambda q: q.id)


def page(data: Mapping, about: Mapping[str, str], reports: str = "") -> str:
    """The whole page. about: profile, task and teacher in words; reports: the way to the other pages, such as "../"."""
    style = "\n".join((HERE / name).read_text(encoding="utf-8") for name in ("render.css", "browser.css"))
    script = (HERE / "browser.js").read_text(encoding="utf-8")
    template = Template((HERE / "browser.html").read_text(encoding="utf-8"))
    return template.substitute(
        policy=f"default-src 'none'; script-src '{fingerprint(script)}'; style-src '{fingerprint(style)}'; "
        "base-uri 'none'; form-action 'none'",
        navigation=NAVIGATION.format(escape(reports)),
        counts=escape(in_words(data)),
        about=escape(f"Profile {about['profile']}, task {about['task']}. {about['teacher']}"),
        data=embedded(data),
        style=style,
        script=script,
    )


def in_words(data: Mapping) -> str:
    """What the page holds, of how much: counted, and how it was drawn."""
    shown, of = data["questions"], data["of"]
    own = [r for q in shown for r in q["rationales"]]
    held = {"questions": len(shown), "rationales": len(own), "self-evaluations": sum(len(r["verdicts"]) for r in own)}
    text = ", ".join(f"{held[name]:,} of {of[name]:,} {name}" for name in held)
    text += f"; answers of {len(data['runs'])} trained students to {sum(bool(q['students']) for q in shown)} questions."
    if data["each"] is None:
        return f"The whole of it: {text}"
    split = Counter(q["split"] for q in shown)
    shares = ", ".join(f"{split[name]} of {name}" for name in SPLITS)
    return f"A sample: {text} Questions drawn by a hash of their ids, seed {data['seed']}: {shares}."


def embedded(data) -> str:
    """JSON for an element of HTML: with no < no text ends the element or begins a comment; all of it is ASCII."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def fingerprint(text: str) -> str:
    """What a content security policy calls an inline script or style by, as it stands between its tags."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@dataclass(frozen=True)
class _Known:
    """What is known of rationales, by their ids; `critiques` fills as they are looked up."""

    evaluations: Mapping[str, list[Evaluation]]
    scores: Mapping[str, list[Score]]
    chosen: Mapping[str, list[str]]
    critiques: dict[str, int]
    students: list[str]


def _question(question: Question, rationales: Sequence[Rationale], students: list, known: _Known) -> dict:
    return {
        "id": question.id,
        "split": question.split,
        "text": question.text,
        "gold": question.gold_label,
        "rationales": [_rationale(r, known) for r in rationales],
        "students": students,
    }


def _rationale(rationale: Rationale, known: _Known) -> dict:
    """One rationale; scores in the order of the page's `scores`, None for one that is missing."""
    by_student = {score.student: score for score in known.scores.get(rationale.id, [])}
    scores = [getattr(by_student.get(student), name, None) for student in known.students for name in SCORES]
    verdicts = [
        [e.verdict, known.critiques.setdefault(e.critique, len(known.critiques))]
        for e in known.evaluations.get(rationale.id, [])
    ]
    return {
        "id": rationale.id,
        "steps": sentences(rationale.text),
        "wrong": rationale.wrong_steps,
        "answer": rationale.teacher_label,
        "correct": rationale.correct,
        "scores": scores,
        "verdicts": verdicts,
        "chosen": known.chosen.get(rationale.id, []),
    }


def _chosen(selections: Iterable[Selection]) -> dict[str, list[str]]:
    """Rationale id -> the strategies that chose it."""
    found = defaultdict(list)
    for selection in selections:
        for sample in selection.samples:
            label = _scored_by(selection.strategy, selection.student)
            found[f"{selection.question_id}/{sample:03d}"].append(label)
    return found


def _scored_by(name: str, student: str) -> str:
    return name if student == BASE else f"{name} ({student})"


def _written(files: Files, wanted: Collection[str]) -> tuple[list[str], dict[str, list]]:
    """The runs in words, and by question what their students wrote: [run, label, correct, sentences, wrong steps]."""
    names, written = [], defaultdict(list)
    for row in _listed(files.runs):
        names.append(f"{row['arm']}, seed {row['seed']}")
        for p in _predictions(row["run"], files):
            if p["question_id"] in wanted:
                own = sentences(p["rationale"]) if "rationale" in p else None
                answer = [len(names) - 1, p["student_label"], p["correct"], own, p.get("wrong_steps")]
                written[p["question_id"]].append(answer)
    return names, written


def _listed(path: Path) -> list[dict]:
    if not path.exists():
        raise UserError(f"{path}: no such file; `make reproduce` writes it")
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if missing := [name for name in RUN_COLUMNS if name not in (reader.fieldnames or [])]:
            raise UserError(f"{path}: no column {missing[0]!r}; columns: {', '.join(reader.fieldnames or [])}")
        return list(reader)


def _predictions(run: str, files: Files) -> list[dict]:
    """A run's answers to the test questions, from the folder that has it."""
    places = [folder / run / "predictions.jsonl" for folder in files.folders]
    found = next((place for place in places if place.exists()), None)
    if found is None:
        raise UserError(f"{files.runs}: run {run!r} is in none of {', '.join(map(str, files.folders))}")
    return read_jsonl(found)


def _grouped(rows: Iterable[Row], key: str) -> dict[str, list]:
    found = defaultdict(list)
    for row in rows:
        found[getattr(row, key)].append(row)
    return found


def _refuse_strangers(path: Path, rationales: Iterable[Rationale], known: Collection[str]) -> None:
    if stranger := next((r for r in rationales if r.question_id not in known), None):
        raise UserError(f"{path}: {stranger.id}: no question {stranger.question_id!r} in questions.jsonl")
