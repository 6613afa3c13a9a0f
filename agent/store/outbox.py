"""The queue between the disk and the network: asynchronous face of the database. Only a receipt deletes."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from agent.core.events import Priority
from agent.core.records import Position, Range, SealedRecord
from agent.store.database import Database
from agent.store.worker import Worker

_START = (-1, Position(0, 0))


class Outbox:
    """One writer thread, one SQLite file. Every method raises StoreError where the disk refuses.

    boot is this start's number; head the hash of the last record ever appended; moved_aside where a corrupt file was
    put, if that was found; receipts_refused counts ranges that were not given for this store.
    """

    def __init__(self, worker: Worker, database: Database, on_shed: Callable[[Counter[Priority]], None]) -> None:
        self.boot = database.boot
        self.head = database.head
        self.moved_aside = database.moved_aside
        self.receipts_refused = 0
        self._worker = worker
        self._database = database
        self._on_shed = on_shed
        self._last_peeked: SealedRecord | None = None

    @classmethod
    async def open(
        cls,
        directory: Path,
        *,
        device: str,
        size_max_bytes: int,
        on_shed: Callable[[Counter[Priority]], None] = lambda _: None,
    ) -> "Outbox":
        """Open the store of a device, or make it. on_shed hears what a full store let go, by priority.

        Raises StoreError, or InputError where the file was made by a newer version.
        """
        worker = Worker("outbox")
        try:
            database = await worker.call(
                partial(Database, directory, device=device, size_max_bytes=size_max_bytes), urgent=True
            )
        except BaseException:
            await worker.close()
            raise
        return cls(worker, database, on_shed)

    async def append(self, records: Sequence[SealedRecord], *, critical: bool) -> None:
        """Return when the records are on the disk (fsynced). critical ones go before waiting reads and deletions."""
        if not records:
            return
        shed = await self._worker.call(partial(self._database.append, records), urgent=critical)
        if shed:
            self._on_shed(shed)

    async def peek(self, after: Position | None, count_max: int) -> list[SealedRecord]:
        """Up to count_max records in sending order (priority, boot, sequence), from the start or behind `after`.

        `after` is a record that peek has given, even if it has been forgotten since; an unknown one means the start.
        Records of higher priority that came since lie before it: look from the start when woken.
        """
        records = await self._worker.call(partial(self._peek, after, count_max))
        if records:
            self._last_peeked = records[-1]
        return records

    async def forget(self, ranges: Sequence[Range]) -> int:
        """Delete what the insurer has signed for; return the number of records deleted."""
        deleted, refused = await self._worker.call(partial(self._database.forget, ranges))
        self.receipts_refused += refused
        return deleted

    async def pending(self) -> int:
        """Records not yet receipted."""
        return await self._worker.call(self._database.pending)

    async def close(self) -> None:
        """Finish what was asked for, then close file and thread. Calling again is a no-op."""
        await self._worker.close(self._database.close)

    def _peek(self, after: Position | None, count_max: int) -> list[SealedRecord]:
        return self._database.peek(self._cursor(after), count_max)

    def _cursor(self, after: Position | None) -> tuple[int, Position]:
        if after is None:
            return _START
        last = self._last_peeked
        if last is not None and last.position == after:
            return last.priority, after
        priority = self._database.priority_of(after)
        return _START if priority is None else (priority, after)
