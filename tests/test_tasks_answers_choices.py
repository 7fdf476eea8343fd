"""Choices by letter and by text, dates, yes and no."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.tasks.answers import (
    equal_choices,
    equal_dates,
    extract_choice,
    extract_date,
    extract_named_choice,
    extract_yes_no,
)

CHOICES = ("park", "coloring book", "garden center", "math problem", "gravity")
NLI = ("entailment", "neutral", "contradiction")


def test_a_few_shot_response_becomes_what_a_student_should_learn():
    answer = extract_choice(
        "It counts apples. So the answer is (d) math problem.\n\nQ: Next? So the answer is (a) horse.", CHOICES
    )
    assert answer.label == "math problem"
    assert answer.how == "letter and text"
    assert answer.reasoning == "It counts apples."
    assert answer.text == "It counts apples. The answer is (d) math problem."


@pytest.mark.parametrize(
    ("text", "label", "how"),
    [
        ("The answer is (d).", "math problem", "letter"),
        ("the answer is d", "math problem", "letter"),
        ("The answer is d) math problem.", "math problem", "letter and text"),
        ("The answer is option D.", "math problem", "letter"),
        ("The correct answer is (D) Math Problem.", "math problem", "letter and text, letter case aside"),
        ("**Answer:** [D]", "math problem", "letter"),
        ("The correct choice is: (D)", "math problem", "letter"),
        ("The answer is (d) maths exercise.", "math problem", "letter; text differs"),
        ("The answer is (d) gravity.", "math problem", "letter; text differs"),
        ("The answer is a coloring book.", "coloring book", "text"),
        ("The answer is (d) because (a) is no problem.", "math problem", "letter"),
        ("The answer is (d), not (a).", "math problem", "letter"),
        ("The answer is not (a) but (b).", "coloring book", "letter"),
        ("First the answer is (a). No, the answer is (b).", "coloring book", "letter"),
        ("It is hard. Option E is right.", "gravity", "last sentence: letter"),
        ("Therefore, what pulls it down is gravity.", "gravity", "last sentence: text"),
        ("It is (E) gravity. I hope this helps!", "gravity", "last sentence: letter and text"),
        ("It falls. Therefore, E.", "gravity", "last sentence: letter"),
        ("So E is correct.", "gravity", "last sentence: letter"),
        ("A is the answer.", "park", "last sentence: letter"),
        ("gravity", "gravity", "bare text"),
        ("Gravity.", "gravity", "bare text"),
        ("E", "gravity", "bare letter"),
        ("(e) gravity", "gravity", "bare letter and text"),
    ],
)
def test_choices_are_found(text, label, how):
    answer = extract_choice(text, CHOICES)
    assert (answer.label, answer.how) == (label, how)
    assert answer.text.endswith(f"The answer is ({'abcde'[CHOICES.index(label)]}) {label}.")


def test_a_letter_with_its_text_right_after_the_answer_is_counts_before_others():
    answer = extract_choice(f"So the answer is (a) {CHOICES[0]} or (e) gravity.", CHOICES)
    assert (answer.label, answer.how) == (CHOICES[0], "first letter of several")


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("", "empty text"),
        ("The answer is (a) or (b).", "answer sentence names several choices"),
        ("The answer is either (a) park or (e) gravity.", "answer sentence names several choices"),
        ("The answer is B or C.", "answer sentence names several choices"),
        ("The answer is park or gravity.", "answer sentence names several choices"),
        ("The answer is not (a).", "answer sentence only says what is wrong"),
        ("The answer is not gravity.", "answer sentence only says what is wrong"),
        ("So A is not correct.", "last sentence names no choice"),
        ("It isn't gravity.", "last sentence only says what is wrong"),
        ("I don't think the answer is (a).", "answer sentence is in doubt"),
        ("The answer is (f).", "letter beyond the choices"),
        ("The answer is one of these.", "answer sentence names no choice"),
        ("Of the above choices, only", "last sentence names no choice"),
        ("(A) is wrong because it is. (E) gra", "last sentence is cut off"),
    ],
)
def test_what_names_no_single_choice_is_not_guessed(text, how):
    answer = extract_choice(text, CHOICES)
    assert (answer.label, answer.how) == (None, how)


def test_a_question_without_choices_has_no_choice():
    assert extract_choice("The answer is (a).").how == "question has no choices"
    assert extract_choice("The answer is (a).", ("", " ")).how == "question has no choices"
    assert extract_choice("The answer is (b).", ("x", "")).how == "letter beyond the choices"


@pytest.mark.parametrize(
    ("text", "choices", "label"),
    [
        ("The answer is st. louis.", ("st", "st. louis"), "st. louis"),  # the longest; its full stop ends no sentence
        ("The answer is -5.", ("5", "-5"), "-5"),
        ("The answer is 5.", ("5", "-5", "5.5"), "5"),
        ("The answer is 5.5.", ("5", "5.5"), "5.5"),
        ("The answer is non-profit.", ("profit", "loss"), None),
        ("The answer is parks.", ("park", "zoo"), None),
        ("The answer is none of these.", ("4", "none of these"), "none of these"),
        ("B", ("C", "B"), "B"),  # a bare choice is read as text first
        ("The answer is (b) (a).", ("x", "(a)"), "(a)"),
    ],
)
def test_choices_that_look_like_each_other_are_told_apart(text, choices, label):
    assert extract_choice(text, choices).label == label


@pytest.mark.parametrize(
    ("said", "choices", "label"),
    [
        ("(x + b)(x - b)", ("(x + b)(x - b)", "(x - b)2", "q"), "(x + b)(x - b)"),
        ("(x + b)(x - b), as it expands to x", ("q", "(x - b)2", "(x + b)(x - b)"), "(x + b)(x - b)"),
        ("L(x,y) < R(x,y)", ("L(x,y) < R(x,y)", "L(x,y) = R(x,y)"), "L(x,y) < R(x,y)"),
        ("f(b), which is more", ("f(a)", "f(b)"), "f(b)"),
        ("f(b), which is more", ("one", "two"), None),
        ("x + 6", ("x + 5", "6"), None),
        ("6, as 5 + 1 = 6", ("5", "6"), "6"),
        ("√2", ("√3", "2"), None),
        ("\\(\\sqrt{2}\\)", ("2", "√2"), "√2"),
        ("$\\frac{1}{2}$", ("2", "1/2"), "1/2"),
        ("1,000", ("100", "1000"), "1000"),
        ("$1000", ("$1,000", "5"), "$1,000"),
        ("\u22125", ("5", "-5"), "-5"),
        ("-5", ("5", "\u22125"), "\u22125"),
        ("50 percent", ("5%", "50%"), "50%"),
        ("50%", ("5%", "50 percent"), "50 percent"),
        ("1000", ("1,000", "1000"), "1000"),  # two notations of one number are two choices
        ("x", ("x", "π"), "x"),
        ("π", ("x", "π"), "π"),
        ("b", ("c", "b"), "b"),
        ("b", ("b", "a"), None),  # the letter of one, the text of the other
    ],
)
@pytest.mark.parametrize("form", ["The answer is {}.", "So **the answer is {}.**", "\\boxed{{{}}}"])
def test_formulas_and_numbers_are_compared_as_such(form, said, choices, label):
    assert extract_choice(form.format(said), choices).label == label


def test_of_two_choices_with_one_text_the_letter_given_is_kept():
    answer = extract_choice("The answer is (e) bridge.", ("a", "b", "c", "bridge", "bridge"))
    assert (answer.label, answer.text) == ("bridge", "The answer is (e) bridge.")
    assert extract_choice("The answer is bridge.", ("bridge", "bridge")).text == "The answer is (a) bridge."


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("It may be so. So the answer is neutral.", "neutral"),
        ("Contradiction", "contradiction"),
        ("The answer is not entailment but neutral.", "neutral"),
        ("The answer is neutral, neither entailment nor contradiction.", "neutral"),
        ("The answer is neither.", "neutral"),
        ("The answer is neither, because it is not said.", "neutral"),
        ("Neither.", "neutral"),
        ("The answer is neither entailment nor contradiction.", "neutral"),
        ("The premise neither entails nor contradicts the hypothesis.", "neutral"),
        ("It is undetermined.", "neutral"),
        ("It is so. The premise entails the hypothesis.", "entailment"),
        ("The answer is that the premise entails the hypothesis.", "entailment"),
        ("Therefore, the hypothesis is entailed by the premise.", "entailment"),
        ("entailed", "entailment"),
        ("The answer is contradicts.", "contradiction"),
        ("Thus the text clearly contradicts the hypothesis.", "contradiction"),
        ("The hypothesis is contradicted.", "contradiction"),
        ("The premise does not entail the hypothesis.", None),
        ("The hypothesis is not contradicted.", None),
        ("The answer is not entailed.", None),
        ("The hypothesis entails the premise.", None),  # the converse
        ("If it rains, it is entailed.", None),
        ("The premise entails the hypothesis, or contradicts it.", None),
        ("The answer is neither, or entailment.", None),
        ("The answer is neither entailment.", None),
        ("Neither man is tall.", None),
        ("The answer is entailment or neutral.", None),
        ("The answer is (a).", None),  # the question shows no letters
    ],
)
def test_choices_without_letters_are_read_by_text(text, label):
    answer = extract_named_choice(text, NLI)
    assert answer.label == label
    assert label is None or answer.text.endswith(f"The answer is {label}.")


def test_choices_are_equal_whatever_their_case_and_white_space():
    assert equal_choices(" Math  problem", "math problem")
    assert not equal_choices("mathproblem", "math problem")


# -- dates ---------------------------------------------------------------------------------------

DAYS = ("04/30/2021", "05/01/2021", "05/01/1921")


@pytest.mark.parametrize(
    "text",
    [
        "05/01/2021",
        "5/1/2021",
        "05-01-2021",
        "2021-05-01",
        "2021/5/1",
        "May 1, 2021",
        "May 1st, 2021",
        "may 1 2021",
        "1 May 2021",
        "the 1st of May, 2021",
    ],
)
def test_notations_of_one_day_are_equal(text):
    assert equal_dates(text, "05/01/2021")
    assert extract_date(f"The answer is {text}.").label == "05/01/2021"
    assert extract_date(f"So the answer is {text}.", DAYS).text == "The answer is (b) 05/01/2021."


def test_other_days_and_days_that_do_not_exist_are_not_equal():
    assert not equal_dates("05/01/2021", "01/05/2021")
    assert not equal_dates("02/29/2021", "03/01/2021")
    assert not equal_dates("May 1, 2021", "05/01/21")  # which century is not guessed
    assert equal_dates("02/30/2021", "02/30/2021")
    assert equal_dates("soon", "Soon ")


@pytest.mark.parametrize(
    ("text", "choices", "label"),
    [
        ("The correct answer choice is (B) 05/01/2021.", DAYS, "05/01/2021"),
        ("Therefore, the date tomorrow is May 1, 2021.", DAYS, "05/01/2021"),
        ("The answer is 05/02/2021.", DAYS, None),
        ("The answer is (B) or (C).", DAYS, None),
        ("The answer is 02/30/2021.", (), None),
        ("The answer is not 05/01/2021.", (), None),
        ("It is May 1, 2021 or May 2, 2021.", (), None),
        ("2021-05-01", (), "05/01/2021"),
        ("Yesterday was April 30, 2021. So today is May 1, 2021.", (), "05/01/2021"),
        ("The answer is soon.", (), None),
    ],
)
def test_dates_are_found(text, choices, label):
    assert extract_date(text, choices).label == label


def test_a_letter_with_another_date_is_told():
    assert extract_date("The answer is (B) 05/02/2021.", DAYS).how == "letter; text differs"


@given(st.dates(date(1000, 1, 2)), st.sampled_from([0, 1, 30, 365]))
def test_dates_are_equal_exactly_when_they_are_one_day(day, later):
    other = day - timedelta(days=min(later, (day - date(1000, 1, 1)).days))
    assert equal_dates(day.strftime("%m/%d/%Y"), other.isoformat()) == (day == other)
    assert equal_dates(day.strftime("%m/%d/%Y"), f"{other:%B} {other.day}, {other.year}") == (day == other)


# -- yes and no ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("The coin was flipped twice. So the answer is yes.", "yes"),
        ("The answer is No, it is tails up.", "no"),
        ("The answer is yes, as it is no longer tails up.", "yes"),
        ("The answer to the question is no.", "no"),
        ("No, the coin is tails up.", "no"),
        ("yes", "yes"),
        ("The answer is not yes.", None),
        ("The answer is yes or no.", None),
        ("The answer is heads.", None),
        ("There is no coin.", None),
        ('1 is less than 5. Therefore, the statement "1 exceeds 5" is false.', "no"),
        ("Hence the claim is not incorrect.", "yes"),
        ("Thus, the statement is true.", "yes"),
        ("3. Therefore, it is highly unlikely that Donatello used a smartphone.", "no"),
        ("Therefore, the letter C is not crucial to spelling it.", "no"),
        ("In conclusion, pi is indeed more than 3.", "yes"),
        ("Overall, it may not be practical.", None),  # a reservation
        ("Therefore, while it does not rain, it is wet.", None),
        ("So basil is safe from this as it is not a source of vitamin D.", None),  # the negation is the reason
        ("Therefore, it is likely that he would go.", None),  # right too seldom
        ("Therefore, pears float.", None),
        ("Yes, Augustus was not his real name.", None),
        ("Yes, he is. Therefore, he cannot swim.", None),  # contradicts itself
        ("So the coin is not tails up.", None),
    ],
)
def test_yes_and_no_are_found_and_negation_is_not_mistaken(text, label):
    assert extract_yes_no(text).label == label
