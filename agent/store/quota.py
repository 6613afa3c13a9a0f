"""What a full store lets go: the lowest priority first, of it the oldest; of crashes only detail, and that last."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from agent.core.events import Priority
from agent.core.records import Position
from agent.store.files import ROW_BYTES, TABLES, Table

_CRASH_RESERVE: Final = 8  # one part in eight is for crash records alone
_ROWS: Final = 64


@dataclass(frozen=True, slots=True)
class Shed:
    """Records let go, all of one priority; first_ns and last_ns are when they were stored, in monotonic ns."""

    priority: Priority
    records: int
    size_bytes: int
    first: Position
    last: Position
    first_ns: int
    last_ns: int

    def joined(self, later: "Shed") -> "Shed":
        """Together with a later one of the same priority."""
        return replace(
            self,
            records=self.records + later.records,
            size_bytes=self.size_bytes + later.size_bytes,
            last=later.last,
            last_ns=later.last_ns,
        )


def crash_reserve_bytes(size_max_bytes: int) -> int:
    """How much of the store only crash records may fill: of the usual 512 MB room for some hundred with all detail."""
    return size_max_bytes // _CRASH_RESERVE


def shed(db: sqlite3.Connection, excess_bytes: int) -> list[Shed]:
    """Delete at least excess_bytes of ordinary records, in the caller's transaction; one Shed for each priority hit."""
    return _shed(db, excess_bytes, [table for table in reversed(TABLES) if table.priority != Priority.CRASH])


def shed_detail(db: sqlite3.Connection, excess_bytes: int) -> list[Shed]:
    """The same of the oldest detail of crashes, whose notices stay: for a store that is full of crashes."""
    return _shed(db, excess_bytes, [table for table in TABLES if table.bulk])


def _shed(db: sqlite3.Connection, excess_bytes: int, tables: Sequence[Table]) -> list[Shed]:
    gone: list[Shed] = []
    for table in tables:
        of_table: Shed | None = None
        while excess_bytes > 0 and (part := _shed_oldest(db, table, excess_bytes)) is not None:
            excess_bytes -= part.size_bytes
            of_table = part if of_table is None else of_table.joined(part)
        if of_table is not None:
            gone.append(of_table)
    return gone


def _shed_oldest(db: sqlite3.Connection, table: Table, excess_bytes: int) -> Shed | None:
    query = f"SELECT place, LENGTH(payload), stored_ns FROM {table.name} ORDER BY place LIMIT {_ROWS}"  # noqa: S608  # constants
    rows: list[tuple[int, int, int]] = []
    size_bytes = 0
    for place, size, stored_ns in db.execute(query).fetchall():
        if size_bytes >= excess_bytes:
            break
        rows.append((place, size, stored_ns))
        size_bytes += size + ROW_BYTES
    if not rows:
        return None
    (first, _, first_ns), (last, _, last_ns) = rows[0], rows[-1]
    db.execute(f"DELETE FROM {table.name} WHERE place <= ?", (last,))  # noqa: S608  # a constant
    return Shed(
        priority=table.priority,
        records=len(rows),
        size_bytes=size_bytes,
        first=Position(first >> 32, first & 0xFFFF_FFFF),
        last=Position(last >> 32, last & 0xFFFF_FFFF),
        first_ns=first_ns,
        last_ns=last_ns,
    )
