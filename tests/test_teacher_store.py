"""The response store: durable, one writer, bytes that depend on the content only."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from asked import asks, quiet, teacher_at

from lib.asking import answers
from lib.errors import UserError
from lib.teacher import Request, Response
from lib.teacher.store import Store, request_key

MESSAGES = ({"role": "system", "content": "Solve."}, {"role": "user", "content": "Q: 1 + 1?"})
REQUEST = Request(MESSAGES, temperature=0.7, max_tokens=64, sample=0)
GOOD = Response("two", "stop", 3, 1)
CUT = Response("tw", "length", 3, 1)
ROOT = Path(__file__).resolve().parents[1]


def python(*arguments, **settings) -> subprocess.CompletedProcess:
    """Another Python process in the repository."""
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT, **settings)


def key(number: int) -> str:
    return request_key("t", replace(REQUEST, sample=number))


def rows(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# -- keys ----------------------------------------------------------------------------------------


def changed(**message) -> Request:
    return replace(REQUEST, messages=({**MESSAGES[0], **message}, MESSAGES[1]))


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, temperature=0.8),
        replace(REQUEST, max_tokens=65),
        replace(REQUEST, sample=1),
        changed(content="Solve!"),
        changed(role="user"),
        replace(REQUEST, messages=MESSAGES[1:]),
        replace(REQUEST, messages=(*MESSAGES[:1], {"role": "assistant", "content": "x"}, MESSAGES[1])),
    ],
)
def test_key_changes_with_whatever_changes_the_answer(other):
    assert request_key("t", other) != request_key("t", REQUEST)


def test_key_changes_with_the_teacher_and_is_the_same_in_every_process():
    assert request_key("u", REQUEST) != request_key("t", REQUEST)
    code = "import sys; sys.path.append('tests'); from test_teacher_store import *; print(request_key('t', REQUEST))"
    other = python("-c", code, check=True, env={**os.environ, "PYTHONHASHSEED": "7"})
    assert other.stdout.strip() == request_key("t", REQUEST)


def test_keys_stay_what_they_are():
    """With another key for the same request, all that was ever paid for would be asked for again."""
    assert request_key("t", REQUEST) == "5c29d6ffc653f94475f6f51575d0a5e2cf5e3d6118038fa0b9b147e23a2bf5fa"


def test_key_ignores_how_the_same_request_is_written():
    same = Request(tuple(dict(reversed(m.items())) for m in MESSAGES), temperature=0.7, max_tokens=64, sample=0)
    assert request_key("t", same) == request_key("t", REQUEST)
    assert request_key("t", replace(REQUEST, temperature=1)) == request_key("t", replace(REQUEST, temperature=1.0))


def test_key_follows_a_message_that_was_changed_in_place():
    message = {"role": "system", "content": "Solve."}
    request = replace(REQUEST, messages=(message, MESSAGES[1]))
    before = request_key("t", request)
    message["content"] = "Solve!"
    assert request_key("t", request) != before


def test_keys_of_a_shared_prompt_are_cheap():
    shots = tuple({"role": "user", "content": "exemplar " * 60} for _ in range(11))
    asked = [Request((*shots, {"role": "user", "content": f"Q: {i}?"}), 0.7, 64, 0) for i in range(50_000)]
    start = time.perf_counter()
    assert len({request_key("t", request) for request in asked}) == 50_000
    assert time.perf_counter() - start < 3  # about 0.5 s on an idle core


# -- reading and writing -------------------------------------------------------------------------


def test_what_is_put_is_there_at_once_and_later(tmp_path):
    path = tmp_path / "deep" / "store.jsonl"
    with Store(path) as store:
        assert store.get(key(0)) is None
        store.put(key(0), GOOD)
        assert store.get(key(0)) == GOOD
        assert rows(path) == [
            {"key": key(0), "text": "two", "finish_reason": "stop", "prompt_tokens": 3, "completion_tokens": 1,
             "attempts": 1}
        ]  # fmt: skip
    with Store(path) as store:
        assert (store.get(key(0)), len(store), store.repaired) == (GOOD, 1, 0)


@pytest.mark.parametrize("text", ["", "two\nlines", "\u2028 é \ud83d", 'quo"te', "x" * 1_000_000])
def test_any_text_comes_back_as_it_was(tmp_path, text):
    response = Response(text, "stop", 0, 0)
    with Store(tmp_path / "s.jsonl") as store:
        store.put(key(0), response)
    with Store(tmp_path / "s.jsonl") as store:
        assert store.get(key(0)) == response


def test_a_failure_is_a_row_and_a_later_success_replaces_it_for_good(tmp_path):
    path = tmp_path / "s.jsonl"
    with Store(path) as store:
        store.put(key(0), CUT)
        store.put(key(1), CUT)
        store.put(key(0), GOOD)
        assert store.get(key(0)).text == GOOD.text
        store.put(key(0), CUT)
        assert store.get(key(0)).text == GOOD.text
        store.compact()
    assert sorted(row["finish_reason"] for row in rows(path)) == ["length", "stop"]
    with Store(path) as store:
        assert (store.get(key(0)).failure, store.get(key(1))) == (None, CUT)


def test_all_attempts_at_a_request_are_paid_for(tmp_path):
    """Before and after compaction, and with more attempts after it."""
    path = tmp_path / "s.jsonl"
    sums = Response("two", "stop", CUT.prompt_tokens + GOOD.prompt_tokens,
                    CUT.completion_tokens + GOOD.completion_tokens, attempts=2)  # fmt: skip
    with Store(path) as store:
        store.put(key(0), CUT)
        store.put(key(0), GOOD)
        assert store.get(key(0)) == sums
    with Store(path) as store:
        assert store.get(key(0)) == sums
        store.compact()
    with Store(path) as store:
        store.put(key(0), CUT)
        assert store.get(key(0)).attempts == 3


@pytest.mark.parametrize(
    ("finish_reason", "attempts"),
    [
        ("stop", 1), ("length", 1), ("content_filter", 1), ("rejected: HTTP 400", 1), ("", 1),
        ("error: HTTP 500", 0), ("not recorded", 0),
    ],
)  # fmt: skip
def test_a_store_from_before_attempts_were_counted_is_read(tmp_path, finish_reason, attempts):
    """A call that failed on the way had no answer, so it takes none of the attempts that are left."""
    path = tmp_path / "s.jsonl"
    row = {"key": key(0), "text": "two", "finish_reason": finish_reason, "prompt_tokens": 3, "completion_tokens": 1}
    path.write_text(json.dumps(row) + "\n")
    with Store(path) as store:
        assert store.get(key(0)) == Response("two", finish_reason, 3, 1, attempts)
        store.put(key(0), GOOD)
        assert store.get(key(0)).attempts == attempts + 1


def test_compaction_makes_equal_content_equal_bytes(tmp_path):
    content = [(key(i), Response(f"text {i}", "stop", i, i)) for i in range(50)] + [(key(99), CUT)]
    written = set()
    for seed in range(3):
        path = tmp_path / f"{seed}.jsonl"
        with Store(path) as store:
            for k, response in random.Random(seed).sample(content, len(content)):
                store.put(k, CUT)
                store.put(k, response)
            store.compact()
        written.add(path.read_bytes())
    assert len(written) == 1
    assert [row["key"] for row in rows(path)] == sorted(k for k, _ in content)


def test_the_store_goes_on_after_compaction(tmp_path):
    with Store(tmp_path / "s.jsonl") as store:
        store.put(key(0), GOOD)
        store.compact()
        store.put(key(1), GOOD)
    with Store(tmp_path / "s.jsonl") as store:
        assert len(store) == 2
    assert {p.name for p in tmp_path.iterdir()} == {"s.jsonl", "s.jsonl.lock"}


def test_earlier_stores_are_read_through_and_left_alone(tmp_path):
    with Store(tmp_path / "one.jsonl") as one:
        one.put(key(0), GOOD)
        one.put(key(1), CUT)
        before = (tmp_path / "one.jsonl").read_bytes()
        with Store(tmp_path / "two.jsonl", reads=[tmp_path / "one.jsonl", tmp_path / "absent.jsonl"]) as two:
            two.put(key(1), GOOD)
            two.put(key(0), CUT)
            assert (two.get(key(0)), two.get(key(1))) == (GOOD, GOOD)
            two.compact()
            assert len(two) == 2
    assert (tmp_path / "one.jsonl").read_bytes() == before


# -- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [1, 20, -1])
def test_a_torn_last_line_is_cut_off_and_counted(tmp_path, keep):
    path = tmp_path / "s.jsonl"
    with Store(path) as store:
        store.put(key(0), GOOD)
        whole = path.read_bytes()
        store.put(key(1), GOOD)
    torn = path.read_bytes()[len(whole) :][:keep]
    path.write_bytes(whole + torn)
    with Store(path) as store:
        assert (store.repaired, len(store)) == (1, 1)
        store.put(key(2), GOOD)
    with Store(path) as store:
        assert (store.repaired, len(store), store.get(key(2))) == (0, 2, GOOD)


def test_a_store_that_is_nothing_but_a_torn_line(tmp_path):
    (tmp_path / "s.jsonl").write_bytes(b"\0" * 200_000)
    with Store(tmp_path / "s.jsonl") as store:
        assert (store.repaired, len(store)) == (1, 0)


def short(file: int, line: bytes, write=os.write) -> int:
    """os.write on a disk with room for ten bytes more."""
    return write(file, line[:10])


def full(file: int, line: bytes) -> int:
    """os.write on a disk without room."""
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("write", "why"), [(short, "written only in part; is the disk full"), (full, "No space left on device")]
)
def test_a_response_that_does_not_fit_leaves_the_store_as_it_was(tmp_path, monkeypatch, write, why):
    path = tmp_path / "s.jsonl"
    with Store(path) as store:
        store.put(key(0), GOOD)
        whole = path.read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", write)
            for _ in range(2):
                with pytest.raises(UserError, match=rf"s\.jsonl: a response could not be stored: {why}"):
                    store.put(key(1), GOOD)
        assert (path.read_bytes(), store.get(key(1)), len(store)) == (whole, None, 1)
        store.put(key(2), GOOD)
    with Store(path) as store:
        assert (store.repaired, len(store), store.get(key(2))) == (0, 2, GOOD)


def test_half_a_line_that_cannot_be_taken_back_is_the_last_thing_written(tmp_path, monkeypatch):
    path = tmp_path / "s.jsonl"
    with Store(path) as store:
        store.put(key(0), GOOD)
        whole = path.read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", short)
            patch.setattr(os, "ftruncate", full)
            with pytest.raises(UserError, match=r"s\.jsonl: a response could not be stored"):
                store.put(key(1), GOOD)
        for refused in (lambda: store.put(key(2), GOOD), store.compact):
            with pytest.raises(UserError, match=r"s\.jsonl: ends in half a line, nothing can be added"):
                refused()
        assert len(path.read_bytes()) == len(whole) + 10
    with Store(path) as store:
        assert (store.repaired, len(store), store.get(key(0))) == (1, 1, GOOD)
        assert path.read_bytes() == whole


def test_nothing_is_written_after_the_end(tmp_path):
    """The number of the store's descriptor is another file's by then."""
    with Store(tmp_path / "s.jsonl") as store:
        store.put(key(0), GOOD)
    whole = (tmp_path / "s.jsonl").read_bytes()
    others = [(tmp_path / f"other {i}").open("wb", buffering=0) for i in range(3)]
    for refused in (lambda: store.put(key(1), GOOD), store.compact):
        with pytest.raises(UserError, match=r"s\.jsonl: the store is closed"):
            refused()
    store.close()
    for other in others:
        other.write(b"still open")
        other.close()
        assert Path(other.name).read_bytes() == b"still open"
    assert ((tmp_path / "s.jsonl").read_bytes(), store.get(key(0)), store.get(key(1))) == (whole, GOOD, None)


def test_compaction_loses_nothing_that_another_thread_stores_meanwhile(tmp_path):
    path = tmp_path / "s.jsonl"
    with Store(path) as store:

        def deliver() -> None:
            for i in range(300):
                store.put(f"{i:064d}", GOOD)

        thread = threading.Thread(target=deliver)
        thread.start()
        while thread.is_alive():
            store.compact()
        thread.join()
    with Store(path) as store:
        assert (len(store), store.repaired) == (300, 0)


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        "{}",
        "7",
        '"attempts"',
        '{"key": "k", "text": "", "finish_reason": null, "prompt_tokens": 0, "completion_tokens": 0}',
        '{"key": "k", "text": null, "finish_reason": "stop", "prompt_tokens": 0, "completion_tokens": 0}',
    ],
)
def test_a_corrupt_line_is_named(tmp_path, line):
    path = tmp_path / "s.jsonl"
    with Store(path) as store:
        store.put(key(0), GOOD)
    path.write_text(path.read_text() + line + "\n" + path.read_text())
    with pytest.raises(UserError, match=r"s\.jsonl:2: not a stored response .*fields: key, text"):
        Store(path)
    # The refusal lets go of the lock.
    path.write_text("")
    Store(path).close()


def test_a_second_writer_is_refused_at_once_and_told_who_writes(tmp_path):
    code = f"from lib.teacher.store import Store; Store({str(tmp_path / 's.jsonl')!r})"
    with Store(tmp_path / "s.jsonl") as store:
        store.put(key(0), GOOD)
        with pytest.raises(UserError, match=rf"s\.jsonl: another writer, process {os.getpid()}, is at work"):
            Store(tmp_path / "s.jsonl")
        other = python("-c", code)
        assert other.returncode == 1 and f"process {os.getpid()}" in other.stderr
        store.compact()
        assert python("-c", code).returncode == 1
    assert python("-c", code).returncode == 0


WRITER = """
import sys
from lib.teacher import Response
from lib.teacher.store import Store
store = Store(sys.argv[1])
for i in range(10**9):
    store.put(f"{i:064d}", Response("text " * 40, "stop", 1, 1))
    print(i, flush=True)
