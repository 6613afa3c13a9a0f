"""Bytes in struct can_frame and canfd_frame, stamps of a wall clock that may be set at any time."""

import socket
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.frames import BIT_RATE_SWITCH, ERROR_FRAME, ERROR_STATE, EXTENDED, FD, OWN, REMOTE, FrameBatch
from drivers.socketcan_frames import parse_frames, stamp
from drivers.socketcan_receive import FRAME, Received

MS = 1_000_000
S = 1_000 * MS
WALL = 1_790_000_000 * S


def frame(can_id: int, data: bytes, *, length: int | None = None) -> bytes:
    return struct.pack("=IB3x8s", can_id, len(data) if length is None else length, data)


def fd_frame(can_id: int, data: bytes, *, flags: int = 0) -> bytes:
    return struct.pack("=IBB2x64s", can_id, len(data), flags, data)


def received(*datagrams: bytes, flags: int = 0) -> Received:
    """Rows as the kernel leaves them: what it did not write is what was there before."""
    rows = np.frombuffer(b"".join(d[:72].ljust(72, b"\xa5") for d in datagrams), FRAME)
    size = np.array([min(len(d), 72) for d in datagrams], np.uint32)
    cut = np.array([socket.MSG_TRUNC if len(d) > 72 else 0 for d in datagrams], np.uint32)
    times = np.zeros(len(rows), np.int64)
    return Received(rows, rows["id"], rows["length"], rows["word"], size, cut | np.uint32(flags), times)


def parse(*datagrams: bytes, flags: int = 0) -> FrameBatch:
    t_ns = np.arange(len(datagrams), dtype=np.int64)
    return parse_frames(received(*datagrams, flags=flags), t_ns, np.full(100, 2, np.uint8))[0]


def test_every_kind_of_frame_is_parsed() -> None:
    batch = parse(
        frame(0x123, b"\x01\x02"),
        frame(0x18FEF100 | 0x8000_0000, bytes(range(8))),
        frame(0x7FF | 0x4000_0000, b"", length=8),
        frame(0x2000_0000 | 0x40, bytes(8)),
        fd_frame(0x456, bytes(range(64)), flags=0b111),
        fd_frame(0x1ABCDEF0 | 0x8000_0000, b"\xff", flags=0b100),
        frame(0x0ABCDEF0 | 0xC000_0000, b"", length=3),
    )
    assert batch.can_id.tolist() == [0x123, 0x18FEF100, 0x7FF, 0x40, 0x456, 0x1ABCDEF0, 0x0ABCDEF0]
    assert batch.flags.tolist() == [
        0,
        EXTENDED,
        REMOTE,
        ERROR_FRAME,
        FD | BIT_RATE_SWITCH | ERROR_STATE,
        FD | EXTENDED,
        EXTENDED | REMOTE,
    ]
    assert batch.length.tolist() == [2, 8, 0, 8, 64, 1, 0]
    assert batch.data[0].tolist() == [1, 2] + [0] * 62
    assert batch.data[4].tolist() == list(range(64))
    assert batch.data[5].tolist() == [255] + [0] * 63
    assert (batch.bus == 2).all()
    assert batch.data.flags["C_CONTIGUOUS"]


def test_bytes_beyond_the_length_are_not_data() -> None:
    assert parse(frame(1, b"\xff" * 8, length=3)).data[0].tolist() == [255] * 3 + [0] * 61


def test_a_length_beyond_the_frame_is_cut() -> None:
    assert parse(frame(1, b"\xff" * 8, length=15)).length.tolist() == [8]
    assert parse(struct.pack("=IB3x64s", 1, 255, b"")).length.tolist() == [64]


@pytest.mark.parametrize("flag", [socket.MSG_DONTROUTE, socket.MSG_CONFIRM, socket.MSG_DONTROUTE | socket.MSG_CONFIRM])
def test_frames_of_this_box_are_marked(flag: int) -> None:
    assert parse(frame(1, b""), flags=flag).flags.tolist() == [OWN]


@pytest.mark.parametrize("size", [0, 1, 15, 17, 71, 73, 2048])
def test_datagrams_of_another_size_are_left_out(size: int) -> None:
    assert len(parse(bytes(size))) == 0
    batch = parse(bytes(size), frame(7, b""))
    assert batch.can_id.tolist() == [7]
    assert batch.t_ns.tolist() == [1], "a frame keeps its own time"


