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


# Words that make another number of the one before them: "3 dozen", "5 and a half", "2 over three".
_COUNT = "(?:two|three|four|five|six|seven|eight|nine|ten)"
OTHER_NUMBER = (
    r"(?:dozens?|score|hal(?:f|ves)|tens|hundreds?|thousands?|(?:m|b|tr)illions?|squared|cubed|pi|and an?"
    r"|thirds|fourths|fifths|sixths|sevenths|eighths|ninths|tenths|hundredths"
    rf"|(?:and|over|to|by|point|plus|minus|times) (?:one|{_COUNT}))"
)
# Those, words that leave the number open, and single letters that are rather an unknown than a unit.
_CHANGED = re.compile(rf"\b(?i:{OTHER_NUMBER}|not|some|between|or)\b|n['’]t\b|\b[b-fi-kn-rt-zB-HJKM-Z]\b")
_SHORT = "mm|cm|dm|km|mg|kg|ml|mL|cl|dl|lbs?|oz|ft|in|yds?|mi|mph|kph|hrs?|mins?|secs?|gal"
_ATTACHED = rf"(?!(?:sin|cos|tan|log|sqrt)[a-z]?\b)(?:{_SHORT}|[A-Za-z]{{4,20}})(?![A-Za-z0-9(])"
_PER = rf" ?/ ?(?:{_SHORT}|[A-Za-z]{{3,20}}|(?<=[A-Za-z]/)[hs])(?![A-Za-z0-9(])"
_UNIT = re.compile(rf"(?<=[0-9])(?:(?:{_ATTACHED}|(?= [A-Za-z']))(?: [A-Za-z']+)*(?:{_PER})?|{_PER})")
_WORDS_LAST = re.compile(r"(?<=[0-9A-Za-z]) ?\((?P<words>[A-Za-z][A-Za-z' -]{0,60})\)$")
_ONES = re.findall(
    r"\w+",
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen",
)
_TENS = dict(zip(re.findall(r"\w+", "twenty thirty forty fifty sixty seventy eighty ninety"), range(20, 100, 10)))
_SPELT = {word: value for value, word in enumerate(_ONES)} | _TENS
_SPELT |= {f"{tens}-{word}": _SPELT[tens] + _SPELT[word] for tens in _TENS for word in _ONES[1:10]}


def without_units(text: str) -> str | None:
    """Without the units after its numbers: "(84 dollars + 5cm) * 2 km/h" -> "(84 + 5) * 2"; "2x" has none.

    A unit may be words, an abbreviation right after the number, "/hour", or a last bracket of words, which may spell
    the number: "18 (eighteen)". None where a word makes another number of one: "3 dozen", "5 and a half", "2 x".
    """
    if last := _WORDS_LAST.search(text):
        text, words = text[: last.start()], last["words"]
        if _CHANGED.search(words) or not _spells(words, text):
            return None
    return None if any(map(_CHANGED.search, _UNIT.findall(text))) else _UNIT.sub("", text)


def _spells(words: str, text: str) -> bool:
    """Words without a number, or with just the number of a text that holds one."""
    said = [_SPELT.get(word, -1) for word in words.lower().split() if _SPELT.keys() & {word, *word.split("-")}]
    return not said or re.findall(r"[0-9.]*[0-9]", text) == [str(number) for number in said]


def plain_signs(text: str) -> str:
    """Signs, thousands and money as a calculator has them: "$1,357 × 2" -> "1357 * 2"."""
    text = _THOUSANDS.sub("", text.translate(_SIGNS))
    return re.sub(r"(?<=[0-9)]) ?[xX] ?(?=[0-9(])", " * ", text)


@lru_cache(maxsize=1 << 16)
def canonical(text: str) -> str | None:
    """One expression, evenly spaced and without units: "(84 dollars/2)" -> "(84 / 2)". None if it has no value."""
    if len(text) > 2 * LONGEST:
        return None
    plain = without_units(plain_signs(text).strip(" *_`\"'"))
    if plain is None or equation_value(plain) is None:
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


# -- numbers -------------------------------------------------------------------------------------


def number_text(text: str) -> str | None:
    """The value of an equation as one number: "(84 / 2)" -> "42", "1 / 2" -> "0.5", "2 / 6" -> "1/3", else None."""
    value = number_value(text)
    if value is None:
        return None
    places = _decimal_places(value.denominator)
    if places is None:
        written = str(value)
    else:
        digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
        whole, part = digits[: len(digits) - places], digits[len(digits) - places :]
        written = ("-" if value < 0 else "") + whole + ("." + part if part else "")
    return written if len(written) <= LONGEST else None


def _decimal_places(denominator: int) -> int | None:
    """How many decimals a fraction in lowest terms has; None if they never end."""
    twos = fives = 0
    while denominator % 2 == 0:
        denominator, twos = denominator // 2, twos + 1
    while denominator % 5 == 0:
        denominator, fives = denominator // 5, fives + 1
    return max(twos, fives) if denominator == 1 else None


_SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SCALED = re.compile(rf"([^A-Za-z]{{1,40}}) ({'|'.join(_SCALES)})\b([A-Za-z' ]*)")


def number_value(text: str) -> Fraction | None:
    """The exact value of a number or equation as people write it: "$1,357.50" -> 2715/2. None if it has none.

    A number may be scaled: "1.5 million dollars" is 1500000.
    """
    scaled = _SCALED.fullmatch(text.strip()[:LONGEST])
    plain = canonical(scaled[1] if scaled else text)
    value = None if plain is None or (scaled and _CHANGED.search(scaled[3])) else equation_value(plain)
    return value if value is None or not scaled else value * _SCALES[scaled[2]]


def equal_numbers(one: str, other: str) -> bool:
    """Same value, however written: "1,000" and "1000.0", "1/2" and "0.5"; where one has no value, same text."""
    values = number_value(one), number_value(other)
    return one.strip() == other.strip() if None in values else values[0] == values[1]
