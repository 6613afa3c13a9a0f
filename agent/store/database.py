"""The outbox on disk: SQLite in WAL mode. Synchronous; lives in the outbox's one thread.

synchronous=FULL: SQLite then fsyncs the WAL at every commit, so that "committed" survives a power cut. What makes this
affordable on an SD card is not fewer syncs per commit but fewer commits: the recorder commits in groups.
See agent/store/ledger.py for what a failed sync asks for.
"""

import errno
import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from agent.core.erasure import Selection
from agent.core.errors import StoreError
from agent.core.records import Position, Range, SealedRecord, digest_of
from agent.core.vault import add_key, open_vault, shred_old_keys, wrap_anew
from agent.store.anew import Copy, make_good, put_in_place, wiping_old
from agent.store.disk import disk
from agent.store.erase import Run, delete_range, erase_rows, purposes_of_row, slices_of, wiped
from agent.store.files import (
    NAME,
    ROW_BYTES,
    TABLES,
    Table,
    connect,
    lock,
    place_of,
    position_of,
    read_count,
    write_count,
)
from agent.store.ledger import Ledger, State
from agent.store.quota import Shed, crash_reserve_bytes, shed, shed_detail
from agent.store.rebuild import Damage, build, finish, quarantine
from agent.store.reserve import Reserve
from agent.store.rows import open_row, row_of

_SLICES_A_CHECKPOINT: Final = 4  # of deletions: what SQLite carries over by itself is more than others may wait for
_BRIEFLY_MS: Final = 50  # what can be done later waits no longer for who reads: a crash may wait behind it

T = TypeVar("T")


