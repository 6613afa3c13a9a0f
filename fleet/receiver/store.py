"""What the insurer holds: opened events, the envelopes they came in, and dead letters. The port.

A store judges nothing while it writes: whether a record fits the one before it, and when it was, is read from what is
there (see fleet/receiver/schema.py), so any number of workers may write at once, in any order.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from agent.core.errors import StoreError
from agent.core.records import Header, Position, Told

DEAD_LETTERS_MAX: Final = 10_000
PAGE_ROWS: Final = 1000
ERASED: Final = "erased"
"""Kind of a record of which only the place in the chain is left."""
TAKEN: Final = "another record holds this place"
"""Reason of a dead letter: the device's store was replaced, or restored from a backup."""

_AT: Final = "device = {mark} AND boot = {mark} AND sequence = {mark}"
_NOTHING: Final = (
    "kind = 'erased', priority = 3, agent = '', event = '{{}}', t_ns = 0, wall_ns = NULL, envelope = {empty}"
)
BLANK: Final = (
    f"DELETE FROM ticket_messages WHERE ticket IN (SELECT number FROM tickets WHERE {_AT})",  # noqa: S608  # constants
    f"DELETE FROM tickets WHERE {_AT}",  # noqa: S608  # constants
    f"UPDATE events SET {_NOTHING} WHERE {_AT}",  # noqa: S608  # constants
)
"""For one place: what was made of the record goes, then the record; its row keeps previous, digest and arrival."""

EVENT_FIELDS: Final = (
    "device",
    "boot",
    "sequence",
    "wall_ns",
    "dated",
    "not_before_ns",
    "not_after_ns",
    "chain",
    "agent",
    "received_ns",
    "event",
)
"""What Store.events tells of each. dated: how wall_ns is known, "told" or "derived"; not_before_ns and not_after_ns:
bounds for what has no date. See fleet/receiver/schema.py."""


class RowRefused(StoreError):
    """No disk and no connection failed: a value does not fit its column, and would not fit it later either."""


class Place(NamedTuple):
    """Where a record belongs, of all devices."""

    device: str
    boot: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Row:
    """An opened record, to be stored. digest is the SHA-256 of the envelope."""

    header: Header
    told: Told
    envelope: bytes
    digest: bytes

    @property
    def place(self) -> Place:
        """Where it belongs."""
        return Place(self.header.device, self.header.boot, self.header.sequence)

    def columns(self, received_ns: int) -> tuple[Any, ...]:
        """What stands in the table events (see fleet/receiver/schema.py), in its order; the event as JSON."""
        header, told = self.header, self.told
        return (
            *self.place,
            int(header.priority),
            told.event.kind,
            told.agent,
            msgspec.json.encode(told.event).decode(),
            told.event.t_ns,
            told.wall_ns,
            header.previous,
            self.digest,
            self.envelope,
            received_ns,
        )


@dataclass(frozen=True, slots=True)
class Letter:
    """What could not be accepted. device is what it claims to be from, "" where even that cannot be read."""

    device: str
    envelope: bytes
    reason: str


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


class Store(Protocol):
    """Every method raises StoreError where the database refuses; one call at a time."""

    def digests(self, places: Collection[Place]) -> dict[Place, bytes]:
        """Hashes of the envelopes stored at those of the places that are taken."""
        ...

    def put(self, rows: Sequence[Row], letters: Sequence[Letter], *, received_ns: int) -> set[Place]:
        """Store all in one transaction; return when it is on the disk.

        Rows have different places. Returned are those that another worker took meanwhile: nothing was stored there. A
        letter is kept once, with how often it came; the oldest beyond DEAD_LETTERS_MAX go. Raises RowRefused, and
        stores nothing, where a row has values that the database cannot hold.
        """
        ...

    def counts(self, device: str | None = None) -> Counts:
        """Counts of one device, or of all."""
        ...

    def events(self, device: str | None = None, *, kinds: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
        """Stored events as plain values, by device, boot and sequence; wall_ns as far as it is known.

        Asked for page by page: a whole fleet's history has no room in memory, and may grow meanwhile.
        """
        ...

    def devices(self) -> list[dict[str, Any]]:
        """A line per device: counts, newest boot, when last heard, signs that it was restored from a backup."""
        ...

    def envelopes(self, device: str) -> list[bytes]:
        """Envelopes of a device in the order of its chain: joined, they are the file that `outrider verify` takes."""
        ...

    def positions(self, device: str) -> list[tuple[Position, bytes]]:
        """Where the device's records are, and their hashes, in order."""
        ...

    def received(self, first_ns: int, end_ns: int) -> list[bytes]:
        """Hashes of all records of all devices that came from first_ns until before end_ns, in ascending order."""
        ...

    def dead_letters(self) -> list[tuple[str, str, int]]:
        """Device named, reason and how often each one came, oldest first."""
        ...

    def run_desk(self, query: str, *args: object) -> list[Any]:
        """Rows of one statement about the desk's tables, its places marked by "?": fleet/desk/store.py knows them."""
        ...

    def erasure_requests(self, devices: Collection[str]) -> list[tuple[Place, dict[str, Any]]]:
        """What owners of these devices have asked to be erased, as it was stored."""
        ...

    def unerased(self, before: Place, kinds: Sequence[str]) -> Iterator[tuple[Position, dict[str, Any], int | None]]:
        """Events of these kinds of a device that stand before a place: where, what, and UTC where that is known."""
        ...

    def blank(self, places: Sequence[Place]) -> None:
        """Leave nothing of these records but their place in the chain, and nothing that was made of them.

        Dead letters of their devices go as well: nobody can tell what is in them.
        """
        ...

    def erased(self, before: Place) -> int:
        """How many of a device's records that stand before a place are blank."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...


def read_pages(page: Callable[[Place], list[Any]]) -> Iterator[Any]:
    """Rows of one page after another. page tells PAGE_ROWS of them behind a place; a row begins with its own."""
    after = Place("", 0, 0)
    while rows := page(after):
        yield from rows
        after = Place(*rows[-1][:3])
