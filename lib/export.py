"""A trained student as a folder that stands alone: weights in safetensors, tokenizer, generation config, model card.

    python -m lib.export RUN                            # scratch/exports/RUN; `make export RUN=...`
    python -m lib.export RUN --push user/name           # ... and to the hub; `make push-student RUN=... REPO=user/name`
    python -m lib.export RUN --push user/name --dry-run # what would be sent; nothing is

RUN is a run's id (or its beginning) or folder; without any, the runs there are. Pushing needs a login once:
`hf auth login`, or the variable HF_TOKEN.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from transformers import GenerationConfig

from lib import paths
from lib.checkpoint import RECIPE, Finished, open_checkpoint
from lib.errors import UserError
from lib.model_card import model_card
from lib.records import write_atomically, write_json

CARD = "README.md"
EXPORTS = paths.SCRATCH / "exports"
PICKLED = (".bin", ".pt", ".pth", ".pkl", ".ckpt", ".h5", ".msgpack")


def export(run: Path, folder: Path, teacher: Sequence[str] = ()) -> Path:
    """Write a run's student as a folder of its own; it appears whole or not at all. Returns the folder.

    run      a run's folder
    folder   where to; an earlier export there is replaced, anything else refused
    teacher  what 01_generate notes about the teacher
    """
    finished = open_checkpoint(run)
    if not finished.said:
        raise UserError(f"{run}: no {RECIPE}; a student is exported from its run's folder")
    folder = folder.resolve()  # . and .. have no name of their own, beside which a partial one could lie
    if folder.exists() and not is_export(folder):
        raise UserError(f"{folder}: exists and is no exported student; give another folder")
    card = model_card(finished, run, teacher)
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    finished.student.model.generation_config = generation_config(finished)
    finished.student.save(partial)
    write_json(partial / RECIPE, finished.said | ({"task": finished.task} if finished.task else {}))
    write_atomically(partial / CARD, card)
    if pickled := [path.name for path in partial.rglob("*") if path.suffix in PICKLED]:
        raise UserError(f"{partial}: {pickled[0]} is not safetensors; nothing pickled is exported")
    _replace(partial, folder)
    return folder


def is_export(folder: Path) -> bool:
    """Whether a folder is an exported student. A run has a recipe, too, but no weights beside it; a headline student
    has no card."""
    return all((folder / name).is_file() for name in (RECIPE, "config.json", CARD))


def _replace(partial: Path, folder: Path) -> None:
    """Put a finished folder in its place; an earlier one stands aside until it is there."""
    aside = folder.with_name(f"{folder.name}.replaced")
    shutil.rmtree(aside, ignore_errors=True)
    if folder.exists():
        os.rename(folder, aside)
    os.rename(partial, folder)
    shutil.rmtree(aside, ignore_errors=True)


def generation_config(finished: Finished) -> GenerationConfig:
    """Greedy, to the length that the student learned, ending where it learned to end."""
    tokenizer, config = finished.student.tokenizer, finished.student.model.config
    start = {} if finished.student.decoder_only else {"decoder_start_token_id": config.decoder_start_token_id}
    return GenerationConfig(
        do_sample=False, num_beams=1, max_new_tokens=finished.limits[1], pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id, bos_token_id=tokenizer.bos_token_id, **start,
    )  # fmt: skip


def find_run(name: str, folders: Sequence[Path]) -> Path:
    """A run by its folder, its id or the beginning of that. UserError lists what there is."""
    if name and Path(name).is_dir():
        return Path(name)
    runs = all_runs(folders)
    found = [path for path in runs if name and path.name.startswith(name)]
    if len(found) == 1:
        return found[0]
    said = "no run" if not found else f"{len(found)} runs"
    listed = "; ".join(map(describe, found or runs)) or "none; `make reproduce` trains them"
    raise UserError(f"RUN: {said} {name!r}; there are: {listed}")


def all_runs(folders: Sequence[Path]) -> list[Path]:
    """The folders of all runs."""
    return [path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir()) if path.is_dir()]


def describe(run: Path) -> str:
    """A run in a few words: "5f0c2b...: 5 rationales, 5 evaluations, teacher labels, seed 0, 97.8%"."""
    try:
        said = json.loads((run / RECIPE).read_text(encoding="utf-8"))
        accuracy = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["accuracy"]
        recipe = said["recipe"]
        learned = f"{recipe['rationales']} rationales" if recipe["explain"] else f"{recipe['rationales']} labels alone"
        return (
            f"{run.name}: {learned}, {recipe['evaluations']} evaluations, {recipe['steps']} steps, "
            f"{recipe['labels']} labels, seed {said['seed']}, {accuracy:.1%}"
        )
    except (OSError, ValueError, KeyError, TypeError):
        return f"{run.name}: not readable"


def teacher_notes(run: Path) -> list[str]:
    """What 01_generate says of the teacher, in the checkout whose stage trained this run; else nothing is known of it.

    run   a run's folder: <checkout>/data/04_train/runs/<id>, the same of 05_ablate, or anywhere
    """
    run = run.resolve()
    stages = [folder.relative_to(paths.ROOT) for folder in (paths.RUNS, paths.ABLATE_RUNS)]
    checkout = next((root for stage in stages for root in run.parents if root / stage == run.parent), None)
    notes = checkout / "reports" / "metrics" / "01_generate.json" if checkout else None
    return json.loads(notes.read_text(encoding="utf-8")).get("teacher", []) if notes and notes.is_file() else []


def push(folder: Path, repo: str, dry_run: bool = False, api=None) -> list[str]:
    """Send an exported student to the hub; returns the files. With `dry_run` nothing is sent.

    api      a `huggingface_hub.HfApi`; None: one with the saved login
    raises   UserError without a login, or where the hub refuses or cannot be reached; a file of the folder that cannot
             be read is an OSError
    """
    refuse_no_repo(repo)
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    if dry_run:
        return files
    from httpx2 import HTTPError  # what huggingface_hub talks by; here, as only who pushes needs them
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    api = api or HfApi()
    try:
        api.whoami()
        api.create_repo(repo, exist_ok=True, repo_type="model")
        api.upload_folder(folder_path=folder, repo_id=repo, repo_type="model", commit_message="Upload student")
    except LocalTokenNotFoundError:
        raise UserError("push: not logged in; run `hf auth login` once, or set HF_TOKEN") from None
    except (HfHubHTTPError, HTTPError, ConnectionError) as error:
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"push: the hub refused or cannot be reached ({said:.160})") from None
    return files


def refuse_no_repo(repo: str) -> None:
    """UserError for what cannot be a model of the hub."""
    if repo.count("/") != 1 or not all(repo.split("/")):
        raise UserError(f"REPO: given {repo!r}; expected user/name")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m lib.export", description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", default="", help="a run's id, its beginning, or its folder")
    parser.add_argument("--to", type=Path, help="where to; default scratch/exports/<run>")
    parser.add_argument("--push", metavar="user/name", help="a model of the hub to send it to")
    parser.add_argument("--dry-run", action="store_true", help="with --push: say what would be sent")
    chosen = parser.parse_args(arguments)
    folders = [paths.RUNS, paths.ABLATE_RUNS]
    try:
        if chosen.push is not None:
            refuse_no_repo(chosen.push)
        elif not chosen.run and (runs := all_runs(folders)):
            print("\n".join(map(describe, runs)))
            return 0
        run = find_run(chosen.run, folders)
        folder = export(run, chosen.to or EXPORTS / run.name, teacher_notes(run))
        print(f"exported: {folder}")
        if chosen.push is not None:
            files = push(folder, chosen.push, chosen.dry_run)
            print(f"{'would push' if chosen.dry_run else 'pushed'} to {chosen.push}: {', '.join(files)}")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
