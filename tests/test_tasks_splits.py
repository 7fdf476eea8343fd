"""Splits: reproduced, disjoint, nothing lost; limits; the real files and their forms on the hub."""

import json
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import datasets
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.config import load_config
from lib.errors import UserError
from lib.records import SPLITS
from lib.settings import Data, Limits
from lib.tasks import TASKS, gsm8k, load_splits, multi_arith, published_source, splits
from lib.tasks.reading import read_file
from lib.tasks.splits import ACROSS, LIMIT, WITHIN, Splits, key, limited, published

FOLDERS = {
    "svamp": "SVAMP",
    "single_eq": "SingleEq",
    "add_sub": "AddSub",
    "multi_arith": "MultiArith",
    "gsm8k": "grade-school-math",
    "aqua": "AQuA",
    "commonsense_qa": "CommonsenseQA",
    "strategy_qa": "StrategyQA",
    "anli_r1": "ANLI",
    "date_understanding": "Bigbench_Date",
    "tracking_shuffled_objects": "Bigbench_object_tracking",
    "coin_flip": "coin_flip",
    "last_letter": "last_letters",
}
THERE = {"aqua": ("test",), "anli_r1": ("validation", "test")}  # splits that the real folder has; else all
# Questions left out of train: their text is in another split, or twice in train.
LEFT_OUT = {"multi_arith": {ACROSS: 6, WITHIN: 11}, "strategy_qa": {ACROSS: 1}}
INDICES = {"coin_flip": "coin_flip", "last_letter": "last_letter_concatenation", "multi_arith": "multiarith",
           "add_sub": "addsub", "single_eq": "single_eq", "strategy_qa": "strategy_qa",
           "date_understanding": "date_understanding"}  # fmt: skip
NONE = Limits(train=None, validation=None, test=None)


def data(raw, limits=NONE, share=0.1):
    return Data(raw=raw, revision=None, validation_share=share, limits=limits)


@pytest.fixture(scope="module")
def tasks():
    """The section `tasks`, with the published coin flips and last letters."""
    section = load_config().tasks
    both = {name: getattr(section, name) for name in ("coin_flip", "last_letter")}
    return section.model_copy(
        update={name: own.model_copy(update={"source": "published"}) for name, own in both.items()}
    )


def sums(folder, rows):
    """The question "What is <n>?" for each n, as a MultiArith file."""
    path = Path(folder) / "MultiArith.json"
    path.write_text(json.dumps([{"sQuestion": f"What is {n}?", "lSolutions": [n]} for n in rows]), encoding="utf-8")
    return path


def write_sums(path, rows):
    """The question "What is <n>?" for each n, as a GSM8K file."""
    lines = [json.dumps({"question": f"What is {n}?", "answer": f"#### {n}"}) for n in rows]
    path.write_text("\n".join(lines), encoding="utf-8")


# -- the rule ------------------------------------------------------------------------------------


def test_by_hand(tmp_path):
    """RandomState(0) permutes ten rows to 2 8 4 9 1 6 7 3 0 5: seven are train, its last of them validation."""
    found = published(multi_arith.DATA_SET, data(sums(tmp_path, range(10))))
    assert np.random.RandomState(0).permutation(10).tolist() == [2, 8, 4, 9, 1, 6, 7, 3, 0, 5]
    assert [q.gold_label for q in found.of("train")] == ["2", "8", "4", "9", "1", "6"]
    assert [q.gold_label for q in found.of("validation")] == ["7"]
    assert [(q.id, q.gold_label) for q in found.of("test")] == [
        ("multi_arith-test-00000", "3"), ("multi_arith-test-00001", "0"), ("multi_arith-test-00002", "5"),
    ]  # fmt: skip


