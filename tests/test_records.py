"""Rows on disk: sorted, unique, whole; and errors that name file and line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tiny_world import evaluation, question, rationale

from lib.errors import UserError
from lib.records import (
    Evaluation,
    Failure,
    Question,
    Refined,
    Score,
    Selection,
    parse_row,
    read_jsonl,
    read_rows,
    write_json,
    write_jsonl,
    write_rows,
)

ROWS = [question("train", i) for i in range(3)]


def test_rows_come_back_as_they_were_written(tmp_path):
    path = tmp_path / "new" / "questions.jsonl"
    assert write_rows(path, ROWS) == 3
    assert read_rows(path, Question) == ROWS


def test_equal_content_is_equal_bytes_whatever_the_order(tmp_path):
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    write_rows(one, ROWS)
    write_rows(other, reversed(ROWS))
    assert one.read_bytes() == other.read_bytes()
    ids = [json.loads(line)["question_id"] for line in one.read_text().splitlines()]
    assert ids == ["train-0", "train-1", "train-2"]


def test_no_rows_make_an_empty_file(tmp_path):
    path = tmp_path / "none.jsonl"
    assert write_rows(path, []) == 0
    assert path.read_bytes() == b""
    assert read_rows(path, Question) == []


@given(text=st.text())
def test_any_text_survives(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("text") / "rows.jsonl"
    row = Failure(item_id="q", sample=0, split="train", reason="odd", text=text.encode("utf-8", "replace").decode())
    write_rows(path, [row])
    assert read_rows(path, Failure) == [row]


def test_two_rows_with_one_id_are_refused_and_the_old_file_stays(tmp_path):
    path = tmp_path / "questions.jsonl"
    write_rows(path, ROWS)
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"questions\.jsonl: id 'train-1' stands 2 times; ids must be unique"):
        write_rows(path, [*ROWS, ROWS[1]])
    assert path.read_bytes() == before


def test_a_file_with_two_rows_of_one_id_is_refused(tmp_path):
    path = tmp_path / "questions.jsonl"
    path.write_text((ROWS[0].model_dump_json() + "\n") * 3)
    with pytest.raises(UserError, match="id 'train-0' stands 3 times"):
        read_rows(path, Question)


def test_nothing_but_the_file_is_left_behind(tmp_path):
    write_rows(tmp_path / "questions.jsonl", ROWS)
    assert [p.name for p in tmp_path.iterdir()] == ["questions.jsonl"]


GOOD = evaluation(rationale(ROWS[0], 0), 0).model_dump(mode="json")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{not json", "line: Invalid JSON"),
        ("[1, 2]", "given [1, 2]"),
        (json.dumps(GOOD | {"verdict": "maybe"}), "should be 'correct', 'wrong' or 'uncertain' (given 'maybe')"),
        (json.dumps(GOOD | {"sample": "first"}), "(given 'first')"),
        (json.dumps(GOOD | {"mood": "good"}), "mood: Extra inputs are not permitted"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "critique"}), "critique: Field required"),
    ],
)
def test_a_malformed_line_is_named_by_file_and_line(tmp_path, line, said):
    path = tmp_path / "evaluations.jsonl"
    path.write_text(f"{json.dumps(GOOD)}\n\n{line}\n")
    with pytest.raises(UserError) as error:
        read_rows(path, Evaluation)
    message = str(error.value)
    assert message.startswith(f"{path}:3: ")  # blank lines count as lines
    assert said in message
    assert message.endswith("fields: question_id, rationale_sample, sample, split, verdict, critique")
    assert "\n" not in message


def test_a_long_value_is_shortened_in_the_error():
    with pytest.raises(UserError) as error:
        parse_row(Question, json.dumps({"question_id": ["x" * 5000]}), "here:1")
    assert len(str(error.value)) < 300


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"absent\.jsonl: no such file"):
        read_rows(tmp_path / "absent.jsonl", Question)


def test_rows_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        ROWS[0].text = "another question"


def test_ids_lead_from_an_evaluation_to_its_rationale_and_question():
    r = rationale(ROWS[0], 2)
    e = evaluation(r, 1)
    assert (r.id, e.rationale_id, e.id) == ("train-0/002", "train-0/002", "train-0/002/001")
    assert Failure(item_id=r.id, sample=4, split="train", reason="empty", text="").id == "train-0/002/004"
    chosen = Selection(question_id="train-0", student="base", strategy="rd_low", samples=(2, 0))
    assert chosen.id == "base/rd_low/train-0"


def test_a_score_belongs_to_a_rationale():
    measured = dict.fromkeys(("slc", "pmi", "rd", "rd_masked", "rd_own", "log_p", "log_p_answer"), 1.0)
    score = Score(
        question_id="train-0",
        sample=2,
        student="base",
        scorer="t5",
        precision="fp32",
        rd_target="7",
        tokens=9,
        **measured,
    )
    assert score.rationale_id == rationale(ROWS[0], 2).id
    assert score.id == "train-0/002 base"


def test_a_refined_rationale_is_told_from_the_original_and_its_score_follows_it():
    original = rationale(ROWS[0], 2)
    refined = Refined(**original.model_dump(), chain="slc_high", round=3)
    assert refined.id == "train-0/002@slc_high/3" and refined.id.split("/")[0] == "train-0"
    measured = dict.fromkeys(("slc", "pmi", "rd", "rd_masked", "rd_own", "log_p", "log_p_answer"), 1.0)
    how = {"scorer": "t5", "precision": "fp32", "rd_target": "7"}
    where = {**how, "student": "base", "tokens": 9, "chain": "slc_high", "round": 3}
    assert Score(question_id="train-0", sample=2, **where, **measured).rationale_id == refined.id


@pytest.mark.parametrize(
    ("wrong_steps", "correct", "sound"),
    [
        ((), True, True),
        ((), False, False),  # no step refuted, but the answer is wrong
        ((1,), True, False),  # right by luck
        ((), None, True),  # no gold label: what could be checked holds
        (None, True, None),  # no verifier: nothing is claimed
    ],
)
def test_a_rationale_is_sound_if_nothing_about_it_is_refuted(wrong_steps, correct, sound):
    r = rationale(ROWS[0], 0).model_copy(update={"wrong_steps": wrong_steps, "correct": correct})
    assert r.sound is sound


def test_json_is_sorted_and_ends_in_a_newline(tmp_path):
    write_json(tmp_path / "m.json", {"b": "é", "a": 1})
    assert (tmp_path / "m.json").read_text(encoding="utf-8") == '{\n "a": 1,\n "b": "é"\n}\n'


def test_a_number_that_is_none_is_null(tmp_path):
    """JSON knows no nan; infinity is a mistake rather than "nothing"."""
    write_json(tmp_path / "m.json", {"auroc": {"w/ SE": float("nan"), "1 CoT": 0.5}, "rows": [(1, float("nan"))]})
    text = (tmp_path / "m.json").read_text()
    assert "NaN" not in text
    assert json.loads(text) == {"auroc": {"w/ SE": None, "1 CoT": 0.5}, "rows": [[1, None]]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "m.json", {"loss": float("inf")})


def test_a_line_separator_within_a_text_ends_no_row(tmp_path):
    rows = [{"text": "a\u2028b\u0085c", "n": 1}, {"text": "d"}]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    expected = '{"n": 1, "text": "a\u2028b\u0085c"}\n{"text": "d"}\n'
    assert (tmp_path / "rows.jsonl").read_bytes() == expected.encode()
    assert read_jsonl(tmp_path / "rows.jsonl") == rows
