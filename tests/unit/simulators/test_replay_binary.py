"""BLF and MF4, written by python-can and read back; python-can's reader is the oracle."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import can
import numpy as np
import pytest
from can.io.blf import LOG_CONTAINER, LOG_CONTAINER_STRUCT, OBJ_HEADER_BASE_STRUCT

from agent.core.errors import InputError
from agent.core.frames import BIT_RATE_SWITCH, ERROR_FRAME, ERROR_STATE, EXTENDED, FD, OWN, REMOTE, concatenate
from simulators.replay import open_recording

START_S = 1_700_000_000.25
MESSAGES = (
    can.Message(timestamp=START_S, arbitration_id=0x123, is_extended_id=False, data=b"\x01\x02\x03"),
    can.Message(timestamp=START_S + 0.001, arbitration_id=0x18FEF100, data=bytes(8), channel=1),
    can.Message(timestamp=START_S + 0.002, arbitration_id=0x7DF, is_extended_id=False, data=b"\x02", is_rx=False),
    can.Message(timestamp=START_S + 0.003, arbitration_id=0x321, is_extended_id=False, is_remote_frame=True, dlc=4),
    can.Message(
        timestamp=START_S + 0.004,
        arbitration_id=0x456,
        is_extended_id=False,
        is_fd=True,
        bitrate_switch=True,
        error_state_indicator=True,
        data=bytes(range(48)),
    ),
    can.Message(timestamp=START_S + 0.005, is_error_frame=True, is_extended_id=False),
)
FLAGS = [0, EXTENDED, OWN, REMOTE, FD | BIT_RATE_SWITCH | ERROR_STATE, ERROR_FRAME]
PAYLOADS = [b"\x01\x02\x03", bytes(8), b"\x02", b"", bytes(range(48)), b""]


def write(path: Path, messages: Sequence[can.Message]) -> None:
    with can.Logger(path) as logger:
        for message in messages:
            logger(message)


@pytest.fixture(params=["a.blf", "a.mf4"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "a.mf4":
        pytest.importorskip("asammdf", reason="python-can writes MF4 with asammdf")
    return tmp_path / str(request.param)


def test_every_kind_of_frame_survives(path: Path) -> None:
    write(path, MESSAGES)
    recording = open_recording(path)
    assert recording.format == path.suffix[1:]
    batch = concatenate(list(recording))
    assert batch.can_id.tolist() == [message.arbitration_id for message in MESSAGES]
    assert batch.flags.tolist() == FLAGS
    assert [row[:n].tobytes() for row, n in zip(batch.data, batch.length, strict=True)] == PAYLOADS
    assert np.abs(batch.t_ns - np.arange(6) * 1_000_000).max() < 1000
    assert recording.start_wall_ns is not None
    assert abs(recording.start_wall_ns - START_S * 1e9) < 2_000_000
    assert recording.bad_lines == 0


def test_the_bus_is_the_channel(path: Path) -> None:
    write(path, [can.Message(timestamp=1.0 + n, arbitration_id=1, channel=n) for n in range(3)])
    # python-can writes BLF channels from 1 and MF4 channels as they are
    expected = [0, 1, 2] if path.suffix == ".blf" else [0, 0, 1]
    assert concatenate(list(open_recording(path))).bus.tolist() == expected


def test_many_frames_equal_python_can(path: Path) -> None:
    rng = np.random.default_rng(7)
    ids = rng.integers(0, 1 << 29, 5_000)
    payloads = rng.integers(0, 256, (5_000, 8), np.uint8)
    write(
        path,
        [
            can.Message(timestamp=START_S + n / 1000, arbitration_id=int(i), data=p.tobytes()[: n % 9])
            for n, (i, p) in enumerate(zip(ids, payloads, strict=True))
        ],
    )
    batch = concatenate(list(open_recording(path)))
    with can.LogReader(path) as reader:
        oracle = list(reader)
    assert batch.can_id.tolist() == [message.arbitration_id for message in oracle]
    assert [row[:n].tobytes() for row, n in zip(batch.data, batch.length, strict=True)] == [
        bytes(message.data) for message in oracle
    ]
    seconds = np.array([message.timestamp for message in oracle]) - oracle[0].timestamp
    assert np.abs(batch.t_ns / 1e9 - seconds).max() < 1e-6


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_truncated_file_gives_what_is_left_or_is_refused(path: Path, kept: float) -> None:
    write(path, [can.Message(timestamp=n / 100, arbitration_id=n, data=b"\x01") for n in range(5000)])
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    try:
        recording = open_recording(path)
        batches = list(recording)
    except InputError as exc:
        assert str(path) in str(exc)  # noqa: PT017 - either end is right, but only these two
        return
    assert recording.frames == sum(map(len, batches)) < 5000
    assert recording.bad_lines > 0


def test_blf_garbage_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.blf"
    write(path, MESSAGES)
    content = bytearray(path.read_bytes())
    content[150:] = bytes(len(content) - 150)
    path.write_bytes(content)
    recording = open_recording(path)
    assert list(recording) == []
    assert recording.bad_lines > 0


def test_blf_objects_that_lie_about_their_size_end(tmp_path: Path) -> None:
    path = tmp_path / "a.blf"
    write(path, MESSAGES)
    header = path.read_bytes()[:144]
    broken = OBJ_HEADER_BASE_STRUCT.pack(b"LOBJ", 32, 1, 0, 1) * 10
    body = LOG_CONTAINER_STRUCT.pack(2, len(broken)) + zlib.compress(broken)
    size = OBJ_HEADER_BASE_STRUCT.size + len(body)
    container = OBJ_HEADER_BASE_STRUCT.pack(b"LOBJ", 16, 1, size, LOG_CONTAINER) + body
    path.write_bytes(header + container)
    recording = open_recording(path)
    assert list(recording) == []
    assert recording.bad_lines >= 9


def test_blf_damage_anywhere_is_survived(tmp_path: Path) -> None:
    path = tmp_path / "a.blf"
    write(path, MESSAGES)
    content = path.read_bytes()
    hurt = 0
    for position in range(144, len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        recording = open_recording(path)
        assert sum(map(len, recording)) <= len(MESSAGES)
        hurt += recording.bad_lines > 0
    assert hurt > 100


def test_blf_with_an_impossible_date_has_no_start(tmp_path: Path) -> None:
    path = tmp_path / "a.blf"
    write(path, MESSAGES)
    content = bytearray(path.read_bytes())
    struct.pack_into("<H", content, 42, 13)  # the month
    path.write_bytes(content)
    recording = open_recording(path)
    assert recording.start_wall_ns is None
    assert len(concatenate(list(recording))) == 6


def test_mf4_garbage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mf4"
    path.write_bytes(b"MDF     4.10    " + bytes(range(256)) * 8)
    with pytest.raises(InputError, match="damaged MF4"):
        open_recording(path)


def test_mdf_3_is_refused_by_version(tmp_path: Path) -> None:
    path = tmp_path / "a.mdf"
    path.write_bytes(b"MDF     3.30    " + bytes(1000))
    with pytest.raises(InputError, match=r"version '3.30' instead of 4\.x"):
        open_recording(path)
