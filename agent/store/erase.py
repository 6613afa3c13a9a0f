"""Records that their owner wants to be gone: out of the tables, then out of the file, then out of reach.

`erase_rows` deletes and wipes them in their pages. What was deleted before, by receipts, may still lie in free pages,
and in blocks that the file has given back. So after an erasure what stays is written anew into another file, under
another key (`write_anew`), the old file is overwritten (`finish_writing_anew`), and the old key is destroyed.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import reduce
from itertools import groupby
from pathlib import Path
from typing import Final

from agent.core.durable import sync_directory, wipe
from agent.core.erasure import Selection
from agent.core.records import Position, digest_of
from agent.core.vault import Vault
from agent.store.files import ROW_BYTES, TABLES, Table, connect, place_of, position_of, remove
from agent.store.rows import Row, open_row, wrap_row

RUNS_MAX: Final = 1024
"""More are told as fewer, longer ones that are not gone as a whole."""
_COMPANIONS: Final = ("", "-wal", "-shm")
_BUILDING: Final = "outbox.anew.building.db"
_ANEW: Final = "outbox.anew.db"
_OLD: Final = "outbox.erased.db"
_BATCH: Final = 256
_UNKNOWN: Final = bytes(32)
_OF_CRASHES: Final = ("claims",)
_OF_UNKNOWN: Final = ("safety", "service", "ubi_score", "feedback", "diagnostics")


@dataclass(frozen=True, slots=True)
class Run:
    """So many records that were erased, of one boot, none before first and none after last; the last one's hash."""

    first: Position
    last: Position
    records: int
    digest: bytes

    def joined(self, later: "Run") -> "Run":
        """Together with a later one of the same boot."""
        return Run(self.first, later.last, self.records + later.records, later.digest)


def erase_rows(
    db: sqlite3.Connection, vault: Vault, selection: Selection, boot_max: int | None
) -> tuple[list[Run], int]:
    """Delete what is selected, of boots up to boot_max, in the caller's transaction.

    Returns what went, and what it took of the queue's bytes.

    secure_delete must be on. What was set aside as damaged goes whole: nobody can say whose it is.
    """
    places: list[tuple[int, int]] = []
    size_bytes = 0
    for number, table in enumerate(TABLES):
        for place, size, purposes, wall_ns in db.execute(
            f"SELECT place, LENGTH(payload), purposes, wall_ns FROM {table.name}"  # noqa: S608  # a constant
        ):
            if boot_max is not None and position_of(place).boot > boot_max:
                continue
            if selection.covers(_purposes(table, purposes), wall_ns if isinstance(wall_ns, int) else None):
                places.append((place, number))
                size_bytes += size + ROW_BYTES
    runs = _runs(db, vault, sorted(places))
    for number, table in enumerate(TABLES):
        rows = [(place,) for place, of in places if of == number]
        db.executemany(f"DELETE FROM {table.name} WHERE place = ?", rows)  # noqa: S608  # a constant
    db.execute("DELETE FROM damaged")
    return runs, size_bytes


def delete_range(db: sqlite3.Connection, first: Position, last: Position) -> tuple[int, int]:
    """Delete all from first to last, in the caller's transaction; how many, and what they took of the queue's bytes."""
    bounds = place_of(first), place_of(last)
    deleted = size_bytes = 0
    for table in TABLES:
        where = f"FROM {table.name} WHERE place BETWEEN ? AND ?"
        count, size = db.execute(f"SELECT COUNT(*), SUM(LENGTH(payload)) {where}", bounds).fetchone()
        if not count:
            continue
        outside = f"SELECT 1 FROM {table.name} WHERE place < ? OR place > ? LIMIT 1"  # noqa: S608  # a constant
        if db.execute(outside, bounds).fetchone():
            db.execute(f"DELETE {where}", bounds)
        else:
            db.execute(f"DELETE FROM {table.name}")  # noqa: S608  # all of it: SQLite then frees pages unwritten
        size_bytes += size + count * ROW_BYTES
        deleted += count
    return deleted, size_bytes


