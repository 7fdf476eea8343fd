"""From arms to runs: what each learns from, how long, and which changes give it another id."""

from dataclasses import replace

import pytest
from pools import candidate
from tiny_world import STUDENT, TRAIN, data, runs

from lib.arms import make_arms
from lib.encoding import encode
from lib.errors import UserError
from lib.planning import Run, plan_runs, recipe_keys, student_keys, train_keys
from lib.records import Refined
from lib.settings import Train

STUDENTS = {"base": STUDENT}
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
    [run], _ = plan_runs(make_arms({"arm": difference}, train), given or data(), train, {"base": student})
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


# -- ids -------------------------------------------------------------------------------------------


def test_a_name_or_comparison_is_no_part_of_a_runs_id():
    ids = [run.id for run in runs({"a": {}, "b": {"rationales": 3, "against": ["a"]}})]
    assert [run.id for run in runs({"my first": {}, "mine": {"rationales": 3}})] == ids
    assert [run.id for run in runs({"b": {"rationales": 3}, "c": {"explain": False}, "a": {}})][::2] == ids[::-1]


# Settings of section `train` that decide nothing, or no more than how numbers are rounded, each with another value.
DECIDE_NOTHING = {
    "workers": 7, "unfed": "skip", "headline": "other", "backend": "ray", "devices": 2,
    "checkpointing": True, "pass_tokens": 99, "compile": True,
}  # fmt: skip
ELSEWHERE = {"labels": ["gold"], "self_eval_steps": 9}  # make arms of their own; of an arm with self-evaluation


@pytest.mark.parametrize("key", [*DECIDE_NOTHING, *ELSEWHERE])
def test_what_does_not_change_training_is_no_part_of_a_runs_id(key):
    change = {key: (DECIDE_NOTHING | ELSEWHERE)[key]}
    assert one({}, **change).id == one({}).id


def test_each_setting_of_training_is_hashed_or_known_to_decide_nothing():
    """Seeds and arms are runs: the seed and the recipe of each are hashed by themselves."""
    hashed = train_keys(TRAIN).keys() | recipe_keys(one({}).recipe).keys()
    assert Train.model_fields.keys() - hashed == {*DECIDE_NOTHING, "seeds", "arms"}


@pytest.mark.parametrize(
    "change", [
        {"keep": "last"}, {"patience": 2}, {"precision": "bf16"}, {"bucket": 1}, {"batch": 3}, {"learning_rate": 0.01},
        {"optimizer": "adamw"}, {"reduction": "tokens"}, {"validations": 1}, {"warmup_steps": 0},
    ],
)  # fmt: skip
def test_a_setting_that_changes_what_is_learned_is_part_of_the_id(change):
    assert one({}, **change).id != one({}).id
    assert train_keys(TRAIN.model_copy(update=change)) == train_keys(TRAIN) | change


def test_precision_is_hashed_as_what_it_comes_to_here(monkeypatch):
    assert one({}, precision="fp32").id == one({}, precision="auto").id
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda: True)
    assert train_keys(TRAIN)["precision"] == "bf16"


def test_seeds_may_come_in_any_order_and_number():
    ids = {run.seed: run.id for run in runs({"a": {}}, seeds=[0, 1, 2])}
    assert {run.seed: run.id for run in runs({"a": {}}, seeds=[2, 0])} == {seed: ids[seed] for seed in (2, 0)}
    assert len(set(ids.values())) == 3


def test_the_seed_of_a_run_chooses_its_rationales():
    planned = runs({"random": {"select": "random"}, "first": {}}, seeds=[0, 1, 2, 3])
    drawn = {run.seed: run.reasoning_phase for run in planned if run.arm == "random"}
    assert len(set(drawn.values())) > 1
    assert len({run.reasoning_phase for run in planned if run.arm == "first"}) == 1
    alone = runs({"random": {"select": "random"}}, seeds=[2])
    assert [(run.id, run.reasoning_phase) for run in alone] == [(planned[2].id, drawn[2])]


@pytest.mark.parametrize("select", ["random", "all", "random | take(3)", "distinct(1.0)", "slc_low"])
@pytest.mark.parametrize("rest", [{}, {"evaluations": 2}, {"labels": "majority", "explain": False}])
def test_strategies_that_take_all_there_are_are_one_run(select, rest):
    world = data()
    if select == "slc_low":
        row = candidate(0).score
        own = [r for r in world.rationales if r.split == "train"]
        slc = [{"question_id": r.question_id, "sample": r.sample, "slc": 9.0 - r.sample} for r in own]
        world = replace(world, scores=[row.model_copy(update=one) for one in slc])
    plain, other = (one({"rationales": 3, **how, **rest}, world) for how in ({}, {"select": select}))
    assert other.id == plain.id
    assert (other.recipe.select, other.plain) == (select, plain.plain)  # the arm keeps its own words
    assert plain.plain == plain.recipe
    assert (other.reasoning_phase, other.evaluation_phase) == (plain.reasoning_phase, plain.evaluation_phase)


