"""The answer hidden in a rationale: a rationale that merely states the answer makes it easy (PAPERS.md, RD masked)."""

import re
from functools import lru_cache

MASK = "_"
SIGNS = {"*": "[*×]", "/": "[/÷]", "-": "[-−]", "×": "[*×]", "÷": "[/÷]", "−": "[-−]"}


def mask_answer(reasoning: str, answer: str, mask: str = MASK) -> str:
    """Reasoning with every mention of the answer masked, so that stating the answer does not make it easy.

    Spaces, outer brackets, other signs for an operator, a number's zeros at the end and commas between its thousands do
    not hide a mention: masking ( 3.0 * 4.0 ) turns "He has 3 × 4 = 12." into "He has _ = 12.". Only the whole answer
    counts: "yes" is masked in "so yes", not in "eyes", and 3 not in "-3". A verdict in other words ("would not be able
    to") cannot be told and stays: of a yes/no question masked RD is often RD.
    """
    mentions = _mentions(answer)
    return mentions.sub(lambda _: mask, reasoning) if mentions else reasoning


@lru_cache(maxsize=4096)  # a question's rationales share their answer
def _mentions(answer: str) -> re.Pattern | None:
    """What counts as a mention of an answer; None for one without a character to mention."""
    parts = re.findall(r"\d+(?:\.\d+)?|\w+|[^\w\s]", _unbracketed(answer))
    pattern = r"\s*".join(map(_mention, parts))
    return re.compile(rf"(?<![\w.])(?<![\s(=][-−])(?:\(\s*{pattern}\s*\)|{pattern})(?!\w|\.\d)") if parts else None


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
    """One part of an answer as a pattern: numbers however written, operators by any sign, words whatever their case."""
    if re.fullmatch(r"\d+(?:\.\d+)?", part):
        whole, _, fraction = part.partition(".")
        thousands = re.sub(r"(?<=\d)(?=(?:\d{3})+$)", ",?", whole)
        fraction = fraction.rstrip("0")
        return thousands + (rf"\.{fraction}0*" if fraction else r"(?:\.0+)?")
    return SIGNS.get(part, rf"(?i:{re.escape(part)})")
