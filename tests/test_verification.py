import random
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.records import Question
from lib.settings import Arithmetic, CoinFlip, LastLetter, Seeds
from lib.tasks import arithmetic, coin_flip, get_task, last_letter
from lib.teacher.simulation import arithmetic as simulated_arithmetic
from lib.teacher.simulation import coin_flip as simulated_coin_flip
from lib.teacher.simulation import last_letter as simulated_last_letter
from lib.verification import LONGEST_SENTENCE, check_equations, equations, false_arithmetic

ADD = "Tom has 12 pens. Ann has 9 pens. Tom buys 7 pens. How many pens does Tom have now?"
GIVE = "Tom has 20 pens. Tom buys 7 pens. Tom has 4 cups. Tom gives 3 pens to Ann. How many pens does Tom have left?"
FILL = (
    "Tom has 34 pens. Ann has 9 pens. Tom loses 4 pens. Tom puts 5 pens in each box. "
    "How many boxes of pens does Tom fill?"
)


def check(text, rationale):
    question = Question(question_id="x", task="arithmetic", split="test", text=text, gold_label=None)
    return get_task("arithmetic").check(question, rationale)


# -- equations, whatever the question ------------------------------------------------------------


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("3 + 4 = 7.", [("3 + 4", "7")]),
        ("So 3 + 4 is 7, right?", [("3 + 4", "7")]),
        ("3 plus 4 equals 7", [("3 + 4", "7")]),
        ("12 red pens + 7 pens = 19 pens.", [("12 + 7", "19")]),
        ("He pays $128 - $38 = $90", [("128 - 38", "90")]),
        ("1/3 of 120 is 120 / 3 = 40", [("120 / 3", "40")]),
        ("5 = 2 + 3 = 1 + 4", [("5", "2 + 3", "1 + 4")]),
        ("(12 + 7 = 19)", [("12 + 7", "19")]),
        ("1 + 1 = 2 and 2 + 2 = 4", [("1 + 1", "2"), ("2 + 2", "4")]),
        ("x + 3 = 5", []),
        ("2 * x + 15 = 52", []),
        ("54 - some = 30", []),
        ("3:4 = 0.75", []),
        ("Tom has 12 pens.", []),
        ("12 is 7", []),
    ],
)
def test_equations_in_a_sentence(sentence, found):
    assert equations(sentence) == found


@pytest.mark.parametrize(
    ("sentence", "wrong"),
    [
        ("3 + 4 = 8", "3 + 4 is 7, not 8"),
        ("8 = 3 + 4", "3 + 4 is 7, not 8"),
        ("3 * 4 = 4 * 3 = 12", None),
        ("2 + 3 = 1 + 5", "2 + 3 is not 1 + 5"),
        ("193 / 15 = 12.87", None),  # rounded
        ("193 / 15 = 12.86", None),  # cut off
        ("193 / 15 = 12.88", "193 / 15 is 12.87, not 12.88"),
        ("29 / 2 = 14", "29 / 2 is 14.5, not 14"),
        ("84 / 2 = 42.0", None),
    ],
)
def test_false_arithmetic(sentence, wrong):
    [equation] = equations(sentence)
    assert false_arithmetic(equation) == wrong


def test_a_check_tells_wrong_right_and_not_checkable_apart():
    found = check_equations("He has 3 pens. 3 + 4 = 8. 3 + 4 = 7. The answer is (3 + 4).")
    assert [step.wrong for step in found.steps] == [None, "3 + 4 is 7, not 8", None, None]
    assert [step.checked for step in found.steps] == [False, True, True, False]
    assert found.wrong_steps == (1,)
    assert found.checkable == 2
    assert check_equations("").steps == ()


def test_a_sentence_is_checked_up_to_its_limit():
    padding = "a " * (LONGEST_SENTENCE // 2)
    assert check_equations(padding[: LONGEST_SENTENCE - 10] + "3 + 4 = 8.").wrong_steps == (0,)
    assert check_equations(padding + "3 + 4 = 8.").checkable == 0


# -- word problems -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rationale",
    [
        "Tom has 12 pens. Tom buys 7 pens. So 12 + 7 = 19. Tom has 19 pens now. The answer is (12 + 7).",
        "7 + 12 is 19. The answer is 19.",
        "12 plus 7 equals 19. So Tom has 19 pens. The answer is (7 + 12).",
        "We add 12 and 7. Ann has 9 pens. We do not need the number 9. The answer is 7 + 12.",
        "The numbers that count are 7 and 12. To check: 19 - 7 = 12.",
    ],
)
def test_right_steps_are_not_refuted(rationale):
    found = check(ADD, rationale)
    assert [step.wrong for step in found.steps if step.wrong] == []
    assert found.checkable == len(found.steps)


