"""The outbox on disk: SQLite in WAL mode. Synchronous; lives in the outbox's one thread.

synchronous=FULL: SQLite then fsyncs the WAL at every commit, so that "committed" survives a power cut. What makes this
affordable on an SD card is not fewer syncs per commit but fewer commits: the recorder commits in groups. Only
forgetting runs with NORMAL: a lost deletion costs one duplicate, which the receiver expects.
"""

import fcntl
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO, Final

from agent.core.errors import InputError, StoreError
from agent.core.events import Priority
from agent.core.records import Position, Range, SealedRecord, digest_of

SCHEMA_VERSION: Final = 1
NAME: Final = "outbox.db"

_SCHEMA: Final = """
BEGIN;
CREATE TABLE records (
    boot INTEGER NOT NULL, sequence INTEGER NOT NULL, priority INTEGER NOT NULL, payload BLOB NOT NULL,
    PRIMARY KEY (boot, sequence)
) WITHOUT ROWID;
CREATE INDEX sending_order ON records (priority, boot, sequence);
CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    boot INTEGER NOT NULL, sequence INTEGER NOT NULL, digest BLOB NOT NULL, used_bytes INTEGER NOT NULL
);
INSERT INTO state VALUES (0, 0, 0, zeroblob(32), 0);
PRAGMA user_version = 1;
COMMIT;
"""
_ROW_BYTES: Final = 64  # what a row costs beside its payload, roughly
_CRASH_RESERVE: Final = 8  # one part in eight is for crash records alone
_SHED_ROWS: Final = 64
_CHECKED_SIZE_MAX: Final = 32 << 20  # a larger file would hold up the start
_WAL_SIZE_MAX: Final = 4 << 20


class Database:
    """Records, and the head of the chain, changed together or not at all."""

    def __init__(self, directory: Path, *, device: str, size_max_bytes: int) -> None:
        """Open or make; count up the boot. Raises StoreError, or InputError where a newer version made the file."""
        self._device = device
        self._size_max_bytes = size_max_bytes
        self.moved_aside: Path | None = None
        with _disk():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with ExitStack() as opened:
                self._lock = opened.enter_context(_lock(directory / "outbox.lock"))
                self._db = opened.enter_context(closing(self._open_or_replace(directory / NAME)))
                self.boot, self.head = self._start_boot(directory)
                opened.pop_all()

    def append(self, records: Sequence[SealedRecord]) -> Counter[Priority]:
        """Commit records that continue the chain; return what had to be shed for them. Raises StoreError.

        Repeating the last append is a no-op: its commit may have reached the disk although it was reported as failed.
        """
        with _disk(), self._transaction():
            boot, sequence, digest, used = self._state()
            if digest == records[-1].digest:
                return Counter()
            if records[0].position != (boot, sequence + 1):
                raise ValueError(f"{records[0].position} does not follow {(boot, sequence)}")
            self._db.executemany(
                "INSERT INTO records VALUES (?, ?, ?, ?)",
                [(r.boot, r.sequence, int(r.priority), r.payload) for r in records],
            )
            used += sum(len(r.payload) + _ROW_BYTES for r in records)
            shed, used = self._shed(used)
            self._db.execute(
                "UPDATE state SET sequence = ?, digest = ?, used_bytes = ?",
                (records[-1].sequence, records[-1].digest, used),
            )
        return shed

    def peek(self, after: tuple[int, int, int], count_max: int) -> list[SealedRecord]:
        """Records behind (priority, boot, sequence), in sending order."""
        with _disk():
            rows = self._db.execute(
                "SELECT priority, boot, sequence, payload FROM records INDEXED BY sending_order"
                " WHERE (priority, boot, sequence) > (?, ?, ?) ORDER BY priority, boot, sequence LIMIT ?",
                (*after, count_max),
            ).fetchall()
        return [SealedRecord(self._device, boot, seq, Priority(priority), data) for priority, boot, seq, data in rows]

    def priority_of(self, position: Position) -> Priority | None:
        """Priority of a stored record, None where it is not there."""
        with _disk():
            row = self._db.execute("SELECT priority FROM records WHERE boot = ? AND sequence = ?", position).fetchone()
        return None if row is None else Priority(row[0])

    def forget(self, ranges: Sequence[Range]) -> tuple[int, int]:
        """Delete what the ranges cover; return rows deleted, and ranges refused.

        A range counts only if its last record is here with the same hash: it was then given for this very store, not
        for one of the same name before an SD card was replaced.
        """
        deleted = refused = 0
        with _disk():
            self._db.execute("PRAGMA synchronous = NORMAL")
            try:
                with self._transaction():
                    for part in ranges:
                        if not self._is_ours(part):
                            refused += 1
                            continue
                        deleted += self._delete(part)
            finally:
                self._db.execute("PRAGMA synchronous = FULL")
        return deleted, refused

    def pending(self) -> int:
        """Count of records stored."""
        with _disk():
            return int(self._db.execute("SELECT COUNT(*) FROM records").fetchone()[0])

    def close(self) -> None:
        """Checkpoint and close."""
        with _disk():
            self._db.close()
            self._lock.close()

    def _open_or_replace(self, path: Path) -> sqlite3.Connection:
        try:
            return _connect(path)
        except sqlite3.DatabaseError as exc:
            if type(exc) is not sqlite3.DatabaseError:  # its children speak of the disk or of us, not of the file
                raise
            self.moved_aside = _move_aside(path)
            return _connect(path)

    def _start_boot(self, directory: Path) -> tuple[int, bytes]:
        """Count up. A copy of the counter lies beside the database: a number used twice would look like a duplicate."""
        counter = directory / "boot"
        with self._transaction():
            boot, _, digest, _ = self._state()
            boot = max(boot, _read_count(counter)) + 1
            self._db.execute("UPDATE state SET boot = ?, sequence = 0", (boot,))
        _write_count(counter, boot)
        return boot, digest

    def _state(self) -> tuple[int, int, bytes, int]:
        boot, sequence, digest, used = self._db.execute(
            "SELECT boot, sequence, digest, used_bytes FROM state"
        ).fetchone()
        return boot, sequence, digest, used

    def _shed(self, used: int) -> tuple[Counter[Priority], int]:
        """Make room: the lowest priority first, its oldest first, crash records never."""
        shed: Counter[Priority] = Counter()
        ordinary_max = self._size_max_bytes - self._size_max_bytes // _CRASH_RESERVE
        while used > ordinary_max:
            lowest = self._db.execute("SELECT MAX(priority) FROM records").fetchone()[0]
            if lowest == Priority.CRASH:
                break
            rows = self._db.execute(
                "SELECT boot, sequence, LENGTH(payload) FROM records WHERE priority = ?"
                " ORDER BY boot, sequence LIMIT ?",
                (lowest, _SHED_ROWS),
            )
            for boot, sequence, size in rows.fetchall():
                if used <= ordinary_max:
                    break
                self._db.execute("DELETE FROM records WHERE boot = ? AND sequence = ?", (boot, sequence))
                used -= size + _ROW_BYTES
                shed[Priority(lowest)] += 1
        if used > self._size_max_bytes:
            raise StoreError("the outbox is full of crash records")
        return shed, used

    def _is_ours(self, part: Range) -> bool:
        row = self._db.execute(
            "SELECT payload FROM records WHERE boot = ? AND sequence = ?", (part.boot, part.last)
        ).fetchone()
        return row is not None and digest_of(row[0]) == part.digest

    def _delete(self, part: Range) -> int:
        covered = (part.boot, part.first, part.last)
        where = "WHERE boot = ? AND sequence BETWEEN ? AND ?"
        freed = self._db.execute(f"SELECT SUM(LENGTH(payload) + {_ROW_BYTES}) FROM records {where}", covered)  # noqa: S608  # constants
        self._db.execute("UPDATE state SET used_bytes = used_bytes - ?", (freed.fetchone()[0] or 0,))
        return self._db.execute(f"DELETE FROM records {where}", covered).rowcount  # noqa: S608  # constants

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise


