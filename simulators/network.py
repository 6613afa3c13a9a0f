"""The road between car and cloud: a TCP proxy in this process that can be cut, hung and restored."""

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Final, Literal

_CHUNK: Final = 65_536
_LINGER_RESET: Final = struct.pack("ii", 1, 0)  # close() then sends RST

State = Literal["up", "cut", "hung"]


class Network:
    """Forwards a loopback port to another. cut: everything is reset; hung: everything is silent, nothing is closed."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.state: State = "up"
        self.connections = 0
        self._flows: asyncio.Event = asyncio.Event()
        self._flows.set()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """Where clients connect; the same for the network's whole life."""
        if self._server is None:
            raise RuntimeError("the network is not started")
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen on a free loopback port."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)

    async def stop(self) -> None:
        """Close everything."""
        if self._server is None:
            return
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks)
        await self._server.wait_closed()
        self._server = None

    def cut(self) -> None:
        """Reset every connection, and every new one at once. The port stays ours, so that restore cannot fail."""
        self.state = "cut"
        self._flows.set()
        for writer in tuple(self._open):
            _reset(writer)

    def hang(self) -> None:
        """Let nothing through in either direction; connections stay half open, new ones get no answer."""
        self.state = "hung"
        self._flows.clear()

    def restore(self) -> None:
        """Let everything through again; what hung is delivered late, as TCP does."""
        self.state = "up"
        self._flows.set()

    async def _carry(self, near_reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or self._is_cut():
            _reset(near)
            return
        self.connections += 1
        self._tasks.add(task)
        self._open.add(near)
        far: asyncio.StreamWriter | None = None
        try:
            await self._flows.wait()
            far_reader, far = await asyncio.open_connection("127.0.0.1", self.target_port)
            self._open.add(far)
            if not self._is_cut():
                await asyncio.gather(self._pump(near_reader, far), self._pump(far_reader, near))
                near.close()
                far.close()
        except OSError:
            pass  # one side went away: so does the other, below
        finally:
            for writer in (near, far):
                if writer is not None:
                    self._open.discard(writer)
                    if not writer.is_closing():
                        _reset(writer)
            self._tasks.discard(task)

    def _is_cut(self) -> bool:
        return self.state == "cut"

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction until its end. Loss, delay and bandwidth would be applied to each chunk here."""
        while chunk := await reader.read(_CHUNK):
            await self._flows.wait()
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            with suppress(OSError):
                writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() != -1:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
    writer.transport.abort()
