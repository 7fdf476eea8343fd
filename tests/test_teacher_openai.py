"""The live client against a scripted service: limits, faults, errors that stop, secrets, kill -9."""

import asyncio
import json
import logging
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from email.utils import formatdate
from pathlib import Path

import pytest
from asked import PRICE, complete, pending, request, requests, settings, stored, teacher_at
from hypothesis import given
from hypothesis import strategies as st
from loopback import USAGE, serve

from lib.errors import UserError
from lib.teacher import Response, live, openai, wire
from lib.teacher.openai import OpenAITeacher, in_own_thread
from lib.teacher.store import Store, request_key
from lib.teacher.terms import Budget, Terms

ROOT = Path(__file__).resolve().parents[1]
KEY = "sk-marked-0123456789abcdefghij"
# Half of them pass by the second try, the others are answers, of no use.
FAULTS = ("429", "500", "503", "drop", "stall", "garbage", "no_choices", "empty")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Short back-offs; no proxy between the tests and the service."""
    monkeypatch.setattr(live, "BACKOFF", 0.02)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("TEACHER_TEST_KEY", raising=False)
    random.seed(0)


@pytest.fixture(scope="module")
def plain():
    """A service without faults."""
    with serve(delay=0.01) as server:
        yield server


@pytest.fixture
def marked(monkeypatch) -> str:
    monkeypatch.setenv("TEACHER_TEST_KEY", KEY)
    return KEY


def failures(responses: list[Response]) -> Counter:
    return Counter(response.failure for response in responses)


# -- calls ---------------------------------------------------------------------------------------


def test_every_request_gets_its_answer(plain):
    responses = complete(teacher_at(plain), requests(40))
    assert len({response.text for response in responses}) == 40  # each its own
    assert failures(responses) == {None: 40}
    first = responses[0]
    assert (first.prompt_tokens, first.completion_tokens, first.attempts) == (*list(USAGE.values())[:2], 1)


def test_nothing_to_ask_opens_no_connection_and_needs_no_key():
    teacher = OpenAITeacher(settings(None))
    complete(teacher, [])
    with pytest.raises(UserError, match="no key"):
        complete(teacher, requests(1))


def test_as_many_calls_are_under_way_as_allowed_and_no_more():
    for concurrency in (1, 7):
        with serve(delay=0.03) as server:
            complete(teacher_at(server, concurrency=concurrency), requests(30))
            assert server.stats()["most at once"] == concurrency


def test_it_works_where_an_event_loop_runs_already(plain):
    """As in a notebook's kernel."""

    async def cell() -> list[Response]:
        return complete(teacher_at(plain), requests(3))

    assert failures(asyncio.run(cell())) == {None: 3}


def test_a_base_model_gets_one_text_and_a_chat_model_its_messages(plain):
    teacher = teacher_at(plain, api="completions", parameters={"top_p": 0.9, "temperature": None})
    [response] = complete(teacher, [request(7)])
    assert response.failure is None
    assert plain.stats()["last"] == {
        "path": "/v1/completions",
        "body": {"model": "m", "prompt": "Solve.\n\nQ: Tom has 7 pens. How many?\nA:", "stop": ["\nQ:"],
                 "max_tokens": 64, "top_p": 0.9},
    }  # fmt: skip
    complete(teacher_at(plain, parameters={"max_tokens": None, "max_completion_tokens": 99}), [request(7)])
    assert plain.stats()["last"] == {
        "path": "/v1/chat/completions",
        "body": {"model": "m", "messages": list(request(7).messages), "temperature": 0.7, "max_completion_tokens": 99},
    }


def test_the_most_that_a_call_can_take():
    """A prompt: two and a half characters a token, and four tokens a message. A completion: the largest limit sent."""
    prompt = 3 + 4 + 12 + 4  # "Solve.", "Q: Tom has 7 pens. How many?"
    for parameters, completion in [({}, 64), ({"max_tokens": 9}, 9), ({"max_completion_tokens": 99}, 99),
                                   ({"max_tokens": None, "max_completion_tokens": 9}, 9)]:  # fmt: skip
        teacher = teacher_at("http://host/v1", parameters=parameters)
        assert teacher.most(request(7)) == (prompt, completion)
        assert teacher.expected(request(7)) == 2 + 7 + completion


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n": 5}, "'n' is not allowed there; set generate.rationales"),
        ({"model": "other"}, "'model' is not allowed there; set teacher.openai.model"),
        ({"stream": True}, "'stream' is not allowed there"),
        ({"seed": 1}, "'seed' is not allowed there; set nothing: with one seed all samples"),
        ({"max_tokens": None}, "max_tokens: null leaves no limit; give max_completion_tokens"),
    ],
)
def test_parameters_that_would_break_the_engine_are_refused(parameters, message):
    with pytest.raises(UserError, match=message):
        teacher_at("http://host/v1", parameters=parameters)


