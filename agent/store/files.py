"""The outbox's files: opening, checking, setting aside what is corrupt, locking, and the counter of starts."""

import fcntl
import sqlite3
import time
from pathlib import Path
from typing import IO, Final, NamedTuple

from agent.core.durable import replace_file
from agent.core.errors import InputError, StoreError
from agent.core.events import Priority
from agent.core.records import Position, SealedRecord

SCHEMA_VERSION: Final = 4
NAME: Final = "outbox.db"


class Table(NamedTuple):
    """Where records lie whose turn to be sent is the same. bulk: detail of a crash, behind its notice."""

    name: str
    priority: Priority
    bulk: bool = False

    def holds(self, record: SealedRecord) -> bool:
        """Whether a record belongs here; bulk of lesser priorities lies with the rest of its own."""
        return (record.priority, record.bulk and record.priority == Priority.CRASH) == (self.priority, self.bulk)


TABLES: Final = (
    Table("crash_records", Priority.CRASH),
    Table("safety_records", Priority.SAFETY),
    Table("crash_bulk_records", Priority.CRASH, bulk=True),
    Table("service_records", Priority.SERVICE),
    Table("telemetry_records", Priority.TELEMETRY),
)
"""In the order of sending. Each is only appended to, which fills its pages and writes the fewest of them."""

ROW_BYTES: Final = 64
"""What a row costs beside its payload, roughly."""

# place = boot << 32 | sequence; crc is what rebuild.checksum says of the payload, which lies under a key of the vault;
# stored_ns the monotonic time of its boot; purposes and wall_ns say what an erasure asks for ("", NULL: not known)
_TABLE_3: Final = (
    "CREATE TABLE {} (place INTEGER PRIMARY KEY, payload BLOB NOT NULL, crc INTEGER, stored_ns INTEGER DEFAULT 0);"
)
_TABLE: Final = _TABLE_3.replace(");", ", purposes TEXT DEFAULT '', wall_ns INTEGER);")
_DAMAGED: Final = "CREATE TABLE damaged (id INTEGER PRIMARY KEY, place INTEGER, priority INTEGER, payload);"
_SCHEMA: Final = "\n".join(
    [
        "BEGIN;",
        *(_TABLE.format(table.name) for table in TABLES),
        _DAMAGED,
        """
CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 0), boot INTEGER NOT NULL, sequence INTEGER NOT NULL, digest BLOB NOT NULL,
    used_bytes INTEGER NOT NULL, records INTEGER NOT NULL
);
INSERT INTO state VALUES (0, 0, 0, zeroblob(32), 0, 0);
PRAGMA user_version = 4;
COMMIT;
""",
    ]
)
_OF_1: Final = [table.name for table in TABLES if not table.bulk]
_FROM_1_TO_2: Final = "\n".join(
    [
        "BEGIN;",
        *(f"ALTER TABLE {name} ADD COLUMN crc INTEGER;" for name in _OF_1),
        *(f"ALTER TABLE {name} ADD COLUMN stored_ns INTEGER DEFAULT 0;" for name in _OF_1),
        _DAMAGED,
        "PRAGMA user_version = 2; COMMIT;",
    ]
)
_FROM_2_TO_3: Final = f"BEGIN; {_TABLE_3.format('crash_bulk_records')} PRAGMA user_version = 3; COMMIT;"
_FROM_3_TO_4: Final = "\n".join(
    [
        "BEGIN;",
        *(f"ALTER TABLE {table.name} ADD COLUMN purposes TEXT DEFAULT '';" for table in TABLES),
        *(f"ALTER TABLE {table.name} ADD COLUMN wall_ns INTEGER;" for table in TABLES),
        "PRAGMA user_version = 4; COMMIT;",
    ]
)
_CHECK_TIME_S: Final = 2.0  # a longer check would hold up the start; what it did not reach is checked when it is read
_CHECK_STEPS: Final = 10_000
_WAL_PAGES: Final = 2000  # checkpointed from then on: what a receipt deletes before is written once
WAL_SIZE_MAX: Final = 8 << 20
PATIENCE_MS: Final = 5_000  # with whoever reads the file from another process


def connect(path: Path, *, check: bool = True) -> sqlite3.Connection:
    """Raise sqlite3.DatabaseError where the file is corrupt; check: look for that, for some seconds at most."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=PATIENCE_MS / 1000)
    try:
        _prepare(db, path)
        if check:
            _check(db)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA secure_delete = OFF")  # what lies here is encrypted; wiping would double the writes
    db.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
    db.execute(f"PRAGMA journal_size_limit = {WAL_SIZE_MAX}")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise InputError(f"{path}: made by a newer version (schema {version}; this one knows {SCHEMA_VERSION})")
    if version == 0:
        db.executescript(_SCHEMA)
    if version == 1:
        db.executescript(_FROM_1_TO_2)
    if version in {1, 2}:
        db.executescript(_FROM_2_TO_3)
    if version in {1, 2, 3}:
        db.executescript(_FROM_3_TO_4)
    if db.execute("SELECT COUNT(*) FROM state").fetchone()[0] != 1:
        raise sqlite3.DatabaseError("no state")


def _check(db: sqlite3.Connection) -> None:
    """Raise sqlite3.DatabaseError where something is wrong with the pages, as far as the time allows to look."""
    deadline_s = time.monotonic() + _CHECK_TIME_S
    db.set_progress_handler(lambda: time.monotonic() > deadline_s, _CHECK_STEPS)
    try:
        problem = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError:
        if time.monotonic() <= deadline_s:
            raise
        return
    finally:
        db.set_progress_handler(None, 0)
    if problem != "ok":
        raise sqlite3.DatabaseError(problem)


def place_of(position: Position) -> int:
    """Key of a record's row."""
    return position.boot << 32 | position.sequence


def position_of(place: int) -> Position:
    """Inverse of place_of."""
    return Position(place >> 32, place & 0xFFFF_FFFF)


def bound_of(place: int) -> bytes:
    """What a stored payload is bound to: its row."""
    return place.to_bytes(8, "big")


def remove(path: Path) -> None:
    """Delete a database with its companions."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def move_aside(path: Path) -> Path:
    """Keep the corrupt file and its companions under a counted name."""
    number = 1
    while (target := path.with_name(f"{path.stem}.corrupt-{number}.db")).exists():
        number += 1
    for suffix in ("-wal", "-shm", ""):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.rename(target.with_name(target.name + suffix))
    return target


def lock(path: Path) -> IO[bytes]:
    """Hold the store for this process until the file is closed. Raises StoreError where another one holds it."""
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        file.close()
        raise StoreError(f"{path}: in use by another process") from exc
    return file


def read_count(path: Path) -> int:
    """Number in the file, 0 where there is none."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return 0


def write_count(path: Path, count: int) -> None:
    """Replace the number, whole or not at all, and sync file and directory."""
    replace_file(path, f"{count}\n".encode())
