"""Bytes in struct can_frame and canfd_frame."""

import socket
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.frames import BIT_RATE_SWITCH, ERROR_FRAME, ERROR_STATE, EXTENDED, FD, OWN, REMOTE, FrameBatch
from drivers.socketcan_frames import SENT_HERE, FrameParser
from drivers.socketcan_receive import FRAME, Received

ERRORS = {
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


def frame(can_id: int, data: bytes, *, length: int | None = None) -> bytes:
    return struct.pack("=IB3x8s", can_id, len(data) if length is None else length, data)


def fd_frame(can_id: int, data: bytes, *, flags: int = 0) -> bytes:
    return struct.pack("=IBB2x64s", can_id, len(data), flags, data)


def received(*datagrams: bytes, flags: int = 0) -> Received:
    """Rows as the kernel leaves them: what it did not write is what was there before."""
    count = len(datagrams)
    rows = np.frombuffer(b"".join(d[:72].ljust(72, b"\xa5") for d in datagrams), FRAME)
    size = np.array([min(len(d), 72) for d in datagrams], np.uint32)
    cut = np.array([socket.MSG_TRUNC if len(d) > 72 else 0 for d in datagrams], np.uint32)
    times = np.zeros(count, np.int64)
    plain = not flags and all(len(d) == 16 for d in datagrams)
    columns = (rows["id"], rows["length"], rows["word"], size, cut | np.uint32(flags), times, times)
    return Received(rows, *columns, count=count, plain=plain)


def parse(*datagrams: bytes, flags: int = 0, parser: FrameParser | None = None) -> FrameBatch:
    t_ns = np.arange(len(datagrams), dtype=np.int64)
    return (parser or FrameParser(2, 100)).parse(received(*datagrams, flags=flags), t_ns)


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
    assert batch.length.tolist() == [2, 8, 8, 8, 64, 1, 3]
    assert batch.data[0].tolist() == [1, 2] + [0] * 62
    assert batch.data[4].tolist() == list(range(64))
    assert batch.data[5].tolist() == [255] + [0] * 63
    assert (batch.bus == 2).all()
    assert batch.data.flags["C_CONTIGUOUS"]


@pytest.mark.parametrize("others", [(), (fd_frame(2, b"\xff"),)])
def test_a_remote_frame_keeps_the_length_it_asks_for_and_has_no_bytes(others: tuple[bytes, ...]) -> None:
    batch = parse(frame(1, b"\xff" * 8), frame(0x4000_0001, b"\xff" * 8, length=5), *others)
    assert batch.flags[:2].tolist() == [0, REMOTE]
    assert batch.length[:2].tolist() == [8, 5]
    assert batch.data[0, :8].all()
    assert not batch.data[1].any()


def test_batches_share_no_rows() -> None:
    parser = FrameParser(0, 2000)
    sizes = (3, 1000, 200, 1500, 1, 30)
    batches = [parse(*[frame(n, bytes([n]))] * size, parser=parser) for n, size in enumerate(sizes)]
    for n, (size, batch) in enumerate(zip(sizes, batches, strict=True)):
        assert len(batch) == len(batch.data) == size
        assert (batch.data[:, 0] == n).all()
        assert not batch.data[:, 1:].any()
        assert batch.data.flags["C_CONTIGUOUS"]


def test_bytes_beyond_the_length_are_not_data() -> None:
    assert parse(frame(1, b"\xff" * 8, length=3)).data[0].tolist() == [255] * 3 + [0] * 61


def test_a_length_beyond_the_frame_is_cut() -> None:
    assert parse(frame(1, b"\xff" * 8, length=15)).length.tolist() == [8]
    assert parse(frame(1, b"\xff" * 8, length=15)).data[0].tolist() == [255] * 8 + [0] * 56
    assert parse(frame(0x4000_0001, b"\xff" * 8, length=15), frame(1, b"")).length.tolist() == [8, 0]
    assert parse(struct.pack("=IB3x64s", 1, 255, b"")).length.tolist() == [64]


@pytest.mark.parametrize("flag", [socket.MSG_DONTROUTE, socket.MSG_CONFIRM, socket.MSG_DONTROUTE | socket.MSG_CONFIRM])
def test_frames_of_this_box_are_marked(flag: int) -> None:
    batch = parse(frame(1, b"\x07"), flags=flag)
    assert batch.flags.tolist() == [OWN]
    assert (batch.can_id[0], batch.length[0], batch.data[0, 0]) == (1, 1, 7)
    assert parse(frame(0x9234_5678, b""), flags=flag).flags.tolist() == [OWN | EXTENDED]


def test_on_a_virtual_bus_frames_of_other_sockets_are_those_of_the_car() -> None:
    parser = FrameParser(0, 100, own_flags=SENT_HERE)
    assert parse(frame(1, b""), flags=socket.MSG_DONTROUTE, parser=parser).flags.tolist() == [0]
    assert parse(frame(1, b""), flags=socket.MSG_CONFIRM, parser=parser).flags.tolist() == [OWN]


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
    parser = FrameParser(0, 6)
    for times in (1, 2):
        parser.parse(errors, np.zeros(6, np.int64))
        assert parser.errors == {name: times * count for name, count in ERRORS.items()}
    parser.parse(received(frame(0x9234_5678, b"")), np.zeros(1, np.int64))
    assert parser.errors["error_frames"] == 10
