"""The Batch API: upload, poll, collect; find one's own batches again; what failed is sent again or told."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from asked import PRICE, asks, complete, pending, quiet, request, requests, stored, teacher_at
from loopback import Server, serve

from lib.asking import answers
from lib.errors import UserError
from lib.teacher import Response, batch, batch_service
from lib.teacher.batch import BatchTeacher
from lib.teacher.openai import OpenAITeacher
from lib.teacher.store import Store
from lib.teacher.terms import Budget, Terms

ROOT = Path(__file__).resolve().parents[1]
KEY = "sk-marked-0123456789abcdefghij"
MOST = 9e-6 + 64e-5  # money that is set aside for a call of `request`, at PRICE; it costs 1e-4 + 2e-4


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("TEACHER_TEST_KEY", raising=False)


def batch_at(server, **changes) -> BatchTeacher:
    return teacher_at(server, BatchTeacher, **{"poll": 0.02, **changes})


def counts(server: Server) -> tuple[int, int, int]:
    """Batches made, lines answered, live calls."""
    seen = server.stats()
    return seen.get("batches", 0), seen.get("answered", 0), seen.get("requests", 0)


def failures(responses: list[Response]) -> Counter:
    return Counter(response.failure for response in responses)


# -- there and back ------------------------------------------------------------------------------


def test_upload_wait_collect():
    with serve(batch_looks=3) as server:
        batched = complete(batch_at(server), requests(20))
        assert counts(server) == (1, 20, 0)
        live = complete(teacher_at(server), requests(20))
    assert batched == live  # the same bodies, so the same answers
    assert failures(batched) == {None: 20}


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_the_lines_are_the_bodies_of_live_calls(api):
    with serve() as server:
        teacher = batch_at(server, api=api, parameters={"top_p": 0.9})
        assert failures(complete(teacher, requests(2))) == {None: 2}
        complete(teacher_at(server, api=api, parameters={"top_p": 0.9}), requests(1))
        assert server.stats()["last"]["path"] == {"chat": "/v1/chat/completions"}.get(api, "/v1/completions")
        [line, _] = (json.loads(row) for row in content_of(server, "file-0").splitlines())
        assert line["body"] == server.stats()["last"]["body"]
        assert (line["method"], line["url"]) == ("POST", server.stats()["last"]["path"])


def content_of(server: Server, file_id: str) -> str:
    with urllib.request.urlopen(f"{server.url}/files/{file_id}/content") as found:
        return found.read().decode()


def test_nothing_to_ask_opens_no_connection():
    complete(batch_at("http://127.0.0.1:1/v1"), [])


def test_live_and_batch_share_their_keys(tmp_path):
    """What was answered live is not sent in a batch, and the other way round."""
    with serve() as server, Store(tmp_path / "s.jsonl") as store:
        assert BatchTeacher.__mro__[1] is OpenAITeacher
        answers(asks(5), teacher_at(server), store, "rationales", quiet)
        answers(asks(12), batch_at(server), store, "rationales", quiet)
        assert counts(server) == (1, 12, 5)
        answers(asks(14), teacher_at(server), store, "rationales", quiet)
        assert counts(server) == (1, 14, 7)
    assert len(stored(tmp_path / "s.jsonl")) == 14


def test_text_with_line_ends_of_all_kinds_comes_back_whole():
    """A batch's file is cut at newlines, not inside an answer."""
    text = "one\u2028two\u2029three\x85four\x0cfive\r\nsix 7."
    with serve(answer=text) as server:
        assert [response.text for response in complete(batch_at(server), requests(3))] == [text] * 3


def test_several_samples_of_one_prompt_are_several_lines():
    with serve() as server:
        complete(batch_at(server), [request(1, sample) for sample in range(4)])
        assert counts(server) == (1, 4, 0)
        assert list(server.stats()["by_body"].values()) == [4]


# -- sizes ---------------------------------------------------------------------------------------


