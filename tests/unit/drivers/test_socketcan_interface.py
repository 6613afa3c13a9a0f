"""The source where its interface goes down, comes up, or is not there."""

import asyncio
import errno
import socket

import pytest

from agent.core.config import Bus
from agent.core.errors import SourceLost
from drivers import socketcan
from drivers.socketcan import SocketCanSource
from tests.unit.drivers.datagram_kernel import Kernel, SocketClock, fail_with, frame, read


async def test_a_short_down_of_the_interface_is_survived(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SocketClock()
    up = False
    monkeypatch.setattr(socketcan, "is_up", lambda *_: up)
    source = SocketCanSource(Bus(), clock, connect=kernel.connect)
    await source.open()
    kernel.send(frame(1))
    fail_with(monkeypatch, errno.ENETDOWN)
    assert (await read(source, clock)).can_id.tolist() == [1], "what came before is not lost"
    task = asyncio.create_task(source.read_batch())
    await clock.advance(0.9)
    up = True
    await clock.advance(60)
    kernel.send(frame(2))
    await clock.advance(0.02)
    assert (await task).can_id.tolist() == [2]
    assert source.counters()["interface_down"] == 1
    await source.close()


async def test_an_interface_that_stays_down_is_a_lost_source(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SocketClock()
    monkeypatch.setattr(socketcan, "is_up", lambda *_: False)
    source = SocketCanSource(Bus(channel="can7"), clock, connect=kernel.connect)
    await source.open()
    kernel.send(frame(1))
    fail_with(monkeypatch, errno.ENETDOWN)
    assert len(await read(source, clock)) == 1
    task = asyncio.create_task(source.read_batch())
    await clock.advance(0.98)
    assert not task.done()
    await clock.advance(0.04)
    with pytest.raises(SourceLost, match="socketcan:can7: the interface is down"):
        await task
    await source.close()


async def test_an_interface_that_is_deleted_while_down_is_gone(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SocketClock()
    source = SocketCanSource(Bus(channel="no-such-can"), clock, connect=kernel.connect)
    await source.open()
    kernel.send(frame(1))
    fail_with(monkeypatch, errno.ENETDOWN)
    assert len(await read(source, clock)) == 1
    with pytest.raises(SourceLost, match="socketcan:no-such-can: no such interface"):
        await read(source, clock)
    await source.close()


@pytest.mark.parametrize(
    ("code", "reason"), [(errno.ENODEV, "no such interface"), (errno.ENOBUFS, "No buffer space available")]
)
async def test_an_interface_that_is_gone_is_a_lost_source(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, code: int, reason: str
) -> None:
    clock = SocketClock()
    source = SocketCanSource(Bus(channel="can7"), clock, connect=kernel.connect)
    await source.open()
    kernel.send(frame(1), frame(2))
    fail_with(monkeypatch, code)
    assert (await read(source, clock)).can_id.tolist() == [1, 2], "what came before is not lost"
    with pytest.raises(SourceLost, match=f"socketcan:can7: {reason}"):
        await read(source, clock)
    await source.close()
    with pytest.raises(SourceLost, match="not open"):
        await read(source, clock)


async def test_a_source_closed_while_it_waits_is_not_open(kernel: Kernel) -> None:
    clock = SocketClock()
    source = SocketCanSource(Bus(), clock, connect=kernel.connect)
    await source.open()
    task = asyncio.create_task(source.read_batch())
    await clock.advance(1)
    await source.close()
    await clock.advance(0.02)
    with pytest.raises(SourceLost, match="not open"):
        await task


async def test_a_source_can_be_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SocketClock()
    kernels = [Kernel(), Kernel()]
    waiting = iter(kernels)
    source = SocketCanSource(Bus(), clock, connect=lambda _: next(waiting).far)
    for n, kernel in enumerate(kernels):
        await source.open()
        kernel.send(frame(n))
        assert (await read(source, clock)).can_id.tolist() == [n]
        task = asyncio.create_task(source.read_batch())
        await clock.advance(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await source.close()
    assert source.counters()["frames"] == 2
    for kernel in kernels:
        kernel.close()


async def test_an_interface_that_is_not_there_is_told() -> None:
    source = SocketCanSource(Bus(channel="no-such-can"), SocketClock())
    with pytest.raises(SourceLost, match=r"socketcan:no-such-can cannot be opened: (this kernel has no|no such)"):
        await source.open()
    await source.close()


async def test_the_identifiers_asked_for_reach_the_socket(monkeypatch: pytest.MonkeyPatch, kernel: Kernel) -> None:
    asked: list[object] = []

    def connect(_bus: Bus, can_ids: object) -> socket.socket:
        asked.append(can_ids)
        return kernel.far

    monkeypatch.setattr(socketcan, "open_socket", connect)
    source = SocketCanSource(Bus(), SocketClock(), can_ids=[0x7E8])
    await source.open()
    await source.close()
    assert asked == [[0x7E8]]


def test_the_source_cannot_send() -> None:
    assert not [name for name in dir(SocketCanSource) if "send" in name or "write" in name]
