"""What differs from machine to machine: commit, hardware, installed versions, and how long each stage took.

    note_stage("04_train", 61.2)     # by each stage, in scratch/provenance.json
    write_page()                     # reports/provenance.html, at the end of `make reproduce`

Both files are ignored by Git and are outs of no stage, so that the reports are the same bytes wherever they are made.
"""

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from importlib import metadata
from pathlib import Path

from lib import INSTRUCTIONS, paths
from lib.records import write_atomically, write_json

PACKAGES = ("torch", "transformers", "numpy", "dvc", "papermill")
NONE = "not known"


def noted() -> Path:
    """The file in which stages note their times: stage -> seconds, ended (UTC), commit."""
    return paths.SCRATCH / "provenance.json"


def page_path() -> Path:
    """Where `write_page` puts the page."""
    return paths.REPORTS / "provenance.html"


def note_stage(name: str, seconds: float) -> None:
    """Remember when a stage ended and how long it took; what it took before is replaced."""
    known = _read()
    ended = datetime.now(UTC).isoformat(timespec="seconds")
    known[name] = {"seconds": round(seconds, 1), "ended": ended, "commit": commit()}
    write_json(noted(), known)


def commit() -> str:
    """The first 12 digits of the commit that is checked out, marked where tracked files differ from it.

    "not known" where Git cannot tell both: a commit whose files could not be looked at must not read as unchanged.
    """
    described = _said("git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")  # never by a tag
    return described.replace("-dirty", ", with changes")


def machine() -> dict[str, str]:
    """What this machine is and has, as words; nothing that tells one machine from another of its kind."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "commit": commit(),
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "processor": f"{_processor()}, {cores} cores",
        "instructions asked for": ", ".join(f"{name} {os.environ.get(name, 'any')}" for name in INSTRUCTIONS),
        "memory": _memory(),
        "GPU": _said("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader").replace(NONE, "none"),
        "Python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
    }


def write_page() -> Path:
    """Write reports/provenance.html."""
    from lib.render import page  # here, because each stage imports this module to note its time, and no more

    body = "\n".join([
        "<h1>Where these results were made</h1>",
        "<p>Written by <code>make reproduce</code> on this machine; not in Git, for it is another on every one.</p>",
        f"<h2>Machine</h2>\n{_table(machine())}",
        f"<h2>Wall time</h2>\n{_wall_time(_read())}",
    ])  # fmt: skip
    write_atomically(page_path(), page("Where these results were made", body, '<a href="index.html">Contents</a>'))
    return page_path()


def _wall_time(stages: Mapping[str, Mapping]) -> str:
    if not stages:
        return "<p>No stage has run here yet.</p>"
    said = {
        name: f"{row['seconds']:.1f} s, ended {row['ended']}, commit {row['commit']}" for name, row in stages.items()
    }
    total = sum(row["seconds"] for row in stages.values())
    about = f"<p>Each stage's last run here, {total:.0f} s in all; answers and runs that it found cost it nothing.</p>"
    return f"{about}\n{_table(said)}"


def _table(rows: Mapping[str, str]) -> str:
    lines = "\n".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(said)}</td></tr>' for name, said in rows.items()
    )
    return f'<table class="results facts"><tbody>\n{lines}\n</tbody></table>'


def _read() -> dict:
    """What the stages noted; nothing where there is no file, or a broken one, which is no reason to stop a stage."""
    try:
        return json.loads(noted().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _said(*command: str) -> str:
    """What a command prints, on one line; "not known" if it fails or prints nothing."""
    try:
        done = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return NONE
    return "; ".join(done.stdout.split("\n")).strip("; ") or NONE


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    """The processor's name; Linux says it in a file only."""
    file = Path("/proc/cpuinfo")
    names = (
        [line.partition(":")[2].strip() for line in file.read_text().splitlines() if line.startswith("model name")]
        if file.exists()
        else []
    )
    return names[0] if names else platform.processor() or NONE


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"
    except (ValueError, OSError, AttributeError):
        return NONE
