"""What of the outbox goes next: the head first, and what lies behind it where the whole head has had its turn."""

from collections.abc import Sequence
from typing import Final, Protocol

from agent.core.records import Position, Range, SealedRecord
from agent.link.turns import Turns

_REST_S: Final = 5.0  # between looks through a backlog that has had its turn


class Outbox(Protocol):
    """What the uplink needs of agent.store.outbox."""

    async def peek(self, after: Position | None, count_max: int) -> list[SealedRecord]:
        """Return the first records in sending order, from the start or behind one that it has given."""
        ...

    async def forget(self, ranges: Sequence[Range]) -> int:
        """Delete what was received; returns how many records went."""
        ...

    async def pending(self) -> int:
        """Records not yet received."""
        ...


class Backlog:
    """The outbox with the turns of its records. At most window of them are out without an answer, crashes aside."""

    def __init__(self, outbox: Outbox, *, window: int, answer_s: float) -> None:
        """answer_s is how long the insurer may take for a receipt."""
        self.turns = Turns(answer_s=answer_s)
        self._outbox = outbox
        self._window = window
        self._rest_s = min(answer_s, _REST_S)
        self._head_is_full = False
        self._reached: Position | None = None  # how far back the look behind the head has come
        self._rested_s = 0.0  # until when there is nothing behind it

    def reconnected(self, now_s: float) -> None:
        """Begin anew on another connection."""
        self.turns.reconnected(now_s)
        self._reached, self._rested_s = None, 0.0

    async def due(self, now_s: float) -> list[SealedRecord]:
        """What may go now. Raises StoreError."""
        page = await self._outbox.peek(None, self._window)
        due = self._due(page, now_s)
        self._head_is_full = len(page) >= self._window
        if due or not self.has_more(now_s):
            return due
        self._reached = self._reached or page[-1].position
        while not due:
            page = await self._outbox.peek(self._reached, self._window - self.turns.waiting(now_s))
            if not page:
                self._reached, self._rested_s = None, now_s + self._rest_s
                break
            due = self._due(page, now_s)
            if not due:
                self._reached = page[-1].position
        return due

    def has_more(self, now_s: float) -> bool:
        """Whether there is something behind the head, and room for it."""
        return self._head_is_full and now_s >= self._rested_s and self.turns.waiting(now_s) < self._window

    def next_s(self, now_s: float) -> float | None:
        """When to look again by itself."""
        instants = (self.turns.next_s(now_s), self._rested_s if self._rested_s > now_s else None)
        return min((instant for instant in instants if instant is not None), default=None)

    def _due(self, page: Sequence[SealedRecord], now_s: float) -> list[SealedRecord]:
        return [record for record in page if self.turns.is_due(record.position, now_s)]
