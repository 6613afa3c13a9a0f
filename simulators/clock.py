"""A clock that stands still until told: replay, tests and the simulated car run on it."""

import asyncio
import heapq
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from itertools import count
from typing import Final

_SETTLE_ROUNDS: Final = 12  # loop turns a woken task may need to hand its work on to the last one in line
_BUSY: Final = (None,)  # what is ready in a loop that does not tell: never nothing


class ManualClock:
    """Time moves only by advance_to. Sleepers wake in order of their due time, each with its own instant.

    After each wake-up the loop turns until nobody holds the clock, so that what belongs to one instant is done in it:
    the same inputs give the same events, however fast the machine.
    """

    def __init__(self, *, start_ns: int = 0, wall_start_ns: int = 1_790_000_000_000_000_000) -> None:
        self._now_ns = start_ns
        self._wall_offset_ns = wall_start_ns - start_ns
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = count()
        self._holds = 0
        self._released = asyncio.Event()
        self.synced = True

    def monotonic_ns(self) -> int:
        """Return the instant last advanced to."""
        return self._now_ns

    def wall_ns(self) -> int:
        """Return the same instant on the calendar."""
        return self._now_ns + self._wall_offset_ns

    def jump_wall(self, seconds: float) -> None:
        """Set the calendar forward, or back below 0. Monotonic time, and who waits for it, notices nothing."""
        self._wall_offset_ns += round(seconds * 1e9)

    async def sleep(self, seconds: float) -> None:
        """Wait until somebody has advanced the clock that far."""
        due_ns = self._now_ns + max(0, round(seconds * 1e9))
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (due_ns, next(self._order), future))
        await future

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep this instant until the work is done; advance_to waits."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
            if self._holds == 0:
                self._released.set()

    async def advance_to(self, t_ns: int) -> None:
        """Move on to t_ns, waking sleepers on the way. Going back is a no-op: monotonic time does not."""
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= t_ns:
            due_ns, _, future = heapq.heappop(self._sleepers)
            if future.done():
                continue
            self._now_ns = max(self._now_ns, due_ns)
            future.set_result(None)
            await self._settle()
        self._now_ns = max(self._now_ns, t_ns)

    async def advance(self, seconds: float) -> None:
        """Move on by a span."""
        await self.advance_to(self._now_ns + round(seconds * 1e9))

    async def _settle(self) -> None:
        """Let everybody work who can: until nothing is ready to run, as asyncio's own loops tell, or for some rounds.

        Most instants wake one task that is done in its first turn; to turn the loop for nothing costs more than that.
        """
        ready: Sized = getattr(asyncio.get_running_loop(), "_ready", _BUSY)
        for _ in range(_SETTLE_ROUNDS):
            await asyncio.sleep(0)
            while self._holds:
                self._released.clear()
                await self._released.wait()
            if not ready:
                return
