"""Zero-shot: two calls a rationale, how the second one's answer is read, and what both cost."""

from dataclasses import replace

import pytest
from test_sampling import QUESTIONS, TASK, ZERO_SHOT, Fake, quiet, rationales

from lib.records import Question
from lib.sampling import sample_rationales
from lib.settings import Price
from lib.tasks import TASKS, get_task
from lib.teacher import Response, prompts
from lib.teacher.store import Store
from lib.teacher.terms import Terms


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store.jsonl") as opened:
        yield opened


def two_calls(request):
    """Reasoning without an answer sentence; then the answer alone."""
    pens = prompts.question_of(request.messages).split()[2]
    if prompts.reasoning_of(request.messages) is None:
        return f"Tom has {pens} pens and buys 7 (way {request.sample})."
    return f" ({pens} + 7).\n"


def test_zero_shot_takes_a_second_greedy_call_for_the_answer(store):
    teacher = Fake(two_calls)
    sampled = rationales(teacher, store, settings=ZERO_SHOT)
    assert (len(teacher.asked), sampled.usage.calls, sampled.failures) == (16, 16, [])
    row = sampled.rows[1]
    assert (row.text, row.teacher_label, row.correct) == (
        "Tom has 12 pens and buys 7 (way 1). The answer is (12 + 7).", "(12 + 7)", True
    )  # fmt: skip
    second = [request for request in teacher.asked if prompts.reasoning_of(request.messages)]
    assert {(request.temperature, request.sample) for request in second} == {(0.0, 0)}
    assert sampled.usage.by_split["train"] == (12, 120, 60)
    silent = Fake(lambda request: pytest.fail("asked again"))
    assert rationales(silent, store, settings=ZERO_SHOT).rows == sampled.rows


GOLDS = {
    "equation": "(84 / 2)", "number": "18", "choice": "(b) gravity", "date": "(b) 05/01/2021", "yes_no": "yes",
    "string": "yajo",
}  # fmt: skip
CHOICES = {"choice": ("park", "gravity"), "date": ("04/30/2021", "05/01/2021")}


@pytest.mark.parametrize("task", sorted(TASKS))
@pytest.mark.parametrize(
    "form", ["{}", " {}.", "{trigger} {}.", "{trigger}: {}", "**{trigger}** {}", "The answer is {}."]
)
def test_an_answer_is_read_whatever_the_second_call_repeats(task, form, store):
    """In every task: alone, after the trigger that asked for it, or as an answer sentence."""
    task = get_task(task)
    anli = task.prompts == "anli"
    said = "neutral" if anli else GOLDS[task.label_kind]
    choices = ("entailment", "neutral", "contradiction") if anli else CHOICES.get(task.label_kind, ())
    trigger = prompts.load_zero_shot(task.prompts).answer
    asked = Question(question_id="q", task=task.name, split="train", text="Why?", gold_label=None, choices=choices)

    def teacher_says(request):
        if prompts.reasoning_of(request.messages) is None:
            return "Let us see, it is so."
        return form.format(said, trigger=trigger)

    unchecked, settings = replace(task, check=None), ZERO_SHOT.model_copy(update={"rationales": 1})
    row = sample_rationales([asked], unchecked, Fake(teacher_says), store, settings, quiet).rows[0]
    assert task.equal(row.teacher_label, said.partition(") ")[2] if choices and not anli else said)


@pytest.mark.parametrize(
    ("ends", "reasoning"),
    [
        ("The answer is (12 + 90).", "He buys 7."), ("Therefore, the final answer is: 19.", "He buys 7."),
        ("So 12 + 7 = 19 and the answer is 19.", "He buys 7. So 12 + 7 = 19 and the answer is 19."),
        ("The answer is 19. Let me know if you have more!", "He buys 7."), ("That is all.", "He buys 7. That is all."),
    ],
)  # fmt: skip
def test_an_answer_that_the_first_call_gave_is_not_told_twice(ends, reasoning, store):
    """Else a student would read the answer as a step of the reasoning."""

    def eager(request):
        return "(12 + 7)" if prompts.reasoning_of(request.messages) else f"He buys 7. {ends}"

    row = rationales(Fake(eager), store, QUESTIONS[:1], ZERO_SHOT).rows[0]
    assert (row.reasoning, row.text) == (reasoning, f"{reasoning} The answer is (12 + 7).")


def test_a_failed_second_call_fails_the_rationale_but_keeps_its_text(store):
    def fails(request):
        if prompts.reasoning_of(request.messages) and "13" in prompts.question_of(request.messages):
            return Response("", "error: 503", 0, 0, 0)
        return two_calls(request)

    sampled = rationales(Fake(fails), store, settings=ZERO_SHOT)
    assert sampled.reasons == {"error: 503": 3}
    assert sampled.failures[0].text.startswith("Tom has 13 pens and buys 7")


def test_the_budget_counts_both_calls_of_earlier_runs(store):
    class Priced(Fake):
        terms = Terms(Price(prompt=1.0, completion=1.0), budget=1.0)

        def complete_all(self, pending, deliver, budget=None):
            spent.append(budget.spent)
            super().complete_all(pending, deliver, budget)

    spent = []
    rationales(Priced(two_calls), store, QUESTIONS[:1], ZERO_SHOT)
    rationales(Priced(two_calls), store, QUESTIONS[:2], ZERO_SHOT)
    call = 15e-6  # 10 + 5 tokens at 1 a million
    assert spent == pytest.approx([0, 3 * call, 6 * call, 9 * call])


def test_the_budget_counts_what_was_spent_before(store):
    class Priced(Fake):
        terms = Terms(Price(prompt=1.0, completion=1.0), budget=1.0)

        def complete_all(self, pending, deliver, budget=None):
            spent.append(budget.spent)
            super().complete_all(pending, deliver, budget)

    spent = []
    sample_rationales(QUESTIONS[:1], TASK, Priced(two_calls), store, ZERO_SHOT, quiet, spent=0.5)
    assert spent == pytest.approx([0.5, 0.5 + 3 * 15e-6])
