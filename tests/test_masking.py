"""The answer masked in a rationale, in every spelling of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.masking import mask_answer


@pytest.mark.parametrize(
    "reasoning, answer, masked",
    [
        ("He has 3 + 4 = 7.", "( 3.0 + 4.0 )", "He has _ = 7."),
        ("So (3+4) it is, not 13 + 4 or 3 + 41 or 3 + 4.5.", "(3 + 4)", "So _ it is, not 13 + 4 or 3 + 41 or 3 + 4.5."),
        ("((3 + 4) * 2) = 14", "((3 + 4) * 2)", "_ = 14"),
        ("(3 + 4) * (2 + 1) = 21", "(3 + 4) * (2 + 1)", "_ = 21"),
        ("Yes, the eyes say yes.", "yes", "_, the eyes say _."),
        ("Take .*, then yajo.", "yajo", "Take .*, then _."),
        ("He has 3 × 4 = 12, 84 ÷ 2.", "( 3.0 * 4.0 )", "He has _ = 12, 84 ÷ 2."),
        ("84 ÷ 2 = 42", "(84 / 2)", "_ = 42"),
        ("It is 1,200, not 11,200 or 1200.5.", "1200", "It is _, not 11,200 or 1200.5."),
        ("It costs $3.50.", "3.5", "It costs $_."),
        ("It is -3, or 5 - 3, or 10-3.", "3", "It is -3, or 5 - _, or 10-_."),
        ("Nothing here.", "(3 + 4)", "Nothing here."),
        ("Nothing to mask.", "", "Nothing to mask."),
    ],
)
def test_mask_answer(reasoning, answer, masked):
    assert mask_answer(reasoning, answer) == masked


NUMBERS, SIGNS = st.integers(0, 999), st.sampled_from("+-*/")
PROSE = st.text("ab .,=", max_size=12)


@given(NUMBERS, SIGNS, NUMBERS, PROSE, PROSE, st.sampled_from(["", ".0", ".00"]), st.sampled_from(["", " "]))
def test_every_mention_of_an_equation_is_masked(a, sign, b, before, after, zero, space):
    mention = f"{a}{zero}{space}{sign}{space}{b}"
    masked = mask_answer(f"{before} {mention} {after} ({mention})", f"( {a}.0 {sign} {b}.0 )")
    assert masked == f"{before} _ {after} _"