def test_repeated_questions(tmp_path):
    """Train keeps the first of two, test both; a text of test leaves validation, one of validation leaves train."""
    rows = list(range(10))
    rows[8], rows[4] = 2, 2  # train has 2 three times
    rows[0] = 3  # test has 3 twice
    rows[9] = 7  # train has what validation has
    found = published(multi_arith.DATA_SET, data(sums(tmp_path, rows)))
    assert [q.gold_label for q in found.of("train")] == ["2", "1", "6"]
    assert [q.id[-5:] for q in found.of("train")] == ["00000", "00004", "00005"]
    assert [q.gold_label for q in found.of("test")] == ["3", "3", "5"]
    assert found.left_out["train"] == {ACROSS: 1, WITHIN: 2}
    assert not found.left_out["test"] and not found.left_out["validation"]
    rows[7] = 5
    found = published(multi_arith.DATA_SET, data(sums(tmp_path, rows)))
    assert (found.of("validation"), found.left_out["validation"]) == ([], {ACROSS: 1})


@given(rows=st.lists(st.integers(0, 40), min_size=10, max_size=60), share=st.floats(0.1, 0.5))
def test_splits_are_disjoint_and_nothing_is_lost(tmp_path_factory, rows, share):
    found = published(multi_arith.DATA_SET, data(sums(tmp_path_factory.getbasetemp(), rows), share=share))
    texts = {split: {key(q.text) for q in found.of(split)} for split in SPLITS}
    assert not (texts["train"] & texts["validation"] or texts["train"] & texts["test"])
    assert not texts["validation"] & texts["test"]
    assert len(found.questions) + sum(own.total() for own in found.left_out.values()) == len(rows)
    assert len(texts["train"]) == len(found.of("train")) and len(found.of("test")) == len(rows) - round(0.7 * len(rows))
    assert set.union(*texts.values()) == {f"what is {n}?" for n in rows}


WANTED = [wanted for count in (1, 2, 3) for wanted in combinations(SPLITS, count)]


@given(rows=st.lists(st.integers(0, 20), min_size=10, max_size=30), wanted=st.sampled_from(WANTED))
def test_a_split_is_the_same_whichever_others_are_wanted(tmp_path_factory, rows, wanted):
    raw = data(sums(tmp_path_factory.getbasetemp(), rows))
    whole, found = published(multi_arith.DATA_SET, raw), published(multi_arith.DATA_SET, raw, wanted)
    assert found.questions == [question for question in whole.questions if question.split in wanted]
    assert found.left_out == {split: whole.left_out[split] for split in wanted}


def test_train_leaves_out_what_the_publishers_test_split_has(tmp_path):
    """Also where train alone is wanted; without the test split it cannot be known, and is refused."""
    for split, numbers in (("train", range(20)), ("test", (3, 30))):
        write_sums(tmp_path / f"{split}.jsonl", numbers)
    found = published(gsm8k.DATA_SET, data(tmp_path), ("train",))
    assert {q.split for q in found.questions} == {"train"} and "3" not in {q.gold_label for q in found.questions}
    assert found.left_out == {"train": {ACROSS: 1}}
    (tmp_path / "test.jsonl").unlink()
    with pytest.raises(UserError, match="no test split of GSM8K"):
        published(gsm8k.DATA_SET, data(tmp_path), ("train",))


def test_official_splits_are_kept_and_validation_cut_from_train(tmp_path):
    for split, numbers in (("train", range(20)), ("test", range(20, 25))):
        write_sums(tmp_path / f"{split}.jsonl", numbers)
    found = published(gsm8k.DATA_SET, data(tmp_path))
    assert [q.gold_label for q in found.of("test")] == ["20", "21", "22", "23", "24"]
    order = [str(n) for n in np.random.RandomState(0).permutation(20)]
    assert [q.gold_label for q in found.of("train")] == order[:18]
    assert [q.gold_label for q in found.of("validation")] == order[18:]
    (tmp_path / "train.jsonl").unlink()
    assert published(gsm8k.DATA_SET, data(tmp_path), ("test",)).questions == found.of("test")
    with pytest.raises(UserError, match="no train split of GSM8K"):
        published(gsm8k.DATA_SET, data(tmp_path), ("validation",))