"""


def test_kill_9_loses_only_what_was_in_flight(tmp_path):
    path = tmp_path / "s.jsonl"
    for _ in range(3):
        command = [sys.executable, "-c", WRITER, str(path)]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        reported = [int(writer.stdout.readline()) for _ in range(200)]
        writer.send_signal(signal.SIGKILL)
        reported += [int(line) for line in writer.stdout.read().splitlines() if line.strip()]
        writer.wait()
        with Store(path) as store:
            assert all(store.get(f"{i:064d}") is not None for i in reported)
            assert len(store) <= max(reported) + 2  # at most one more than was reported
        path.unlink()


def test_sixty_thousand_puts_are_fast(tmp_path):
    with Store(tmp_path / "s.jsonl") as store:
        start = time.perf_counter()
        for i in range(60_000):
            store.put(f"{i:064d}", GOOD)
        assert time.perf_counter() - start < 6  # about 1 s on an idle core


def test_twenty_thousand_replays_take_half_a_second_and_no_service(tmp_path):
    """As a stage replays them; nobody listens where this teacher would ask. With full prompts: test_benchmarks."""
    teacher, given = teacher_at("http://127.0.0.1:9/v1"), asks(4000, samples=5)
    with Store(tmp_path / "s.jsonl") as store:
        for ask in given:
            store.put(request_key(teacher.identity, ask.request), GOOD)
        seconds = []
        for _ in range(3):  # the best of them: others use the machine as well
            start = time.perf_counter()
            responses, usage = answers(given, teacher, store, "rationales", quiet)
            seconds.append(time.perf_counter() - start)
            assert (responses, usage.sent, usage.replayed) == ([GOOD] * 20_000, 0, 20_000)
    assert min(seconds) < 0.5, seconds  # about 0.2 s on an idle core
