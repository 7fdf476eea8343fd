"""Prompt files, the prompts made from them, and what is read out of answers."""

import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.config import load_config
from lib.errors import UserError
from lib.tasks import TASKS, load_questions
from lib.teacher import prompts
from lib.teacher.prompts import COT, SELF_EVAL, Exemplar, cot_messages, load_prompt, self_eval_messages

QUESTION = "Tom has 3 pens.\nHow many?"


def choices_in(question: str) -> tuple[str, ...]:
    """The choices that a multiple-choice question ends in; the three of a question about entailment."""
    if "Does the premise entail" in question:
        return ("entailment", "neutral", "contradiction")
    _, found, listed = question.partition("nswer choices: ")
    return tuple(re.split(r",? ?\([a-zA-Z]\) ", listed.rstrip("."))[1:]) if found else ()


# -- the files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [COT, SELF_EVAL])
@pytest.mark.parametrize("task", sorted(TASKS))
def test_every_task_has_five_exemplars_its_own_rules_can_read(task, kind):
    prompt = load_prompt(TASKS[task].prompts, kind)
    assert len(prompt.exemplars) == 5
    for exemplar in prompt.exemplars:
        assert TASKS[task].extract(exemplar.rationale, choices_in(exemplar.question)).label is not None
    if kind == SELF_EVAL:
        verdicts = [prompts.parse_evaluation(exemplar.evaluation)[0] for exemplar in prompt.exemplars]
        assert {"correct", "wrong"} <= set(verdicts)


@pytest.mark.parametrize("kind", [COT, SELF_EVAL])
@pytest.mark.parametrize("task", ["arithmetic", "coin_flip", "last_letter"])
def test_no_exemplar_is_a_question_of_the_generated_data(task, kind):
    questions = load_questions(task, load_config().tasks, load_config().data)
    prompts.refuse_seen(task, kind, [question.text for question in questions])


@pytest.mark.parametrize("kind", [COT, SELF_EVAL])
def test_no_exemplar_is_a_real_svamp_question(real_data, kind):
    rows = json.loads((real_data / "datasets" / "SVAMP" / "SVAMP.json").read_text())
    for mark in (" ", "\n", ". "):
        prompts.refuse_seen("svamp", kind, [row["Body"] + mark + row["Question"] for row in rows])


def test_an_exemplar_that_is_a_question_is_refused_by_file():
    shown = load_prompt("arithmetic", COT).exemplars[2].question
    with pytest.raises(UserError, match=r"arithmetic\.cot\.txt: an exemplar is a question of the data set: 'Lena"):
        prompts.refuse_seen("arithmetic", COT, ["other", shown.replace(" ", "\n")])


@pytest.mark.parametrize("task", ["commonsense_qa", "date_understanding"])
def test_an_exemplar_with_its_choices_in_another_order_is_refused(task):
    """Neither form of a multiple-choice question hides it; a question with the choices of another one is none."""
    shown = load_prompt(task, COT).exemplars[0].question
    stem, mark, choices = re.split(r"(\nAnswer choices: |\nWhich choice is true\? Answer choices: )", shown)
    assert len(choices.split(", ")) > 2
    prompts.refuse_seen(task, COT, ["Another question?" + mark + choices])
    for other in (", ".join(reversed(choices.split(", "))), "(a) other, (b) choices"):
        with pytest.raises(UserError, match=rf"{task}\.cot\.txt: an exemplar is a question of the data set: "):
            prompts.refuse_seen(task, COT, [stem + mark + other])


WHOLE = """# comment
=== system
Solve.
=== question
1 + 1?
=== rationale
Two. The answer is (1 + 1).
"""


def write(tmp_path, text, kind=COT):
    path = tmp_path / f"toy.{kind}.txt"
    path.write_text(text)
    return load_prompt("toy", kind, tmp_path)


def test_a_file_as_it_should_be(tmp_path):
    prompt = write(tmp_path, WHOLE)
    assert (prompt.system, prompt.exemplars) == ("Solve.", (Exemplar("1 + 1?", "Two. The answer is (1 + 1)."),))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty; expected '=== system'"),
        ("hello\n" + WHOLE, ":1: text before the first '=== system'"),
        ("=== question\n1?\n", ":1: the first section must be 'system', given 'question'"),
        (WHOLE + "=== question\n2?\n", ":8: the last exemplar ends here; expected: question, rationale"),
        (WHOLE + "=== rational\nx\n", ":8: section 'rational', expected 'question'"),
        (WHOLE.replace("1 + 1?", ""), ":4: section 'question' is empty"),
        (WHOLE.replace("The answer is (1 + 1).", "2."), r":6: a rationale must end in 'The answer is"),
    ],
)
def test_a_malformed_file_is_refused_by_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message.replace(".", r"\.").replace("(", r"\(")) as error:
        write(tmp_path, text)
    assert "toy.cot.txt" in str(error.value)