@pytest.mark.parametrize(
    ("sentence", "wrong"),
    [
        ("12 + 7 = 18.", "12 + 7 is 19, not 18"),
        ("12 + 9 = 21.", "uses 9, which the question does not ask about"),
        ("12 - 7 = 5.", "12 - 7 is not what the question asks for"),
        ("12 + 8 = 20.", "8 comes from nowhere"),
        ("We multiply 12 by 7.", "12 * 7 is not what the question asks for"),
        ("We add 9 and 7.", "uses 9, which the question does not ask about"),
        ("The numbers that count are 12 and 9.", "uses 9, which the question does not ask about"),
        ("We do not need the number 7.", "the question needs 7"),
        ("Tom has 18 pens now.", "it is 19, not 18"),
        ("Tom buys 9 pens.", "it is 7, not 9"),
        ("Ann has 12 pens.", "it is 9, not 12"),
        ("Zoe has 12 pens.", "the question does not say so"),
        ("Tom buys 7 cups.", "the question does not say so"),
        ("The answer is (12 + 9).", "uses 9, which the question does not ask about"),
        ("The answer is (12 * 7).", "12 * 7 is not what the question asks for"),
        ("The answer is 21.", "21 does not answer the question"),
        ("The answer is 12.", "12 does not answer the question"),
        ("The answer is pens.", "the answer is no equation"),
        ("That leaves 77 of them.", "77 comes from nowhere"),
    ],
)
def test_wrong_steps_and_why(sentence, wrong):
    [step] = check(ADD, sentence).steps
    assert (step.wrong or "").replace("(", "").replace(")", "") == wrong
    assert step.checked


def test_order_counts_where_it_matters():
    text = "Tom has 12 pens. Ann has 9 pens. Tom loses 7 pens. How many pens does Tom have left?"
    assert check(text, "12 - 7 = 5.").wrong_steps == ()
    assert check(text, "7 - 12 = -5.").wrong_steps == (0,)
    assert check(text, "We subtract 7 from 12.").wrong_steps == ()
    assert check(text, "We subtract 12 from 7.").wrong_steps == (0,)


@pytest.mark.parametrize(
    ("text", "rationale"),
    [
        (GIVE, "20 + 7 = 27. 27 - 3 = 24. The answer is ((20 + 7) - 3)."),
        (GIVE, "20 - 3 = 17. 17 + 7 = 24. The answer is (20 - 3) + 7."),
        (GIVE, "7 - 3 = 4. 20 + 4 = 24. The answer is (20 + 7 - 3)."),
        (GIVE, "20 + 7 - 3 = 27 - 3 = 24. The answer is (27 - 3)."),
        (FILL, "34 - 4 = 30. 30 / 5 = 6. The answer is ((34 - 4) / 5)."),
        (FILL, "34 / 5 = 6.8. 4 / 5 = 0.8. 6.8 - 0.8 = 6. The answer is 6."),
    ],
)
def test_algebraically_equal_ways_are_right(text, rationale):
    assert check(text, rationale).wrong_steps == ()


@pytest.mark.parametrize(
    ("rationale", "wrong"),
    [
        ("20 + 7 = 26. 26 - 3 = 23. The answer is ((20 + 7) - 3).", (0, 1)),
        ("20 - 7 = 13. 13 - 3 = 10. The answer is ((20 - 7) - 3).", (0, 1, 2)),
        ("20 + 7 = 27. 27 - 4 = 23. The answer is ((20 + 7) - 4).", (1, 2)),
        ("20 + 3 = 23. 23 - 7 = 16.", (0, 1)),
    ],
)
def test_what_builds_on_a_wrong_result_is_wrong(rationale, wrong):
    assert check(GIVE, rationale).wrong_steps == wrong


def test_garble_has_nothing_to_check():
    found = check(ADD, "Tom the pens of. has has How many? So we add.")
    assert found.wrong_steps == ()
    assert found.checkable == 0


