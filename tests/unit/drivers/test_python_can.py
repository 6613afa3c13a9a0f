"""Frames through python-can: on its virtual bus, on a bus that blocks, and on buses that go away."""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import can
import numpy as np
import pytest

from agent.core.config import Bus
from agent.core.errors import SourceLost
from agent.core.frames import BIT_RATE_SWITCH, ERROR_FRAME, ERROR_STATE, EXTENDED, FD, OWN, REMOTE, FrameBatch
from drivers.can_source import open_can_source
from drivers.python_can import PythonCanSource, stamp
from drivers.socketcan import SocketCanSource
from simulators.clock import ManualClock

MS = 1_000_000
WINDOW_NS = 20 * MS


@pytest.fixture
def bus(request: pytest.FixtureRequest) -> Bus:
    return Bus(interface="virtual", channel=request.node.name)


@pytest.fixture
def peer(bus: Bus) -> Iterator[can.BusABC]:
    with can.Bus(interface="virtual", channel=bus.channel, preserve_timestamps=True, ignore_config=True) as peer:
        yield peer


@pytest.fixture
async def source(bus: Bus, clock: ManualClock) -> AsyncIterator[PythonCanSource]:
    source = PythonCanSource(bus, clock, index=3)
    await source.open()
    yield source
    await source.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(start_ns=1_000 * MS)


async def read(source: PythonCanSource, clock: ManualClock, *, seconds: float = 0.02) -> FrameBatch:
    task = asyncio.create_task(source.read_batch())
    await clock.advance(seconds)
    return await asyncio.wait_for(task, 5)


async def test_every_kind_of_frame_arrives(peer: can.BusABC, source: PythonCanSource, clock: ManualClock) -> None:
    peer.send(can.Message(arbitration_id=0x123, is_extended_id=False, data=b"\x01\x02"))
    peer.send(can.Message(arbitration_id=0x18FEF100, data=bytes(range(8))))
    peer.send(can.Message(arbitration_id=0x7FF, is_extended_id=False, is_remote_frame=True, dlc=8))
    peer.send(
        can.Message(
            arbitration_id=1,
            is_extended_id=False,
            is_fd=True,
            bitrate_switch=True,
            error_state_indicator=True,
            data=bytes(range(64)),
        )
    )
    peer.send(can.Message(is_error_frame=True, dlc=8, data=bytes(8)))
    batch = await read(source, clock)
    assert batch.can_id.tolist() == [0x123, 0x18FEF100, 0x7FF, 1, 0]
    assert batch.flags.tolist() == [0, EXTENDED, REMOTE, FD | BIT_RATE_SWITCH | ERROR_STATE, ERROR_FRAME]
    assert batch.length.tolist() == [2, 8, 0, 64, 8]
    assert batch.data[3].tolist() == list(range(64))
    assert not batch.data[0, 2:].any()
    assert (batch.bus == 3).all()
    assert source.counters() == {"frames": 5, "error_frames": 1, "dropped": 0}


async def test_nothing_is_read_before_the_window_is_over(
    peer: can.BusABC, source: PythonCanSource, clock: ManualClock
) -> None:
    task = asyncio.create_task(source.read_batch())
    peer.send(can.Message(arbitration_id=1))
    await clock.advance(0.0199)
    assert not task.done()
    peer.send(can.Message(arbitration_id=2))
    await clock.advance(0.0001)
    assert (await task).can_id.tolist() == [1, 2]


async def test_frames_without_a_usable_stamp_bear_the_time_of_the_drain(
    peer: can.BusABC, source: PythonCanSource, clock: ManualClock
) -> None:
    for n in range(3):
        peer.send(can.Message(timestamp=1_700_000_000 + n / 1000, arbitration_id=n))
    batch = await read(source, clock)
    assert batch.t_ns.tolist() == [1_020 * MS] * 3


async def test_frames_stamped_on_the_clock_itself_keep_their_times(
    peer: can.BusABC, source: PythonCanSource, clock: ManualClock
) -> None:
    for t_ns in (1_001 * MS, 1_010 * MS, 1_019 * MS + 1):
        peer.send(can.Message(timestamp=t_ns / 1e9, arbitration_id=1))
    batch = await read(source, clock)
    assert batch.t_ns.tolist() == [1_001 * MS, 1_010 * MS, 1_019 * MS + 1]


async def test_a_drain_has_a_limit_and_the_rest_follows_at_once(peer: can.BusABC, clock: ManualClock, bus: Bus) -> None:
    source = PythonCanSource(Bus(interface="virtual", channel=bus.channel, batch_max=16), clock)
    await source.open()
    for n in range(40):
        peer.send(can.Message(arbitration_id=n))
    assert len(await read(source, clock)) == 16
    assert len(await asyncio.wait_for(source.read_batch(), 5)) == 16
    assert (await asyncio.wait_for(source.read_batch(), 5)).can_id.tolist() == list(range(32, 40))
    assert clock.monotonic_ns() == 1_020 * MS
    await source.close()


