"""The store of a fleet: PostgreSQL, shared by any number of workers on any number of machines."""

from collections.abc import Callable, Collection, Iterator, Sequence
from threading import RLock
from typing import Any, Final, LiteralString, TypeVar

from agent.core.errors import InputError, StoreError
from agent.core.records import Position, digest_of
from fleet.receiver.schema import POSTGRES, POSTGRES_VERSION
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

try:
    import psycopg
    from psycopg.rows import dict_row
except ImportError as exc:
    raise InputError(
        "PostgreSQL needs psycopg: pip install 'outrider[postgres]', or apt-get install python3-psycopg"
    ) from exc

_CONNECT_S: Final = 10
_MIGRATION_LOCK: Final = 0x6F757472  # any number that only we use
# Of the columns of events, in their order. JSON is text already: as json it would be encoded once more.
_TYPES: Final = (
    "text",
    "int4",
    "int4",
    "int4",
    "text",
    "text",
    "text",
    "int8",
    "int8",
    "bytea",
    "bytea",
    "bytea",
    "int8",
)

# Of the server, not of our queries: gone, full, in standby, without the rights that somebody took away.
_REFUSALS: Final = (
    psycopg.OperationalError,
    psycopg.InternalError,
    psycopg.InterfaceError,
    psycopg.errors.InsufficientPrivilege,
)

_T = TypeVar("_T")


