"""SocketCAN without CAN: bytes through the parser, and a pair of datagram sockets for the kernel."""

import asyncio
import errno
import socket
import struct
import time
from collections.abc import AsyncIterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.config import Bus
from agent.core.errors import SourceLost
from agent.core.frames import BIT_RATE_SWITCH, ERROR_FRAME, ERROR_STATE, EXTENDED, FD, OWN, REMOTE, FrameBatch
from drivers.clock import SystemClock
from drivers.socketcan import Received, SocketCanSource, enable_reports, open_socket, parse_ancillary, parse_frames
from simulators.clock import ManualClock

MS = 1_000_000
S = 1_000 * MS


def frame(can_id: int, data: bytes, *, length: int | None = None) -> bytes:
    return struct.pack("=IB3x8s", can_id, len(data) if length is None else length, data)


def fd_frame(can_id: int, data: bytes, *, flags: int = 0) -> bytes:
    return struct.pack("=IBB2x64s", can_id, len(data), flags, data)


def parse(*frames: bytes, now_ns: int = 10 * S, latest_ns: int = 0, own: bool = False) -> FrameBatch:
    return parse_frames([Received(f, 0, own) for f in frames], now_ns=now_ns, latest_ns=latest_ns, offset_ns=0, bus=2)


def test_every_kind_of_frame_is_parsed() -> None:
    batch = parse(
        frame(0x123, b"\x01\x02"),
        frame(0x18FEF100 | 0x8000_0000, bytes(range(8))),
        frame(0x7FF | 0x4000_0000, b"", length=8),
        frame(0x2000_0000 | 0x40, bytes(8)),
        fd_frame(0x456, bytes(range(64)), flags=0b111),
        fd_frame(0x1ABCDEF0 | 0x8000_0000, b"\xff", flags=0b100),
    )
    assert batch.can_id.tolist() == [0x123, 0x18FEF100, 0x7FF, 0x40, 0x456, 0x1ABCDEF0]
    assert batch.flags.tolist() == [
        0,
        EXTENDED,
        REMOTE,
        ERROR_FRAME,
        FD | BIT_RATE_SWITCH | ERROR_STATE,
        FD | EXTENDED,
    ]
    assert batch.length.tolist() == [2, 8, 0, 8, 64, 1]
    assert batch.data[0].tolist() == [1, 2] + [0] * 62
    assert batch.data[4].tolist() == list(range(64))
    assert (batch.bus == 2).all()
    assert batch.data.flags["C_CONTIGUOUS"]


def test_bytes_beyond_the_length_are_not_data() -> None:
    assert parse(frame(1, b"\xff" * 8, length=3)).data[0].tolist() == [255] * 3 + [0] * 61


def test_a_length_beyond_the_frame_is_cut() -> None:
    assert parse(frame(1, b"\xff" * 8, length=15)).length.tolist() == [8]


def test_frames_of_this_box_are_marked() -> None:
    assert parse(frame(1, b""), own=True).flags.tolist() == [OWN]


@pytest.mark.parametrize("size", [0, 1, 15, 17, 71])
def test_datagrams_of_another_size_are_left_out(size: int) -> None:
    assert len(parse(bytes(size))) == 0
    assert parse(bytes(size), frame(7, b"")).can_id.tolist() == [7]


@settings(deadline=None)
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


def test_kernel_stamps_become_monotonic() -> None:
    wall = 1_790_000_000 * S
    received = [Received(frame(n, b""), wall + n * MS, own=False) for n in (1, 3, 2)]
    batch = parse_frames(received, now_ns=50 * S + 5 * MS, latest_ns=0, offset_ns=50 * S - wall)
    assert [t - 50 * S for t in batch.t_ns.tolist()] == [1 * MS, 3 * MS, 3 * MS]


@pytest.mark.parametrize("wall_ns", [0, 200 * S, 90 * S])
def test_a_stamp_that_cannot_be_means_now(wall_ns: int) -> None:
    batch = parse_frames([Received(frame(1, b""), wall_ns, own=False)], now_ns=100 * S, latest_ns=0, offset_ns=0)
    assert batch.t_ns.tolist() == [100 * S]


def test_time_does_not_go_back_between_drains() -> None:
    received = [Received(frame(1, b""), 99 * S, own=False)]
    batch = parse_frames(received, now_ns=100 * S, latest_ns=99 * S + 7, offset_ns=0)
    assert batch.t_ns.tolist() == [99 * S + 7]


def test_control_messages() -> None:
    stamp = (socket.SOL_SOCKET, 35, struct.pack("@ll", 1_790_000_000, 5))
    drops = (socket.SOL_SOCKET, 40, struct.pack("=I", 17))
    assert parse_ancillary([stamp, drops]) == (1_790_000_000 * S + 5, 17)
    assert parse_ancillary([]) == (0, None)
    assert parse_ancillary([(socket.SOL_SOCKET, 35, b""), (socket.SOL_SOCKET, 40, b""), (1000, 35, bytes(16))]) == (
        0,
        None,
    )


class Kernel:
    """The other end of a datagram pair, in the place of the kernel's CAN stack."""

    def __init__(self) -> None:
        self.near, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        enable_reports(self.far)

    def connect(self, _: Bus) -> socket.socket:
        return self.far

    def close(self) -> None:
        self.near.close()
        self.far.close()


@pytest.fixture
async def kernel() -> AsyncIterator[Kernel]:
    kernel = Kernel()
    yield kernel
    kernel.close()


