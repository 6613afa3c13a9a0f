"""The embedded store: one SQLite file. Several processes may share it; one writes at a time."""

import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any, Final

import msgspec

from agent.core.errors import InputError, StoreError
from agent.core.records import Position, digest_of
from fleet.receiver.schema import SQLITE, SQLITE_VERSION
from fleet.receiver.store import (
    BLANK,
    DEAD_LETTERS_MAX,
    EVENT_FIELDS,
    PAGE_ROWS,
    Counts,
    Letter,
    Place,
    Row,
    RowRefused,
    read_pages,
)

_BUSY_S: Final = 10.0
_PLACES_MAX: Final = 200  # places asked for in one query; SQLite's limit is in variables


class SqliteStore:
    """One SQLite file. Every method raises StoreError where the disk refuses."""

    def __init__(self, path: Path) -> None:
        """Open or make the file, mode 0600: what the cars sealed lies here opened.

        Raises InputError where a newer version made it.
        """
        self._lock = RLock()  # the service stores on a thread of its own, while others look
        with _disk():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_BUSY_S)
        try:
            with _disk():
                self._prepare(path)
        except BaseException:
            self._db.close()
            raise

    def digests(self, places: Collection[Place]) -> dict[Place, bytes]:
        """Hashes of the envelopes stored at those of the places that are taken."""
        asked = list(places)
        found: dict[Place, bytes] = {}
        for start in range(0, len(asked), _PLACES_MAX):
            part = asked[start : start + _PLACES_MAX]
            rows = self._rows(
                f"WITH asked(device, boot, sequence) AS (VALUES {','.join(['(?,?,?)'] * len(part))})"  # noqa: S608  # marks only
                " SELECT device, boot, sequence, digest FROM asked JOIN events USING (device, boot, sequence)",
                *(value for place in part for value in place),
            )
            found.update({Place(device, boot, sequence): digest for device, boot, sequence, digest in rows})
        return found

    def put(self, rows: Sequence[Row], letters: Sequence[Letter], *, received_ns: int) -> set[Place]:
        """Store all in one transaction; return the places that another process took meanwhile."""
        with self._lock, _disk():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                taken = {row.place for row in rows if not self._insert(row, received_ns)}
                for letter in letters:
                    self._bury(letter, received_ns)
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        return taken

    def counts(self, device: str | None = None) -> Counts:
        """Counts of one device, or of all."""
        ((received, verified, broken),) = self._rows(
            "SELECT COUNT(*), SUM(chain = 'verified'), SUM(chain = 'broken') FROM chained_events"
            " WHERE ?1 IS NULL OR device = ?1",
            device,
        )
        ((dead,),) = self._rows("SELECT COUNT(*) FROM dead_letters WHERE ?1 IS NULL OR device = ?1", device)
        return Counts(received, verified or 0, broken or 0, dead)

    def events(self, device: str | None = None, *, kinds: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
        """Stored events as plain values, by device, boot and sequence; wall_ns as far as it is known."""

        def page(after: Place) -> list[Any]:
            return self._rows(
                f"SELECT {','.join(EVENT_FIELDS)} FROM chained_events WHERE (?1 IS NULL OR device = ?1)"  # noqa: S608  # constants
                " AND kind <> 'erased' AND (?2 = '[]' OR kind IN (SELECT value FROM json_each(?2)))"
                " AND (device, boot, sequence) > (?3, ?4, ?5) ORDER BY device, boot, sequence LIMIT ?6",
                device,
                msgspec.json.encode(kinds).decode(),
                *after,
                PAGE_ROWS,
            )

        for row in read_pages(page):
            yield dict(zip(EVENT_FIELDS, row, strict=True)) | {"event": msgspec.json.decode(row[-1])}

    def devices(self) -> list[dict[str, Any]]:
        """A line per device."""
        with self._lock, _disk():
            cursor = self._db.execute("SELECT * FROM devices ORDER BY device")
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def envelopes(self, device: str) -> list[bytes]:
        """Envelopes of a device in the order of its chain."""
        rows = self._rows(
            "SELECT envelope FROM events WHERE device = ? AND kind <> 'erased' ORDER BY boot, sequence", device
        )
        return [envelope for (envelope,) in rows]

    def positions(self, device: str) -> list[tuple[Position, bytes]]:
        """Where the device's records are, and their hashes, in order."""
        rows = self._rows("SELECT boot, sequence, digest FROM events WHERE device = ? ORDER BY boot, sequence", device)
        return [(Position(boot, sequence), digest) for boot, sequence, digest in rows]

    def received(self, first_ns: int, end_ns: int) -> list[bytes]:
        """Hashes of all records of all devices that came in this time, in ascending order."""
        query = "SELECT digest FROM events WHERE received_ns >= ? AND received_ns < ? ORDER BY digest"
        return [digest for (digest,) in self._rows(query, first_ns, end_ns)]

    def dead_letters(self) -> list[tuple[str, str, int]]:
        """Device named, reason and how often each one came, oldest first."""
        return self._rows("SELECT device, reason, times FROM dead_letters ORDER BY id")

    def run_desk(self, query: str, *args: object) -> list[Any]:
        """Rows of one statement about the desk's tables, its places marked by "?"."""
        return self._rows(query, *args)

    def erasure_requests(self, devices: Collection[str]) -> list[tuple[Place, dict[str, Any]]]:
        """What owners of these devices have asked to be erased."""
        rows = self._rows(
            "SELECT device, boot, sequence, event FROM events WHERE kind = 'erasure_requested'"
            " AND device IN (SELECT value FROM json_each(?)) ORDER BY device, boot, sequence",
            msgspec.json.encode(sorted(devices)).decode(),
        )
        return [(Place(*row[:3]), msgspec.json.decode(row[3])) for row in rows]

    def unerased(self, before: Place, kinds: Sequence[str]) -> Iterator[tuple[Position, dict[str, Any], int | None]]:
        """Events of these kinds that stand before a place."""

        def page(after: Place) -> list[Any]:
            return self._rows(
                "SELECT device, boot, sequence, event, utc_ns FROM dated_events WHERE device = ?1"
                " AND (boot, sequence) < (?2, ?3) AND (boot, sequence) > (?4, ?5)"
                " AND kind IN (SELECT value FROM json_each(?6)) ORDER BY boot, sequence LIMIT ?7",
                *before,
                *after[1:],
                msgspec.json.encode(kinds).decode(),
                PAGE_ROWS,
            )

        for _, boot, sequence, event, utc_ns in read_pages(page):
            yield Position(boot, sequence), msgspec.json.decode(event), utc_ns

    def blank(self, places: Sequence[Place]) -> None:
        """Leave nothing of these records but their place in the chain; wiped from the file's pages and its WAL."""
        with self._lock, _disk():
            self._db.execute("PRAGMA secure_delete = ON")
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    for statement in BLANK:
                        self._db.executemany(statement.format(mark="?", empty="x''"), places)
                    devices = sorted({(place.device,) for place in places})
                    self._db.executemany("DELETE FROM dead_letters WHERE device = ?", devices)
                    self._db.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                    raise
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                self._db.execute("PRAGMA secure_delete = OFF")

    def erased(self, before: Place) -> int:
        """How many of a device's records that stand before a place are blank."""
        ((count,),) = self._rows(
            "SELECT COUNT(*) FROM events WHERE device = ? AND kind = 'erased' AND (boot, sequence) < (?, ?)", *before
        )
        return int(count)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock, _disk():
            self._db.close()

    def _insert(self, row: Row, received_ns: int) -> bool:
        values = row.columns(received_ns)
        marks = ",".join("?" * len(values))
        done = self._db.execute(f"INSERT INTO events VALUES ({marks}) ON CONFLICT DO NOTHING", values)  # noqa: S608  # marks only
        return bool(done.rowcount)

    def _bury(self, letter: Letter, received_ns: int) -> None:
        self._db.execute(
            "INSERT INTO dead_letters (digest, device, reason, envelope, received_ns, times) VALUES (?, ?, ?, ?, ?, 1)"
            " ON CONFLICT (digest) DO UPDATE SET times = times + 1",
            (digest_of(letter.envelope), letter.device, letter.reason, letter.envelope, received_ns),
        )
        self._db.execute(
            "DELETE FROM dead_letters WHERE id <= (SELECT MAX(id) FROM dead_letters) - ?", (DEAD_LETTERS_MAX,)
        )

    def _prepare(self, path: Path) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("BEGIN IMMEDIATE")  # two workers may begin at once
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > SQLITE_VERSION:
            raise InputError(f"{path}: made by a newer version (schema {version}; this one knows {SQLITE_VERSION})")
        for statement in SQLITE.get(version, "").split(";\n"):
            self._db.execute(statement)
        self._db.execute(f"PRAGMA user_version = {SQLITE_VERSION}")
        self._db.execute("COMMIT")

    def _rows(self, query: str, *args: object) -> list[Any]:
        with self._lock, _disk():
            return self._db.execute(query, args).fetchall()


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.DataError, OverflowError) as exc:
        raise RowRefused(str(exc)) from exc
    except (sqlite3.ProgrammingError, sqlite3.InterfaceError):
        raise
    except (sqlite3.DatabaseError, OSError) as exc:
        raise StoreError(f"receiver's store: {exc}") from exc
