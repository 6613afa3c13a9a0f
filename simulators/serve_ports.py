"""Where a served wire is heard: a pty or a TCP port on loopback, written to by whoever is there and read by nobody."""

import asyncio
import os
import tempfile
import tty
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from agent.core.errors import InputError

_WAITING_MAX: Final = 1 << 20  # bytes a client may be behind before it is let go


class Outlet:
    """`async with Outlet(...) as outlet`: where says where it is, write gives everybody the same bytes."""

    def __init__(self, name: str, tcp_port: int | None) -> None:
        """A TCP port (0: any), or a pty where it is None; name is the key an error names, and the pty's link."""
        self.where = ""
        self.clients_lost = 0
        self._name = name
        self._tcp_port = tcp_port
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._fds: tuple[int, int] | None = None

    async def __aenter__(self) -> Self:
        if self._tcp_port is None:
            self._open_pty()
            return self
        try:
            self._server = await asyncio.start_server(self._welcome, "127.0.0.1", self._tcp_port)
        except OSError as exc:
            raise InputError(f"{self._name}=tcp:{self._tcp_port}: {os.strerror(exc.errno or 0)}") from exc
        self.where = f"tcp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
            for writer in self._clients:
                writer.close()
        if self._folder is not None:
            self._folder.cleanup()
        for fd in self._fds or ():
            os.close(fd)

    @property
    def clients(self) -> int:
        """Who listens on the TCP port now."""
        return len(self._clients)

    def write(self, data: bytes) -> None:
        """Send, without waiting: who reads too slowly is let go, and a pty nobody reads overflows."""
        if self._fds is not None:
            with suppress(BlockingIOError):
                os.write(self._fds[0], data)
        for writer in tuple(self._clients):
            if writer.transport.get_write_buffer_size() > _WAITING_MAX:
                self.clients_lost += 1
                writer.transport.abort()
            else:
                writer.write(data)

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        with suppress(OSError):
            while await reader.read(4096):
                pass  # settings for a real receiver
        self._clients.discard(writer)
        writer.close()

    def _open_pty(self) -> None:
        master, slave = os.openpty()  # the slave stays open here, so that a client may come and go
        tty.setraw(slave)
        os.set_blocking(master, False)
        self._fds = (master, slave)
        self._folder = tempfile.TemporaryDirectory(prefix=f"{self._name}-")
        self.where = str(Path(self._folder.name) / f"tty{self._name}")
        Path(self.where).symlink_to(os.ttyname(slave))