@contextmanager
def _disk() -> Iterator[None]:
    """Turn what the disk does to us into StoreError; misuse of SQL stays a bug."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError):
        raise
    except (sqlite3.DatabaseError, OSError) as exc:
        raise StoreError(f"outbox: {exc}") from exc


def _connect(path: Path) -> sqlite3.Connection:
    """Raise sqlite3.DatabaseError where the file is corrupt."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    try:
        _prepare(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute(f"PRAGMA journal_size_limit = {_WAL_SIZE_MAX}")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise InputError(f"{path}: made by a newer version (schema {version}; this one knows {SCHEMA_VERSION})")
    if version == 0:
        db.executescript(_SCHEMA)
    if path.stat().st_size <= _CHECKED_SIZE_MAX:
        problem = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise sqlite3.DatabaseError(problem)
    if db.execute("SELECT COUNT(*) FROM state").fetchone()[0] != 1:
        raise sqlite3.DatabaseError("no state")


def _move_aside(path: Path) -> Path:
    """Keep the corrupt file and its companions under a counted name."""
    number = 1
    while (target := path.with_name(f"{path.stem}.corrupt-{number}.db")).exists():
        number += 1
    for suffix in ("-wal", "-shm", ""):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.rename(target.with_name(target.name + suffix))
    return target


def _lock(path: Path) -> IO[bytes]:
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        file.close()
        raise StoreError(f"{path}: in use by another process") from exc
    return file


def _read_count(path: Path) -> int:
    try:
        return int(path.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return 0


def _write_count(path: Path, count: int) -> None:
    temporary = path.with_suffix(".new")
    with temporary.open("w", encoding="ascii") as file:
        file.write(f"{count}\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
