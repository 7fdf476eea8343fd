"""What stands in the rows of published data sets: each form once, each kind of malformed row once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.equations import equation_value
from lib.errors import UserError
from lib.tasks import TASKS
from lib.tasks.datasets import choice_texts, form_of, letter_place, lettered, number_label, without_letter

BIGBENCH_DATE = {"input": "Today is 5/1/2021.  What is the date?", "target_scores": {"05/01/2021": 1, "02/23/2021": 0}}
DATE = "Today is 5/1/2021. What is the date?\nWhich choice is true? Answer choices: "
BALLS = {"input": "Alice has the ", "target_scores": {"red ball.": 0, "blue ball.": 1}}
PARK = "What is this?\nAnswer choices: (a) park, (b) math problem"
NLI = "A cat sat.\nHypothesis: An animal sat.\nDoes the premise entail the hypothesis, contradict it, or neither? "
COIN = "A coin is heads up. Ka flips the coin. Is the coin still heads up?"
LETTERS = 'Take the last letters of each words in "Jose Antonio Al" and concatenate them.'
HUB_DATE = {
    "idx": 3,
    "inputs": "Today is 5/1/2021. What is the date?",
    "multiple_choice_targets": ["05/01/2021", "02/23/2021"],
    "multiple_choice_scores": [1, 0],
}


def record(task, row):
    return form_of(TASKS[task].data_set, row).read(row)


def commonsense(**changes):
    return {
        "question": "What is  this?",
        "choices": {"label": ["A", "B"], "text": ["park", "math problem"]},
        "answerKey": "B",
    } | changes


@pytest.mark.parametrize(
    ("task", "row", "text", "gold"),
    [
        ("single_eq", {"sQuestion": " How many ? ", "lSolutions": [43.0]}, "How many ?", "43"),
        ("add_sub", {"sQuestion": "How much?", "lSolutions": ["0.50"]}, "How much?", "0.5"),
        ("multi_arith", {"sQuestion": "How many?", "lSolutions": [39.0]}, "How many?", "39"),
        ("multi_arith", {"question": "How many?", "final_ans": "39"}, "How many?", "39"),
        ("gsm8k", {"question": "How much?", "answer": "So #### is no mark.\n#### 1,080"}, "How much?", "1080"),
        ("gsm8k", {"question": "How cold?", "answer": "#### -10"}, "How cold?", "-10"),
        (
            "aqua",
            {"question": "How long?", "options": ["A)5(√3 + 1)", "B) 6"], "correct": "A"},
            "How long?\nAnswer choices: (a) 5(√3 + 1), (b) 6",
            "5(√3 + 1)",
        ),
        ("commonsense_qa", commonsense(), PARK, "math problem"),
        (
            "commonsense_qa",
            {
                "answerKey": "B",
                "question": {
                    "stem": "What is this?",
                    "choices": [{"label": "A", "text": "park"}, {"label": "B", "text": "math problem"}],
                },
            },
            PARK,
            "math problem",
        ),
        ("strategy_qa", {"input": "Is it?", "target_scores": {"Yes": 0, "No": 1}}, "Is it?", "no"),
        ("strategy_qa", {"question": "Is it?", "answer": True}, "Is it?", "yes"),
        ("tracking_shuffled_objects", BALLS, "Alice has the\nWhich choice is true? Answer choices: (A) red ball, "
         "(B) blue ball.", "blue ball"),
        ("coin_flip", {"question": COIN, "answer": "no"}, COIN, "no"),
        ("coin_flip", {"inputs": f"Q: {COIN}", "targets": "no"}, COIN, "no"),
        ("last_letter", {"question": LETTERS, "answer": "ol"}, LETTERS, "ol"),
        ("last_letter", {"question": LETTERS, "answer": "EOL"}, LETTERS, "eol"),
    ],
)  # fmt: skip
def test_a_row_is_read(task, row, text, gold):
    read = record(task, row)
    assert (read.text, read.gold_label) == (text, gold)
    assert not read.choices or gold in read.choices


@pytest.mark.parametrize("premise", ["premise", "context"])
@pytest.mark.parametrize(
    ("label", "meaning"), [(0, "entailment"), (1, "neutral"), (2, "contradiction"), ("n", "neutral")]
)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_anli_in_both_forms(premise, label, meaning, number):
    read = record(f"anli_r{number}", {premise: "A cat  sat.", "hypothesis": "An animal sat.", "label": label})
    assert read.text == NLI + "Answer with entailment, contradiction or neutral."
    assert (read.gold_label, read.choices) == (meaning, ("entailment", "neutral", "contradiction"))


def test_dates_are_shuffled_the_same_in_both_forms():
    """The publishers put the right choice first in every question."""
    read = record("date_understanding", BIGBENCH_DATE)
    assert read == record("date_understanding", HUB_DATE)
    assert read.gold_label == "05/01/2021" and sorted(read.choices) == ["02/23/2021", "05/01/2021"]
    assert read.text == f"{DATE}(A) {read.choices[0]}, (B) {read.choices[1]}."
    assert form_of(TASKS["date_understanding"].data_set, HUB_DATE).number(HUB_DATE) == 3


def test_dates_keep_the_order_of_the_fine_tuning_data():
    row = {"question": f"{DATE}(A) 02/23/2021, (B) 05/01/2021.", "answer": "B"}
    read = record("date_understanding", row)
    assert (read.text, read.gold_label) == (row["question"], "05/01/2021")
    assert read.choices == ("02/23/2021", "05/01/2021")


def test_two_choices_may_be_the_same():
    read = record("commonsense_qa", commonsense(choices={"label": ["A", "B"], "text": ["bridge", "bridge"]}))
    assert read.text.endswith("(a) bridge, (b) bridge") and read.gold_label == "bridge"


@pytest.mark.parametrize(
    ("task", "row", "message"),
    [
        ("gsm8k", 7, "expected an object with question, answer, given 7"),
        ("gsm8k", {"question": "?"}, "expected the fields question, answer; given question"),
        ("gsm8k", {}, "expected the fields question, answer; given none"),
        ("gsm8k", {"question": " ", "answer": "#### 1"}, "question: expected a text, given ' '"),
        ("gsm8k", {"question": "?", "answer": "12"}, "answer: expected a solution that ends in"),
        ("gsm8k", {"question": "?", "answer": "#### x"}, "answer: expected a number, given ' x'"),
        ("single_eq", {"sQuestion": "?", "lSolutions": [1.0, 2.0]}, "lSolutions: expected a list of one number"),
        ("single_eq", {"sQuestion": "?", "lSolutions": "1"}, "lSolutions: expected a list of one number"),
        ("single_eq", {"sQuestion": "?", "lSolutions": [float("nan")]}, "lSolutions: expected a number, given nan"),
        (
            "aqua",
            {"question": "?", "options": ["A)1", "B)2"], "correct": "C"},
            "correct: expected a letter from A to B",
        ),
        ("aqua", {"question": "?", "options": ["A)", "B)2"], "correct": "A"}, "options: the right choice, A, is empty"),
        ("aqua", {"question": "?", "options": "A)1", "correct": "A"}, "options: expected a list of 2 to 26 texts"),
        ("commonsense_qa", {"question": "?", "id": 1}, "expected the fields question, answerKey; given question, id"),
        ("commonsense_qa", commonsense(answerKey=""), "answerKey: expected a letter from A to B, given ''"),
        ("commonsense_qa", commonsense(choices=None), "choices: expected texts with the labels A, B, C"),
        ("commonsense_qa", commonsense(choices={"label": ["B", "A"], "text": ["x", "y"]}), "choices: expected texts"),
        ("anli_r1", {"premise": "x", "hypothesis": "y", "label": -1}, "label: expected one of 0, 1, 2, .*; given -1"),
        ("strategy_qa", {"question": "?", "answer": "maybe"}, "answer: expected one of True, False, .* given 'maybe'"),
        ("strategy_qa", {"input": "?", "target_scores": {"Yes": 1, "No": 1}}, "target_scores: expected one choice"),
        ("strategy_qa", {"input": "?", "target_scores": {"A": 1, "B": 0}}, "target_scores: .* given 'A'"),
        # As a column has it: every choice of all rows, None where it is none of the row's.
        ("strategy_qa", {"input": "?", "target_scores": {"Yes": 1, "No": 0, "x": None}}, "target_scores: expected one"),
        ("date_understanding", {"input": "?", "target_scores": [1]}, "target_scores: expected an object of choices"),
        ("date_understanding", HUB_DATE | {"idx": None}, "idx: expected a whole number, given None"),
        ("date_understanding", HUB_DATE | {"multiple_choice_scores": [1]}, "multiple_choice_scores: expected one"),
        ("date_understanding", {"question": "?", "answer": "A"}, "question: expected '... Which choice is true"),
        ("coin_flip", {"question": COIN, "answer": "yes"}, "answer: 'yes' does not follow from"),
        ("coin_flip", {"question": "Is it?", "answer": "yes"}, "not a coin flip question"),
        ("coin_flip", {"question": COIN, "answer": "maybe"}, "answer: expected one of yes, no; given 'maybe'"),
        ("last_letter", {"question": LETTERS, "answer": "lo"}, "answer: 'lo' does not follow from"),
        ("last_letter", {"question": LETTERS, "answer": "eo"}, "answer: 'eo' does not follow from"),
    ],
)
def test_a_malformed_row_is_a_users_error(task, row, message):
    with pytest.raises(UserError, match=message) as error:
        form = form_of(TASKS[task].data_set, row)
        form.read(row), form.number and form.number(row)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (39.0, "39"), (-0.0, "0"), (9.43, "9.43"), ("$1,080", "1080"), ("0.50", "0.5"), (7, "7"), ("-3", "-3"),
        (0.6666666666666666, "2/3"), ("1.8333333333333335", "11/6"), ("0.33", "0.33"), (0.125, "0.125"),
    ],
)  # fmt: skip
def test_numbers_as_labels(value, label):
    assert number_label("x", value) == label


@pytest.mark.parametrize("value", [None, True, "", "ten", "1/2", "9**9", float("inf"), "1" * 31, [1]])
def test_what_is_no_number(value):
    with pytest.raises(UserError, match="x: expected a number, given "):
        number_label("x", value)


@given(st.integers(-(10**9), 10**9), st.integers(0, 6))
def test_a_label_has_the_number_s_value(digits, places):
    text = f"{'-' if digits < 0 else ''}{abs(digits) // 10**places}.{abs(digits) % 10**places:0{max(places, 1)}d}"
    assert equation_value(number_label("x", text)) == equation_value(text)


def test_letters():
    assert lettered(["park", "gravity"]) == "(a) park, (b) gravity"
    assert letter_place("key", " b ", 2) == 1
    assert without_letter("A)5(√3 + 1)") == "5(√3 + 1)" and without_letter("(b) x") == "x"
    assert without_letter("5)") == "5)"
    with pytest.raises(UserError, match="options: expected a list of 2 to 26 texts"):
        choice_texts("options", ["only one"])


def test_every_task_has_what_it_needs():
    for task in TASKS.values():
        assert task.generate or task.data_set
        assert task.label_kind in {"equation", "number", "choice", "date", "yes_no", "string"}
        if task.data_set:
            assert task.data_set.name == task.name
            assert ("all" in task.data_set.parts) == (task.data_set.train_share is not None)
            assert set(task.data_set.sizes) == {"train", "validation", "test"} and task.data_set.characters > 0
    assert {name: task.prompts for name, task in TASKS.items() if task.prompts != name} == {
        "anli_r1": "anli", "anli_r2": "anli", "anli_r3": "anli",
    }  # fmt: skip
