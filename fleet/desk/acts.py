"""What somebody at the desk does with a ticket: it is stored and, where the driver shall know, said to his car."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from agent.core.desk import LIFETIME_MAX_NS, TEXT_MAX, DeskNote
from agent.core.desk_events import DeskKind
from agent.core.errors import InputError
from fleet.desk.store import DeskStore
from fleet.desk.ticket import DeskTicket
from fleet.desk.words import both

Texts = tuple[str, str]
"""The same in Chinese and in English."""

_DAY_NS: Final = 86_400 * 10**9
_LIVES_NS: Final = LIFETIME_MAX_NS - _DAY_NS


class Acts:
    """Over the desk's store. Raises StoreError; InputError for what no car would take."""

    def __init__(self, store: DeskStore, *, now_ns: Callable[[], int]) -> None:
        """now_ns: the desk's UTC."""
        self._store = store
        self._now_ns = now_ns

    def tell_opened(self, ticket: DeskTicket) -> None:
        """The driver hears its number, and by when he has an answer."""
        texts = both(f"opened_{ticket.kind}", number=ticket.number)
        self._say(ticket, "ticket_opened", texts, stamp_ns=ticket.opened_ns)

    def answer(self, ticket: DeskTicket, texts: Texts) -> DeskTicket:
        """Answer, and have the driver asked whether it helps."""
        self._say(ticket, "answer", texts)
        return self._keep(ticket.answer(self._now_ns(), asks=True))

    def announce_surveyor(self, ticket: DeskTicket, time: Texts, place: Texts | None = None) -> DeskTicket:
        """Tell when the surveyor comes, and where to: the first answer to a crash."""
        where = place or ("", "")
        said = [both("surveyor" if place else "surveyor_plain", time=time[i], place=where[i])[i] for i in (0, 1)]
        self._say(ticket, "surveyor", (said[0], said[1]), lives_ns=_DAY_NS)
        return self._keep(ticket.answer(self._now_ns(), asks=False))

    def thank(self, ticket: DeskTicket, points: int) -> None:
        """An idea of the driver's is taken up; points are told, not paid."""
        texts = both("thanks_points" if points else "thanks", points=points)
        self._say(ticket, "thanks", texts, points=points)

    def tell_overdue(self, ticket: DeskTicket, warned: int) -> DeskTicket:
        """A term was missed: the driver hears it once a clock."""
        if not ticket.warned:
            self._say(ticket, "overdue", both("overdue", number=ticket.number), stamp_ns=ticket.clock_ns)
        return self._keep(replace(ticket, warned=warned))

    def reopen(self, ticket: DeskTicket, *, call: bool) -> DeskTicket:
        """The driver is not satisfied. Once for each answer: another word on the same one changes nothing."""
        if ticket.state == "reopened":
            return ticket
        return self._keep(ticket.reopen(self._now_ns(), call=call))

    def close(self, ticket: DeskTicket, outcome: str, *, tell: bool = False) -> DeskTicket:
        """Nothing more is owed."""
        if tell and ticket.is_open:
            self._say(ticket, "closed", both("closed", number=ticket.number))
        return self._keep(ticket.close(self._now_ns(), outcome)) if ticket.is_open else ticket

    def _keep(self, ticket: DeskTicket) -> DeskTicket:
        self._store.keep(ticket)
        return ticket

    def _say(
        self,
        ticket: DeskTicket,
        what: DeskKind,
        texts: Texts,
        *,
        points: int = 0,
        stamp_ns: int | None = None,
        lives_ns: int = _LIVES_NS,
    ) -> None:
        """stamp_ns: makes the id the same when the same is done again, after a fall between two steps."""
        if not all(0 < len(text) <= TEXT_MAX and text.isprintable() for text in texts):
            raise InputError(f"a text for a driver has 1 to {TEXT_MAX} characters, in one line")
        now_ns = self._now_ns()
        note = DeskNote(
            id=f"{ticket.number}-{what}-{now_ns if stamp_ns is None else stamp_ns:x}",
            device=ticket.device,
            created_ns=now_ns,
            expires_ns=now_ns + lives_ns,
            what=what,
            ticket=ticket.number,
            boot=ticket.boot,
            sequence=ticket.sequence,
            about_ns=max(ticket.about_ns, 0),
            points=points,
            zh=texts[0],
            en=texts[1],
        )
        self._store.say(note)
