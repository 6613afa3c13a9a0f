"""From a damaged database to a sound one with all that can be read; the damaged file is kept.

The new file is made beside the old one and takes its place in two renames; `finish` completes them after a power cut.
"""

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.core.durable import rename, sync_directory
from agent.core.errors import SealError
from agent.core.events import Priority
from agent.core.records import GENESIS, parse_envelope
from agent.store.files import ROW_BYTES, TABLES, Table, connect, move_aside, remove

_BUILDING: Final = "outbox.building.db"
_REBUILT: Final = "outbox.rebuilt.db"
_BATCH: Final = 256
_COLUMNS_OF_1: Final = 2
_COLUMNS: Final = 6
_PLACE_MAX: Final = 2**63 - 1

_Row = tuple[int, Any, Any, Any, Any, Any]  # the columns of files.TABLES: of any type where a bit has flipped


@dataclass(frozen=True, slots=True)
class Damage:
    """What was found: records set aside because their bytes are wrong; records that cannot be read at all.

    unreadable is None where nobody knows how many there were. recovered counts those that a rebuilt file has; file is
    the damaged one, kept; None where the file as such is sound.
    """

    quarantined: int
    unreadable: int | None = 0
    recovered: int = 0
    file: Path | None = None


def checksum(place: int, payload: bytes) -> int:
    """CRC-32 of the payload, begun with its place: a row whose key was damaged is not another record."""
    return zlib.crc32(payload, (place ^ place >> 32) & 0xFFFF_FFFF)


def is_sound(place: int, payload: Any, crc: Any) -> bool:
    """Whether a row is what was written; rows of the first schema have no crc and are judged by their form."""
    if not isinstance(payload, bytes):
        return False
    if crc is not None:
        return bool(checksum(place, payload) == crc)
    try:
        header, _ = parse_envelope(payload)
    except SealError:
        return False
    return place == header.boot << 32 | header.sequence


def build(path: Path) -> Damage:
    """Make a sound database of what can be read of this one, for `finish` to put in its place.

    Raises sqlite3.Error or OSError where the disk refuses; nothing has changed then.
    """
    building = path.with_name(_BUILDING)
    remove(building)
    with closing(connect(building)) as new:
        quarantined, recovered, expected = _salvage(path, new)
    rename(building, path.with_name(_REBUILT))
    unreadable = None if expected is None else max(0, expected - recovered - quarantined)
    return Damage(quarantined, unreadable, recovered)


def finish(path: Path) -> Path | None:
    """Put a rebuilt file in its place; where the damaged one is then. None where there is no rebuilt one."""
    rebuilt = path.with_name(_REBUILT)
    if not rebuilt.exists():
        return None
    aside = move_aside(path)
    rebuilt.rename(path)
    sync_directory(path.parent)
    return aside


def _salvage(path: Path, new: sqlite3.Connection) -> tuple[int, int, int | None]:
    """Copy what can be read; counts of damaged and of sound records, and of those expected."""
    quarantined = recovered = used_bytes = 0
    expected: int | None = None
    boot, sequence, digest = 0, 0, GENESIS
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as old:
        try:
            boot, sequence, digest, expected = old.execute(
                "SELECT boot, sequence, digest, records FROM state"
            ).fetchone()
        except (sqlite3.DatabaseError, TypeError):
            expected = None
        new.execute("BEGIN IMMEDIATE")
        for table in TABLES:
            for row in _read(old, table.name):
                if is_sound(*row[:3]):
                    recovered += 1
                    used_bytes += len(row[1]) + ROW_BYTES
                    new.execute(f"INSERT OR IGNORE INTO {table.name} VALUES (?, ?, ?, ?, ?, ?)", row)  # noqa: S608  # a constant
                else:
                    quarantined += 1
                    set_aside(new, row[0], table.priority, row[1])
        new.execute(
            "UPDATE state SET boot = ?, sequence = ?, digest = ?, used_bytes = ?, records = ?",
            (boot, sequence, digest, used_bytes, recovered),
        )
        new.execute("COMMIT")
    return quarantined, recovered, expected


def set_aside(db: sqlite3.Connection, place: int, priority: Priority, payload: Any) -> None:
    """Keep a damaged record; the oldest go beyond a limit."""
    db.execute("INSERT INTO damaged (place, priority, payload) VALUES (?, ?, ?)", (place, int(priority), payload))
    db.execute("DELETE FROM damaged WHERE id <= (SELECT MAX(id) FROM damaged) - 1000")


def quarantine(db: sqlite3.Connection, table: Table, rows: Sequence[tuple[int, Any, Any]]) -> int:
    """Move damaged records to where they stop nobody; returns what they took of the queue's bytes."""
    size_bytes = 0
    for place, payload, _ in rows:
        db.execute(f"DELETE FROM {table.name} WHERE place = ?", (place,))  # noqa: S608  # a constant
        set_aside(db, place, table.priority, payload)
        size_bytes += ROW_BYTES + (len(payload) if isinstance(payload, bytes) else 0)
    return size_bytes


def _read(db: sqlite3.Connection, table: str) -> Iterator[_Row]:
    """All rows that can be read, by place; a page that cannot is jumped over."""
    columns = _columns(db, table)
    place = 0
    while columns and place <= _PLACE_MAX:
        rows = _try(db, f"SELECT {columns} FROM {table} WHERE place >= ? ORDER BY place LIMIT {_BATCH}", place)  # noqa: S608  # constants
        if rows is None:
            rows = _try(db, f"SELECT {columns} FROM {table} WHERE place >= ? ORDER BY place LIMIT 1", place)  # noqa: S608  # constants
        if rows is None:
            place = _behind_damage(db, table, place)
        elif not rows:
            return
        else:
            yield from rows
            place = rows[-1][0] + 1


def _behind_damage(db: sqlite3.Connection, table: str, place: int) -> int:
    """The first place from which on a record can be read again, by galloping and halving."""
    query = f"SELECT place, payload FROM {table} WHERE place >= ? ORDER BY place LIMIT 1"  # noqa: S608  # constants
    step = 1
    while place + step <= _PLACE_MAX and _try(db, query, place + step) is None:
        step *= 2
    low, high = place + step // 2, min(place + step, _PLACE_MAX + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _try(db, query, middle) is None else (low, middle)
    return high


def _columns(db: sqlite3.Connection, table: str) -> str:
    try:
        count = len(db.execute(f"PRAGMA table_info({table})").fetchall())
    except sqlite3.DatabaseError:
        return ""
    if count == 0:
        return ""
    first = "place, payload, NULL, 0" if count == _COLUMNS_OF_1 else "place, payload, crc, stored_ns"
    return f"{first}, purposes, wall_ns" if count == _COLUMNS else f"{first}, '', NULL"


def _try(db: sqlite3.Connection, query: str, place: int) -> list[_Row] | None:
    """None where it cannot be read."""
    try:
        return db.execute(query, (place,)).fetchall()
    except sqlite3.DatabaseError:
        return None
