"""The same rows from every form of file, from a saved data set and from the hub; and what is missing or malformed."""

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace

import datasets
import pytest
from datasets.exceptions import DatasetGenerationError

from lib import paths
from lib.errors import UserError
from lib.settings import Data, Limits
from lib.tasks import aqua, gsm8k, multi_arith, svamp
from lib.tasks.anli import ROUND_1
from lib.tasks.datasets import Hub
from lib.tasks.reading import hub_of, read_file, read_parts

PARTS = ("train", "test")


def data(raw, revision=None):
    limits = Limits(train=None, validation=None, test=None)
    return Data(raw=raw, revision=revision, validation_share=0.1, limits=limits)


def sums(start, count):
    return [
        {"question": f"What is {n} + 1?", "answer": f"{n} + 1 = {n + 1}\n#### {n + 1}"} for n in range(start, count)
    ]


ROWS = {"train": sums(0, 12), "test": sums(12, 17)}


def write(path, rows):
    """Rows in a file of the kind that its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        table = datasets.Dataset.from_list(rows)
        (table.to_csv if path.suffix == ".csv" else table.to_parquet)(str(path))
    return path


def rows_of(data_set, raw, parts=PARTS):
    return {name: [dict(row) for _, row in located] for name, located in read_parts(data_set, data(raw), parts).items()}


@pytest.mark.parametrize(
    "name",
    [
        "{}.jsonl",
        "{}.json",
        "{}.csv",
        "{}.parquet",
        "main/{}-00000-of-00001.parquet",
        "data/{}-00000-of-00001-0af3.parquet",
    ],
)
def test_folders_of_both_forms_have_the_same_rows(tmp_path, name):
    for split, rows in ROWS.items():
        write(tmp_path / name.format(split), rows)
    assert rows_of(gsm8k.DATA_SET, tmp_path) == ROWS


def test_shards_are_joined_in_order(tmp_path):
    write(tmp_path / "train-00000-of-00002.parquet", ROWS["train"][:5])
    write(tmp_path / "train-00001-of-00002.parquet", ROWS["train"][5:])
    assert rows_of(gsm8k.DATA_SET, tmp_path, ["train"]) == {"train": ROWS["train"]}


def test_the_configuration_has_its_folder_in_a_clone(tmp_path):
    for split, rows in ROWS.items():
        write(tmp_path / "main" / f"{split}.jsonl", rows)
        write(tmp_path / "socratic" / f"{split}.jsonl", rows[:1])
    assert rows_of(gsm8k.DATA_SET, tmp_path) == ROWS


def test_saved_to_disk(tmp_path):
    saved = datasets.DatasetDict({split: datasets.Dataset.from_list(rows) for split, rows in ROWS.items()})
    saved.save_to_disk(str(tmp_path / "dictionary"))
    assert rows_of(gsm8k.DATA_SET, tmp_path / "dictionary") == ROWS
    datasets.Dataset.from_list(ROWS["test"]).save_to_disk(str(tmp_path / "test"))
    assert rows_of(gsm8k.DATA_SET, tmp_path / "test", ["test"]) == {"test": ROWS["test"]}
    with pytest.raises(UserError, match=r"test: no train split of GSM8K; there are: test"):
        rows_of(gsm8k.DATA_SET, tmp_path / "test")


def test_a_single_saved_list_may_have_any_name(tmp_path):
    rows = [{"question": "?", "final_ans": str(n)} for n in range(3)]
    datasets.Dataset.from_list(rows).save_to_disk(str(tmp_path / "mine"))
    assert rows_of(multi_arith.DATA_SET, tmp_path / "mine", ["all"]) == {"all": rows}


def test_a_broken_saved_data_set_is_named(tmp_path):
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train"]}')
    with pytest.raises(UserError, match="cannot be read as a saved data set "):
        rows_of(gsm8k.DATA_SET, tmp_path)


def test_one_file_is_the_part_that_its_name_says(tmp_path):
    path = write(tmp_path / "test.jsonl", ROWS["test"])
    assert rows_of(gsm8k.DATA_SET, path, ["test"]) == {"test": ROWS["test"]}
    with pytest.raises(UserError, match=r"test\.jsonl: no train split of GSM8K; looked for train\.jsonl or train as"):
        rows_of(gsm8k.DATA_SET, path)


def test_one_file_is_all_where_the_publishers_do_not_split(tmp_path):
    rows = [{"ID": "chal-1"}]
    assert rows_of(svamp.DATA_SET, write(tmp_path / "mine.json", rows), ["all"]) == {"all": rows}


def test_publishers_names_in_folders(tmp_path):
    write(tmp_path / "R1" / "dev.jsonl", [{"label": "e"}])
    write(tmp_path / "R2" / "dev.jsonl", [{"label": "n"}])
    assert rows_of(ROUND_1, tmp_path, ["validation"]) == {"validation": [{"label": "e"}]}
    assert rows_of(ROUND_1, tmp_path / "R1" / "dev.jsonl", ["validation"]) == {"validation": [{"label": "e"}]}
    with pytest.raises(
        UserError, match=r"no train split of ANLI round 1; looked for r1_train\.jsonl or R1/train\.jsonl"
    ):
        rows_of(ROUND_1, tmp_path, ["train"])


def test_a_list_may_lie_in_an_object(tmp_path):
    for key in ("examples", "data"):
        assert [row for _, row in read_file(write(tmp_path / "x.json", {"name": "x", key: [1, 2]}))] == [1, 2]


def test_json_lines_may_be_called_json(tmp_path):
    """As the publishers of AQuA do."""
    (tmp_path / "test.json").write_text('{"a": 1}\n\n{"a": 2}\n', encoding="utf-8")
    assert read_file(tmp_path / "test.json") == [
        (f"{tmp_path}/test.json:1", {"a": 1}),
        (f"{tmp_path}/test.json:3", {"a": 2}),
    ]


def test_a_line_separator_in_a_text_ends_no_row(tmp_path):
    path = tmp_path / "test.jsonl"
    path.write_text(json.dumps({"a": "x\u2028y"}, ensure_ascii=False) + "\n", encoding="utf-8")
    assert [row for _, row in read_file(path)] == [{"a": "x\u2028y"}]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.json", b"[1,", r"x\.json:1: not valid JSON"),
        ("x.json", b'{"a": 1}', "expected a list of questions, given dict"),
        ("x.json", b'{"a": 1}\n{"a": ', r"x\.json:2: not valid JSON"),
        ("x.jsonl", b'{"a": 1}\n{"a"\n', r"x\.jsonl:2: not valid JSON"),
        ("x.jsonl", b"[" * 100_000, r"x\.jsonl:1: not valid JSON: nested too deeply"),
        ("x.jsonl", b"\xff\n", "not UTF-8 text"),
        ("x.parquet", b"no parquet", r"x\.parquet: cannot be read as parquet \("),
        ("x.csv", b'a,b\n"1', r"x\.csv: cannot be read as csv \("),
        ("x.txt", b"", r"x\.txt: expected a file that ends in \.json, \.jsonl, \.csv, \.parquet"),
    ],
)
def test_a_malformed_file_is_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        read_file(path)
    assert "\n" not in str(error.value)


def test_two_files_of_one_split_are_refused(tmp_path):
    write(tmp_path / "validation.json", [])
    write(tmp_path / "validation.csv", [{"a": 1}])
    with pytest.raises(UserError, match=r"which is the validation split\? there are validation\.csv, validation\.json"):
        rows_of(aqua.DATA_SET, tmp_path, ["validation"])


def test_an_empty_folder_says_what_is_looked_for(tmp_path):
    with pytest.raises(
        UserError,
        match=r"no rows of SVAMP; looked for SVAMP\.json or train and test as \.json, \.jsonl, \.csv, \.parquet",
    ):
        rows_of(svamp.DATA_SET, tmp_path, ["all"])


# -- the hub -------------------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """GSM8K with a local folder in place of its copy on the hub."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    for split, rows in ROWS.items():
        write(tmp_path / "hub" / f"{split}.jsonl", rows)
    return replace(gsm8k.DATA_SET, hub=Hub(str(tmp_path / "hub")))


