"""The car's clock."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
        await asyncio.sleep(seconds)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Real time cannot be held."""
        yield
