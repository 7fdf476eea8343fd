"""Asking: never twice the same thing, within the budget, in rounds until all is as good as it gets."""

import random
from collections import Counter
from dataclasses import replace

import pytest
from asked import PRICE, asks, question, quiet, request, stored, teacher_at
from loopback import serve

from lib.asking import Ask, Usage, answers, cost_rows, distinct_asks, missing, together, usage_of
from lib.errors import UserError
from lib.settings import Price
from lib.teacher import OneByOne, Pending, Response
from lib.teacher.store import Store, request_key
from lib.teacher.terms import Terms

CALL = 3e-4  # what an answer of the loopback service costs at PRICE: 100 prompt and 20 completion tokens
MOST = 9e-6 + 64e-5  # what is set aside for it


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store.jsonl") as opened:
        yield opened


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("TEACHER_TEST_KEY", raising=False)


class Fake(OneByOne):
    """Answers by a function of the request, and remembers what it was asked."""

    identity, notes = "fake", ()

    def __init__(self, answer=lambda request: Response(f"answer {request.sample}", "stop", 10, 5), **terms):
        self.answer, self.asked, self.terms = answer, [], Terms(**terms)

    def complete(self, request):
        self.asked.append(request)
        return self.answer(request)


def ask(teacher, store, given, spent=0.0, progress=quiet):
    return answers(given, teacher, store, "rationales", progress, spent)


def failures(responses) -> Counter:
    return Counter(response.failure for response in responses)


# -- once ----------------------------------------------------------------------------------------


def test_responses_come_in_the_order_of_the_asks(store):
    given = [Ask(question(0), request(0, sample)) for sample in (2, 0, 1)]
    responses, usage = ask(Fake(), store, given)
    assert [response.text for response in responses] == ["answer 2", "answer 0", "answer 1"]
    assert usage == Usage(
        calls=3, sent=3, replayed=0, prompt_tokens=30, completion_tokens=15,
        by_split={"train": (3, 30, 15), "validation": (0, 0, 0), "test": (0, 0, 0)},
        by_question={given[0].item.id: (3, 30, 15)}, money=None,
    )  # fmt: skip


def test_equal_requests_are_one_call_that_counts_for_who_asked_first(store):
    given = [Ask(question(0, split), request(7)) for split in ("validation", "train", "test")]
    teacher = Fake()
    responses, usage = ask(teacher, store, given)
    assert (len(teacher.asked), usage.calls, len(set(responses)), len(responses)) == (1, 1, 1, 3)
    assert usage.by_split["validation"] == (1, 10, 5) and usage.by_split["train"] == (0, 0, 0)


def test_nothing_asked_is_nothing_answered(store):
    assert ask(Fake(), store, [])[0] == []


def test_with_everything_stored_nothing_is_sent(store):
    ask(Fake(), store, asks(5, samples=2))
    silent = Fake(lambda request: pytest.fail("asked again"))
    shuffled = random.Random(0).sample(asks(5, samples=2), 10)
    assert ask(silent, store, shuffled)[1] == replace(
        usage_of(distinct_asks(shuffled, silent), store, silent, 0), sent=0
    )
    assert usage_of(distinct_asks(shuffled, silent), store, silent, 0).replayed == 10


def test_with_everything_stored_neither_service_nor_key_is_needed(tmp_path):
    """Not one connection is opened, whatever became of the service; the estimate, too, needs none."""
    with serve() as server, Store(tmp_path / "s.jsonl") as store:
        ask(teacher_at(server, concurrency=2), store, asks(20))
        before = server.stats()["connections"]
        responses, usage = ask(teacher_at(server, concurrency=9, timeout=1.0, attempts=1), store, asks(20)[::-1])
        assert (server.stats()["connections"], usage.sent, usage.replayed) == (before + 1, 0, 20)  # that is this look
        needs_key = teacher_at(None)
        for given, response in zip(asks(20)[::-1], responses):
            store.put(request_key(needs_key.identity, given.request), response)
        assert ask(needs_key, store, asks(20))[1].sent == 0


def test_more_questions_and_samples_cost_only_themselves(tmp_path):
    with serve() as server, Store(tmp_path / "s.jsonl") as store:
        for given, sent in [(asks(10), 10), (asks(15), 5), (asks(15, samples=3), 30), (asks(4, samples=2), 0)]:
            order = random.Random(1).sample(given, len(given))
            assert ask(teacher_at(server, concurrency=sent + 1, timeout=5.0 + sent), store, order)[1].sent == sent
        assert server.stats()["requests"] == 45
    assert len(stored(tmp_path / "s.jsonl")) == 45


