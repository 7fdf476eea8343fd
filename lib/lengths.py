"""Whether the texts of planned runs fit their students: looked at for all runs before the first of them is trained.

text_lengths(runs)[0]   # {"arm": "1 CoT", "phase": "reasoning", "texts": 3600, "longest source": 61, ..., "share": 0.0}
refuse_unfit_runs(runs) # UserError: arm '1 CoT', reasoning: student.max_source_tokens 256, ...: 7 of 3600 training ...

A tokenizer reads every text once, however many runs have it, and of what it reads only the lengths are kept.
"""

from collections.abc import Iterable, Sequence

from lib.encoding import refuse_truncated, source_ids, target_ids, too_long
from lib.errors import UserError
from lib.examples import EXPLAIN, PREDICT, Example
from lib.planning import Run
from lib.records import VERDICTS
from lib.student import Student, decoder_only, positions
from lib.unfit import refuse_no_room
from lib.words import unknown

READ_AT_ONCE = 10_000  # texts whose ids exist at one time


class _Reader:
    """How many tokens a tokenizer makes of sources and of targets, their special tokens included."""

    def __init__(self, run: Run):
        self.tokenizer, self.decoder_only = run.tokenizer, decoder_only(run.student)
        self._sources: dict[str, int] = {}
        self._targets: dict[str, int] = {}

    def sources(self, texts: Iterable[str]) -> list[int]:
        return self._read(source_ids, self._sources, list(texts))

    def targets(self, texts: Iterable[str]) -> list[int]:
        return self._read(target_ids, self._targets, list(texts))

    def _read(self, ids, known: dict[str, int], texts: list[str]) -> list[int]:
        new = sorted(set(texts) - known.keys())
        for start in range(0, len(new), READ_AT_ONCE):
            some = new[start : start + READ_AT_ONCE]
            known.update(zip(some, map(len, ids(self.tokenizer, some, self.decoder_only))))
        return [known[text] for text in texts]


class _Readers:
    """A reader for each tokenizer and kind of student, and the phases that were measured: seeds share many."""

    def __init__(self):
        self._readers: dict[tuple, _Reader] = {}
        self._phases: dict[tuple, list[tuple[int, int]]] = {}

    def of(self, run: Run) -> _Reader:
        key = id(run.tokenizer), run.student
        if key not in self._readers:
            self._readers[key] = _Reader(run)
        return self._readers[key]

    def pairs(self, run: Run, phase: Sequence[Example]) -> list[tuple[int, int]]:
        """(tokens of the source, of the target) of each text that a phase learns from."""
        reader = self.of(run)
        key = id(phase), id(reader)
        if key not in self._phases:
            texts = [pair for example in phase for pair in example.pairs()]
            sources, targets = reader.sources(s for s, _ in texts), reader.targets(t for _, t in texts)
            self._phases[key] = list(zip(sources, targets))
        return self._phases[key]


def text_lengths(runs: Sequence[Run]) -> list[dict]:
    """A row an arm and phase: how long its training texts are, and how many of them its student would see cut.

    longest source, longest target   tokens; of the longest of all seeds
    truncated, share                 texts over student.max_source_tokens or max_target_tokens: of the worst seed
    """
    readers, rows = _Readers(), {}
    for run in runs:
        for name, phase in _phases(run):
            row = _row(run, name, readers.pairs(run, phase))
            rows[run.arm, name] = _worse(rows.get((run.arm, name), row), row)
    return list(rows.values())


def unknown_share(student: Student, texts: Iterable[str]) -> float:
    """Share of the texts' tokens, of a T5 their ends as well, that the student's tokenizer cannot represent."""
    missing, of = unknown(student.tokenizer, (i for text in texts for i in student.ids(text)))
    return missing / max(of, 1)


def refuse_unfit_runs(runs: Sequence[Run]) -> None:
    """UserError for the first arm whose run would fail, or learn what it can never write, naming setting and numbers.

    - no examples to learn from, or a phase of self-evaluation without any
    - more texts too long than student.max_truncated_share allows
    - a label that is learned, or a gold label of a validation or test question, of more tokens than may be written
    - a question to be answered that leaves a decoder-only student no positions to write in
    """
    readers = _Readers()
    for run in runs:
        _refuse_empty(run)
        for name, phase in _phases(run):
            pairs, limits = readers.pairs(run, phase), run.student
            where = f"arm {run.arm!r}, {name}: "
            most = limits.max_source_tokens, limits.max_target_tokens
            refuse_truncated(pairs, *most, limits.max_truncated_share, where)
        _refuse_long_labels(run, readers.of(run))
        _refuse_long_questions(run, readers.of(run))


