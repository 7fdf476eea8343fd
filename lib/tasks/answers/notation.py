"""Normal forms of choices and of texts that name them: what is written alike is compared alike.

noted("1,000 or \u22125 or 50 percent")                       # "1000 or -5 or 50%"
relation_named("The premise entails the hypothesis.")     # "entailment."
"""

import re

_MINUS = str.maketrans({"\u2212": "-"})
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
_PERCENT = re.compile(r"(?<=[0-9]) ?(?:percent|per cent|%)(?!\w)")

_RELATIONS = {"entail": "entailment", "contradict": "contradiction", "neutral": "neutral"}
_SAID = r"(?:entail(?:s|ed|ment)|contradict(?:s|ed|ion))"
_PREMISE = r"(?:premise|text|passage|context|paragraph)"
_NEITHER_NOR = rf"neither (?:an? )?{_SAID}(?: by the {_PREMISE})? nor (?:an? )?{_SAID}"
_END = r"(?=[.!]|,? (?:as|because|since)\b|$)"
# A plain sentence about one relation; a negation, a doubt or the converse is none.
_PLAIN = re.compile(
    r"^(?:(?:so|thus|therefore|hence),? )?(?:that )?(?:"
    rf"(?:it is |the hypothesis is |the {_PREMISE} )?{_NEITHER_NOR}"
    rf"|(?:the {_PREMISE}|it) (?:clearly |directly )?(?P<verb>entails|contradicts)"
    rf"|(?:(?:it|the hypothesis) is (?:clearly |directly )?)?(?P<state>entailed|contradicted|undetermined|neutral)"
    r"|(?P<bare>entails|contradicts)|(?:it is )?neither(?: of (?:them|these|the two))?"
    rf")(?: the hypothesis| it| by the {_PREMISE})?{_END}"
)
_NEITHER = re.compile(r"\bneither(?=[,;])")


def folded(text: str) -> str:
    """Letter case aside."""
    return text.casefold()


def noted(text: str) -> str:
    """Letter case aside, and what is only notation of a number: thousands, the minus sign, "percent"."""
    return _PERCENT.sub("%", _THOUSANDS.sub("", folded(text).translate(_MINUS)))


def relation_named(text: str) -> str:
    """`noted`; a plain sentence or word for a relation of two sentences gives way to the relation's name.

    "The hypothesis is contradicted by the premise." -> "contradiction."; "neither." -> "neutral."
    """
    return _NEITHER.sub("neutral", _PLAIN.sub(_relation, noted(text), count=1))


def _relation(match: re.Match) -> str:
    said = match["verb"] or match["state"] or match["bare"] or ""
    return next((name for stem, name in _RELATIONS.items() if said.startswith(stem)), "neutral")
