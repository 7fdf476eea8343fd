"""Write a profile of params/ to params.yaml, whole, with single settings changed on the way.

    python -m lib.profile smoke
    python -m lib.profile svamp-recorded data.raw=/data/SVAMP.json teacher.recorded.path=/data/palm.jsonl

A profile states only its differences (lib/composition.py); what is written is params/default.yaml with them in place,
its comments kept and the profile's own on top.

A new model's prices need no spaces, at which `make profile SET=...` would part them; its name may hold dots:

    make profile P=default SET="teacher.prices.gpt-4.1.prompt=2 teacher.prices.gpt-4.1.completion=8"

Nothing of the user's is lost: a params.yaml with changes that are neither committed nor a profile's is left alone.
"""

import io
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lib import paths
from lib.composition import OPEN, layers, opening, overlay, profile_names, profiles_folder
from lib.config import checked, parse_config
from lib.errors import UserError
from lib.records import write_atomically

WAY_BACK = "git checkout params.yaml inputs.lock dvc.lock reports && .venv/bin/dvc checkout --allow-missing"


def put_in_place(name: str, assignments: list[str]) -> None:
    """Write params.yaml from a profile. UserError for an unknown profile or key, a bad value, or unsaved changes."""
    text = composed(name, assignments)
    if not saved():
        raise UserError(
            "params.yaml has changes of yours that are not committed; commit or undo them (git checkout params.yaml)"
        )
    write_atomically(paths.PARAMS, text)


def composed(name: str, assignments: Sequence[str] = ()) -> str:
    """A profile as the text of a whole params.yaml, with settings changed; checked as a whole."""
    if name not in profile_names():
        raise UserError(f"no profile {name!r}; make profile P=... takes one of: {', '.join(profile_names())}")
    path, where = profiles_folder() / f"{name}.yaml", f"params/{name}.yaml"
    stack = layers(path, where)
    checked(stack)  # layer by layer, so that an error names the file it is in
    (whole, *_), *differences = stack
    if not differences and not assignments:
        return whole.read_text(encoding="utf-8")
    values = _round_trip().load(whole.read_text(encoding="utf-8"))
    for file, said, _ in differences:
        overlay(values, _round_trip().load(file.read_text(encoding="utf-8")), said)
    for assignment in assignments:
        _assign(values, assignment)
    text = _header(path, differences) + _dump(values)
    parse_config(yaml.safe_load(text), "command line" if assignments else where)  # the profile alone was good
    return text


def saved() -> bool:
    """Whether params.yaml can be had again: it is committed, or one of the profiles."""
    if not paths.PARAMS.exists():
        return True
    now = paths.PARAMS.read_bytes()
    if _is_profile(now):
        return True
    committed = subprocess.run(["git", "show", "HEAD:./params.yaml"], cwd=paths.ROOT, capture_output=True, check=False)
    return committed.returncode == 0 and committed.stdout == now


def _is_profile(content: bytes) -> bool:
    """Whether this is, to the byte, what the profile that it names gives."""
    name = re.search(rb"(?m)^profile: *([^\s#]+)", content)
    named = name.group(1).decode(errors="replace") if name else None
    return named in profile_names() and composed(named).encode() == content


def _header(path: Path, differences: list) -> str:
    """The profile's own comment, and where the reasons for its numbers stand; nothing for the whole file."""
    if not differences:
        return ""
    own = "".join(f"# {line}".rstrip() + "\n" for line in opening(path.stem).splitlines())
    return f"{own}# Written from params/{path.name}, where the reasons for its differences stand.\n\n"


def _dump(values) -> str:
    """The settings as text, sections set apart by an empty line."""
    stream = io.StringIO()
    _round_trip().dump(values, stream)
    return re.sub(r"(?m)^( +\S.*)\n(?=\w)", r"\1\n\n", stream.getvalue())


def _round_trip() -> YAML:
    """YAML that keeps comments and quotes, breaks no lines and writes null as null."""
    parser = YAML()
    parser.preserve_quotes = True
    parser.width = 10_000
    parser.representer.add_representer(type(None), lambda r, _: r.represent_scalar("tag:yaml.org,2002:null", "null"))
    return parser


def _assign(values: dict, assignment: str) -> None:
    """Carry out "section.key=value"."""
    key, equals, text = assignment.partition("=")
    if not equals:
        raise UserError(f"{assignment!r}: expected section.key=value")
    try:
        value = _round_trip().load(text)
    except YAMLError:
        raise UserError(f"{key}: not valid YAML: {text!r}") from None
    _set(values, _path(key, value), value, key)


def _path(key: str, value: object) -> list[str]:
    """The keys of an assignment. Below an open mapping the name is the rest, dots and all, but for a key of its own.

    "teacher.prices.gpt-4.1", a mapping   -> teacher, prices, gpt-4.1
    "teacher.prices.gpt-4.1.prompt", 2    -> teacher, prices, gpt-4.1, prompt
    """
    parts = key.split(".")
    for section in OPEN:
        below = parts[len(section) :]
        if tuple(parts[: len(section)]) == section and below:
            own = [] if isinstance(value, dict) or len(below) == 1 else [below.pop()]
            return [*section, ".".join(below), *own]
    return parts


def _set(values: dict, path: list[str], value: object, key: str) -> None:
    """Set a value in place. Below an open mapping any key may be new: the check of the whole judges it."""
    is_open = False
    for depth, part in enumerate(path[:-1]):
        is_open = is_open or tuple(path[:depth]) in OPEN
        if is_open:
            values.setdefault(part, {})
        if not isinstance(values.get(part), dict):
            raise UserError(f"{key}: no section {part!r}; sections: {', '.join(map(str, values))}")
        values = values[part]
    if path[-1] not in values and not is_open and tuple(path[:-1]) not in OPEN:
        raise UserError(f"{key}: unknown key; allowed: {', '.join(map(str, values))}")
    values[path[-1]] = value


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
