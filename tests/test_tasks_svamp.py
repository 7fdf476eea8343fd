import json

import pytest

from lib.config import Svamp
from lib.errors import UserError
from lib.tasks import get_task, svamp
from lib.tasks.svamp import load, load_splits


def row(number, body=None, **changes):
    return {
        "ID": f"chal-{number}",
        "Body": body or f"Dan had $ {number}  left",
        "Question": "How much?",
        "Equation": f"( {number}.0 - 1.0 )",
        "Answer": number - 1.0,
    } | changes


def settings(path, rows=None, text=None):
    path = path / "SVAMP.json"
    path.write_text(text if rows is None else json.dumps(rows), encoding="utf-8")
    return Svamp(path=path, test_share=0.2, validation_share=0.1)


def test_rows_become_questions_of_three_splits(tmp_path):
    questions = load(settings(tmp_path, [row(i) for i in range(100)]))
    sizes = [sum(q.split == split for q in questions) for split in ("train", "validation", "test")]
    assert sizes == [72, 8, 20]
    example = next(q for q in questions if q.gold_label == "( 5.0 - 1.0 )")
    assert example.text == "Dan had $ 5 left How much?"  # white space made single
    assert questions == load(settings(tmp_path, [row(i) for i in range(100)]))


def test_a_text_of_validation_or_test_is_left_out_of_train_and_counted(tmp_path):
    rows = [row(i) for i in range(100)]
    plain = load_splits(settings(tmp_path, rows))
    assert plain.left_out == 0
    in_test = next(i for i in range(100) if any(q.split == "test" and f" {i} " in q.text for q in plain.questions))
    in_train = next(i for i in range(100) if any(q.split == "train" and f" {i} " in q.text for q in plain.questions))
    rows[in_train]["Body"] = rows[in_test]["Body"].upper()
    splits = load_splits(settings(tmp_path, rows))
    assert splits.left_out == 1
    assert sum(q.split == "train" for q in splits.questions) == 71
    assert sum(q.split == "test" for q in splits.questions) == 20


@pytest.mark.parametrize(
    ("rows", "text", "message"),
    [
        (None, "[{", r"SVAMP\.json:1: not valid JSON"),
        (None, "[" * 100_000, r"SVAMP\.json.* not valid JSON"),
        ({"a": 1}, None, "expected a list of questions, given dict"),
        ([row(1), 7], None, "row 2: expected an object with ID, Body, Question, Equation, given 7"),
        ([row(1), row(2, Body=None)], None, "row 2: Body: expected a text, given None"),
        ([{"ID": "x"}], None, "row 1: Body: expected a text, given None"),
        ([row(1, Equation="2 * x")], None, r"row 1: Equation: expected numbers .* given '2 \* x'"),
        ([row(1), row(2), row(1)], None, "row 3: ID 'chal-1' stands 2 times"),
        ([], None, "0 questions leave the test split empty"),
        ([row(1), row(2)], None, "2 questions leave the test split empty"),
    ],
)
def test_bad_files_are_users_errors_naming_the_row(tmp_path, rows, text, message):
    with pytest.raises(UserError, match=message) as error:
        load(settings(tmp_path, rows, text))
    assert "\n" not in str(error.value)


def test_a_missing_path_says_what_to_set(tmp_path):
    with pytest.raises(UserError, match=r"tasks\.svamp\.path: missing"):
        load(Svamp(path=None, test_share=0.2, validation_share=0.1))
    with pytest.raises(UserError, match=r"none\.json: cannot be read"):
        load(Svamp(path=tmp_path / "none.json", test_share=0.2, validation_share=0.1))


def test_equations_are_checked():
    steps = get_task("svamp").check(None, "He has 3 packs of 4. 3 * 4 = 13. The answer is (3 * 4).").steps
    assert [step.wrong for step in steps] == [None, "3 * 4 is 12, not 13", None]


def test_the_released_split_is_reproduced(real_data):
    path = real_data / "datasets/SVAMP/SVAMP.json"
    questions = load(Svamp(path=path, test_share=0.2, validation_share=0.1))
    with (real_data / "teacher/svamp.palm.1cot.jsonl").open(encoding="utf-8") as file:
        released = [json.loads(line) for line in file]

    def ours(*splits):
        return [(q.text, q.gold_label) for split in splits for q in questions if q.split == split]

    def theirs(split):
        return [(" ".join(r["question"].split()), r["gold_label"]) for r in released if r["split"] == split]

    assert ours("train", "validation") == theirs("train")
    assert ours("test") == theirs("test")
    assert [len(ours(split)) for split in ("train", "validation", "test")] == [720, 80, 200]
    assert svamp.load_splits(Svamp(path=path, test_share=0.2, validation_share=0.1)).left_out == 0
