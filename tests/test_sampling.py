"""Sampling: what is asked, that it is asked once, and which rows come of the answers."""

import random
from dataclasses import replace

import pytest

from lib.asking import Usage
from lib.config import load_config
from lib.errors import UserError
from lib.records import Evaluation, Question, Rationale
from lib.sampling import (
    Coverage,
    coverage,
    evaluation_asks,
    rationale_asks,
    refuse_unknown,
    sample_evaluations,
    sample_rationales,
)
from lib.settings import Generate, SelfEval
from lib.tasks import get_task, load_questions
from lib.teacher import OneByOne, Response, prompts
from lib.teacher.store import Store

TASK = get_task("arithmetic")
GENERATE = Generate(exemplars=2, temperature=0.7, max_tokens=64, rationales=3)
ZERO_SHOT = GENERATE.model_copy(update={"exemplars": 0})
SELF_EVAL = SelfEval(exemplars=1, temperature=0.7, max_tokens=64, evaluations=2)
TEXT = "Tom has {} pens. Ann has 90 pens. Tom buys 7 pens. How many pens does Tom have now?"


def question(split: str, pens: int = 12) -> Question:
    return Question(question_id=f"q-{split}-{pens}", task="arithmetic", split=split, text=TEXT.format(pens),
                    gold_label=f"({pens} + 7)")  # fmt: skip


QUESTIONS = [question("train"), question("train", 13), question("validation", 14), question("test", 15)]


def quiet(iterable, total, label):
    return iterable


class Fake(OneByOne):
    """Answers by a function of the request and remembers what it was asked."""

    identity, notes = "fake", ()

    def __init__(self, answer, usage=(10, 5)):
        self.answer, self.usage, self.asked = answer, usage, []

    def complete(self, request):
        self.asked.append(request)
        answer = self.answer(request)
        return answer if isinstance(answer, Response) else Response(answer, "stop", *self.usage)


def right(request):
    pens = prompts.question_of(request.messages).split()[2]
    return f"Tom has {pens} pens. The answer is ({pens} + 7)."


def judged(request):
    return f"Evaluation: Step {request.sample + 1} holds. Evaluation result: the given answer is correct."


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store.jsonl") as opened:
        yield opened


def rationales(teacher, store, questions=QUESTIONS, settings=GENERATE):
    return sample_rationales(questions, TASK, teacher, store, settings, quiet)


def evaluations(teacher, store, rows, settings=SELF_EVAL):
    return sample_evaluations(QUESTIONS, rows, TASK, teacher, store, settings, quiet)


# -- what is asked -------------------------------------------------------------------------------


def test_train_questions_are_sampled_and_the_others_answered_once_greedily():
    asks = rationale_asks(QUESTIONS, TASK, GENERATE)
    asked = [(ask.item.id, ask.request.temperature, ask.request.sample) for ask in asks]
    assert asked == [
        *(("q-train-12", 0.7, i) for i in range(3)), *(("q-train-13", 0.7, i) for i in range(3)),
        ("q-validation-14", 0.0, 0), ("q-test-15", 0.0, 0),
    ]  # fmt: skip
    request = rationale_asks(QUESTIONS, TASK, GENERATE)[0].request
    assert (len(request.messages), request.max_tokens) == (6, 64)


def test_evaluations_are_asked_about_each_rationale(store):
    rows = rationales(Fake(right), store).rows
    asks = evaluation_asks(QUESTIONS, rows, TASK, SELF_EVAL)
    counts = {split: sum(ask.item.split == split for ask in asks) for split in ("train", "validation", "test")}
    assert counts == {"train": 12, "validation": 1, "test": 1}
    assert prompts.rationale_of(asks[0].request.messages) == rows[0].text
    assert evaluation_asks(QUESTIONS, rows, TASK, SELF_EVAL.model_copy(update={"evaluations": 0})) == []


