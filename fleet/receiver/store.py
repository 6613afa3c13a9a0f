"""What the insurer holds: opened events, the envelopes they came in, and dead letters. SQLite.

Writes gather in one transaction until `commit`: a receipt lets the car delete, so it is signed after a commit only,
and records that were taken but not receipted are sent again.
"""

import os
import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from agent.core.errors import InputError, StoreError
from agent.core.records import GENESIS, Header, Position, Range, Told, digest_of

ChainState = Literal["verified", "waiting", "broken"]

SCHEMA_VERSION: Final = 1
_DEAD_LETTERS_MAX: Final = 10_000
_SCHEMA: Final = """
BEGIN;
CREATE TABLE events (
    device TEXT NOT NULL, boot INTEGER NOT NULL, sequence INTEGER NOT NULL,
    priority INTEGER NOT NULL, kind TEXT NOT NULL, agent TEXT NOT NULL, event TEXT NOT NULL,
    t_ns INTEGER NOT NULL, wall_ns INTEGER, clock_synced INTEGER NOT NULL,
    previous BLOB NOT NULL, digest BLOB NOT NULL, chain TEXT NOT NULL,
    envelope BLOB NOT NULL, received_ns INTEGER NOT NULL,
    PRIMARY KEY (device, boot, sequence)
);
CREATE INDEX by_digest ON events (device, digest);
CREATE INDEX by_previous ON events (device, previous);
CREATE INDEX undated ON events (device, boot) WHERE wall_ns IS NULL;
CREATE INDEX dated ON events (device, boot) WHERE clock_synced;
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, device TEXT NOT NULL, reason TEXT NOT NULL,
    envelope BLOB NOT NULL, received_ns INTEGER NOT NULL, times INTEGER NOT NULL
);
CREATE VIEW devices AS
SELECT device, COUNT(*) AS events, SUM(chain = 'verified') AS verified, SUM(chain = 'broken') AS broken,
    MAX(boot) AS boot, MAX(received_ns) AS received_ns
FROM events GROUP BY device;
PRAGMA user_version = 1;
COMMIT;
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """received = verified + waiting + broken; verified ones are signed and fit the record before them."""

    received: int
    verified: int
    broken: int
    dead: int

    @property
    def waiting(self) -> int:
        """Signed, but the record before has not come yet."""
        return self.received - self.verified - self.broken


class ReceiverStore:
    """One SQLite file. Every method raises StoreError where the disk refuses."""

    def __init__(self, path: Path) -> None:
        """Open or make the file, mode 0600: what the cars sealed lies here opened.

        Raises InputError where a newer version made it.
        """
        with _disk():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._db = sqlite3.connect(path, isolation_level=None)
        try:
            with _disk():
                self._prepare(path)
        except BaseException:
            self._db.close()
            raise

    def digest_at(self, device: str, position: Position) -> bytes | None:
        """Hash of the envelope stored at a place, None where there is none."""
        digest: bytes | None = self._value(
            "SELECT digest FROM events WHERE device = ? AND boot = ? AND sequence = ?", device, *position
        )
        return digest

    def add(self, header: Header, told: Told, envelope: bytes, *, received_ns: int) -> ChainState:
        """Store an opened record at a free place; judge its links to its neighbours; date what can be dated."""
        digest = digest_of(envelope)
        chain = self._judge(header)
        row = (
            header.device,
            header.boot,
            header.sequence,
            int(header.priority),
            told.event.kind,
            told.agent,
            msgspec.json.encode(told.event).decode(),
            told.event.t_ns,
            told.wall_ns,
            told.clock_synced,
            header.previous,
            digest,
            chain,
            envelope,
            received_ns,
        )
        with self._write() as db:
            db.execute(f"INSERT INTO events VALUES ({','.join('?' * len(row))})", row)  # noqa: S608  # marks only
            self._judge_successors(header, digest)
            self._date(header, told)
        return chain

    def bury(self, device: str, envelope: bytes, reason: str, *, received_ns: int) -> None:
        """Keep what cannot be accepted, once, with the reason and how often it came; the oldest go beyond a limit."""
        with self._write() as db:
            db.execute(
                "INSERT INTO dead_letters (digest, device, reason, envelope, received_ns, times)"
                " VALUES (?, ?, ?, ?, ?, 1) ON CONFLICT (digest) DO UPDATE SET times = times + 1",
                (digest_of(envelope), device, reason, envelope, received_ns),
            )
            db.execute(
                "DELETE FROM dead_letters WHERE id <= (SELECT MAX(id) FROM dead_letters) - ?", (_DEAD_LETTERS_MAX,)
            )

    def commit(self) -> None:
        """Return when everything written is on the disk."""
        with _disk():
            if self._db.in_transaction:
                self._db.execute("COMMIT")

    def stored_ranges(self, device: str, positions: Sequence[Position]) -> list[Range]:
        """Contiguous ranges that are wholly stored, each from one of the sorted positions to another."""
        ranges: list[Range] = []
        for boot in sorted({position.boot for position in positions}):
            sequences = [position.sequence for position in positions if position.boot == boot]
            for first, last in self._islands(device, boot, sequences[0], sequences[-1]):
                low, high = bisect_left(sequences, first), bisect_right(sequences, last) - 1
                if low <= high:
                    digest = self.digest_at(device, Position(boot, sequences[high]))
                    ranges.append(Range(boot, sequences[low], sequences[high], digest or b""))
        return ranges

    def counts(self, device: str | None = None) -> Counts:
        """Counts of one device, or of all."""
        where, args = ("", ()) if device is None else ("WHERE device = ?", (device,))
        row = self._row(f"SELECT COUNT(*), SUM(chain = 'verified'), SUM(chain = 'broken') FROM events {where}", *args)  # noqa: S608  # constants
        dead = self._value(f"SELECT COUNT(*) FROM dead_letters {where}", *args)  # noqa: S608  # constants
        return Counts(row[0], row[1] or 0, row[2] or 0, dead)

    def events(self, device: str | None = None) -> Iterator[dict[str, Any]]:
        """Stored events as plain values, in order of device, boot and sequence; wall_ns as far as it is known."""
        with _disk():
            rows = self._db.execute(
                "SELECT device, boot, sequence, wall_ns, chain, agent, event FROM events WHERE ? IN (device, '')"
                " ORDER BY device, boot, sequence",
                (device or "",),
            ).fetchall()
        names = ("device", "boot", "sequence", "wall_ns", "chain", "agent")
        for row in rows:
            yield {**dict(zip(names, row, strict=False)), "event": msgspec.json.decode(row[-1])}

    def envelopes(self, device: str) -> list[bytes]:
        """Envelopes of a device in the order of its chain: joined, they are the file that `outrider verify` takes."""
        with _disk():
            query = "SELECT envelope FROM events WHERE device = ? ORDER BY boot, sequence"
            return [row[0] for row in self._db.execute(query, (device,))]

    def dead_letters(self) -> list[tuple[str, str, int]]:
        """Device named, reason and how often each one came, oldest first."""
        with _disk():
            return self._db.execute("SELECT device, reason, times FROM dead_letters ORDER BY id").fetchall()

    def close(self) -> None:
        """Commit and close."""
        self.commit()
        with _disk():
            self._db.close()

    def _prepare(self, path: Path) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise InputError(f"{path}: made by a newer version (schema {version}; this one knows {SCHEMA_VERSION})")
        if version == 0:
            self._db.executescript(_SCHEMA)

    def _judge(self, header: Header) -> ChainState:
        """The record before may come later: priority overtakes."""
        if header.sequence == 1 and header.previous == GENESIS:
            return "verified"
        before = self._row(
            "SELECT boot, sequence FROM events WHERE device = ? AND digest = ?", header.device, header.previous
        )
        if before is not None:
            return "verified" if _may_follow(Position(*before), header.position) else "broken"
        taken = self.digest_at(header.device, Position(header.boot, header.sequence - 1))
        return "waiting" if taken is None else "broken"

    def _judge_successors(self, header: Header, digest: bytes) -> None:
        position = header.position
        followers = self._db.execute(
            "SELECT boot, sequence FROM events WHERE device = ? AND previous = ? AND chain = 'waiting'",
            (header.device, digest),
        ).fetchall()
        for follower in map(Position._make, followers):
            chain: ChainState = "verified" if _may_follow(position, follower) else "broken"
            self._set_chain(header.device, follower, chain)
        next_one = Position(header.boot, header.sequence + 1)
        self._db.execute(
            "UPDATE events SET chain = 'broken' WHERE device = ? AND boot = ? AND sequence = ? AND previous != ?",
            (header.device, *next_one, digest),
        )

    def _set_chain(self, device: str, position: Position, chain: ChainState) -> None:
        self._db.execute(
            "UPDATE events SET chain = ? WHERE device = ? AND boot = ? AND sequence = ?", (chain, device, *position)
        )

    def _date(self, header: Header, told: Told) -> None:
        """Give events from before the first clock sync of a boot their wall time, by the monotonic offset."""
        offset_ns = told.wall_offset_ns
        if offset_ns is None:
            offset_ns = self._value(
                "SELECT wall_ns - t_ns FROM events WHERE device = ? AND boot = ? AND clock_synced LIMIT 1",
                header.device,
                header.boot,
            )
        if offset_ns is not None:
            self._db.execute(
                "UPDATE events SET wall_ns = t_ns + ? WHERE device = ? AND boot = ? AND wall_ns IS NULL",
                (offset_ns, header.device, header.boot),
            )

    def _islands(self, device: str, boot: int, low: int, high: int) -> list[tuple[int, int]]:
        with _disk():
            return self._db.execute(
                "SELECT MIN(sequence), MAX(sequence) FROM"
                " (SELECT sequence, sequence - ROW_NUMBER() OVER (ORDER BY sequence) AS island FROM events"
                "  WHERE device = ? AND boot = ? AND sequence BETWEEN ? AND ?) GROUP BY island ORDER BY 1",
                (device, boot, low, high),
            ).fetchall()

    def _row(self, query: str, *args: object) -> Any:
        with _disk():
            return self._db.execute(query, args).fetchone()

    def _value(self, query: str, *args: object) -> Any:
        row = self._row(query, *args)
        return None if row is None else row[0]

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with _disk():
            if not self._db.in_transaction:
                self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("SAVEPOINT one")
            try:
                yield self._db
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK TO one")
                raise
            self._db.execute("RELEASE one")


def _may_follow(before: Position, after: Position) -> bool:
    """The next of the same boot, or the first of a later one."""
    return after == (before.boot, before.sequence + 1) or (after.sequence == 1 and after.boot > before.boot)


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError):
        raise
    except (sqlite3.DatabaseError, OSError) as exc:
        raise StoreError(f"receiver's store: {exc}") from exc
