"""Single calls among many: what a service says of one prompt, in words and headers that are not the usual ones."""

import json
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from asked import PRICE, requests, teacher_at

from lib.errors import UserError
from lib.teacher import Pending
from lib.teacher.store import request_key
from lib.teacher.terms import Budget, Terms

ANSWER = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}


@contextmanager
def service(status_of, content_type="application/json"):
    """A URL; `status_of(n)` is (status, error or None) of the n-th call, from 1."""
    calls = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            calls.append(1)
            status, error = status_of(len(calls))
            body = json.dumps(ANSWER if error is None else {"error": error}).encode()
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", calls
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def ask(url: str, count: int = 40, terms: Terms | None = None) -> Counter:
    """Failures of the responses, None for good ones."""
    teacher, found = teacher_at(url, concurrency=4, terms=terms), []
    pending = [Pending(request_key(teacher.identity, r), r) for r in requests(count)]
    teacher.complete_all(pending, lambda key, response: found.append(response), Budget(teacher.terms))
    return Counter(response.failure for response in found)


def test_json_under_another_content_type_is_an_answer():
    with service(lambda n: (200, None), "text/plain") as (url, calls):
        assert ask(url) == {None: 40} and len(calls) == 40


def test_a_prompt_too_large_for_the_limit_itself_is_not_sent_for_ever():
    too_large = {"message": "Request too large for m: Limit 6000, Requested 7000", "code": "rate_limit_exceeded"}
    with service(lambda n: (429, too_large) if n == 3 else (200, None)) as (url, calls):
        assert ask(url) == {None: 39, "rejected: HTTP 429 rate_limit_exceeded": 1} and len(calls) == 40


def test_one_moderated_prompt_does_not_end_the_run():
    with service(lambda n: (403, {"message": "flagged"}) if n == 9 else (200, None)) as (url, _):
        assert ask(url) == {None: 39, "rejected: HTTP 403": 1}


def test_access_denied_from_the_start_does():
    with service(lambda n: (403, {"message": "not in your region"})) as (url, calls):
        with pytest.raises(UserError, match=r"access is denied \(HTTP 403\): not in your region"):
            ask(url)
        assert len(calls) <= 4


def test_a_wrong_key_stops_at_once_those_who_wait_for_the_budget_too():
    with service(lambda n: (401, {"message": "no"})) as (url, _):
        begun = time.monotonic()
        with pytest.raises(UserError, match="the key is not accepted"):
            ask(url, terms=Terms(PRICE, budget=0.004))  # room for four calls under way, no more
        assert time.monotonic() - begun < 3


def test_a_call_cut_short_counts_as_if_it_had_been_paid_for():
    def slow(n):
        time.sleep(0.6 if n == 1 else 0)
        return 200, None

    with service(slow) as (url, _):
        teacher = teacher_at(url, concurrency=1, timeout=0.3, terms=Terms(PRICE, budget=1.0))
        budget = Budget(teacher.terms)
        [asked] = requests(1)
        teacher.complete_all([Pending("k", asked)], lambda key, response: None, budget)
        most = teacher.terms.money(*teacher.most(asked))
        assert most < budget.spent < 2 * most and budget.reserved == 0
