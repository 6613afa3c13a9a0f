"""The desk's tables in the receiver's database: tickets, what was said to the cars, and which events were dealt with.

The same for SQLite and PostgreSQL (fleet/receiver/schema.py). Every method raises StoreError where it refuses.
"""

import heapq
import logging
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields, replace
from typing import Any, Final

import msgspec

from agent.core.desk import DeskNote, encode_note, parse_note
from agent.core.errors import ProtocolError
from fleet.desk.ticket import DeskTicket
from fleet.receiver.store import Place, Store

_LOG: Final = logging.getLogger(__name__)
RESEND_NS: Final = (600 * 10**9, 3_600 * 10**9, 6 * 3_600 * 10**9, 24 * 3_600 * 10**9, 72 * 3_600 * 10**9)
"""After which times a message that no car has taken goes again."""

_COLUMNS: Final = tuple(one.name for one in fields(DeskTicket))
_FRESH: Final = _COLUMNS[1:]
_MESSAGE: Final = "id, ticket, note, sends, due_ns, taken_ns"
_SAME_NS: Final = 60 * 10**9  # as agent and desk count what belongs together
PAGE: Final = 500
"""So many are read at a time."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message to a car. sends: how often it went; due_ns: when it goes (again), None never; taken_ns: it has it."""

    note: DeskNote
    sends: int = 0
    due_ns: int | None = None
    taken_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event as the receiver has it. event is plain data, empty where the row is none; dealt: needs nothing more."""

    place: Place
    event: dict[str, Any]
    received_ns: int
    dealt: bool = False


class DeskStore:
    """Tickets and messages, over the receiver's store."""

    def __init__(self, store: Store) -> None:
        self.receiver = store
        self._run = store.run_desk

    def tickets(self, *, device: str | None = None, is_open: bool = False) -> list[DeskTicket]:
        """All, or of one car, or those where something is owed; oldest first."""
        rows = self._run(
            f"SELECT {', '.join(_COLUMNS)} FROM tickets WHERE device = COALESCE(?, device)"  # noqa: S608  # constants
            " AND (? = 0 OR state <> 'closed') ORDER BY number",
            device,
            int(is_open),
        )
        return [_ticket(row) for row in rows]

    def ticket(self, number: int) -> DeskTicket | None:
        """The one of that number."""
        rows = self._run(f"SELECT {', '.join(_COLUMNS)} FROM tickets WHERE number = ?", number)  # noqa: S608
        return _ticket(rows[0]) if rows else None

    def closed(self) -> Iterator[DeskTicket]:
        """Every closed one in the order in which they were closed, page by page."""
        after = (-1, 0)
        while rows := self._run(
            f"SELECT {', '.join(_COLUMNS)} FROM tickets WHERE closed_ns >= ? AND (closed_ns, number) > (?, ?)"  # noqa: S608
            " ORDER BY closed_ns, number LIMIT ?",
            *(after[0], *after, PAGE),
        ):
            yield from (page := [_ticket(row) for row in rows])
            after = (page[-1].closed_ns or 0, page[-1].number)

    def last_number(self) -> int:
        """The highest number that was given, 0 for none."""
        ((number,),) = self._run("SELECT COALESCE(MAX(number), 0) FROM tickets")
        return int(number)

    def closed_since(self, since_ns: int) -> list[DeskTicket]:
        """Those that were closed then or later, by whomever."""
        rows = self._run(f"SELECT {', '.join(_COLUMNS)} FROM tickets WHERE closed_ns >= ?", since_ns)  # noqa: S608
        return [_ticket(row) for row in rows]

    def find(self, device: str, boot: int, kind: str, about_ns: int) -> DeskTicket | None:
        """The ticket about an event of that kind and about that time of a boot, the nearest one."""
        rows = self._run(
            f"SELECT {', '.join(_COLUMNS)} FROM tickets WHERE device = ? AND boot = ? AND kind = ?"  # noqa: S608
            " AND about_ns BETWEEN ? AND ? ORDER BY ABS(about_ns - ?), number DESC LIMIT 1",
            *(device, boot, kind, about_ns - _SAME_NS, about_ns + _SAME_NS, about_ns),
        )
        return _ticket(rows[0]) if rows else None

    def open(self, ticket: DeskTicket) -> DeskTicket:
        """Store a new one; its number is given here."""
        ((number,),) = self._run(
            f"INSERT INTO tickets ({', '.join(_FRESH)}) VALUES ({', '.join('?' * len(_FRESH))}) RETURNING number",  # noqa: S608
            *astuple(ticket)[1:],
        )
        return replace(ticket, number=number)

    def keep(self, ticket: DeskTicket) -> None:
        """Store what became of one."""
        sets = ", ".join(f"{name} = ?" for name in _FRESH)
        self._run(f"UPDATE tickets SET {sets} WHERE number = ?", *astuple(ticket)[1:], ticket.number)  # noqa: S608

    def say(self, note: DeskNote) -> None:
        """Have a message sent, at once and again until the car has it or it has expired. Raises ProtocolError."""
        self._run(
            "INSERT INTO ticket_messages"
            " (id, device, ticket, what, note, created_ns, expires_ns, sends, due_ns)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?) ON CONFLICT (id) DO NOTHING",
            *(note.id, note.device, note.ticket, note.what, encode_note(note)),
            *(note.created_ns, note.expires_ns, note.created_ns),
        )

    def due(self, now_ns: int) -> list[Sent]:
        """Messages that are to go now, oldest first."""
        rows = self._run(
            f"SELECT {_MESSAGE} FROM ticket_messages WHERE due_ns IS NOT NULL AND due_ns <= ?"  # noqa: S608
            " AND expires_ns > ? ORDER BY place LIMIT ?",
            *(now_ns, now_ns, PAGE),
        )
        readable, unreadable = _read(rows)
        for identity in unreadable:  # said once: it is never due again
            self._run("UPDATE ticket_messages SET due_ns = NULL WHERE id = ?", identity)
        return readable

    def went(self, sent: Sent, now_ns: int) -> None:
        """The broker has it."""
        due_ns = now_ns + RESEND_NS[sent.sends] if sent.sends < len(RESEND_NS) else None
        self._run(
            "UPDATE ticket_messages SET sends = sends + 1, due_ns = ? WHERE id = ? AND taken_ns IS NULL",
            due_ns,
            sent.note.id,
        )

    def taken(self, message: str, device: str, now_ns: int) -> bool:
        """The car has it; whether that is news."""
        return bool(
            self._run(
                "UPDATE ticket_messages SET due_ns = NULL, taken_ns = ? WHERE id = ? AND device = ?"
                " AND taken_ns IS NULL RETURNING id",
                *(now_ns, message, device),
            )
        )

    def messages(self, ticket: int) -> list[Sent]:
        """What was said about a ticket, oldest first."""
        rows = self._run(f"SELECT {_MESSAGE} FROM ticket_messages WHERE ticket = ? ORDER BY place", ticket)  # noqa: S608
        return _read(rows)[0]

    def arrivals(self, kinds: Sequence[str], since_ns: int) -> list[Arrival]:
        """Events of these kinds, received since then and not dealt with: the gravest first, then as they came."""
        marks = ", ".join("?" * len(kinds))
        rows = self._run(
            "SELECT device, boot, sequence, event, received_ns FROM events e"  # noqa: S608  # marks only
            f" WHERE kind IN ({marks}) AND received_ns >= ? AND NOT EXISTS (SELECT 1 FROM ticket_events t"
            " WHERE t.device = e.device AND t.boot = e.boot AND t.sequence = e.sequence)"
            " ORDER BY priority, received_ns, device, boot, sequence LIMIT ?",
            *(*kinds, since_ns, PAGE),
        )
        return [_arrival(row) for row in rows]

    def history(self, kinds: Sequence[str], device: str | None = None) -> Iterator[Arrival]:
        """Every event of these kinds, of one car or of all, in the order in which they came, page by page."""
        parts = (self._history(kind, device) for kind in kinds)  # each has an index to go by; all together have none
        return heapq.merge(*parts, key=lambda one: (one.received_ns, one.place))

    def dealt(self, arrivals: Sequence[Arrival]) -> None:
        """These events need nothing more."""
        if arrivals:
            places = ", ".join(["(?, ?, ?, ?)"] * len(arrivals))
            self._run(
                f"INSERT INTO ticket_events VALUES {places} ON CONFLICT DO NOTHING",  # noqa: S608  # marks only
                *(value for one in arrivals for value in (*one.place, one.received_ns)),
            )

    def forget(self, before_ns: int) -> None:
        """Let go of what is known of events that came before, and of messages that expired before."""
        self._run("DELETE FROM ticket_events WHERE received_ns < ?", before_ns)
        self._run("DELETE FROM ticket_messages WHERE expires_ns < ?", before_ns)

    def _history(self, kind: str, device: str | None) -> Iterator[Arrival]:
        after: tuple[Any, ...] = (-1, "", 0, 0)
        while rows := self._run(
            "SELECT device, boot, sequence, event, received_ns, EXISTS (SELECT 1 FROM ticket_events t"
            " WHERE t.device = e.device AND t.boot = e.boot AND t.sequence = e.sequence) FROM events e"
            " WHERE kind = ? AND device = COALESCE(?, device) AND received_ns >= ?"
            " AND (received_ns, device, boot, sequence) > (?, ?, ?, ?)"
            " ORDER BY received_ns, device, boot, sequence LIMIT ?",
            *(kind, device, after[0], *after, PAGE),
        ):
            yield from map(_arrival, rows)
            after = (rows[-1][4], *rows[-1][:3])