def test_the_limits_are_the_services():
    assert (batch.LINES, batch.BYTES) == (50_000, 100_000_000)


def test_more_lines_than_a_batch_takes_are_several_batches(monkeypatch):
    monkeypatch.setattr(batch, "LINES", 8)
    with serve() as server:
        complete(batch_at(server), requests(20))
        assert counts(server) == (3, 20, 0) and server.stats()["most lines"] == 8


def test_more_bytes_than_a_batch_takes_are_several_batches(monkeypatch):
    monkeypatch.setattr(batch, "BYTES", 1000)  # a line of these takes about 300
    with serve() as server:
        complete(batch_at(server), requests(12))
        sizes = [len(content_of(server, f"file-{number}")) for number in range(2)]
        assert counts(server)[:2] == (4, 12) and max(sizes) <= 1000


def test_a_line_larger_than_a_batch_is_sent_alone(monkeypatch):
    monkeypatch.setattr(batch, "BYTES", 10)
    with serve() as server:
        complete(batch_at(server), requests(2))
        assert counts(server)[:2] == (2, 2)


def test_a_batch_too_large_for_the_queue_is_halved():
    with serve(queue=6) as server:
        assert failures(complete(batch_at(server, attempts=1), requests(20))) == {None: 20}
        made, answered, _ = counts(server)
    assert answered == 20 and made == 1 + 1 + 4  # 20; 10; 5, 5, 5, 5


def test_a_queue_for_all_batches_together_is_filled_one_by_one():
    """Refused with nothing else under way, a batch is halved; what fits goes one after the other."""
    with serve(queue_total=30) as server:
        assert failures(complete(batch_at(server, attempts=1), requests(200))) == {None: 200}
        assert counts(server) == (11, 200, 0)  # 200; 100; 50; 8 times 25
        assert server.stats()["refused"] == 3


def test_what_the_queue_has_no_room_for_waits_until_another_batch_has_ended(monkeypatch):
    """It is not halved then: three batches at a time do fit."""
    monkeypatch.setattr(batch, "LINES", 10)
    with serve(queue_total=30, batch_looks=4) as server:
        assert failures(complete(batch_at(server, attempts=1), requests(90))) == {None: 90}
        assert counts(server) == (9 + 6, 90, 0)
        assert server.stats()["refused"] == 6  # the last six of the nine that were sent at first


def test_a_single_line_too_large_for_the_queue_stops_the_run():
    with serve(queue=-1) as server, pytest.raises(UserError, match="failed: token_limit_exceeded: Enqueued"):
        complete(batch_at(server), requests(4))


def test_a_batch_that_fails_as_a_whole_stops_the_run():
    with serve(batch_end="failed") as server:
        with pytest.raises(UserError, match=r"teacher m: batch batch-0 failed: invalid_request: scripted"):
            complete(batch_at(server), requests(4))
        assert counts(server)[0] == 1


# -- failures of single lines --------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["500", "429", "503", "expired"])
def test_lines_that_failed_are_sent_again(fault):
    with serve(faults={fault: 0.3}) as server:
        assert failures(complete(batch_at(server), requests(40))) == {None: 40}
        seen = server.stats()
    assert seen["batches"] == 2 and seen["answered"] == 40  # only the failed lines are in the second
    assert Counter(seen["by_body"].values()).keys() == {1, 2}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("500", "error: batch: HTTP 500: scripted: Bearer none"), ("expired", "error: batch: expired")],
)
def test_lines_that_fail_for_good_were_sent_as_often_as_allowed_and_say_why(fault, reason):
    with serve(faults={fault: 1.0}, always=True) as server:
        responses = complete(batch_at(server, attempts=3), requests(4))
        assert failures(responses) == {reason: 4} and counts(server) == (3, 0, 0)
    assert {(response.attempts, response.unusable) for response in responses} == {(0, False)}


