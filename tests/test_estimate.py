"""Estimates: by hand on small cases, and offline for every profile."""

from dataclasses import replace

import pytest
import yaml

from lib import paths
from lib.asking import Ask
from lib.config import load_config, parse_config
from lib.errors import UserError
from lib.estimate import Estimate, estimate, estimate_rationales, expected_questions, main, planned, report, sum_of
from lib.profile import composed
from lib.records import Question
from lib.refinement import chains_of
from lib.sampling import rationale_asks, sample_rationales
from lib.settings import Price
from lib.tasks import get_task
from lib.teacher import OneByOne, Pending, Request, Response, prompts
from lib.teacher.store import Store, request_key
from lib.teacher.terms import Terms

TASK = get_task("arithmetic")
CFG = load_config()
GENERATE = CFG.generate.model_copy(update={"rationales": 3, "exemplars": 2, "max_tokens": 64})
PROFILES = sorted(path.stem for path in (paths.ROOT / "params").glob("*.yaml"))


class Fake(OneByOne):
    identity, notes = "fake", ()

    def complete(self, request):
        second = prompts.reasoning_of(request.messages) is not None
        return Response("7." if second else "Seven. The answer is 7.", "stop", 10, 5)


def question(number: int, split: str = "train") -> Question:
    return Question(question_id=f"q{number}", task="arithmetic", split=split, text=f"{number} + 2?", gold_label="7")


def words(asks) -> int:
    return sum(len(message["content"].split()) for ask in asks for message in ask.request.messages)


def shown_mean(asks) -> float:
    shown = [len(m["content"].split()) for m in asks[0].request.messages if m["role"] == "assistant"]
    return sum(shown) / len(shown)


def test_an_estimate_counts_distinct_requests_by_the_exemplars_length():
    asks = rationale_asks([question(1), question(2, "test")], TASK, GENERATE)
    expected = round(4 * shown_mean(asks))
    assert estimate([*asks, *asks], Fake()) == Estimate(4, words(asks), expected, 4 * 64, None, None)


def test_only_what_the_store_lacks_is_counted_and_its_answers_tell_the_length(tmp_path):
    asks = rationale_asks([question(n) for n in range(8)], TASK, GENERATE)
    with Store(tmp_path / "s.jsonl") as store:
        teacher = Fake()
        first = [Pending(request_key("fake", ask.request), ask.request) for ask in asks[:21]]
        teacher.complete_all(first, store.put)
        assert estimate(asks, teacher, store) == Estimate(3, words(asks[21:]), 3 * 5, 3 * 64, None, None)
        teacher.complete_all([Pending(request_key("fake", ask.request), ask.request) for ask in asks[21:]], store.put)
        assert estimate(asks, teacher, store) == Estimate(0, 0, 0, 0, None, None)


def test_money_follows_the_price_table_at_most_at_the_limit():
    teacher = Fake()
    teacher.terms = Terms(Price(prompt=1.0, completion=10.0))
    request = Request(({"role": "user", "content": "one two"},), 0.0, 100, 0)
    found = estimate([Ask(question(1), request)], teacher)
    assert found == Estimate(1, 2, 100, 100, pytest.approx(0.001002), pytest.approx(0.001002))


def test_zero_shot_counts_a_second_call_for_each_first_one(tmp_path):
    settings = GENERATE.model_copy(update={"exemplars": 0})
    asks = rationale_asks([question(1)], TASK, settings)
    trigger = len(prompts.load_zero_shot("arithmetic").answer.split())
    found = estimate_rationales(asks, TASK, Fake())
    assert (found.calls, found.completion_tokens_at_most) == (6, 3 * 64 + 3 * 32)
    assert found.prompt_tokens == 2 * words(asks) + 3 * 64 + 3 * trigger
    with Store(tmp_path / "s.jsonl") as store:
        unchecked = replace(TASK, check=None)
        sample_rationales([question(1)], unchecked, Fake(), store, settings, lambda items, total, label: items)
        assert estimate_rationales(asks, TASK, Fake(), store).calls == 0


def test_the_plan_of_the_default_profile_counts_as_the_notebooks_do():
    stages = planned(CFG, expected_questions(CFG))
    assert stages["generate"].calls == 2000 * 5 + 600
    assert stages["self_eval"].calls == 2000 * 5 * 5 + 600
    assert stages["slc"] == Estimate(0, 0, 0, 0, None, None)