class PostgresStore:
    """One connection, made anew after a failure. Every method raises StoreError where the server refuses."""

    def __init__(self, address: str) -> None:
        """Connect, and make or migrate the schema. Raises StoreError, InputError where a newer version made it."""
        self._address = address
        self._lock = RLock()
        self._open: psycopg.Connection[Any] | None = None
        self._run(lambda _: None)

    def digests(self, places: Collection[Place]) -> dict[Place, bytes]:
        """Hashes of the envelopes stored at those of the places that are taken."""
        columns = [list(column) for column in zip(*places, strict=True)] or [[], [], []]
        rows = self._rows(
            "SELECT device, boot, sequence, digest FROM events"
            " JOIN unnest(%s::text[], %s::int[], %s::int[]) AS asked(device, boot, sequence)"
            " USING (device, boot, sequence)",
            *columns,
        )
        return {Place(device, boot, sequence): digest for device, boot, sequence, digest in rows}

    def put(self, rows: Sequence[Row], letters: Sequence[Letter], *, received_ns: int) -> set[Place]:
        """Store all in one transaction; return the places that another worker took meanwhile."""

        def store(db: "psycopg.Connection[Any]") -> set[Place]:
            with db.transaction(), db.cursor() as cursor:
                free = _insert(cursor, rows, received_ns) if rows else set()
                # In one order, as below.
                for letter in sorted(letters, key=lambda each: digest_of(each.envelope)):
                    _bury(cursor, letter, received_ns)
                return {row.place for row in rows} - free

        return self._run(store)

    def counts(self, device: str | None = None) -> Counts:
        """Counts of one device, or of all."""
        ((received, verified, broken),) = self._rows(
            "SELECT COUNT(*), COUNT(*) FILTER (WHERE chain = 'verified'), COUNT(*) FILTER (WHERE chain = 'broken')"
            " FROM chained_events WHERE %(device)s::text IS NULL OR device = %(device)s",
            device=device,
        )
        ((dead,),) = self._rows(
            "SELECT COUNT(*) FROM dead_letters WHERE %(device)s::text IS NULL OR device = %(device)s", device=device
        )
        return Counts(received, verified, broken, dead)

    def events(self, device: str | None = None, *, kinds: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
        """Stored events as plain values, by device, boot and sequence; wall_ns as far as it is known."""

        def page(after: Place) -> list[Any]:
            return self._rows(
                "SELECT device, boot, sequence, wall_ns, dated, not_before_ns, not_after_ns, chain, agent,"
                " received_ns, event FROM chained_events WHERE (%(device)s::text IS NULL OR device = %(device)s)"
                " AND kind <> 'erased' AND (%(kinds)s::text[] = '{}' OR kind = ANY(%(kinds)s::text[]))"
                " AND (device, boot, sequence) > (%(after_device)s, %(after_boot)s, %(after_sequence)s)"
                " ORDER BY device, boot, sequence LIMIT %(rows)s",
                device=device,
                kinds=list(kinds),
                rows=PAGE_ROWS,
                after_device=after.device,
                after_boot=after.boot,
                after_sequence=after.sequence,
            )

        for row in read_pages(page):
            yield dict(zip(EVENT_FIELDS, row, strict=True))

    def devices(self) -> list[dict[str, Any]]:
        """A line per device."""
        return self._run(
            lambda db: db.cursor(row_factory=dict_row).execute("SELECT * FROM devices ORDER BY device").fetchall()
        )

    def envelopes(self, device: str) -> list[bytes]:
        """Envelopes of a device in the order of its chain."""
        rows = self._rows(
            "SELECT envelope FROM events WHERE device = %s AND kind <> 'erased' ORDER BY boot, sequence", device
        )
        return [envelope for (envelope,) in rows]

    def positions(self, device: str) -> list[tuple[Position, bytes]]:
        """Where the device's records are, and their hashes, in order."""
        rows = self._rows("SELECT boot, sequence, digest FROM events WHERE device = %s ORDER BY boot, sequence", device)
        return [(Position(boot, sequence), digest) for boot, sequence, digest in rows]

    def received(self, first_ns: int, end_ns: int) -> list[bytes]:
        """Hashes of all records of all devices that came in this time, in ascending order."""
        query: LiteralString = "SELECT digest FROM events WHERE received_ns >= %s AND received_ns < %s ORDER BY digest"
        return [digest for (digest,) in self._rows(query, first_ns, end_ns)]

    def dead_letters(self) -> list[tuple[str, str, int]]:
        """Device named, reason and how often each one came, oldest first."""
        return self._rows("SELECT device, reason, times FROM dead_letters ORDER BY id")

    def run_desk(self, query: str, *args: object) -> list[Any]:
        """Rows of one statement about the desk's tables, its places marked by "?"."""

        def run(db: "psycopg.Connection[Any]") -> list[Any]:
            cursor = db.execute(query.replace("?", "%s").encode(), args)
            return cursor.fetchall() if cursor.description else []

        return self._run(run)

    def erasure_requests(self, devices: Collection[str]) -> list[tuple[Place, dict[str, Any]]]:
        """What owners of these devices have asked to be erased."""
        rows = self._rows(
            "SELECT device, boot, sequence, event FROM events WHERE kind = 'erasure_requested'"
            " AND device = ANY(%s) ORDER BY device, boot, sequence",
            sorted(devices),
        )
        return [(Place(*row[:3]), row[3]) for row in rows]

    def unerased(self, before: Place, kinds: Sequence[str]) -> Iterator[tuple[Position, dict[str, Any], int | None]]:
        """Events of these kinds that stand before a place."""

        def page(after: Place) -> list[Any]:
            return self._rows(
                "SELECT device, boot, sequence, event, utc_ns FROM dated_events WHERE device = %s"
                " AND (boot, sequence) < (%s, %s) AND (boot, sequence) > (%s, %s) AND kind = ANY(%s)"
                " ORDER BY boot, sequence LIMIT %s",
                *before,
                *after[1:],
                list(kinds),
                PAGE_ROWS,
            )

        for _, boot, sequence, event, utc_ns in read_pages(page):
            yield Position(boot, sequence), event, utc_ns

    def blank(self, places: Sequence[Place]) -> None:
        """Leave nothing of these records but their place in the chain; autovacuum gives the room back."""

        def write(db: "psycopg.Connection[Any]") -> None:
            with db.transaction(), db.cursor() as cursor:
                for statement in BLANK:
                    cursor.executemany(statement.format(mark="%s", empty="''").encode(), sorted(places))
                devices = sorted({(place.device,) for place in places})
                cursor.executemany("DELETE FROM dead_letters WHERE device = %s", devices)

        self._run(write)

    def erased(self, before: Place) -> int:
        """How many of a device's records that stand before a place are blank."""
        ((count,),) = self._rows(
            "SELECT COUNT(*) FROM events WHERE device = %s AND kind = 'erased' AND (boot, sequence) < (%s, %s)", *before
        )
        return int(count)

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            if self._open is not None:
                self._open.close()
                self._open = None

    def _rows(self, query: LiteralString, *args: object, **named: object) -> list[Any]:
        return self._run(lambda db: db.execute(query, named or args).fetchall())

    def _run(self, work: "Callable[[psycopg.Connection[Any]], _T]") -> _T:
        with self._lock:
            try:
                if self._open is None:
                    self._open = self._connect()
                return work(self._open)
            except (psycopg.DataError, psycopg.IntegrityError, OverflowError) as exc:
                raise RowRefused(_first_line(exc)) from exc
            except _REFUSALS as exc:
                self.close()  # a server that was restarted is found again by the next call
                raise StoreError(f"receiver's store: {str(exc).strip()}") from exc

    def _connect(self) -> "psycopg.Connection[Any]":
        try:
            db = psycopg.connect(self._address, autocommit=True, connect_timeout=_CONNECT_S)
        except psycopg.ProgrammingError as exc:
            raise InputError(f"database: {exc}") from exc
        try:
            _migrate(db)
            db.execute("CREATE TEMPORARY TABLE incoming (LIKE events) ON COMMIT DELETE ROWS")
        except BaseException:
            db.close()
            raise
        return db


def _first_line(exc: Exception) -> str:
    return str(exc).strip().partition("\n")[0]


def _insert(cursor: "psycopg.Cursor[Any]", rows: Sequence[Row], received_ns: int) -> set[Place]:
    """COPY is the fast way in, but knows no conflicts: so into a table of our own, and from there."""
    with cursor.copy("COPY incoming FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(_TYPES)
        for row in rows:
            copy.write_row(row.columns(received_ns))
    # In one order everywhere: workers that insert the same places must not wait for each other in a circle.
    cursor.execute(
        "INSERT INTO events SELECT * FROM incoming ORDER BY device, boot, sequence ON CONFLICT DO NOTHING"
        " RETURNING device, boot, sequence"
    )
    return {Place(*place) for place in cursor.fetchall()}


def _bury(cursor: "psycopg.Cursor[Any]", letter: Letter, received_ns: int) -> None:
    cursor.execute(
        "INSERT INTO dead_letters (digest, device, reason, envelope, received_ns, times) VALUES (%s, %s, %s, %s, %s, 1)"
        " ON CONFLICT (digest) DO UPDATE SET times = dead_letters.times + 1",
        (digest_of(letter.envelope), letter.device, letter.reason.replace("\0", ""), letter.envelope, received_ns),
    )
    cursor.execute("DELETE FROM dead_letters WHERE id <= (SELECT MAX(id) FROM dead_letters) - %s", (DEAD_LETTERS_MAX,))


def _migrate(db: "psycopg.Connection[Any]") -> None:
    with db.transaction():
        db.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
        db.execute("CREATE TABLE IF NOT EXISTS outrider_schema (version INTEGER NOT NULL)")
        row = db.execute("SELECT MAX(version) FROM outrider_schema").fetchone()
        version = (row and row[0]) or 0
        if version > POSTGRES_VERSION:
            raise InputError(f"database: made by a newer version (schema {version}; this one knows {POSTGRES_VERSION})")
        if version < POSTGRES_VERSION:
            db.execute(POSTGRES[version].encode())
            db.execute("INSERT INTO outrider_schema VALUES (%s)", (POSTGRES_VERSION,))
