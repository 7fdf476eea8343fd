"""Equations, numbers, strings; what holds for every kind; real text. Choices, dates, yes/no have their own file."""

import json
import re
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.tasks.answers import (
    equal_choices,
    equal_dates,
    equal_equations,
    equal_numbers,
    equal_words,
    extract_choice,
    extract_date,
    extract_equation,
    extract_named_choice,
    extract_number,
    extract_string,
    extract_yes_no,
)
from lib.text import LIMIT

EXTRACTORS = [
    extract_equation,
    extract_number,
    extract_choice,
    extract_named_choice,
    extract_date,
    extract_yes_no,
    extract_string,
]
HOSTILE = [
    "The answer is " + "(" * 10**6,
    "(" * 10**6 + ")" * 10**6,
    "The answer is " * 10**5,
    "9" * 10**6,
    "9**9**9",
    "__import__('os').system('ls')",
    "</script><script>alert(1)</script>",
    "= " * 10**6,
    "a " * 10**6,
    "x" * 10**7,
    "\n" * 10**6 + "Q:",
    "(" * 10**6 + "a",
    "(" + "a" * 10**5,
    "((a" * 10**4,
    "(a) " * 10**5,
    "The answer is (a) or " * 10**4,
    "The answer is " + "the " * 10**5,
    "the final correct right best " * 10**4,
    "not " * 10**5 + "bank",
    "The answer is " + "bank " * 10**5,
    "May 1 " * 10**5,
    "1/1/" * 10**5,
    "the statement is " * 10**5,
    "So it is " + "very " * 10**5 + "unlikely that",
    "Tom has 3 " * 10**5,
    "The answer is 1" + " + 1" * 10**5,
    "The answer is " + "about " * 10**5 + "3",
    "So " * 10**5 + "7",
    "So " * 6000 + "7",
    "The answer is 7. So " + ", " * 9000,
    "** " * 9000,
    "statement " * 50 + "is " * 200,
    "the the the " * 5000 + "answer",
    "n't " * 9000 + "the answer is",
    "So it is not " * 3000,
    "\\boxed{" * 3000,
    "\\boxed{" * 2000 + "5" + "}" * 2000,
    "\\boxed{5} " * 2000,
    "**a " * 5000,
    "$a " * 7000,
    "a) " * 6000,
    "( a) " * 4000,
    "`" * 20000,
    "neither " * 3000,
    "\\text{" * 50 + "a" * 5000 + "}" * 50,
]


