"""A pair of datagram sockets in the place of the kernel's CAN stack."""

import asyncio
import ctypes
import os
import socket
import struct

import pytest

from agent.core.config import Bus
from agent.core.frames import FrameBatch
from drivers import socketcan_receive
from drivers.socketcan import SocketCanSource
from drivers.socketcan_receive import recvmmsg
from drivers.socketcan_socket import enable_stamps
from simulators.clock import ManualClock

MS = 1_000_000
S = 1_000 * MS


def frame(can_id: int, data: bytes = b"") -> bytes:
    return struct.pack("=IB3x8s", can_id, len(data), data)


def fd_frame(can_id: int, data: bytes) -> bytes:
    return struct.pack("=IBB2x64s", can_id, len(data), 0, data)


class SocketClock(ManualClock):
    """Gives the sockets their turn before it moves on, and counts how often it was waited on."""

    sleeps = 0

    async def advance_to(self, t_ns: int) -> None:
        for _ in range(8):  # a reader that becomes ready is seen by the loop only when it polls again
            await asyncio.sleep(0)
        await super().advance_to(t_ns)

    async def sleep(self, seconds: float) -> None:
        self.sleeps += 1
        await super().sleep(seconds)


class Kernel:
    """The other end of a pair of UDP sockets, whose queue is long and whose drops the kernel counts."""

    def __init__(self) -> None:
        self.near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.far.bind(("127.0.0.1", 0))
        self.near.connect(self.far.getsockname())
        enable_stamps(self.far)

    def connect(self, _: Bus) -> socket.socket:
        return self.far.dup()

    def send(self, *frames: bytes) -> None:
        for datagram in frames:
            self.near.send(datagram)

    def close(self) -> None:
        self.near.close()
        self.far.close()


def fail_with(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Let the next read of the socket fail, once, as a raw CAN socket reports its interface."""
    codes = [code]

    def fail_first(descriptor: int, headers: ctypes.c_void_p, count: int) -> int:
        if codes:
            raise OSError(codes[0], os.strerror(codes.pop()))
        return recvmmsg(descriptor, headers, count)

    monkeypatch.setattr(socketcan_receive, "recvmmsg", fail_first)


async def read(source: SocketCanSource, clock: ManualClock) -> FrameBatch:
    task = asyncio.create_task(source.read_batch())
    await clock.advance(0.02)
    return await asyncio.wait_for(task, 5)
