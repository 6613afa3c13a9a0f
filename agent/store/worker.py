"""One thread for what blocks: an fsync on an SD card would stall the event loop."""

import asyncio
import queue
from collections.abc import Callable
from concurrent.futures import Future
from itertools import count
from threading import Thread
from typing import Any, Final, TypeVar

from agent.core.errors import StoreError

T = TypeVar("T")

_LAST: Final = 9


class Worker:
    """Runs calls one at a time in its own thread, urgent ones before waiting others. The queue has a limit."""

    def __init__(self, name: str, *, waiting_max: int = 64) -> None:
        self._calls: queue.PriorityQueue[tuple[int, int, Future[Any], Callable[[], Any]]]
        self._calls = queue.PriorityQueue(waiting_max)
        self._order = count()
        self._closed = False
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def call(self, function: Callable[[], T], *, urgent: bool = False) -> T:
        """Result of function. A call that has begun is carried through even if its caller is cancelled.

        Raises StoreError where too many calls wait already, or after close.
        """
        if self._closed:
            raise StoreError("the store is closed")
        future: Future[T] = Future()
        try:
            self._calls.put_nowait((0 if urgent else 1, next(self._order), future, function))
        except queue.Full:
            raise StoreError("the disk does not keep up: too many calls wait") from None
        return await asyncio.wrap_future(future)

    async def close(self, function: Callable[[], Any] = lambda: None) -> None:
        """Finish what waits, then call function, and end the thread. Calling again only waits for the end."""
        future: Future[Any] = Future()
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._calls.put, (_LAST, 0, future, function))
            await asyncio.wrap_future(future)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        while True:
            rank, _, future, function = self._calls.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function())
                except BaseException as exc:  # noqa: BLE001  # not swallowed: raised again where it was called
                    future.set_exception(exc)
            if rank == _LAST:
                return
