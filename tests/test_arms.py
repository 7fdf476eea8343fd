"""Arms: differences from the base recipe, refused by name when they make no sense."""

import pytest
from tiny_world import TRAIN

from lib.arms import Recipe, counterparts, make_arms, with_labels
from lib.config import load_config
from lib.errors import UserError


def refused(differences, where="train.arms") -> str:
    with pytest.raises(UserError) as error:
        make_arms(differences, TRAIN, where)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_not_given_is_the_base_recipe():
    arm = make_arms({"1 CoT": {}}, TRAIN)["1 CoT"]
    assert arm.recipe == Recipe(lam=0.5, steps=4, self_eval_steps=3)
    assert (arm.recipe.rationales, arm.recipe.labels) == (1, "teacher")
    assert (arm.recipe.explain, arm.recipe.evaluations) == (True, 0)
    assert arm.against == ()


def test_what_is_given_differs():
    given = {"rationales": 5, "select": "rd_low", "lam": 0.1, "steps": 9, "against": ["1 CoT"]}
    arm = make_arms({"1 CoT": {}, "5 CoTs": given}, TRAIN)["5 CoTs"]
    assert (arm.recipe.rationales, arm.recipe.select, arm.recipe.lam, arm.recipe.steps) == (5, "rd_low", 0.1, 9)
    assert arm.against == ("1 CoT",)


def test_the_arms_of_the_default_profile_are_the_papers_and_their_controls():
    arms = make_arms(load_config().train.arms, load_config().train)
    assert {"standard", "1 CoT", "1 CoT w/ SE", "5 CoTs", "5 CoTs w/ SE", "5 labels", "majority label"} <= set(arms)
    for name in ("1 CoT w/ SE", "5 CoTs w/ SE"):
        assert any(arms[other].recipe.steps_of for other in arms[name].against), name
    for name in ("1 CoT", "1 CoT w/ SE", "5 CoTs", "5 CoTs w/ SE"):
        assert any(arms[other].recipe.tokens_of for other in arms[name].against), name


def test_a_misspelt_key_is_refused_with_the_allowed_ones():
    message = refused({"mine": {"rationals": 5}}, where="ARMS")
    assert message.startswith("ARMS: 'mine': unknown key 'rationals'; allowed: rationales, select, explain, labels")
    assert message.endswith("against")


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        ({"labels": "silver"}, "labels: Input should be 'teacher', 'gold' or 'majority' (given 'silver')"),
        ({"judge_sees": "all"}, "judge_sees: Input should be 'rationale' or 'question and rationale' (given 'all')"),
        ({"rationales": 0}, "rationales: Input should be greater than or equal to 1 (given 0)"),
        ({"evaluations": -1}, "evaluations: Input should be greater than or equal to 0 (given -1)"),
        ({"lam": -0.5}, "lam: Input should be greater than or equal to 0 (given -0.5)"),
        ({"steps": "many"}, "steps: Input should be a valid integer"),
        ({"rationales": 2.5}, "(given 2.5)"),
        ({"against": 3}, "allowed keys: rationales"),
        (5, "expected keys and values, given 5"),
        ({"format": "cot"}, "format: Input should be 'multitask' or 'rationale then answer' (given 'cot')"),
        ({"round": -1}, "round: Input should be greater than or equal to 0 (given -1)"),
        ({"select": "best"}, "select: "),
        ({"select": "accurate | best"}, "rd_low"),
        ({"format": "rationale then answer", "evaluations": 1}, "which takes format: multitask; allowed: 0"),
        (
            {"round": 2, "chain": "slc_high", "evaluations": 1},
            "2: refined rationales have no self-evaluations; allowed",
        ),
    ],
)
def test_a_wrong_value_is_refused_under_the_arms_name(difference, said):
    message = refused({"mine": difference})
    assert message.startswith("train.arms: 'mine': ")
    assert said in message


@pytest.mark.parametrize("key", ["steps_of", "tokens_of"])
def test_an_unknown_arm_to_match_is_refused_with_those_there_are(key):
    message = refused({"a, long": {}, "b": {key: "c"}})
    assert message == f"train.arms: 'b': {key}: no other arm 'c'; arms: 'a, long'"


