"""A run's curves while it trains: a line in the terminal, and files that TensorBoard reads.

    live = Curves("5 CoTs, seed 0, reasoning", folder)
    live.add(54, {"loss": 1.93, "learning_rate": 0.02})       # also shown, at most every 20 seconds:
    # 5 CoTs, seed 0, reasoning: step 108 of 540, loss 1.93 ▇▅, accuracy 0.41

    tensorboard --logdir scratch/curves

TensorBoard itself is needed only to look at them. A file of events is a row of records, each
length uint64, crc(length) uint32, Event, crc(Event) uint32 (little-endian; tensorflow/core/lib/io/record_writer.h),
where Event is a protocol buffer {1: wall_time double, 2: step int64, 3: file_version string, 5: Summary}, a Summary
{1: Value, ...} and a Value {1: tag string, 2: simple_value float} (tensorflow/core/framework/summary.proto).
"""

import os
import struct
import time
from collections.abc import Mapping
from pathlib import Path

from lib.progress import say

EVERY = 20.0  # seconds between two lines of a run in the terminal
BARS = "▁▂▃▄▅▆▇█"


class Curves:
    """Where the values of one phase of a run go as they come. Nothing of it is part of a result."""

    def __init__(self, name: str, folder: Path | None = None, steps: int = 0):
        self.name, self.folder, self.steps = name, folder, steps
        self.last: dict[str, float] = {}
        self.losses: list[float] = []
        self._file: Path | None = None
        self._said = time.monotonic()

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Values measured after a step; the terminal hears of them if it has not for a while."""
        self.last |= values
        self.losses += [values["loss"]] if "loss" in values else []
        if self.folder is not None:
            self._write(step, values)
        if time.monotonic() - self._said >= EVERY:
            self._said = time.monotonic()
            say(self.line(step))

    def line(self, step: int) -> str:
        """ "1 CoT, seed 0: step 20 of 100, loss 1.5 █▃▁, accuracy 0.41" """
        said = [f"step {step} of {self.steps}"]
        if self.losses:
            said.append(f"loss {self.losses[-1]:.3g} {sparkline(self.losses)}")
        if "accuracy" in self.last:
            said.append(f"accuracy {self.last['accuracy']:.3g}")
        return f"{self.name}: {', '.join(said)}"

    def _write(self, step: int, values: Mapping[str, float]) -> None:
        now = time.time()
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = self.folder / f"events.out.tfevents.{now:.6f}.{os.getpid()}"
            self._file.write_bytes(record(_double(1, now) + _bytes(3, b"brain.Event:2")))
        with self._file.open("ab") as file:
            file.write(record(event(now, step, values)))


def sparkline(values: list[float]) -> str:
    """A curve as bars, lowest to highest: [3, 1, 2] -> "█▁▄"; what is not finite shows as "!"."""
    finite = [v for v in values if abs(v) < float("inf")]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[int((v - low) * scale)] if abs(v) < float("inf") else "!" for v in values)


# -- the file format -------------------------------------------------------------------------------


def event(wall_time: float, step: int, values: Mapping[str, float]) -> bytes:
    """An Event with a scalar for each tag."""
    summary = b"".join(_bytes(1, _bytes(1, tag.encode()) + _float(2, value)) for tag, value in values.items())
    return _double(1, wall_time) + _key(2, 0) + _varint(step) + _bytes(5, summary)


def record(data: bytes) -> bytes:
    """Data framed by its length and the checksums of both."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data))


def masked_crc(data: bytes) -> int:
    """CRC-32C (Castagnoli), rotated right by 15 bits and shifted by a constant, as a record holds it."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """CRC-32C: b"123456789" -> 0xE3069283."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _table() -> list[int]:
    rows = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        rows.append(value)
    return rows


TABLE = _table()


def _key(field: int, wire: int) -> bytes:
    return _varint(field << 3 | wire)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _double(field: int, value: float) -> bytes:
    return _key(field, 1) + struct.pack("<d", value)


def _float(field: int, value: float) -> bytes:
    return _key(field, 5) + struct.pack("<f", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _key(field, 2) + _varint(len(value)) + value