class KnownNumbers:
    """Numbers of tickets for who only looks: as they are kept; what nobody keeps is counted on behind them."""

    def __init__(self, store: DeskStore) -> None:
        self._store = store
        self._last = store.last_number()

    def __call__(self, device: str, boot: int, kind: str, about_ns: int) -> int:
        """The number of the ticket about that event."""
        known = self._store.find(device, boot, kind, about_ns)
        if known is not None:
            return known.number
        self._last += 1
        return self._last


def _ticket(row: Sequence[Any]) -> DeskTicket:
    return DeskTicket(**dict(zip(_COLUMNS, row, strict=True)))


def _arrival(row: Sequence[Any]) -> Arrival:
    event = row[3]
    if not isinstance(event, dict):  # SQLite keeps text, PostgreSQL parses
        try:
            event = msgspec.json.decode(event, type=dict)
        except msgspec.DecodeError:
            event = {}
    return Arrival(Place(*row[:3]), event, row[4], *map(bool, row[5:]))


def _read(rows: Sequence[Sequence[Any]]) -> tuple[list[Sent], list[str]]:
    """Messages, and the ids of rows that hold none, of each of which a line is logged."""
    readable: list[Sent] = []
    unreadable: list[str] = []
    for identity, ticket, note, *how in rows:
        try:
            readable.append(Sent(parse_note(bytes(note)), *how))
        except ProtocolError as exc:
            _LOG.error("message %s of ticket %d is left out: %s", identity, ticket, exc)
            unreadable.append(identity)
    return readable, unreadable
