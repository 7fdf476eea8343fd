"""Over the wire: what is sent, and that whatever comes back is an answer, or is said not to be one."""

import json

import pytest
from asked import DEFAULTS, settings
from hypothesis import example, given
from hypothesis import strategies as st

from lib.errors import UserError
from lib.teacher import Request, Response, wire
from lib.teacher.store import Store

MESSAGES = (
    {"role": "system", "content": "Solve."},
    {"role": "user", "content": "Q: 1 + 1?"}, {"role": "assistant", "content": "Two. The answer is 2."},
    {"role": "user", "content": "Q: 1 + 2?"},
)  # fmt: skip
REQUEST = Request(MESSAGES, temperature=0.7, max_tokens=64, sample=3)
CHAT, COMPLETIONS = settings("http://host/v1"), settings("http://host/v1", api="completions")
# "Solve." and the three others: 6, 9, 21 and 9 characters, each rounded up to whole tokens of four
ESTIMATED = 2 + 3 + 6 + 3


def chat(content="Three.", finish="stop", usage=(12, 5), **message) -> dict:
    body = {"choices": [{"message": {"content": content, **message}, "finish_reason": finish}]}
    return body | {"usage": dict(zip(("prompt_tokens", "completion_tokens"), usage))}


# -- what is sent --------------------------------------------------------------------------------


def test_a_chat_body():
    assert wire.body(CHAT, REQUEST) == {
        "model": "m", "messages": list(MESSAGES), "temperature": 0.7, "max_tokens": 64,
    }  # fmt: skip


def test_a_completions_body_is_one_text_and_where_to_stop():
    assert wire.body(COMPLETIONS, REQUEST) == {
        "model": "m", "prompt": "Solve.\n\nQ: 1 + 1?\nA: Two. The answer is 2.\n\nQ: 1 + 2?\nA:", "stop": ["\nQ:"],
        "temperature": 0.7, "max_tokens": 64,
    }  # fmt: skip


def test_parameters_add_replace_and_with_null_remove():
    parameters = {"max_tokens": None, "max_completion_tokens": 99, "temperature": None, "top_p": 0.9, "model": "n"}
    body = wire.body(settings("http://host/v1", parameters=parameters), REQUEST)
    assert body == {"model": "n", "messages": list(MESSAGES), "max_completion_tokens": 99, "top_p": 0.9}
    assert "stop" not in wire.body(COMPLETIONS.model_copy(update={"parameters": {"stop": None}}), REQUEST)


# -- where it goes, and with which key -----------------------------------------------------------


@pytest.mark.parametrize(
    ("given_url", "url"),
    [(None, "https://api.openai.com/v1"), ("http://localhost:8000/v1/", "http://localhost:8000/v1")],
)
def test_the_endpoint(given_url, url):
    assert wire.base_url(settings(given_url)) == url


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://host/v1", "http://", "http:///v1", "v1"])
def test_what_is_no_url_is_refused(url):
    with pytest.raises(UserError, match=r"teacher\.openai\.base_url: expected http\(s\)://host\[:port\]/v1, given "):
        wire.base_url(settings(url))


@pytest.mark.parametrize(
    "url", ["http://me:hunter2hunter2@host/v1", "http://hunter2hunter2@host/v1", "http://host/v1?key=hunter2hunter2"]
)
def test_a_url_that_holds_a_secret_is_refused_and_not_repeated(url):
    with pytest.raises(UserError, match="holds a user name, password or query") as caught:
        wire.base_url(settings(url))
    assert "hunter2" not in str(caught.value)


def test_the_key_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("TEACHER_TEST_KEY", " sk-1234 \n")
    assert wire.key(DEFAULTS) == "sk-1234"


def test_only_the_services_own_endpoint_needs_a_key(monkeypatch):
    monkeypatch.delenv("TEACHER_TEST_KEY", raising=False)
    assert wire.key(settings("http://localhost:8000/v1")) == "none"
    with pytest.raises(UserError, match="no key; set the environment variable TEACHER_TEST_KEY"):
        wire.key(settings(None))
    monkeypatch.setenv("TEACHER_TEST_KEY", "  ")
    with pytest.raises(UserError, match="no key"):
        wire.key(settings(None))