def test_too_few_rows_leave_a_split_empty(tmp_path):
    with pytest.raises(UserError, match=r"MultiArith\.json: 2 questions leave the validation split empty"):
        published(multi_arith.DATA_SET, data(sums(tmp_path, range(2))))


def test_the_row_is_named(tmp_path):
    path = sums(tmp_path, [1, 2, "x"])
    with pytest.raises(UserError, match=r"MultiArith\.json: row 3: lSolutions: expected a number, given 'x'"):
        published(multi_arith.DATA_SET, data(path))


# -- limits --------------------------------------------------------------------------------------


def test_limits_take_the_first_by_id_and_count_the_others(tmp_path):
    path = sums(tmp_path, [*range(19), 18])
    whole = published(multi_arith.DATA_SET, data(path))
    limits = Limits(train=3, validation=None, test=100)
    found = load_splits("multi_arith", None, data(path, limits))
    assert found.of("train") == whole.of("train")[:3]
    assert (found.of("validation"), found.of("test")) == (whole.of("validation"), whole.of("test"))
    assert found.left_out["train"][LIMIT] == len(whole.of("train")) - 3
    assert sum(own.total() for own in found.left_out.values()) + len(found.questions) == 20
    assert LIMIT not in whole.left_out["train"]  # nothing was changed in place


def test_limits_hold_for_generated_questions_too():
    section = load_config().tasks
    found = load_splits("arithmetic", section, data(None, Limits(train=5, validation=2, test=3)))
    assert Counter(q.split for q in found.questions) == {"train": 5, "validation": 2, "test": 3}
    assert found.left_out["test"] == {LIMIT: section.arithmetic.test - 3}
    whole = load_splits("arithmetic", section, data(None), ("validation",))
    assert {q.split for q in whole.questions} == {"validation"} and whole.questions[:2] == found.of("validation")


def test_without_limits_nothing_changes():
    assert limited(Splits([]), NONE) == Splits([])


def test_where_questions_come_from(tasks):
    generated = load_config().tasks.model_copy(update={})
    assert published_source("coin_flip", tasks) is TASKS["coin_flip"].data_set
    assert published_source("arithmetic", generated) is None
    assert published_source("svamp", generated) is TASKS["svamp"].data_set


# -- the real files ------------------------------------------------------------------------------


@pytest.mark.parametrize("task", FOLDERS)
def test_real_files_have_the_published_sizes(real_data, tasks, task):
    there = THERE.get(task, SPLITS)
    found = load_splits(task, tasks, data(real_data / "datasets" / FOLDERS[task]), there)
    data_set = TASKS[task].data_set
    rows = {split: len(found.of(split)) + found.left_out[split].total() for split in there}
    assert rows == {split: data_set.sizes[split] for split in there}
    assert found.left_out["test"] == {}
    if "train" in there:
        assert found.left_out["train"] == LEFT_OUT.get(task, {})
    characters = sum(len(q.text) for q in found.questions) / len(found.questions)
    assert characters == pytest.approx(data_set.characters, abs=0.06)


def test_real_train_alone_has_no_test_question(real_data, tasks):
    own = data(real_data / "datasets" / FOLDERS["multi_arith"])
    whole, alone = load_splits("multi_arith", tasks, own), load_splits("multi_arith", tasks, own, ("train",))
    assert alone.questions == whole.of("train") and len(alone.questions) == 361


@pytest.mark.parametrize("task", FOLDERS)
def test_real_labels_are_labels_of_their_kind(real_data, tasks, task):
    """The gold label is what the task's own extractor reads in its closing sentence, and in the choice's bare text."""
    there = THERE.get(task, SPLITS)
    found = load_splits(task, tasks, data(real_data / "datasets" / FOLDERS[task]), there)
    own = TASKS[task]
    wrong = [q for q in found.questions if not own.equal(own.extract(_closing(q), q.choices).label or "", q.gold_label)]
    assert [(q.text[-80:], q.gold_label) for q in wrong[:3]] == []
    for form in ("The answer is {}.", "{}"):
        read = [(own.extract(form.format(q.gold_label), q.choices).label, q) for q in found.questions if q.choices]
        other = [(label, q.gold_label) for label, q in read if label is None or not own.equal(label, q.gold_label)]
        assert other == []


