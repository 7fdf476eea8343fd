"""The bytes that TensorBoard reads."""

import struct

import pytest

from lib.tfevents import Events, crc32c, event, masked_crc, record


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


def test_a_file_grows_by_a_record_and_reads_back(tmp_path):
    events = Events(tmp_path / "curves")
    assert not (tmp_path / "curves").exists()
    events.add(10, {"loss": 1.5})
    events.add(20, {"loss": 1.0, "accuracy": 0.5})
    [file] = (tmp_path / "curves").iterdir()
    assert ".tfevents." in file.name
    version, first, second = records(file.read_bytes())
    assert b"brain.Event:2" in version
    assert first.endswith(event(0, 10, {"loss": 1.5})[9:])
    assert second.endswith(event(0, 20, {"loss": 1.0, "accuracy": 0.5})[9:])
