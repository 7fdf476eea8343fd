"""Fixtures shared by the tests."""

import json
import os
import signal
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def pytest_configure() -> None:
    # a suite that is started in the background (`make test &`) inherits an ignored SIGINT, and so would its processes
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets and LLM output, not part of the repository; the test is skipped without it."""
    folder = Path(os.environ.get("REAL_DATA", ROOT.parent / "shared" / "real"))
    if not folder.is_dir():
        pytest.skip(f"real data absent: no folder {folder} (set REAL_DATA)")
    return folder


@pytest.fixture
def default_reports() -> None:
    """For what must agree with reports/: the test is skipped where these are not there or are of another profile."""
    recorded = ROOT / "reports" / "metrics" / "05_ablate.json"
    if not recorded.exists():
        pytest.skip("no reports/ here; `make reproduce` writes it")
    if (profile := json.loads(recorded.read_text(encoding="utf-8"))["profile"]) != "default":
        pytest.skip(f"reports/ is of profile {profile}; README and docs tell of the default one's")


@pytest.fixture(scope="session")
def trained_kinds(tmp_path_factory) -> dict[str, dict[str, Path]]:
    """Kind of student -> arm -> the folder of a finished run of the tiny world, not to be changed; trained once."""
    from finished import finished_runs  # with PyTorch, which few tests need

    from lib import paths

    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "SCRATCH", folder / "scratch")
        return {kind: finished_runs(folder / kind, kind) for kind in ("t5", "gpt2")}


@pytest.fixture(scope="session", params=["t5", "gpt2"])
def trained(request, trained_kinds) -> dict[str, Path]:
    """The runs of one kind of student, by arm."""
    return trained_kinds[request.param]
