"""The source on a pair of datagram sockets: frames, windows, time and counts."""

import asyncio
import errno
import os
import socket
import time

import pytest

from agent.core.config import Bus
from drivers import socketcan_receive
from drivers.clock import SystemClock
from drivers.socketcan import SocketCanSource
from tests.unit.drivers.datagram_kernel import MS, Kernel, S, SocketClock, fd_frame, frame, read


async def test_the_first_frame_wakes_and_its_window_is_read_at_once(kernel: Kernel) -> None:
    clock = SocketClock()
    source = SocketCanSource(Bus(), clock, index=1, connect=kernel.connect)
    await source.open()
    task = asyncio.create_task(source.read_batch())
    await clock.advance(60)
    assert clock.sleeps == 0, "a silent bus costs nothing"
    kernel.send(frame(1, b"\x01"))
    await clock.advance(0.0199)
    assert not task.done()
    kernel.send(fd_frame(2, bytes(12)), b"short")
    await clock.advance(0.0001)
    batch = await task
    assert batch.can_id.tolist() == [1, 2]
    assert batch.length.tolist() == [1, 12]
    assert batch.bus.tolist() == [1, 1]
    now_ns = 60 * S + 20 * MS
    assert batch.t_ns.tolist() == [now_ns, now_ns], "a wall clock that is not this clock's is not believed"
    assert source.counters() == {"frames": 2, "error_frames": 0, "malformed": 1, "dropped": 0}
    await source.close()


async def test_a_busy_bus_is_looked_at_every_window_until_it_is_quiet(kernel: Kernel) -> None:
    clock = SocketClock()
    source = SocketCanSource(Bus(), clock, connect=kernel.connect)
    await source.open()
    for n in range(3):
        kernel.send(frame(n))
        assert (await read(source, clock)).can_id.tolist() == [n]
    assert clock.sleeps == 3
    task = asyncio.create_task(source.read_batch())
    await clock.advance(60)
    assert clock.sleeps == 4, "one look that finds nothing, and then sleep"
    kernel.send(frame(3))
    await clock.advance(0.02)
    assert (await task).can_id.tolist() == [3]
    await source.close()


async def test_a_look_has_a_limit_and_the_rest_follows_at_once(kernel: Kernel) -> None:
    clock = SocketClock()
    source = SocketCanSource(Bus(batch_max=16), clock, connect=kernel.connect)
    await source.open()
    kernel.send(*map(frame, range(40)))
    got = [(await read(source, clock)).can_id.tolist()]
    turns = 0

    async def something_else() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(something_else())
    got += [(await source.read_batch()).can_id.tolist() for _ in range(2)]
    other.cancel()
    assert got == [list(range(16)), list(range(16, 32)), list(range(32, 40))]
    assert turns >= 2, "a flood leaves the loop to others in between"
    assert clock.monotonic_ns() == 20 * MS
    await source.close()


async def test_kernel_stamps_arrive_with_the_frames(kernel: Kernel) -> None:
    clock = SystemClock()
    source = SocketCanSource(Bus(window_ms=1), clock, connect=kernel.connect)
    await source.open()
    before_ns = clock.monotonic_ns()
    kernel.send(frame(1))
    after_ns = clock.monotonic_ns()
    batch = await asyncio.wait_for(source.read_batch(), 5)
    slack_ns = abs((time.time_ns() - time.monotonic_ns()) - (clock.wall_ns() - clock.monotonic_ns())) + 5 * MS
    assert before_ns - slack_ns <= batch.t_ns[0] <= after_ns + slack_ns
    await source.close()


class SteppingClock(SystemClock):
    """Its wall clock is set now and then. The kernel's stamps below are from before."""

    step_ns = 0

    def wall_ns(self) -> int:
        return super().wall_ns() + self.step_ns


@pytest.mark.parametrize("step_ns", [300 * MS, -300 * MS, 3600 * S, -3600 * S])
async def test_a_step_of_the_wall_clock_does_not_move_frames(kernel: Kernel, step_ns: int) -> None:
    clock = SteppingClock()
    source = SocketCanSource(Bus(window_ms=1), clock, connect=kernel.connect)
    await source.open()
    source._timeline.since_ns -= 10 * S  # as if the bus had been silent for long
    source._timeline._latest_ns -= 10 * S
    before_ns = clock.monotonic_ns()
    kernel.send(frame(1))
    clock.step_ns = step_ns
    batch = await asyncio.wait_for(source.read_batch(), 5)
    assert before_ns - 2 * MS <= batch.t_ns[0] <= clock.monotonic_ns()
    await source.close()


async def test_every_frame_is_received_or_counted(kernel: Kernel) -> None:
    clock = SocketClock()
    source = SocketCanSource(Bus(), clock, connect=kernel.connect)
    kernel.far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # the kernel's minimum: a few frames
    await source.open()
    for burst in range(3):
        kernel.send(*[frame(n) for n in range(50)])
        await read(source, clock)
        counters = source.counters()
        assert counters["dropped"] > 0
        assert counters["frames"] + counters["dropped"] == 50 * (burst + 1), "also if no frame came after"
    await source.close()
    assert source.counters()["dropped"] == counters["dropped"]


async def test_the_kernel_s_count_may_wrap_and_may_come_late() -> None:
    source = SocketCanSource(Bus(), SocketClock())
    for total, dropped in ((5, 5), (None, 5), (3, 5), (5, 5), (9, 9), ((1 << 31) - 1, (1 << 31) - 1)):
        source._count_drops(total)
        assert source.counters()["dropped"] == dropped
    source._count_drops((1 << 32) - 2)
    source._count_drops(1)
    assert source.counters()["dropped"] == (1 << 32) + 1


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EPERM])
async def test_a_refused_recvmmsg_is_told_once(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(socketcan_receive, "recvmmsg", refuse)
    clock = SocketClock()
    source = SocketCanSource(Bus(), clock, connect=kernel.connect)
    for n in range(3):
        await source.open()
        kernel.send(frame(n), frame(n + 1))
        assert (await read(source, clock)).can_id.tolist() == [n, n + 1]
    assert source.counters()["recvmmsg_refused"] == 1
    assert [record.getMessage() for record in caplog.records] == [
        f"socketcan:can0: recvmmsg is refused ({os.strerror(code)}): reading frame by frame, which costs more"
    ]
    await source.close()


async def test_errors_of_the_bus_are_counted_and_handed_on(kernel: Kernel) -> None:
    clock = SocketClock()
    source = SocketCanSource(Bus(), clock, connect=kernel.connect)
    await source.open()
    kernel.send(frame(0x2000_0040, bytes(8)), frame(0x2000_0100, bytes(8)), frame(1), frame(0x2000_0040, bytes(8)))
    assert len(await read(source, clock)) == 4, "bus-off ends nothing: the controller may come back"
    assert source.counters() == {
        "frames": 4,
        "error_frames": 3,
        "bus_off": 2,
        "restarted": 1,
        "malformed": 0,
        "dropped": 0,
    }
    await source.close()
