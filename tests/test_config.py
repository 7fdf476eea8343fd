"""Settings: what params.yaml may say, and one-line errors that name the key and what is allowed."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from lib import paths
from lib.config import declared_params, load_config, parse_config
from lib.errors import UserError

PROFILES = [paths.PARAMS, *sorted((paths.ROOT / "params").glob("*.yaml"))]


def params() -> dict:
    return yaml.safe_load(paths.PARAMS.read_text(encoding="utf-8"))


def changed(key: str, value) -> dict:
    """params.yaml with one key, "section.sub.key", set."""
    values = params()
    *sections, last = key.split(".")
    place = values
    for section in sections:
        place = place[section]
    place[last] = value
    return values


def refused(values) -> str:
    with pytest.raises(UserError) as error:
        parse_config(values, "params.yaml")
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.name)
def test_every_profile_is_valid(path):
    assert load_config(path).profile


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        load_config().train.steps = 1


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        ("colour", "profile, task, tasks, teacher"),
        ("generate.rationals", "exemplars, temperature, max_tokens, rationales"),
        ("tasks.arithmetic.seeds.tests", "train, validation, test"),
        ("teacher.simulated.flaws", "seed, styles, flaw_rate"),
        ("train.lamda", "labels, seeds, lam, reduction"),
    ],
)
def test_an_unknown_key_is_refused_with_the_allowed_ones(key, allowed):
    message = refused(changed(key, 1))
    assert message.startswith(f"params.yaml: {key}: unknown key; allowed: ")
    assert allowed in message


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("task", "chess", "'arithmetic', 'coin_flip', 'last_letter' or 'svamp' (given 'chess')"),
        ("teacher.kind", "oracle", "'simulated' or 'recorded' (given 'oracle')"),
        ("train.reduction", "sum", "'examples' or 'tokens' (given 'sum')"),
        ("train.labels", ["silver"], "'teacher' or 'gold' (given 'silver')"),
        ("train.unfed", "ignore", "'refuse' or 'skip' (given 'ignore')"),
        ("train.optimizer", "sgd", "'adafactor' or 'adamw' (given 'sgd')"),
        ("train.steps", "many", "valid integer"),
        ("train.steps", 1.5, "(given 1.5)"),
        ("train.steps", 0, "greater than or equal to 1 (given 0)"),
        ("train.seeds", 3, "valid list (given 3)"),
        ("train.lam", -0.1, "greater than or equal to 0 (given -0.1)"),
        ("train.learning_rate", 0, "greater than 0 (given 0)"),
        ("teacher.simulated.flaw_rate", 1.1, "less than or equal to 1 (given 1.1)"),
        ("tasks.arithmetic.operations", 3, "1 or 2 (given 3)"),
        ("tasks.svamp.test_share", 1, "less than 1 (given 1)"),
        ("generate", None, "(given None)"),
        ("train.seeds", [], "at least 1 item"),
        ("train.seeds", [0, 0], "nothing may stand twice (given [0, 0])"),
        ("slc.strategies", [], "at least 1 item"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(key, value, said):
    message = refused(changed(key, value))
    assert message.startswith(f"params.yaml: {key}")
    assert said in message


def test_a_key_that_stands_twice_is_refused_with_its_line(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("train:\n  arms:\n    1 CoT: {}\n    1 CoT: {lam: 1}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"twice.yaml:4: .*'1 CoT' stands twice"):
        load_config(path)


def test_a_folder_or_another_encoding_is_no_params_file(tmp_path):
    (tmp_path / "latin.yaml").write_bytes("profile: caf\xe9\n".encode("latin-1"))
    for path in (tmp_path, tmp_path / "latin.yaml"):
        with pytest.raises(UserError, match="cannot be read as text"):
            load_config(path)


def test_a_missing_key_is_named():
    values = params()
    del values["slc"]["keep"]
    assert refused(values) == "params.yaml: slc.keep: missing"


def test_several_mistakes_are_told_at_once():
    values = changed("train.stepz", 5) | {"task": "chess"}
    message = refused(values)
    assert "task: " in message
    assert "train.stepz: unknown key" in message


@pytest.mark.parametrize("values", [None, [], "default"])
def test_what_is_no_mapping_is_refused(values):
    assert f"given {values!r}" in refused(values)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"absent\.yaml: no such file"):
        load_config(tmp_path / "absent.yaml")


def test_broken_yaml_is_named_by_line(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("profile: default\ntask: [arithmetic\ntrain: 1\n")
    with pytest.raises(UserError, match=rf"{path}:3: not valid YAML: ") as error:
        load_config(path)
    assert "\n" not in str(error.value)


def test_a_path_may_be_given_for_what_users_bring():
    assert parse_config(changed("tasks.svamp.path", "SVAMP.json"), "here").tasks.svamp.path == Path("SVAMP.json")


def test_a_stage_sees_the_sections_it_declares_and_no_other():
    cfg = load_config(stage="generate")
    declared = declared_params("generate")
    assert "generate" in declared
    assert "train" not in declared
    assert cfg.generate == load_config().generate
    with pytest.raises(AttributeError, match="section 'train' is not declared for stage 'generate'") as error:
        _ = cfg.train
    assert ", ".join(declared) in str(error.value)


def test_an_unknown_stage_is_refused_with_those_there_are():
    with pytest.raises(UserError, match=r"no stage 'distil'; stages: .*generate.*train"):
        load_config(stage="distil")