def test_an_evaluation_must_end_in_a_verdict(tmp_path):
    text = WHOLE + "=== evaluation\nFine.\n"
    with pytest.raises(UserError, match=r"toy\.self_eval\.txt:8: an evaluation must end in"):
        write(tmp_path, text, SELF_EVAL)


def test_an_absent_file_names_those_that_exist(tmp_path):
    write(tmp_path, WHOLE)
    with pytest.raises(UserError, match=r"gone\.cot\.txt: no such prompt; there are: toy\.cot\.txt"):
        load_prompt("gone", COT, tmp_path)


# -- messages ------------------------------------------------------------------------------------


def test_a_cot_prompt_is_a_chat_that_ends_in_the_question():
    messages = cot_messages("arithmetic", QUESTION)
    assert [m["role"] for m in messages] == ["system", *["user", "assistant"] * 5, "user"]
    assert messages[1]["content"].startswith("Q: Nora has 14 lemons.")
    assert messages[2]["content"].endswith("The answer is (14 + 9).")
    assert messages[-1] == {"role": "user", "content": "Q: " + QUESTION}
    assert (prompts.question_of(messages), prompts.rationale_of(messages)) == (QUESTION, None)


def test_a_self_evaluation_prompt_holds_question_and_rationale():
    messages = self_eval_messages("arithmetic", QUESTION, "It is 3.\n\nAnswer: 3 ", 2)
    assert [m["role"] for m in messages] == ["system", *["user", "assistant"] * 2, "user"]
    assert (prompts.question_of(messages), prompts.rationale_of(messages)) == (QUESTION, "It is 3. Answer: 3")


def test_exemplars_can_be_counted_or_given():
    own = cot_messages("arithmetic", QUESTION, [Exemplar("1?", "One. The answer is (1).")])
    assert [m["content"] for m in own[1:3]] == ["Q: 1?", "One. The answer is (1)."]
    with pytest.raises(UserError, match=r"arithmetic\.cot\.txt: 6 exemplars asked for, the file has 5"):
        cot_messages("arithmetic", QUESTION, 6)


def test_a_prompt_of_another_form_is_refused():
    with pytest.raises(UserError, match="a prompt must end in"):
        prompts.question_of([{"role": "user", "content": "What is 1 + 1?"}])


# -- evaluations ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "verdict", "critique"),
    [
        ("Evaluation: Step 2 slips.\n\nEvaluation result: the given answer is wrong.", "wrong", "Step 2 slips."),
        ("Fine.\nEvaluation result: the given answer is correct.", "correct", "Fine."),
        ("Hm. Evaluation Result: The given answer is UNCERTAIN", "uncertain", "Hm."),
        ("a\nEvaluation result: correct", "correct", "a"),
        ("a\nEvaluation result: the answer is not correct.", "wrong", "a"),
        ("a. Evaluation result: the given answer is incorrect.", "wrong", "a."),
        ("**Evaluation:** a\n**Evaluation result:** the given answer is **wrong**.", "wrong", "a"),
        ("The step is right. Therefore, the given answer is wrong.", "wrong", "The step is right."),
        ("a\nEvaluation result: the given answer is correct.\n\nQuestion: next?\nAnswer: b\nEvaluation: c\n"
         "Evaluation result: the given answer is wrong.", "correct", "a"),
        ("Fine. Verdict: correct", "correct", "Fine."),
        ("Step 2 slips.\n**Verdict:** the given answer is not correct.", "wrong", "Step 2 slips."),
        ("Step 2 slips. The given answer isn't correct.", "wrong", "Step 2 slips."),
        ("Fine. Evaluation result: the answer isn\u2019t wrong.", "correct", "Fine."),
        ("The given answer isn't not correct.", None, ""),
        ("The verdict depends. It is correct.", None, "The verdict depends. It is correct."),
        ("It cannot be told.", None, "It cannot be told."),
        ("Evaluation result: the given answer is partially correct.", None, "Evaluation result: the given answer is "
         "partially correct."),
        ("Evaluation result: the given answer is not uncertain.", None, ""),
        ("", None, ""),
    ],
)  # fmt: skip
def test_verdict_and_critique_of_a_text(text, verdict, critique):
    assert prompts.parse_evaluation(text) == (verdict, critique)


@pytest.mark.parametrize(("split", "verdicts"), [("train", {"correct": 48, "wrong": 2}), ("test", None)])
def test_all_released_self_evaluations_are_read(real_data, split, verdicts):
    rows = json.loads((real_data / "teacher" / f"minds_mirror_sample.{split}.json").read_text())
    texts = [text for row in rows for step in row["steps"] for texts in step["value_outputs_list"] for text in texts]
    parsed = [prompts.parse_evaluation(text) for text in texts]
    found = {verdict: sum(v == verdict for v, _ in parsed) for verdict in ("correct", "wrong", "uncertain")}
    assert len(texts) == 50 and sum(found.values()) == 50
    assert found == {"uncertain": 0, **verdicts} if verdicts else found["correct"] >= 33
    assert all(critique and not critique.startswith("Evaluation") and "\n" not in critique for _, critique in parsed)


