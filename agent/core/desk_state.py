"""What a box remembers of its insurer's desk over its starts: messages, tickets, and what the driver wants. Pure.

Messages are kept as they came, sealed: the disk never holds their words, and nobody who writes it can forge one.
"""

import hashlib
from collections.abc import Iterator
from typing import Final, Literal

import msgspec
from msgspec import field

from agent.core.desk import DeskNote
from agent.core.desk_events import Channel

SEEN_MAX: Final = 256
KEPT_MAX: Final = 32
TICKETS_MAX: Final = 64

State = Literal["open", "answered", "helped", "reopened", "closed"]
_CLOSED: Final = frozenset({"helped", "closed"})
_AFTER: Final[dict[str, State]] = {"ticket_opened": "open", "answer": "answered", "closed": "closed"}


class Kept(msgspec.Struct, kw_only=True):
    """A message as it came. told: the driver has heard it, or it is of no use any more."""

    id: str
    sealed: bytes
    told: bool = False


class BoxTicket(msgspec.Struct, kw_only=True):
    """A ticket as the box knows it. boot and about_ns: the event it is about; message: the newest answer's id."""

    number: int
    state: State = "open"
    boot: int = 0
    about_ns: int = 0
    message: str = ""
    reopened: int = 0

    @property
    def is_open(self) -> bool:
        """Whether the desk owes something."""
        return self.state not in _CLOSED


class DeskBook(msgspec.Struct, kw_only=True):
    """All of it. seen: hash of an id -> created_ns; nothing as old as floor_ns is taken any more: it may be forgotten.

    channel: how the driver wants answers; points: told so far.
    """

    v: int = 1
    seen: dict[str, int] = field(default_factory=dict)
    floor_ns: int = 0
    kept: list[Kept] = field(default_factory=list)
    tickets: dict[int, BoxTicket] = field(default_factory=dict)
    channel: Channel = "voice"
    points: int = 0

    def refuses(self, note: DeskNote) -> str:
        """Why it is not taken: it came before, or is as old as what is forgotten. "" where it is new."""
        if _hash(note.id) in self.seen:
            return f"desk message {note.id} came again"
        if note.created_ns <= self.floor_ns:
            return f"desk message {note.id} is older than what is remembered"
        return ""

    def add(self, note: DeskNote, sealed: bytes) -> None:
        """Remember a message that is new."""
        self.seen[_hash(note.id)] = note.created_ns
        while len(self.seen) > SEEN_MAX:
            oldest = min(self.seen, key=lambda one: (self.seen[one], one))
            self.floor_ns = max(self.floor_ns, self.seen.pop(oldest))
        self.kept.append(Kept(id=note.id, sealed=sealed))
        while len(self.kept) > KEPT_MAX:
            self.kept.remove(next((one for one in self.kept if one.told), self.kept[0]))
        self.points += note.points
        self._follow(note)

    def told(self, message: str) -> None:
        """The driver knows it."""
        for one in self.kept:
            if one.id == message:
                one.told = True

    def untold(self) -> Iterator[Kept]:
        """What the driver has not heard yet, oldest first."""
        return (one for one in self.kept if not one.told)

    def answered(self, number: int, *, helped: bool) -> None:
        """The driver said whether the newest answer helped."""
        ticket = self.tickets.get(number)
        if ticket is not None:
            ticket.state = "helped" if helped else "reopened"
            ticket.reopened += not helped

    def ticket_about(self, boot: int, about_ns: int, *, within_ns: int) -> int:
        """Number of the newest ticket about an event of about that time, 0 for none."""
        for ticket in reversed(self.tickets.values()):
            if ticket.boot == boot and ticket.about_ns and abs(ticket.about_ns - about_ns) <= within_ns:
                return ticket.number
        return 0

    def _follow(self, note: DeskNote) -> None:
        state = _AFTER.get(note.what)
        if not note.ticket or state is None:
            return
        ticket = self.tickets.setdefault(note.ticket, BoxTicket(number=note.ticket))
        ticket.boot, ticket.about_ns = note.boot or ticket.boot, note.about_ns or ticket.about_ns
        if note.what == "answer":
            ticket.message = note.id
        if not (note.what == "ticket_opened" and ticket.message):  # it came after its answer
            ticket.state = state
        while len(self.tickets) > TICKETS_MAX:
            done = (number for number, one in self.tickets.items() if not one.is_open)
            del self.tickets[next(done, next(iter(self.tickets)))]


def protecting_rest(state: bytes) -> bytes:
    """What stays of a saved book when it is erased: it keeps messages from being told twice, and the driver's wish."""
    book = load_book(state)
    rest = DeskBook(seen=book.seen, floor_ns=book.floor_ns, channel=book.channel)
    return b"" if rest == DeskBook() else save_book(rest)


def load_book(state: bytes) -> DeskBook:
    """What was saved; an empty one where nothing was, or it cannot be read."""
    try:
        return parse_book(state) if state else DeskBook()
    except msgspec.DecodeError:
        return DeskBook()


def parse_book(state: bytes) -> DeskBook:
    """What was saved. Raises msgspec.DecodeError."""
    return msgspec.msgpack.decode(state, type=DeskBook)


def save_book(book: DeskBook) -> bytes:
    """Inverse of load_book."""
    return msgspec.msgpack.encode(book)


def _hash(identity: str) -> str:
    """It names ticket and time: what is remembered of it need not."""
    return hashlib.sha256(identity.encode()).hexdigest()[:32]
