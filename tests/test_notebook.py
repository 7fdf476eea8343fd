"""A notebook runs in a kernel of its own and becomes one page, the same in every run, or none at all.

Each test works in a small repository of its own: a copy of lib/ and notebooks of a few cells.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest

from lib import paths
from lib.notebook import normalise, without_colour

PARAMETERS = 'params_file = "nowhere"'
BOOTSTRAP = "import os, sys\nfrom pathlib import Path\nsys.path.insert(0, os.getcwd())"
TWO_WORKERS = """
from joblib import Parallel, delayed

def sleep(i):
    import os, time
    open(f"pid-{os.getpid()}", "w").close()
    time.sleep(300)

open(f"pid-{os.getpid()}", "w").close()
Parallel(2)(delayed(sleep)(i) for i in range(2))
"""


class Repository:
    """A folder with lib/ and notebooks/ in which the runner is called as the pipeline calls it."""

    def __init__(self, folder: Path):
        self.folder = folder
        shutil.copytree(paths.ROOT / "lib", folder / "lib", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "notebooks").mkdir()

    def write(self, *cells: str, name="01_small", headline=None) -> None:
        """A notebook of these code cells below a title."""
        code = [nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})]
        code += [nbformat.v4.new_code_cell(text) for text in (BOOTSTRAP, *cells)]
        if headline:
            code.append(nbformat.v4.new_code_cell(headline, metadata={"tags": ["headline"]}))
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Small"), *code])
        nbformat.write(notebook, self.folder / "notebooks" / f"{name}.ipynb")

    @property
    def page(self) -> Path:
        return self.folder / "reports" / "01_small.html"

    @property
    def failed(self) -> Path:
        return self.folder / "reports" / "_failed" / "01_small.ipynb"

    def start(self, name="01_small") -> subprocess.Popen:
        command = [sys.executable, "-m", "lib.notebook", name]
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        environment = {**os.environ, "TMPDIR": str(self.folder.parent)}
        return subprocess.Popen(command, cwd=self.folder, env=environment, start_new_session=True, **output)

    def run(self, name="01_small") -> subprocess.CompletedProcess:
        """The runner to its end, which must come within a minute."""
        process = self.start(name)
        try:
            out, err = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture
def repository(tmp_path) -> Repository:
    return Repository(tmp_path / "a repository")


def test_two_runs_give_the_same_bytes(repository):
    """Though addresses, times, processes and temporary folders differ, none of them is in the page."""
    repository.write(
        "import time\nprint('begun', 1, time.monotonic(), file=sys.stderr)",
        "print(object())\nprint('two', end=' ')\nsys.stdout.flush()\nprint('words')",
        "object()",
        "print(sorted({'a', 'b', 'c'}), list({'a', 'b', 'c', 'd'}), params_file)",
        headline="from IPython.display import Markdown\nMarkdown('**found**')",
    )
    first = repository.run()
    assert (first.returncode, first.stderr.count("\n")) == (0, 1), first.stderr
    assert first.stdout.startswith("01_small: ") and first.stdout.endswith(" s, reports/01_small.html\n")
    page = repository.page.read_bytes()

    repository.page.unlink()
    assert repository.run().returncode == 0
    assert repository.page.read_bytes() == page

    text = page.decode()
    assert "begun 1" in first.stderr
    assert text.index("</h1>") < text.index("<strong>found</strong>") < text.index("two words")
    assert "begun 1" not in text
    assert text.count("object at 0x…") == 2 and not re.search(r"0x[0-9a-f]{6}", text)
    assert "params.yaml" in text and "injected" not in text
    assert not repository.failed.exists()


def test_kernel_has_one_thread_and_fixed_hashes_at_the_root(repository):
    repository.write(
        "assert os.environ['OMP_NUM_THREADS'] == '1' and os.environ['PYTHONHASHSEED'] == '0'",
        f"assert os.getcwd() == {os.path.realpath(repository.folder)!r}",
        f"assert sys.executable == {sys.executable!r}",
    )
    result = repository.run()
    assert result.returncode == 0, result.stderr


def test_users_mistake_is_one_line(repository):
    """The page of an earlier run stays; how far the notebook came is kept beside it."""
    repository.page.parent.mkdir()
    repository.page.write_text("old")
    repository.write("print('so far')", "from lib.errors import UserError\nraise UserError('row 3:\\n  no such thing')")
    result = repository.run()
    assert (result.returncode, result.stdout, result.stderr) == (1, "", "error: row 3: no such thing\n")
    assert repository.page.read_text() == "old"
    assert "so far" in repository.failed.read_text(encoding="utf-8")

    repository.write("print('mended')")
    assert repository.run().returncode == 0
    assert "mended" in repository.page.read_text(encoding="utf-8") and not repository.failed.exists()


def test_users_mistake_beside_processes_is_one_line(repository):
    """What parallel processes say while they end is nobody's business."""
    repository.write(
        "from joblib import Parallel, delayed\nParallel(2)(delayed(abs)(i) for i in range(4))",
        "from lib.errors import UserError\nraise UserError('no such thing')",
    )
    assert repository.run().stderr == "error: no such thing\n"


