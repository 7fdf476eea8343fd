"""The rows of a published data set, from files of the publishers or of the hub, or from the hub itself.

read_parts(svamp.DATA_SET, cfg.data, ("all",))
# {"all": [("SVAMP.json: row 1", {"ID": "chal-1", ...}), ...]}

`data.raw` is a file, or a folder with the publishers' files, a clone of the hub's repository, or what `save_to_disk` of
`datasets` wrote. Without it the hub is asked.
"""

import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lib.errors import UserError
from lib.settings import Data
from lib.tasks.datasets import DataSet, Hub

SUFFIXES = ("json", "jsonl", "csv", "parquet")
LISTS = ("examples", "data")  # keys under which a JSON object keeps its list of rows
Located = tuple[str, Any]  # where a row stands, for errors, and the row


def read_parts(data_set: DataSet, data: Data, parts: Sequence[str]) -> dict[str, list[Located]]:
    """The rows of some of a data set's parts, in their order there. UserError for what is missing or malformed."""
    if data.raw is None:
        return _from_hub(data_set, data.revision, parts)
    path = Path(data.raw)
    if not path.exists():
        raise UserError(f"data.raw: no such file or folder: {path}; for {data_set.title} give {data_set.files}")
    if saved := _saved(path):
        return {name: _from_splits(data_set, saved, path, name) for name in parts}
    find = _files_in if path.is_dir() else _this_file
    return {name: [row for file in find(data_set, path, name) for row in read_file(file)] for name in parts}


def hub_of(data_set: DataSet) -> Hub:
    """The copy on the hub. UserError where none is known, naming the files that are needed instead."""
    if data_set.hub is None:
        raise UserError(
            f"data.raw: not set, and no whole copy of {data_set.title} on the hub is known; set it to {data_set.files}"
        )
    return data_set.hub


def _missing(data_set: DataSet, where: Any, name: str) -> UserError:
    """The error for a part that is not there."""
    part = data_set.parts[name]
    files = " or ".join([*part.files, f"{' and '.join(part.hub)} as .{', .'.join(SUFFIXES)}"])
    what = "rows" if name == "all" else f"{name} split"
    return UserError(f"{where}: no {what} of {data_set.title}; looked for {files}")


def _reason(error: BaseException) -> str:
    """An error of a library in one short line; of a failed generation what it failed for."""
    from datasets.exceptions import DatasetsError

    error = (isinstance(error, DatasetsError) and error.__cause__) or error
    return f"{type(error).__name__}: {' '.join(str(error).split()):.120}"


# -- the hub, and what save_to_disk wrote --------------------------------------------------------


def _from_hub(data_set: DataSet, revision: str | None, parts: Sequence[str]) -> dict[str, list[Located]]:
    """The rows of the hub's copy. Where it cannot be reached the library tries for about 24 seconds."""
    hub = hub_of(data_set)
    from datasets import load_dataset  # a second and more to import: only where it is needed
    from datasets.exceptions import DatasetsError
    from huggingface_hub.errors import EntryNotFoundError, HTTPError  # this one of its HTTP library, whichever it is

    try:
        with _quiet():
            splits = load_dataset(hub.id, hub.config, revision=revision)
    except (HTTPError, EntryNotFoundError, DatasetsError, OSError, ValueError, RuntimeError) as error:
        raise UserError(
            f"data.raw: not set, and {hub.id} cannot be had from the hub ({_reason(error)}); "
            f"set it to a file or folder with {data_set.files}"
        ) from None
    return {name: _from_splits(data_set, splits, hub.id, name) for name in parts}


def _from_splits(data_set: DataSet, splits: dict, where: Any, name: str) -> list[Located]:
    wanted = data_set.parts[name].hub
    if name == "all" and not any(split in splits for split in wanted):
        wanted = tuple(splits)
    if missing := [split for split in wanted if split not in splits]:
        raise UserError(f"{where}: no {missing[0]} split of {data_set.title}; there are: {', '.join(splits)}")
    return [(f"{where}: {split} row {number}", row) for split in wanted for number, row in enumerate(splits[split], 1)]