async def test_own_frames_are_marked(clock: ManualClock, bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    own = can.Bus(interface="virtual", channel=bus.channel, receive_own_messages=True, ignore_config=True)
    monkeypatch.setattr(can, "Bus", lambda **_: own)
    source = PythonCanSource(bus, clock)
    await source.open()
    own.send(can.Message(arbitration_id=1, is_extended_id=False))
    assert (await read(source, clock)).flags.tolist() == [OWN]
    await source.close()


async def test_the_source_cannot_send(source: PythonCanSource) -> None:
    assert [name for name in dir(source) if not name.startswith("_")] == [
        "close",
        "counters",
        "name",
        "open",
        "read_batch",
    ]


async def test_a_bus_that_goes_away_is_a_lost_source(source: PythonCanSource, clock: ManualClock) -> None:
    assert source._bus is not None
    source._bus.shutdown()
    with pytest.raises(SourceLost, match=r"virtual:.*closed bus"):
        await read(source, clock)
    await source.close()
    with pytest.raises(SourceLost, match="not open"):
        await read(source, clock)


async def test_it_can_be_opened_again(peer: can.BusABC, source: PythonCanSource, clock: ManualClock) -> None:
    await source.close()
    await source.close()
    await source.open()
    peer.send(can.Message(arbitration_id=5))
    assert (await read(source, clock)).can_id.tolist() == [5]


@pytest.mark.parametrize(
    ("interface", "channel", "reason"),
    [
        ("no-such-interface", "x", "no-such-interface:x cannot be opened"),
        ("slcan", "/dev/no-such-tty", "cannot be opened"),
        ("serial", "/dev/no-such-tty", "cannot be opened"),
        ("socketcan", "can0", "cannot be opened"),
        ("kvaser", "0", "cannot be opened"),
        ("pcan", "PCAN_USBBUS1", "cannot be opened"),
    ],
)
async def test_what_cannot_be_opened_is_lost_with_a_reason(
    clock: ManualClock, interface: str, channel: str, reason: str
) -> None:
    source = PythonCanSource(Bus(interface=interface, channel=channel, bitrate=500_000), clock)
    with pytest.raises(SourceLost, match=reason) as caught:
        await source.open()
    assert len(str(caught.value)) > len(f"{interface}:{channel} cannot be opened: ")
    await source.close()


class BlockingBus(can.BusABC):
    """A bus whose recv waits, without a file descriptor, like a vendor's library."""

    def __init__(self, channel: str, **_: Any) -> None:
        super().__init__(channel)
        self.waiting: queue.Queue[can.Message | can.CanError] = queue.Queue()
        self.taken = threading.Semaphore(0)
        self.readers: set[int] = set()

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        raise NotImplementedError

    def _recv_internal(self, timeout: float | None) -> tuple[can.Message | None, bool]:
        assert timeout, "a blocking bus must not be polled"
        self.readers.add(threading.get_ident())
        self.taken.release()  # what was handed out before is in the queue by now
        try:
            item = self.waiting.get(timeout=timeout)
        except queue.Empty:
            return None, False
        if isinstance(item, can.CanError):
            raise item
        return item, False


async def test_a_bus_that_blocks_is_read_by_a_thread(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    blocking = BlockingBus("x")
    monkeypatch.setattr(can, "Bus", lambda **_: blocking)
    source = PythonCanSource(Bus(interface="pcan", channel="x"), clock)
    await source.open()
    for n in range(3):
        blocking.waiting.put(can.Message(timestamp=50 + n / 1000, arbitration_id=n))
    for _ in range(4):
        assert await asyncio.to_thread(blocking.taken.acquire, timeout=5)
    batch = await read(source, clock)
    assert batch.can_id.tolist() == [0, 1, 2]
    assert batch.t_ns.tolist() == [1_018 * MS, 1_019 * MS, 1_020 * MS]
    assert threading.get_ident() not in blocking.readers
    blocking.waiting.put(can.CanOperationError("unplugged"))
    await asyncio.to_thread(source._reader._thread.join, 5)  # type: ignore[union-attr]  # a blocking bus has one
    with pytest.raises(SourceLost, match="pcan:x: unplugged"):
        await read(source, clock)
    await source.close()


async def test_a_thread_that_nobody_empties_drops_the_oldest(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drivers.python_can._QUEUE_MAX", 4)
    blocking = BlockingBus("x")
    monkeypatch.setattr(can, "Bus", lambda **_: blocking)
    source = PythonCanSource(Bus(interface="pcan", channel="x"), clock)
    await source.open()
    for n in range(10):
        blocking.waiting.put(can.Message(arbitration_id=n))
    for _ in range(11):
        assert await asyncio.to_thread(blocking.taken.acquire, timeout=5)
    assert source.counters()["dropped"] == 6
    assert (await read(source, clock)).can_id.tolist() == [6, 7, 8, 9]
    await source.close()
    assert source.counters()["dropped"] == 6


@pytest.mark.parametrize(
    ("seconds", "expected_ms"),
    [
        ([7.0, 7.005, 7.010], [1010, 1015, 1020]),  # a counter of its own: the last one is now
        ([7.0, 6.0, 7.0], [1020, 1020, 1020]),  # disorder
        ([7.0, 7.5], [1020, 1020]),  # farther apart than the drains
        ([0.0, 0.0], [1020, 1020]),  # no stamps at all
        ([1.005, 1.019], [1005, 1019]),  # this very clock
        ([1.019, 1.005], [1019, 1019]),  # this very clock, out of order
        ([1.1, 1.1], [1020, 1020]),  # the future
        ([0.99, 1.01], [1000, 1010]),  # before the last drain's newest frame
    ],
)
def test_stamps(seconds: list[float], expected_ms: list[int]) -> None:
    t_ns = stamp(np.array(seconds), 1020 * MS, 1000 * MS, window_ns=WINDOW_NS)
    assert t_ns.tolist() == [ms * MS for ms in expected_ms]


def test_stamps_never_go_back_even_when_the_clock_stood_still() -> None:
    assert stamp(np.array([5.0]), 1000 * MS, 1000 * MS, window_ns=WINDOW_NS).tolist() == [1000 * MS]


def test_the_interface_decides_who_drives(clock: ManualClock) -> None:
    assert isinstance(open_can_source(Bus(), clock), SocketCanSource)
    assert isinstance(open_can_source(Bus(interface="virtual"), clock), PythonCanSource)
