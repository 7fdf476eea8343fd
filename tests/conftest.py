"""Fixtures shared by the tests."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets and LLM output, not part of the repository; the test is skipped without it."""
    folder = Path(os.environ.get("REAL_DATA", ROOT.parent / "shared" / "real"))
    if not folder.is_dir():
        pytest.skip(f"real data absent: no folder {folder} (set REAL_DATA)")
    return folder
