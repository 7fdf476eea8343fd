"""The recorded teacher: found by question, failures as rows, test questions left out."""

import json

import pytest

from lib.errors import UserError
from lib.settings import RecordedTeacher as Settings
from lib.teacher import Request
from lib.teacher.prompts import cot_messages, self_eval_messages
from lib.teacher.recorded import RecordedTeacher
from lib.teacher.store import request_key


def record(tmp_path, *rows, name="r.jsonl"):
    path = tmp_path / name
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def ask(question="1 + 1?", sample=0, temperature=0.7):
    return Request(cot_messages("arithmetic", question, 0), temperature, 64, sample)


ONE = {"question": "1  + 1?", "response": "Two."}


def test_a_recorded_answer_is_found_by_its_question_white_space_aside(tmp_path):
    teacher = RecordedTeacher(record(tmp_path, ONE, {"question": "1 + 2?", "response": "Three."}))
    response = teacher.complete(ask("1 +\n1?"))
    assert (response.text, response.finish_reason, response.failure) == ("Two.", "stop", None)
    assert response.completion_tokens == 1 and response.prompt_tokens > 4
    assert teacher.complete(ask("1 + 2?", temperature=0)).text == "Three."


def test_what_was_not_recorded_is_a_failure_not_an_exception(tmp_path):
    teacher = RecordedTeacher(record(tmp_path, ONE))
    for request in (ask("2 + 2?"), ask(sample=1)):
        response = teacher.complete(request)
        assert (response.text, response.failure) == ("", "not recorded")


def test_samples_are_numbered_in_order_unless_the_file_says_so(tmp_path):
    counted = RecordedTeacher(record(tmp_path, ONE, {**ONE, "response": "2"}))
    assert [counted.complete(ask(sample=i)).text for i in (0, 1)] == ["Two.", "2"]
    said = RecordedTeacher(record(tmp_path, {**ONE, "sample": 1}, {**ONE, "sample": 0, "response": "2"}))
    assert [said.complete(ask(sample=i)).text for i in (0, 1)] == ["2", "Two."]


def test_evaluations_are_found_by_question_and_rationale(tmp_path):
    row = {**ONE, "kind": "evaluation", "rationale": "It is\n2.", "response": "Yes."}
    teacher = RecordedTeacher(record(tmp_path, ONE, row))
    judged = lambda rationale: Request(self_eval_messages("arithmetic", "1 + 1?", rationale, 0), 0.7, 64, 0)  # noqa: E731
    assert teacher.complete(judged("It is 2.")).text == "Yes."
    assert teacher.complete(judged("It is 3.")).failure == "not recorded"
    assert teacher.complete(ask()).text == "Two."


def test_training_answers_to_test_questions_are_left_out_and_counted(tmp_path):
    rows = [{**ONE, "split": "train"}, {**ONE, "split": "train"}, {"question": "2?", "response": "a", "split": "train"},
            {"question": "3?", "response": "b", "split": "test"}]  # fmt: skip
    path = record(tmp_path, *rows)
    teacher = RecordedTeacher(path, test_texts=["1 + 1?", "3?"])
    assert teacher.removed == 2
    assert teacher.notes[1] == "2 recorded rationales removed: their question is in the test split."
    assert [teacher.complete(ask(q)).failure for q in ("1 + 1?", "2?", "3?")] == ["not recorded", None, None]
    assert RecordedTeacher(path).removed == 0 and len(RecordedTeacher(path).notes) == 1


def test_the_identity_follows_the_answers_not_the_file(tmp_path):
    one = RecordedTeacher(record(tmp_path, ONE, name="a.jsonl"))
    elsewhere = RecordedTeacher(record(tmp_path, {**ONE, "gold_label": "2"}, name="b.jsonl"))
    other = RecordedTeacher(record(tmp_path, {**ONE, "response": "2"}, name="c.jsonl"))
    withheld = RecordedTeacher(record(tmp_path, {**ONE, "split": "train"}, {**ONE, "question": "2?"}), ["1 + 1?"])
    assert one.identity == elsewhere.identity
    assert len({teacher.identity for teacher in (one, other, withheld)}) == 3
    assert request_key(one.identity, ask()) != request_key(other.identity, ask())


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("nonsense", r"r\.jsonl:2: line: Invalid JSON"),
        ('{"question": "a", "response": ', r"r\.jsonl:2: line: Invalid JSON"),
        ("[1]", r"r\.jsonl:2: line: .*fields: question, response"),
        ({"response": "a"}, r"r\.jsonl:2: question: Field required"),
        ({"question": "a"}, r"r\.jsonl:2: response: Field required"),
        ({**ONE, "response": None}, r"r\.jsonl:2: response: Input should be a valid string"),
        ({**ONE, "sampel": 1}, r"r\.jsonl:2: sampel: Extra inputs .*given 1.*fields: question, response, sample"),
        ({**ONE, "sample": -1}, r"r\.jsonl:2: sample: .*greater than or equal to 0"),
        ({**ONE, "kind": "critique"}, r"r\.jsonl:2: kind: .*'rationale' or 'evaluation'"),
        ({**ONE, "kind": "evaluation"}, r"r\.jsonl:2: kind 'evaluation' with rationale None"),
        ({**ONE, "rationale": "x"}, r"r\.jsonl:2: kind 'rationale' with rationale 'x'"),
        ({**ONE, "sample": 0}, r"r\.jsonl:2: sample 0 of '1  \+ 1\?' is recorded twice"),
    ],
)
def test_a_bad_line_is_refused_by_number(tmp_path, row, message):
    with pytest.raises(UserError, match=message):
        RecordedTeacher(record(tmp_path, ONE, row))


def test_a_bad_file_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"teacher\.recorded\.path: .*gone\.jsonl: no such file"):
        RecordedTeacher(tmp_path / "gone.jsonl")
    with pytest.raises(UserError, match=r"r\.jsonl: no recordings"):
        RecordedTeacher(record(tmp_path))
    (tmp_path / "latin.jsonl").write_bytes(b'{"question": "\xe9", "response": "a"}\n')
    with pytest.raises(UserError, match=r"latin\.jsonl:1: not UTF-8"):
        RecordedTeacher(tmp_path / "latin.jsonl")


def test_a_kind_without_its_settings_or_of_no_kind_is_refused():
    from lib.config import load_config
    from lib.teacher import open_teacher

    settings = load_config().teacher
    with pytest.raises(UserError, match=r"teacher\.recorded\.path: missing"):
        open_teacher(settings.model_copy(update={"kind": "recorded", "recorded": Settings(path=None)}))
    with pytest.raises(UserError, match=r"teacher\.kind: unknown kind 'oracle'; allowed: simulated, recorded"):
        open_teacher(settings.model_copy(update={"kind": "oracle"}))


@pytest.mark.parametrize(
    ("name", "responses"),
    [("svamp.palm.1cot", 1000), ("commonsense_qa.palm.1cot", 10962), ("svamp.gpt35.3cot", 1953),
     ("last_letter_concatenation.gpt35.3cot", 1050)],
)  # fmt: skip
def test_real_recordings_are_read_whole(real_data, name, responses):
    teacher = RecordedTeacher(real_data / "teacher" / f"{name}.jsonl")
    assert f" {responses} responses " in teacher.notes[0]