def test_the_hub_s_rows(hub, capfd):
    capfd.readouterr()
    located = read_parts(hub, data(None), PARTS)
    assert capfd.readouterr() == ("", ""), "a progress bar in a notebook would differ from run to run"
    assert not datasets.are_progress_bars_disabled(), "they are left as they were"
    assert {name: [row for _, row in rows] for name, rows in located.items()} == ROWS
    assert located["test"][1][0] == f"{hub.hub.id}: test row 2"


def test_a_split_that_the_hub_lacks_is_named(hub):
    with pytest.raises(UserError, match=r"no validation split of GSM8K; there are: train, test"):
        read_parts(replace(hub, parts=aqua.DATA_SET.parts), data(None), ["validation"])


def test_the_revision_is_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **options: asked.append((args, options)) or ROWS)
    read_parts(gsm8k.DATA_SET, data(None, "abc123"), PARTS)
    assert asked == [(("openai/gsm8k", "main"), {"revision": "abc123"})]


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("Couldn't reach it\nat all"),
        FileNotFoundError("no such"),
        ValueError(),
        DatasetGenerationError(),
    ],
)
def test_without_a_connection_the_files_are_named(monkeypatch, error):
    def fail(*args, **options):
        raise error

    monkeypatch.setattr(datasets, "load_dataset", fail)
    message = r"data\.raw: not set, and openai/gsm8k cannot be had from the hub \(.*\); set it to .* train\.jsonl"
    with pytest.raises(UserError, match=message) as raised:
        read_parts(gsm8k.DATA_SET, data(None), PARTS)
    assert "\n" not in str(raised.value)