def _closing(question):
    """ "The answer is (d) math problem.", "The answer is 18." """
    if not question.choices or question.task.startswith("anli"):
        return f"The answer is {question.gold_label}."
    letter = "abcdefghij"[question.choices.index(question.gold_label)]
    return f"The answer is ({letter}) {question.gold_label}."


@pytest.mark.parametrize(("task", "name"), INDICES.items())
def test_the_indices_of_fine_tune_cot_are_reproduced(real_data, task, name):
    indices = json.loads((real_data / "datasets/splits" / f"{name}.json").read_text(encoding="utf-8"))
    train, test = splits._permuted(list(range(sum(map(len, indices.values())))), TASKS[task].data_set.train_share)
    assert {"train": sorted(train), "test": sorted(test)} == indices


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("tracking_shuffled_objects", "tracking_shuffled_objects"),
        ("strategy_qa", "strategy_qa"),
        ("last_letter", "last_letter_concatenation"),
    ],
)
def test_recorded_questions_are_those_of_train(real_data, tasks, task, name):
    found = load_splits(task, tasks, data(real_data / "datasets" / FOLDERS[task]))
    with (real_data / "teacher" / f"{name}.gpt35.3cot.jsonl").open(encoding="utf-8") as file:
        recorded = {key(json.loads(line)["question"]) for line in file}
    ours = {split: {key(q.text) for q in found.of(split)} for split in SPLITS}
    assert len(recorded - ours["train"] - ours["validation"]) <= (1 if task == "strategy_qa" else 0)
    assert len(recorded) > 300


def test_recorded_dates_are_questions_of_train(real_data, tasks):
    """Their choices are in another order, so the questions alone are compared."""
    found = load_splits("date_understanding", tasks, data(real_data / "datasets/Bigbench_Date"))
    with (real_data / "teacher/date_understanding.gpt35.3cot.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    stems = {_stem(row["question"]) for row in rows}
    assert stems <= {_stem(q.text) for split in ("train", "validation") for q in found.of(split)}
    assert len(stems) == 256


def test_recorded_dates_themselves_can_be_the_data(real_data, tasks, tmp_path):
    """In the form of the fine-tuning data, so that the order of choices is theirs."""
    with (real_data / "teacher/date_understanding.gpt35.3cot.jsonl").open(encoding="utf-8") as file:
        asked = {row["question"]: row["gold_label"] for row in map(json.loads, file)}
    rows = [{"sample_index": n, "question": text, "answer": gold} for n, (text, gold) in enumerate(asked.items())]
    (tmp_path / "date.json").write_text(json.dumps({"metadata": {}, "data": rows}), encoding="utf-8")
    found = load_splits("date_understanding", tasks, data(tmp_path / "date.json"))
    assert {key(q.text) for q in found.questions} == set(map(key, asked))
    plain = load_splits("date_understanding", tasks, data(real_data / "datasets/Bigbench_Date"))
    gold = {_stem(q.text): q.gold_label for q in plain.questions}
    assert all(gold[_stem(q.text)] == q.gold_label for q in found.questions)


def _stem(text):
    return key(text).partition(" which choice is true?")[0]


def test_anli_without_its_training_split_is_refused(real_data, tasks):
    with pytest.raises(UserError, match=r"ANLI: no train split of ANLI round 1; looked for r1_train\.jsonl"):
        load_splits("anli_r1", tasks, data(real_data / "datasets" / "ANLI"))


# -- both forms ----------------------------------------------------------------------------------


def _as_on_the_hub(task, row, number):
    """A publishers' row in the columns of the hub."""
    if task == "commonsense_qa":
        asked = row["question"]
        choices = {key: [choice[key] for choice in asked["choices"]] for key in ("label", "text")}
        return {"id": row["id"], "question": asked["stem"], "choices": choices, "answerKey": row["answerKey"]}
    if task == "multi_arith":
        return {"question": row["sQuestion"].strip(), "final_ans": str(int(row["lSolutions"][0]))}
    if task == "strategy_qa":
        return {"qid": str(number), "question": row["input"], "answer": row["target_scores"]["Yes"] == 1}
    if task in ("date_understanding", "tracking_shuffled_objects"):
        scores = row["target_scores"]
        return {"idx": number, "inputs": row["input"], "targets": [], "multiple_choice_targets": list(scores),
                "multiple_choice_scores": list(scores.values())}  # fmt: skip
    if task == "coin_flip":
        return {"inputs": f"Q: {row['question']}", "targets": row["answer"]}
    return row


def _save(folder, form, rows):
    """Rows by split of the hub, in one of its forms."""
    tables = datasets.DatasetDict({split: datasets.Dataset.from_list(own) for split, own in rows.items()})
    if form == "save_to_disk":
        tables.save_to_disk(str(folder))
        return
    folder.mkdir()
    for split, table in tables.items():
        if form == "parquet":
            table.to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))
        else:
            table.to_json(str(folder / f"{split}.jsonl"))


