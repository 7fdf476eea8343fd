"""Curves: the line in the terminal, and the bytes that TensorBoard reads."""

import struct

import pytest

from lib import curves
from lib.curves import Curves, crc32c, event, masked_crc, record, sparkline

INF, NAN = float("inf"), float("nan")


def records(data: bytes) -> list[bytes]:
    """The way back: every checksum is checked."""
    found = []
    while data:
        [length] = struct.unpack("<Q", data[:8])
        body = data[12 : 12 + length]
        assert struct.unpack("<I", data[8:12]) == (masked_crc(data[:8]),)
        assert struct.unpack("<I", data[12 + length : 16 + length]) == (masked_crc(body),)
        found.append(body)
        data = data[16 + length :]
    return found


@pytest.mark.parametrize(
    ("data", "crc"), [(b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)]
)  # RFC 3720, B.4
def test_the_checksum_is_that_of_the_standard(data, crc):
    assert crc32c(data) == crc


def test_a_record_of_nothing_by_hand():
    # crc(b"") = 0, so its masked form is the constant
    assert record(b"")[8 + 4 :] == struct.pack("<I", 0xA282EAD8)
    assert record(b"ab")[:8] == b"\x02" + bytes(7)


def test_an_event_by_hand():
    value = b"\x0a\x04loss" + b"\x15" + struct.pack("<f", 1.5)
    summary = b"\x0a" + bytes([len(value)]) + value
    expected = b"\x09" + struct.pack("<d", 2.0) + b"\x10\xac\x02" + b"\x2a" + bytes([len(summary)]) + summary
    assert event(2.0, 300, {"loss": 1.5}) == expected


def test_a_run_writes_one_file_that_reads_back(tmp_path):
    live = Curves("run", tmp_path / "curves", steps=20)
    live.add(10, {"loss": 1.5})
    live.add(20, {"loss": 1.0, "accuracy": 0.5})
    [file] = (tmp_path / "curves").iterdir()
    assert ".tfevents." in file.name
    version, first, second = records(file.read_bytes())
    assert b"brain.Event:2" in version
    assert first.endswith(event(0, 10, {"loss": 1.5})[9:])
    assert second.endswith(event(0, 20, {"loss": 1.0, "accuracy": 0.5})[9:])


def test_a_run_taken_up_again_writes_beside_what_is_there(tmp_path):
    Curves("run", tmp_path).add(10, {"loss": 1.5})
    Curves("run", tmp_path).add(20, {"loss": 1.0})
    assert len(list(tmp_path.iterdir())) == 2


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Curves("run").add(1, {"loss": 1.0})
    assert list(tmp_path.iterdir()) == []


def test_a_curve_as_bars():
    assert sparkline([3.0, 1.0, 2.0]) == "█▁▄"
    assert sparkline([2.0, 2.0]) == "▁▁"
    assert sparkline([1.0, NAN, INF, -INF, 8.0]) == "▁!!!█"
    assert sparkline([]) == ""


def test_the_terminal_hears_of_a_run_now_and_then(monkeypatch):
    said, now = [], iter([0.0, 1.0, 20.0, 20.0, 21.0, 41.0, 41.0])
    monkeypatch.setattr(curves, "say", said.append)
    monkeypatch.setattr(curves.time, "monotonic", lambda: next(now))
    live = Curves("1 CoT, seed 0", steps=100)
    live.add(10, {"loss": 3.0})
    live.add(20, {"accuracy": 0.25})
    live.add(30, {"loss": 2.0})
    live.add(40, {"loss": 1.0})
    assert said == [
        "1 CoT, seed 0: step 20 of 100, loss 3 ▁, accuracy 0.25",
        "1 CoT, seed 0: step 40 of 100, loss 1 █▄▁, accuracy 0.25",
    ]
