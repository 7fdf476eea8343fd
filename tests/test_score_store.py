"""The store of scores: durable, for several writers, and named by all that a score depends on."""

import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from lib.errors import UserError
from lib.forcing import Sums
from lib.pairs import Pair
from lib.score_store import ScoreStore, digest, pair_key
from lib.student import Student, load_student
from lib.words import words_tokenizer

ROOT = Path(__file__).resolve().parents[1]
ONE, TWO = Pair("q", "r", "a"), Pair("", "r", "a")
SUMS = Sums(-38.200000000000003, 13, -0.1, 5)


def student(words: str = "a b c", **sizes) -> Student:
    torch.manual_seed(0)
    tokenizer = words_tokenizer([words])
    config = GPT2Config(**{"vocab_size": 9, "n_embd": 4, "n_layer": 1, "n_head": 2, "n_positions": 8, **sizes})
    return Student(GPT2LMHeadModel(config), tokenizer)


# -- rows ----------------------------------------------------------------------------------------


def test_what_is_put_is_found_again_to_the_last_bit(tmp_path):
    ScoreStore(tmp_path / "new" / "s.sqlite").put({ONE: SUMS})
    again = ScoreStore(tmp_path / "new" / "s.sqlite")
    assert again.get([TWO, ONE]) == {ONE: SUMS} and len(again) == 1


def test_what_stands_there_stays(tmp_path):
    store = ScoreStore(tmp_path / "s.sqlite")
    store.put({ONE: SUMS})
    store.put({ONE: Sums(-1.0, 1, -1.0, 1), TWO: SUMS})
    assert store.get([ONE, TWO]) == {ONE: SUMS, TWO: SUMS}


def test_without_a_path_it_keeps_as_long_as_it_lives():
    store = ScoreStore(None)
    store.put({ONE: SUMS})
    assert store.get([ONE]) == {ONE: SUMS}
    assert len(pickle.loads(pickle.dumps(store))) == len(ScoreStore(None)) == 0


def test_a_pickled_one_reads_the_same_file(tmp_path):
    store = ScoreStore(tmp_path / "s.sqlite")
    store.put({ONE: SUMS})
    assert pickle.loads(pickle.dumps(store)).get([ONE]) == {ONE: SUMS}


def test_more_keys_than_a_query_takes():
    store, many = ScoreStore(None), [Pair("q", str(i), "a") for i in range(1201)]
    store.put({pair: Sums(-float(i), 1, 0.0, 1) for i, pair in enumerate(many)})
    found = store.get(many)
    assert [found[pair].total for pair in many] == [-float(i) for i in range(1201)]
    assert store.get([]) == {}


TEXT = st.text(alphabet='ab"\\, \ud800é', max_size=3)


@given(st.tuples(TEXT, TEXT, TEXT), st.tuples(TEXT, TEXT, TEXT))
def test_keys_are_equal_where_pairs_are(one, other):
    assert (pair_key(Pair(*one)) == pair_key(Pair(*other))) == (one == other)


def test_a_file_of_another_kind_is_refused_by_name(tmp_path):
    (tmp_path / "s.sqlite").write_text("no database at all, but long enough to look like one" * 20)
    with pytest.raises(UserError, match=r"s\.sqlite: cannot be used as a store of scores \(file is not a database\)"):
        ScoreStore(tmp_path / "s.sqlite").get([ONE])


# -- several processes ---------------------------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
from lib.forcing import Sums
from lib.pairs import Pair
from lib.score_store import ScoreStore
path, name, chunks = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for chunk in range(chunks):
    ScoreStore(path).put({Pair(name, str(chunk), str(i)): Sums(-1.0, 1, -1.0, 1) for i in range(10)})
    print(chunk, flush=True)
"""


def writer(path: Path, name: str, chunks: int) -> subprocess.Popen:
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(path), name, str(chunks)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_writers_at_once_lose_nothing(tmp_path):
    path = tmp_path / "s.sqlite"
    both = [writer(path, name, 40) for name in ("a", "b")]
    for one in both:
        _, said = one.communicate(timeout=120)
        assert one.returncode == 0, said
    assert len(ScoreStore(path)) == 800


def test_a_killed_writer_leaves_whole_chunks(tmp_path):
    path = tmp_path / "s.sqlite"
    one = writer(path, "a", 100_000)
    for _ in range(5):
        one.stdout.readline()
    os.kill(one.pid, signal.SIGKILL)
    told = 5 + len(one.communicate(timeout=60)[0].split())
    held = len(ScoreStore(path))
    assert held % 10 == 0 and told <= held // 10 <= told + 1
    ScoreStore(path).put({ONE: SUMS})
    assert len(ScoreStore(path)) == held + 1


# -- whose scores they are -----------------------------------------------------------------------


def test_a_saved_and_loaded_student_is_the_same(tmp_path):
    student().save(tmp_path)
    assert digest(load_student(tmp_path), "fp32") == digest(student(), "fp32") == digest(student(), "fp32")


def test_padding_a_batch_makes_no_other_student():
    used = student()
    used.tokenizer(["a", "a b"], padding=True, truncation=True, max_length=2)
    assert digest(used, "fp32") == digest(student(), "fp32")


def test_a_changed_weight_makes_another_student():
    changed = student()
    with torch.no_grad():
        changed.model.transformer.wpe.weight[7, 3] += 1e-6
    assert digest(changed, "fp32") != digest(student(), "fp32")


@pytest.mark.parametrize("other", [{"words": "a b d"}, {"n_head": 4}, {"vocab_size": 10}])
def test_other_words_heads_or_sizes_make_another_student(other):
    assert digest(student(**other), "fp32") != digest(student(), "fp32")


def test_another_precision_makes_another_student():
    assert len({digest(student(), precision) for precision in ("fp32", "bf16")}) == 2
    assert digest(Student(student().model.bfloat16(), student().tokenizer), "fp32") != digest(student(), "fp32")


def test_the_digest_of_fifty_million_weights_takes_seconds():
    large = student(vocab_size=50_000, n_embd=1024)
    begun = time.process_time()
    digest(large, "fp32")
    assert time.process_time() - begun < 5


def test_a_real_tokenizer_has_a_stable_digest(real_data):
    found = {
        digest(Student(student().model, AutoTokenizer.from_pretrained(real_data / "tokenizers/t5")), "fp32")
        for _ in range(2)
    }
    assert len(found) == 1
