"""Run one notebook as a pipeline stage: execute it in a kernel of this interpreter and render it to one HTML page.

    python -m lib.notebook 01_generate      # notebooks/01_generate.ipynb -> reports/01_generate.html

The page appears whole or not at all. A notebook that fails is kept, as far as it came, in reports/_failed/.
"""

import argparse
import fcntl
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lib import paths, provenance
from lib.errors import UserError
from lib.kernel import kernel_of_this_interpreter
from lib.records import write_atomically

NOTEBOOKS = paths.ROOT / "notebooks"
FAILED = paths.REPORTS / "_failed"


class NotebookFailed(Exception):
    """A cell raised, or the kernel died. `user_error` says that the message alone is worth showing."""

    def __init__(self, message: str, user_error: bool = False):
        super().__init__(message)
        self.user_error = user_error


def run_stage(name: str, params_file: str = "params.yaml") -> Path:
    """Execute notebooks/<name>.ipynb and place reports/<name>.html. Returns where the page is.

    Raises UserError for an unknown notebook or one that is running already, NotebookFailed where a cell fails.
    """
    from lib.render import render  # here, because the kernel is started long before a page is needed

    source, page = _find(name), paths.REPORTS / f"{name}.html"
    with _only_one(name), tempfile.TemporaryDirectory(prefix="notebook-") as folder:
        executed = Path(folder) / source.name
        try:
            notebook = execute(source, executed, {"params_file": params_file})
        except NotebookFailed:
            _keep(executed)
            raise
        write_atomically(page, render(normalise(notebook), name, notebook_names()))
    (FAILED / source.name).unlink(missing_ok=True)
    return page


def notebook_names() -> list[str]:
    """The notebooks in reading order, which is the order of their numbers."""
    return sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))


def execute(source: Path, executed: Path, parameters: dict):
    """Run a notebook from the repository's root; what it came to is saved in `executed` after each cell.

    Returns the executed notebook. Warnings go to this process's stderr. Raises NotebookFailed.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    with kernel_of_this_interpreter(executed.parent) as kernel_manager:
        try:
            return papermill.execute_notebook(
                source, executed, parameters, cwd=paths.ROOT, kernel_name="python3", language="python",
                kernel_manager_class=kernel_manager, start_timeout=300,
                progress_bar=False, stderr_file=PlainText(sys.stderr),
            )  # fmt: skip
        except PapermillExecutionError as error:
            raise _failure(error) from None
        except DeadKernelError:
            raise NotebookFailed("the kernel died; a lack of memory is the usual cause") from None


def normalise(notebook):
    """A copy with only what is the same in every run: no stderr, no timings, no memory addresses."""
    import nbformat

    cells = []
    for cell in notebook.cells:
        cell = nbformat.from_dict(cell)
        tags = cell.metadata.get("tags", [])
        cell.metadata = nbformat.NotebookNode(tags=tags)
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = _stable_outputs(cell.outputs)
        if "injected-parameters" not in tags:
            cells.append(cell)
    return nbformat.v4.new_notebook(cells=cells)


class PlainText:
    """A text file that takes no colours, so that a log stays readable."""

    def __init__(self, file):
        self._file = file

    def write(self, text: str) -> None:
        self._file.write(without_colour(text))

    def flush(self) -> None:
        self._file.flush()


def without_colour(text: str) -> str:
    """Text without terminal escape sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def _stable_outputs(outputs: list) -> list:
    """Outputs without stderr, execution counts and memory addresses; text printed in pieces is one piece again."""
    kept = []
    for output in outputs:
        if output.output_type == "stream":
            if output.name == "stderr":
                continue
            if kept and kept[-1].output_type == "stream":
                kept[-1].text = _without_addresses(kept[-1].text + output.text)
                continue
            output.text = _without_addresses(output.text)
        elif "data" in output:
            output.metadata = {}
            if output.output_type == "execute_result":
                output.execution_count = None
            output.data = {kind: _without_addresses(value) for kind, value in sorted(output.data.items())}
        kept.append(output)
    return kept


def _without_addresses(value):
    return re.sub(r"\bat 0x[0-9a-f]{6,}", "at 0x…", value) if isinstance(value, str) else value


def _find(name: str) -> Path:
    source = NOTEBOOKS / f"{name}.ipynb"
    if not source.exists():
        raise UserError(f"no notebook {name!r} in notebooks/; there are: {', '.join(notebook_names()) or 'none'}")
    return source


def _keep(executed: Path) -> None:
    """Save the failed notebook where it can be read."""
    if executed.exists():
        FAILED.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(executed, FAILED / executed.name)


def _failure(error) -> NotebookFailed:
    """A cell's exception: a user's mistake as its one line, any other with the end of its traceback."""
    if error.ename == "UserError":
        return NotebookFailed(" ".join(error.evalue.split()), user_error=True)
    return NotebookFailed(without_colour("\n".join(error.traceback)).rstrip())


@contextmanager
def _only_one(name: str) -> Iterator[None]:
    """Refuse a second runner of the same notebook: both would write the same files."""
    paths.SCRATCH.mkdir(exist_ok=True)
    with (paths.SCRATCH / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{name} is already running in {paths.ROOT}; wait for it or stop it") from None
        yield


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m lib.notebook", description=__doc__.splitlines()[0])
    parser.add_argument("name", help="a notebook's name, for instance 01_generate")
    parser.add_argument("--params-file", default="params.yaml")
    chosen = parser.parse_args(arguments)
    begun = time.monotonic()
    try:
        page = run_stage(chosen.name, chosen.params_file)
    except (UserError, NotebookFailed) as error:
        return _explain(chosen.name, error)
    except KeyboardInterrupt:
        print(f"\n{chosen.name}: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    seconds = time.monotonic() - begun
    provenance.note_stage(chosen.name, seconds)
    print(f"{chosen.name}: {seconds:.1f} s, {page.relative_to(paths.ROOT)}")
    return 0


def _explain(name: str, error: Exception) -> int:
    if isinstance(error, UserError) or error.user_error:
        print(f"error: {error}", file=sys.stderr)
    else:
        kept = (FAILED / f"{name}.ipynb").relative_to(paths.ROOT)
        print(f"{error}\nerror: {name} failed; the notebook as far as it came is {kept}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
