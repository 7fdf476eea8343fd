"""A profile states its differences from another one; laid over each other they are the whole settings.

params/smoke.yaml, in part                  params/default.yaml with it
    extends: default                            profile: smoke
    profile: smoke                              train:
    train: {seeds: [0, 1]}                        seeds: [0, 1]
                                                  lam: 0.5                  # as in default.yaml

Mappings merge key by key, however deep. Replaced whole are lists and the mappings that a reader wants to see in one
place: `train.arms`, `students`, `ablate.findings` and `teacher.openai.parameters`. A key that is not there already is
an error, but for a new model in `teacher.prices`.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from lib import paths
from lib.errors import UserError

WHOLE = {("train", "arms"), ("students",), ("ablate", "findings"), ("teacher", "openai", "parameters")}
OPEN = {("teacher", "prices")}


def profiles_folder() -> Path:
    """Where the profiles stand."""
    return paths.ROOT / "params"


def profile_names() -> list[str]:
    """The profiles there are, by name."""
    return sorted(path.stem for path in profiles_folder().glob("*.yaml"))


def opening(profile: str) -> str:
    """The comment at the top of a profile's file, line by line without its marks; "" where there is none.

    It says what the profile shows, its runs and minutes (`make sweep` prints it), and how it is put to use.
    """
    text = (profiles_folder() / f"{profile}.yaml").read_text(encoding="utf-8")
    marked = re.match(r"(?:#.*\n)*", text).group()
    return re.sub(r"(?m)^# ?", "", marked).rstrip("\n")


def layers(path: Path, where: str) -> list[tuple[Path, str, Any]]:
    """A params file and, before it, what it extends: (file, how errors name it, its content), the whole one first.

    Raises UserError for an unknown or circular `extends`, a difference without a name of its own (`profile`), and a
    params.yaml with `extends`: DVC reads that one by itself.
    """
    found: list[tuple[Path, str, Any]] = []
    while True:
        content = read_yaml(path)
        found.insert(0, (path, where, content))
        if not isinstance(content, dict) or "extends" not in content:
            return found
        if path.resolve() == paths.PARAMS.resolve():
            raise UserError(f"{where}: extends: params.yaml must be whole; `make profile P=...` writes it so")
        if "profile" not in content:
            raise UserError(f"{where}: profile: missing; a profile gives its own name")
        path = _extended(content["extends"], where)
        where = f"{path.parent.name}/{path.name}"
        if any(path.resolve() == known.resolve() for known, _, _ in found):
            chain = " -> ".join(known.stem for known, _, _ in [*reversed(found), (path, where, None)])
            raise UserError(f"{found[0][1]}: extends: goes in a circle: {chain}")


def overlay(values: dict, difference: dict, where: str, at: tuple = ()) -> None:
    """Lay a difference over settings, in place. UserError naming the key for one that is unknown or no mapping."""
    for key, value in difference.items():
        here = (*at, key)
        if not at and key == "extends":
            continue
        if key not in values and at not in OPEN:
            raise UserError(f"{where}: {_dotted(here)}: unknown key; allowed: {', '.join(map(str, values))}")
        if not isinstance(values.get(key), dict) or here in WHOLE:
            values[key] = value
        elif isinstance(value, dict):
            overlay(values[key], value, where, here)
        else:
            allowed = ", ".join(map(str, values[key]))
            raise UserError(f"{where}: {_dotted(here)}: expected a mapping of {allowed} (given {value!r:.60})")


def read_yaml(path: Path) -> Any:
    """The content of a YAML file. UserError naming file and line for what is no YAML, or has a key twice."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _EachKeyOnce)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as text: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise UserError(f"{path}{line}: not valid YAML: {getattr(error, 'problem', error)}") from None


class _EachKeyOnce(yaml.SafeLoader):
    """YAML as usual, but a key that stands twice in a mapping is an error: the last would silently win."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _extended(name: Any, where: str) -> Path:
    if name not in profile_names():
        raise UserError(f"{where}: extends: no profile {name!r}; there are: {', '.join(profile_names())}")
    return profiles_folder() / f"{name}.yaml"


def _dotted(key: tuple) -> str:
    return ".".join(map(str, key))
