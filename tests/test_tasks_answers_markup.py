"""Markdown and LaTeX: what is taken off, what stays, and that all kinds of answers read through it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.tasks.answers import (
    extract_choice,
    extract_date,
    extract_equation,
    extract_named_choice,
    extract_number,
    extract_string,
    extract_yes_no,
)
from lib.tasks.answers.markup import readable, unmarked

CHOICES = ("park", "coloring book", "garden center", "math problem", "gravity")
DAYS = ("04/30/2021", "05/01/2021")
NLI = ("entailment", "neutral", "contradiction")
KINDS = [
    (extract_equation, "84 / 2", (), "84 / 2"),
    (extract_equation, "(84 / 2)", (), "(84 / 2)"),
    (extract_number, "18", (), "18"),
    (extract_choice, "D", CHOICES, "math problem"),
    (extract_choice, "math problem", CHOICES, "math problem"),
    (extract_choice, "D. math problem", CHOICES, "math problem"),
    (extract_choice, "(d) math problem", CHOICES, "math problem"),
    (extract_named_choice, "neutral", NLI, "neutral"),
    (extract_date, "05/01/2021", DAYS, "05/01/2021"),
    (extract_date, "05/01/2021", (), "05/01/2021"),
    (extract_yes_no, "Yes", (), "yes"),
    (extract_string, "yajo", (), "yajo"),
]
FORMS = [
    "{}",
    "**{}**",
    "**{}.**",
    "`{}`",
    "${}$",
    r"\( {} \)",
    r"\[ {} \]",
    r"\text{{{}}}",
    r"\boxed{{{}}}",
    r"$\boxed{{\text{{{}}}}}$.",
    r"It is so. So we get \(\boxed{{{}}}\).",
    "The answer is **{}**.",
    "The answer is `{}`.",
    r"The answer is \boxed{{{}}}.",
    r"So **the answer is $\text{{{}}}$**.",
    "**Answer: {}**",
    "**Answer:** {}",
    "It is so.\n\n**The answer is {}.**",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("extract", "said", "choices", "label"), KINDS)
def test_every_kind_reads_every_markup(extract, said, choices, label, form):
    answer = extract(form.format(said), choices)
    assert answer.label == label
    assert not any(mark in answer.text for mark in ("*", "`", "$", "\\", "{"))


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("**Step 1:** 3 + 4\n\n**Answer:** `yajo`", "Step 1: 3 + 4 Answer: yajo"),
        (r"\( 84 \div 2 \) and $3 \times 4$", "84 ÷ 2 and 3 × 4"),
        (r"**3 * 4 = 12**", "3 * 4 = 12"),
        (r"\$5 or 5\%", "$5 or 5%"),
        (r"\frac{84}{2}, 5\frac{1}{2}, \sqrt{2}", "84/2, 5 1/2, √2"),
        ("**Question:** How many? **Answer:** 5", "How many? Answer: 5"),
        ("**cut off", "**cut off"),
        ("2 ** 3", "2 ** 3"),
        ("9**9**9", "9**9**9"),
        ("(a)**2 + (b)**2", "(a)**2 + (b)**2"),
        ("a*b and __import__", "a*b and __import__"),
        ("$5 and $6, or 5$", "$5 and $6, or 5$"),
        ("5*7=$<<5*7=35>>35. She has $10.", "5*7=$<<5*7=35>>35. She has $10."),
        ("{a} }{", "{a} }{"),
        (r"\boxed{18", r"\boxed{18"),
    ],
)
def test_markup_is_taken_off_and_arithmetic_and_money_stay(text, plain):
    assert readable(text) == plain


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (r"So \boxed{18} apples are left. Well done.", "So The answer is 18 apples are left. Well done."),
        (r"\boxed{18} Hope this helps!", "The answer is 18. Hope this helps!"),
        (r"The answer is x = \boxed{5}.", "The answer is 5."),
        (r"\boxed{\boxed{5}}", "The answer is 5."),
        (r"\boxed{5}. The answer is 6.", "5. The answer is 6."),
        (r"It is not \boxed{5}.", "It is not 5."),
        (r"\boxed{3} or \boxed{5}", "3 or 5"),
        (r"x = -\boxed{5}", "x = -5"),
        (r"3 + \boxed{5} = 8", "3 + 5 = 8"),
    ],
)
def test_a_box_is_an_answer_sentence_unless_something_speaks_against_it(text, plain):
    assert readable(text) == plain


def test_where_an_answer_follows_a_box_says_nothing():
    assert readable(r"\boxed{5} so", answered=True) == "5 so"


def test_a_choice_may_hold_markup():
    assert unmarked(r"**x** and $\text{y}$") == "x and y"
    assert extract_choice("The answer is x.", ("$x$", "y")).label == "$x$"
    assert extract_choice("**Hm.** The answer is (a) **x**.", ("**x**", "y")).text == "Hm. The answer is (a) **x**."


_MARKS = st.lists(
    st.sampled_from(["**", "`", "$", "$$", r"\(", r"\)", r"\boxed{", r"\text{", "{", "}", r"\sqrt", "a", "5", " "])
    | st.sampled_from([". ", "The answer is ", "Q:", "Question: ", "\n", "\\", "box", "=", r"\frac{1}{2}"]),
    max_size=20,
).map("".join)


@given(_MARKS, st.booleans())
def test_what_is_readable_stays_as_it_is(text, answered):
    once = readable(text, answered)
    assert readable(once, answered) == once
    assert readable(readable(text), answered) == readable(readable(text))


def test_depth_is_bounded():
    """Taking one off lays the next one bare, more often than is followed."""
    deep = r"\te" * 30 + r"\text{}" + r"xt{}" * 30
    assert readable(deep) == deep
