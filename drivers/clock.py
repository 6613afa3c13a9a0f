"""The car's clock."""

import asyncio
import ctypes
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import Context
from pathlib import Path
from typing import Final

from agent.core.best_time import EARLIEST_NS

_SYNCED_MARKER: Final = Path("/run/systemd/timesync/synchronized")
_STA_UNSYNC: Final = 0x40  # linux/timex.h
_FIXES: Final = 5  # so many in a row must agree before the time of a GNSS receiver is believed
_SPREAD_NS: Final = 1_500_000_000  # how long sentences may take to arrive, now more and now less


_LIBC: Final = ctypes.CDLL(None)


class _Timex(ctypes.Structure):
    """The start of struct timex (adjtimex(2)), and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


def read_kernel_synced() -> bool | None:
    """Whether chronyd, ntpd, timesyncd or another keeps CLOCK_REALTIME right; None where asking is forbidden.

    The kernel takes the mark away when somebody sets the clock, and when nobody has kept it for about nine hours.
    """
    timex = _Timex()
    if _LIBC.adjtimex(ctypes.byref(timex)) < 0:
        return None
    return not timex.status & _STA_UNSYNC


class SystemClock:
    """CLOCK_BOOTTIME and CLOCK_REALTIME.

    The time since boot with what was slept through: so the difference of the two clocks, by which records are dated
    afterwards, stays the same while the box is suspended. Synced means that the kernel says so or, where it may not be
    asked, systemd-timesyncd; and that the time is not before this agent was written.
    """

    def __init__(self, *, kernel_synced: Callable[[], bool | None] = read_kernel_synced) -> None:
        self._kernel_synced = kernel_synced

    def monotonic_ns(self) -> int:
        """CLOCK_BOOTTIME."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def wall_ns(self) -> int:
        """CLOCK_REALTIME."""
        return time.time_ns()

    @property
    def synced(self) -> bool:
        """Whether the system believes its wall clock, and so do we."""
        if time.time_ns() < EARLIEST_NS:
            return False
        synced = self._kernel_synced()
        return _SYNCED_MARKER.exists() if synced is None else synced

    async def sleep(self, seconds: float) -> None:
        """Really wait."""
        loop = asyncio.get_running_loop()
        await _Alarm(loop, loop.time() + seconds)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Real time cannot be held."""
        yield


class RadioClock(SystemClock):
    """The system's clock and, until that is set, UTC as a GNSS receiver tells it. Sets nothing but itself.

    What stamps by CLOCK_REALTIME (SocketCAN) must not use it.
    """

    def __init__(self, *, kernel_synced: Callable[[], bool | None] = read_kernel_synced) -> None:
        super().__init__(kernel_synced=kernel_synced)
        self._offsets_ns: deque[int] = deque(maxlen=_FIXES)
        self._newest_ns = EARLIEST_NS
        self._offset_ns: int | None = None

    def offer_utc(self, utc_ns: int) -> None:
        """UTC of a valid fix, just now arrived.

        Of several that agree, the one that came quickest is the nearest to the truth. Times from before this agent
        existed are those of receivers that have lost count of GPS weeks.
        """
        if utc_ns < self._newest_ns - _SPREAD_NS or utc_ns > self._newest_ns:
            self._offsets_ns.append(utc_ns - self.monotonic_ns())
            self._newest_ns = utc_ns
        if utc_ns < EARLIEST_NS:
            self._offsets_ns.clear()
        elif len(self._offsets_ns) == _FIXES and max(self._offsets_ns) - min(self._offsets_ns) <= _SPREAD_NS:
            self._offset_ns = max(self._offsets_ns)

    def wall_ns(self) -> int:
        """CLOCK_REALTIME where it was set, else the receiver's time, if there is one."""
        if self._offset_ns is None or super().synced:
            return super().wall_ns()
        return self.monotonic_ns() + self._offset_ns

    @property
    def synced(self) -> bool:
        """Whether either is known."""
        return self._offset_ns is not None or super().synced


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
        self._reason: tuple[object, ...] = ()

    def __await__(self) -> Generator["_Alarm", None, None]:
        self._asyncio_future_blocking = True
        yield self

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def add_done_callback(self, wake: Callable[["_Alarm"], object], *, context: Context | None = None) -> None:
        self._wake, self._context = wake, context
        self._timer = self._loop.call_at(self._when_s, wake, self, context=context)

    def cancel(self, msg: object = None) -> bool:
        if self._cancelled:
            return False
        self._cancelled = True
        self._reason = () if msg is None else (msg,)
        self._timer.cancel()
        self._loop.call_soon(self._wake, self, context=self._context)
        return True

    def result(self) -> None:
        self._timer.cancel()  # it holds this and the task: without it only the collector would free them
        if self._cancelled:
            raise asyncio.CancelledError(*self._reason)
