"""A profile takes the place of params.yaml only if nothing of the user's is lost, and only if it is valid."""

import shutil
import subprocess

import pytest
import yaml

from lib import paths, profile
from lib.config import load_config


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    """A Git repository with the profiles and a committed params.yaml."""
    root = tmp_path / "a repository"
    shutil.copytree(paths.ROOT / "params", root / "params")
    text = (root / "params" / "smoke.yaml").read_text(encoding="utf-8")
    (root / "params.yaml").write_text(text.replace("profile: smoke", "profile: committed"), encoding="utf-8")
    author = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    for command in (["init", "--quiet"], ["add", "."], [*author, "commit", "--quiet", "--message", "all"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    monkeypatch.setattr(paths, "ROOT", root)
    monkeypatch.setattr(paths, "PARAMS", root / "params.yaml")
    monkeypatch.setattr(profile, "PROFILES", root / "params")
    return root


def smoke() -> str:
    return (profile.PROFILES / "smoke.yaml").read_text(encoding="utf-8")


def refused(capsys, *arguments: str) -> str:
    """The one line that refuses; params.yaml is as it was."""
    before = paths.PARAMS.read_bytes()
    assert profile.main(list(arguments)) == 1
    output = capsys.readouterr()
    assert output.out == "" and output.err.startswith("error: ") and output.err.count("\n") == 1
    assert paths.PARAMS.read_bytes() == before
    return output.err


def test_profile_is_put_in_place_with_its_comments(capsys):
    assert profile.main(["smoke"]) == 0
    assert paths.PARAMS.read_text(encoding="utf-8") == smoke()
    assert "#" in smoke()
    assert profile.WAY_BACK in capsys.readouterr().out


def test_settings_are_changed_on_the_way(tmp_path):
    path = tmp_path / "a folder" / "x=y.json"
    assert profile.main(["smoke", "train.steps=7", f"tasks.svamp.path={path}", "train.seeds=[3, 4]"]) == 0
    config = load_config(paths.PARAMS)
    assert (config.train.steps, config.train.seeds, config.tasks.svamp.path) == (7, [3, 4], path)
    changed, original = yaml.safe_load(paths.PARAMS.read_text(encoding="utf-8")), yaml.safe_load(smoke())
    changed["train"] |= {"steps": original["train"]["steps"], "seeds": original["train"]["seeds"]}
    changed["tasks"]["svamp"]["path"] = None
    assert changed == original


@pytest.mark.parametrize("given", [[], [""], ["no-such"]])
def test_unknown_profile_lists_those_there_are(capsys, given):
    message = refused(capsys, *given)
    assert f"no profile {given[0] if given else ''!r}" in message
    assert all(name in message for name in profile.names())


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("train.stps=7", "train.stps: unknown key; allowed: labels, seeds, "),
        ("trian.steps=7", "trian.steps: no section 'trian'; sections: profile, task, tasks, "),
        ("train.steps.more=7", "train.steps.more: no section 'steps'; sections: labels, "),
        ("steps=7", "steps: unknown key; allowed: profile, task, "),
        ("train.steps=many", "params/smoke.yaml: train.steps: "),
        ("train.steps=0", "params/smoke.yaml: train.steps: "),
        ("task=algebra", "params/smoke.yaml: task: Input should be 'arithmetic', "),
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
    first, second = profile.names()[:2]
    assert profile.main([first]) == 0
    assert profile.main([second]) == 0
    assert paths.PARAMS.read_bytes() == (profile.PROFILES / f"{second}.yaml").read_bytes()


def test_missing_params_file_is_no_loss():
    paths.PARAMS.unlink()
    assert profile.main(["smoke"]) == 0
    assert paths.PARAMS.read_text(encoding="utf-8") == smoke()


def test_without_git_an_unknown_params_file_is_kept(capsys, repository):
    shutil.rmtree(repository / ".git")
    assert "not committed" in refused(capsys, "smoke")
