"""A GB/T 32960.3 platform to log in to: takes apart what comes by the published layouts alone, answers, and misbehaves.

Written apart from agent.proto.gbt32960, so that a mistake there is not believed here. Every frame that breaks a layout
is kept in `broken` with the reason.
"""

import asyncio
import struct
from collections import Counter
from dataclasses import dataclass, field
from functools import reduce
from operator import xor
from types import TracebackType
from typing import Any, Final, Self

_HEAD: Final = struct.Struct(">2sBB17sBH")
_LOGIN, _REALTIME, _REISSUE, _LOGOUT, _HEARTBEAT = 1, 2, 3, 4, 7
_COMMAND, _OK, _ERROR = 0xFE, 1, 2
_STARTS: Final = {b"##": 2016, b"$$": 2025}
_FIXED: Final[dict[int, dict[int, int]]] = {
    2016: {1: 20, 4: 5, 5: 9, 6: 14},
    2025: {1: 18, 4: 2, 5: 10},
}  # bodies of one size


class Broken(Exception):
    """A frame that is none."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """One frame of data: time YY MM DD hh mm ss as it stands, bodies by type."""

    edition: int
    vin: str
    reissue: bool
    time: tuple[int, ...]
    bodies: dict[int, bytes]


@dataclass(slots=True)
class Manners:
    """How it behaves. refuse_logins and refuse_data: so many are answered with an error first."""

    answers_data: bool = True
    answers_login: bool = True
    whole_body: bool = False  # answers with the command's whole body, as one reading of the text has it
    refuse_logins: int = 0
    refuse_data: int = 0


@dataclass(slots=True)
class PlatformServer:
    """`async with PlatformServer() as platform`: listens on loopback, platform.port."""

    manners: Manners = field(default_factory=Manners)
    arrived: list[Arrived] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    port: int = 0
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.cut()

    async def listen(self) -> None:
        """Take connections, at the port of the last time."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Drop everybody and take no connections."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()

    async def until(self, condition: Any, *, timeout_s: float = 20.0) -> bool:
        """Wait until condition() holds, asked again at every frame; False where it does not in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return bool(condition())
        return True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readexactly(_HEAD.size)
                rest = await reader.readexactly(_HEAD.unpack(head)[5] + 1)
                try:
                    self._take(head, rest, writer)
                except Broken as exc:
                    self.broken.append(str(exc))
                self._changed.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the vehicle went away, as vehicles do
        finally:
            self._writers.discard(writer)
            writer.close()

    def _take(self, head: bytes, rest: bytes, writer: asyncio.StreamWriter) -> None:
        start, command, response, vin, encryption, _ = _HEAD.unpack(head)
        data, check = rest[:-1], rest[-1]
        if start not in _STARTS or response != _COMMAND or encryption != 1:
            raise Broken(f"head {head.hex()}")
        if reduce(xor, head[2:] + data) != check:
            raise Broken(f"checksum of {head.hex()}")
        edition = _STARTS[start]
        self.counts[str(command)] += 1
        answer = _OK
        if command == _LOGIN:
            _check_login(edition, data)
            if not self.manners.answers_login:
                return
            answer = self._grudging("refuse_logins")
        elif command in {_REALTIME, _REISSUE}:
            answer = self._grudging("refuse_data")
            if answer == _OK:
                bodies = split_bodies(edition, data[6:])
                self.arrived.append(Arrived(edition, vin.decode(), command == _REISSUE, tuple(data[:6]), bodies))
            if not self.manners.answers_data:
                return
        elif command not in {_LOGOUT, _HEARTBEAT}:
            raise Broken(f"command {command:02X} of a vehicle")
        body = data if self.manners.whole_body else data[:6]
        reply = struct.pack(">BB17sBH", command, answer, vin, 1, len(body)) + body
        writer.write(start + reply + bytes([reduce(xor, reply)]))

    def _grudging(self, what: str) -> int:
        left = getattr(self.manners, what)
        setattr(self.manners, what, max(0, left - 1))
        return _ERROR if left else _OK


def split_bodies(edition: int, data: bytes) -> dict[int, bytes]:
    """Bodies of a realtime message by type. Raises Broken where one does not end where it should."""
    bodies: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        kind = data[at]
        size = _size(edition, kind, data[at + 1 :])
        body = data[at + 1 : at + 1 + size]
        if len(body) != size or kind in bodies:
            raise Broken(f"type {kind} of {size} bytes at {at} of {len(data)}")
        bodies[kind] = body
        at += 1 + size
    return bodies


def _size(edition: int, kind: int, data: bytes) -> int:
    fixed = _FIXED[edition].get(kind)
    if fixed is not None:
        return fixed
    try:
        if kind == (7 if edition == 2016 else 6):
            return _alarms_size(edition, data)
        if kind == (8 if edition == 2016 else 7):
            return _cells_size(edition, data)
        if kind == (9 if edition == 2016 else 8):
            return _probes_size(data)
    except (IndexError, struct.error) as exc:
        raise Broken(f"type {kind} ends early") from exc
    raise Broken(f"type {kind} is not told by a car")


def _alarms_size(edition: int, data: bytes) -> int:
    at = 5
    for _ in range(4):
        at += 1 + 4 * data[at]
    return at + (1 + 2 * data[at] if edition == 2025 else 0)


def _cells_size(edition: int, data: bytes) -> int:
    at = 1
    for _ in range(data[0]):
        if edition == 2016:
            at += 10 + 2 * data[at + 9]
        else:
            at += 7 + 2 * struct.unpack_from(">H", data, at + 5)[0]
    return at


def _probes_size(data: bytes) -> int:
    at = 1
    for _ in range(data[0]):
        at += 3 + struct.unpack_from(">H", data, at + 1)[0]
    return at


def _check_login(edition: int, data: bytes) -> None:
    size = 30 + data[28] * data[29] if edition == 2016 else 29 + data[28] + 24 * sum(data[29 : 29 + data[28]])
    if len(data) != size or not 1 <= struct.unpack_from(">H", data, 6)[0] <= 65_531:
        raise Broken(f"login of {len(data)} bytes: {data.hex()}")
