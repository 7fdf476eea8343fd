r"""Markdown and LaTeX taken off, the same way for every kind of answer.

readable("**Step 1:** 3 + 4\n\n**Answer:** `yajo`")          # "Step 1: 3 + 4 Answer: yajo"
readable(r"So we get \(\boxed{\text{D}}\).")                 # "So we get The answer is D."

A box says what "The answer is" says, unless its sentence denies it, boxes something else too or is in the middle of
arithmetic, or an answer sentence comes later. What might be arithmetic or money stays: "2 ** 3", "9**9", "a*b", "$5",
"$9 - $2". What comes out is a fixed point.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from lib.text import tidy

_ROUNDS = 8  # of taking off what taking off has laid bare; text that needs more is left as it is
Span = tuple[int, int]


class _Pair(NamedTuple):
    """Two equal marks around something, seen to open and to close by what stands beside them."""

    mark: re.Pattern
    opens: re.Pattern
    closes: re.Pattern
    longest: int  # characters between the two


_BOLD = _Pair(
    re.compile(r"\*\*"), re.compile(r"(?<![\w)*])\*\*(?=[^\s*])"), re.compile(r"(?<=[^\s*])\*\*(?![\w(*])"), 5000
)
_MATHS = _Pair(
    re.compile(r"\$\$?"),
    re.compile(r"(?<![\w$\\=+*/-])\$\$?(?=[^\s$])(?![0-9.,]{1,20} [a-z])"),
    re.compile(r"(?<=[\w)}\].!])\$\$?(?![^\s.,;:!?)*\"'])"),
    200,
)
_SIGNS = {r"\div": "÷", r"\times": "×", r"\cdot": "·"}
_SIGN = re.compile(r"\\(?:div|times|cdot)(?![A-Za-z])")
_ROOT = re.compile(r"\\sqrt(?![A-Za-z]) ?(?:\{(\w{1,12})\})?")
_FRACTION = re.compile(r"([0-9]?)\\[dt]?frac ?\{([\w.]{1,12})\} ?\{([\w.]{1,12})\}")
_DROPPED = re.compile(r"`+|\\[()\[\]]|\\(?=[$%])|\\(?:left|right)(?=[(){}\[\]])")
_BRACE = re.compile(r"\\(?P<name>boxed|fbox|text(?:bf|it|rm)?|math(?:rm|bf|it)) ?\{|\\[{}]|[{}]")
_NEXT = re.compile(r"(?:(?:Q|Question) ?: *)+")

_BEFORE = 300  # characters before a box that are looked at
_STOP = re.compile(r"[.!?][\"')]*(?: |$)")
_ANSWER = r"\b(?:(?:the|my|our) )?(?:final |correct )?answer"
_PHRASE = re.compile(
    rf"{_ANSWER}(?: to (?:the|this|your) question)?,? (?:is|would be|should be)\b:?|{_ANSWER}: ?|#### ?", re.IGNORECASE
)
_OPEN_END = re.compile(r"\b(?:not|nor|or|either|neither|cannot|between)\b|n['’]t\b", re.IGNORECASE)
_BOX = re.compile(r"\\f?box(?:ed)? ?\{")
_NEXT_SENTENCE = re.compile(r"\s+[A-Z]")
_ARITHMETIC = re.compile(r"[-+*/×÷·^√−–0-9] ?$")


def readable(text: str, answered: bool = False) -> str:
    """A text on one line, without markup, as `tidy` makes it. answered: an answer sentence follows, boxes mean less."""
    whole = tidy(text)
    plain = whole
    for _ in range(_ROUNDS):
        before, plain = plain, _round(plain, answered)
        if plain == before:
            return plain
    return whole


def unmarked(text: str) -> str:
    """A piece of text, such as a choice, without markup."""
    for pair in (_BOLD, _MATHS):
        text = _without(text, _paired(text, pair))
    text = _SIGN.sub(lambda sign: _SIGNS[sign[0]], text)
    text = _ROOT.sub(lambda root: f"√{root[1] or ''}", text)
    text = _FRACTION.sub(lambda part: f"{part[1] and part[1] + ' '}{part[2]}/{part[3]}", text)
    text = _DROPPED.sub("", text)
    return _without(text, [span for group in _groups(text) if not group.box for span in group.marks])


def _round(text: str, answered: bool) -> str:
    plain = _unboxed(unmarked(text), answered).strip()
    if plain != text and (heading := _NEXT.match(plain)):  # "**Question:** ..." told again is not a next question
        plain = plain[heading.end() :]
    return tidy(plain)


def _paired(text: str, pair: _Pair) -> list[Span]:
    """Where the marks stand that come in pairs."""
    spans, opened = [], None
    for mark in pair.mark.finditer(text):
        if opened and pair.closes.match(text, mark.start()) and mark.start() - opened[1] <= pair.longest:
            spans += [opened, mark.span()]
            opened = None
        elif pair.opens.match(text, mark.start()):
            opened = mark.span()
    return spans


def _without(text: str, spans: Iterable[Span]) -> str:
    parts, position = [], 0
    for start, end in sorted(spans):
        parts.append(text[position:start])
        position = end
    return "".join([*parts, text[position:]])


# -- braces --------------------------------------------------------------------------------------


class _Group(NamedTuple):
    """A command with its braces: r"\\text{" and "}"."""

    box: bool
    opening: Span
    closing: Span

    @property
    def marks(self) -> tuple[Span, Span]:
        return self.opening, self.closing


def _groups(text: str) -> list[_Group]:
    """The commands whose braces are closed, in the order of their ends."""
    found, opened = [], []
    for brace in _BRACE.finditer(text):
        if brace[0] == "}" and opened:
            first = opened.pop()
            if first["name"]:
                found.append(_Group("box" in first["name"], first.span(), brace.span()))
        elif brace[0].endswith("{") and brace[0] != r"\{":
            opened.append(brace)
    return found


def _unboxed(text: str, answered: bool) -> str:
    """Without boxes; the last one becomes an answer sentence if it gives the answer."""
    boxes = [group for group in _groups(text) if group.box]
    if not boxes:
        return text
    opening, closing = boxes[-1].marks
    before, inner, after = text[: opening[0]], text[opening[1] : closing[0]].strip(), text[closing[1] :]
    start = None if answered else _answer_start(before, after)
    if start is None:
        return _without(text, [span for box in boxes for span in box.marks])
    stop = "" if after.strip() and not _NEXT_SENTENCE.match(after) else "."
    return f"{before[:start]} The answer is {inner}{stop}{after}"


def _answer_start(before: str, after: str) -> int | None:
    """Where the answer sentence begins that a box, between the two, makes; None if it makes none."""
    stops = [stop.end() for stop in _STOP.finditer(before, max(0, len(before) - _BEFORE))]
    start = stops[-1] if stops else max(0, len(before) - _BEFORE)
    sentence = before[start:]
    if _PHRASE.search(after) or any(bar.search(sentence) for bar in (_OPEN_END, _ARITHMETIC, _BOX)):
        return None
    phrases = list(_PHRASE.finditer(sentence))
    if not phrases:
        return len(before)
    between = sentence[phrases[-1].end() :]
    return None if re.search("[-+*/×÷0-9]", between) else start + phrases[-1].start()