def test_the_cause_of_a_failed_generation_is_told(monkeypatch):
    def fail(*args, **options):
        raise DatasetGenerationError("An error occurred") from KeyError("feature")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(UserError, match=r"openai/gsm8k cannot be had from the hub \(KeyError: 'feature'\)"):
        read_parts(gsm8k.DATA_SET, data(None), PARTS)


@contextmanager
def hanging_up():
    """The address of a server that ends every connection without an answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:  # the server is shut down
                    return
                with connection:
                    connection.recv(65536)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


ASK = """
import time
from huggingface_hub.utils import logging
from lib.errors import UserError
from lib.tasks import gsm8k
from lib.tasks.reading import read_parts
from tests.test_tasks_reading import data

time.sleep = lambda seconds: None  # between retries
before = logging.get_verbosity()
try:
    read_parts(gsm8k.DATA_SET, data(None), ["train"])
except UserError as error:
    print(error)
assert logging.get_verbosity() == before, "it is left as it was"
"""


def asked_at(address, folder):
    """What a process that asks for GSM8K at this address says; the libraries read the address when imported."""
    own = {"HF_ENDPOINT": address, "HF_HOME": str(folder), "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}
    own |= {"PYTHONPATH": str(paths.ROOT)}
    ran = subprocess.run([sys.executable, "-c", ASK], env=os.environ | own, capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    return ran.stdout


def test_a_server_that_hangs_up_is_no_crash(tmp_path):
    with hanging_up() as address:
        said = asked_at(address, tmp_path)
    assert said.startswith("data.raw: not set, and openai/gsm8k cannot be had from the hub (RemoteProtocolError: ")


def test_a_hub_that_cannot_be_reached_is_told_in_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
    said = asked_at(address, tmp_path)
    assert said.startswith("data.raw: not set, and openai/gsm8k cannot be had from the hub (ConnectionError: ")
    assert said.count("\n") == 1


def test_without_a_copy_on_the_hub_the_files_are_named():
    with pytest.raises(UserError, match=r"no whole copy of X on the hub is known; set it to SVAMP\.json"):
        hub_of(replace(svamp.DATA_SET, title="X", hub=None))
    assert hub_of(svamp.DATA_SET) == Hub("ChilleD/SVAMP")
