"""All benchmarks in turn against their bounds; what they miss is said once more at the end (make bench).

    python benchmarks/check.py                      # exit status 1 where any bound is missed, or a benchmark fails
    python benchmarks/check.py scoring training     # these

One that misses a bound stops none behind it: a goal that is known to be missed hides no other.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
NAMES = ("teacher", "scoring", "training", "inference")
MISSED = "missed: "


def checked(name: str) -> list[str]:
    """What a benchmark missed, a line each; all that it says is passed on as it comes."""
    command = [sys.executable, str(FOLDER / f"{name}.py"), "--check"]
    found = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        for line in running.stderr:
            print(line, end="", file=sys.stderr, flush=True)
            found += [f"{name}: {line.removeprefix(MISSED).strip()}"] if line.startswith(MISSED) else []
    failed = [f"{name}: ended with status {running.returncode}"] if running.returncode and not found else []
    return found + failed


def main(names: Sequence[str]) -> int:
    """Exit status: 1 where anything was missed."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"no benchmark {unknown[0]!r}; there are: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    out = []
    for name in names or NAMES:
        print(f"-- {name}", flush=True)
        out += checked(name)
    for line in out:
        print("missed in all:", line, file=sys.stderr)
    return 1 if out else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