@pytest.mark.parametrize(
    "change",
    [
        {"model": "n"}, {"api": "completions"}, {"parameters": {"top_p": 0.9}},
        {"temperature": 0.8}, {"max_tokens": 65}, {"system": "Solve!"}, {"exemplar": "Two. The answer is 2."},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_what_changes_the_answer_is_asked_anew_and_the_old_answers_are_kept(tmp_path, change):
    (name, value), given = next(iter(change.items())), asks(5)

    def changed(old):
        if name in ("temperature", "max_tokens"):
            return replace(old, **change)
        system, last = old.messages
        if name == "system":
            return replace(old, messages=({**system, "content": value}, last))
        shown = ({"role": "user", "content": "Q: 1 + 1?"}, {"role": "assistant", "content": value})
        return replace(old, messages=(system, *shown, last))

    ours = name in ("model", "api", "parameters")
    with serve() as server, Store(tmp_path / "s.jsonl") as store:
        before, _ = ask(teacher_at(server), store, given)
        new = given if ours else [replace(each, request=changed(each.request)) for each in given]
        _, usage = ask(teacher_at(server, **(change if ours else {})), store, new)
        assert usage.sent == 5 and len(store) == 10
        assert ask(teacher_at(server), store, given) == (before, replace(usage, sent=0, replayed=5))
        assert server.stats()["requests"] == 10


def test_another_endpoint_is_another_teacher(store):
    with serve() as one, serve() as other:
        ask(teacher_at(one), store, asks(3))
        assert ask(teacher_at(other), store, asks(3))[1].sent == 3
        assert len(store) == 6


def test_an_interrupted_run_keeps_what_it_got(store):
    def interrupted(request):
        if len(teacher.asked) > 3:
            raise KeyboardInterrupt
        return Response("fine", "stop", 1, 1)

    teacher = Fake(interrupted)
    with pytest.raises(KeyboardInterrupt):
        ask(teacher, store, asks(9))
    assert ask(Fake(), store, asks(9))[1].sent == 6


# -- rounds --------------------------------------------------------------------------------------


def test_what_is_missing_and_in_which_order(store):
    """New requests come first; failures on the way always again, unusable answers as often as the terms say."""
    teacher, given = Fake(unusable_retries=1), asks(7)
    kept = [Response("fine", "stop", 1, 1), Response("cut", "length", 1, 1), Response("cut", "length", 1, 1, 2),
            Response("", "error: HTTP 500", 0, 0, attempts=0), Response("", "not recorded", 0, 0)]  # fmt: skip
    keys = [request_key(teacher.identity, each.request) for each in given]
    for key, response in zip(keys, kept):
        store.put(key, response)
    found = missing(distinct_asks(given, teacher), store, teacher)
    expected = [(3, 0), (5, 0), (6, 0), (1, 1), (4, 1)]
    assert found == [Pending(keys[i], given[i].request, attempts) for i, attempts in expected]
    assert [len(missing(distinct_asks(given, teacher), None, teacher))] == [7]


@pytest.mark.parametrize("retries", [0, 1, 3])
@pytest.mark.parametrize(
    "bad", [("cut", "length"), ("", "content_filter"), ("No.", "refusal"), ("  ", "stop"), ("x", "tool_calls")]
)
def test_an_unusable_answer_is_asked_again_as_often_as_the_terms_say_over_all_runs(store, bad, retries):
    teacher = Fake(lambda request: Response(*bad, 10, 5), unusable_retries=retries)
    [response], usage = ask(teacher, store, asks(1))
    assert len(teacher.asked) == 1 + retries == response.attempts
    assert (usage.sent, usage.replayed) == (1, 0)  # one request, however often
    assert response.failure is not None and response.unusable
    assert (usage.calls, usage.prompt_tokens, usage.completion_tokens) == (1, 10 * (1 + retries), 5 * (1 + retries))
    assert ask(teacher, store, asks(1))[1].sent == 0
    teacher.terms = replace(teacher.terms, unusable_retries=retries + 2)
    assert ask(teacher, store, asks(1))[0][0].attempts == len(teacher.asked) == 3 + retries


def test_the_rounds_end_with_the_first_good_answer(store):
    teacher = Fake(lambda request: Response("fine", "stop" if len(teacher.asked) == 3 else "length", 10, 5),
                   unusable_retries=9)  # fmt: skip
    [response], usage = ask(teacher, store, asks(1))
    assert (response.failure, response.attempts, len(teacher.asked)) == (None, 3, 3)
    assert usage.prompt_tokens == 30  # all three were paid for


def test_a_call_that_failed_on_the_way_is_made_again_on_the_next_run_only(store):
    teacher = Fake(lambda request: Response("", "error: HTTP 500", 0, 0, attempts=0), unusable_retries=5)
    for run in (1, 2):
        [response], usage = ask(teacher, store, asks(1))
        assert (response.failure, usage.sent, len(teacher.asked)) == ("error: HTTP 500", 1, run)
    [healed], _ = ask(Fake(), store, asks(1))
    assert (healed.failure, healed.attempts) == (None, 1)


def faulty(tmp_path, count: int, concurrency: int) -> None:
    """Each kind of fault befalls a twentieth of the calls at the first attempt."""
    kinds = ("429", "500", "503", "drop", "stall", "garbage", "no_choices", "empty")
    with serve(faults=dict.fromkeys(kinds, 0.05), stall=3.0) as server, Store(tmp_path / "s.jsonl") as store:
        responses, usage = ask(teacher_at(server, timeout=1.0, concurrency=concurrency), store, asks(count))
        seen = server.stats()
    assert failures(responses) == {None: count} and seen["answered"] == count
    assert seen["requests"] <= 1.5 * count and max(seen["by_body"].values()) <= 2
    assert (usage.sent, usage.replayed) == (count, 0)
    assert Counter(response.attempts for response in responses) == {1: count - seen["fault empty"],
                                                                    2: seen["fault empty"]}  # fmt: skip
    with Store(tmp_path / "s.jsonl") as store:
        assert len(store) == count


def test_answers_of_a_faulty_service_are_all_there_in_the_end(tmp_path):
    faulty(tmp_path, 300, concurrency=32)


@pytest.mark.slow
def test_two_thousand_answers_of_a_faulty_service_are_all_there_in_the_end(tmp_path):
    faulty(tmp_path, 2000, concurrency=64)


# -- terms ---------------------------------------------------------------------------------------


def test_a_dry_run_sends_nothing(tmp_path):
    with serve() as server, Store(tmp_path / "s.jsonl") as store:
        ask(teacher_at(server), store, asks(2))
        before = server.stats()["connections"]
        dry = teacher_at(server, terms=Terms(dry_run=True))
        with pytest.raises(UserError, match="dry_run: true; nothing was sent, 3 rationales would have been asked for"):
            ask(dry, store, asks(5))
        assert server.stats()["connections"] == before + 1
        assert ask(dry, store, asks(2))[1].sent == 0  # what is stored can be had


def test_a_budget_is_never_exceeded_counts_earlier_runs_and_can_be_raised(tmp_path):
    with serve() as server, Store(tmp_path / "s.jsonl") as store:
        for limit in (0.01, 0.01, 0.02):
            teacher = teacher_at(server, terms=Terms(PRICE, budget=limit))
            with pytest.raises(UserError, match=rf"teacher\.budget: {limit:g} reached.* calls are left") as caught:
                ask(teacher, store, asks(100))
            paid = server.stats()["answered"]
            assert limit - MOST < paid * CALL <= limit and len(store) == paid
            assert f"; {100 - paid} calls are left" in str(caught.value)
        enough = teacher_at(server, terms=Terms(PRICE, budget=100 * CALL + MOST))
        responses, usage = ask(enough, store, asks(100))
        assert failures(responses) == {None: 100} and usage.money == pytest.approx(100 * CALL)
        assert server.stats()["requests"] == 100


def test_answers_at_hand_are_had_whatever_the_budget(tmp_path):
    with serve() as server, Store(tmp_path / "s.jsonl") as store:
        ask(teacher_at(server), store, asks(10))
        assert ask(teacher_at(server, terms=Terms(PRICE, budget=CALL)), store, asks(10))[1].sent == 0


def test_what_the_stage_spent_before_counts(tmp_path):
    """The second calls of zero-shot prompting are paid from what the first left."""
    teacher_terms = Terms(PRICE, budget=10 * CALL + MOST)
    with serve() as server, Store(tmp_path / "s.jsonl") as store:
        teacher = teacher_at(server, terms=teacher_terms)
        with pytest.raises(UserError, match=r"0\.0033 spent.* 10 calls are left"):
            ask(teacher, store, asks(10), spent=10 * CALL + MOST / 2)
        assert server.stats().get("requests", 0) == 0
        assert ask(teacher, store, asks(10))[1].sent == 10


def test_repeated_attempts_are_paid_for_as_well(tmp_path):
    """A second round is held to the same budget: what the first one cost is spent."""
    with serve(faults={"length": 1.0}, always=True) as server, Store(tmp_path / "s.jsonl") as store:
        teacher = teacher_at(server, terms=Terms(PRICE, budget=0.005, unusable_retries=5))
        with pytest.raises(UserError, match=r"teacher\.budget"):
            ask(teacher, store, asks(10))
        paid = server.stats()["requests"]
        assert paid > 10 and paid * CALL <= 0.005 < paid * CALL + MOST


# -- what it cost --------------------------------------------------------------------------------


def test_usage_counts_what_is_stored_by_split(store):
    given = [Ask(question(i, split), request(i)) for i, split in enumerate(["train", "test", "train", "validation"])]
    teacher = Fake(price=PRICE)
    ask(teacher, store, given[:3])
    usage = usage_of(distinct_asks(given, teacher), store, teacher, sent=2)
    assert usage == Usage(
        calls=4, sent=2, replayed=2, prompt_tokens=30, completion_tokens=15,
        by_split={"train": (2, 20, 10), "validation": (0, 0, 0), "test": (1, 10, 5)},
        by_question={ask_.item.id: (1, 10, 5) for ask_ in given[:3]}, money=pytest.approx(180e-6),
    )  # fmt: skip


ONE = Usage(
    3, 2, 1, 30, 15, {"train": (2, 20, 10), "validation": (0, 0, 0), "test": (1, 10, 5)},
    {"a": (2, 20, 10), "b": (1, 10, 5)}, 0.5,
)  # fmt: skip
OTHER = Usage(
    2, 0, 2, 8, 3, {"train": (1, 1, 1), "validation": (1, 7, 2), "test": (0, 0, 0)}, {"a": (1, 1, 1), "c": (1, 7, 2)},
    0.25,
)  # fmt: skip


def test_two_rounds_together():
    assert together(ONE, OTHER) == Usage(
        5, 2, 3, 38, 18, {"train": (3, 21, 11), "validation": (1, 7, 2), "test": (1, 10, 5)},
        {"a": (3, 21, 11), "b": (1, 10, 5), "c": (1, 7, 2)}, 0.75,
    )  # fmt: skip
    assert together(ONE, replace(OTHER, money=None)).money is None


def test_costs_are_told_a_split_and_a_question():
    """b cost 15 tokens, a cost 32, d nothing."""
    splits = {"a": "train", "b": "test", "c": "validation", "d": "train"}
    rows = {row["split"]: row for row in cost_rows(together(ONE, OTHER), splits, Terms(Price(prompt=1, completion=2)))}
    assert list(rows) == ["train", "validation", "test", "all"]
    assert rows["train"] == {
        "split": "train", "questions": 2, "calls": 3, "prompt tokens": 21, "completion tokens": 11,
        "tokens a question": 16.0, "least": 0, "most": 32, "money": pytest.approx(43e-6),
        "money a question": pytest.approx(21.5e-6),
    }  # fmt: skip
    assert (rows["all"]["questions"], rows["all"]["calls"], rows["all"]["most"]) == (4, 5, 32)
    assert cost_rows(ONE, {}, Terms())[0]["money"] is None


FAILED = Response("", "error: HTTP 500", 0, 0, attempts=0)


def test_a_stage_is_not_done_while_calls_failed_on_the_way(store):
    """All answers are kept; only what failed is asked in the next run."""
    flaky = Fake(lambda r: FAILED if r.sample == 1 else Response("ok", "stop", 1, 1))
    flaky.terms = Terms(accept_failed=False)
    given = [Ask(question(0), request(0, sample)) for sample in range(3)]
    message = r"1 of 3 calls for rationales failed on the way: 1 \(error: HTTP 500\); all answers are stored: run again"
    with pytest.raises(UserError, match=message):
        ask(flaky, store, given)
    healed = Fake()
    healed.terms = Terms(accept_failed=False)
    responses, usage = ask(healed, store, given)
    assert (usage.sent, [response.failure for response in responses]) == (1, [None] * 3)


def test_calls_that_failed_can_be_done_without(store):
    flaky = Fake(lambda r: FAILED if r.sample == 1 else Response("ok", "stop", 1, 1))
    responses, _ = ask(flaky, store, [Ask(question(0), request(0, sample)) for sample in range(3)])
    assert [response.failure for response in responses] == [None, "error: HTTP 500", None]


def test_progress_moves_with_every_answer(store):
    moved = []

    def watched(iterable, total, label):
        for number in iterable:
            moved.append((number, total, label))
            yield number

    ask(Fake(), store, asks(3), progress=watched)
    assert moved == [(number, 3, "rationales") for number in range(3)]
    moved.clear()
    ask(Fake(), store, asks(3), progress=watched)
    assert moved == []