def test_a_run_on_response_becomes_what_a_student_should_learn():
    answer = extract_equation(
        "Luke scored 84 points.\n84 / 2 = 42. The answer is (84/2).\n\nQ: There are 120. The answer is (1 + 1)."
    )
    assert answer.label == "(84 / 2)"
    assert answer.how == "answer sentence"
    assert answer.reasoning == "Luke scored 84 points. 84 / 2 = 42."
    assert answer.text == "Luke scored 84 points. 84 / 2 = 42. The answer is (84 / 2)."


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("The answer is (84 / 2.5).", "(84 / 2.5)"),  # not cut at the decimal point
        ("The answer is (16 * 17) * 4.", "(16 * 17) * 4"),
        ("The answer is $42.", "42"),
        ("The answer is 1,357 dollars. Well done!", "1357"),
        ("So the final answer is: 3.5", "3.5"),
        ("Answer: 7", "7"),
        ("The answer is 84 / 2 = 42.", "84 / 2"),
        ("The answer is x = 5.", "5"),
        ("The answer is 84-2.", "84 - 2"),
        ("The answer is (1 + 1). No: the answer is (1 + 2).", "(1 + 2)"),
        ("(12 + 7)", "(12 + 7)"),
        ("21 ÷ 7 = 3 \n\nTherefore, Melissa played 3 games.", "3"),
        ("Olivia has $128 - $38 = $90 left", "90"),
        ("11,210 + 5 = 11,215 in all. Thus 11,215 came.", "11215"),
        ("9 + 8 = 17. Therefore, they had 17 left after they gave away 4.", "17"),
        ("Faye has 154 pencils (14 rows x 11 pencils).", "154"),
    ],
)
def test_equations_are_found(text, label):
    answer = extract_equation(text)
    assert answer.label == label
    assert answer.text.endswith(f"The answer is {label}.")


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("", "empty text"),
        ("Q: What?", "empty text"),
        ("So 2 * x = 12. The answer is (2 * x).", "answer sentence holds no equation"),
        ("The answer is (14, 21).", "answer sentence holds no equation"),
        ("106 - 59 = 47. The answer is ((415 - 309) - (41", "answer sentence is cut off"),
        ("The answer is 3 + 4 = 8.", "answer sentence contradicts itself"),
        ("He is tall.", "last sentence holds no number"),
        ("He had 3. " + "So 32 sacks were not harvested. " * 5 + "3", "ran on without an answer"),
    ],
)
def test_what_cannot_be_told_is_not_guessed(text, how):
    answer = extract_equation(text)
    assert answer.label is None
    assert answer.how == how


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("9 + 8 = 17. Therefore, they had 17 left after 4 went.", "only computed number of the last sentence"),
        ("In the basket are 10 peaches (7 + 3).", "only number of the last sentence"),
        ("Mary adds 4 more cups (10 - 6) to reach 10 cups.", "only computed number of the last sentence"),
        ("The answer is that Rachel had 10 pages.", "only number of the answer sentence"),
        ("She needs 4 more to reach 10.", "last sentence holds several numbers"),
        ("4 + 3 = 7 and 8 + 3 = 11. So 7 stay and 11 go.", "last sentence holds several numbers"),
        ("So 10 pages. That is hard to say.", "last sentence holds no number"),
        ("The answer is not 10.", "answer sentence holds no equation"),
        ("The answer is 10 or 12.", "answer sentence holds no equation"),
        ("To find the answer: 1. Subtract 3 from 7. So 7 - 3 = 4.", "last equation"),
    ],
)
def test_how_a_number_was_found_or_why_not_is_told(text, how):
    assert extract_equation(text).how == how


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("84 / 2 = 42. The answer is (84 / 2).", "42"),
        ("The answer is (1 / 3).", "1/3"),
        ("The answer is 2 / 6 of the cake.", "1/3"),
        ("The answer is 3 / 6.", "0.5"),
        ("The answer is 18.00.", "18"),
        ("The answer is $1,357.50.", "1357.5"),
        ("The answer is 25%.", "25"),
        ("The answer is about 42 apples.", "42"),
        ("The answer is 18, because 3 pens are 6 more.", "18"),
        ("The answer is 2 1/2 cups.", "2.5"),
        ("The answer is 1.5 million dollars.", "1500000"),
        ("The answer is -3", "-3"),
        ("She has 3 * 6 = 18.\n#### 18", "18"),
        ("So we get \\(\\boxed{18}\\).", "18"),
        ("**Answer: 18**", "18"),
        ("18", "18"),
        ("The answer is 18cm.", "18"),
        ("The answer is $5/hour.", "5"),
        ("The answer is 18 (eighteen).", "18"),
        ("So 5 1/2 = 5.5. The answer is 5 \\frac{1}{2} cups.", "5.5"),
        ("The answer is 84 - 2.", "82"),
        ("The answer is (84-2).", "82"),
        ("The answer is 84-2 = 82.", "82"),
        ("So there are 18 in all, 18 of them red.", "18"),
        ("The answer is 12 dozen.", None),
        ("The answer is 2/3 dozen", None),
        ("The answer is 5 and a half.", None),
        ("So it is 5 and a half.", None),
        ("So she has 12 dozen eggs.", None),
        ("12 dozen", None),
        ("The answer is 3 score.", None),
        ("The answer is 20 20.", None),
        ("So he has 20 20.", None),
        ("The answer is 18-20.", None),
        ("The answer is about 18\u201320 apples.", None),
        ("The answer is 1-2.", None),
        ("The answer is 3 -4 apples.", None),
        ("The answer is $18-$20.", None),
        ("18-20", None),
        ("The answer is 3 hours and 20 minutes.", None),
        ("The answer is 12:30.", None),
        ("The answer is between 3 and 5.", None),
        ("The answer is 1e5.", None),
        ("The answer is 2x.", None),
        ("The answer is (2 * x).", None),
        ("The answer is 1 / 0.", None),
        ("The answer is 9**9**9.", None),
        ("The answer is __import__('os').", None),
    ],
)
def test_a_number_is_one_exact_value(text, label):
    answer = extract_number(text)
    assert answer.label == label
    assert label is None or answer.text.endswith(f"The answer is {label}.")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ('The last letters are y, a, j, o. The answer is "yajo".', "yajo"),
        ("The answer is Y A J O.", "yajo"),
        ("Concatenating them, we get yajo.", "yajo"),
        ("y + a + j + o = yajo", "yajo"),
        ('Putting them together, we get "lyne" as the final string.', "lyne"),
        ("yajo", "yajo"),
        ("E, E, D, A", "eeda"),
        ("Together we get: eneo\n\nLet me know if you need anything else!", "eneo"),
        ('Together we get "eee" and "d".', None),
        ("The answer is 42.", None),
        ("Nothing ends here", None),
        ("½", None),
        ("The answer is " + "a" * 30, "a" * 30),
        ("We get " + "is " * 30, None),
    ],
)
def test_strings_are_found(text, label):
    assert extract_string(text).label == label


