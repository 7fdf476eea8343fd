"""A progress bar with rate and time left: in the terminal, in JupyterLab, or nowhere — never in a report or a log file.

for request in progress(requests, len(requests), "rationales"):
    ...
"""

import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

# Set by the notebook runner: the terminal its stage runs in, or empty where there is none. Unset: no runner.
TERMINAL = "PROGRESS_TTY"


def progress(iterable: Iterable[T], total: int | None, label: str) -> Iterator[T]:
    """Yield from `iterable` and show how far it is: rate and time left, by the number of items in `total`."""
    terminal = os.environ.get(TERMINAL)
    if terminal is None:
        yield from _here(iterable, total, label)
    elif terminal:
        yield from _elsewhere(iterable, total, label, terminal)
    else:
        yield from iterable


def say(line: str) -> None:
    """One line for the person at the terminal. It may differ between runs, so it is kept out of reports."""
    terminal = os.environ.get(TERMINAL)
    if terminal is None and (_in_jupyter() or sys.stderr.isatty()):
        print(_over_a_bar(line, sys.stderr), file=sys.stderr)
    elif terminal:
        with _opened(terminal) as file:
            if file is not None:
                print(_over_a_bar(line, file), file=file)


def _over_a_bar(line: str, file) -> str:
    """On a terminal a bar may stand in the line already: the cursor goes to its beginning, and the rest is cleared."""
    return f"\r\x1b[K{line}" if file.isatty() and not _in_jupyter() else line


def _here(iterable, total, label):
    """The bar of an interactive kernel or terminal; nothing where nobody watches."""
    if _in_jupyter():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tqdm warns where ipywidgets is missing, and then draws text
            from tqdm.auto import tqdm
        return tqdm(iterable, total=total, desc=label)
    if sys.stderr.isatty():
        from tqdm import tqdm

        return tqdm(iterable, total=total, desc=label, dynamic_ncols=True)
    return iterable


def _elsewhere(iterable, total, label, terminal):
    from tqdm import tqdm

    with _opened(terminal) as file:
        yield from tqdm(iterable, total=total, desc=label, file=file, dynamic_ncols=True, disable=file is None)


@contextmanager
def _opened(terminal: str):
    """The terminal, opened for writing; None where it is gone: a lost terminal must not stop the work."""
    try:
        file = open(terminal, "a", encoding="utf-8")  # noqa: SIM115, closed below
    except OSError:
        yield None
        return
    with file:
        yield file


def _in_jupyter() -> bool:
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return type(shell).__name__ == "ZMQInteractiveShell"