def test_a_rejected_line_is_recorded_and_not_sent_again():
    with serve(faults={"400": 0.2}) as server:
        responses = complete(batch_at(server), requests(30))
        assert counts(server)[0] == 1
    rejected = [response for response in responses if response.failure]
    assert failures(rejected) == {"rejected: HTTP 400 server_error": len(rejected)} and rejected
    assert all(response.unusable for response in rejected)


@pytest.mark.parametrize("count", [1, 2])
def test_few_prompts_that_are_all_rejected_are_recorded(count):
    with serve(faults={"400": 1.0}, always=True) as server:
        responses = complete(batch_at(server), requests(count) + [request(0, sample) for sample in range(1, 4)])
        assert failures(responses) == {"rejected: HTTP 400 server_error": count + 3} and counts(server) == (1, 0, 0)


def test_if_the_first_lines_are_all_rejected_the_run_stops(tmp_path):
    """Nothing is recorded, and what was rejected is sent anew by the next run."""
    with serve(faults={"400": 1.0}) as server, Store(tmp_path / "s.jsonl") as store:
        with pytest.raises(UserError, match="first lines were all rejected: HTTP 400 server_error: scripted: Bearer"):
            answers(asks(3), batch_at(server), store, "rationales", quiet)
        assert counts(server) == (1, 0, 0) and len(store) == 0
        responses, _ = answers(asks(3), batch_at(server), store, "rationales", quiet)
        assert failures(responses) == {None: 3} and counts(server) == (2, 3, 0)


def test_rejections_of_an_earlier_batch_count_beside_its_answers(tmp_path):
    with serve(faults={"400": 0.2}) as server:
        first = complete(batch_at(server), requests(30))
        assert complete(batch_at(server), requests(30)) == first and counts(server)[0] == 1
        assert 0 < sum(response.unusable for response in first) < 30


@pytest.mark.parametrize(
    ("status", "code", "why"),
    [
        ("401", None, "the key is not accepted"), ("402", None, "the quota is exhausted"),
        ("404", None, "unknown model or address"), ("429", "insufficient_quota", "the quota is exhausted"),
        ("400", "insufficient_quota", "the quota is exhausted"),
    ],
)  # fmt: skip
def test_lines_that_fail_as_all_would_stop_the_run_after_the_good_ones(status, code, why, tmp_path):
    """Nothing is burnt: the next run takes no notice of the old failures, and sends these lines anew."""
    with serve(faults={status: 0.5}, **({"code": code} if code else {})) as server, Store(tmp_path / "s") as store:
        with pytest.raises(UserError, match=rf"teacher m: {why} \(HTTP {status}: scripted.*all answers so far"):
            answers(asks(20), batch_at(server), store, "rationales", quiet)
        made, answered, _ = counts(server)
        assert made == 1 and 0 < answered == len(store) < 20
        responses, _ = answers(asks(20), batch_at(server), store, "rationales", quiet)
        assert failures(responses) == {None: 20} and counts(server) == (2, 20, 0)


def test_a_403_among_answers_is_about_one_prompt_and_one_without_any_stops():
    with serve(faults={"403": 0.5}) as server:
        assert failures(complete(batch_at(server), requests(20))).keys() == {None, "rejected: HTTP 403 server_error"}
    with serve(faults={"403": 1.0}) as server, pytest.raises(UserError, match="access is denied"):
        complete(batch_at(server), requests(20))


def test_what_a_batch_answered_before_it_expired_is_kept():
    with serve(batch_end="expired", faults={"expired": 0.5}) as server:
        assert failures(complete(batch_at(server), requests(20))) == {None: 20}
        assert server.stats()["answered"] == 20


def test_a_cancelled_batch_is_collected_and_stops_the_run_and_the_next_run_goes_on(tmp_path):
    with serve(batch_end="cancelled", faults={"expired": 0.5}) as server, Store(tmp_path / "s.jsonl") as store:
        with pytest.raises(UserError, match=r"batch-0 was cancelled with \d+ requests unanswered.*run again to send"):
            answers(asks(20), batch_at(server), store, "rationales", quiet)
        made, answered, _ = counts(server)
        assert made == 1 and 0 < answered == len(store) < 20
        responses, _ = answers(asks(20), batch_at(server), store, "rationales", quiet)
        assert failures(responses) == {None: 20} and counts(server) == (2, 20, 0)


