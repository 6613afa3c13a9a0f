"""Bounded hand-over between tasks: drops the oldest, counts every drop."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """A queue with a limit. put never waits; a full box loses its oldest item and counts it."""

    def __init__(self, size_max: int) -> None:
        if size_max < 1:
            raise ValueError("a mailbox needs room for one item")
        self.dropped = 0
        self._items: deque[T] = deque(maxlen=size_max)
        self._ready = asyncio.Event()
        self._closed = False

    def put(self, item: T) -> None:
        """Add an item. After close nothing is taken any more, and each such item counts as dropped."""
        if self._closed or len(self._items) == self._items.maxlen:
            self.dropped += 1
        if self._closed:
            return
        self._items.append(item)
        self._ready.set()

    async def get(self) -> T:
        """Wait for the oldest item. Raises StopAsyncIteration once closed and empty."""
        while not self._items:
            if self._closed:
                raise StopAsyncIteration
            self._ready.clear()
            await self._ready.wait()
        return self._items.popleft()

    def take_all(self) -> list[T]:
        """Everything waiting, without waiting."""
        items = list(self._items)
        self._items.clear()
        return items

    def close(self) -> None:
        """Let readers finish what is in the box and then stop."""
        self._closed = True
        self._ready.set()

    def __len__(self) -> int:
        return len(self._items)

    def __aiter__(self) -> "Mailbox[T]":
        return self

    async def __anext__(self) -> T:
        return await self.get()
