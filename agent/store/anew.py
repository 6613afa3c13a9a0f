"""What stays after an erasure, written into another file under another key, while the store is used.

It is copied slice by slice (`Copy`). What comes meanwhile comes to the end of its table and is copied last; what goes
is noted by triggers. Then the copy takes the old file's place at once, the old file is overwritten, and the caller
destroys the old key.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from agent.core.durable import rename, sync_directory, wiping
from agent.core.vault import Vault
from agent.store.files import ROW_BYTES, TABLES, connect, remove
from agent.store.rows import open_row, wrap_row

_COMPANIONS: Final = ("", "-wal", "-shm")
_BUILDING: Final = "outbox.anew.building.db"
_ANEW: Final = "outbox.anew.db"
_OLD: Final = "outbox.erased.db"
_SLICE_ROWS: Final = 64


class Copy:
    """Everything raises sqlite3.Error or OSError where the disk refuses; the store is as it was then. Close it."""

    def __init__(self, db: sqlite3.Connection, path: Path, vault: Vault) -> None:
        """db: the store at path, its connection; vault: its newest key is for the copy."""
        self._db = db
        self._path = path
        self._vault = vault
        self._building = path.with_name(_BUILDING)
        self._copied = [-1] * len(TABLES)  # the last place of each table
        self._used_bytes = self._records = 0
        remove(self._building)
        self._new = connect(self._building)
        self._new.execute("PRAGMA journal_mode = OFF")  # broken off it is worth nothing, and so writes all once only
        self._note_what_goes()

    def go_on(self) -> bool:
        """Copy a slice; whether there is another, and not just what `finish` does at once."""
        self._new.execute("BEGIN")
        more = any(self._copy(number) for number in range(len(TABLES))) or self._delete_gone() == _SLICE_ROWS
        self._new.execute("COMMIT")
        return more

    def finish(self) -> None:
        """Copy what came since; then `put_in_place` may be called once the store is closed, and must be."""
        while self.go_on():
            pass
        boot, sequence, digest = self._db.execute("SELECT boot, sequence, digest FROM state").fetchone()
        self._new.execute(
            "UPDATE state SET boot = ?, sequence = ?, digest = ?, used_bytes = ?, records = ?",
            (boot, sequence, digest, self._used_bytes, self._records),
        )
        self._new.close()
        rename(self._building, self._path.with_name(_ANEW))  # or not at all: the next start takes it for the store

    def close(self) -> None:
        """Let go of it; what was broken off is removed."""
        self._new.close()
        remove(self._building)
        for number in range(len(TABLES)):
            self._db.execute(f"DROP TRIGGER IF EXISTS temp.gone_{number}")
        self._db.execute("DROP TABLE IF EXISTS temp.gone")

    def _note_what_goes(self) -> None:
        self._db.execute("PRAGMA temp_store = MEMORY")
        self._db.execute("CREATE TEMP TABLE gone (id INTEGER PRIMARY KEY, number INTEGER, place INTEGER)")
        for number, table in enumerate(TABLES):
            noted = f"INSERT INTO gone (number, place) VALUES ({number}, old.place)"  # noqa: S608  # a constant
            self._db.execute(f"CREATE TEMP TRIGGER gone_{number} AFTER DELETE ON main.{table.name} BEGIN {noted}; END")

    def _copy(self, number: int) -> bool:
        """Some rows of a table; what the disk has spoilt is left behind. Whether that were many."""
        query = f"SELECT * FROM {TABLES[number].name} WHERE place > ? ORDER BY place LIMIT ?"  # noqa: S608  # a constant
        rows: Sequence[Any] = self._db.execute(query, (self._copied[number], _SLICE_ROWS)).fetchall()
        for place, stored, crc, *others in rows:
            self._copied[number] = place
            if (envelope := open_row(self._vault, place, stored, crc)) is not None:
                row = wrap_row(self._vault, place, envelope, (others[0], others[1], others[2]))
                self._new.execute(f"INSERT INTO {TABLES[number].name} VALUES (?, ?, ?, ?, ?, ?)", row)  # noqa: S608  # a constant
                self._used_bytes += len(row[1]) + ROW_BYTES
                self._records += 1
        return len(rows) == _SLICE_ROWS

    def _delete_gone(self) -> int:
        """Of what went from the store since it was copied; how many were looked at."""
        gone = self._db.execute("SELECT id, number, place FROM gone ORDER BY id LIMIT ?", (_SLICE_ROWS,)).fetchall()
        for _, number, place in gone:
            query = f"DELETE FROM {TABLES[number].name} WHERE place = ? RETURNING LENGTH(payload)"  # noqa: S608  # a constant
            for (size_bytes,) in self._new.execute(query, (place,)).fetchall():
                self._used_bytes -= size_bytes + ROW_BYTES
                self._records -= 1
        if gone:
            self._db.execute("DELETE FROM gone WHERE id <= ?", (gone[-1][0],))
        return len(gone)


def put_in_place(path: Path) -> None:
    """Give a finished copy the place of the store, which is closed. Raises OSError."""
    anew, old = path.with_name(_ANEW), path.with_name(_OLD)
    if anew.exists():
        for suffix in ("-wal", "-shm", ""):
            companion = path.with_name(path.name + suffix)
            if companion.exists():
                companion.rename(old.with_name(old.name + suffix))
        anew.rename(path)
        sync_directory(path.parent)


def wiping_old(path: Path) -> Iterator[None]:
    """Overwrite what `put_in_place` took away, slice by slice. Raises OSError.

    Copies of a damaged outbox that were kept are overwritten as well: what is in them nobody can tell.
    """
    old = path.with_name(_OLD)
    if old.exists():
        for database in (*path.parent.glob(f"{path.stem}.corrupt-*.db"), old):
            for suffix in reversed(_COMPANIONS):
                yield from wiping(database.with_name(database.name + suffix))


def make_good(path: Path) -> None:
    """At a start, what a power cut has left of all this. Raises OSError."""
    put_in_place(path)
    for _ in wiping_old(path):
        pass