IDENTITY = {"model": "n", "base_url": "http://other/v1", "api": "completions", "parameters": {"top_p": 0.9}}
NO_IDENTITY = {"concurrency": 3, "timeout": 1.0, "attempts": 2, "poll": 9.0, "requests_per_minute": 5,
               "tokens_per_minute": 5, "key_variable": "OTHER"}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [*IDENTITY.items(), *NO_IDENTITY.items()])
def test_what_changes_the_answer_changes_the_key_and_nothing_else_does(name, value):
    before, after = settings("http://host/v1"), settings("http://host/v1").model_copy(update={name: value})
    keys = [request_key(OpenAITeacher(each).identity, request(1)) for each in (before, after)]
    assert (keys[0] != keys[1]) == (name in IDENTITY)
    assert set(IDENTITY) | set(NO_IDENTITY) == set(type(before).model_fields)


def test_a_teacher_needs_a_model():
    with pytest.raises(UserError, match=r"teacher\.openai\.model: missing"):
        OpenAITeacher(settings("http://host/v1", model=None))


# -- limits --------------------------------------------------------------------------------------


def test_known_limits_are_kept():
    with serve() as server:
        begun = time.monotonic()
        complete(teacher_at(server, requests_per_minute=1200), requests(30))  # 20 a second
        assert 1.3 <= time.monotonic() - begun <= 3
        begun = time.monotonic()
        # 9 + 64 tokens each, 10 a second
        complete(teacher_at(server, tokens_per_minute=73 * 600, model="n"), requests(10))
        assert 0.75 <= time.monotonic() - begun <= 3


def test_retry_after_pauses_all_calls_at_once():
    """Eight calls a window of 1.2 seconds: what is refused does not come back before the window is over."""
    with serve(window=[8, 1.2]) as server:
        assert failures(complete(teacher_at(server, concurrency=8), requests(16))) == {None: 16}
        seen = server.stats()
    gaps = [later - moment for moment, later in zip(seen["times"], seen["times"][1:])]
    assert max(gaps) >= 0.8  # the rest of the window
    assert seen["limited"] <= 8 and seen["requests"] == 16 + seen["limited"]


def hard_limit(count: int, **limit) -> float:
    """Ask so many of a service of whose limit nothing is known; returns the seconds."""
    with serve(delay=0.02, **limit) as server:
        begun = time.monotonic()
        responses = complete(teacher_at(server, concurrency=64), requests(count))
        seconds, seen = time.monotonic() - begun, server.stats()
    assert failures(responses) == {None: count}
    assert seen["answered"] == count and seen["requests"] <= 1.5 * count
    return seconds


def test_a_hard_limit_neither_storms_nor_starves():
    """A minute of one and a half seconds: 500 calls at 200 a minute take three to four and a half of them."""
    assert 3 <= hard_limit(500, window=[200, 1.5]) <= 10


@pytest.mark.slow
@pytest.mark.parametrize("limit", [{"window": [200, 3.0]}, {"bucket": [200 / 3, 20]}, {"bucket": [200 / 3, 200]}])
def test_two_thousand_calls_at_a_hard_limit(limit):
    """A minute of three seconds: at least nine of them. Under the true minute see test_teacher_pacing."""
    assert 26 <= hard_limit(2000, **limit) <= 50


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None), ({"retry-after": "2"}, 2.0), ({"retry-after": "0.5"}, 0.5), ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "250"}, 0.25), ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0), ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None), ({"retry-after": "Mon, 01 Jan 2001 00:00:00 GMT"}, 0.0),
    ],
)  # fmt: skip
def test_how_long_a_service_asks_to_wait(headers, seconds):
    assert wire.retry_after(headers) == seconds


def test_a_date_is_a_time_to_wait_for():
    assert wire.retry_after({"retry-after": formatdate(time.time() + 30, usegmt=True)}) == pytest.approx(30, abs=2)