def test_a_batch_that_is_being_cancelled_when_a_run_begins_does_not_stop_it():
    with serve(stumbles={"look": ["404"]}, faults={"expired": 0.5}) as server:
        leave_under_way(server, requests(20))
        server.post("/batches/batch-0/cancel", {})
        assert failures(complete(batch_at(server, attempts=1), requests(20))) == {None: 20}
        assert counts(server) == (2, 20, 0)


def leave_under_way(server: Server, asked: list, terms: Terms | None = None) -> None:
    """A run that makes its batches and ends at the first look at one, which has to be scripted as 404."""
    with pytest.raises(UserError, match="unknown model or address"):
        complete(batch_at(server, terms=terms), asked)


@pytest.mark.parametrize(
    "line",
    [
        b"", b"not json", b"[]", b"7", b"null", b"{}", b'{"custom_id": {}}', b"[" * 5000 + b"]" * 5000,
        b'{"custom_id": "unknown", "response": {"status_code": 200, "body": {}}}', b"\xff\xfe",
    ],
    ids=range(10),
)  # fmt: skip
def test_a_line_that_is_no_answer_harms_nobody(monkeypatch, line):
    """It stands before the others in the files of the batch; what it might have answered is asked again."""
    original = batch.openai.resources.AsyncFiles.content

    async def content(self, file_id: str):
        found = await original(self, file_id)
        found.response._content = line + b"\n" + found.content
        return found

    monkeypatch.setattr(batch.openai.resources.AsyncFiles, "content", content)
    with serve() as server:
        assert failures(complete(batch_at(server), requests(3))) == {None: 3}
        assert counts(server) == (1, 3, 0)


ODD = [None, 7, "text", [], {}, {"status_code": 200}, {"status_code": 200, "body": "text"}, {"status_code": "200"},
       {"status_code": None, "body": None}, {"status_code": 200, "body": {"choices": []}}]  # fmt: skip


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_an_odd_response_counts_as_none(odd):
    got = {}
    teacher = batch_at("http://127.0.0.1:1/v1", attempts=1)
    items = pending(teacher, requests(1))
    run = batch._Batches(teacher, None, items, got.__setitem__, Budget(Terms()))
    [line_id] = run.waiting
    why, stop = run._take([{"custom_id": line_id, "response": odd, "error": None}], earlier=False)
    assert got == {} and list(run.waiting) == [line_id] and stop is None
    run._lost(line_id, why[line_id])
    [failure] = [response.failure for response in got.values()]
    assert failure.startswith("error: batch: no answer")


# -- starting again ------------------------------------------------------------------------------

SCRIPT = """
import sys
from asked import asks, quiet, teacher_at
from lib.asking import answers
from lib.teacher.batch import BatchTeacher
from lib.teacher.store import Store

url, path, count = sys.argv[1:]
with Store(path) as store:
    answers(asks(int(count)), teacher_at(url, BatchTeacher, poll=0.1), store, "rationales", quiet)
    print("done", flush=True)
"""