def write_anew(db: sqlite3.Connection, path: Path, vault: Vault) -> None:
    """Copy what is left into a file of its own, under the vault's newest key; `finish_writing_anew` puts it in place.

    Raises sqlite3.Error or OSError where the disk refuses; nothing has changed then.
    """
    building = path.with_name(_BUILDING)
    remove(building)
    used_bytes = records = 0
    with closing(connect(building)) as new:
        new.execute("BEGIN IMMEDIATE")
        for table in TABLES:
            for row in _wrapped_anew(db, table, vault):
                new.execute(f"INSERT INTO {table.name} VALUES (?, ?, ?, ?, ?, ?)", row)  # noqa: S608  # a constant
                used_bytes += len(row[1]) + ROW_BYTES
                records += 1
        boot, sequence, digest = db.execute("SELECT boot, sequence, digest FROM state").fetchone()
        new.execute(
            "UPDATE state SET boot = ?, sequence = ?, digest = ?, used_bytes = ?, records = ?",
            (boot, sequence, digest, used_bytes, records),
        )
        new.execute("COMMIT")
    building.rename(path.with_name(_ANEW))
    sync_directory(path.parent)


def finish_writing_anew(path: Path) -> None:
    """Put the new file in its place and overwrite the old one; also what a power cut has left of that. Raises OSError.

    Copies of a damaged outbox that were kept are overwritten as well: what is in them nobody can tell.
    """
    anew, old = path.with_name(_ANEW), path.with_name(_OLD)
    if anew.exists():
        for suffix in ("-wal", "-shm", ""):
            companion = path.with_name(path.name + suffix)
            if companion.exists():
                companion.rename(old.with_name(old.name + suffix))
        anew.rename(path)
        sync_directory(path.parent)
    if old.exists():
        for kept in path.parent.glob(f"{path.stem}.corrupt-*.db"):
            wipe_database(kept)
        wipe_database(old)


def wipe_database(path: Path) -> None:
    """Overwrite and delete a database with its companions. Raises OSError."""
    for suffix in reversed(_COMPANIONS):
        wipe(path.with_name(path.name + suffix))


def _purposes(table: Table, stored: object) -> Sequence[str]:
    """Of a record; rows of older software do not say: crashes were claims, the rest may be of any other purpose."""
    if isinstance(stored, str) and stored:
        return stored.split()
    return _OF_CRASHES if table.name.startswith("crash") else _OF_UNKNOWN


def _runs(db: sqlite3.Connection, vault: Vault, places: Sequence[tuple[int, int]]) -> list[Run]:
    """Places without gaps are one run; where there are too many, neighbours of one boot are told as one."""
    runs: list[Run] = []
    for _, group in groupby(enumerate(places), key=lambda numbered: numbered[1][0] - numbered[0]):
        run = [place for _, place in group]
        (first, _), (last, number) = run[0], run[-1]
        query = f"SELECT payload, crc FROM {TABLES[number].name} WHERE place = ?"  # noqa: S608  # a constant
        envelope = open_row(vault, last, *db.execute(query, (last,)).fetchone())
        digest = _UNKNOWN if envelope is None else digest_of(envelope)
        runs.append(Run(position_of(first), position_of(last), len(run), digest))
    size = -(-len(runs) // RUNS_MAX)
    if size <= 1:
        return runs
    boots = [list(of_boot) for _, of_boot in groupby(runs, key=lambda run: run.first.boot)]
    return [reduce(Run.joined, of_boot[at : at + size]) for of_boot in boots for at in range(0, len(of_boot), size)]


def _wrapped_anew(db: sqlite3.Connection, table: Table, vault: Vault) -> Iterator[Row]:
    """Rows of a table; what the disk has spoilt is left behind."""
    place = -1
    query = f"SELECT * FROM {table.name} WHERE place > ? ORDER BY place LIMIT {_BATCH}"  # noqa: S608  # constants
    while rows := db.execute(query, (place,)).fetchall():
        for place, stored, crc, *others in rows:  # the last one is where the next batch begins
            if (envelope := open_row(vault, place, stored, crc)) is not None:
                yield wrap_row(vault, place, envelope, tuple(others))