@pytest.mark.parametrize("form", ["parquet", "jsonl", "save_to_disk"])
@pytest.mark.parametrize("task", [task for task in FOLDERS if task not in ("single_eq", "add_sub")])
def test_both_forms_give_the_same_questions(real_data, tasks, tmp_path, task, form):
    """The hub's copy in the publishers' order where its columns do not tell the order, else in another."""
    folder, there, data_set = real_data / "datasets" / FOLDERS[task], THERE.get(task, SPLITS), TASKS[task].data_set
    own = data(folder)
    parts = {name: part for name, part in data_set.parts.items() if (folder / part.files[0]).exists()}
    rows = {}
    for part in parts.values():
        located = read_file(folder / part.files[0])
        hub = [_as_on_the_hub(task, row, number) for number, (_, row) in enumerate(located)]
        if task in ("svamp", "date_understanding", "tracking_shuffled_objects"):
            hub.reverse()
        cuts = np.linspace(0, len(hub), len(part.hub) + 1).astype(int)
        rows |= {split: hub[start:end] for split, start, end in zip(part.hub, cuts, cuts[1:])}
    _save(tmp_path / "hub", form, rows)
    assert load_splits(task, tasks, own.model_copy(update={"raw": tmp_path / "hub"}), there) == load_splits(
        task, tasks, own, there
    )


def test_numbers_that_start_anew_in_each_split_tell_no_order(tmp_path):
    """A copy of BIG-bench may number its rows so; then they stay in their order."""
    rows = [{"input": f"Day {n}?", "target_scores": {"05/01/2021": 1, "05/02/2021": 0}} for n in range(20)]
    hub = [_as_on_the_hub("date_understanding", row, number % 10) for number, row in enumerate(rows)]
    _save(tmp_path / "hub", "jsonl", {"train": hub[:10], "validation": hub[10:]})
    (tmp_path / "task.json").write_text(json.dumps({"examples": rows}), encoding="utf-8")
    data_set = TASKS["date_understanding"].data_set
    assert published(data_set, data(tmp_path / "hub")) == published(data_set, data(tmp_path / "task.json"))


def test_a_local_folder_stands_in_for_the_hub(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    rows = [{"question": f"What is {n}?", "final_ans": str(n)} for n in range(20)]
    _save(tmp_path / "hub", "parquet", {"train": rows[:14], "test": rows[14:]})
    there = replace(multi_arith.DATA_SET, hub=replace(multi_arith.DATA_SET.hub, id=str(tmp_path / "hub")))
    found = published(there, data(None))
    assert found == published(multi_arith.DATA_SET, data(sums(tmp_path, range(20))))
