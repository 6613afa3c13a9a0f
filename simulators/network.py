"""The road between car and cloud: a TCP proxy in this process, and a resolver, on which everything can go wrong."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Final

import msgspec

from simulators.network_conditions import OPEN, SEGMENT, Channel, Conditions, Lane, Schedule
from simulators.pki import Identity

_CHUNK: Final = 16_384
_QUEUE_MAX: Final = 16  # chunks on their way in one direction of a connection
_LINGER_RESET: Final = struct.pack("ii", 1, 0)  # close() then sends RST
_PORTAL: Final = b"HTTP/1.1 302 Found\r\nLocation: http://portal.example/login\r\nContent-Length: 0\r\n\r\n"

Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int]]


class Network:
    """Forwards a loopback port to another under `conditions`, which may change at any time.

    stranger is the identity of whoever answers instead of the broker: of another authority, or expired.
    """

    def __init__(self, target_port: int, *, port: int = 0, seed: int = 0, stranger: Identity | None = None) -> None:
        self.target_port = target_port
        self._wanted_port = port
        self.conditions = OPEN
        self.connections = 0
        self.misled = 0  # connections that portal or stranger got
        self.resets = 0  # in the middle of a connection, by reset_after_bytes
        self._seed = seed
        self._stranger = None if stranger is None else _server_context(stranger)
        self._flows = asyncio.Event()
        self._flows.set()
        self._server: asyncio.Server | None = None
        self._others: list[asyncio.Server] = []
        self._ports: dict[str, int] = {"broker": target_port}
        self._roads: set[_Road] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._up, self._down = Channel(), Channel()

    @property
    def port(self) -> int:
        """Where clients connect; the same for the network's whole life."""
        if self._server is None:
            raise RuntimeError("the network is not started")
        return _port(self._server)

    async def start(self) -> None:
        """Listen on a loopback port; portal and stranger have theirs. Raises OSError where the port is taken."""
        self._others = [await asyncio.start_server(_redirect, "127.0.0.1", 0)]
        if self._stranger is not None:
            self._others.append(await asyncio.start_server(_hang_up, "127.0.0.1", 0, ssl=self._stranger))
        for name, server in zip(("portal", "stranger"), self._others, strict=False):
            self._ports[name] = _port(server)
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self._wanted_port)

    async def stop(self) -> None:
        """Close everything."""
        for server in (*self._others, self._server):
            if server is not None:
                server.close()
        self.cut()
        await asyncio.gather(*self._tasks)
        self._server = None  # not wait_closed: since Python 3.12 it waits for handshakes that may never end

    def set(self, conditions: Conditions) -> None:
        """Be like that from now on; what is on its way already keeps its time. Raises ValueError without a stranger."""
        if conditions.answers == "stranger" and self._stranger is None:
            raise ValueError("this network knows no stranger: give it an identity")
        self.conditions = conditions
        if conditions.way == "hung":
            self._flows.clear()
        else:
            self._flows.set()
        if conditions.way == "cut":
            for road in tuple(self._roads):
                road.reset()

    def cut(self) -> None:
        """Reset every connection, and every new one at once. The port stays ours, so that restore cannot fail."""
        self.set(msgspec.structs.replace(self.conditions, way="cut"))

    def hang(self) -> None:
        """Let nothing through in either direction; connections stay half open, new ones get no answer."""
        self.set(msgspec.structs.replace(self.conditions, way="hung"))

    def restore(self) -> None:
        """Let everything through again; what hung is delivered late, as TCP does."""
        self.set(msgspec.structs.replace(self.conditions, way="open"))

    def strand(self) -> int:
        """Make every connection half open for good: each side believes in it, no byte and no FIN arrives any more.

        New connections are not concerned. Returns how many there were.
        """
        for road in self._roads:
            road.stranded = True
        return len(self._roads)

    async def play(self, schedule: Schedule, *, pace: float = 1.0) -> None:
        """Go through the phases, pace times as fast; the last one's conditions stay."""
        for phase in schedule.phases:
            self.set(phase.conditions)
            await asyncio.sleep(phase.for_s / pace)

    async def resolve(self, host: str, port: int) -> list[Address]:  # noqa: ARG002 - every name is ours here
        """Answer as getaddrinfo does: the road's own port. Raises gaierror, or never answers."""
        if self.conditions.name == "silent":
            await asyncio.Event().wait()
        if self.conditions.name == "unknown":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", self.port))]

    async def _carry(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or self._is_cut():
            _reset(near)
            return
        self.connections += 1
        self._tasks.add(task)
        road = _Road(near, self.conditions, Random(f"{self._seed}/{self.connections}"))
        self._roads.add(road)
        try:
            await self._flows.wait()
            if not self._is_cut():
                await self._forward(reader, road)
        except OSError:
            pass  # one side went away: so does the other, below
        finally:
            self._roads.discard(road)
            road.reset()
            self._tasks.discard(task)

    def _is_cut(self) -> bool:
        return self.conditions.way == "cut"

    async def _forward(self, near_reader: asyncio.StreamReader, road: "_Road") -> None:
        """To the broker, or to whoever stands in its way."""
        port = self._ports[self.conditions.answers]
        self.misled += port != self.target_port
        far_reader, road.far = await asyncio.open_connection("127.0.0.1", port)
        if self._is_cut():
            return
        up, down = _Moving(_QUEUE_MAX), _Moving(_QUEUE_MAX)
        try:
            async with asyncio.TaskGroup() as tasks:
                upward = road.lane(self._up, upward=True)
                upward.shake_hands(asyncio.get_running_loop().time(), self.conditions)
                tasks.create_task(self._take_in(near_reader, up, upward))
                tasks.create_task(self._deliver(up, road.far, road, road.upward))
                tasks.create_task(self._take_in(far_reader, down, road.lane(self._down)))
                tasks.create_task(self._deliver(down, road.near, road, len))
        except* OSError:
            road.reset()  # one side went away: so does the other
        if not road.gone.is_set():
            road.end()

    async def _take_in(self, reader: asyncio.StreamReader, moving: "_Moving", lane: Lane) -> None:
        """Read one direction until its end, and note when each chunk will have arrived."""
        loop = asyncio.get_running_loop()
        chunk = b"?"
        while chunk:
            chunk = await reader.read(_CHUNK)
            size = SEGMENT if self.conditions.loss or self.conditions.rate_bps else _CHUNK
            for start in range(0, len(chunk) or 1, size):
                piece = chunk[start : start + size]
                await moving.put((lane.arrival_s(len(piece), loop.time(), self.conditions), piece))

    async def _deliver(
        self, moving: "_Moving", writer: asyncio.StreamWriter, road: "_Road", passes: Callable[[bytes], int]
    ) -> None:
        """Hand on one direction as it arrives, and its end. Raises ConnectionResetError where the road ends it."""
        loop = asyncio.get_running_loop()
        while True:
            arrival_s, chunk = await moving.get()
            if (wait_s := arrival_s - loop.time()) > 0:
                await asyncio.sleep(wait_s)
            await self._flows.wait()
            if road.stranded:
                await road.gone.wait()  # a FIN would not arrive either
                return
            if not chunk:
                break
            count = passes(chunk)
            writer.write(chunk[:count])
            await writer.drain()
            if count < len(chunk):
                self.resets += 1
                raise ConnectionResetError
        if writer.can_write_eof():
            with suppress(OSError):
                writer.write_eof()


_Moving = asyncio.Queue[tuple[float, bytes]]


class _Road:
    """One connection: both its ends, and what becomes of it."""

    def __init__(self, near: asyncio.StreamWriter, conditions: Conditions, random: Random) -> None:
        self.near = near
        self.far: asyncio.StreamWriter | None = None
        self.stranded = False
        self.gone = asyncio.Event()
        self._random = random
        limits = conditions.reset_after_bytes
        self._left = None if limits is None else random.randint(*limits)

    def lane(self, channel: Channel, *, upward: bool = False) -> Lane:
        """One direction of it."""
        return Lane(channel, Random(self._random.getrandbits(64)), upward=upward)

    def upward(self, chunk: bytes) -> int:
        """How many of these bytes get to the broker before the reset."""
        if self._left is None:
            return len(chunk)
        count = min(len(chunk), self._left)
        self._left -= count
        return count

    def end(self) -> None:
        """Close in order."""
        for writer in (self.near, self.far):
            if writer is not None:
                writer.close()

    def reset(self) -> None:
        """RST to both sides, unless they are closed."""
        self.gone.set()
        for writer in (self.near, self.far):
            if writer is not None and not writer.is_closing():
                _reset(writer)


def _port(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


async def _redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A captive portal: HTTP to whatever comes."""
    with suppress(OSError):
        await reader.read(_CHUNK)
        writer.write(_PORTAL)
        await writer.drain()
    writer.close()


async def _hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Somebody's TLS server, which speaks no MQTT."""
    with suppress(OSError):
        await reader.read(_CHUNK)
    writer.close()


def _server_context(identity: Identity) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    return context


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() != -1:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
    writer.transport.abort()
