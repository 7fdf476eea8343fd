"""From rationales and evaluations to examples: which text is learned from which, and under which label."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_world import data, question, rationale

from lib.errors import UserError
from lib.examples import (
    Example,
    completion,
    judged_text,
    majority,
    majority_labels,
    parted,
    reasoning_examples,
    self_evaluation_examples,
)
from lib.tasks import get_task

WORLD = data()
EQUAL = get_task("svamp").equal
FIRST = WORLD.questions["train-0"]
CHOSEN = {"train-0": [rationale(FIRST, 2), rationale(FIRST, 1)]}
VOTES = {"train-0": "(10 + 2)"}


def labels(kind: str, chosen=CHOSEN, questions=WORLD.questions) -> list[str]:
    return [e.label for e in reasoning_examples(questions, chosen, kind, explain=True, votes=VOTES)]


def test_an_example_is_a_pair_of_texts_for_each_task():
    example = Example("q/000", source="How many?", label="(3 + 4)", rationale="3 + 4 = 7. The answer is (3 + 4).")
    assert example.pairs() == [
        ("predict: How many?", "(3 + 4)"),
        ("explain: How many?", "3 + 4 = 7. The answer is (3 + 4)."),
    ]


def test_without_a_rationale_there_is_one_task():
    assert Example("q/000", "How many?", "(3 + 4)", None).pairs() == [("predict: How many?", "(3 + 4)")]


def test_a_rationale_with_its_label_behind_it_is_one_task():
    example = Example("q/000", "How many?", "(3 + 4)", "3 + 4 = 7.", rationale_first=True)
    assert example.pairs() == [("How many?", "3 + 4 = 7. --> (3 + 4)")]


def test_what_is_not_set_is_no_part_of_an_examples_fields():
    plain = {"id": "q", "source": "s", "label": "l", "rationale": None}
    assert Example("q", "s", "l", None).as_dict() == plain
    assert Example("q", "s", "l", "r", True).as_dict() == {**plain, "rationale": "r", "rationale_first": True}


def test_a_rationale_that_comes_first_is_the_reasoning_alone():
    first, _ = reasoning_examples(WORLD.questions, CHOSEN, "gold", explain=True, votes={}, rationale_first=True)
    assert first.pairs() == [(FIRST.text, "2 pens are gone. 10 - 2 = 8. --> (10 + 2)")]
    label, _ = reasoning_examples(WORLD.questions, CHOSEN, "gold", explain=False, votes={}, rationale_first=True)
    assert label.pairs() == [(f"predict: {FIRST.text}", "(10 + 2)")]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("3 + 4 = 7. --> (3 + 4)", ("3 + 4 = 7.", "(3 + 4)")),
        ("a --> b --> c", ("a --> b", "c")),
        ("--> c", ("", "c")),
        ("a -->", ("a", None)),
        ("a-->c", ("a-->c", None)),  # an arrow is a word
        ("a", ("a", None)),
        ("", ("", None)),
    ],
)
def test_a_text_is_parted_at_its_last_arrow(text, parts):
    assert parted(text) == parts


@given(st.text(), st.text().filter(lambda label: "-->" not in label))
def test_a_completion_comes_apart_into_what_it_was_made_of(reasoning, label):
    assert parted(completion(reasoning, label)) == (reasoning.strip(), label.strip() or None)


def test_each_chosen_rationale_is_one_example_in_the_order_chosen():
    examples = reasoning_examples(WORLD.questions, CHOSEN, "teacher", explain=True, votes={})
    assert [e.id for e in examples] == ["train-0/002", "train-0/001"]
    assert {e.source for e in examples} == {FIRST.text}
    assert [e.rationale for e in examples] == [r.text for r in CHOSEN["train-0"]]


def test_labels_only_means_no_rationale():
    examples = reasoning_examples(WORLD.questions, CHOSEN, "teacher", explain=False, votes={})
    assert [(e.label, e.rationale) for e in examples] == [("(10 - 2)", None), ("(2 + 10)", None)]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("teacher", ["(10 - 2)", "(2 + 10)"]),  # each rationale's own, right or wrong
        ("gold", ["(10 + 2)", "(10 + 2)"]),
        ("majority", ["(10 + 2)", "(10 + 2)"]),
    ],
)
def test_the_label_is_the_rationales_own_or_gold_or_the_vote(kind, expected):
    assert labels(kind) == expected


def test_gold_labels_must_be_there():
    nameless = {"train-0": FIRST.model_copy(update={"gold_label": None})}
    with pytest.raises(UserError, match=r"train-0: no gold label; train\.labels: gold needs one for every question"):
        labels("gold", questions=nameless)
    assert labels("teacher", questions=nameless) == ["(10 - 2)", "(2 + 10)"]


def test_questions_come_in_order_and_none_is_made_up():
    chosen = {q: [rationale(WORLD.questions[q], 0)] for q in ("train-2", "train-0")}
    examples = reasoning_examples(WORLD.questions, chosen, "teacher", explain=True, votes={})
    assert [e.id for e in examples] == ["train-0/000", "train-2/000"]
    assert reasoning_examples(WORLD.questions, {}, "teacher", explain=True, votes={}) == []


def evaluations_of(per_rationale: int, judge_sees: str = "rationale") -> list[Example]:
    by_id = {r.id: r for r in CHOSEN["train-0"]}
    return self_evaluation_examples(WORLD.questions, by_id, WORLD.evaluations[::-1], per_rationale, judge_sees)


def test_the_first_evaluations_of_the_given_rationales_are_learned():
    assert [e.id for e in evaluations_of(1)] == ["train-0/001/000", "train-0/002/000"]
    assert [e.id for e in evaluations_of(2)] == [f"train-0/00{r}/00{k}" for r in (1, 2) for k in (0, 1)]


def test_an_evaluation_teaches_verdict_and_critique():
    wrong = evaluations_of(2)[-1]
    assert (wrong.label, wrong.rationale) == ("wrong", "Ann: nothing is gone.")
    assert wrong.source == rationale(FIRST, 2).text


def test_the_judge_may_see_the_question_too():
    r = rationale(FIRST, 2)
    assert judged_text(FIRST, r, "rationale") == r.text
    assert evaluations_of(1, "question and rationale")[-1].source == f"{FIRST.text} {r.text}"


@pytest.mark.parametrize(
    ("given_labels", "expected"),
    [
        (["(3 + 4)"], "(3 + 4)"),
        (["(3 - 4)", "(3 + 4)", "(3 + 4)"], "(3 + 4)"),
        (["(3 - 4)", "(3 + 4)", "(4 + 3)"], "(3 + 4)"),  # equal in value, counted together, said as said first
        (["(3 + 4)", "(3 - 4)"], "(3 + 4)"),  # a tie: the earliest
        (["(3 - 4)", "(3 + 4)"], "(3 - 4)"),
        (["(9 - 1)", "(3 - 4)", "(3 + 4)", "(3 - 4)", "7"], "(3 - 4)"),  # two against two: the earlier of the values
    ],
)
def test_the_majority_counts_equal_values_and_breaks_ties_by_the_earliest(given_labels, expected):
    assert majority(given_labels, EQUAL) == expected


@given(st.lists(st.sampled_from(["1", "2", "1 + 1", "3 - 1", "0 + 1"]), min_size=1, max_size=8))
def test_no_other_value_is_more_frequent_than_the_majority(given_labels):
    value = {"1": 1, "2": 2, "1 + 1": 2, "3 - 1": 2, "0 + 1": 1}
    values = [value[label] for label in given_labels]
    winner = majority(given_labels, EQUAL)
    assert winner in given_labels
    assert values.count(value[winner]) == max(map(values.count, values))


def test_votes_are_counted_by_question_in_the_order_of_samples():
    one, other = question("train", 0), question("train", 1)
    rows = [rationale(other, 2), rationale(one, 2), rationale(one, 1), rationale(one, 0)]
    assert majority_labels(rows, EQUAL) == {"train-0": "(10 + 2)", "train-1": "(11 - 3)"}