def test_words_are_equal_whatever_their_case():
    assert equal_words("Yes ", "yes")
    assert not equal_words("yes", "no")


# Choices as ugly as they come: letters, brackets, each other's parts, other answers.
UGLY = [
    "B",
    "(a)",
    "none of these",
    "bank",
    "river bank",
    "a. b",
    "5",
    "-5",
    "½",
    "",
    " ",
    "The answer is (a) bank",
    "x.",
]
UGLY += ["05/01/2021", "May 1, 2021", "ÄRGER", "ß", "b) bank", "not bank", "yes", "İ", "The answer is", "Q: x", "so"]
UGLY += ["**x**", "$5$", "`a`", "x", "1,000", "1000", "neither"]
_choices = st.lists(st.one_of(st.sampled_from(UGLY), st.text(max_size=12)), max_size=6).map(tuple)
_pieces = st.lists(
    st.one_of(
        st.sampled_from(
            ["The answer is ", "So ", "Thus, ", "\nQ: ", "yes", "no", "(3 + 4)", " = 7", "12", ". ", " not "]
        ),
        st.sampled_from(["(a)", "(b) ", "Option C", " or ", "B.", "#### ", "1/3", "May 1, 2021", *UGLY]),
        st.sampled_from(["**", "$", "`", "\\(", "\\text{", "\\boxed{", "}", "\\boxed{yes}", "\\boxed{(a)}"]),
        st.text(max_size=8),
    ),
    max_size=12,
).map("".join)


@pytest.mark.parametrize("extract", EXTRACTORS)
@given(text=_pieces, choices=_choices)
@settings(max_examples=300, deadline=None)
def test_extraction_never_raises_and_is_idempotent(extract, text, choices):
    once = extract(text, choices)
    again = extract(once.text, choices)
    assert again.label == once.label
    assert again.text == once.text
    assert once.text.startswith(once.reasoning)
    assert len(once.text) <= LIMIT


@pytest.mark.parametrize("extract", [extract_choice, extract_named_choice, extract_date])
@given(choices=_choices, data=st.data())
@settings(max_examples=200, deadline=None)
def test_every_choice_is_found_in_its_own_closing_sentence(extract, choices, data):
    place = data.draw(st.integers(0, max(0, len(choices) - 1)))
    text = " ".join(choices[place].split()) if choices else ""
    said = text if extract is extract_named_choice else f"({'abcdef'[place]}) {text}"
    answer = extract(f"It is so. The answer is {said}.", choices)
    assert answer.label == (text or None) or answer.how == "choices cannot be told apart"


@pytest.mark.parametrize("extract", EXTRACTORS)
@pytest.mark.parametrize("choices", [(), ("bank", "(" * 100, "a " * 200, "the answer is " * 30)])
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_takes_bounded_time_and_space(extract, choices, text):
    start = time.perf_counter()
    answer = extract(text, choices)
    assert time.perf_counter() - start < 2
    assert len(answer.text) <= LIMIT
    assert extract(answer.text, choices).label == answer.label


# -- real text -----------------------------------------------------------------------------------


def _rows(real_data, name, split="train"):
    with (real_data / f"teacher/{name}.jsonl").open(encoding="utf-8") as file:
        return [row for row in map(json.loads, file) if row["split"] == split]


def _lettered(row):
    """Choices as the recorded big-bench questions list them: "Answer choices: (A) x, (B) y."."""
    listed = row["question"].rsplit("Answer choices: (A) ", 1)[1].removesuffix(".")
    return tuple(re.split(r", \([B-G]\) ", listed))


