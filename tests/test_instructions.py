"""One instruction set for all processors: the numbers of a CPU run do not follow from how new it is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lib import paths

NAMES = ("ATEN_CPU_CAPABILITY", "MKL_CBWR")
KNOWN = Path("/proc/cpuinfo")
PRODUCT = """
import os
import torch
{first}
torch.set_num_threads(1)
a, b = (torch.rand(64, 300, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
product = float((a @ b.T).double().exp().sum()).hex()
print(torch.backends.cpu.get_cpu_capability(), os.environ.get("MKL_CBWR"), product)
"""

pytestmark = pytest.mark.skipif(
    not (KNOWN.exists() and " avx2 " in KNOWN.read_text()), reason="not a Linux machine with AVX2: nothing is set"
)


def product(first: str = "import lib", **chosen) -> list[str]:
    """The instruction set that torch used, what MKL was told, and a number of a matrix product.

    first   what is done after torch is imported, as in a notebook, and before its first operation
    """
    environment = {name: value for name, value in os.environ.items() if name not in NAMES} | chosen
    command = [sys.executable, "-c", PRODUCT.replace("{first}", first)]
    return subprocess.run(
        command, env=environment, cwd=paths.ROOT, check=True, capture_output=True, text=True
    ).stdout.split()


def test_torch_keeps_to_what_most_processors_have():
    assert product()[:2] == ["AVX2", "AVX2"]
    assert product(ATEN_CPU_CAPABILITY="default", MKL_CBWR="COMPATIBLE")[:2] == ["DEFAULT", "COMPATIBLE"]


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="torch was built without MKL")
def test_it_is_not_too_late_for_mkl_after_torch_is_imported():
    late = product("import lib; os.environ['MKL_CBWR'] = 'COMPATIBLE'")[2]
    assert late == product(MKL_CBWR="COMPATIBLE")[2] != product()[2]
