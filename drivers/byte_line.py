"""Bytes to and from a tty, a pty or tcp://host:port, for asyncio.

Deadlines here run on the loop's own time, not on the injected clock: the thing at the other end is real even when the
drive is simulated, and a clock that is held for it would never reach the deadline.
"""

import asyncio
import os
import socket
import termios
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import serial

from agent.core.errors import SourceLost

_BUFFER_MAX: Final = 65_536
_READ_SIZE: Final = 4096


class ByteLine:
    """An open line. Received bytes wait in a bounded buffer; the oldest go first, counted in `dropped`."""

    def __init__(self, name: str, fd: int, close: Callable[[], None]) -> None:
        self.dropped = 0
        self._name = name
        self._fd = fd
        self._close = close
        self._buffer = bytearray()
        self._ready = asyncio.Event()
        self._lost = ""
        self._open = True
        asyncio.get_running_loop().add_reader(fd, self._on_readable)

    async def read(self, timeout_s: float) -> bytes:
        """Everything received so far, at least a byte; empty after timeout_s of silence. Raises SourceLost."""
        if not self._buffer and not self._lost:
            self._ready.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._ready.wait()
            except TimeoutError:
                return b""
        if not self._buffer:
            raise SourceLost(f"{self._name}: {self._lost}")
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def write(self, data: bytes) -> None:
        """Send a short command at once. Raises SourceLost, also where the other end takes nothing."""
        if self._lost:
            raise SourceLost(f"{self._name}: {self._lost}")
        try:
            written = os.write(self._fd, data)
        except OSError as exc:
            raise SourceLost(f"{self._name}: {exc.strerror}") from exc
        if written < len(data):
            raise SourceLost(f"{self._name}: takes no more bytes")

    def close(self) -> None:
        """Let go; safe to call twice."""
        if self._open:
            self._open = False
            self._stop()
            self._close()

    def _on_readable(self) -> None:
        try:
            data = os.read(self._fd, _READ_SIZE)
        except BlockingIOError:
            return
        except OSError as exc:
            self._lose(exc.strerror or "gone")
            return
        if not data:
            self._lose("closed by the other end")
            return
        self._buffer += data
        excess = len(self._buffer) - _BUFFER_MAX
        if excess > 0:
            self.dropped += excess
            del self._buffer[:excess]
        self._ready.set()

    def _lose(self, reason: str) -> None:
        self._lost = reason
        self._stop()
        self._ready.set()

    def _stop(self) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)


async def open_line(port: str, *, baudrate: int, timeout_s: float) -> ByteLine:
    """Open a tty path or a tcp://host:port URL. Raises SourceLost where it is not there now."""
    return await _open_tcp(port, timeout_s) if port.startswith("tcp://") else _open_tty(port, baudrate)


def _open_tty(port: str, baudrate: int) -> ByteLine:
    try:
        device = serial.Serial(port, baudrate, timeout=0, exclusive=True)
    except (OSError, ValueError, termios.error) as exc:  # SerialException is an OSError
        raise SourceLost(f"{port}: {exc}") from exc
    return ByteLine(port, device.fileno(), device.close)


async def _open_tcp(url: str, timeout_s: float) -> ByteLine:
    parts = urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise SourceLost(f"{url}: {exc}") from exc
    if not host or not port:
        raise SourceLost(f"{url}: expected tcp://host:port")
    connection: socket.socket | None = None
    try:
        async with asyncio.timeout(timeout_s):
            loop = asyncio.get_running_loop()
            family, kind, protocol, _, address = (await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))[0]
            connection = socket.socket(family, kind, protocol)
            connection.settimeout(0)
            await loop.sock_connect(connection, address)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except (OSError, TimeoutError) as exc:
        if connection is not None:
            connection.close()
        raise SourceLost(f"{url}: {exc or 'no connection'}") from exc
    return ByteLine(url, connection.fileno(), connection.close)
