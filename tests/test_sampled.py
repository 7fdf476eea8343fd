"""Several sampled answers to a question: what they hold, and what becomes of them."""

import pytest
from tiny_world import STUDENT, data

from lib.encoding import source_ids
from lib.inference import draw, verdict_probabilities
from lib.records import VERDICTS
from lib.sampled import PAIRS, WAYS, by_question, decided, judge, sampled_answers, tokens_a_question
from lib.settings import Infer
from lib.student import new_student
from lib.tasks import get_task

WORLD, TASK = data(), get_task("svamp")
INFER = Infer(samples=3, temperature=1.0, top_p=0.9)


@pytest.fixture(scope="module", params=["t5", "gpt2"])
def student(request):
    return new_student(STUDENT.model_copy(update={"architecture": request.param}), WORLD.training_texts(), seed=0)


def test_a_row_a_sample(student):
    questions = WORLD.split("test")
    rows = sampled_answers(student, TASK, questions, INFER, "seed 0", 12, "rationale")
    assert [(row["question_id"], row["sample"]) for row in rows] == [
        (q.question_id, i) for q in questions for i in range(3)
    ]
    sources = [f"explain: {q.text}" for q in questions]
    written = [w for own in draw(student, sources, 12, 3, 1.0, 0.9, "seed 0") for w in own]
    assert [row["rationale"] for row in rows] == [w.text for w in written]
    assert len({row["rationale"] for row in rows}) > 3
    p = verdict_probabilities(student, [row["rationale"] for row in rows])
    assert [row["p_correct"] for row in rows] == pytest.approx(p[:, VERDICTS.index("correct")].tolist(), abs=1e-5)


def test_the_judge_sees_the_question_if_it_learned_so(student):
    questions = WORLD.split("test")
    alone, both = (
        sampled_answers(student, TASK, questions, INFER, "k", 8, sees)
        for sees in ("rationale", "question and rationale")
    )
    assert [row["rationale"] for row in alone] == [row["rationale"] for row in both]
    assert all(a["judged_tokens"] < b["judged_tokens"] for a, b in zip(alone, both))
    assert [row["p_correct"] for row in alone] != [row["p_correct"] for row in both]


def test_draws_depend_on_key_question_and_number_alone(student):
    one, two = (f"explain: {q.text}" for q in WORLD.split("test"))
    both = draw(student, [one, two], 12, 4, 1.0, 1.0, "seed 0")
    assert draw(student, [two], 12, 2, 1.0, 1.0, "seed 0") == [both[1][:2]]
    assert draw(student, [one, two], 12, 4, 1.0, 1.0, "seed 0", batch=1) == both
    assert draw(student, [one, two], 12, 4, 1.0, 1.0, "seed 1") != both


def test_equal_texts_are_judged_alike_and_counted_each(student):
    first, second, third = judge(student, ["3 pens.", "4 pens.", "3 pens."])
    assert first == third and first["p_correct"] != second["p_correct"]
    [read] = source_ids(student.tokenizer, ["predict: 3 pens."], student.decoder_only)
    assert first["judged_tokens"] == len(read) + 6  # each verdict is a token and its end


# -- what becomes of them ----------------------------------------------------------------------------


def row(question: str, sample: int, label: str | None, p: float) -> dict:
    return {
        "question_id": question, "sample": sample, "rationale_label": label, "p_correct": p,
        "rationale_tokens": 10 + sample, "at_limit": label is None, "judged_tokens": 20,
    }  # fmt: skip


ROWS = [
    row("b", 1, "8", 0.9), row("b", 0, "7", 0.3), row("b", 2, "7.0", 0.4), row("b", 3, None, 0.99),
    row("a", 0, None, 0.5), row("a", 1, None, 0.5), row("a", 2, None, 0.5), row("a", 3, None, 0.5),
]  # fmt: skip


def test_each_way_decides_by_hand():
    """8 weighs .9, 7 and 7.0 together .7 and two votes; what arrives at no answer has no say."""
    answers = decided(ROWS, TASK.equal, "seed 0")
    assert list(answers) == list(WAYS)
    assert {way: own["b"] for way, own in answers.items() if way != "shuffled"} == {
        "one": "7", "majority": "7", "self-evaluated": "8", "re-ranked": "8",
    }  # fmt: skip
    assert {own["a"] for own in answers.values()} == {None}
    assert {decided(ROWS, TASK.equal, str(key))["shuffled"]["b"] for key in range(20)} == {"7", "8"}


def test_rows_are_put_in_order():
    assert {q: [r["sample"] for r in own] for q, own in by_question(ROWS).items()} == {
        "a": [0, 1, 2, 3],
        "b": [0, 1, 2, 3],
    }


def test_tokens_by_hand():
    """a is read in 5 tokens, b in 7; the ends that were written count, the limit's do not."""
    costs = tokens_a_question(ROWS, {"a": 5, "b": 7})
    assert costs["one"] == (5 + 10 + 7 + 11) / 2
    assert costs["majority"] == (5 + 46 + 7 + 46 + 3) / 2
    assert costs["self-evaluated"] == costs["re-ranked"] == costs["majority"] + 80


def test_what_is_compared_exists():
    assert {way for pair in PAIRS for way in pair} <= {*WAYS, "predict"}
