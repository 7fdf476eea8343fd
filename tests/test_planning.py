"""From arms to runs: what each learns from, how long, and which changes give it another id."""

from dataclasses import replace

import pytest
from tiny_world import STUDENT, TRAIN, data, runs

from lib.arms import make_arms
from lib.errors import UserError
from lib.planning import Run, chosen_rationales, plan_runs, unfed
from lib.records import Score
from lib.training import encode

PAPER = {
    "standard": {"explain": False},
    "1 CoT": {},
    "1 CoT w/ SE": {"evaluations": 2},
    "3 CoTs": {"rationales": 3},
    "3 CoTs w/ SE": {"rationales": 3, "evaluations": 2, "judge_sees": "question and rationale"},
    "majority": {"labels": "majority", "explain": False},
    "gold": {"labels": "gold", "rationales": 2},
}


def one(difference: dict, given=None, student=STUDENT, **changes) -> Run:
    """The only run of a lone arm."""
    train = TRAIN.model_copy(update=changes)
    [run], _ = plan_runs(make_arms({"arm": difference}, train), given or data(), train, student)
    return run


# -- what runs learn from --------------------------------------------------------------------------


def test_there_is_one_run_an_arm_and_seed():
    planned = runs(PAPER, seeds=[3, 1])
    assert [(run.arm, run.seed) for run in planned] == [(name, seed) for name in PAPER for seed in (3, 1)]
    assert len({run.id for run in planned}) == len(planned)


@pytest.mark.parametrize(
    ("arm", "first", "second"),
    [
        ("standard", 0, 4),
        ("1 CoT", 0, 4),
        ("1 CoT w/ SE", 8, 4),
        ("3 CoTs", 0, 12),
        ("3 CoTs w/ SE", 24, 12),
        ("majority", 0, 4),
        ("gold", 0, 8),
    ],
)
def test_each_arm_learns_from_its_share(arm, first, second):
    run = one(PAPER[arm])
    assert (len(run.evaluation_phase), len(run.reasoning_phase)) == (first, second)
    assert len({e.id for e in (*run.evaluation_phase, *run.reasoning_phase)}) == first + second


def test_labels_are_those_of_the_recipe():
    def labels(arm: str) -> list[str]:
        return [e.label for e in one(PAPER[arm]).reasoning_phase if e.source.startswith("Ann")]

    assert labels("3 CoTs") == ["(10 + 2)", "(2 + 10)", "(10 - 2)"]
    assert labels("majority") == ["(10 + 2)"]
    assert labels("gold") == ["(10 + 2)"] * 2
    assert {e.rationale for e in one(PAPER["standard"]).reasoning_phase} == {None}


def test_nothing_held_out_is_learned_from():
    world = data()
    held_out = [q for q in world.questions.values() if q.split != "train"]
    texts = [q.text for q in held_out] + [r.text for r in world.rationales if r.split != "train"]
    texts += [e.critique for e in world.evaluations if e.split != "train"]
    assert len(texts) == 12
    for run in runs(PAPER, world):
        for example in (*run.evaluation_phase, *run.reasoning_phase):
            assert example.id.split("/")[0] not in {q.question_id for q in held_out}
            learned = " | ".join(text for pair in example.pairs() for text in pair)
            assert not [text for text in texts if text in learned]
    assert not [text for text in texts if text in world.training_texts()]


def test_all_that_is_learned_is_known_to_the_tokenizer():
    for run in runs(PAPER):
        unknown = run.tokenizer.unk_token_id
        for encoded in encode(run.tokenizer, (*run.evaluation_phase, *run.reasoning_phase)):
            assert all(unknown not in source + target for source, target in encoded.pairs)


def test_runs_are_measured_on_validation_and_test():
    plain, judging = one({}), one({"evaluations": 1})
    assert [q.question_id for q in plain.held_out.validation] == ["validation-0", "validation-1"]
    assert [q.question_id for q in plain.held_out.test] == ["test-0", "test-1"]
    assert plain.held_out.judged == ()
    judged = [(r.id, text, verdict) for r, text, verdict in judging.held_out.judged]
    world = {r.id: r.text for r in data().rationales}
    assert judged == [(f"test-{i}/000", world[f"test-{i}/000"], "correct") for i in range(2)]


def test_a_judge_that_sees_the_question_is_shown_it_on_test_too():
    run = one({"evaluations": 1, "judge_sees": "question and rationale"})
    assert run.evaluation_phase[0].source.startswith("Ann has")
    assert [text.split(" has ")[0] for _, text, _ in run.held_out.judged] == ["Gus", "Hal"]


def test_the_strategy_chooses():
    measured = dict.fromkeys(("slc", "pmi", "rd_masked", "rd_own", "log_p", "log_p_answer"), 0.0)
    world = data()
    world.scores = [
        Score(question_id=r.question_id, sample=r.sample, scorer="t5", tokens=1, rd=3.0 - r.sample, **measured)
        for r in world.rationales
    ]
    assert {e.id[-3:] for e in one({"select": "rd_low"}, world).reasoning_phase} == {"002"}
    assert {e.id[-3:] for e in one({"select": "rd_high"}, world).reasoning_phase} == {"000"}
    assert sorted(chosen_rationales(one({}).recipe, world)) == [f"train-{i}" for i in range(4)]


