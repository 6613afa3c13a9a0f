"""A child process that holds models and is asked one thing at a time; messages are framed as in onnx_child."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from typing import Final

from agent.core.errors import ModelDown
from agent.core.paths import ROOT
from drivers.onnx_child import LENGTH

_END_DEADLINE_S: Final = 2.0
_DEATH_DEADLINE_S: Final = 0.2


class ModelChild:
    """name is what its errors call it. A child that is late or talks nonsense is killed, and only start helps then."""

    def __init__(self, name: str, command: Sequence[str], *, answer_max_bytes: int = 1 << 20) -> None:
        self.name = name
        self._command = command
        self._answer_max_bytes = answer_max_bytes
        self._child: asyncio.subprocess.Process | None = None
        self._reason = ""
        self._line = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The child's process id, None where there is none."""
        return None if self._child is None else self._child.pid

    @property
    def running(self) -> bool:
        """Whether one was started and not killed."""
        return self._child is not None

    async def start(self, arguments: Sequence[str]) -> None:
        """Start a fresh one. Raises ModelDown."""
        await self.kill("")
        try:
            self._child = await asyncio.create_subprocess_exec(
                *self._command, *arguments, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
            )
        except OSError as exc:
            raise ModelDown(f"{self.name} cannot start: {exc}") from exc

    async def ask(self, payload: bytes | None, deadline_s: float) -> bytes:
        """Send a message, if any, and wait for one. Kills the child and raises ModelDown where that fails."""
        async with self._line:
            return await self._converse(payload, deadline_s)

    async def ended(self) -> str:
        """Return when the child has ended, and why; at once where there is none."""
        child = self._child
        if child is not None:
            status = await child.wait()
            self._reason = self._reason or f"{self.name} died (exit status {status})"
        return self._reason

    async def kill(self, reason: str) -> None:
        """End the child, if there is one, and wait for its end."""
        child, self._child = self._child, None
        self._reason = reason
        if child is None:
            return
        if child.returncode is None:
            # child.kill() would collect a child that is dead already behind asyncio's back, and lose its exit status.
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)
        if child.stdin is not None:
            child.stdin.close()
        await asyncio.wait_for(child.wait(), _END_DEADLINE_S)

    async def _converse(self, payload: bytes | None, deadline_s: float) -> bytes:
        child = self._child
        if child is None or child.stdin is None or child.stdout is None:
            raise ModelDown(f"{self.name} is not running")
        try:
            async with asyncio.timeout(deadline_s):
                if payload is not None:
                    child.stdin.write(LENGTH.pack(len(payload)) + payload)
                    await child.stdin.drain()
                (size,) = LENGTH.unpack(await child.stdout.readexactly(LENGTH.size))
                if size <= self._answer_max_bytes:
                    return await child.stdout.readexactly(size)
                reason = f"{self.name} announced {size} bytes"
        except TimeoutError:
            reason = f"{self.name} gave no answer within {deadline_s:g} s"
        except (asyncio.IncompleteReadError, ConnectionError):
            reason = f"{self.name} died"
            with contextlib.suppress(TimeoutError):
                status = await asyncio.wait_for(child.wait(), _DEATH_DEADLINE_S)
                reason += f" (exit status {status})"
        except asyncio.CancelledError:
            await self.kill("")  # half a conversation cannot be taken up again
            raise
        await self.kill(reason)
        raise ModelDown(reason)