@pytest.mark.parametrize("hours", [-1, 1, 24 * 365])
def test_a_date_is_by_the_clock_of_the_service(hours):
    """An hour ahead or behind: still thirty seconds, by its own Date."""
    then = int(time.time()) + hours * 3600
    headers = {"date": formatdate(then, usegmt=True), "retry-after": formatdate(then + 30, usegmt=True)}
    assert wire.retry_after(headers) == 30.0
    assert wire.retry_after(headers | {"retry-after": headers["date"]}) == 0.0
    assert wire.retry_after(headers | {"retry-after": "9"}) == 9.0


def test_without_a_readable_date_of_the_service_our_clock_counts():
    for date in ("", "soon", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"):
        headers = {"date": date, "retry-after": formatdate(time.time() + 30, usegmt=True)}
        assert wire.retry_after(headers) == pytest.approx(30, abs=2)


def test_a_date_without_a_zone_is_utc(monkeypatch):
    monkeypatch.setenv("TZ", "Etc/GMT+7")
    time.tzset()
    try:
        headers = {"date": "Mon, 01 Jan 2001 00:00:00 GMT", "retry-after": "Mon, 01 Jan 2001 00:00:30 -0000"}
        assert wire.retry_after(headers) == 30.0
    finally:
        monkeypatch.undo()
        time.tzset()


HEADERS = st.text(max_size=30) | st.from_regex(
    r"\w{3}, \d{1,3} \w{3} \d{1,30} \d\d?:\d\d:\d\d [+-]?\w{1,12}", fullmatch=True
)


@given(HEADERS, HEADERS)
def test_any_header_can_be_read(value, date):
    wait = wire.retry_after({"retry-after": value, "date": date})
    assert wait is None or wait >= 0


def test_a_service_that_asks_for_longer_than_anyone_waits_stops_the_run():
    with serve(faults={"429": 1.0}, retry_after=3600) as server, pytest.raises(UserError, match="3600 s more to wait"):
        complete(teacher_at(server), requests(3))


def test_a_service_that_accepts_nothing_for_long_stops_the_run(monkeypatch):
    monkeypatch.setattr(live, "PATIENCE", 0.3)
    with serve(faults={"429": 1.0}, always=True, retry_after=0.1) as server:
        with pytest.raises(UserError, match=r"no call accepted for \d+ s.*\(HTTP 429\): slow down"):
            complete(teacher_at(server), requests(3))
        assert server.stats()["requests"] < 40


# -- faults --------------------------------------------------------------------------------------


def faulty(count: int, share: float, concurrency: int) -> dict:
    """Ask so many; each kind of fault befalls its share of them at the first attempt."""
    with serve(delay=0.02, faults=dict.fromkeys(FAULTS, share), stall=3.0) as server:
        responses = complete(teacher_at(server, concurrency=concurrency, timeout=1.0), requests(count))
        seen = server.stats()
    assert all(seen[f"fault {name}"] > 0 for name in FAULTS)
    # an empty answer is one: it is asked for again by who called (see test_asking)
    assert failures(responses) == {None: count - seen["fault empty"], "empty response": seen["fault empty"]}
    assert all(response.attempts == 1 for response in responses)
    assert seen["requests"] <= 1.5 * count
    assert len(seen["by_body"]) == count and max(seen["by_body"].values()) <= 2
    return seen


def test_after_faults_of_every_kind_all_is_done_and_nothing_twice():
    faulty(400, 0.05, concurrency=32)


@pytest.mark.slow
def test_after_faults_of_every_kind_two_thousand_are_done():
    faulty(2000, 0.05, concurrency=64)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("500", "error: HTTP 500"), ("drop", "error: connection lost (RemoteProtocolError)"),
        ("stall", "error: no answer within 0.3 s"), ("garbage", "error: the response is not valid JSON"),
        ("no_choices", "error: no answer in the response"),
    ],
)  # fmt: skip
def test_what_fails_for_good_was_tried_as_often_as_allowed_and_says_why(fault, reason):
    with serve(faults={fault: 1.0}, always=True, stall=1.0) as server:
        responses = complete(teacher_at(server, attempts=3, timeout=0.3), requests(4))
        seen = server.stats()
    assert failures(responses) == {reason: 4}
    assert list(seen["by_body"].values()) == [3] * 4
    assert {(r.attempts, r.prompt_tokens, r.unusable) for r in responses} == {(0, 0, False)}


