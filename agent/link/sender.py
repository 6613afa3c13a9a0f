"""Publishes what the backlog gives, over one connection at a time: by priority, within the window and the budget."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from math import inf
from typing import Final

from agent.core.config import Link
from agent.core.errors import PublishRefused
from agent.core.events import Priority
from agent.core.link_ports import EarlySession, Outgoing, Session
from agent.core.records import Position, SealedRecord
from agent.link import wire
from agent.link.allowance import Allowance
from agent.link.backlog import Backlog
from agent.link.budget import RECORD_OVERHEAD, Budget
from agent.link.session import EARLY_MAX
from agent.link.turns import Patience

_LOG: Final = logging.getLogger(__name__)
_DAY_S: Final = 86_400
_COURTESY_S: Final = 2.0
"""The first fragment of a crash record is there before its notice, and the minimum set of data half a second after it.
On a bad line whatever lies before them costs them a lost segment more."""

_EXPIRY_S: Final[Mapping[Priority, int | None]] = {
    Priority.CRASH: None,
    Priority.SAFETY: 30 * _DAY_S,
    Priority.SERVICE: 7 * _DAY_S,
    Priority.TELEMETRY: _DAY_S,
}
"""How long the broker may keep a record for the insurer. Nothing is lost by it: the outbox still has the record."""


class Sender:
    """Whoever finds something new calls wake; run ends with its connection."""

    def __init__(
        self,
        link: Link,
        backlog: Backlog,
        budget: Budget,
        *,
        device: str,
        counts: Counter[str],
        fresh_waits: Callable[[], Iterator[float]],
        say: Callable[[str], None],
        on_sent: Callable[[SealedRecord], None] = lambda _: None,
    ) -> None:
        """Count published, refused and held; say once per connection that the broker refuses."""
        self._on_sent = on_sent
        self._in_flight_max = link.in_flight_max
        self._backlog = backlog
        self._budget = budget
        self._topic = wire.record_topic(device)
        self._counts = counts
        self._say = say
        self._patience = Patience(fresh_waits)
        self._allowance = Allowance()
        self._full = False  # whether something waits for the allowance
        self._bulk_from_s: float | None = None  # when the detail of a crash may go; None while there was none to go
        self._refused_before = False
        self._held: Position | None = None
        self._early: list[SealedRecord] = []  # named by choose_early for a connection that is not open yet
        self._work = asyncio.Event()
        self._choosing = asyncio.Lock()

    def wake(self, *, changed: bool) -> None:
        """Look again. changed: there are new records; one of a higher priority overtakes the backlog."""
        if changed:
            self._backlog.changed()
        self._work.set()

    async def choose_early(self) -> list[Outgoing]:
        """First notices of crashes, to go with the first words of a connection. Raises StoreError.

        None where that has just failed: a broker may dislike what comes before its CONNACK.
        """
        failed, self._early = bool(self._early), []
        if not failed:
            self._early = await self._backlog.notices(EARLY_MAX)
        return [(self._topic, record.payload, _EXPIRY_S[record.priority]) for record in self._early]

    async def run(self, session: EarlySession) -> None:
        """Publish whatever has no receipt, once, and again where its turn comes. Raises LinkDown, StoreError.

        What goes is chosen when there is a place for it, by one task at a time: so it goes in the backlog's order, and
        nothing lesser lies between a crash and the wire.
        """
        self._backlog.reconnected(asyncio.get_running_loop().time())
        self._patience.restore()
        self._allowance.reconnected()
        self._refused_before = False
        self._choosing = asyncio.Lock()
        early, self._early = self._early, []
        async with asyncio.TaskGroup() as tasks:
            for record, publishing in zip(early, session.early, strict=True):
                now_s = asyncio.get_running_loop().time()
                self._backlog.hurried(record.position, now_s)
                self._budget.spend(len(record.payload) + RECORD_OVERHEAD, now_s)
                tasks.create_task(self._settle(record, publishing), name="uplink early")
            for number in range(min(self._in_flight_max, session.in_flight_max)):
                tasks.create_task(self._work_through(session), name=f"uplink {number}")

    async def _work_through(self, session: Session) -> None:
        while True:
            async with self._choosing:
                record = await self._choose()
                if self._patience.one_by_one:
                    await self._publish(session, record)
                    continue
            await self._publish(session, record)

    async def _choose(self) -> SealedRecord:
        """Wait for the next record and count it as sent."""
        loop = asyncio.get_running_loop()
        while True:
            if (wait_s := self._patience.wait_s(loop.time())) > 0:
                await asyncio.sleep(wait_s)
            self._work.clear()
            now_s = loop.time()
            record = await self._backlog.next(now_s)
            if record is None:
                self._bulk_from_s = None
                await self._wait_until(self._backlog.next_s(now_s) or inf)
                continue
            if (wait_s := self._courtesy_s(record, now_s)) > 0:
                await self._wait_until(min(now_s + wait_s, self._backlog.next_s(now_s) or inf))
                continue
            size = len(record.payload) + RECORD_OVERHEAD
            wait_s = self._budget.wait_s(size, now_s) if record.priority >= Priority.SERVICE else 0.0
            if wait_s > 0:
                self._counts["held"] += self._held != record.position
                self._held = record.position
                await self._wait_until(min(now_s + wait_s, self._backlog.next_s(now_s) or inf))
                continue
            if _can_wait(record) and not self._allowance.has_room(size):
                self._full = True
                await self._wait_until(self._backlog.next_s(now_s) or inf)
                continue
            self._budget.spend(size, now_s)
            self._backlog.sent(now_s)
            if _can_wait(record):
                self._allowance.sent(size)
            return record

    def _courtesy_s(self, record: SealedRecord, now_s: float) -> float:
        """How long the detail of a crash waits for its notice, which the line then carries alone."""
        if not record.bulk:
            if _can_wait(record):
                self._bulk_from_s = None
            return 0.0
        if self._bulk_from_s is None:
            self._bulk_from_s = now_s + _COURTESY_S
        return max(0.0, self._bulk_from_s - now_s)

    async def _wait_until(self, when_s: float) -> None:
        """Until that time of the loop, or somebody wakes."""
        try:
            async with asyncio.timeout_at(None if when_s == inf else when_s):
                await self._work.wait()
        except TimeoutError:
            self._backlog.changed()

    async def _publish(self, session: Session, record: SealedRecord) -> None:
        """Publish one record. Raises LinkDown."""
        begun_s = asyncio.get_running_loop().time()
        await self._settle(record, session.publish(self._topic, record.payload, expiry_s=_EXPIRY_S[record.priority]))
        self._answered(record, asyncio.get_running_loop().time() - begun_s)

    async def _settle(self, record: SealedRecord, publishing: Awaitable[None]) -> None:
        """Wait for the verdict; a refusal leaves the record in the outbox until its next turn. Raises LinkDown."""
        try:
            await publishing
        except PublishRefused as exc:
            now_s = asyncio.get_running_loop().time()
            self._counts["refused"] += 1
            self._backlog.refused(record.position, now_s)
            self._patience.refused(exc.code, now_s)
            self._work.set()  # its turn comes before what is waited for
            if not self._refused_before:
                self._refused_before = True
                self._say(f"record refused: {exc}")
        else:
            self._counts["published"] += 1
            self._patience.restore()
            self._on_sent(record)

    def _answered(self, record: SealedRecord, took_s: float) -> None:
        size = len(record.payload) + RECORD_OVERHEAD
        self._allowance.answered(size, took_s, patient=_can_wait(record))
        if self._full:
            self._full = False
            self._work.set()


def _can_wait(record: SealedRecord) -> bool:
    """Whether it goes behind whatever is graver: it must not fill a slow line."""
    return record.bulk or record.priority >= Priority.SERVICE
