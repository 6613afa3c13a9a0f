"""The queue between the disk and the network: asynchronous face of the database. Only a receipt deletes."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from agent.core.erasure import Selection
from agent.core.records import Position, Range, SealedRecord
from agent.store.database import Database
from agent.store.disk import CorruptError
from agent.store.erase import Run
from agent.store.files import TABLES
from agent.store.quota import Shed
from agent.store.rebuild import Damage
from agent.store.worker import Worker

T = TypeVar("T")

_PAUSE_LONGEST_S: Final = 0.1
_START = (-1, Position(0, 0))


class Outbox:
    """One writer thread, one SQLite file. Every method raises StoreError where the disk refuses.

    boot is this start's number; head the hash of the last record ever appended; receipts_refused counts ranges that
    were not given for this store. Damage found on the way is told to on_damage, and what can be read goes on.
    """

    def __init__(
        self,
        worker: Worker,
        database: Database,
        *,
        on_shed: Callable[[Sequence[Shed]], None],
        on_damage: Callable[[Damage], None],
    ) -> None:
        self.boot = database.boot
        self.head = database.head
        self.receipts_refused = 0
        self._worker = worker
        self._database = database
        self.on_shed = on_shed
        self.on_damage = on_damage
        self._last_peeked: tuple[int, Position] | None = None

    @classmethod
    async def open(
        cls,
        directory: Path,
        *,
        device: str,
        size_max_bytes: int,
        on_shed: Callable[[Sequence[Shed]], None] = lambda _: None,
        on_damage: Callable[[Damage], None] = lambda _: None,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> "Outbox":
        """Open the store of a device, or make it. on_shed hears what a full store let go, on_damage what was damaged.

        Raises StoreError, or InputError where the file was made by a newer version.
        """
        worker = Worker("outbox")
        try:
            database = await worker.call(
                partial(Database, directory, device=device, size_max_bytes=size_max_bytes, now_ns=now_ns), urgent=True
            )
        except BaseException:
            await worker.close()
            raise
        outbox = cls(worker, database, on_shed=on_shed, on_damage=on_damage)
        outbox._tell(database.take_damages())
        return outbox

    async def append(self, records: Sequence[SealedRecord], *, critical: bool, for_crash: bool = False) -> None:
        """Return when the records are on the disk (fsynced). critical ones go before waiting reads and deletions.

        for_crash: a crash record is among them or waits behind them, so a full disk gives its reserve.
        """
        if not records:
            return
        shed = await self._call(partial(self._database.append, records, may_use_reserve=for_crash), urgent=critical)
        if shed:
            self.on_shed(shed)

    async def peek(self, after: Position | None, count_max: int) -> list[SealedRecord]:
        """Up to count_max records in sending order (files.TABLES, boot, sequence), from the start or behind `after`.

        `after` is a record that peek has given, even if it has been forgotten since; an unknown one means the start.
        Records of higher priority that came since lie before it: look from the start when woken.
        """
        records = await self._call(partial(self._peek, after, count_max))
        if records:
            last = records[-1]
            number = next(number for number, table in enumerate(TABLES) if table.holds(last))
            self._last_peeked = number, last.position
        return records

    async def forget(self, ranges: Sequence[Range]) -> int:
        """Delete what the insurer has signed for; return the number of records deleted."""
        deleted, refused = await self._call(partial(self._database.forget, ranges))
        self.receipts_refused += refused
        return deleted

    def erase(self, selection: Selection, *, until: Position | None = None) -> AsyncIterator[list[Run]]:
        """Delete what its owner wants to be gone, up to a record; what went, slice by slice."""
        return self._slices(self._database.erase(selection, until=until))

    async def write_anew(self) -> None:
        """Leave nothing in the file but what it holds, under a fresh key of the vault."""
        async for _ in self._slices(self._database.write_anew()):
            pass

    async def shred_old_keys(self) -> None:
        """Write all other files under the vault anew, and destroy the keys before."""
        async for _ in self._slices(self._database.shred_old_keys()):
            pass

    async def pending(self) -> int:
        """Records not yet receipted."""
        return await self._call(self._database.pending)

    async def close(self) -> None:
        """Finish what was asked for, then close file and thread. Calling again is a no-op."""
        await self._worker.close(self._database.close)

    async def _slices(self, slices: Generator[T, None, None]) -> AsyncIterator[T]:
        """A call each, so that nobody waits for the whole; with a pause as long as each, so that the disk has room too.

        On a damaged page the file is rebuilt, and it must be asked for again. Who is cancelled first gets what the
        slice under way has done.
        """
        while True:
            begun_s = time.monotonic()
            call = asyncio.create_task(self._worker.call(partial(self._database.next_slice, slices)), name="slice")
            try:
                part = await asyncio.shield(call)
            except CorruptError:
                await self._worker.call(self._database.rebuild)
                raise
            except asyncio.CancelledError:
                await asyncio.wait({call})
                if call.exception() is None and (part := call.result()) is not None:
                    yield part
                raise
            if part is None:
                return
            yield part
            await asyncio.sleep(min(time.monotonic() - begun_s, _PAUSE_LONGEST_S))

    async def _call(self, function: Callable[[], T], *, urgent: bool = False) -> T:
        """In the thread; after a damaged page is found, once more on a rebuilt file."""
        try:
            result, damages = await self._worker.call(partial(self._carry_out, function), urgent=urgent)
        except CorruptError:
            await self._worker.call(self._database.rebuild, urgent=urgent)
            result, damages = await self._worker.call(partial(self._carry_out, function), urgent=urgent)
        self._tell(damages)
        return result

    def _carry_out(self, function: Callable[[], T]) -> tuple[T, list[Damage]]:
        return function(), self._database.take_damages()

    def _tell(self, damages: Sequence[Damage]) -> None:
        for damage in damages:
            self.on_damage(damage)

    def _peek(self, after: Position | None, count_max: int) -> list[SealedRecord]:
        return self._database.peek(self._cursor(after), count_max)

    def _cursor(self, after: Position | None) -> tuple[int, Position]:
        if after is None:
            return _START
        last = self._last_peeked
        if last is not None and last[1] == after:
            return last
        table = self._database.table_of(after)
        return _START if table is None else (table, after)
