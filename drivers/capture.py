"""Sound in: 16-bit mono at 16 kHz from ALSA's arecord as a child process, or from a file or pipe.

The child runs only while somebody listens: a box that asks nothing hears nothing.
"""

import asyncio
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from agent.core.errors import SourceLost

BYTES_PER_S: Final = 32_000
_CHUNK_BYTES: Final = BYTES_PER_S // 20
_SILENT_S: Final = 3.0  # a card gives sound all the time; a child that gives none hangs
_END_S: Final = 2.0
_ERRORS_MAX: Final = 4096


class Capture(Protocol):
    """Raw sound. open -> read... -> close; opened again for the next answer."""

    async def open(self) -> None:
        """Raise SourceLost where there is no sound now."""
        ...

    async def read(self) -> bytes:
        """Wait for some sound; empty at the end of a file. Raises SourceLost where it stopped coming."""
        ...

    async def close(self) -> None:
        """Let go of it; safe to call twice."""
        ...


class AlsaCapture:
    """arecord of alsa-utils. device is ALSA's name, such as plughw:1,0; command is arecord's, for tests."""

    def __init__(self, device: str, *, command: Sequence[str] = ("arecord",), silent_s: float = _SILENT_S) -> None:
        self._device = device
        self._command = command
        self._silent_s = silent_s
        self._child: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id, None where there is none."""
        return None if self._child is None else self._child.pid

    async def open(self) -> None:
        """Start the child."""
        await self.close()
        options = ["-q", "-D", self._device, "-t", "raw", "-f", "S16_LE", "-r", "16000", "-c", "1"]
        try:
            self._child = await asyncio.create_subprocess_exec(
                *self._command,
                *options,
                "--buffer-time=200000",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except FileNotFoundError as exc:
            raise SourceLost(f"{self._command[0]} is not installed (Debian: apt install alsa-utils)") from exc
        except OSError as exc:
            raise SourceLost(f"{self._command[0]} cannot be started: {exc.strerror}") from exc

    async def read(self) -> bytes:
        """A twentieth of a second or less."""
        child = self._child
        if child is None or child.stdout is None or child.stderr is None:
            raise SourceLost(f"microphone {self._device} is not open")
        try:
            async with asyncio.timeout(self._silent_s):
                data = await child.stdout.read(_CHUNK_BYTES)
                if data:
                    return data
                errors = await child.stderr.read(_ERRORS_MAX)
        except TimeoutError as exc:
            await self.close()
            raise SourceLost(f"microphone {self._device}: no sound for {self._silent_s:g} s, arecord hangs") from exc
        await self.close()
        lines = [line.strip() for line in errors.decode("utf-8", "replace").splitlines() if line.strip()]
        raise SourceLost(f"microphone {self._device}: {lines[-1] if lines else 'arecord ended without a reason'}")

    async def close(self) -> None:
        """Kill the child and wait for its end."""
        child, self._child = self._child, None
        if child is None:
            return
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
        with suppress(TimeoutError):  # one that even SIGKILL does not end waits in the kernel for its device
            async with asyncio.timeout(_END_S):
                await child.communicate()


class FileCapture:
    """A file or named pipe of raw sound, for tests and simulated speakers. A file is read from its start each time."""

    def __init__(self, path: Path, *, silent_s: float = _SILENT_S) -> None:
        self._path = path
        self._silent_s = silent_s
        self._fd: int | None = None
        self._pipe = False

    async def open(self) -> None:
        """Open it; a pipe need not have a writer yet."""
        await self.close()
        self._fd = self._open()
        self._pipe = stat.S_ISFIFO(os.fstat(self._fd).st_mode)

    async def read(self) -> bytes:
        """A piece; of a pipe what is there, empty where that is nothing for a while, whoever writes it or has gone."""
        if self._fd is None:
            raise SourceLost(f"microphone {self._path} is not open")
        if not self._pipe:
            return os.read(self._fd, _CHUNK_BYTES)
        try:
            async with asyncio.timeout(self._silent_s):
                while not (data := await self._piece(self._fd)):
                    gone, self._fd = self._fd, self._open()  # its writer; it would say so at once and for ever
                    os.close(gone)
                return data
        except (TimeoutError, BlockingIOError):
            return b""

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as exc:
            raise SourceLost(f"microphone {self._path}: {exc.strerror}") from exc

    async def _piece(self, fd: int) -> bytes:
        arrived = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(fd, arrived.set)
        try:
            await arrived.wait()
            return os.read(fd, _CHUNK_BYTES)
        finally:
            loop.remove_reader(fd)

    async def close(self) -> None:
        """Close it."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
