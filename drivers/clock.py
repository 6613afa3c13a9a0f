"""The car's clock."""

import asyncio
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import Context
from pathlib import Path
from typing import Final

_EARLIEST_BELIEVABLE_NS: Final = 1_767_225_600_000_000_000  # 2026-01-01: before this agent existed
_SYNCED_MARKER: Final = Path("/run/systemd/timesync/synchronized")


class SystemClock:
    """CLOCK_MONOTONIC and CLOCK_REALTIME.

    Synced means that systemd-timesyncd says so, and that the time is not before this agent was written.
    """

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        """CLOCK_REALTIME."""
        return time.time_ns()

    @property
    def synced(self) -> bool:
        """Whether the system believes its wall clock, and so do we."""
        return _SYNCED_MARKER.exists() and self.wall_ns() >= _EARLIEST_BELIEVABLE_NS

    async def sleep(self, seconds: float) -> None:
        """Really wait."""
        loop = asyncio.get_running_loop()
        await _Alarm(loop, loop.time() + seconds)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Real time cannot be held."""
        yield


class _Alarm:
    """What asyncio.sleep waits for, less one turn of the loop: here the timer itself wakes the task.

    Of a Future it has what a task uses (see asyncio.isfuture). A reader sleeps fifty times a second, and on a small
    board a turn of the loop is a good part of what a look at the bus costs.
    """

    _asyncio_future_blocking = False

    def __init__(self, loop: asyncio.AbstractEventLoop, when_s: float) -> None:
        self._loop = loop
        self._when_s = when_s
        self._cancelled = False

    def __await__(self) -> Generator["_Alarm", None, None]:
        self._asyncio_future_blocking = True
        yield self

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def add_done_callback(self, wake: Callable[["_Alarm"], object], *, context: Context | None = None) -> None:
        self._wake, self._context = wake, context
        self._timer = self._loop.call_at(self._when_s, wake, self, context=context)

    def cancel(self, msg: object = None) -> bool:  # noqa: ARG002 - a task hands it on
        if self._cancelled:
            return False
        self._cancelled = True
        self._timer.cancel()
        self._loop.call_soon(self._wake, self, context=self._context)
        return True

    def result(self) -> None:
        if self._cancelled:
            raise asyncio.CancelledError
