"""A profile takes the place of params.yaml only if nothing of the user's is lost, and only if it is valid."""

import shutil
import subprocess

import pytest
import yaml

from lib import paths, profile
from lib.composition import profile_names
from lib.config import load_config, parse_config
from lib.settings import Price


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    """A Git repository with the profiles and a committed params.yaml."""
    root = tmp_path / "a repository"
    shutil.copytree(paths.ROOT / "params", root / "params")
    text = (root / "params" / "default.yaml").read_text(encoding="utf-8")
    (root / "params.yaml").write_text(text.replace("profile: default", "profile: committed"), encoding="utf-8")
    author = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    for command in (["init", "--quiet"], ["add", "."], [*author, "commit", "--quiet", "--message", "all"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    monkeypatch.setattr(paths, "ROOT", root)
    monkeypatch.setattr(paths, "PARAMS", root / "params.yaml")
    return root


def placed() -> str:
    return paths.PARAMS.read_text(encoding="utf-8")


def default() -> str:
    return (paths.ROOT / "params" / "default.yaml").read_text(encoding="utf-8")


def comments(text: str) -> list[str]:
    return [line.split("#", 1)[1].strip() for line in text.splitlines() if "#" in line]


def refused(capsys, *arguments: str) -> str:
    """The one line that refuses; params.yaml is as it was."""
    before = paths.PARAMS.read_bytes()
    assert profile.main(list(arguments)) == 1
    output = capsys.readouterr()
    assert output.out == "" and output.err.startswith("error: ") and output.err.count("\n") == 1
    assert paths.PARAMS.read_bytes() == before
    return output.err


def test_the_default_profile_is_put_in_place_to_the_byte():
    assert profile.main(["default"]) == 0
    assert placed() == default()


def test_a_profile_is_written_whole_with_the_comments(capsys):
    assert profile.main(["smoke"]) == 0
    own, _, rest = placed().partition("\n\n")
    assert own == (
        "# The whole pipeline in a minute: to see that everything runs, not to learn anything.\n"
        "# Written from params/smoke.yaml, where the reasons for its differences stand."
    )
    assert comments(rest) == comments(default())
    assert "extends" not in rest
    assert profile.WAY_BACK in capsys.readouterr().out


@pytest.mark.parametrize("name", profile_names())
def test_what_is_written_says_what_the_profile_says(name):
    text = profile.composed(name)
    assert parse_config(yaml.safe_load(text), name) == load_config(paths.ROOT / "params" / f"{name}.yaml")
    values = yaml.safe_load(text)
    assert list(values["train"]["arms"]) == list(load_config(paths.ROOT / "params" / f"{name}.yaml").train.arms)
    assert list(values) == list(yaml.safe_load(default()))


def test_only_lines_that_differ_are_written_anew():
    before, after = default().splitlines(), profile.composed("smoke").splitlines()
    new = [line.split("#")[0].strip() for line in after if line not in before]
    assert [line for line in new if line] == [
        "profile: smoke",
        "train: 160",
        "validation: 40",
        "test: 60",
        "warmup_steps: 12",
        "seeds: [0, 1]",
        "steps: 12",
        "self_eval_steps: 6",
        "warmup_steps: 4",
        "validations: 2",
        "bootstrap: 500",
    ]


def test_an_empty_line_stands_before_each_section_whatever_was_replaced():
    text = profile.composed("paper-morsd-svamp")
    assert "\n\nablate:\n" in text and "\n\n\n" not in text


def test_settings_are_changed_on_the_way(tmp_path):
    path = tmp_path / "a folder" / "x=y.json"
    assert profile.main(["smoke", "train.steps=7", f"data.raw={path}", "train.seeds=[3, 4]"]) == 0
    config = load_config(paths.PARAMS)
    assert (config.train.steps, config.train.seeds, config.data.raw) == (7, [3, 4], path)
    changed, original = yaml.safe_load(placed()), yaml.safe_load(profile.composed("smoke"))
    changed["train"] |= {"steps": original["train"]["steps"], "seeds": original["train"]["seeds"]}
    changed["data"]["raw"] = None
    assert changed == original
    assert comments(placed()) == comments(profile.composed("smoke"))


def test_settings_of_the_default_profile_may_be_changed_too():
    assert profile.main(["default", "train.learning_rate=6e-5"]) == 0
    assert load_config(paths.PARAMS).train.learning_rate == 6e-5
    assert placed().count("\n") == default().count("\n")


@pytest.mark.parametrize("model", ["my-model", "gpt-4.1", "org/name-1.5.prompt", "gpt-4o-mini"])
def test_prices_of_any_model_are_set_in_one_word_each_or_in_one_mapping(model):
    """Without spaces, for `make profile SET=...` parts its words there. The prices of other models stay."""
    before = load_config(paths.ROOT / "params" / "smoke.yaml").teacher.prices
    after = before | {model: Price(prompt=1, completion=2.5, batch=0.5)}
    words = [f"teacher.prices.{model}.{key}={value}" for key, value in (("prompt", 1), ("completion", 2.5))]
    for given in (
        [*words, f"teacher.prices.{model}.batch=0.5"],
        [f"teacher.prices.{model}={{prompt: 1, completion: 2.5, batch: 0.5}}"],
        [f"teacher.prices.{model}={{prompt: 1, batch: 0.5}}", words[1]],
    ):
        config = parse_config(yaml.safe_load(profile.composed("smoke", given)), "smoke")
        assert config.teacher.prices == after
    assert comments(profile.composed("smoke", words)) == comments(profile.composed("smoke"))


@pytest.mark.parametrize("given", [[], [""], ["no-such"]])
def test_unknown_profile_lists_those_there_are(capsys, given):
    message = refused(capsys, *given)
    assert f"no profile {given[0] if given else ''!r}" in message
    assert all(name in message for name in profile_names())


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("train.stps=7", "train.stps: unknown key; allowed: labels, seeds, "),
        ("trian.steps=7", "trian.steps: no section 'trian'; sections: profile, task, tasks, "),
        ("data.row=7", "data.row: unknown key; allowed: raw, revision, "),
        ("train.steps.more=7", "train.steps.more: no section 'steps'; sections: labels, "),
        ("steps=7", "steps: unknown key; allowed: profile, task, "),
        ("train.steps=many", "command line: train.steps: "),
        ("train.steps=0", "command line: train.steps: "),
        ("task=algebra", "command line: task: Input should be 'arithmetic', "),
        ("data.limits.test=1", "command line: data.limits.test: Value error, at least 2: "),
        ("teacher.price.x={prompt: 1}", "teacher.price.x: no section 'price'; sections: kind, mode, "),
        ("teacher.prices.gpt-4.1.prompt=1", "command line: teacher.prices.gpt-4.1.completion: missing"),
        ("teacher.prices.gpt-4.1.prmpt=1", "teacher.prices.gpt-4.1.prmpt: unknown key; allowed: prompt, completion, "),
        ("teacher.prices.gpt-4={prompt: 1, cost: 2}", "teacher.prices.gpt-4.cost: unknown key; allowed: prompt, "),
        ("teacher.prices.gpt-4=3", "command line: teacher.prices.gpt-4: Input should be "),
        ("teacher.prices.gpt-4o-mini.prompt=-1", "command line: teacher.prices.gpt-4o-mini.prompt: Input should be "),
        ("teacher.prices.gpt-4o-mini.prompt.more=1", "command line: teacher.prices.gpt-4o-mini.prompt.more: "),
        ("train.steps", "'train.steps': expected section.key=value"),
        ("train.seeds=[1", "train.seeds: not valid YAML: '[1'"),
    ],
)
def test_bad_assignment_is_refused_by_name(capsys, assignment, expected):
    assert expected in refused(capsys, "smoke", assignment)