def test_pauses_between_tries_are_drawn_and_grow(monkeypatch):
    monkeypatch.setattr(live, "BACKOFF", 0.1)
    with serve(faults={"500": 1.0}, always=True) as server:
        complete(teacher_at(server, attempts=5), requests(6))
        times = server.stats()["times"]
    late = [moment - times[0] for moment in times]
    # At most 0.1, 0.2, 0.4 and 0.8 seconds: not in step, not longer, not at once.
    assert len(times) == 30 and 0.25 < late[-1] <= 1.5 + 1.0
    assert len({round(moment, 2) for moment in late}) > 12


def test_a_service_that_has_stopped_answering_ends_the_run():
    with serve(faults={"500": 1.0}, always=True) as server:
        with pytest.raises(UserError, match=r"stopped answering; the last 10 calls were given up: HTTP 500"):
            complete(teacher_at(server, attempts=2), requests(200))
        assert server.stats()["requests"] < 2 * (10 + 2 * 16)


def test_calls_given_up_among_answered_ones_do_not_end_the_run():
    with serve(faults={"500": 0.3}, always=True) as server:
        responses = complete(teacher_at(server, attempts=1, concurrency=1), requests(100))
    assert 15 <= failures(responses)["error: HTTP 500"] == 100 - failures(responses)[None]


def test_answers_of_no_use_are_delivered_as_what_they_are():
    kinds = {"length": "cut off at the length limit", "filter": "stopped by the content filter", "refusal": "refused",
             "empty": "empty response"}  # fmt: skip
    for fault, failure in kinds.items():
        with serve(faults={fault: 1.0}, always=True) as server:
            responses = complete(teacher_at(server), requests(3))
            assert server.stats()["requests"] == 3  # they were paid for: it is not the client that asks again
        assert failures(responses) == {failure: 3} and all(response.unusable for response in responses)


# -- prompts that are rejected -------------------------------------------------------------------


def test_one_bad_prompt_fails_alone_however_many_samples_it_has():
    """Even where it comes first, and its rejections arrive before the first answer."""
    asked = [request(0, sample, "BAD {}") for sample in range(20)] + requests(30)
    with serve(reject="BAD", delay=0.1) as server:
        responses = complete(teacher_at(server, concurrency=8), asked)
    assert failures(responses[:20]) == {"rejected: HTTP 400": 20}
    assert {response.text for response in responses[:20]} == {"bad prompt: Bearer none"}
    assert failures(responses[20:]) == {None: 30}


def test_a_few_bad_prompts_faster_than_the_first_answer_fail_alone():
    asked = [request(number, text="BAD {}") for number in range(6)] + requests(30)
    with serve(reject="BAD", delay=0.2) as server:
        responses = complete(teacher_at(server, concurrency=16), asked)
    assert [response.failure is None for response in responses] == [False] * 6 + [True] * 30


def test_where_all_first_prompts_are_rejected_the_settings_are_to_blame():
    with serve(reject="Tom") as server:
        with pytest.raises(UserError, match="the first calls were all rejected: HTTP 400: bad prompt"):
            complete(teacher_at(server), requests(500))
        assert server.stats()["requests"] <= 2 * 16 + 1


def test_a_filtered_prompt_is_no_mistake_in_the_settings():
    with serve(reject="Tom", code="content_filter") as server:
        assert failures(complete(teacher_at(server), requests(20))) == {"stopped by the content filter": 20}


def test_one_prompt_that_is_rejected_is_told_and_not_lost():
    with serve(reject="Tom") as server:
        [response] = complete(teacher_at(server), requests(1))
    assert response.failure.startswith("rejected: HTTP 400") and response.unusable


# -- errors that stop at once --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"status": 401}, "teacher m: the key is not accepted (HTTP 401): scripted; the key is read from TEACHER"),
        ({"status": 403}, "access is denied (HTTP 403): scripted; the key is read from TEACHER_TEST_KEY"),
        ({"status": 404, "code": "model_not_found"}, "unknown model or address (HTTP 404): scripted"),
        ({"status": 402}, "the quota is exhausted (HTTP 402): scripted"),
        ({"status": 429, "code": "insufficient_quota"}, "the quota is exhausted (HTTP 429): scripted"),
    ],
)
def test_where_going_on_is_of_no_use_it_stops_at_once(options, message):
    begun = time.monotonic()
    with serve(**options) as server:
        with pytest.raises(UserError, match=re.escape(message)) as caught:
            complete(teacher_at(server), requests(200))
        assert server.stats()["requests"] <= 16
    assert "all answers so far are stored" in str(caught.value) and "\n" not in str(caught.value)
    assert time.monotonic() - begun < 5