def start(server: Server, path: Path, count: int) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    command = [sys.executable, "-c", SCRIPT, server.url, str(path), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_killed_between_creation_and_collection_it_finds_its_batch_again(tmp_path):
    """Once while the batch is under way, and once more; the process that collects has made no batch."""
    with serve(batch_looks=1_000_000) as server:
        process = start(server, tmp_path / "s.jsonl", 10)
        while not counts(server)[0]:
            time.sleep(0.02)
        process.kill()
        assert process.communicate()[0] == ""
        [(name, looks)] = server.batches().items()
        process = start(server, tmp_path / "s.jsonl", 10)
        while server.batches()[name] < looks + 3:  # it waits for it
            time.sleep(0.02)
        server.end_batches()
        assert process.communicate(timeout=20)[0] == "done\n"
        assert counts(server) == (1, 10, 0)
    assert failures(stored(tmp_path / "s.jsonl")) == {None: 10}


def test_an_ended_batch_of_an_earlier_run_is_collected():
    """Made and ended while nobody looked: what is still missing of it is taken, and nothing else is sent."""
    with serve() as server:
        complete(batch_at(server), requests(20))
        again = complete(batch_at(server, concurrency=3, timeout=9.0), requests(15))
        assert failures(again) == {None: 15} and counts(server) == (1, 20, 0)
        complete(batch_at(server), requests(23))
        assert counts(server) == (2, 23, 0)


def test_many_batches_are_all_looked_through(monkeypatch):
    """The service lists them two at a time."""
    monkeypatch.setattr(batch, "LINES", 2)
    with serve() as server:
        complete(batch_at(server), requests(10))
        complete(batch_at(server), requests(10))
        assert counts(server) == (5, 10, 0)


@pytest.mark.parametrize("change", [{"model": "n"}, {"parameters": {"top_p": 0.5}}])
def test_batches_of_another_teacher_are_left_alone(change):
    with serve() as server:
        complete(batch_at(server), requests(5))
        downloads = server.stats()["downloads"]
        complete(batch_at(server, **change), requests(5))
        assert counts(server) == (2, 10, 0)
        assert server.stats()["downloads"] == downloads + 1  # its own output, and nothing of the other's


def test_an_earlier_batch_whose_answers_are_gone_is_asked_again():
    """A service deletes its files some day, and their owner may."""
    with serve() as server:
        complete(batch_at(server), requests(5))
        server.delete("file-1")
        assert failures(complete(batch_at(server), requests(5))) == {None: 5}
        assert counts(server) == (2, 10, 0)


def test_of_a_batch_under_way_whose_input_is_gone_the_lines_are_not_known():
    with serve(stumbles={"look": ["404"]}) as server:
        leave_under_way(server, requests(5))
        server.delete("file-0")
        assert failures(complete(batch_at(server), requests(5))) == {None: 5}
        assert counts(server) == (2, 10, 0)


def test_batches_older_than_their_files_are_not_downloaded(monkeypatch):
    assert batch_service.KEPT == 31 * 24 * 3600
    with serve() as server:
        complete(batch_at(server), requests(5))
        monkeypatch.setattr(batch_service, "KEPT", -60.0)
        complete(batch_at(server), requests(5))
        assert counts(server) == (2, 10, 0) and server.stats()["downloads"] == 2


def test_batches_of_another_stage_or_attempt_are_not_downloaded():
    """By the kinds in their metadata; a batch without kinds may hold anything."""
    with serve() as server:
        teacher = batch_at(server)
        complete(teacher, requests(5))
        longer = [replace(one, max_tokens=65) for one in requests(5)]
        complete(teacher, longer)
        again = [replace(item, attempts=1) for item in pending(teacher, requests(5))]
        teacher.complete_all(again, lambda key, response: None)
        assert counts(server) == (3, 15, 0) and server.stats()["downloads"] == 3
        complete(teacher, longer)
        assert counts(server) == (3, 15, 0) and server.stats()["downloads"] == 4


def test_requests_of_too_many_kinds_are_found_all_the_same():
    asked = [replace(one, max_tokens=number + 1) for number, one in enumerate(requests(51))]
    with serve() as server:
        for _ in range(2):
            assert failures(complete(batch_at(server), asked)) == {None: 51}
        assert counts(server) == (1, 51, 0)
        [made] = listed(server)
        assert made["metadata"].keys() == {"made_by", "teacher"}


def test_the_metadata_is_what_a_service_takes():
    asked = [replace(one, max_tokens=number + 1) for number, one in enumerate(requests(50))]
    with serve() as server:
        complete(batch_at(server), asked)
        [made] = listed(server)
        assert len(made["metadata"]["kinds"].split()) == 50
        assert all(len(name) <= 64 and len(value) <= 512 for name, value in made["metadata"].items())


def listed(server: Server) -> list[dict]:
    """The newest batches."""
    with urllib.request.urlopen(f"{server.url}/batches") as found:
        return json.loads(found.read())["data"]


def test_a_line_that_two_batches_hold_is_waited_for_and_counted_once():
    """The budget has room for fifteen lines, ten of which are under way twice."""
    terms = Terms(PRICE, budget=15.5 * MOST)
    with serve(stumbles={"look": ["404", "404"]}) as server:
        leave_under_way(server, requests(10))
        [made] = listed(server)
        server.post("/batches", made)
        leave_under_way(server, requests(15), terms)
        assert counts(server)[0] == 3  # the other five went out at once
        responses = complete(batch_at(server, terms=terms), requests(15), Budget(terms))
        assert failures(responses) == {None: 15} and counts(server)[0] == 3


# -- a service that is lost for a while ----------------------------------------------------------


@pytest.mark.parametrize("how", ["drop", "done 503", "done 429"])
def test_a_batch_whose_creation_was_not_answered_is_taken_up(how):
    with serve(stumbles={"create": [how]}) as server:
        assert failures(complete(batch_at(server), requests(10))) == {None: 10}
        assert counts(server) == (1, 10, 0) and server.stats()["uploads"] == 1


@pytest.mark.parametrize("how", ["500", "429"])
def test_a_batch_that_was_not_made_is_made_again(how):
    with serve(stumbles={"create": [how] * 3}) as server:
        assert failures(complete(batch_at(server), requests(10))) == {None: 10}
        assert counts(server) == (1, 10, 0)


def test_a_batch_that_is_never_made_stops_the_run():
    with serve(stumbles={"create": ["500"] * 4}) as server:
        with pytest.raises(UserError, match=r"the service refuses \(HTTP 500\): scripted"):
            complete(batch_at(server, attempts=4), requests(10))
        assert counts(server) == (0, 0, 0)


def test_a_short_outage_is_waited_out_and_told_once(monkeypatch):
    said = []
    monkeypatch.setattr(batch_service, "say", said.append)
    stumbles = {"look": ["drop", "drop", "503", "503", "429", "429"], "download": ["503", "503"]}
    with serve(stumbles=stumbles) as server:  # one retry is the client's own
        assert failures(complete(batch_at(server, attempts=1), requests(5))) == {None: 5}
        assert counts(server) == (1, 5, 0)
    assert said == [f"the service does not answer ({kind}); waiting for it"
                    for kind in ("APIConnectionError", "InternalServerError")]  # fmt: skip


def test_a_long_outage_ends_the_run(monkeypatch):
    assert batch_service.OUTAGE == 6 * 3600
    monkeypatch.setattr(batch_service, "OUTAGE", 0.3)
    with serve(stumbles={"look": ["503"] * 99}) as server, pytest.raises(UserError, match=r"\(HTTP 503\): scripted"):
        complete(batch_at(server, attempts=1), requests(5))


@pytest.mark.parametrize(("status", "why"), [("401", "the key is not accepted"), ("403", "access is denied")])
def test_a_refusal_for_good_is_not_waited_out(status, why):
    with serve(stumbles={"look": [status] * 2}) as server:
        with pytest.raises(UserError, match=why):
            complete(batch_at(server), requests(5))
        assert list(server.batches().values()) == [0]


def test_an_unusable_answer_is_asked_again_and_its_old_batch_not_taken_for_the_new(tmp_path):
    with serve(finish="length") as server, Store(tmp_path / "s.jsonl") as store:
        teacher = batch_at(server, terms=Terms(unusable_retries=2))
        responses, _ = answers(asks(3), teacher, store, "rationales", quiet)
        assert failures(responses) == {"cut off at the length limit": 3}
        assert counts(server) == (3, 9, 0) and {response.attempts for response in responses} == {3}
        answers(asks(3), teacher, store, "rationales", quiet)
        assert counts(server) == (3, 9, 0)


# -- budget --------------------------------------------------------------------------------------


def test_only_what_fits_the_budget_is_sent_and_the_rest_when_it_is_raised(tmp_path):
    """A call costs less than is set aside for it, so that several batches go before the limit is reached."""
    spent = 3e-4
    with serve() as server, Store(tmp_path / "s.jsonl") as store:
        teacher = batch_at(server, terms=Terms(PRICE, budget=10 * MOST))
        with pytest.raises(UserError, match=r"budget: 0.00649 reached.*calls are left"):
            answers(asks(40), teacher, store, "rationales", quiet)
        sent = server.stats()["answered"]
        assert 10 < sent == len(store) and 10 * MOST - MOST < sent * spent <= 10 * MOST
        teacher.terms = Terms(PRICE, budget=40 * spent + MOST)
        _, usage = answers(asks(40), teacher, store, "rationales", quiet)
        assert server.stats()["answered"] == 40 and usage.money == pytest.approx(40 * spent)


def test_answers_of_an_earlier_batch_count_towards_the_budget(tmp_path):
    """They were paid for, though this run did not ask for them."""
    spent, terms = 3e-4, Terms(PRICE, budget=20 * 3e-4 + 5.5 * MOST)
    with serve() as server, Store(tmp_path / "s.jsonl") as store:
        complete(batch_at(server), requests(20))  # the answers are not stored
        with pytest.raises(UserError, match=r"budget: .* reached"):
            answers(asks(60), batch_at(server, terms=terms), store, "rationales", quiet)
        answered = server.stats()["answered"]
        assert 25 <= answered == len(store) and terms.budget - MOST < answered * spent <= terms.budget


def test_a_budget_that_lets_nothing_through_makes_no_batch():
    terms = Terms(PRICE, budget=MOST / 2)
    with serve() as server:
        with pytest.raises(UserError, match=r"budget: .* reached: 0\.0000 spent.* 4 calls are left"):
            complete(batch_at(server, terms=terms), requests(4), Budget(terms))
        assert counts(server) == (0, 0, 0)


# -- errors and secrets --------------------------------------------------------------------------


def test_a_host_that_is_not_there_is_one_line():
    with pytest.raises(UserError, match=r"cannot reach http://127\.0\.0\.1:1/v1: "):
        complete(batch_at("http://127.0.0.1:1/v1", attempts=1), requests(2))


def test_a_service_without_batches_is_one_line(monkeypatch):
    monkeypatch.setattr(batch, "UNDER_WAY", set())
    with serve() as server:
        teacher = batch_at(f"{server.url}/elsewhere")
        with pytest.raises(UserError, match=r"teacher m: unknown model or address \(HTTP 404\): no such path"):
            complete(teacher, requests(2))


def test_the_key_stands_in_no_answer_no_reason_and_no_error(monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("TEACHER_TEST_KEY", KEY)
    with serve(echo=True, faults={"500": 0.3, "400": 0.2}, always=True) as server, Store(tmp_path / "s") as store:
        teacher = batch_at(server, attempts=2)
        teacher.complete_all(pending(teacher, requests(20)), store.put)
        kinds = {store.get(item.key).failure for item in pending(teacher, requests(20))}
        assert kinds == {None, "error: batch: HTTP 500: scripted: Bearer [key]",
                         "rejected: HTTP 400 server_error"}  # fmt: skip
        assert "scripted: Bearer [key]" in {store.get(item.key).text for item in pending(teacher, requests(20))}
    with serve(batch_end="failed") as server, pytest.raises(UserError, match=r"Bearer \[key\]") as caught:
        complete(batch_at(server), requests(2))
    shown = capfd.readouterr()
    for text in ((tmp_path / "s").read_text(), str(caught.value), repr(teacher), shown.out, shown.err):
        assert KEY[:8] not in text and KEY[-8:] not in text
