"""Mechanisms of the lab: tasks, teachers, sampling, scoring, losses, training, statistics.

Nothing in here is an experiment; experiments are the notebooks. Import what you need from the module that names it.
"""

import os
from pathlib import Path

# A processor with wider registers adds in another order, and after hundreds of steps has another student. So torch and
# MKL keep to AVX2 where there is AVX2; it costs nothing (docs/reading.md, "Runs and their ids"). Both are read at the
# first operation, so that torch may be imported before. What the environment says already is left as it is.
INSTRUCTIONS = {"ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "AVX2"}


def _has_avx2() -> bool:
    try:
        return "avx2" in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split()
    except OSError:  # not Linux, or a sandbox that hides it
        return False


if _has_avx2():
    for _name, _value in INSTRUCTIONS.items():
        os.environ.setdefault(_name, _value)