@pytest.mark.parametrize("difference", [{"rationales": 2, "select": "random"}, {"rationales": 3, "select": "accurate"}])
def test_a_strategy_that_leaves_some_out_is_a_run_of_its_own(difference):
    rationales = difference["rationales"]
    run = one(difference)
    assert run.id != one({"rationales": rationales}).id and run.plain.select == difference["select"]


def test_what_takes_all_of_one_question_and_not_of_another_is_a_run_of_its_own():
    world = data()
    [first] = [r for r in world.rationales if r.id == "train-0/000"]
    twice = replace(world, rationales=[r for r in world.rationales if r.id != "train-0/001"] + [
        first.model_copy(update={"sample": 1})])  # fmt: skip
    assert one({"rationales": 3, "select": "distinct(1.0)"}, twice).plain.select == "distinct(1.0)"


def test_tokens_are_matched_to_the_run_of_the_same_seed():
    arms = {"random": {"select": "random", "steps": 60}, "matched": {"explain": False, "tokens_of": "random"}}
    planned = runs(arms, seeds=[0, 1, 2, 3])
    theirs = {run.seed: run.tokens for run in planned if run.arm == "random"}
    own = [run for run in planned if run.arm == "matched"]
    assert len(set(theirs.values())) > 1
    for run in own:
        assert abs(run.tokens - theirs[run.seed]) <= tokens_of_a_step(run)
    assert [run.id for run in runs(arms, seeds=[3])] == [planned[3].id, own[3].id]


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
    alone, _ = plan_runs(arms, data(), TRAIN, STUDENTS, only=["tokens"])
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
    planned, skipped = plan_runs(make_arms(HUNGRY, train), data(), train, STUDENTS)
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
    planned, skipped = plan_runs(make_arms({"5 CoTs": {"rationales": 5}}, train), data(), train, STUDENTS)
    assert (planned, list(skipped)) == ([], ["5 CoTs"])


def test_none_of_the_arms_asked_for_is_no_run():
    assert plan_runs(make_arms({"1 CoT": {}}, TRAIN), data(), TRAIN, STUDENTS, only=[]) == ([], {})


def test_only_the_arms_asked_for_are_refused():
    planned, skipped = plan_runs(make_arms(HUNGRY, TRAIN), data(), TRAIN, STUDENTS, only=["1 CoT"])
    assert [run.arm for run in planned] == ["1 CoT"]
    assert skipped == {}


# -- students and formats ----------------------------------------------------------------------------

SMALL, GPT2 = STUDENT.model_copy(update={"d_model": 8}), STUDENT.model_copy(update={"architecture": "gpt2"})
SEVERAL = {"base": STUDENT, "small": SMALL, "gpt2": GPT2}


def several(arms: dict, given=None) -> dict[str, Run]:
    planned, _ = plan_runs(make_arms(arms, TRAIN), given or data(), TRAIN, SEVERAL)
    return {run.arm: run for run in planned}


def test_each_arm_has_its_own_student_and_tokenizer():
    planned = several({"a": {}, "b": {"student": "small"}, "c": {"student": "gpt2"}})
    assert [run.student for run in planned.values()] == list(SEVERAL.values())
    assert planned["b"].tokenizer.get_vocab() == planned["a"].tokenizer.get_vocab()
    assert (planned["a"].tokenizer.bos_token, planned["c"].tokenizer.bos_token) == (None, "<s>")


def test_what_a_student_is_called_is_no_part_of_a_runs_id():
    planned = several({"small": {"student": "small"}, "own": {"student": "small", "scorer": "small"}})
    assert planned["small"].id == planned["own"].id == one({}, student=SMALL).id
    assert planned["small"].id != one({}).id


@pytest.mark.parametrize("key", ["student", "scorer"])
def test_an_unknown_student_is_refused_with_those_there_are(key):
    with pytest.raises(UserError) as error:
        several({"a": {}, "b": {key: "tiny"}})
    assert str(error.value) == f"arm 'b': {key}: no student 'tiny'; students: base, small, gpt2"