def test_a_host_that_is_not_there_stops_at_once():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        begun = time.monotonic()
        with pytest.raises(UserError, match=f"cannot reach {url}: "):
            complete(teacher_at(url), requests(200))
    assert time.monotonic() - begun < 3


def test_a_host_that_takes_no_connection_stops_as_soon_as_that_is_sure(monkeypatch):
    """Not after all the tries of a call that it never took."""
    monkeypatch.setattr(openai, "CONNECT", 0.5)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        callers = [socket.socket() for _ in range(4)]
        for caller in callers:  # the queue is full
            caller.setblocking(False)
            caller.connect_ex(deaf.getsockname())
        begun = time.monotonic()
        with pytest.raises(UserError, match=r"cannot reach .*ConnectTimeout"):
            complete(teacher_at(f"http://127.0.0.1:{deaf.getsockname()[1]}/v1"), requests(50))
        for caller in callers:
            caller.close()
    assert time.monotonic() - begun < 3


def test_what_was_under_way_when_the_budget_was_reached_is_kept(monkeypatch):
    """Such calls are paid for, so they are waited for, whatever the time that a wrong key leaves to others."""
    monkeypatch.setattr(live, "GRACE", 0.01)
    got = {}
    with serve(delay=0.3) as server:
        teacher = teacher_at(server, concurrency=4, terms=Terms(PRICE, budget=0.004))
        with pytest.raises(UserError, match="budget"):
            teacher.complete_all(pending(teacher, requests(50)), got.__setitem__, Budget(teacher.terms))
        assert server.stats()["requests"] == len(got) >= 4
    assert failures(got.values()) == {None: len(got)}


def test_who_waits_for_a_turn_does_not_hold_up_the_stop():
    """One call a minute; the first finds the key wrong."""
    begun = time.monotonic()
    with serve(status=401, delay=0.2) as server, pytest.raises(UserError, match="the key is not accepted"):
        complete(teacher_at(server, requests_per_minute=1), requests(50))
    assert time.monotonic() - begun < 3


def test_an_error_in_storing_is_not_swallowed(plain):
    def full(key: str, response: Response) -> None:
        raise OSError("no space left on device")

    teacher = teacher_at(plain)
    with pytest.raises(OSError, match="no space left"):
        teacher.complete_all(pending(teacher, requests(50)), full)


# -- budget --------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0.0, 0.0005, 0.002, 0.01])
@pytest.mark.parametrize("concurrency", [1, 24])
def test_whatever_calls_take_the_budget_holds(limit, concurrency):
    """Up to 9 and 64 tokens each, which is what is set aside; the run stops where no further call is sure to fit."""
    got, terms = {}, Terms(PRICE, budget=limit)
    with serve(most=[9, 64], delay=0.01) as server:
        teacher = teacher_at(server, concurrency=concurrency, terms=terms)
        budget = Budget(terms)
        with pytest.raises(UserError, match=f"budget: {limit:g} reached.* {'calls are left'}") as caught:
            teacher.complete_all(pending(teacher, requests(300)), got.__setitem__, budget)
        seen = server.stats()
    paid = terms.money(seen.get("prompt tokens", 0), seen.get("completion tokens", 0))
    assert limit - terms.money(9, 64) < paid <= limit
    assert budget.spent == pytest.approx(paid) and len(got) == seen.get("answered", 0)
    assert f"; {300 - len(got)} calls are left" in str(caught.value)


def test_a_budget_that_suffices_is_not_in_the_way(plain):
    terms = Terms(PRICE, budget=10.0)
    complete(teacher_at(plain, terms=terms), requests(30), Budget(terms))


# -- a hostile service ---------------------------------------------------------------------------