@pytest.mark.parametrize("found", ["sk-früh", "sk-12\n34", "sk-12 34", "sk-12\x0034", "sk-12\u202834"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_repeated(monkeypatch, found):
    monkeypatch.setattr("os.environ", {"TEACHER_TEST_KEY": found})
    with pytest.raises(UserError, match="the key in TEACHER_TEST_KEY holds characters that no key has") as caught:
        wire.key(DEFAULTS)
    assert "sk-" not in str(caught.value)


# -- what comes back -----------------------------------------------------------------------------


def test_an_answer():
    assert wire.read(chat(), REQUEST) == Response("Three.", "stop", 12, 5)
    plain = {"choices": [{"text": " Three.", "finish_reason": "stop"}], "usage": {"prompt_tokens": 9}}
    assert wire.read(plain, REQUEST) == Response(" Three.", "stop", 9, 2)  # 7 characters are two tokens


@pytest.mark.parametrize(
    ("finish", "reads"),
    [
        ("stop", None), (None, None), ("", None), ("eos", None), ("end_turn", None),
        ("length", "cut off at the length limit"), ("max_tokens", "cut off at the length limit"),
        ("content_filter", "stopped by the content filter"),
        ("tool_calls", "tool_calls"), ("abort", "abort"), (7, "7"),
    ],
)  # fmt: skip
def test_finish_reasons(finish, reads):
    response = wire.read(chat(finish=finish), REQUEST)
    assert (response.failure, response.text) == (reads, "Three.")
    assert response.unusable == (reads is not None)


@pytest.mark.parametrize("content", ["", None, " \n"])
def test_an_empty_answer_is_one_and_of_no_use(content):
    response = wire.read(chat(content), REQUEST)
    assert (response.failure, response.unusable) == ("empty response", True)


def test_a_refusal():
    refused = wire.read(chat(None, refusal="I cannot."), REQUEST)
    assert (refused.text, refused.failure, refused.unusable) == ("I cannot.", "refused", True)
    assert wire.read(chat("Three.", refusal=None), REQUEST).failure is None
    assert wire.read(chat("Three.", refusal="I cannot."), REQUEST).failure is None  # there is an answer all the same
    assert wire.read(chat(None, refusal={"not": "a text"}), REQUEST).failure == "empty response"


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None}, {"prompt_tokens": -1, "completion_tokens": 2.0},
                                   {"prompt_tokens": True, "completion_tokens": "5"},
                                   {"prompt_tokens": 10**400, "completion_tokens": 10**400}])  # fmt: skip
def test_without_a_count_tokens_are_estimated(usage):
    assert wire.read(chat() | {"usage": usage}, REQUEST) == Response("Three.", "stop", ESTIMATED, 2)


@pytest.mark.parametrize(
    "payload",
    [
        None, 7, "text", [], {}, {"choices": []}, {"choices": None}, {"choices": {}}, {"choices": "message"},
        {"choices": [None]}, {"choices": ["message"]}, {"choices": [{}]}, {"choices": [{"message": None}]},
        {"choices": [{"message": "content"}]}, {"choices": [{"text": 7}]}, {"choices": [{"message": {"content": [1]}}]},
        chat(finish=["stop"]), chat() | {"usage": [1, 2]},
    ],
)  # fmt: skip
def test_what_is_no_answer_is_garbled(payload):
    with pytest.raises(wire.Garbled, match="no answer in the response"):
        wire.read(payload, REQUEST)


def test_an_error_in_place_of_an_answer_is_told():
    with pytest.raises(wire.Garbled, match="no answer in the response: out of memory"):
        wire.read({"error": {"message": "out of\n memory", "code": 7}}, REQUEST)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["choices", "message", "content", "text", "usage", "error", "x"]), inner)
    ),
    max_leaves=12,
)
FIELD = SCALARS | VALUES
ALMOST = st.fixed_dictionaries(
    {"choices": st.lists(st.fixed_dictionaries({}, optional={
        "message": FIELD | st.fixed_dictionaries({}, optional={"content": FIELD, "refusal": FIELD}),
        "text": FIELD, "finish_reason": FIELD,
    }), max_size=2)},
    optional={"usage": FIELD | st.fixed_dictionaries({}, optional={"prompt_tokens": FIELD}), "error": FIELD},
)  # fmt: skip


