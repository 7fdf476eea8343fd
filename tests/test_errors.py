"""Which errors say that memory ran out, so that nothing else is blamed for it."""

import pytest
import torch

from lib.errors import out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"),
        RuntimeError("CUDA error: out of memory"),
        OSError(12, "Cannot allocate memory"),
    ],
)
def test_running_out_of_memory_is_known_by_class_or_words(error):
    assert out_of_memory(error)


@pytest.mark.parametrize(
    "error", [RuntimeError("size mismatch for shared.weight"), OSError(2, "No such file"), KeyError()]
)
def test_any_other_error_is_none_of_memory(error):
    assert not out_of_memory(error)
