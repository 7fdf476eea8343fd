"""Equations in untrusted text: exact values by a small walk of the syntax tree, never `eval`.

equation_value("( 84.0 / 2.0 )")       # Fraction(42)
equation_value("9**9**9")              # None; so are "1 / 0", "2 * x" and over LONGEST characters
equal_equations("(84 / 2)", "42")      # True
canonical("$1,357*2 weeks")            # "1357 * 2"
"""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache

LONGEST = 200  # characters of an equation

OPERATORS: dict[str, Callable] = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
_NODES = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_PLAIN = re.compile(r"[-+*/(). 0-9]*")
_TOKEN = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+|[-+*/()]")
# What a bad expression raises: no Python, too deep for the parser, a division by zero.
_BAD = (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError)


def equation_value(text: str, meaning: Mapping[str, Fraction] | None = None) -> Fraction | None:
    """The exact value of an expression in numbers, + - * / and brackets; None if it is none or has none.

    `meaning` replaces numbers, as they are written, by other values.
    """
    return _plain_value(text) if meaning is None else _evaluate(text, meaning)


@lru_cache(maxsize=1 << 16)
def _plain_value(text: str) -> Fraction | None:
    return _evaluate(text, {})


def _evaluate(text: str, meaning: Mapping[str, Fraction]) -> Fraction | None:
    if len(text) > LONGEST or not _PLAIN.fullmatch(text):
        return None
    source = re.sub(r"(?<![0-9.])0+(?=[0-9])", "", text.strip())
    try:
        return _value(ast.parse(source, mode="eval").body, source, meaning)
    except _BAD:
        return None


def _value(node: ast.expr, source: str, meaning: Mapping[str, Fraction]) -> Fraction:
    """Walk of a parsed expression; ValueError at anything but numbers, + - * / and signs."""
    if isinstance(node, ast.Constant):
        number = source[node.col_offset : node.end_col_offset]
        return meaning[number] if number in meaning else Fraction(number)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _value(node.operand, source, meaning)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and type(node.op) in _NODES:
        left, right = _value(node.left, source, meaning), _value(node.right, source, meaning)
        return OPERATORS[_NODES[type(node.op)]](left, right)
    raise ValueError(f"not arithmetic: {type(node).__name__}")


def equal_equations(one: str, other: str) -> bool:
    """Same value; where one has no value, same text."""
    values = equation_value(one), equation_value(other)
    return one.strip() == other.strip() if None in values else values[0] == values[1]


# -- notation ------------------------------------------------------------------------------------

_SIGNS = str.maketrans({"×": "*", "÷": "/", "−": "-", "–": "-", "·": "*", "[": "(", "]": ")"} | dict.fromkeys("$£€"))
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
_UNIT = re.compile(r"(?<=[0-9])(?: [A-Za-z']+)+")


def plain_signs(text: str) -> str:
    """Signs, thousands and money as a calculator has them: "$1,357 × 2" -> "1357 * 2"."""
    text = _THOUSANDS.sub("", text.translate(_SIGNS))
    return re.sub(r"(?<=[0-9)]) ?[xX] ?(?=[0-9(])", " * ", text)


@lru_cache(maxsize=1 << 16)
def canonical(text: str) -> str | None:
    """One expression, evenly spaced and without units: "(84 dollars/2)" -> "(84 / 2)". None if it has no value."""
    if len(text) > 2 * LONGEST:
        return None
    plain = _UNIT.sub("", plain_signs(text)).strip(" *_`\"'")
    if equation_value(plain) is None:
        return None
    spaced = _spaced(_TOKEN.findall(plain))
    return spaced if equation_value(spaced) is not None else None


def _spaced(tokens: list[str]) -> str:
    """Tokens with one space around binary operators, none inside brackets or after a sign."""
    text, previous, sign = "", "(", False
    for token in tokens:
        text += token if previous == "(" or token == ")" or sign else f" {token}"
        sign = token in "+-" and previous in ("(", "+", "-", "*", "/")
        previous = token
    return text


def is_number(text: str) -> bool:
    """A single number, perhaps signed; no operation."""
    return re.fullmatch(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)", text.strip()) is not None