def test_an_unknown_arm_to_compare_with_is_refused():
    assert "'b': against: no other arm 'c'; arms: 'a'" in refused({"a": {}, "b": {"against": ["a", "c"]}})


def test_an_arm_is_not_matched_to_itself():
    assert "no other arm 'a'" in refused({"a": {"steps_of": "a"}})


def test_an_arm_is_not_matched_to_one_that_is_itself_matched():
    message = refused({"a": {}, "b": {"steps_of": "a"}, "c": {"tokens_of": "b"}})
    assert message == "train.arms: 'c' is matched to 'b', which is itself matched to another arm"


ARMS = make_arms(
    {
        "standard": {"explain": False},
        "voted": {"labels": "majority", "against": ["standard"]},
        "1 CoT": {"against": ["standard", "voted", "as long"]},
        "as long": {"steps_of": "1 CoT", "explain": False},
        "as dear": {"tokens_of": "1 CoT"},
    },
    TRAIN,
)


def test_teacher_labels_alone_change_nothing():
    assert with_labels(ARMS, ["teacher"]) == ARMS


def test_gold_labels_make_a_second_arm_of_each_that_does_not_fix_its_own():
    both = with_labels(ARMS, ["teacher", "gold"])
    assert list(both) == [*ARMS, "standard (H)", "1 CoT (H)", "as long (H)", "as dear (H)"]
    assert {name: both[name] for name in ARMS} == ARMS
    assert {both[name].recipe.labels for name in both if name.endswith("(H)")} == {"gold"}
    assert all(both[name].name == name for name in both)


def test_gold_arms_are_matched_to_and_compared_with_gold_arms():
    gold = with_labels(ARMS, ["gold"])
    assert list(gold) == ["standard (H)", "1 CoT (H)", "as long (H)", "as dear (H)", "voted"]
    assert gold["as long (H)"].recipe.steps_of == "1 CoT (H)"
    assert gold["as dear (H)"].recipe.tokens_of == "1 CoT (H)"
    assert gold["1 CoT (H)"].against == ("standard (H)", "voted", "as long (H)")  # the vote has no gold counterpart


def test_an_arm_may_be_matched_to_one_with_labels_of_its_own_under_gold_labels():
    arms = make_arms({"voted": {"labels": "majority"}, "as long": {"steps_of": "voted", "explain": False}}, TRAIN)
    assert with_labels(arms, ["gold"])["as long (H)"].recipe.steps_of == "voted"


def test_against_takes_one_name_too():
    arms = make_arms({"standard": {"explain": False}, "1 CoT": {"against": "standard"}}, TRAIN)
    assert arms["1 CoT"].against == ("standard",)


def test_two_ways_of_matching_are_refused():
    both = {"a": {}, "b": {"steps_of": "a", "tokens_of": "a"}}
    with pytest.raises(UserError, match="'b': give steps_of or tokens_of, not both"):
        make_arms(both, TRAIN)


def recipe(**difference) -> Recipe:
    return make_arms({"mine": difference}, TRAIN)["mine"].recipe


def test_the_students_own_scores_choose_unless_another_is_named():
    assert recipe().scored_by == "base"
    assert recipe(student="small").scored_by == "small"
    assert recipe(student="small", scorer="large").scored_by == "large"


def test_a_rationale_comes_first_only_where_there_is_one():
    assert recipe(format="rationale then answer").rationale_first
    assert not recipe().rationale_first
    assert not recipe(format="rationale then answer", explain=False, evaluations=1).rationale_first


def test_strategies_may_be_joined():
    assert recipe(select="accurate | distinct(0.8) | rd_low").select == "accurate | distinct(0.8) | rd_low"


def test_an_arm_with_self_evaluation_has_its_like_however_both_are_written():
    written = {
        "labels": {"explain": False},
        "1 CoT": {},
        "again": {"rationales": 1},
        "w/ SE": {"rationales": 1, "evaluations": 5, "self_eval_steps": 2, "judge_sees": "question and rationale"},
        "2 w/ SE": {"rationales": 2, "evaluations": 5},
    }
    arms = make_arms(written, TRAIN)
    assert counterparts({name: arm.recipe for name, arm in arms.items()}) == {"w/ SE": "1 CoT"}
