"""A Jupyter kernel of this very interpreter, the same in every run, that leaves nothing behind.

with kernel_of_this_interpreter(folder) as kernel_manager:      # a class, for nbclient and papermill
    papermill.execute_notebook(..., kernel_manager_class=kernel_manager)
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lib import paths

# One thread a process: results at 1 and 2 threads differ, and runs in parallel are faster than threads in a run.
ONE_THREAD = dict.fromkeys(
    ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"], "1"
)
QUIET = {
    "PYTHONWARNINGS": "ignore:IProgress not found",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
}
# Set for every kernel of the pipeline; an interactive one lacks it.
IN_PIPELINE = "NOTEBOOK_IN_PIPELINE"
REPEATABLE = {"PYTHONHASHSEED": "0", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}


@contextmanager
def kernel_of_this_interpreter(folder: Path) -> Iterator[type]:
    """A kernel manager that starts this interpreter, whatever kernels are installed; `folder` takes its small files.

    What it started is killed with all its children when the block, or this process, ends in whatever way.
    """
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--HistoryManager.enabled=False"]
    with _watchdog() as watch:

        class ThisInterpreter(AsyncKernelManager):
            kernel_spec = KernelSpec(argv=command, display_name="Python", language="python")

            async def start_kernel(self, **settings):
                # Sockets in the file system: no ports, and nobody else on the machine can connect.
                self.transport, self.ip = "ipc", str(folder / "kernel")
                self.connection_file = str(folder / "kernel.json")
                await super().start_kernel(**settings, env=_environment(folder), cwd=str(paths.ROOT))
                watch(self.provisioner.pid)

            async def shutdown_kernel(self, **_):
                # At once: the polite way interrupts all its processes first, and some say so with a traceback.
                await self.signal_kernel(signal.SIGKILL)
                await super().shutdown_kernel(now=True)

        yield ThisInterpreter


def _environment(folder: Path) -> dict[str, str]:
    """What the kernel sees: one thread, fixed hashing, none of the user's IPython or Jupyter settings."""
    own = {"IPYTHONDIR": "ipython", "JUPYTER_CONFIG_DIR": "jupyter", "JOBLIB_TEMP_FOLDER": "joblib"}
    own = {name: str(folder / place) for name, place in own.items()}
    own |= {IN_PIPELINE: "1"}
    terminal = {"PROGRESS_TTY": os.ttyname(2) if os.isatty(2) else ""}
    return {**os.environ, **ONE_THREAD, **QUIET, **REPEATABLE, **own, **terminal}


@contextmanager
def _watchdog() -> Iterator:
    """Yields watch(pid): when this process ends, by kill -9 too, the session that `pid` leads is killed.

    The watchdog holds the reading end of a pipe whose other end only this process has, and waits for its end. It
    has a session of its own, so that killing our process group spares it.
    """
    script = 'read -r pid || exit; read -r _; kill -s KILL -- "-$pid"'
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    dog = subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, start_new_session=True, **silent)

    def watch(pid: int) -> None:
        dog.stdin.write(f"{pid}\n".encode())
        dog.stdin.flush()

    try:
        yield watch
    finally:
        dog.stdin.close()
        dog.wait()
