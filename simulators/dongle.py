"""An ELM327 dongle to plug in: the simulated chip on a pty, or on TCP (loopback), with latency and faults."""

import asyncio
import os
import tempfile
import tty
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from simulators.ecu import Ecu
from simulators.elm327 import Elm327Chip, Traits

_COMMAND_MAX: Final = 256


class Dongle:
    """One adapter. `port` is what a client opens: a path that survives unplugging (a link to the pty), or a tcp:// URL.

    Faults: `mute` says nothing more; `half_lines` sends the first half of each answer and no prompt; `unplug` and
    `plug` are what they say. latency_s is real time between a command and its answer.
    """

    def __init__(
        self,
        ecus: Sequence[Ecu],
        *,
        transport: Literal["pty", "tcp"] = "pty",
        latency_s: float = 0.0,
        traits: Traits | None = None,
    ) -> None:
        self.port = ""
        self.mute = False
        self.half_lines = False
        self.latency_s = latency_s
        self.chip = Elm327Chip(ecus, traits)
        self._ecus = ecus
        self._transport = transport
        self._traits = traits
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._fds: tuple[int, int] | None = None
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()
        self._tcp_port = 0
        self._line = bytearray()
        self._busy: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Plug it in for the first time."""
        if self._transport == "pty":
            self._folder = tempfile.TemporaryDirectory(prefix="dongle-")
            self.port = str(Path(self._folder.name) / "ttyOBD")
        await self.plug()

    async def close(self) -> None:
        """Unplug it for good."""
        await self.unplug()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    async def plug(self) -> None:
        """Come up as after power-on."""
        self.chip = Elm327Chip(self._ecus, self._traits)
        self._line.clear()
        if self._transport == "pty":
            self._plug_pty()
            return
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._tcp_port)
        self._tcp_port = self._server.sockets[0].getsockname()[1]
        self.port = f"tcp://127.0.0.1:{self._tcp_port}"

    async def unplug(self) -> None:
        """Vanish: the pty is gone, TCP connections are cut."""
        if self._busy is not None:
            self._busy.cancel()
            self._busy = None
        self._unplug_pty()
        if self._server is not None:
            self._server.close()
            for writer in self._clients:
                writer.close()
            self._clients.clear()
            self._server = None
            await asyncio.sleep(0)

    def _plug_pty(self) -> None:
        master, slave = os.openpty()  # the slave stays open here, so that a client may come and go
        tty.setraw(slave)
        os.set_blocking(master, False)
        self._fds = (master, slave)
        Path(self.port).symlink_to(os.ttyname(slave))
        asyncio.get_running_loop().add_reader(master, self._read_pty, master)

    def _unplug_pty(self) -> None:
        if self._fds is None:
            return
        asyncio.get_running_loop().remove_reader(self._fds[0])
        Path(self.port).unlink(missing_ok=True)
        for fd in self._fds:
            os.close(fd)
        self._fds = None

    def _read_pty(self, master: int) -> None:
        with suppress(BlockingIOError):
            self._receive(os.read(master, 4096), lambda data: _write_fd(master, data))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        with suppress(ConnectionError):
            while data := await reader.read(4096):
                self._receive(data, writer.write)
        self._clients.discard(writer)
        writer.close()

    def _receive(self, data: bytes, send: Callable[[bytes], object]) -> None:
        """Characters typed by the client."""
        if self.mute:
            return
        for byte in data:
            if self._busy is not None:  # too early: the command under way and the rest of this one are lost
                self._busy.cancel()
                self._busy = None
                self._line.clear()
                send(self.chip.interrupted())
                return
            if byte != 0x0D:
                if len(self._line) < _COMMAND_MAX:
                    self._line.append(byte)
                continue
            line = bytes(self._line)
            self._line.clear()
            send(self.chip.echo(line + b"\r"))
            self._busy = asyncio.get_running_loop().call_later(self.latency_s, self._reply, line, send)

    def _reply(self, line: bytes, send: Callable[[bytes], object]) -> None:
        self._busy = None
        answer = self.chip.answer(line)
        if self.mute:
            return
        send(answer[: len(answer) // 2] if self.half_lines else answer)


def _write_fd(fd: int, data: bytes) -> None:
    with suppress(BlockingIOError):  # nobody reads: a real adapter's buffer overflows too
        os.write(fd, data)
