import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.equations import equal_equations
from lib.tasks.answers import equal_words, extract_equation, extract_string, extract_yes_no
from lib.text import LIMIT

EXTRACTORS = [extract_equation, extract_yes_no, extract_string]


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
        ("He is tall.", "no answer found"),
        ("He had 3. " + "So 32 sacks were not harvested. " * 5 + "3", "ran on without an answer"),
    ],
)
def test_what_cannot_be_told_is_not_guessed(text, how):
    answer = extract_equation(text)
    assert answer.label is None
    assert answer.how == how


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("The coin was flipped twice. So the answer is yes.", "yes"),
        ("The answer is No, it is tails up.", "no"),
        ("The answer is yes, as it is no longer tails up.", "yes"),
        ("No, the coin is tails up.", "no"),
        ("yes", "yes"),
        ("The answer is not yes.", None),
        ("The answer is yes or no.", None),
        ("The answer is heads.", None),
        ("There is no coin.", None),
    ],
)
def test_yes_and_no_are_found_and_negation_is_not_mistaken(text, label):
    assert extract_yes_no(text).label == label


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ('The last letters are y, a, j, o. The answer is "yajo".', "yajo"),
        ("The answer is Y A J O.", "yajo"),
        ("Concatenating them, we get yajo.", "yajo"),
        ("y + a + j + o = yajo", "yajo"),
        ('Putting them together, we get "lyne" as the final string.', "lyne"),
        ("yajo", "yajo"),
        ("The answer is 42.", None),
        ("Nothing ends here", None),
    ],
)
def test_strings_are_found(text, label):
    assert extract_string(text).label == label


def test_words_are_equal_whatever_their_case():
    assert equal_words("Yes ", "yes")
    assert not equal_words("yes", "no")


_pieces = st.lists(
    st.one_of(
        st.sampled_from(["The answer is ", "So ", "Thus, ", "\nQ: ", "yes", "no", "(3 + 4)", " = 7", "12", ". "]),
        st.text(max_size=8),
    ),
    max_size=12,
).map("".join)


@pytest.mark.parametrize("extract", EXTRACTORS)
@given(text=_pieces)
@settings(max_examples=300)
def test_extraction_never_raises_and_is_idempotent(extract, text):
    once = extract(text)
    again = extract(once.text)
    assert again.label == once.label
    assert again.text == once.text
    assert once.text.startswith(once.reasoning)


@pytest.mark.parametrize("extract", EXTRACTORS)
@pytest.mark.parametrize(
    "text",
    [
        "The answer is " + "(" * 10**6,
        "The answer is " * 10**5,
        "9" * 10**6,
        "= " * 10**6,
        "a " * 10**6,
        "\n" * 10**6 + "Q:",
        "(" * 10**6 + "a",
        "Tom has 3 " * 10**5,
        "The answer is 1" + " + 1" * 10**5,
        "So " * 10**5 + "7",
        "So " * 6000 + "7",
        "The answer is 7. So " + ", " * 9000,
    ],
)
def test_hostile_text_takes_bounded_time_and_space(extract, text):
    start = time.perf_counter()
    answer = extract(text)
    assert time.perf_counter() - start < 1
    assert len(answer.text) <= LIMIT
    assert extract(answer.text).label == answer.label


def _accuracy(rows):
    labels = [extract_equation(row["response"]).label for row in rows]
    right = [label is not None and equal_equations(label, row["gold_label"]) for label, row in zip(labels, rows)]
    return sum(right) / len(rows)


def _rows(path):
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_teacher_accuracy_extracted_from_real_few_shot_responses(real_data):
    rows = _rows(real_data / "teacher/svamp.palm.1cot.jsonl")
    assert _accuracy([row for row in rows if row["split"] == "train"]) == pytest.approx(0.745, abs=0.005)
    assert _accuracy([row for row in rows if row["split"] == "test"]) == pytest.approx(0.775, abs=0.005)


def test_recall_on_real_free_form_responses(real_data):
    """All of these reach the gold label, but no fixed sentence says so."""
    assert _accuracy(_rows(real_data / "teacher/svamp.gpt35.3cot.jsonl")) > 0.8
    rows = _rows(real_data / "teacher/last_letter_concatenation.gpt35.3cot.jsonl")
    found = [equal_words(extract_string(row["response"]).label or "", row["gold_label"]) for row in rows]
    assert sum(found) / len(found) > 0.95