def test_a_question_that_is_an_exemplar_is_refused(store):
    shown = prompts.load_prompt("arithmetic", prompts.COT).exemplars[0].question
    seen = QUESTIONS[0].model_copy(update={"text": shown})
    with pytest.raises(UserError, match="an exemplar is a question of the data set"):
        rationales(Fake(right), store, [seen])


# -- rows ----------------------------------------------------------------------------------------


def test_a_usable_answer_becomes_a_verified_row(store):
    wrong = "Tom has 12 pens. 12 + 7 = 20. The answer is (12 + 90)."
    sampled = rationales(Fake(lambda request: wrong), store, QUESTIONS[:1])
    assert sampled.rows[0] == Rationale(
        question_id="q-train-12", sample=0, split="train", text=wrong, reasoning="Tom has 12 pens. 12 + 7 = 20.",
        teacher_label="(12 + 90)", how="answer sentence", correct=False, wrong_steps=(1, 2),
    )  # fmt: skip
    assert [row.correct for row in rationales(Fake(right), store).rows] == [False] * 3 + [True] * 5


def test_without_gold_label_or_verifier_nothing_is_claimed(tmp_path):
    unlabelled = QUESTIONS[0].model_copy(update={"gold_label": None})
    with Store(tmp_path / "s.jsonl") as store:
        row = sample_rationales([unlabelled], replace(TASK, check=None), Fake(right), store, GENERATE, quiet).rows[0]
    assert (row.correct, row.wrong_steps) == (None, None)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Response("Tom has", "length", 10, 2), "cut off at the length limit"),
        (Response("", "not recorded", 10, 0), "not recorded"),
        (Response("  \n", "stop", 10, 0), "empty response"),
        (Response("", "error: time-out", 10, 0), "error: time-out"),
        ("No idea.", TASK.extract("No idea.").how),
    ],
)
def test_an_unusable_answer_becomes_a_failure_row_with_its_reason(store, answer, reason):
    teacher = Fake(lambda request: answer if request.sample == 1 else right(request))
    sampled = rationales(teacher, store)
    assert [(f.id, f.split, f.reason) for f in sampled.failures] == [
        ("q-train-12/001", "train", reason), ("q-train-13/001", "train", reason)
    ]  # fmt: skip
    assert sampled.reasons == {reason: 2}
    assert sampled.failures[0].text == (answer if isinstance(answer, str) else answer.text)
    assert len(sampled.rows) == 6


def test_reasons_come_most_frequent_first(store):
    reasons = {0: "a", 1: "b", 2: "b"}
    teacher = Fake(lambda r: Response("", reasons[r.sample], 1, 0) if r.temperature else right(r))
    assert list(rationales(teacher, store).reasons.items()) == [("b", 4), ("a", 2)]


def test_no_usable_answer_at_all_is_the_users_to_mend(store):
    with pytest.raises(UserError, match=r"task arithmetic: the teacher gave no usable rationale: empty response \(8\)"):
        rationales(Fake(lambda request: ""), store)


def test_evaluation_rows_hold_verdict_and_critique(store, tmp_path):
    rows = rationales(Fake(right), store).rows[:1]
    sampled = evaluations(Fake(judged), store, rows)
    assert sampled.rows == [
        Evaluation(question_id="q-train-12", rationale_sample=0, sample=i, split="train", verdict="correct",
                   critique=f"Step {i + 1} holds.") for i in range(2)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "reason"),
    [("Looks fine.", "no verdict found"), ("Evaluation result: the given answer is wrong.", "no critique")],
)
def test_an_evaluation_without_verdict_or_critique_is_a_failure(store, answer, reason):
    rows = rationales(Fake(right), store).rows[:1]
    sampled = evaluations(Fake(lambda request: answer), store, rows)
    assert (sampled.rows, sampled.reasons) == ([], {reason: 2})
    assert sampled.failures[0].id == "q-train-12/000/000"


# -- asked once ----------------------------------------------------------------------------------


