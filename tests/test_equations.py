from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.equations import (
    LONGEST,
    canonical,
    equal_equations,
    equal_numbers,
    equation_value,
    is_number,
    number_text,
    number_value,
    plain_signs,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("( 84.0 / 2.0 )", 42),
        ("((12 + 7) - 3)", 16),
        ("84 / 2.5", Fraction(168, 5)),
        ("1 / 3 + 1 / 6", Fraction(1, 2)),
        ("0.1 + 0.2", Fraction(3, 10)),  # exact, unlike floats
        ("17 + (-18)", -1),
        ("007 + 100.05", Fraction("107.05")),
        (".5", Fraction(1, 2)),
    ],
)
def test_values_are_exact(text, value):
    assert equation_value(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "9**9**9", "9//2", "1 / 0", "2 * x", "3 (4)", "1 2", "__import__('os')", "1e9", "(3, 4)", "3 +", "5 = 5", "٣"],
)
def test_what_is_not_arithmetic_has_no_value(text):
    assert equation_value(text) is None


@pytest.mark.parametrize(
    "text", ["(" * 10**6 + "1" + ")" * 10**6, "-" * 10**6 + "1", "9" * 10**6, "(" * 99 + "1" + ")" * 99]
)
def test_depth_and_length_are_bounded(text):
    assert equation_value(text) in (None, 1)
    assert canonical(text) in (None, text)


def test_the_longest_equation_has_a_value_and_one_more_character_has_none():
    assert equation_value("1" * LONGEST) == int("1" * LONGEST)
    assert equation_value("1" * (LONGEST + 1)) is None


def test_equality_is_by_value_and_by_text_where_there_is_none():
    assert equal_equations("( 4.0 * 7.0 )", "7*4")
    assert equal_equations("0.3", "0.1 + 0.2")
    assert not equal_equations("(7 - 4)", "(4 - 7)")
    assert equal_equations(" x ", "x")
    assert not equal_equations("2 * x", "4")
    assert not equal_equations("1 / 0", "2 / 0")


def test_numbers_can_be_given_another_meaning():
    assert equation_value("12 + 7", {"12": Fraction(100)}) == 107


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(84/2)", "(84 / 2)"),
        ("$1,357*2 weeks", "1357 * 2"),
        ("(16 × 17) × 4", "(16 * 17) * 4"),
        ("3x4", "3 * 4"),
        ("17+(-18)", "17 + (-18)"),
        ("((8 action figures + 10 cabinets) * 4 shelves)", "((8 + 10) * 4)"),
        ("**42**", "42"),
        ("42 apples", "42"),
        ("18cm", "18"),
        ("18kg", "18"),
        ("18miles", "18"),
        ("18 km/h", "18"),
        ("18 m/s", "18"),
        ("18 dollars/hour", "18"),
        ("$5/hour", "5"),
        ("18 km/h * 2 h", "18 * 2"),
        ("18 (eighteen)", "18"),
        ("42 apples (forty-two)", "42"),
        ("18 (apples)", "18"),
        ("18 (eight)", None),
        ("18 (in thousands)", None),
        ("18 (x)", None),
        ("12 dozen", None),
        ("2/3 dozen", None),
        ("3 score", None),
        ("2 hundred", None),
        ("5 and a half", None),
        ("2 over three", None),
        ("18 or more", None),
        ("5 squared", None),
        ("2 x", None),
        ("2xy", None),
        ("5/x", None),
        ("2sqrt", None),
        ("12th", None),
        ("20 20", None),
        ("2x", None),
        ("7x = 14", None),
        ("some - 4", None),
        ("(8 / 4) and (6 / 4)", None),
        ("5 and 6", None),
    ],
)
def test_canonical_notation(text, expected):
    assert canonical(text) == expected


def test_thousands_are_joined_but_lists_are_not():
    assert plain_signs("11,210 and 1,2 and 175, 5") == "11210 and 1,2 and 175, 5"


def test_numbers_are_told_from_operations():
    assert is_number("-2.5")
    assert not is_number("2 - 5")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(84 / 2)", "42"),
        ("1 / 2", "0.5"),
        ("2 / 6", "1/3"),
        ("1 - 3 / 2", "-0.5"),
        ("18.00", "18"),
        ("1 / 400", "0.0025"),
        ("0", "0"),
        ("x", None),
        ("1 / 0", None),
        ("9" * LONGEST, "9" * LONGEST),
        (f"1/{'7' * 97} + 1/{'3' * 96}1", None),  # a denominator of 194 digits, a numerator of 97
    ],
)
def test_the_value_of_an_equation_is_written_as_one_number(text, expected):
    assert number_text(text) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$1,357.50", Fraction(2715, 2)),
        ("42 apples", 42),
        ("1.5 million dollars", 1_500_000),
        ("2 hundred", 200),
        ("a million", None),
        ("3 million and 2", None),
        ("2 million and a half", None),
        ("3 hundred thousand", None),
        ("12:30", None),
    ],
)
def test_numbers_are_read_as_people_write_them(text, value):
    assert number_value(text) == value


def test_numbers_are_equal_by_value_and_by_text_where_there_is_none():
    assert equal_numbers("1,000", "1000.0")
    assert equal_numbers("1/2", "0.5")
    assert equal_numbers("( 84.0 / 2.0 )", "42")
    assert not equal_numbers("1/3", "0.3333333333")
    assert equal_numbers(" many", "many ")
    assert not equal_numbers("many", "1")


@given(st.fractions(max_denominator=10**6))
def test_number_text_keeps_the_value_and_is_a_fixed_point(value):
    text = number_text(f"({value.numerator}) / {value.denominator}")
    assert number_value(text) == value
    assert number_text(text) == text


_leaf = st.one_of(st.integers(0, 999).map(str), st.decimals(0, 99, places=2).map(str))
_expression = st.recursive(
    _leaf, lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from("+-*/"), inner), max_leaves=6
)


@given(_expression)
def test_canonical_keeps_the_value_and_is_idempotent(text):
    value, spaced = equation_value(text), canonical(text)
    assert (spaced is None) == (value is None)
    if spaced:
        assert equation_value(spaced) == value
        assert canonical(spaced) == spaced


@given(st.text(alphabet="0123456789.+-*/() x,$=e_", max_size=300))
def test_no_text_raises(text):
    equation_value(text)
    canonical(text)
    equal_equations(text, text[::-1])