class Database:
    """Records, and the head of the chain, changed together or not at all."""

    def __init__(self, directory: Path, *, device: str, size_max_bytes: int, now_ns: Callable[[], int]) -> None:
        """Open or make; count up the boot. now_ns is the monotonic clock.

        Raises StoreError, or InputError where a newer version made the file.
        """
        self._device = device
        self._size_max_bytes = size_max_bytes
        self._now_ns = now_ns
        self._path = directory / NAME
        self._damages: list[Damage] = []
        self._slices: Generator[Any, None, None] | None = None
        with disk():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._reserve = Reserve(directory / "reserve")
            with ExitStack() as opened:
                self._lock = opened.enter_context(lock(directory / "outbox.lock"))
                self._vault = self._with_reserve(partial(open_vault, directory), may_use_it=True)
                self._use(self._open_or_rebuild())
                opened.callback(self._db.close)
                self.boot, self.head = self._with_reserve(self._start_boot, may_use_it=True)
                opened.pop_all()

    def append(self, records: Sequence[SealedRecord], *, may_use_reserve: bool) -> list[Shed]:
        """Commit records that continue the chain; return what had to be shed for them. Raises StoreError.

        Repeating the last append is a no-op: its commit may have reached the disk although it was reported as failed.
        """
        with disk():
            gone = self._with_reserve(partial(self._append, records), may_use_it=may_use_reserve)
        self.head = records[-1].digest
        return gone

    def peek(self, after: tuple[int, Position], count_max: int) -> list[SealedRecord]:
        """Records behind a table, by its number in TABLES, and a position in it; in sending order."""
        behind, position = after
        records: list[SealedRecord] = []
        for number, table in enumerate(TABLES):
            if number < behind:
                continue
            place = place_of(position) if number == behind else 0
            query = f"SELECT place, payload, crc, purposes FROM {table.name} WHERE place > ? ORDER BY place LIMIT ?"  # noqa: S608  # a constant
            with disk():
                rows = self._db.execute(query, (place, count_max - len(records))).fetchall()
            opened = [open_row(self._vault, *row[:3]) for row in rows]
            if None in opened:
                self._quarantine(table, [row[:3] for row, payload in zip(rows, opened, strict=True) if payload is None])
            records += [
                SealedRecord(
                    *(self._device, *position_of(row[0]), table.priority, payload, table.bulk),
                    " ".join(purposes_of_row(table, row[3])),
                )
                for row, payload in zip(rows, opened, strict=True)
                if payload is not None
            ]
        return records

    def take_damages(self) -> list[Damage]:
        """What was found since the last call."""
        damages, self._damages = self._damages, []
        return damages

    def rebuild(self) -> None:
        """Go on with all that can be read of a file that turned out to be corrupt. Raises StoreError."""
        with disk():
            self._break_off()
            damage = build(self._path)
            self._db.close()
            sequence = self._ledger.sequence
            self._use(self._take_rebuilt(damage), sequence=sequence)
            with self._ledger.change() as state:
                state.boot, state.sequence, state.digest = self.boot, sequence, self.head

    def table_of(self, position: Position) -> int | None:
        """Number in TABLES of where a record is stored, None where it is not there."""
        with disk():
            found = self._find(position)
        return None if found is None else found[0]

    def forget(self, ranges: Sequence[Range]) -> tuple[int, int]:
        """Delete what the ranges cover; return rows deleted, and ranges refused.

        A range counts only if its last record is here with the same hash: it was then given for this very store, not
        for one of the same name before an SD card was replaced.
        """
        deleted = refused = 0
        with disk(), self._ledger.change() as state:
            for part in ranges:
                last = self._find(Position(part.boot, part.last))
                if last is not None and digest_of(last[1]) == part.digest:
                    first, end = Position(part.boot, part.first), Position(part.boot, part.last)
                    count, size_bytes = delete_range(self._db, first, end)
                    deleted += count
                    state.used_bytes -= size_bytes
                    state.records -= count
                else:
                    refused += 1
        return deleted, refused

    def next_slice(self, slices: Generator[T, None, None]) -> T | None:
        """What the next slice of long work gave, None at its end. Another work that was broken off ends here.

        Raises StoreError where the disk refuses; the work is broken off then.
        """
        if slices is not self._slices:
            self._break_off()
            self._slices = slices
        with disk():
            return next(slices, None)

    def erase(self, selection: Selection, *, until: Position | None = None) -> Generator[list[Run], None, None]:
        """Slices that delete what its owner wants to be gone, wiped from its pages, and give what went.

        What is stored meanwhile stays.
        """
        last = place_of(Position(self.boot, self._ledger.sequence))
        if until is not None:
            last = min(last, place_of(until))
        for number, bounds in enumerate(slices_of(self._db, last), 1):
            with wiped(self._db), self._ledger.change() as state:
                runs, size_bytes = erase_rows(self._db, self._vault, selection, bounds)
                state.records -= sum(run.records for run in runs)
                state.used_bytes -= size_bytes
            yield runs
            if bounds[1] == last or number % _SLICES_A_CHECKPOINT == 0:
                self._ledger.settle(patience_ms=_BRIEFLY_MS)
                yield []

    def write_anew(self) -> Generator[bool, None, None]:
        """Slices that leave nothing in the file but what it holds, under a fresh key. Wants room for it once more."""
        yield from self._wipe_old()  # of one that was broken off: its name is wanted
        self._vault = add_key(self._path.parent)
        with closing(Copy(self._db, self._path, self._vault)) as copy:
            while copy.go_on():
                yield True
            self._ledger.settle(patience_ms=_BRIEFLY_MS)
            yield True
            copy.finish()
        self._db.close()
        put_in_place(self._path)
        self._use(connect(self._path, check=False), sequence=self._ledger.sequence)
        yield from self._wipe_old()

    def shred_old_keys(self) -> Generator[bool, None, None]:
        """Slices that write the other files of the directory anew, and then destroy the keys before."""
        for _ in wrap_anew(self._path.parent):
            yield True
        self._vault = shred_old_keys(self._path.parent)

    def pending(self) -> int:
        """Count of records stored."""
        with disk():
            return self._ledger.state().records

    def close(self) -> None:
        """Checkpoint and close."""
        with disk(), self._lock:
            self._break_off()
            self._db.close()

    def _use(self, db: sqlite3.Connection, *, sequence: int = 0) -> None:
        self._db, self._ledger = db, Ledger(db, sequence=sequence)

    def _open_or_rebuild(self) -> sqlite3.Connection:
        make_good(self._path)
        finish(self._path)
        try:
            return connect(self._path)
        except sqlite3.DatabaseError as exc:
            if type(exc) is not sqlite3.DatabaseError:  # its children speak of the disk or of us, not of the file
                raise
            return self._take_rebuilt(build(self._path))

    def _take_rebuilt(self, damage: Damage) -> sqlite3.Connection:
        self._damages.append(replace(damage, file=finish(self._path)))
        return connect(self._path)

    def _with_reserve(self, action: Callable[[], T], *, may_use_it: bool) -> T:
        """Run it; where the file system is full, crash records get the reserve, and until it is back only they."""
        if not (self._reserve.hold() or may_use_it):
            raise StoreError("outbox: the disk is full; what space is left is for crash records")
        try:
            return action()
        except (sqlite3.OperationalError, OSError) as exc:
            full = "full" in str(exc) or (isinstance(exc, OSError) and exc.errno == errno.ENOSPC)
            if not (may_use_it and self._reserve.held and full):
                raise
            self._reserve.release()
            return action()

    def _append(self, records: Sequence[SealedRecord]) -> list[Shed]:
        with self._ledger.change() as state:
            if state.digest == records[-1].digest:
                return []
            if records[0].position != (state.boot, state.sequence + 1):
                raise ValueError(f"{records[0].position} does not follow {(state.boot, state.sequence)}")
            now_ns = self._now_ns()
            for table in TABLES:
                rows = [row_of(self._vault, record, now_ns) for record in records if table.holds(record)]
                self._db.executemany(f"INSERT INTO {table.name} VALUES (?, ?, ?, ?, ?, ?)", rows)  # noqa: S608  # a constant
                state.used_bytes += sum(len(row[1]) + ROW_BYTES for row in rows)
            state.records += len(records)
            state.sequence, state.digest = records[-1].sequence, records[-1].digest
            return self._shed(state)

    def _wipe_old(self) -> Generator[bool, None, None]:
        for _ in wiping_old(self._path):
            yield True

    def _break_off(self) -> None:
        if self._slices is not None:
            self._slices.close()
            self._slices = None

    def _quarantine(self, table: Table, rows: Sequence[tuple[int, Any, Any]]) -> None:
        """Keep damaged records where they stop nobody."""
        with disk(), self._ledger.change() as state:
            state.used_bytes -= quarantine(self._db, table, rows)
            state.records -= len(rows)
        self._damages.append(Damage(len(rows)))

    def _start_boot(self) -> tuple[int, bytes]:
        """Count up. A copy of the counter lies beside the database: a number used twice would look like a duplicate."""
        counter = self._path.with_name("boot")
        with self._ledger.change() as state:
            state.boot = max(state.boot, read_count(counter)) + 1
            state.sequence = 0
        write_count(counter, state.boot)
        return state.boot, state.digest

    def _shed(self, state: State) -> list[Shed]:
        """Make room for what was just inserted."""
        ordinary_max = self._size_max_bytes - crash_reserve_bytes(self._size_max_bytes)
        gone = shed(self._db, state.used_bytes - ordinary_max)
        over_bytes = state.used_bytes - sum(part.size_bytes for part in gone) - self._size_max_bytes
        gone += shed_detail(self._db, over_bytes)
        state.used_bytes -= sum(part.size_bytes for part in gone)
        state.records -= sum(part.records for part in gone)
        if state.used_bytes > self._size_max_bytes:
            raise StoreError("the outbox is full of crash records")
        return gone

    def _find(self, position: Position) -> tuple[int, bytes] | None:
        for number, table in enumerate(TABLES):
            query = f"SELECT payload, crc FROM {table.name} WHERE place = ?"  # noqa: S608  # a constant
            row = self._db.execute(query, (place_of(position),)).fetchone()
            if row is not None:
                return number, open_row(self._vault, place_of(position), *row) or b""
        return None