def test_other_error_shows_where_it_came_from(repository):
    repository.write("def f():\n    return 1 / 0\n\nf()")
    result = repository.run()
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert any(line.startswith("ZeroDivisionError") for line in lines) and "return 1 / 0" in result.stderr
    assert lines[-1].startswith("error: 01_small failed; the notebook as far as it came is reports/_failed/01_small")
    assert "\x1b" not in result.stderr
    assert repository.failed.exists() and not repository.page.exists()


@pytest.mark.parametrize("how", ["os._exit(3)", "os.kill(os.getpid(), 9)", "sys.exit(2)"])
def test_kernel_that_dies_ends_the_run(repository, how):
    repository.write("print('so far')", how)
    result = repository.run()
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("error: 01_small failed")
    assert "SystemExit: 2" in result.stderr if "sys" in how else "the kernel died; a lack of memory" in result.stderr
    assert "so far" in repository.failed.read_text(encoding="utf-8") and not repository.page.exists()


def test_page_that_would_fetch_something_is_not_written(repository):
    repository.write("from IPython.display import HTML\nHTML('<img src=\"http://example.org/x.png\">')")
    result = repository.run()
    assert result.returncode != 0 and "would be fetched" in result.stderr
    assert not repository.page.exists()


def test_unknown_notebook_lists_those_there_are(repository):
    repository.write("1", name="02_other")
    result = repository.run("01_small")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "error: no notebook '01_small' in notebooks/; there are: 02_other\n"


@pytest.mark.parametrize(
    ("to_group", "number"), [(False, signal.SIGKILL), (True, signal.SIGKILL), (False, signal.SIGTERM)]
)
def test_killed_runner_leaves_nobody_behind(repository, to_group, number):
    """Neither the kernel nor its parallel processes go on; and the next run is not kept waiting."""
    repository.write(TWO_WORKERS)
    runner = repository.start()
    pids = wait_for(lambda: three(repository.folder), seconds=60)
    assert all(map(alive, pids))
    (os.killpg if to_group else os.kill)(runner.pid, number)
    runner.wait()
    assert wait_for(lambda: not any(map(alive, pids)), seconds=10)
    runner.communicate()
    assert not repository.page.exists()

    repository.write("1")
    assert repository.run().returncode == 0


def test_interrupted_runner_says_so_and_leaves_nobody_behind(repository):
    repository.write(TWO_WORKERS)
    runner = repository.start()
    pids = wait_for(lambda: three(repository.folder), seconds=60)
    os.kill(runner.pid, signal.SIGINT)
    _, stderr = runner.communicate(timeout=20)
    assert runner.returncode == 128 + signal.SIGINT and stderr.splitlines()[-1] == "01_small: interrupted"
    assert wait_for(lambda: not any(map(alive, pids)), seconds=10)


def test_second_runner_of_a_notebook_is_refused(repository):
    repository.write(TWO_WORKERS)
    runner = repository.start()
    wait_for(lambda: three(repository.folder), seconds=60)
    result = repository.run()
    os.kill(runner.pid, signal.SIGKILL)
    runner.communicate()
    assert result.returncode == 1
    assert result.stderr == f"error: 01_small is already running in {repository.folder}; wait for it or stop it\n"


def test_normalised_notebook_has_nothing_that_differs_between_runs():
    stderr = nbformat.v4.new_output("stream", name="stderr", text="warning")
    pieces = [nbformat.v4.new_output("stream", name="stdout", text=text) for text in ("<f at 0x7f", "00aa11bb>\n")]
    result = nbformat.v4.new_output("execute_result", data={"text/plain": "<g at 0x7f00aa11bb>"}, execution_count=4)
    cell = nbformat.v4.new_code_cell("1", outputs=[pieces[0], stderr, pieces[1], result], execution_count=4)
    cell.metadata = nbformat.from_dict({"tags": ["headline"], "papermill": {"duration": 0.123}})
    injected = nbformat.v4.new_code_cell("p = 1", metadata={"tags": ["injected-parameters"]})
    notebook = normalise(
        nbformat.v4.new_notebook(cells=[cell, injected], metadata={"papermill": {"start_time": "now"}})
    )

    (kept,) = notebook.cells
    assert (kept.execution_count, dict(kept.metadata)) == (None, {"tags": ["headline"]})
    assert [output.get("text") or output.data["text/plain"] for output in kept.outputs] == [
        "<f at 0x…>\n",
        "<g at 0x…>",
    ]
    assert kept.outputs[1].execution_count is None
    assert notebook.metadata == {}
    assert cell.execution_count == 4 and len(cell.outputs) == 4  # the given notebook is as it was


def test_colours_are_removed():
    assert without_colour("\x1b[1;31mred\x1b[0m and \x1b[?25lplain") == "red and plain"


def three(folder: Path) -> list[int]:
    """The kernel's process and its two workers', once all are there."""
    pids = [int(path.name.removeprefix("pid-")) for path in folder.glob("pid-*")]
    return pids if len(pids) == 3 else []


def wait_for(condition, seconds: float):
    """What `condition` returns, as soon as it is true; fails after so many seconds."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)
    return found


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