def _phases(run: Run) -> list[tuple[str, Sequence[Example]]]:
    named = [("self-evaluation", run.evaluation_phase), ("reasoning", run.reasoning_phase)]
    return [(name, phase) for name, phase in named if phase]


def _row(run: Run, phase: str, pairs: Sequence[tuple[int, int]]) -> dict:
    sources, targets = zip(*pairs)
    limits = run.student
    cut = too_long(pairs, limits.max_source_tokens, limits.max_target_tokens)
    return {
        "arm": run.arm, "phase": phase, "texts": len(pairs), "longest source": max(sources),
        "longest target": max(targets), "truncated": cut, "share": cut / len(pairs),
    }  # fmt: skip


def _worse(one: dict, other: dict) -> dict:
    """The row of more truncated texts, with the longest of both."""
    worst = max(one, other, key=lambda row: row["share"])
    return worst | {key: max(one[key], other[key]) for key in ("longest source", "longest target")}


def _refuse_empty(run: Run) -> None:
    if not run.reasoning_phase:
        raise UserError(f"arm {run.arm!r}: no usable training examples, nothing to fit the student on")
    if run.recipe.evaluations and not run.evaluation_phase:
        raise UserError(
            f"arm {run.arm!r}: evaluations: {run.recipe.evaluations}, but none of its {len(run.reasoning_phase)} "
            "rationales has a self-evaluation"
        )


def _refuse_long_labels(run: Run, reader: _Reader) -> None:
    """What is written ends after so many tokens, with or without an end token: a longer label is never right."""
    first, limits = run.recipe.rationale_first, run.student
    name = "max_target_tokens" if first else "max_label_tokens"
    gold = {split: [q.gold_label for q in questions if q.gold_label is not None] for split, questions in _held_out(run)}
    # of a label behind a rationale the whole text is looked at: `refuse_truncated`
    learned = {} if first else {"training": [example.label for example in run.reasoning_phase]}
    for split, labels in (learned | gold).items():
        counted = [(n - 1, label) for n, label in zip(reader.targets(labels), labels)]
        longer = [pair for pair in counted if pair[0] > getattr(limits, name)]
        if longer:
            longest, label = max(longer)
            raise UserError(
                f"arm {run.arm!r}: student.{name} {getattr(limits, name)}: {len(longer)} of {len(labels)} {split} "
                f"labels are longer and could never be written (longest {longest} tokens: {label!r:.60}); raise it"
            )


def _refuse_long_questions(run: Run, reader: _Reader) -> None:
    """As writing does, which comes after training: it would find no room behind a question."""
    room = positions(run.student)
    if room is None:
        return
    for text, name, most in _asked(run, reader):
        [tokens] = reader.sources([text])
        written = (name, most) if reader.decoder_only else None
        refuse_no_room(text, tokens, room, written, f"arm {run.arm!r}: ")


def _asked(run: Run, reader: _Reader) -> list[tuple[str, str, int]]:
    """(text, the setting that says how much is written behind it, how much) of all that is asked of the student."""
    limits, questions = run.student, [q.text for _, held_out in _held_out(run) for q in held_out]
    label = "student.max_label_tokens", limits.max_label_tokens
    rationale = "student.max_target_tokens", limits.max_target_tokens
    judged = "a verdict of", max(reader.targets(VERDICTS))
    if run.recipe.rationale_first:
        asked = [(text, *rationale) for text in questions]
    else:
        asked = [(PREDICT + text, *label) for text in questions]
        asked += [(EXPLAIN + text, *rationale) for text in questions] if run.recipe.explain else []
    return asked + [(PREDICT + text, *judged) for _, text, _ in run.held_out.judged]


def _held_out(run: Run) -> list[tuple[str, Sequence]]:
    return [("validation", run.held_out.validation), ("test", run.held_out.test)]