def test_a_strategy_that_selects_nothing_feeds_no_arm():
    with pytest.raises(UserError, match="strategy 'rd_low' selects no rationale"):
        one({"select": "rd_low"})  # nothing was scored


def test_an_unknown_strategy_is_refused_with_those_there_are():
    with pytest.raises(UserError, match=r"no strategy 'best'; strategies: first, .*rd_low") as error:
        one({"select": "best"})
    assert "\n" not in str(error.value)


# -- ids -------------------------------------------------------------------------------------------


def test_a_name_or_comparison_is_no_part_of_a_runs_id():
    ids = [run.id for run in runs({"a": {}, "b": {"rationales": 3, "against": ["a"]}})]
    assert [run.id for run in runs({"my first": {}, "mine": {"rationales": 3}})] == ids
    assert [run.id for run in runs({"b": {"rationales": 3}, "c": {"explain": False}, "a": {}})][::2] == ids[::-1]


@pytest.mark.parametrize(
    "change", [{"workers": 7}, {"unfed": "skip"}, {"headline": "other"}, {"labels": ["gold"]}, {"self_eval_steps": 9}]
)
def test_what_does_not_change_training_is_no_part_of_a_runs_id(change):
    assert one({}, **change).id == one({}).id


def test_seeds_may_come_in_any_order_and_number():
    ids = {run.seed: run.id for run in runs({"a": {}}, seeds=[0, 1, 2])}
    assert {run.seed: run.id for run in runs({"a": {}}, seeds=[2, 0])} == {seed: ids[seed] for seed in (2, 0)}
    assert len(set(ids.values())) == 3


def test_rows_may_come_in_any_order():
    world = data()
    turned = replace(world, rationales=world.rationales[::-1], evaluations=world.evaluations[::-1])
    arms = {"plain": {}, "voted": {"labels": "majority", "rationales": 3}}
    assert [run.id for run in runs(arms, turned)] == [run.id for run in runs(arms, world)]


def test_a_recipe_spelt_out_is_the_same_recipe():
    assert one({"lam": 0.5, "steps": 4, "rationales": 1, "select": "first"}).id == one({}).id


@pytest.mark.parametrize(
    "difference",
    [
        {"lam": 0.4},
        {"steps": 5},
        {"rationales": 2},
        {"explain": False},
        {"labels": "gold"},
        {"evaluations": 1},
        {"select": "random"},
    ],
)
def test_another_recipe_is_another_run(difference):
    assert one(difference).id != one({}).id


@pytest.mark.parametrize(
    "change",
    [
        {"lam": 0.4},
        {"steps": 5},
        {"batch": 3},
        {"learning_rate": 0.01},
        {"warmup_steps": 0},
        {"optimizer": "adamw"},
        {"reduction": "tokens"},
        {"validations": 1},
        {"seeds": [1]},
    ],
)
def test_other_training_is_another_run(change):
    assert one({}, **change).id != one({}).id


@pytest.mark.parametrize(
    "change", [{"judge_sees": "question and rationale"}, {"self_eval_steps": 2}, {"evaluations": 2}]
)
def test_phase_one_is_part_of_the_id_where_there_is_one(change):
    assert one({"evaluations": 1, **change}).id != one({"evaluations": 1}).id


@pytest.mark.parametrize("change", [{"dropout": 0.2}, {"d_ff": 64}, {"max_label_tokens": 9}])
def test_another_student_is_another_run(change):
    assert one({}, student=STUDENT.model_copy(update=change)).id != one({}).id


def with_row(change: dict, kind: str, i: int):
    """The world with one field of one question or rationale changed."""
    world = data()
    if kind == "rationale":
        world.rationales[i] = world.rationales[i].model_copy(update=change)
    else:
        name = list(world.questions)[i]
        world.questions[name] = world.questions[name].model_copy(update=change)
    return world


@pytest.mark.parametrize(
    ("kind", "i", "change"),
    [
        ("rationale", 0, {"text": "There were 10 pens. The answer is (10 + 2)."}),
        ("rationale", 0, {"teacher_label": "(10 - 2)"}),
        ("question", 0, {"text": "Ann has 10 pens. How many pens are there now?"}),  # train
        ("question", 4, {"gold_label": "(1 + 1)"}),  # validation: other weights may be chosen
        ("question", 6, {"text": "Gus has 10 pens. How many pens are there now?"}),  # test: other predictions
    ],
)
def test_other_data_are_another_run(kind, i, change):
    assert one({}, with_row(change, kind, i)).id != one({}).id


# -- matched steps and tokens ------------------------------------------------------------------------

MATCHED = {
    "3 CoTs w/ SE": {"rationales": 3, "evaluations": 2},
    "steps": {"explain": False, "steps_of": "3 CoTs w/ SE"},
    "tokens": {"explain": False, "tokens_of": "3 CoTs w/ SE"},
    "tokens of labels": {"rationales": 3, "tokens_of": "labels"},
    "labels": {"explain": False, "steps": 40},
}