@given(st.text(st.sampled_from("evaluation result:.*theansweriscorrectwrongnotQ\n "), max_size=300) | st.text())
def test_parsing_never_raises_and_keeps_to_its_form(text):
    verdict, critique = prompts.parse_evaluation(text)
    assert verdict in ("correct", "wrong", "uncertain", None)
    assert critique == " ".join(critique.split())


@pytest.mark.parametrize(
    "piece", ["Evaluation result ", "Verdict: ", "the answer isn't ", " ", "\n", "the answer is ", "*", "so,"]
)
def test_hostile_text_is_read_in_bounded_time(piece):
    start = time.perf_counter()
    prompts.parse_evaluation(piece * (1_000_000 // len(piece)))
    assert time.perf_counter() - start < 2


# -- zero-shot, and prompts as one text ----------------------------------------------------------


def test_without_exemplars_the_prompt_is_zero_shot_in_two_calls():
    trigger = prompts.load_zero_shot("arithmetic")
    first = cot_messages("arithmetic", QUESTION, 0)
    assert [m["role"] for m in first] == ["system", "user"]
    assert first[-1]["content"] == f"Q: {QUESTION}\nA: Let's think step by step."
    assert (prompts.question_of(first), prompts.rationale_of(first), prompts.reasoning_of(first)) == (
        QUESTION,
        None,
        None,
    )
    second = prompts.answer_messages("arithmetic", first, "3 pens.\nNo more.")
    assert second[:2] == first
    assert [m["content"] for m in second[2:]] == ["3 pens. No more.", trigger.answer]
    assert (prompts.question_of(second), prompts.reasoning_of(second)) == (QUESTION, "3 pens. No more.")


@pytest.mark.parametrize("task", sorted(TASKS))
def test_every_task_has_a_zero_shot_prompt(task):
    assert prompts.load_zero_shot(TASKS[task].prompts).answer.startswith("Therefore, the answer")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("=== system\nSolve.\n=== answer\nTherefore, the answer is", "sections system, answer; expected system, reas"),
        (
            "=== system\nSolve.\n=== reasoning\n\n=== answer\nTherefore, the answer is",
            ":3: section 'reasoning' is empty",
        ),
        ("=== system\nSolve.\n=== reasoning\nThink.\n=== answer\nSo it is", ":5: must begin 'Therefore, the answer'"),
    ],
)
def test_a_bad_zero_shot_file_is_refused_with_file_and_line(tmp_path, text, message):
    (tmp_path / "chess.zero_shot.txt").write_text(text)
    with pytest.raises(UserError, match=re.escape("chess.zero_shot.txt")) as error:
        prompts.load_zero_shot("chess", tmp_path)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("=== system\nGrade.", ": sections system; expected system, request"),
        ("=== system\n\n=== request\nRating:", ":1: section 'system' is empty"),
        ("=== system\nGrade.\n=== request\nHow good?", ":3: must end in 'Rating:', given 'How good?'"),
    ],
)
def test_a_bad_rating_file_is_refused_with_file_and_line(tmp_path, text, message):
    with pytest.raises(UserError, match=r"rating\.txt: no such prompt"):
        prompts.load_rating(tmp_path)
    (tmp_path / "rating.txt").write_text(text)
    with pytest.raises(UserError, match=r"rating\.txt") as error:
        prompts.load_rating(tmp_path)
    assert message in str(error.value)


def test_a_base_model_gets_the_same_prompt_as_one_text():
    own = [Exemplar("1 + 1?", "Two. The answer is 2.")]
    text = prompts.as_text(cot_messages("arithmetic", "1 + 2?", own))
    assert text.endswith("\n\nQ: 1 + 1?\nA: Two. The answer is 2.\n\nQ: 1 + 2?\nA:")
    assert prompts.stops(cot_messages("arithmetic", "1 + 2?", own)) == ["\nQ:"]


def test_a_base_model_is_led_into_its_evaluation():
    own = [Exemplar("1 + 1?", "Two.", "Evaluation: Right.\n\nEvaluation result: the given answer is correct.")]
    messages = self_eval_messages("arithmetic", "1 + 2?", "Three.", own)
    assert prompts.as_text(messages).endswith(
        "\n\nQuestion: 1 + 1?\nAnswer: Two.\nEvaluation: Right.\n\nEvaluation result: the given answer is correct."
        "\n\nQuestion: 1 + 2?\nAnswer: Three.\nEvaluation:"
    )
    assert prompts.stops(messages) == ["\nQuestion:"]


def test_a_base_model_is_led_from_its_reasoning_to_the_answer():
    first = cot_messages("arithmetic", "1 + 2?", 0)
    second = prompts.answer_messages("arithmetic", first, "Three.")
    trigger = prompts.load_zero_shot("arithmetic").answer
    assert prompts.as_text(first).endswith("\n\nQ: 1 + 2?\nA: Let's think step by step.")
    assert prompts.as_text(second).endswith(f"\n\nQ: 1 + 2?\nA: Let's think step by step. Three.\n{trigger}")
