import json
import random

import pytest

from lib.errors import UserError
from lib.settings import Data, Limits
from lib.tasks import get_task, load_questions, load_splits
from lib.tasks.splits import ACROSS


def row(number, body=None, **changes):
    return {
        "ID": f"chal-{number}",
        "Body": body or f"Dan had $ {number}  left",
        "Question": "How much?",
        "Equation": f"( {number}.0 - 1.0 )",
        "Answer": number - 1.0,
    } | changes


def data(raw, share=0.1):
    limits = Limits(train=None, validation=None, test=None)
    return Data(raw=raw, revision=None, validation_share=share, limits=limits)


def load(folder, rows=None, text=None):
    path = folder / "SVAMP.json"
    path.write_text(text if rows is None else json.dumps(rows), encoding="utf-8")
    return load_splits("svamp", None, data(path))


def test_rows_become_questions_of_three_splits(tmp_path):
    splits = load(tmp_path, [row(i) for i in range(100)])
    assert [len(splits.of(split)) for split in ("train", "validation", "test")] == [72, 8, 20]
    example = next(q for q in splits.questions if q.gold_label == "( 5.0 - 1.0 )")
    assert example.text == "Dan had $ 5 left How much?"  # white space made single
    assert example.choices == ()
    assert splits == load(tmp_path, [row(i) for i in range(100)])


def test_the_order_of_rows_does_not_matter(tmp_path):
    """The hub has them in another order; the number in the ID counts."""
    rows = [row(i) for i in range(100)]
    first = load(tmp_path, rows)
    random.Random(0).shuffle(rows)
    assert load(tmp_path, rows) == first


def test_a_text_of_validation_or_test_is_left_out_of_train_and_counted(tmp_path):
    rows = [row(i) for i in range(100)]
    plain = load(tmp_path, rows)
    in_test = next(i for i in range(100) if any(f" {i} " in q.text for q in plain.of("test")))
    in_train = next(i for i in range(100) if any(f" {i} " in q.text for q in plain.of("train")))
    rows[in_train]["Body"] = rows[in_test]["Body"].upper()
    splits = load(tmp_path, rows)
    assert splits.left_out["train"] == {ACROSS: 1}
    assert (len(splits.of("train")), len(splits.of("test"))) == (71, 20)


@pytest.mark.parametrize(
    ("rows", "text", "message"),
    [
        (None, "[{", r"SVAMP\.json:1: not valid JSON"),
        (None, "[" * 100_000, r"SVAMP\.json.* not valid JSON"),
        ({"a": 1}, None, "expected a list of questions, given dict"),
        ([row(1), 7], None, "row 2: expected an object with ID, Body, Question, Equation, given 7"),
        ([row(1), row(2, Body=None)], None, "row 2: Body: expected a text, given None"),
        ([{"ID": "x"}], None, "row 1: expected the fields ID, Body, Question, Equation; given ID"),
        ([row(1, ID="x")], None, "row 1: ID: expected chal-<number>, given 'x'"),
        ([row(1, Equation="2 * x")], None, r"row 1: Equation: expected numbers .* given '2 \* x'"),
        ([row(1), row(2), row(1)], None, "row 3: number 1 stands twice"),
        ([], None, "0 questions leave the test split empty"),
        ([row(1), row(2)], None, "2 questions leave the test split empty"),
        ([row(1), row(2), row(3)], None, "3 questions leave the validation split empty"),
    ],
)
def test_bad_files_are_users_errors_naming_the_row(tmp_path, rows, text, message):
    with pytest.raises(UserError, match=message) as error:
        load(tmp_path, rows, text)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no such file or folder: .*none\.json; for SVAMP give SVAMP\.json"):
        load_questions("svamp", None, data(tmp_path / "none.json"))


def test_equations_are_checked():
    steps = get_task("svamp").check(None, "He has 3 packs of 4. 3 * 4 = 13. The answer is (3 * 4).").steps
    assert [step.wrong for step in steps] == [None, "3 * 4 is 12, not 13", None]


def test_the_released_split_is_reproduced(real_data):
    splits = load_splits("svamp", None, data(real_data / "datasets/SVAMP/SVAMP.json"))
    with (real_data / "teacher/svamp.palm.1cot.jsonl").open(encoding="utf-8") as file:
        released = [json.loads(line) for line in file]

    def ours(*names):
        return [(q.text, q.gold_label) for name in names for q in splits.of(name)]

    def theirs(split):
        return [(" ".join(r["question"].split()), r["gold_label"]) for r in released if r["split"] == split]

    assert ours("train", "validation") == theirs("train")
    assert ours("test") == theirs("test")
    assert [len(ours(split)) for split in ("train", "validation", "test")] == [720, 80, 200]
    assert not any(splits.left_out.values())
