"""The answer hidden in a rationale: a rationale that merely states the answer makes it easy (PAPERS.md, RD masked)."""

import re

MASK = "_"


def mask_answer(reasoning: str, answer: str, mask: str = MASK) -> str:
    """Reasoning with every mention of the answer masked, so that stating the answer does not make it easy.

    Spaces, outer brackets and ".0" do not hide a mention: masking ( 3.0 + 4.0 ) turns "He has 3 + 4 = 7." into
    "He has _ = 7.". Only the whole answer counts: "yes" is masked in "so yes", not in "eyes".
    """
    parts = re.findall(r"\d+(?:\.\d+)?|\w+|[^\w\s]", _unbracketed(answer))
    if not parts:
        return reasoning
    pattern = r"\s*".join(map(_mention, parts))
    return re.sub(rf"(?<![\w.])(?:\(\s*{pattern}\s*\)|{pattern})(?!\w|\.\d)", mask, reasoning)


def _unbracketed(answer: str) -> str:
    """An answer without the brackets around all of it: "((3 + 4) * 2)" -> "(3 + 4) * 2"."""
    answer = answer.strip()
    inner = answer[1:-1]
    balanced = answer[:1] == "(" and answer[-1:] == ")"
    depth = lowest = 0
    for character in inner if balanced else "":
        depth += (character == "(") - (character == ")")
        lowest = min(lowest, depth)
    return _unbracketed(inner) if balanced and lowest == 0 else answer


def _mention(part: str) -> str:
    """One part of an answer as a pattern: numbers with or without a zero fraction, words whole, whatever their case."""
    if re.fullmatch(r"\d+(?:\.0+)?", part):
        return rf"{part.split('.')[0]}(?:\.0+)?"
    return rf"(?i:{re.escape(part)})"