def scripted(tmp_path, content: bytes, count: int = 3, **changes) -> list[Response]:
    """What comes of calls that are all answered with these bytes."""
    (tmp_path / "raw").write_bytes(content)
    with serve(faults={"raw": 1.0}, always=True, raw=str(tmp_path / "raw")) as server:
        return complete(teacher_at(server, attempts=2, **changes), requests(count))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not valid JSON"), (b"\xff\xfe\x00", "not valid JSON"), (b"<html>busy</html>", "not valid JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "not valid JSON"), (b'{"choices": ' * 5000 + b"1" + b"}" * 5000, "not valid"),
        (b"9" * 10_000, "not valid JSON"), (b'{"choices": [{"message": 3}]}', "no answer in the response"),
        (b"null", "no answer"), (b"NaN", "no answer"), (b'{"error": {"message": "out of memory"}}', "no answer"),
    ],
    ids=range(10),
)  # fmt: skip
def test_a_body_that_is_no_answer_is_a_failure_of_its_call(tmp_path, content, reason):
    responses = scripted(tmp_path, content)
    assert {response.failure for response in responses} == {responses[0].failure}
    assert responses[0].failure.startswith("error: ") and reason in responses[0].failure


def test_an_answer_of_ten_megabytes_is_an_answer(tmp_path):
    text = "so many words " * 750_000
    body = json.dumps({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}).encode()
    begun = time.monotonic()
    responses = scripted(tmp_path, body)
    assert [response.text for response in responses] == [text] * 3
    assert time.monotonic() - begun < 10


def test_lone_surrogates_are_stored_and_read_back(tmp_path):
    body = rb'{"choices": [{"message": {"content": "half \ud83d of it"}, "finish_reason": "odd \udc00"}]}'
    responses = scripted(tmp_path, body)
    assert {(r.text, r.failure) for r in responses} == {("half ? of it", "odd ?")}
    with Store(tmp_path / "s.jsonl") as store:
        store.put("k", responses[0])
    assert stored(tmp_path / "s.jsonl") == responses[:1]


@pytest.mark.parametrize("tokens", [10**400, 1e300, -5, "many"])
def test_token_counts_that_are_none_cost_what_is_estimated(tmp_path, tokens):
    usage = {"prompt_tokens": tokens, "completion_tokens": tokens}
    body = {"choices": [{"message": {"content": "word " * 8}, "finish_reason": "stop"}], "usage": usage}
    [response] = scripted(tmp_path, json.dumps(body).encode(), count=1)
    assert (response.prompt_tokens, response.completion_tokens) == (9, 10)


# -- secrets -------------------------------------------------------------------------------------


def without_secret(*texts: str) -> None:
    """No eight characters in a row of the key stand in any of these."""
    parts = {KEY[i : i + 8] for i in range(len(KEY) - 7)}
    for text in texts:
        assert not any(part in text for part in parts), text[:500]