def test_everything_stored_means_no_call_at_all(store):
    first = rationales(Fake(right), store)
    silent = Fake(lambda request: pytest.fail("asked again"))
    again = rationales(silent, store, random.Random(0).sample(QUESTIONS, 4))
    assert sorted(again.rows, key=lambda r: r.id) == sorted(first.rows, key=lambda r: r.id)
    assert (again.usage.sent, again.usage.replayed) == (0, 8)


def test_more_questions_or_samples_cost_only_themselves(store):
    rationales(Fake(right), store, QUESTIONS[:2])
    teacher = Fake(right)
    rationales(teacher, store, QUESTIONS, GENERATE.model_copy(update={"rationales": 4}))
    asked = sorted((prompts.question_of(r.messages).split()[2], r.sample) for r in teacher.asked)
    assert asked == [("12", 3), ("13", 3), ("14", 0), ("15", 0)]


@pytest.mark.parametrize("change", [{"temperature": 0.8}, {"max_tokens": 65}, {"exemplars": 3}])
def test_what_changes_the_answer_is_asked_anew_and_the_old_answers_are_kept(store, change):
    rationales(Fake(right), store)
    teacher = Fake(right)
    rationales(teacher, store, QUESTIONS, GENERATE.model_copy(update=change))
    assert len(teacher.asked) == (6 if "temperature" in change else 8)
    assert len(store) == 8 + len(teacher.asked)


def test_identical_requests_are_one_call(store):
    rows = [row.model_copy(update={"sample": i, "text": "Same. The answer is (1)."})
            for i, row in enumerate(rationales(Fake(right), store).rows[:1] * 3)]  # fmt: skip
    teacher = Fake(judged)
    sampled = evaluations(teacher, store, rows)
    assert (len(teacher.asked), len(sampled.rows), sampled.usage.calls) == (2, 6, 2)


def test_failures_are_asked_again_in_the_next_run_and_only_they(store, tmp_path):
    flaky = Fake(lambda request: Response("", "error: 503", 1, 0) if request.sample == 2 else right(request))
    assert len(rationales(flaky, store).failures) == 2
    healed = Fake(right)
    sampled = rationales(healed, store)
    assert ([r.sample for r in healed.asked], sampled.failures) == ([2, 2], [])


def test_an_interrupted_run_keeps_what_it_got(store):
    def breaks(request):
        if request.temperature == 0:
            raise KeyboardInterrupt
        return right(request)

    with pytest.raises(KeyboardInterrupt):
        rationales(Fake(breaks), store)
    resumed = Fake(right)
    assert len(rationales(resumed, store).rows) == 8
    assert [r.temperature for r in resumed.asked] == [0.0, 0.0]


# -- what it costs -------------------------------------------------------------------------------


def test_usage_counts_each_call_once_by_split(store):
    usage = rationales(Fake(right, usage=(10, 5)), store).usage
    assert usage == Usage(
        calls=8, sent=8, replayed=0, prompt_tokens=80, completion_tokens=40,
        by_split={"train": (6, 60, 30), "validation": (1, 10, 5), "test": (1, 10, 5)},
        by_question={"q-train-12": (3, 30, 15), "q-train-13": (3, 30, 15), "q-validation-14": (1, 10, 5),
                     "q-test-15": (1, 10, 5)},
    )  # fmt: skip


def test_progress_runs_over_what_is_sent(store):
    seen = []

    def watched(iterable, total, label):
        seen.append((total, label))
        return iterable

    for _ in range(2):
        sample_rationales(QUESTIONS, TASK, Fake(right), store, GENERATE, watched)
    assert seen == [(8, "rationales")]


def test_coverage_counts_rows_an_item(store):
    def only_one(request):
        lacks = request.sample and "13" in prompts.question_of(request.messages)
        return Response("", "not recorded", 1, 0) if lacks else right(request)

    rows = rationales(Fake(only_one), store).rows
    assert coverage(QUESTIONS, rows) == [
        Coverage("train", items=2, rows=4, fewest=1, mean=2, most=3, without=0),
        Coverage("validation", 1, 1, 1, 1, 1, 0),
        Coverage("test", 1, 1, 1, 1, 1, 0),
    ]
    evaluated = evaluations(Fake(judged), store, rows[:1]).rows
    assert coverage(rows, evaluated)[0] == Coverage("train", items=4, rows=2, fewest=0, mean=0.5, most=2, without=3)


