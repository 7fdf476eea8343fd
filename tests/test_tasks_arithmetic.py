import random
import re
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.equations import equation_value
from lib.errors import UserError
from lib.records import SPLITS
from lib.settings import Arithmetic, Seeds
from lib.tasks.arithmetic import Fact, generate, load, parse, stories_of
from lib.tasks.generated import generate_splits
from lib.tasks.stories import ONE_OPERATION, TWO_OPERATIONS

ALL_STORIES = {1: len(ONE_OPERATION), 2: len(TWO_OPERATIONS)}


def config(operations=1, stories=None, largest=60, distractors="both", train=400, validation=50, test=100, seeds=None):
    return Arithmetic(
        operations=operations,
        stories=stories or ALL_STORIES[operations],
        largest=largest,
        distractors=distractors,
        train=train,
        validation=validation,
        test=test,
        seeds=Seeds(**(seeds or {"train": 1, "validation": 2, "test": 3})),
    )


_settings = st.builds(
    config,
    operations=st.sampled_from([1, 2]),
    largest=st.integers(12, 60),
    distractors=st.sampled_from(["unrelated", "similar", "both"]),
)


@given(seed=st.integers(0, 2**32), settings=_settings)
def test_parse_inverts_generate(seed, settings):
    text, gold = generate(random.Random(seed), settings)
    problem = parse(text)
    assert problem.text == text
    assert problem.gold == gold
    assert problem.steps[-1].result == equation_value(gold)
    assert len(problem.steps) == settings.operations


@given(seed=st.integers(0, 2**32), settings=_settings)
def test_numbers_are_distinct_and_one_of_them_is_not_needed(seed, settings):
    text, gold = generate(random.Random(seed), settings)
    problem = parse(text)
    numbers = [fact.number for fact in problem.facts]
    results = [step.result for step in problem.steps]
    assert len({*numbers, *results}) == len(numbers) + len(results)
    assert all(2 <= number <= settings.largest for number in numbers)
    assert all(2 <= result <= 100 for result in results)
    used = set(map(int, re.findall("[0-9]+", gold)))
    assert {problem.distractor.number} == set(numbers) - used


def test_a_question_by_hand():
    problem = parse("Ann buys 7 pens. Ben has 9 pens. Now Ann has 12 pens. How many pens did Ann have at first?")
    assert problem.gold == "(12 - 7)"
    assert problem.facts == (
        Fact("Ann buys 7 pens.", 7, "b"),
        Fact("Ben has 9 pens.", 9, "d"),
        Fact("Now Ann has 12 pens.", 12, "a"),
    )
    assert problem.numbers == {"a": 12, "b": 7, "d": 9}
    assert problem.counts == "pens"
    [step] = problem.steps
    assert (step.left, step.operator, step.right, step.result) == (12, "-", 7, 5)
    assert step.say(5) == "Ann had 5 pens at first."


@pytest.mark.parametrize(
    "text",
    [
        "",
        "How many pens does Tom have now?",
        "Tom has 12 pens. Tom buys 7 pens. How many pens does Tom have now?",
        "Tom has 12 pens. Tom has 9 pens. Tom buys 7 pens. How many pens does Tom have now?",
        "Tom has x pens. Ann has 9 pens. Tom buys 7 pens. How many pens does Tom have now?",
    ],
)
def test_another_text_is_refused(text):
    with pytest.raises(UserError, match="not a generated arithmetic question"):
        parse(text)


def test_no_text_stands_twice_and_the_numbers_are_reached():
    questions = load(config())
    assert Counter(q.split for q in questions) == {"train": 400, "validation": 50, "test": 100}
    assert len({q.text for q in questions}) == len({q.id for q in questions}) == 550
    assert questions[0].question_id == "arithmetic-train-00000"


def test_equal_seeds_still_give_disjoint_splits():
    questions = load(config(train=200, validation=200, test=200, seeds={"train": 1, "validation": 1, "test": 1}))
    assert len({q.text for q in questions}) == 600


def test_questions_are_the_same_every_time_and_others_with_another_seed():
    assert load(config()) == load(config())
    others = load(config(seeds={"train": 1, "validation": 2, "test": 99}))
    assert [q for q in others if q.split != "test"] == [q for q in load(config()) if q.split != "test"]
    assert others != load(config())


def test_more_questions_than_there_are_is_a_users_error():
    two = lambda rng: (f"question {rng.randrange(2)}", "1")  # noqa: E731
    with pytest.raises(UserError, match=r"tasks\.arithmetic\.train: 3 questions asked for, but only 2"):
        generate_splits("arithmetic", config(train=3), two)
    with pytest.raises(UserError, match=r"tasks\.arithmetic\.validation: 1 .* after 2 in other splits"):
        generate_splits("arithmetic", config(train=2, validation=1), two)


@pytest.mark.parametrize("operations", [1, 2])
def test_reading_is_needed(operations):
    """Every operator occurs, the distractor stands in every place, and text order is not equation order."""
    problems = [parse(q.text) for q in load(config(operations))]
    assert {step.operator for problem in problems for step in problem.steps} == set("+-*/")
    assert {problem.facts.index(problem.distractor) for problem in problems} == set(range(operations + 2))
    orders = {"".join(fact.role for fact in problem.facts if fact.role != "d") for problem in problems}
    assert len(orders) > 1
    assert len({problem.story for problem in problems}) >= 8


def test_the_distractors_size_does_not_give_it_away():
    problems = [parse(q.text) for q in load(config(train=2000))]
    ranks = Counter(sorted(problem.numbers.values()).index(problem.distractor.number) for problem in problems)
    assert max(ranks.values()) / len(problems) < 0.5
    assert min(ranks.values()) / len(problems) > 0.2


def test_the_vocabulary_is_small_and_closed():
    words = {word for q in load(config(train=3000)) for word in re.findall(r"[A-Za-z]+|[0-9]+|\S", q.text)}
    assert len(words) < 200


def test_the_first_stories_have_all_operators():
    assert [story.steps[-1][1] for story in stories_of(1, 4)] == ["+", "-", "*", "/"]
    assert len(stories_of(1, len(ONE_OPERATION))) == len(ONE_OPERATION)
    with pytest.raises(UserError, match=r"stories: 99 asked for"):
        stories_of(1, 99)


@pytest.mark.parametrize("operations", [1, 2])
def test_generation_is_fast(operations):
    start = time.perf_counter()
    assert len(load(config(operations, train=2000, validation=200, test=400))) == 2600
    assert time.perf_counter() - start < 3


def test_splits_are_named_in_order():
    assert [q.split for q in load(config(train=1, validation=1, test=1))] == list(SPLITS)
