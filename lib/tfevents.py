"""Files of events, which TensorBoard reads, written without TensorFlow or TensorBoard.

    file = Events(folder)                       # <folder>/events.out.tfevents.<now>.<process>
    file.add(54, {"loss": 1.93})                # a point of each curve named, after step 54

A file is a row of records, each length uint64, crc(length) uint32, Event, crc(Event) uint32 (little-endian;
tensorflow/core/lib/io/record_writer.h), where Event is a protocol buffer {1: wall_time double, 2: step int64,
3: file_version string, 5: Summary}, a Summary {1: Value, ...} and a Value {1: tag string, 2: simple_value float}
(tensorflow/core/framework/summary.proto). torch's own SummaryWriter needs TensorBoard installed to write at all.
"""

import os
import struct
import time
from collections.abc import Mapping
from pathlib import Path


class Events:
    """A file that grows by a record a call; it begins to be with the first."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._file: Path | None = None

    def add(self, step: int, values: Mapping[str, float]) -> None:
        now = time.time()
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = self.folder / f"events.out.tfevents.{now:.6f}.{os.getpid()}"
            self._file.write_bytes(record(_double(1, now) + _bytes(3, b"brain.Event:2")))
        with self._file.open("ab") as file:
            file.write(record(event(now, step, values)))


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
