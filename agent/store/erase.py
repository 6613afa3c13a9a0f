"""Records that their owner wants to be gone: out of the tables, slice by slice, and what is told of them.

They are wiped in their pages. What was deleted before, by receipts, may still lie in free pages, and in blocks that the
file has given back: agent/store/anew.py sees to that.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from itertools import groupby
from typing import Final

from agent.core.erasure import Selection
from agent.core.records import Position, digest_of
from agent.core.vault import Vault
from agent.store.files import ROW_BYTES, TABLES, Table, place_of, position_of
from agent.store.rows import open_row

SLICE_ROWS: Final = 64
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


def slices_of(db: sqlite3.Connection, last: int) -> Iterator[tuple[int, int]]:
    """Bounds, the second included, of all places up to the last: no table has more than SLICE_ROWS between two."""
    after = -1
    while after < last:
        end = last
        for table in TABLES:
            query = f"SELECT place FROM {table.name} WHERE place > ? ORDER BY place LIMIT 1 OFFSET ?"  # noqa: S608  # a constant
            for (place,) in db.execute(query, (after, SLICE_ROWS - 1)):
                end = min(end, place)
        yield after, end
        after = end


@contextmanager
def wiped(db: sqlite3.Connection) -> Iterator[None]:
    """Deletions overwrite their rows in the pages, and are durable with the next checkpoint or other commit."""
    db.execute("PRAGMA secure_delete = ON")
    db.execute("PRAGMA synchronous = NORMAL")
    try:
        yield
    finally:
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA secure_delete = OFF")


def erase_rows(
    db: sqlite3.Connection, vault: Vault, selection: Selection, bounds: tuple[int, int]
) -> tuple[list[Run], int]:
    """Delete what is selected of the places behind the first bound, up to the second, in the caller's transaction.

    Returns what went, and what it took of the queue's bytes. What was set aside as damaged goes whole: nobody can say
    whose it is.
    """
    places: list[tuple[int, int]] = []
    size_bytes = 0
    for number, table in enumerate(TABLES):
        for place, size, purposes, wall_ns in db.execute(
            f"SELECT place, LENGTH(payload), purposes, wall_ns FROM {table.name} WHERE place > ? AND place <= ?",  # noqa: S608  # a constant
            bounds,
        ):
            if selection.covers(purposes_of_row(table, purposes), wall_ns if isinstance(wall_ns, int) else None):
                places.append((place, number))
                size_bytes += size + ROW_BYTES
    runs = _runs(db, vault, sorted(places))
    for number, table in enumerate(TABLES):
        rows = [(place,) for place, of in places if of == number]
        db.executemany(f"DELETE FROM {table.name} WHERE place = ?", rows)  # noqa: S608  # a constant
    db.execute("DELETE FROM damaged")
    return runs, size_bytes


def purposes_of_row(table: Table, stored: object) -> Sequence[str]:
    """Of a record; rows of older software do not say: crashes were claims, the rest may be of any other purpose."""
    if isinstance(stored, str) and stored:
        return stored.split()
    return _OF_CRASHES if table.name.startswith("crash") else _OF_UNKNOWN


def joined(runs: Sequence[Run], count_max: int) -> list[Run]:
    """The same runs in their order, those without a gap as one; where there are too many, neighbours of a boot too."""
    whole: list[Run] = []
    for run in runs:
        if whole and place_of(whole[-1].last) + 1 == place_of(run.first):
            whole[-1] = whole[-1].joined(run)
        else:
            whole.append(run)
    size = -(-len(whole) // count_max)
    if size <= 1:
        return whole
    boots = [list(of_boot) for _, of_boot in groupby(whole, key=lambda run: run.first.boot)]
    return [reduce(Run.joined, of_boot[at : at + size]) for of_boot in boots for at in range(0, len(of_boot), size)]


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


def _runs(db: sqlite3.Connection, vault: Vault, places: Sequence[tuple[int, int]]) -> list[Run]:
    """Places without gaps are one run."""
    runs: list[Run] = []
    for _, group in groupby(enumerate(places), key=lambda numbered: numbered[1][0] - numbered[0]):
        run = [place for _, place in group]
        (first, _), (last, number) = run[0], run[-1]
        query = f"SELECT payload, crc FROM {TABLES[number].name} WHERE place = ?"  # noqa: S608  # a constant
        envelope = open_row(vault, last, *db.execute(query, (last,)).fetchone())
        digest = _UNKNOWN if envelope is None else digest_of(envelope)
        runs.append(Run(position_of(first), position_of(last), len(run), digest))
    return runs