@given(VALUES | ALMOST)
@example({"error": {"message": {"message": None}}})
@example(chat(finish=float("nan")))
def test_any_json_is_an_answer_or_garbled(payload):
    try:
        response = wire.read(payload, REQUEST)
    except wire.Garbled as garbled:
        assert str(garbled).startswith("no answer in the response")
        return
    assert [type(value) for value in (response.text, response.finish_reason)] == [str, str]
    assert all(type(n) is int and n >= 0 for n in (response.prompt_tokens, response.completion_tokens))


@given(st.text(st.characters(codec=None), max_size=20), st.text(st.characters(codec=None), max_size=20))
@example("half \ud83d of a pair", "\udfff")
def test_any_text_can_be_written_and_read_back(tmp_path_factory, text, finish):
    response = wire.read(json.loads(json.dumps(chat(text, finish))), REQUEST)
    response.text.encode(), response.finish_reason.encode()
    path = tmp_path_factory.mktemp("store") / "s.jsonl"
    with Store(path) as store:
        store.put("k", response)
    with Store(path) as store:
        assert store.get("k") == response


def test_half_a_surrogate_pair_becomes_a_question_mark_and_a_whole_one_stays():
    assert wire.read(json.loads(r'{"choices": [{"text": "\ud83d, \ud83d\ude00"}]}'), REQUEST).text == "?, 😀"


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ({"message": "No.\n  Not now.", "code": "c"}, "No. Not now."), ({"code": "busy"}, "busy"), ({}, "{}"),
        ("No.", "No."), (None, "None"), ({"message": ["a", 1]}, "['a', 1]"), ("\ud800", "?"),
    ],
)  # fmt: skip
def test_an_error_is_one_line_whatever_its_form(error, text):
    assert wire.error_text(error) == text


@pytest.mark.parametrize("code", ["content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation"])
def test_a_prompt_that_is_filtered_is_no_mistake_in_the_settings(code):
    assert wire.rejection(400, {"code": code}, "no").failure == "stopped by the content filter"


@pytest.mark.parametrize(
    "error", [None, "no", {"code": "context_length_exceeded"}, {"code": None}, {"code": "413"}, [1]]
)
def test_any_other_rejection_says_why(error):
    response = wire.rejection(413, error, "too long")
    code = " context_length_exceeded" if error == {"code": "context_length_exceeded"} else ""
    assert (response.failure, response.text, response.unusable) == (f"rejected: HTTP 413{code}", "too long", True)
    assert (response.prompt_tokens, response.attempts) == (0, 1)


# -- what ends a run, and where a key may go -----------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error", "answered", "why"),
    [
        (401, None, True, "the key is not accepted"),
        (402, None, True, "the quota is exhausted"),
        (404, None, True, "unknown model or address"),
        (429, {"code": "insufficient_quota"}, True, "the quota is exhausted"),
        (403, None, False, "access is denied"),
        (403, None, True, None),  # one prompt of many: some services moderate what goes in
        (429, {"code": "rate_limit_exceeded"}, False, None),
        (400, None, False, None),
        (500, None, False, None),
    ],
)
def test_what_no_other_call_would_escape_ends_the_run(status, error, answered, why):
    assert wire.stopping(status, error, answered) == why


@pytest.mark.parametrize(
    ("url", "variable", "sent"),
    [
        (None, "OPENAI_API_KEY", True),
        ("https://eu.api.openai.com/v1", "OPENAI_API_KEY", True),
        ("http://localhost:8000/v1", "OPENAI_API_KEY", True),
        ("https://llm.example.org/v1", "OPENAI_API_KEY", False),
        ("https://openai.com.example.org/v1", "OPENAI_API_KEY", False),
        ("https://llm.example.org/v1", "EXAMPLE_KEY", True),
    ],
)
def test_openais_key_goes_to_nobody_else(monkeypatch, url, variable, sent):
    monkeypatch.setenv(variable, "sk-secret-of-mine")
    chosen = settings(url, key_variable=variable)
    if sent:
        assert wire.key(chosen) == "sk-secret-of-mine"
    else:
        with pytest.raises(UserError, match=r"OPENAI_API_KEY is set and would be sent to .*example\.org; name another"):
            wire.key(chosen)