def test_a_key_that_the_service_repeats_stands_nowhere(marked, tmp_path, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    with serve(echo=True, key=marked) as server, Store(tmp_path / "s.jsonl") as store:
        teacher = teacher_at(server)
        teacher.complete_all(pending(teacher, requests(5)), store.put)
        assert {"Bearer [key]" in store.get(item.key).text for item in pending(teacher, requests(5))} == {True}
    shown = capfd.readouterr()
    objects = [repr(value) for value in (teacher, teacher.settings, vars(teacher), teacher.notes, teacher.client())]
    without_secret((tmp_path / "s.jsonl").read_text(), shown.out, shown.err, caplog.text, *objects)


@pytest.mark.parametrize("options", [{"key": "another-key"}, {"reject": "Tom"}])
def test_a_key_that_an_error_repeats_stands_nowhere(marked, options, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    with serve(**options) as server, pytest.raises(UserError, match=r"Bearer \[key\]") as caught:
        complete(teacher_at(server), requests(50))
    shown, error = capfd.readouterr(), caught.value
    chain = [error, error.__cause__, error.__context__]
    without_secret(*map(repr, chain), str(error), shown.out, shown.err, caplog.text)


@pytest.mark.parametrize("before", range(260, 305, 4))
def test_a_key_is_not_left_in_part_where_an_error_is_cut(marked, before):
    without_secret(teacher_at("http://host/v1").plain({"message": "x" * before + marked}))


def test_a_key_is_not_left_in_a_finish_reason(marked, tmp_path):
    reason = f"because {marked} {marked} {marked}"
    body = json.dumps({"choices": [{"message": {"content": marked}, "finish_reason": reason}]}).encode()
    [response] = scripted(tmp_path, body, count=1)
    assert (response.text, response.failure) == ("[key]", "because [key] [key] [key]")
    without_secret(repr(response))


def test_a_placeholder_for_a_key_is_no_secret(monkeypatch, plain):
    """Where a server of one's own needs none, the word for none may well stand in a text."""
    monkeypatch.setenv("TEACHER_TEST_KEY", "pens")
    teacher = teacher_at("http://host/v1")
    assert teacher.without_key(Response("Tom has pens.", "stop", 1, 1)).text == "Tom has pens."


# -- ctrl-C --------------------------------------------------------------------------------------


def test_an_interrupt_cancels_the_calls_and_what_was_delivered_is_stored(tmp_path):
    with serve(delay=0.05) as server, Store(tmp_path / "s.jsonl") as store:
        teacher = teacher_at(server, concurrency=4)
        threading.Timer(0.8, os.kill, (os.getpid(), signal.SIGINT)).start()
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            teacher.complete_all(pending(teacher, requests(2000)), store.put)
        assert time.monotonic() - begun < 3
        kept, asked = len(store), server.stats()["requests"]
        assert 4 <= kept <= asked <= kept + 4  # all but what was under way
        time.sleep(0.3)
        assert (len(store), server.stats()["requests"]) == (kept, asked)
    assert not [thread for thread in threading.enumerate() if thread.name == "teacher"]
    assert len(stored(tmp_path / "s.jsonl")) == kept


def test_an_error_in_the_other_thread_is_raised_in_this_one():
    async def fails() -> None:
        raise LookupError("here")

    with pytest.raises(LookupError, match="here"):
        in_own_thread(fails())


# -- kill -9 -------------------------------------------------------------------------------------

SCRIPT = """
import sys
from asked import question, teacher_at
from lib.settings import Generate
from lib.sampling import sample_rationales
from lib.tasks import get_task
from lib.teacher.store import Store

url, path, count, concurrency = sys.argv[1:]
settings = Generate(exemplars=1, temperature=0.7, max_tokens=64, rationales=1)
questions = [question(number) for number in range(int(count))]
with Store(path) as store:
    print("asking", flush=True)
    teacher = teacher_at(url, concurrency=int(concurrency))
    sampled = sample_rationales(questions, get_task("arithmetic"), teacher, store, settings)
    store.compact()
print(len(sampled.rows), len(sampled.failures), len({row.id for row in sampled.rows}), sampled.usage.sent)
"""


def killed(path: Path, moments: list[float], count: int = 300, concurrency: int = 8) -> None:
    """Start, kill -9 after so many seconds of asking, start again, ...: only calls under way are sent again."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    hit = 0
    with serve(delay=0.05) as server:
        command = [sys.executable, "-c", SCRIPT, server.url, str(path), str(count), str(concurrency)]
        for moment in [*moments, None]:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
            assert process.stdout.readline() == "asking\n"
            if moment is not None:
                time.sleep(moment)
                process.kill()
            rest = process.stdout.read()
            hit += process.wait() == -signal.SIGKILL
            process.stdout.close()
        seen = server.stats()
    assert hit == len(moments)
    *all_rows, sent = map(int, rest.split())
    assert all_rows == [count, 0, count] and 0 < sent < count  # the last run had something left, and not all
    assert len(seen["by_body"]) == count
    again = sum(times - 1 for times in seen["by_body"].values())
    assert again == seen["requests"] - count <= hit * concurrency
    assert len(stored(path)) == count


def test_after_kill_9_only_calls_under_way_are_sent_again(tmp_path):
    killed(tmp_path / "s.jsonl", [0.5, 0.3])


@pytest.mark.slow
def test_after_ten_times_kill_9_only_calls_under_way_are_sent_again(tmp_path):
    chance = random.Random(0)
    killed(tmp_path / "s.jsonl", [chance.uniform(0.05, 0.5) for _ in range(10)], count=600)


def test_the_wire_is_what_the_store_is_keyed_by(plain):
    """Two requests with one key are one body; the sample's number is in the key and not in the body."""
    teacher = teacher_at(plain)
    bodies = [wire.body(teacher.settings, request(1, sample)) for sample in range(2)]
    keys = [request_key(teacher.identity, request(1, sample)) for sample in range(2)]
    assert bodies[0] == bodies[1] and keys[0] != keys[1]


def test_a_key_that_the_service_quotes_with_its_middle_hidden_is_taken_out(monkeypatch):
    monkeypatch.setenv("TEACHER_TEST_KEY", "sk-proj-abcdefghijklmnop")
    said = teacher_at("http://localhost/v1").plain({"message": "Incorrect API key provided: sk-proj-********mnop. See"})
    assert said == "Incorrect API key provided: [key]. See"
