"""Stages 01 and 02 against servers that nobody here wrote: LiteLLM's proxy with limits, `transformers serve`."""

import json
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest
from scripted_model import save_model
from serving import MODEL, REQUIREMENTS, Server, litellm_proxy, transformers_serve
from test_pipeline import Clone, scratch_clone

from lib.config import load_config
from lib.errors import UserError
from lib.profile import composed
from lib.records import Question, Rationale, read_rows
from lib.sampling import evaluation_asks, rationale_asks
from lib.tasks import get_task
from lib.teacher import Pending, Request, Response, open_teacher
from lib.teacher.prompts import as_text

# A rationale and an evaluation at once: whichever is asked for, the reply can be read.
REPLY = "There are 3 and 4 of them. The answer is (3 + 4). Evaluation result: the given answer is correct."
FEW = ("tasks.arithmetic.train=6", "tasks.arithmetic.validation=2", "tasks.arithmetic.test=2",
       "generate.rationales=3", "self_eval.evaluations=2")  # fmt: skip
STAGES = ("01_generate", "02_self_eval")


@dataclass(frozen=True)
class Connected(Clone):
    """A clone in which the loopback interface, and nothing else, can be reached."""

    key: str = "none"

    def environment(self) -> dict[str, str]:
        return super().environment() | {"no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1", "OPENAI_API_KEY": self.key}

    def generate_and_evaluate(self) -> None:
        """Run stages 01 and 02 to their end."""
        for stage in STAGES:
            result = self.run("python", "-m", "lib.notebook", stage)
            assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-3000:]

    def rows(self, name: str) -> list[dict]:
        return [json.loads(line) for line in (self.folder / "data" / name).read_text("utf-8").splitlines()]

    def stores(self) -> list[bytes]:
        return [(self.folder / "data" / stage / "store.jsonl").read_bytes() for stage in STAGES]

    def usage(self, stage: str) -> dict:
        return json.loads((self.folder / "reports" / "metrics" / f"{stage}.json").read_text("utf-8"))


def settings(server: Server, model: str, *more: str) -> list[str]:
    """What a user of this server assigns."""
    ours = ["teacher.kind=openai", f"teacher.openai.base_url={server.url}", f"teacher.openai.model={model}"]
    return [*ours, "teacher.openai.concurrency=4", *FEW, *more]


def connected(folder: Path, server: Server, model: str, *more: str) -> Connected:
    """A scratch clone whose teacher is a model of the server."""
    clone = scratch_clone(folder / "a clone")
    text = composed("smoke", settings(server, model, *more))
    (clone.folder / "params.yaml").write_text(text, encoding="utf-8")
    return Connected(clone.folder, server.key)


def assert_complete(clone: Connected, rationales: int, evaluations: int) -> None:
    """So many answers were had and each is usable; both reports are there."""
    assert len(clone.rows("01_generate/rationales.jsonl")) == rationales
    assert len(clone.rows("02_self_eval/evaluations.jsonl")) == evaluations
    for stage in STAGES:
        assert clone.rows(f"{stage}/failures.jsonl") == []
        assert all(row["attempts"] == 1 for row in clone.rows(f"{stage}/store.jsonl"))
        assert (clone.folder / "reports" / f"{stage}.html").exists()


def test_transformers_to_serve_is_the_projects_own():
    assert f"transformers[serving]=={version('transformers')}" in REQUIREMENTS.read_text("utf-8").splitlines()


# -- LiteLLM's proxy -----------------------------------------------------------------------------


@pytest.mark.slow
def test_stages_complete_behind_a_proxy_that_limits_the_key(tmp_path):
    """22 rationales and 16 evaluations (all rationales of a question are alike) at twelve calls a window."""
    with litellm_proxy(tmp_path, REPLY, key_limit=12, window=12) as proxy:
        clone = connected(tmp_path, proxy, MODEL)
        clone.generate_and_evaluate()
        statuses = proxy.statuses()
    assert_complete(clone, rationales=22, evaluations=40)
    assert [len(store.splitlines()) for store in clone.stores()] == [22, 16]
    assert set(statuses) == {200, 429}
    assert statuses[200] == 22 + 16
    assert statuses.total() <= 1.5 * statuses[200]

    before = clone.stores()
    clone.generate_and_evaluate()  # the proxy is gone: whatever was sent now would stop the stage
    assert clone.stores() == before


