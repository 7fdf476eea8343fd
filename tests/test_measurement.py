"""What is measured of a student, with a student that writes what it is told."""

import numpy as np
import pytest
from tiny_world import question, rationale

from lib import measurement
from lib.errors import UserError
from lib.inference import Written
from lib.measurement import answers, judgements, summary, validation_accuracy
from lib.tasks import get_task

TASK = get_task("svamp")
QUESTIONS = [question("test", i) for i in range(2)]  # (10 + 2) and (11 + 3)
WRITTEN = {
    "predict: " + QUESTIONS[0].text: "(2 + 10)",
    "predict: " + QUESTIONS[1].text: "(11 - 3)",
    "explain: " + QUESTIONS[0].text: "There are 10 pens. 10 + 2 = 13. The answer is (10 + 2).",
    "explain: " + QUESTIONS[1].text: "pens pens pens pens",
    QUESTIONS[0].text: "There are 10 pens --> no. 10 + 2 = 13. --> (2 + 10)",
    QUESTIONS[1].text: "There are 11 pens. The answer is (11 + 3).",
}


@pytest.fixture
def asked(monkeypatch) -> list:
    """Lets the student write WRITTEN; the calls: (sources, token limit)."""
    calls = []

    def write(student, sources, max_tokens):
        calls.append((list(sources), max_tokens))
        return [Written(text := WRITTEN[source], len(text.split()), text.startswith("pens")) for source in sources]

    monkeypatch.setattr(measurement, "write", write)
    return calls


def test_validation_accuracy_is_the_share_of_labels_equal_in_value(asked):
    assert validation_accuracy(None, TASK, QUESTIONS, max_tokens=7) == 0.5
    assert validation_accuracy(None, TASK, QUESTIONS[:1], max_tokens=7) == 1.0
    assert {limit for _, limit in asked} == {7}
    assert all(source.startswith("predict: ") for sources, _ in asked for source in sources)


def test_answers_hold_label_and_checked_rationale(asked):
    first, second = answers(None, TASK, QUESTIONS, explain=True, label_tokens=7, rationale_tokens=30)
    assert first == {
        "question_id": "test-0",
        "student_label": "(2 + 10)",
        "correct": True,
        "rationale": "There are 10 pens. 10 + 2 = 13. The answer is (10 + 2).",
        "rationale_label": "(10 + 2)",
        "rationale_correct": True,
        "rationale_tokens": 15,
        "at_limit": False,
        "wrong_steps": [1],
        "checked_steps": 1,
    }
    assert (second["correct"], second["rationale_label"], second["rationale_correct"]) == (False, None, False)
    assert (second["rationale_tokens"], second["at_limit"]) == (4, True)
    assert (second["wrong_steps"], second["checked_steps"]) == ([], 0)
    assert [limit for _, limit in asked] == [7, 30]


def test_a_student_that_did_not_learn_to_explain_is_not_asked_to(asked):
    rows = answers(None, TASK, QUESTIONS, explain=False, label_tokens=7, rationale_tokens=30)
    assert [set(row) for row in rows] == [{"question_id", "student_label", "correct"}] * 2
    assert len(asked) == 1


def test_a_student_that_writes_its_rationale_first_is_asked_once_and_answers_behind_its_last_arrow(asked):
    first, second = answers(None, TASK, QUESTIONS, True, label_tokens=7, rationale_tokens=30, rationale_first=True)
    assert first == {
        "question_id": "test-0",
        "student_label": "(2 + 10)",
        "correct": True,
        "rationale": "There are 10 pens --> no. 10 + 2 = 13.",
        "rationale_label": "(2 + 10)",
        "rationale_correct": True,
        "rationale_tokens": 15,
        "at_limit": False,
        "wrong_steps": [1],
        "checked_steps": 1,
    }
    # without an arrow there is no label, whatever the text says
    assert (second["student_label"], second["correct"], second["rationale_label"]) == ("", False, None)
    assert second["rationale"] == WRITTEN[QUESTIONS[1].text]
    assert [limit for _, limit in asked] == [30]
    assert summary([first, second])["unparsed"] == 0.5


def test_its_validation_accuracy_is_that_of_the_labels_behind_the_arrows(asked):
    assert validation_accuracy(None, TASK, QUESTIONS, max_tokens=30, rationale_first=True) == 0.5
    assert [source for sources, _ in asked for source in sources] == [q.text for q in QUESTIONS]


def test_a_student_of_labels_alone_answers_the_one_way_there_is(asked):
    answers(None, TASK, QUESTIONS, explain=False, label_tokens=7, rationale_tokens=30, rationale_first=True)
    assert [(sources[0][:9], limit) for sources, limit in asked] == [("predict: ", 7)]


def test_without_a_verifier_no_step_is_claimed_wrong(asked):
    from dataclasses import replace

    first, _ = answers(None, replace(TASK, check=None), QUESTIONS, explain=True, label_tokens=7, rationale_tokens=30)
    assert (first["wrong_steps"], first["checked_steps"]) == (None, 0)


def test_questions_that_measure_need_a_gold_label(asked):
    nameless = QUESTIONS[0].model_copy(update={"gold_label": None})
    with pytest.raises(UserError, match="test-0: no gold label; validation and test questions need one"):
        validation_accuracy(None, TASK, [nameless], max_tokens=7)


def test_judgements_are_the_most_probable_verdicts(monkeypatch):
    shown = []
    p = np.array([[0.2, 0.7, 0.1], [0.5, 0.1, 0.4]])
    monkeypatch.setattr(measurement, "verdict_probabilities", lambda student, texts: shown.extend(texts) or p)
    flawed, sound = rationale(QUESTIONS[0], 2), rationale(QUESTIONS[1], 0)
    rows = judgements(None, [(flawed, "first text", "uncertain"), (sound, "second text", None)])
    assert rows == [
        {
            "rationale_id": "test-0/002",
            "student_verdict": "wrong",
            "p_correct": 0.2,
            "teacher_verdict": "uncertain",
            "sound": False,
        },
        {
            "rationale_id": "test-1/000",
            "student_verdict": "correct",
            "p_correct": 0.5,
            "teacher_verdict": None,
            "sound": True,
        },
    ]
    assert shown == ["first text", "second text"]


def explained(correct: bool, label: str | None, wrong: list[int], checked: int) -> dict:
    return {
        "correct": correct,
        "rationale": "",
        "rationale_label": label,
        "rationale_correct": label == "1",
        "wrong_steps": wrong,
        "checked_steps": checked,
    }


def test_the_summary_by_hand():
    predictions = [
        explained(True, "1", [], 2),
        explained(True, "1", [0, 1], 2),
        explained(False, "2", [], 1),
        explained(False, None, [], 0),  # garble counts among the uncheckable, not among the flawless
    ]
    assert summary(predictions) == {
        "n": 4,
        "accuracy": 0.5,
        "unparsed": 0.25,
        "uncheckable": 0.25,
        "wrong_step": 0.25,
        "rationale_accuracy": 0.5,
    }


def test_where_no_step_can_be_checked_no_share_of_flaws_is_given():
    unchecked = {**explained(True, "1", [], 0), "wrong_steps": None}
    assert summary([unchecked])["wrong_step"] is None
    assert summary([unchecked])["uncheckable"] is None


def test_labels_alone_have_an_accuracy_alone():
    assert summary([{"correct": True}, {"correct": True}, {"correct": False}]) == {
        "n": 3,
        "accuracy": pytest.approx(2 / 3),
    }


def test_no_predictions_have_no_accuracy():
    assert summary([]) == {"n": 0, "accuracy": None}
