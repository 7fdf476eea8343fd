"""Put a profile of params/ in place of params.yaml, with single settings changed on the way.

    python -m lib.profile smoke
    python -m lib.profile svamp-recorded tasks.svamp.path=/data/SVAMP.json teacher.recorded.path=/data/palm.jsonl

Nothing of the user's is lost: a params.yaml with changes that are neither committed nor a profile's is left alone.
"""

import subprocess
import sys

import yaml

from lib import paths
from lib.config import parse_config
from lib.errors import UserError
from lib.records import write_atomically

PROFILES = paths.ROOT / "params"
WAY_BACK = "git checkout params.yaml inputs.lock dvc.lock reports && .venv/bin/dvc checkout --allow-missing"


def put_in_place(name: str, assignments: list[str]) -> None:
    """Write params.yaml from a profile. UserError for an unknown profile or key, a bad value, or unsaved changes."""
    source = PROFILES / f"{name}.yaml"
    if not name or not source.exists():
        raise UserError(f"no profile {name!r}; make profile P=... takes one of: {', '.join(names())}")
    text = with_assignments(source.read_text(encoding="utf-8"), assignments, f"params/{name}.yaml")
    if not saved():
        raise UserError(
            "params.yaml has changes of yours that are not committed; commit or undo them (git checkout params.yaml)"
        )
    write_atomically(paths.PARAMS, text)


def names() -> list[str]:
    """The profiles there are."""
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def with_assignments(text: str, assignments: list[str], where: str) -> str:
    """A profile's text with settings changed, checked as a whole; as it is (comments kept) if there are none."""
    values = yaml.safe_load(text)
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise UserError(f"{assignment!r}: expected section.key=value")
        _set(values, key.split("."), _value(key, value), key)
    parse_config(values, where)
    return text if not assignments else yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)


def saved() -> bool:
    """Whether params.yaml can be had again: it is committed, or one of the profiles."""
    if not paths.PARAMS.exists():
        return True
    now = paths.PARAMS.read_bytes()
    if any(now == (PROFILES / f"{name}.yaml").read_bytes() for name in names()):
        return True
    committed = subprocess.run(["git", "show", "HEAD:./params.yaml"], cwd=paths.ROOT, capture_output=True, check=False)
    return committed.returncode == 0 and committed.stdout == now


def _value(key: str, text: str):
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise UserError(f"{key}: not valid YAML: {text!r}") from None


def _set(values: dict, parts: list[str], value, key: str) -> None:
    for part in parts[:-1]:
        if not isinstance(values.get(part), dict):
            raise UserError(f"{key}: no section {part!r}; sections: {', '.join(map(str, values))}")
        values = values[part]
    if parts[-1] not in values:
        raise UserError(f"{key}: unknown key; allowed: {', '.join(map(str, values))}")
    values[parts[-1]] = value


def main(arguments: list[str]) -> int:
    """The command line; returns the exit status."""
    try:
        put_in_place(arguments[0] if arguments else "", arguments[1:])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"params.yaml is now profile {arguments[0]}; next: make reproduce. To go back:\n  {WAY_BACK}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