def _saved(path: Path) -> dict | None:
    """The splits in a folder that `save_to_disk` wrote; None if it is none."""
    if not (path / "dataset_dict.json").exists() and not (path / "state.json").exists():
        return None
    from datasets import DatasetDict, load_from_disk
    from datasets.exceptions import DatasetsError

    try:
        with _quiet():
            saved = load_from_disk(str(path))
    except (DatasetsError, OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: cannot be read as a saved data set ({_reason(error)})") from None
    return dict(saved) if isinstance(saved, DatasetDict) else {_name_of(saved, path): saved}


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars, no line for each retry: in a notebook's output they would differ from run to run."""
    import datasets
    from huggingface_hub import utils as hub

    loud = [library for library in (datasets, hub) if not library.are_progress_bars_disabled()]
    for library in loud:
        library.disable_progress_bars()
    verbosity = hub.logging.get_verbosity()
    hub.logging.set_verbosity_error()
    try:
        yield
    finally:
        hub.logging.set_verbosity(verbosity)
        for library in loud:
            library.enable_progress_bars()


def _name_of(saved: Any, path: Path) -> str:
    """The split that a single saved data set is: what it says itself, else the folder's name."""
    return str(saved.split or path.name)


# -- files ---------------------------------------------------------------------------------------


def _files_in(data_set: DataSet, folder: Path, name: str) -> list[Path]:
    """The files of a part in a folder: the publishers', else one or more for each of the hub's splits."""
    part = data_set.parts[name]
    for file in part.files:
        if (folder / file).is_file():
            return [folder / file]
    config = data_set.hub and data_set.hub.config
    below = sorted((folder / config if config and (folder / config).is_dir() else folder).rglob("*"))
    found = [_shards(below, split, folder) for split in part.hub]
    if not all(found):
        raise _missing(data_set, folder, name)
    return [file for files in found for file in files]


def _shards(files: Iterable[Path], split: str, folder: Path) -> list[Path]:
    """The files of one of the hub's splits: train.json, or train-00000-of-00002.parquet and its like."""
    found = [file for file in files if _is_of(file, split) and file.is_file()]
    if len({(file.parent, file.suffix) for file in found}) > 1:
        names = ", ".join(str(file.relative_to(folder)) for file in found)
        raise UserError(f"{folder}: which is the {split} split? there are {names}")
    return found


def _this_file(data_set: DataSet, file: Path, name: str) -> list[Path]:
    """The one file that data.raw names, if it is this part."""
    part = data_set.parts[name]
    named = any(file.parts[-len(Path(known).parts) :] == Path(known).parts for known in part.files)
    if name == "all" or named or any(_is_of(file, split) for split in part.hub):
        return [file]
    raise _missing(data_set, file, name)


def _is_of(file: Path, split: str) -> bool:
    pattern = rf"{re.escape(split)}(?:-[0-9]+-of-[0-9]+(?:-[0-9a-f]+)?)?\.(?:{'|'.join(SUFFIXES)})"
    return re.fullmatch(pattern, file.name) is not None


def read_file(path: Path) -> list[Located]:
    """The rows of a JSON, JSON Lines, CSV or Parquet file, each with its place."""
    suffix = path.suffix.removeprefix(".")
    if suffix in ("csv", "parquet"):
        return _table(path, suffix)
    if suffix not in SUFFIXES:
        raise UserError(f"{path}: expected a file that ends in .{', .'.join(SUFFIXES)}")
    text = _text(path)
    return _lines(path, text) if suffix == "jsonl" else _json(path, text)


def _table(path: Path, kind: str) -> list[Located]:
    from datasets import Dataset
    from datasets.exceptions import DatasetsError

    load = Dataset.from_csv if kind == "csv" else Dataset.from_parquet
    # Without a folder of its own, every file that is read would be kept a second time in the home folder.
    with tempfile.TemporaryDirectory() as cache, _quiet():
        try:
            rows = load(str(path), cache_dir=cache, keep_in_memory=True)
        except (DatasetsError, OSError, ValueError) as error:
            raise UserError(f"{path}: cannot be read as {kind} ({_reason(error)})") from None
        return [(f"{path}: row {number}", row) for number, row in enumerate(rows, 1)]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8 text") from None


def _json(path: Path, text: str) -> list[Located]:
    """The rows of a list, or of a list under "examples" or "data"; of JSON Lines whatever they are called."""
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            return _lines(path, text)
        raise UserError(f"{path}:{error.lineno}: not valid JSON: {error.msg}") from None
    except RecursionError:
        raise UserError(f"{path}: not valid JSON: nested too deeply") from None
    if isinstance(rows, dict):
        rows = next((rows[key] for key in LISTS if key in rows), rows)
    if not isinstance(rows, list):
        raise UserError(f"{path}: expected a list of questions, given {type(rows).__name__}")
    return [(f"{path}: row {number}", row) for number, row in enumerate(rows, 1)]


def _lines(path: Path, text: str) -> list[Located]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            rows.append((f"{path}:{number}", _line(line, f"{path}:{number}")))
    return rows


def _line(line: str, where: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(f"{where}: not valid JSON: {error.msg}") from None
    except RecursionError:
        raise UserError(f"{where}: not valid JSON: nested too deeply") from None