async def read(source: SocketCanSource, clock: ManualClock) -> FrameBatch:
    task = asyncio.create_task(source.read_batch())
    await clock.advance(0.02)
    return await asyncio.wait_for(task, 5)


async def test_frames_are_drained_once_a_window(kernel: Kernel) -> None:
    clock = ManualClock()
    source = SocketCanSource(Bus(), clock, index=1, connect=kernel.connect)
    await source.open()
    task = asyncio.create_task(source.read_batch())
    kernel.near.send(frame(1, b"\x01"))
    await clock.advance(0.0199)
    assert not task.done()
    kernel.near.send(fd_frame(2, bytes(12)))
    kernel.near.send(b"short")
    await clock.advance(0.0001)
    batch = await task
    assert batch.can_id.tolist() == [1, 2]
    assert batch.length.tolist() == [1, 12]
    assert batch.bus.tolist() == [1, 1]
    assert batch.t_ns.tolist() == [20 * MS, 20 * MS], "a wall clock that is not this clock's is not believed"
    assert source.counters() == {"frames": 2, "error_frames": 0, "malformed": 1, "dropped": 0}
    await source.close()


async def test_a_drain_has_a_limit_and_the_rest_follows_at_once(kernel: Kernel) -> None:
    clock = ManualClock()
    kernel.near.setblocking(False)  # noqa: FBT003 - the socket module's own signature
    source = SocketCanSource(Bus(batch_max=16), clock, connect=kernel.connect)
    await source.open()
    sent = 0
    try:
        while sent < 40:
            kernel.near.send(frame(sent, b""))
            sent += 1
    except BlockingIOError:
        pass  # net.unix.max_dgram_qlen may be as low as 10
    got = (await read(source, clock)).can_id.tolist()
    if sent > 16:
        got += (await asyncio.wait_for(source.read_batch(), 5)).can_id.tolist()
        assert clock.monotonic_ns() == 20 * MS
    assert got == list(range(min(sent, 32)))
    await source.close()


async def test_kernel_stamps_arrive_with_the_frames(kernel: Kernel) -> None:
    clock = SystemClock()
    source = SocketCanSource(Bus(window_ms=1), clock, connect=kernel.connect)
    await source.open()
    before_ns = clock.monotonic_ns()
    kernel.near.send(frame(1, b""))
    after_ns = clock.monotonic_ns()
    batch = await asyncio.wait_for(source.read_batch(), 5)
    slack_ns = abs((time.time_ns() - time.monotonic_ns()) - (clock.wall_ns() - clock.monotonic_ns())) + 5 * MS
    assert before_ns - slack_ns <= batch.t_ns[0] <= after_ns + slack_ns
    await source.close()


class Failing:
    """A socket that hands out what it is given and then fails once, as a raw CAN socket reports its interface."""

    def __init__(self, frames: list[bytes], code: int, *, drops: tuple[int, ...] = ()) -> None:
        self.frames = frames
        self.code = code
        self.drops = list(drops)

    def recvmsg(self, _size: int, _ancillary: int) -> tuple[bytes, list[tuple[int, int, bytes]], int, None]:
        if self.frames:
            drops = [(socket.SOL_SOCKET, 40, struct.pack("=I", self.drops.pop(0)))] if self.drops else []
            return self.frames.pop(0), drops, socket.MSG_DONTROUTE, None
        code, self.code = self.code, errno.EAGAIN
        raise OSError(code, "")

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - the socket module's own signature
        assert not flag

    def close(self) -> None:
        self.frames.clear()


@pytest.mark.parametrize(
    ("code", "reason"),
    [(errno.ENETDOWN, "the interface is down"), (errno.ENODEV, "no such interface"), (errno.ENOBUFS, "")],
)
async def test_an_interface_that_goes_away_is_a_lost_source(code: int, reason: str) -> None:
    clock = ManualClock()
    failing = Failing([frame(1, b""), frame(2, b"")], code)
    source = SocketCanSource(Bus(channel="can7"), clock, connect=lambda _: failing)  # type: ignore[arg-type,return-value]  # a socket where it matters
    await source.open()
    batch = await read(source, clock)
    assert batch.can_id.tolist() == [1, 2], "what came before is not lost"
    assert batch.flags.tolist() == [OWN, OWN]
    with pytest.raises(SourceLost, match=f"socketcan:can7: {reason}"):
        await read(source, clock)
    await source.close()
    with pytest.raises(SourceLost, match="not open"):
        await read(source, clock)


async def test_frames_the_kernel_dropped_are_counted() -> None:
    clock = ManualClock()
    failing = Failing([frame(n, b"") for n in range(4)], errno.EAGAIN, drops=(0, 5, 5, 2))
    source = SocketCanSource(Bus(), clock, connect=lambda _: failing)  # type: ignore[arg-type,return-value]  # a socket where it matters
    await source.open()
    assert len(await read(source, clock)) == 4
    assert source.counters()["dropped"] == 5 + (2 - 5) % (1 << 32)


async def test_an_interface_that_is_not_there_is_told() -> None:
    source = SocketCanSource(Bus(channel="no-such-can"), ManualClock())
    with pytest.raises(SourceLost, match=r"socketcan:no-such-can cannot be opened: (this kernel has no|no such)"):
        await source.open()
    await source.close()


def test_a_kernel_without_can_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_CAN", raising=False)
    with pytest.raises(OSError, match="not supported") as caught:
        open_socket(Bus())
    assert caught.value.errno == errno.EAFNOSUPPORT


def test_the_source_cannot_send() -> None:
    assert not [name for name in dir(SocketCanSource) if "send" in name or "write" in name]