@pytest.mark.slow
def test_limit_of_the_model_by_the_minute_of_the_clock(tmp_path, monkeypatch):
    """The proxy does not say how long to wait: the calls that it refuses are answered when the minute is over."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with litellm_proxy(tmp_path, REPLY, model_limit=30) as proxy:
        monkeypatch.setenv("OPENAI_API_KEY", proxy.key)
        in_good_time_before_the_minute_is_over(seconds=10)
        started = time.time()
        answered = asked(tmp_path, proxy, MODEL, 36)
        ended, statuses = time.time(), proxy.statuses()
    assert len(answered) == 36
    assert {(response.text, response.failure) for response in answered.values()} == {(REPLY, None)}
    assert ended // 60 > started // 60
    assert statuses[200] == 36
    assert 1 <= statuses[429] <= 18


@pytest.mark.slow
def test_proxy_says_what_is_wrong(tmp_path, monkeypatch):
    """A key or a model that it does not know ends the run after the first few calls, in one line."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with litellm_proxy(tmp_path, REPLY) as proxy:
        monkeypatch.setenv("OPENAI_API_KEY", f"{proxy.key}x")
        with pytest.raises(UserError, match=r"^teacher mock: the key is not accepted \(HTTP 401\): [^\n]+$") as refused:
            asked(tmp_path, proxy, MODEL, 20)
        assert proxy.key not in str(refused.value)
        monkeypatch.setenv("OPENAI_API_KEY", proxy.key)
        with pytest.raises(UserError, match=r"^teacher mocking: [^\n]*HTTP 400: [^\n]*model=mocking[^\n]*$"):
            asked(tmp_path, proxy, "mocking", 20)
        assert proxy.statuses().total() <= 16


def in_good_time_before_the_minute_is_over(seconds: int) -> None:
    """Wait for the next minute where this one has fewer seconds left: a burst must not fall into two of them."""
    left = 60 - time.time() % 60
    if left < seconds:
        time.sleep(left + 0.5)


def asked(folder: Path, server: Server, model: str, number: int, *more: str) -> dict[str, Response]:
    """The answers to so many questions, without a notebook."""
    (folder / "params.yaml").write_text(composed("smoke", settings(server, model, *more)), encoding="utf-8")
    questions = [({"role": "user", "content": f"Q: How many are {i} and 2?"},) for i in range(number)]
    pending = [Pending(question[0]["content"], Request(question, 0.7, 64, 0)) for question in questions]
    answered: dict[str, Response] = {}
    open_teacher(load_config(folder / "params.yaml").teacher).complete_all(pending, answered.__setitem__)
    return answered


# -- transformers serve --------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("api", ["chat", "completions"])
def test_stages_complete_with_a_model_that_transformers_serves(tmp_path, api):
    """A model made by hand (see scripted_model), for random weights write no answers. Tokens are the server's count."""
    tokenizer = save_model(tmp_path / "model", samples=True)
    with transformers_serve(tmp_path) as server:
        clone = connected(tmp_path, server, str(tmp_path / "model"), f"teacher.openai.api={api}")
        clone.generate_and_evaluate()
        assert set(server.statuses()) == {200}
    rationales, evaluations = (clone.rows(f"{stage}/store.jsonl") for stage in STAGES)
    assert_complete(clone, rationales=len(rationales), evaluations=40)
    assert {row["text"].partition("\n")[0] for row in rationales} == {
        f" {verb} 3 to 4 gives seven. The answer is (3 + 4)." for verb in ("Adding", "Joining")
    }
    # The last token ends the text: the stop string for completions, the end of text for chats.
    assert {row["completion_tokens"] for row in rationales} == {{"chat": 16, "completions": 14}[api]}
    assert {row["completion_tokens"] for row in evaluations} == {7}
    assert [clone.usage(stage)["prompt_tokens"] for stage in STAGES] == prompt_tokens(clone, tokenizer, api)


def prompt_tokens(clone: Connected, tokenizer, api: str) -> list[int]:
    """How many tokens the prompts of 01 and 02 are for this tokenizer, each distinct request once."""
    config = load_config(clone.folder / "params.yaml")
    task = get_task(config.task)
    questions = read_rows(clone.folder / "data" / "01_generate" / "questions.jsonl", Question)
    rationales = read_rows(clone.folder / "data" / "01_generate" / "rationales.jsonl", Rationale)
    first = rationale_asks(questions, task, config.generate)
    second = evaluation_asks(questions, rationales, task, config.self_eval)
    return [sum(_length(ask.request, tokenizer, api) for ask in distinct(asks)) for asks in (first, second)]


def distinct(asks: list) -> list:
    """One ask of those that send the same."""
    return list({(ask.request.messages[-1]["content"], ask.request.sample): ask for ask in asks}.values())


def _length(request: Request, tokenizer, api: str) -> int:
    if api == "completions":
        return len(tokenizer(as_text(request.messages))["input_ids"])
    return len(tokenizer.apply_chat_template(list(request.messages), add_generation_prompt=True)["input_ids"])


@pytest.mark.slow
def test_model_that_does_not_sample_by_itself_is_told_to(tmp_path, monkeypatch):
    """`transformers serve` takes a temperature for a model whose own settings are greedy, and ignores it."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    model, to_sample = str(tmp_path / "model"), """{generation_config: '{"do_sample": true}'}"""
    save_model(tmp_path / "model", samples=False)
    with transformers_serve(tmp_path) as server:
        left_alone = asked(tmp_path, server, model, 20)
        told = asked(tmp_path, server, model, 20, f"teacher.openai.parameters={to_sample}")
        with pytest.raises(UserError, match=r"HTTP 422: Unexpected fields in the request: \{'top_k'\};"):
            asked(tmp_path, server, model, 20, "teacher.openai.parameters={top_k: 0}")
    assert not any(response.failure for response in [*left_alone.values(), *told.values()])
    assert len({response.text for response in left_alone.values()}) == 1
    assert len({response.text for response in told.values()}) == 2
