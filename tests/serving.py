"""Real servers that speak OpenAI's protocol, written by others: LiteLLM's proxy and `transformers serve`.

    with litellm_proxy(tmp_path, "The answer is (3 + 4).", key_limit=12, window=12) as server:
        server.url               # "http://127.0.0.1:43211/v1"
        server.key               # "sk-3f…": what the proxy wants to see
        server.statuses()        # Counter({200: 22, 429: 4}): calls by HTTP status, from the server's log

They run in an environment of their own, made once under scratch/servers from requirements-servers.txt, listen on the
loopback interface only, and end with the block.
"""

import fcntl
import hashlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from lib import paths

REQUIREMENTS = paths.ROOT / "requirements-servers.txt"
PATIENCE = 180.0  # seconds until a server that was started must answer
MODEL = "mock"  # the name of the proxy's one model
# Who may ask, and how often: the proxy has no database of keys here, so it asks this module.
KEYS = """
import os

from litellm.proxy._types import ProxyException, UserAPIKeyAuth


async def admit(request, api_key):
    if api_key != os.environ["LITELLM_MASTER_KEY"]:
        raise ProxyException("not a key of this proxy", type="auth_error", param="api_key", code=401)
    return UserAPIKeyAuth(api_key=api_key, rpm_limit={limit})
"""


# -- the environment -----------------------------------------------------------------------------


def environment() -> Path:
    """The python of the servers' environment, which is made if it is not there. Skips where it cannot be."""
    pins = REQUIREMENTS.read_bytes() + (paths.ROOT / "requirements.txt").read_bytes()
    home = paths.SCRATCH / "servers"
    folder = home / hashlib.sha256(pins).hexdigest()[:12]
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ready").exists():
            for old in filter(Path.is_dir, home.iterdir()):  # half a gigabyte each
                shutil.rmtree(old)
            _make(folder)
            (folder / "ready").touch()
    return folder / "bin" / "python"


def _make(folder: Path) -> None:
    """A virtual environment that also finds the project's packages, after its own: torch is not installed twice."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    own = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    (Path(own) / "project.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")
    subprocess.run([python, "-c", "import torch"], check=True)  # else pip would fetch another one
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", REQUIREMENTS]
    result = subprocess.run(pip, capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.skip(f"{REQUIREMENTS.name} cannot be installed: {result.stderr.strip()[-500:]}")


# -- a server that runs --------------------------------------------------------------------------


@dataclass(frozen=True)
class Server:
    """A running server, seen from the test."""

    port: int
    log: Path
    key: str = "none"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def statuses(self) -> Counter:
        """HTTP status -> how many calls for a completion ended in it."""
        found = re.findall(r'"POST /v1/(?:chat/)?completions HTTP/[\d.]+" (\d{3})', self.log.read_text("utf-8"))
        return Counter(map(int, found))


@contextmanager
def litellm_proxy(
    folder: Path, reply: str, key_limit: int | None = None, window: int = 60, model_limit: int | None = None
) -> Iterator[Server]:
    """LiteLLM's proxy with one model, which answers everything with `reply`.

    key_limit     calls that a key may make in `window` seconds, from its first on; refusals say how long to wait
    model_limit   calls that the model takes in a minute of the clock; refusals do not say how long to wait
    """
    model = {"model": f"openai/{MODEL}", "api_key": "none", "mock_response": reply}
    config = {
        "model_list": [{"model_name": MODEL, "litellm_params": model | ({"rpm": model_limit} if model_limit else {})}],
        "router_settings": {"optional_pre_call_checks": ["enforce_model_rate_limits"]},
        "general_settings": {"custom_auth": "keys.admit"},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (folder / "keys.py").write_text(KEYS.format(limit=key_limit), encoding="utf-8")
    python, key = environment(), f"sk-{secrets.token_hex(24)}"
    own = {"LITELLM_MASTER_KEY": key, "LITELLM_RATE_LIMIT_WINDOW_SIZE": str(window)}
    own |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
    command = [python.with_name("litellm"), "--config", "config.yaml"]
    with _running(folder, command, own, "/health/liveliness", key) as server:
        yield server


@contextmanager
def transformers_serve(folder: Path) -> Iterator[Server]:
    """`transformers serve`: it loads the model that a call names."""
    command = [environment(), "-m", "transformers.cli.transformers", "serve", "--default-seed", "0"]
    with _running(folder, command, {}, "/health") as server:
        yield server


@contextmanager
def _running(folder: Path, command: list, own: dict[str, str], health: str, key: str = "none") -> Iterator[Server]:
    """The command in a process group of its own, from the moment it answers to the end of the block."""
    server = Server(_free_port(), folder / "server.log", key)
    command = [*map(str, command), "--host", "127.0.0.1", "--port", str(server.port)]
    with server.log.open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=_variables(folder) | own, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    try:
        _wait_for(server, process, health)
        yield server
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _variables(folder: Path) -> dict[str, str]:
    """The environment variables of a server: few, and with no way out of this machine."""
    own = dict.fromkeys(["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"], "http://127.0.0.1:9")
    own |= {"PATH": os.environ["PATH"], "HOME": str(folder), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return own | {"no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1", "PYTHONUNBUFFERED": "1"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for(server: Server, process: subprocess.Popen, health: str) -> None:
    """Return when the server answers; fail with the end of its log when it has ended, or after PATIENCE."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        try:
            with direct.open(f"http://127.0.0.1:{server.port}{health}", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"the server did not start: {server.log.read_text('utf-8')[-2000:]}")
