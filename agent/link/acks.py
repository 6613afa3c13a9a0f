"""The answers that a connection waits for. Time runs for the oldest one only."""

import asyncio
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from agent.core.errors import LinkDown

T = TypeVar("T")

_SLOWEST_BYTES_PER_S: Final = 1000  # 9.6 kbit/s: a long message may take so much longer


class Acks(Generic[T]):
    """PUBACKs come in order (MQTT 5, 4.6), so one timer does: a slow line that moves is not a dead one."""

    def __init__(self, *, timeout_s: float) -> None:
        """Make it within a running loop."""
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, tuple[asyncio.Future[T], int]] = {}
        self._oldest_s = 0.0  # since when the first of them is the oldest
        self._timer: asyncio.TimerHandle | None = None

    async def answer(self, number: int, *, size: int) -> T:
        """Wait for the answer to a message of size bytes. Raises LinkDown where none comes, or what fail was given."""
        future: asyncio.Future[T] = self._loop.create_future()
        if not self._waiting:
            self._oldest_s = self._loop.time()
        self._waiting[number] = future, size
        if self._timer is None:
            self._watch()
        try:
            return await future
        finally:
            self._take(number)  # where the wait was given up

    def answered(self, number: int, answer: T) -> None:
        """It came; one that nobody waits for is nothing."""
        future = self._take(number)
        if future is not None and not future.done():
            future.set_result(answer)

    def fail(self, reason: Callable[[], LinkDown]) -> None:
        """Nothing comes any more."""
        for future, _ in self._waiting.values():
            if not future.done():
                future.set_exception(reason())

    def close(self) -> None:
        """Let go of the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _take(self, number: int) -> "asyncio.Future[T] | None":
        future, _ = self._waiting.pop(number, (None, 0))
        if future is not None:
            self._oldest_s = self._loop.time()
        return future

    def _watch(self) -> None:
        """See whether the oldest is overdue, and again when it may be."""
        self._timer = None
        oldest = next(iter(self._waiting.values()), None)
        if oldest is None:
            return
        due_s = self._oldest_s + self._timeout_s + oldest[1] / _SLOWEST_BYTES_PER_S
        if self._loop.time() < due_s:
            self._timer = self._loop.call_at(due_s, self._watch)
        else:
            self.fail(lambda: LinkDown(f"no PUBACK within {self._timeout_s:g} s"))