# -- against the simulated teacher, whose flaws are known ----------------------------------------

SEEDS = Seeds(train=5, validation=6, test=7)
SIZE = {"train": 150, "validation": 1, "test": 1, "seeds": SEEDS}


def generated(operations):
    stories = len(arithmetic.ONE_OPERATION if operations == 1 else arithmetic.TWO_OPERATIONS)
    return arithmetic.load(Arithmetic(operations=operations, stories=stories, largest=60, distractors="both", **SIZE))


@pytest.mark.parametrize(
    ("task", "questions", "parse", "writer"),
    [
        ("arithmetic", generated(1), arithmetic.parse, simulated_arithmetic),
        ("arithmetic", generated(2), arithmetic.parse, simulated_arithmetic),
        (
            "coin_flip",
            coin_flip.load(CoinFlip(source="generated", people=4, **SIZE)),
            coin_flip.parse,
            simulated_coin_flip,
        ),
        (
            "last_letter",
            last_letter.load(LastLetter(source="generated", words=4, **SIZE)),
            last_letter.parse,
            simulated_last_letter,
        ),
    ],
    ids=["one operation", "two operations", "coin flip", "last letter"],
)
def test_the_verifier_refutes_exactly_the_planted_flaws(task, questions, parse, writer):
    task, rng, judged = get_task(task), random.Random(0), Counter()
    for question in questions:
        problem = parse(question.text)
        for style in range(4):
            for kind in (None, *writer.FLAWS):
                work = writer.FLAWS[kind](problem, rng) if kind else writer.solve(problem)
                if work is not None:
                    text = writer.word(problem, work, style, rng)
                    found = task.check(question, text)
                    assert bool(found.wrong_steps) == bool(kind), (question.text, text, found)
                    assert task.extract(text).text == text
                    judged[kind] += 1
    assert min(judged.values()) > 300
    assert len(judged) == 1 + len(writer.FLAWS)


# -- any text ------------------------------------------------------------------------------------

_PIECES = ["12", "7", "9", " + ", " - ", " = ", "(", ")", " is ", "Tom has ", "The answer is ", ". ", "We add "]
_garble = st.lists(st.one_of(st.sampled_from(_PIECES), st.text(max_size=5)), max_size=30).map("".join)


@given(_garble)
def test_no_rationale_raises_and_each_sentence_is_a_step(rationale):
    for found in (check(ADD, rationale), check(GIVE, rationale), check_equations(rationale)):
        assert len(found.wrong_steps) <= found.checkable <= len(found.steps)


@pytest.mark.parametrize(
    "rationale",
    [
        "(" * 10**6,
        "1 = " * 10**6,
        "- " * 10**6 + "1 = 1",
        "12 + 7 = 19 " * 10**5,
        "12 pens " * 10**5 + "+ 7 = 1",
        ("12 + 7 = 19. " * 10**5),
        "The answer is " * 10**5,
        "We add 12 and " * 10**5,
        "12+" * 10**5 + "7=19",
        "so " * 10**6,
    ],
)
def test_hostile_text_takes_bounded_time(rationale):
    start = time.perf_counter()
    check(GIVE, rationale)
    check_equations(rationale)
    assert time.perf_counter() - start < 2


def test_checking_is_fast():
    questions = generated(1)
    rationales = [
        simulated_arithmetic.word(p, simulated_arithmetic.solve(p), 0, random.Random(0))
        for p in (arithmetic.parse(q.text) for q in questions)
    ]
    start = time.perf_counter()
    for _ in range(10):
        for question, rationale in zip(questions, rationales):
            get_task("arithmetic").check(question, rationale)
    assert time.perf_counter() - start < 3


@pytest.mark.parametrize(
    "sentence, wrong, checked",
    [
        ("13 chairs per set = 143 chairs.", None, False),  # units, not arithmetic
        ("1 dozen = 12.", None, False),
        ("11 sets x 13 chairs per set = 143 chairs.", None, True),
        ("11 sets x 13 chairs per set = 144 chairs.", "11 * 13 is 143, not 144", True),
        ("3 + 4 = 7 = 8.", "7 is not 8", True),  # in a chain that calculates, a bare number counts
    ],
)
def test_bare_numbers_alone_are_no_arithmetic(sentence, wrong, checked):
    [step] = check_equations(sentence).steps
    assert (step.wrong, step.checked) == (wrong, checked)