def test_tokens_are_those_of_the_arms_own_student():
    arms = {"t5": {}, "gpt2": {"student": "gpt2"}, "matched": {"student": "gpt2", "tokens_of": "t5"}}
    planned = several({name: {**arm, "steps": 40} for name, arm in arms.items()})
    for name in ("t5", "gpt2"):
        run = planned[name]
        encoded = encode(run.tokenizer, run.reasoning_phase, name == "gpt2")
        mean = sum(e.tokens for e in encoded) / len(encoded)
        assert run.tokens == pytest.approx(40 * 4 * mean, abs=0.51)
    assert planned["gpt2"].tokens > planned["t5"].tokens  # ### are three tokens of words
    assert planned["matched"].recipe.steps < 40 == planned["gpt2"].recipe.steps


FIRST = {"format": "rationale then answer"}


def test_a_rationale_that_comes_first_is_one_task_whose_words_are_all_known():
    planned = several({"t5": FIRST, "gpt2": {**FIRST, "student": "gpt2"}, "plain": {}})
    for name in ("t5", "gpt2"):
        run = planned[name]
        example = run.reasoning_phase[0]
        assert example.pairs() == [(example.source, "There were 10 pens. 10 + 2 = 12. --> (10 + 2)")]
        for encoded in encode(run.tokenizer, run.reasoning_phase, name == "gpt2"):
            assert all(run.tokenizer.unk_token_id not in source + target for source, target in encoded.pairs)
    assert set(planned["t5"].tokenizer.get_vocab()) - set(planned["plain"].tokenizer.get_vocab()) == {">"}


def test_the_format_is_part_of_the_id_where_something_is_explained():
    assert one(FIRST).id != one({}).id
    assert one({**FIRST, "lam": 0.4}).id == one(FIRST).id  # there is one task, so nothing is weighed
    assert one({**FIRST, "explain": False}).id == one({"explain": False}).id


def test_refined_rationales_are_another_run_and_their_texts_are_known():
    world = data()
    rewritten = world.rationales[0].model_copy(update={"text": "Rewritten. The answer is (10 + 2)."})
    world.refined = [Refined(**rewritten.model_dump(), chain="slc_high", round=1)]
    planned = several({"first": {"chain": "slc_high", "round": 1}, "originals": {"chain": "slc_high"}}, world)
    assert [e.rationale for e in planned["first"].reasoning_phase] == [rewritten.text]
    assert "Rewritten" in planned["first"].tokenizer.get_vocab()
    assert planned["originals"].id == several({"plain": {}}, world)["plain"].id
    assert len(planned["originals"].reasoning_phase) == 4


# -- what is hashed ----------------------------------------------------------------------------

PLAIN_RECIPE = {
    "rationales": 1, "select": "first", "explain": True, "labels": "teacher", "evaluations": 0,
    "judge_sees": "rationale", "lam": 0.5, "steps": 4, "self_eval_steps": 3, "steps_of": None, "tokens_of": None,
}  # fmt: skip
SCRATCH = {
    "source": "scratch", "architecture": "t5",
    "tokenizer": "words", "d_model": 16, "d_ff": 32, "layers": 1, "heads": 2, "dropout": 0.1,
    "max_source_tokens": 64, "max_target_tokens": 32, "max_label_tokens": 8, "max_truncated_share": 0.0,
}  # fmt: skip


# Of runs that were trained already: whoever changes one of these trains all of them again.
IDS = [
    ({"explain": False}, "134e331a36029ba7"),
    ({"rationales": 3}, "b7174b7dbd4da991"),
    ({"evaluations": 2}, "13c21b18e3c430f2"),
    ({"labels": "majority", "explain": False}, "5046ad6ac90d2bc5"),
    ({"labels": "gold", "rationales": 2}, "f5a1becc29b86bbe"),
    ({"rationales": 3, "select": "random"}, "b7174b7dbd4da991"),
    ({"select": "random"}, "e50a26a9af32c913"),
    ({"format": "rationale then answer"}, "8b7642b58bd5e6dc"),
]


def test_keys_that_decide_nothing_are_not_hashed():
    run = one({})
    assert recipe_keys(run.recipe) == PLAIN_RECIPE
    assert student_keys(run.student) == SCRATCH
    assert run.id == "d959b374242d31fb"


@pytest.mark.parametrize(("difference", "id"), IDS)
def test_ids_stay_as_they_are(difference, id):
    assert one(difference).id == id


def test_keys_that_say_something_are_hashed():
    assert recipe_keys(one(FIRST).recipe) == {**PLAIN_RECIPE, **FIRST}
    assert student_keys(GPT2) == {**SCRATCH, "architecture": "gpt2"}
    pretrained = GPT2.model_copy(update={"source": "some/gpt2"})
    assert student_keys(pretrained) == {k: v for k, v in SCRATCH.items() if k != "architecture"} | {
        "source": "some/gpt2"
    }  # it is what its checkpoint is