def test_unsaved_changes_are_left_alone(capsys, repository):
    with paths.PARAMS.open("a", encoding="utf-8") as file:
        file.write("# mine\n")
    message = refused(capsys, "smoke")
    assert "not committed" in message and "git checkout params.yaml" in message

    subprocess.run(["git", "checkout", "--quiet", "params.yaml"], cwd=repository, check=True)
    assert profile.main(["smoke"]) == 0


def test_staged_changes_are_unsaved_too(capsys, repository):
    paths.PARAMS.write_text(paths.PARAMS.read_text(encoding="utf-8") + "# mine\n", encoding="utf-8")
    subprocess.run(["git", "add", "params.yaml"], cwd=repository, check=True)
    assert "not committed" in refused(capsys, "smoke")


def test_one_profile_may_follow_another():
    """A profile as it is can be had again, although it is not committed as params.yaml."""
    for name in ("smoke", "paper-pecotd-gsm8k", "default", "table1"):
        assert profile.main([name]) == 0
        assert placed() == profile.composed(name)


def test_a_profile_with_other_settings_is_not_had_again_so_easily(capsys):
    assert profile.main(["smoke", "train.steps=7"]) == 0
    capsys.readouterr()
    assert "not committed" in refused(capsys, "table1")


def test_a_profile_with_a_comment_of_yours_is_left_alone(capsys):
    assert profile.main(["smoke"]) == 0
    capsys.readouterr()
    paths.PARAMS.write_text(placed() + "# mine\n", encoding="utf-8")
    assert "not committed" in refused(capsys, "table1")


def test_missing_params_file_is_no_loss():
    paths.PARAMS.unlink()
    assert profile.main(["smoke"]) == 0
    assert placed() == profile.composed("smoke")


def test_without_git_an_unknown_params_file_is_kept(capsys, repository):
    shutil.rmtree(repository / ".git")
    assert "not committed" in refused(capsys, "smoke")