@given(
    st.lists(
        st.one_of(st.binary(min_size=16, max_size=16), st.binary(min_size=72, max_size=72), st.binary(max_size=80))
    )
)
def test_any_datagrams_give_columns_that_hold_together(datagrams: list[bytes]) -> None:
    batch = parse(*datagrams)
    assert len(batch) == sum(len(datagram) in (16, 72) for datagram in datagrams)
    assert (batch.length <= 64).all()
    assert (batch.can_id <= 0x1FFFFFFF).all()
    assert (batch.can_id[batch.flags & (EXTENDED | ERROR_FRAME) == 0] <= 0x7FF).all()
    assert not batch.data[np.arange(64) >= batch.length[:, None]].any()


def test_errors_are_counted_by_class() -> None:
    errors = received(
        frame(0x2000_0000 | 0x040, bytes(8)),
        frame(0x2000_0000 | 0x00C, b"\0\x01" + bytes(6)),
        frame(0x2000_0000 | 0x004, b"\0\x10" + bytes(6)),
        frame(0x123, b"\x01" * 8),
        frame(0x2000_0000 | 0x020, bytes(8)),
        frame(0x2000_0000 | 0x1FF, bytes(8)),
    )
    assert parse_frames(errors, np.zeros(6, np.int64), np.zeros(6, np.uint8))[1] == {
        "error_frames": 5,
        "error_tx_timeout": 1,
        "error_lost_arbitration": 1,
        "error_controller": 3,
        "error_protocol": 2,
        "error_transceiver": 1,
        "error_no_ack": 2,
        "bus_off": 2,
        "error_bus": 1,
        "restarted": 1,
        "controller_overflows": 1,
    }
    assert not parse_frames(received(frame(0x9234_5678, b"")), np.zeros(1, np.int64), np.zeros(1, np.uint8))[1]


def test_kernel_stamps_become_monotonic() -> None:
    wall_ns = np.array([WALL + n * MS for n in (1, 3, 2)])
    t_ns = stamp(wall_ns, now_ns=50 * S + 5 * MS, since_ns=49 * S, latest_ns=0, offsets_ns=[50 * S - WALL])
    assert [t - 50 * S for t in t_ns.tolist()] == [1 * MS, 3 * MS, 3 * MS]


@pytest.mark.parametrize("wall_ns", [0, 200 * S, 90 * S, -5])
def test_a_stamp_that_cannot_be_means_now(wall_ns: int) -> None:
    t_ns = stamp(np.array([wall_ns]), now_ns=100 * S, since_ns=99 * S, latest_ns=0, offsets_ns=[0])
    assert t_ns.tolist() == [100 * S]


def test_time_does_not_go_back_between_drains() -> None:
    t_ns = stamp(np.array([99 * S]), now_ns=100 * S, since_ns=99 * S, latest_ns=99 * S + 7, offsets_ns=[0])
    assert t_ns.tolist() == [99 * S + 7]


@given(
    st.lists(st.integers(min_value=0, max_value=20 * MS), min_size=1, max_size=30).map(sorted),
    st.integers(min_value=-4000 * S, max_value=4000 * S),
    st.integers(min_value=0, max_value=20 * MS),
    st.sampled_from([0, 20 * MS, 3600 * S]),
)
def test_a_step_of_the_wall_clock_moves_no_frame_by_more_than_the_window(
    came_ns: list[int], step_ns: int, stepped_ns: int, quiet_ns: int
) -> None:
    now_ns, start_ns = 5000 * S + 20 * MS, 5000 * S
    before_ns, after_ns = -WALL, -WALL - step_ns  # monotonic minus wall time on either side of the step
    true_ns = np.array([start_ns + n for n in came_ns])
    wall_ns = np.where(true_ns < start_ns + stepped_ns, true_ns - before_ns, true_ns - after_ns)
    since_ns = start_ns - quiet_ns
    t_ns = stamp(wall_ns, now_ns=now_ns, since_ns=since_ns, latest_ns=since_ns, offsets_ns=[before_ns, after_ns])
    assert (np.diff(t_ns) >= 0).all()
    assert (t_ns >= true_ns).all(), "never before it came, and"
    assert (t_ns <= now_ns).all(), "never after it was read"
