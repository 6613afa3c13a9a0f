"""What of the outbox goes next: the head first, and what lies behind it where the whole head has had its turn."""

from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from typing import Final, Protocol

from agent.core.records import Position, Range, SealedRecord
from agent.link.turns import Turns

_REST_S: Final = 5.0  # between looks through a backlog that has had its turn
_PAGE_MAX: Final = 256
_LOOK_S: Final = 1.0  # between looks at the head while there is other work


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
    """The outbox with the turns of its records. At most window of them are out without an answer, crashes aside.

    It is read page by page, forward: the head again where something may have come before, or once a second.
    """

    def __init__(
        self,
        outbox: Outbox,
        *,
        window: int,
        answer_s: float,
        withheld: Callable[[SealedRecord], bool] = lambda _: False,
    ) -> None:
        """answer_s is how long the insurer may take for a receipt; withheld: whether a record is not to go now."""
        self._turns = Turns(answer_s=answer_s)
        self._outbox = outbox
        self._window = window
        self._withheld = withheld
        self._page_max = min(window, _PAGE_MAX)
        self._rest_s = min(answer_s, _REST_S)
        self._page: deque[SealedRecord] = deque()
        self._page_is_head = True
        self._room = 0  # for records behind the head, as last counted
        self._head_changed = True
        self._reread = False
        self._looked_s = -inf  # at the head
        self._head_end: Position | None = None  # the last of a head that is full, so that there may be more behind it
        self._reached: Position | None = None  # how far the look behind the head has come
        self._at_end = False
        self._restart_s = inf  # when to look behind the head from its beginning

    def reconnected(self, now_s: float) -> None:
        """Begin anew on another connection."""
        self._turns.reconnected(now_s)
        self._reached, self._at_end, self._restart_s = None, False, inf
        self._head_changed = True

    def changed(self) -> None:
        """There are new records, or a turn has come: look again."""
        self._head_changed = True
        self._at_end = False

    def erased(self) -> None:
        """Records were deleted: what was read of them is not to go either."""
        self._reread = True

    async def next(self, now_s: float) -> SealedRecord | None:
        """The record whose turn it is; the same one until it was sent. None: there is none. Raises StoreError."""
        if self._reread:
            self._reread = False
            self._page.clear()
            self._head_changed, self._at_end = True, False
        if self._head_changed or now_s >= self._looked_s + _LOOK_S:
            await self._look_at_head(now_s)
        while True:
            while self._page:
                if self._is_due(self._page[0], now_s):
                    return self._page[0] if self._has_room(now_s) else None
                self._step()
            if not self._has_more(now_s):
                return None
            await self._look_behind(now_s)

    def sent(self, now_s: float) -> None:
        """What next gave goes now."""
        self._turns.sent(self._page[0].position, now_s)
        self._room -= 1
        self._step()

    async def notices(self, count_max: int) -> list[SealedRecord]:
        """The first records, as far as they are a crash's and no detail of it. Raises StoreError."""
        head = await self._outbox.peek(None, count_max)
        return [record for record in head if record.is_notice and not self._withheld(record)]

    def hurried(self, position: Position, now_s: float) -> None:
        """It went before its connection was open."""
        self._turns.sent(position, now_s)

    def refused(self, position: Position, now_s: float) -> None:
        """The broker did not take it."""
        self._turns.refused(position, now_s)

    def received(self, ranges: Sequence[Range]) -> None:
        """The insurer has signed for them."""
        self._turns.received(ranges)

    def next_s(self, now_s: float) -> float | None:
        """When to look again by itself; in the past where a turn came after the head was looked at."""
        restart_s = self._restart_s if now_s < self._restart_s < inf else None
        instants = (self._turns.next_s(self._looked_s), restart_s)
        return min((instant for instant in instants if instant is not None), default=None)

    def _is_due(self, record: SealedRecord, now_s: float) -> bool:
        return self._turns.is_due(record.position, now_s) and not self._withheld(record)

    def _step(self) -> None:
        record = self._page.popleft()
        if not self._page_is_head:
            self._reached = record.position

    async def _look_at_head(self, now_s: float) -> None:
        self._head_changed = False
        self._looked_s = now_s
        self._page_is_head = True
        head = await self._outbox.peek(None, self._page_max)
        self._page = deque(record for record in head if self._is_due(record, now_s))
        self._head_end = head[-1].position if len(head) >= self._page_max else None

    def _has_more(self, now_s: float) -> bool:
        """Whether there is something behind the head, and room for it."""
        if self._head_end is None or (self._at_end and now_s < self._restart_s):
            return False
        self._room = self._window - self._turns.waiting(now_s)
        return self._room > 0

    def _has_room(self, now_s: float) -> bool:
        """Whether a record may go: of the head always, since what came there is graver than what fills the window."""
        if self._page_is_head or self._room > 0:
            return True
        self._room = self._window - self._turns.waiting(now_s)
        return self._room > 0

    async def _look_behind(self, now_s: float) -> None:
        if now_s >= self._restart_s:
            self._reached, self._restart_s = None, inf
        self._page_is_head = False
        self._page = deque(await self._outbox.peek(self._reached or self._head_end, self._page_max))
        self._at_end = not self._page
        if self._at_end and self._restart_s == inf:
            self._restart_s = now_s + self._rest_s