def tokens_of_a_step(run: Run) -> float:
    encoded = encode(run.tokenizer, run.reasoning_phase)
    return run.train.batch * sum(e.tokens for e in encoded) / len(encoded)


def test_steps_of_counts_both_phases():
    planned = {run.arm: run for run in runs(MATCHED)}
    assert planned["3 CoTs w/ SE"].recipe.steps == 4
    assert planned["steps"].recipe.steps == 4 + 3
    own_phase_one = runs({**MATCHED, "both": {"evaluations": 1, "self_eval_steps": 2, "steps_of": "3 CoTs w/ SE"}})
    assert own_phase_one[-1].recipe.steps == 4 + 3 - 2


def test_tokens_of_comes_within_one_step():
    planned = {run.arm: run for run in runs(MATCHED)}
    for arm, other in (("tokens", "3 CoTs w/ SE"), ("tokens of labels", "labels")):
        assert abs(planned[arm].tokens - planned[other].tokens) <= tokens_of_a_step(planned[arm])
        assert planned[arm].recipe.steps != planned[other].recipe.steps


def test_the_tokens_of_a_run_are_its_steps_times_the_mean_of_a_step():
    run = one({"evaluations": 2})
    first = encode(run.tokenizer, run.evaluation_phase)
    expected = 3 * 4 * sum(e.tokens for e in first) / len(first) + 4 * tokens_of_a_step(run)
    assert run.tokens == pytest.approx(expected, abs=0.51)


def test_a_matched_run_is_the_run_with_those_steps():
    matched = runs(MATCHED)[1]
    assert matched.id == one({"explain": False, "steps": 7}).id
    assert (matched.recipe.steps_of, matched.recipe.tokens_of) == (None, None)


def test_an_arm_can_be_planned_alone_and_matched_to_one_that_is_not():
    arms = make_arms(MATCHED, TRAIN)
    alone, _ = plan_runs(arms, data(), TRAIN, STUDENT, only=["tokens"])
    assert [(run.arm, run.id) for run in alone] == [("tokens", runs(MATCHED)[2].id)]


# -- arms that cannot be fed -------------------------------------------------------------------------

HUNGRY = {
    "1 CoT": {},
    "5 CoTs": {"rationales": 5},
    "1 CoT w/ SE": {"evaluations": 3},
    "steps of 5 CoTs": {"steps_of": "5 CoTs"},
    "tokens of w/ SE": {"tokens_of": "1 CoT w/ SE"},
}
REASONS = {
    "5 CoTs": "needs 5 rationales a question, at most 3 were written",
    "1 CoT w/ SE": "needs 3 self-evaluations a rationale, at most 2 were written",
    "steps of 5 CoTs": "matched to '5 CoTs', which is skipped",
    "tokens of w/ SE": "matched to '1 CoT w/ SE', which is skipped",
}


def test_unfed_arms_are_skipped_with_the_reason_and_so_are_those_matched_to_them():
    train = TRAIN.model_copy(update={"unfed": "skip"})
    planned, skipped = plan_runs(make_arms(HUNGRY, train), data(), train, STUDENT)
    assert [run.arm for run in planned] == ["1 CoT"]
    assert skipped == REASONS


def test_unfed_arms_are_refused_where_the_settings_say_so():
    with pytest.raises(UserError) as error:
        runs(HUNGRY)
    for name, reason in REASONS.items():
        assert f"arm {name!r}: {reason}" in str(error.value)
    assert "'1 CoT'" not in str(error.value)
    assert "\n" not in str(error.value)


def test_where_no_arm_can_be_fed_there_is_no_run():
    train = TRAIN.model_copy(update={"unfed": "skip"})
    planned, skipped = plan_runs(make_arms({"5 CoTs": {"rationales": 5}}, train), data(), train, STUDENT)
    assert (planned, list(skipped)) == ([], ["5 CoTs"])


def test_none_of_the_arms_asked_for_is_no_run():
    assert plan_runs(make_arms({"1 CoT": {}}, TRAIN), data(), TRAIN, STUDENT, only=[]) == ([], {})


def test_only_the_arms_asked_for_are_refused():
    planned, skipped = plan_runs(make_arms(HUNGRY, TRAIN), data(), TRAIN, STUDENT, only=["1 CoT"])
    assert [run.arm for run in planned] == ["1 CoT"]
    assert skipped == {}


def test_an_arm_with_no_evaluations_to_learn_from_is_unfed():
    arm = make_arms({"w/ SE": {"evaluations": 1}}, TRAIN)["w/ SE"]
    assert unfed(arm, data(evaluations=0)) == "needs 1 self-evaluations a rationale, at most 0 were written"
    assert unfed(arm, data(evaluations=1)) is None


def test_gold_arms_need_gold_labels_of_train_questions_only():
    arm = make_arms({"H": {"labels": "gold"}}, TRAIN)["H"]
    assert unfed(arm, with_row({"gold_label": None}, "question", 0)) == "needs a gold label for every train question"
    assert unfed(arm, with_row({"gold_label": None}, "question", 7)) is None