def test_a_teacher_that_cannot_know_the_task_is_refused_before_it_is_asked(store):
    knows_less = Fake(lambda request: pytest.fail("asked"))
    knows_less.tasks = ("coin_flip", "last_letter")
    message = "task: arithmetic: the simulated teacher answers only coin_flip, last_letter; set teacher.kind to openai"
    with pytest.raises(UserError, match=message):
        rationales(knows_less, store)


def test_the_simulated_teacher_is_not_asked_about_a_task_without_a_verifier():
    teacher = Fake(right)
    refuse_unknown(replace(TASK, check=None), teacher)  # any other may be
    teacher.tasks = (TASK.name,)
    refuse_unknown(TASK, teacher)
    with pytest.raises(UserError, match="task: arithmetic: no step verifier, by which the simulated teacher judges"):
        refuse_unknown(replace(TASK, check=None), teacher)


# -- exemplars of one's own ----------------------------------------------------------------------


def own(*texts):
    return [prompts.Exemplar(text, "They add up. The answer is (1 + 2).") for text in texts]


def test_exemplars_of_ones_own_take_the_place_of_the_files_and_may_differ_by_question(store):
    shown = {"q-train-12": own("1 + 1?"), "q-train-13": own("1 + 2?", "1 + 3?")}
    teacher = Fake(right)
    sampled = sample_rationales(QUESTIONS[:2], TASK, teacher, store, ZERO_SHOT, quiet, lambda q: shown[q.id])
    assert (len(teacher.asked), sampled.usage.calls) == (6, 6)  # one call each, though the settings say zero-shot
    assert [m["content"] for m in teacher.asked[0].messages[1:3]] == ["Q: 1 + 1?", own("")[0].rationale]
    assert [len(request.messages) for request in teacher.asked] == [4] * 3 + [6] * 3


def test_a_question_is_never_shown_its_own_exemplar(store):
    chosen = QUESTIONS[0].model_copy(update={"text": "Where is it?\nAnswer choices: (a) park, (b) zoo"})
    for shown, message in ((own("1 + 1?", "Where  is it?\nAnswer choices: (a) zoo"), "stands among the exemplars"),
                           ([], "no exemplar to show")):  # fmt: skip
        with pytest.raises(UserError, match=f"question q-train-12: {message}"):
            sample_rationales([chosen], TASK, Fake(right), store, GENERATE, quiet, lambda q, shown=shown: shown)


# -- the real thing ------------------------------------------------------------------------------


def test_recorded_palm_rationales_reach_the_known_teacher_accuracy(real_data, tmp_path):
    from lib.teacher.recorded import RecordedTeacher

    svamp = get_task("svamp")
    data = load_config().data.model_copy(update={"raw": real_data / "datasets" / "SVAMP" / "SVAMP.json"})
    questions = load_questions("svamp", load_config().tasks, data)
    held_out = [question.text for question in questions if question.split == "test"]
    teacher = RecordedTeacher(real_data / "teacher" / "svamp.palm.1cot.jsonl", held_out)
    with Store(tmp_path / "s.jsonl") as store:
        settings = Generate(exemplars=5, temperature=0.7, max_tokens=256, rationales=1)
        sampled = sample_rationales(questions, svamp, teacher, store, settings, quiet)
    right = {split: sum(bool(r.correct) for r in sampled.rows if (r.split == "test") == (split == "test"))
             for split in ("train", "test")}  # fmt: skip
    assert teacher.removed == 0
    assert abs(right["train"] / 800 - 0.745) < 0.007 and abs(right["test"] / 200 - 0.775) < 0.007
    assert "not recorded" not in sampled.reasons