def _read(rows, extract, equal, choices_of=lambda row: ()):
    """(share right, share wrong, how -> count of those right, reason -> count of those without an answer)."""
    right, wrong, missed = Counter(), Counter(), Counter()
    for row in rows:
        choices = choices_of(row)
        answer = extract(row["response"], choices)
        gold = choices["ABCDEFG".index(row["gold_label"])] if "Answer choices" in row["question"] else row["gold_label"]
        outcome = missed if answer.label is None else right if equal(answer.label, gold) else wrong
        outcome[answer.how] += 1
    assert right.total() + wrong.total() + missed.total() == len(rows) > 0
    return right.total() / len(rows), wrong.total() / len(rows), right, missed


@pytest.mark.parametrize(("split", "published"), [("train", 0.745), ("test", 0.775)])
@pytest.mark.parametrize(("extract", "equal"), [(extract_equation, equal_equations), (extract_number, equal_numbers)])
def test_teacher_accuracy_on_real_svamp_is_the_published_one(real_data, split, published, extract, equal):
    rows = _rows(real_data, "svamp.palm.1cot", split)
    right, _, _, missed = _read(rows, extract, equal)
    assert right == pytest.approx(published, abs=0.007)
    assert missed.total() / len(rows) == pytest.approx(0.035, abs=0.015)


def test_what_real_svamp_does_not_tell_is_listed_by_reason(real_data):
    *_, missed = _read(_rows(real_data, "svamp.palm.1cot"), extract_equation, equal_equations)
    assert missed == {
        "answer sentence holds no equation": 18,
        "ran on without an answer": 5,
        "answer sentence is cut off": 3,
        "last sentence holds no number": 1,
        "last sentence holds several numbers": 1,
    }


@pytest.mark.parametrize(
    ("split", "by_letter", "by_both", "undecided"), [("train", 0.758, 0.743, 179), ("test", 0.788, 0.772, 16)]
)
def test_teacher_accuracy_on_real_commonsense_qa_is_the_published_one(real_data, split, by_letter, by_both, undecided):
    """Undecided are those that offer two choices, "either (b) or (e)"; of the rest all but three name one. In all,
    under 2% are not told."""
    rows = _rows(real_data, "commonsense_qa.palm.1cot", split)
    right, _, hows, missed = _read(rows, extract_choice, equal_choices, lambda row: row["choices"])
    assert right == pytest.approx(by_letter, abs=0.007)
    assert hows["letter and text"] / len(rows) == pytest.approx(by_both, abs=0.007)
    assert missed.total() < 0.02 * len(rows)
    assert missed.pop("answer sentence names several choices") == undecided
    assert missed.total() <= 3


def test_real_worked_solutions_give_their_number_with_and_without_its_answer_line(real_data):
    with (real_data / "datasets/grade-school-math/train.jsonl").open(encoding="utf-8") as file:
        pairs = [json.loads(line)["answer"].split("\n####") for line in file]
    labels = [(extract_number(f"{worked}\n####{gold}").label, extract_number(worked).label) for worked, gold in pairs]
    golds = [gold.strip() for _, gold in pairs]
    assert all(equal_numbers(stated, gold) for (stated, _), gold in zip(labels, golds))
    found = [(label, gold) for (_, label), gold in zip(labels, golds) if label is not None]
    right = sum(equal_numbers(label, gold) for label, gold in found)
    assert right / len(golds) == pytest.approx(0.987, abs=0.005)
    assert (len(found) - right) / len(golds) < 0.011


@pytest.mark.parametrize(
    ("name", "extract", "equal", "choices_of", "recall", "wrong_at_most"),
    [
        ("tracking_shuffled_objects", extract_choice, equal_choices, _lettered, 0.989, 0.011),
        ("date_understanding", extract_date, equal_dates, _lettered, 0.980, 0.008),
        ("last_letter_concatenation", extract_string, equal_words, lambda row: (), 0.993, 0.002),
        ("strategy_qa", extract_yes_no, equal_words, lambda row: (), 0.314, 0.009),
        ("svamp", extract_number, equal_numbers, lambda row: (), 0.789, 0.120),
    ],
)
def test_recall_on_real_free_form_responses(real_data, name, extract, equal, choices_of, recall, wrong_at_most):
    """All of these are filed as reaching the gold label, in no fixed words; docs/LOG.md explains the wrong ones."""
    right, wrong, _, _ = _read(_rows(real_data, f"{name}.gpt35.3cot"), extract, equal, choices_of)
    assert right == pytest.approx(recall, abs=0.005)
    assert wrong <= wrong_at_most