def test_refinement_is_planned_by_chain_and_round():
    """Three chains and one without imitation; two rounds of 100 questions and one of all 2000; 5 rationales each."""
    values = yaml.safe_load(composed("default", ["slc.refine.rounds=3", "generate.exemplars=0", "slc.judged=50"]))
    config = parse_config(values, "here")
    stages = planned(config, expected_questions(config))
    chains = chains_of(config.slc.refine, config.teacher)
    calls = len(chains) * (100 + 100 + 2000) * 5
    assert len(chains) == 4
    assert stages["slc"].calls == calls  # few-shot whatever 01 does, and a simulated teacher judges nothing
    assert stages["slc"].completion_tokens_at_most == calls * 256
    questions = expected_questions(config)
    one = parse_config({**values, "slc": {**values["slc"], "refine": {**values["slc"]["refine"], "rounds": 1}}}, "here")
    assert planned(one, questions)["slc"].calls == 4 * 2000 * 5
    assert sum_of(stages).calls == calls + stages["generate"].calls + stages["self_eval"].calls


def test_a_planned_round_is_as_large_as_what_it_sends():
    """The refinement's prompts with the file's own exemplars: the plan's prompt tokens are theirs."""
    values = yaml.safe_load(composed("default", ["slc.refine.rounds=1", "slc.refine.chains=[slc_high]"]))
    values["teacher"]["simulated"]["imitation"] = False
    config = parse_config(values, "here")
    found = planned(config, expected_questions(config))
    train = (found["generate"].calls - 600) / found["generate"].calls
    assert found["slc"].prompt_tokens == pytest.approx(found["generate"].prompt_tokens * train, rel=0.01)


def test_ratings_are_planned_where_a_teacher_can_judge():
    overrides = ["slc.judged=50", "teacher.kind=openai", "teacher.openai.model=gpt-4o-mini", "slc.keep=1"]
    config = parse_config(yaml.safe_load(composed("default", overrides)), "here")
    found = planned(config, expected_questions(config))["slc"]
    assert (found.calls, found.completion_tokens_at_most) == (50 * 5, 50 * 5 * 32)  # five strategies, five rationales
    assert 0 < found.money < found.money_at_most
    assert "\n  slc        250 calls, " in report(config)


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_prints_its_cost_offline(name, tmp_path, monkeypatch):
    values = yaml.safe_load(composed(name))
    monkeypatch.delenv(values["teacher"]["openai"]["key_variable"], raising=False)
    if values["teacher"]["kind"] == "recorded":
        recorded = tmp_path / "recorded.jsonl"
        recorded.write_text('{"question": "1 + 1?", "response": "Two. The answer is 2."}\n')
        values["teacher"]["recorded"]["path"] = str(recorded)
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(values))
    text = report(load_config(path))
    assert f"profile {name}" in text and "generate" in text
    openai = values["teacher"]["kind"] == "openai"
    assert ("no price" not in text) == openai


def test_limits_bound_the_published_sizes():
    values = yaml.safe_load(composed("paper-minds-mirror-cqa"))
    values["data"]["limits"] = {"train": 10, "validation": 3, "test": None}
    assert expected_questions(parse_config(values, "here")).sizes == {"train": 10, "validation": 3, "test": 1221}


def test_with_the_files_at_hand_the_figures_are_counted(real_data):
    values = yaml.safe_load(composed("paper-minds-mirror-svamp", [f"data.raw={real_data}/datasets/SVAMP/SVAMP.json"]))
    config = parse_config(values, "here")
    counted, published = planned(config, expected_questions(config)), expected_questions(config)
    assert published.known_from == "counted" and published.sizes == {"train": 720, "validation": 80, "test": 200}
    assert counted["generate"].calls == 3880


def test_the_command_line_says_what_is_wrong_in_one_line(capsys):
    assert main(["params/none.yaml"]) == 1
    assert capsys.readouterr().err == "error: params/none.yaml: no such file\n"
    assert main([]) == 0
    assert "profile default: arithmetic" in capsys.readouterr().out


def test_a_budget_without_a_price_is_refused():
    values = yaml.safe_load(composed("default", ["teacher.budget=5", "teacher.kind=openai", "teacher.openai.model=m"]))
    with pytest.raises(UserError, match=r"teacher.budget: 5 given, but no price of 'm' in teacher.prices: gpt-3.5"):
        report(parse_config(values, "here"))
