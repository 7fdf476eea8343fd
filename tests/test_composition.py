"""Differences laid over settings: key by key, whole where one place is better, refused where unknown."""

import copy

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lib import paths
from lib.composition import layers, opening, overlay, profile_names
from lib.config import load_config
from lib.errors import UserError

BASE = {
    "profile": "default",
    "train": {"seeds": [0, 1], "steps": 5, "arms": {"standard": {"explain": False}}},
    "teacher": {"prices": {"a": {"prompt": 1}}, "openai": {"model": None, "parameters": {"top_p": 1}}},
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty repository with params/default.yaml."""
    (tmp_path / "params").mkdir()
    default = (paths.ROOT / "params" / "default.yaml").read_text(encoding="utf-8")
    (tmp_path / "params" / "default.yaml").write_text(default, encoding="utf-8")
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(paths, "PARAMS", tmp_path / "params.yaml")
    return tmp_path / "params"


def profile(folder, name: str, text: str):
    path = folder / f"{name}.yaml"
    path.write_text(f"profile: {name}\n{text}", encoding="utf-8")
    return path


def test_the_comment_at_the_top_is_had_without_its_marks(folder):
    text = "# What it shows:\n#\n# - one,\n#   two\n#three\nextends: default\n# not of the top\n"
    (folder / "mine.yaml").write_text(text, encoding="utf-8")
    (folder / "bare.yaml").write_text("extends: default\n", encoding="utf-8")
    assert opening("mine") == "What it shows:\n\n- one,\n  two\nthree" and opening("bare") == ""


def laid(difference: dict) -> dict:
    values = copy.deepcopy(BASE)
    overlay(values, difference, "x.yaml")
    return values


def refused(path) -> str:
    with pytest.raises(UserError) as error:
        load_config(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_mappings_merge_and_lists_are_replaced():
    train = laid({"train": {"seeds": [7]}})["train"]
    assert train == {"seeds": [7], "steps": 5, "arms": {"standard": {"explain": False}}}


def test_arms_and_request_parameters_are_replaced_whole():
    assert laid({"train": {"arms": {"1 CoT": {}}}})["train"]["arms"] == {"1 CoT": {}}
    openai = laid({"teacher": {"openai": {"parameters": {"top_k": 0}}}})["teacher"]["openai"]
    assert openai == {"model": None, "parameters": {"top_k": 0}}


def test_a_price_may_be_added_and_an_old_one_changed():
    prices = laid({"teacher": {"prices": {"a": {"prompt": 2}, "b": {"prompt": 3}}}})["teacher"]["prices"]
    assert prices == {"a": {"prompt": 2}, "b": {"prompt": 3}}


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        ({"trian": {}}, "x.yaml: trian: unknown key; allowed: profile, train, teacher"),
        ({"train": {"stps": 1}}, "x.yaml: train.stps: unknown key; allowed: seeds, steps, arms"),
        ({"teacher": {"prices": {"a": {"promt": 1}}}}, "x.yaml: teacher.prices.a.promt: unknown key; allowed: prompt"),
        ({"train": 3}, "x.yaml: train: expected a mapping of seeds, steps, arms (given 3)"),
        ({"train": None}, "x.yaml: train: expected a mapping of seeds, steps, arms (given None)"),
    ],
)
def test_what_changes_no_setting_is_refused(difference, said):
    with pytest.raises(UserError) as error:
        laid(difference)
    assert str(error.value) == said


TREES = st.recursive(
    st.integers() | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, min_size=1, max_size=3),
    max_leaves=8,
).filter(lambda tree: isinstance(tree, dict))


@given(TREES)
def test_settings_over_themselves_change_nothing_and_no_difference_neither(tree):
    values = copy.deepcopy(tree)
    overlay(values, copy.deepcopy(tree), "x.yaml")
    assert values == tree
    overlay(values, {}, "x.yaml")
    assert values == tree


@given(TREES, st.data())
def test_only_the_leaf_that_is_named_changes(tree, data):
    keys, place = [], tree
    while isinstance(place, dict):
        keys.append(data.draw(st.sampled_from(sorted(place))))
        place = place[keys[-1]]
    difference: object = "new"
    for key in reversed(keys):
        difference = {key: difference}
    values = copy.deepcopy(tree)
    overlay(values, difference, "x.yaml")
    inner = values
    for key in keys[:-1]:
        inner = inner[key]
    assert inner[keys[-1]] == "new"
    inner[keys[-1]] = place
    assert values == tree


def test_a_profile_may_extend_one_that_extends_another(folder):
    profile(folder, "one", "extends: default\ntrain: {steps: 7, seeds: [4]}\n")
    path = profile(folder, "two", "extends: one\ntrain: {steps: 8}\n")
    config = load_config(path)
    assert (config.profile, config.train.steps, config.train.seeds) == ("two", 8, [4])
    assert config.train.batch == load_config(folder / "default.yaml").train.batch
    assert [where for _, where, _ in layers(path, "two")] == ["params/default.yaml", "params/one.yaml", "two"]


def test_a_difference_may_stand_anywhere_and_extends_what_is_in_params(folder, tmp_path):
    path = profile(tmp_path, "mine", "extends: default\ntrain: {steps: 9}\n")
    assert load_config(path).train.steps == 9


@pytest.mark.parametrize("line", ["train: {stps: 7}", "train: {steps: 0}"])
def test_a_mistake_is_told_with_the_file_it_is_in(folder, line):
    profile(folder, "one", f"extends: default\n{line}\n")
    path = profile(folder, "two", "extends: one\ntrain: {steps: 8}\n")
    assert refused(path).startswith("params/one.yaml: train.st")


@pytest.mark.parametrize("name", ["defualt", "../default", "[default]", "null", "3"])
def test_an_unknown_base_is_refused_with_the_profiles_there_are(folder, name):
    path = profile(folder, "one", f"extends: {name}\n")
    assert refused(path) == f"{path}: extends: no profile {yaml.safe_load(name)!r}; there are: default, one"


def test_a_circle_is_refused(folder):
    one = profile(folder, "one", "extends: two\n")
    profile(folder, "two", "extends: one\n")
    assert refused(one) == "params/two.yaml: extends: goes in a circle: one -> two -> one"
    own = profile(folder, "own", "extends: own\n")
    assert refused(own).endswith("extends: goes in a circle: own -> own")


def test_a_difference_gives_its_own_name(folder):
    path = folder / "nameless.yaml"
    path.write_text("extends: default\n", encoding="utf-8")
    assert refused(path) == f"{path}: profile: missing; a profile gives its own name"


def test_params_yaml_itself_must_be_whole(folder):
    paths.PARAMS.write_text("extends: default\nprofile: mine\n", encoding="utf-8")
    assert "params.yaml must be whole" in refused(paths.PARAMS)


def test_names_are_sorted(folder):
    profile(folder, "b", "extends: default\n")
    profile(folder, "a", "extends: default\n")
    assert profile_names() == ["a", "b", "default"]
