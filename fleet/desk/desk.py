"""The insurer's desk: opens a ticket for each need that comes in, holds the clock, hears whether an answer helped.

It answers nothing by itself: that people do (fleet/desk/acts.py), through `outrider-fleet tickets` or another program.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from agent.core.desk_events import DeskMessage, TicketReopened
from agent.core.events import AnyEvent, Feedback
from fleet.desk.acts import Acts
from fleet.desk.claims import ClaimsDesk, Kind, Ticket
from fleet.desk.reading import CASE_KINDS, DESK_KINDS, event_of, read_tickets
from fleet.desk.store import PAGE, Arrival, DeskStore
from fleet.desk.ticket import SOLUTION_NS, DeskTicket

_LOG: Final = logging.getLogger(__name__)
Tell = Callable[[DeskTicket, str], None]
"""Told of each thing that happens to a ticket, by a word: opened, taken, helped, reopened, overdue, closed."""

OnCase = Callable[[Ticket, Ticket | None], None]
"""Told of each change of what is known of a case: as it is, and as it was."""

DID_IT_HELP: Final = "did_it_help"
_SHOWN_MAX: Final = 10_000
_KEEP_NS: Final = 40 * 86_400 * 10**9
_LATE_NS: Final = 60 * 10**9  # another worker may commit what it received so much earlier
_BACK_NS: Final = 8 * 86_400 * 10**9  # what came while no desk ran, and is older, opens no ticket any more


class Desk:
    """One a database. Raises StoreError."""

    def __init__(
        self,
        store: DeskStore,
        *,
        now_ns: Callable[[], int],
        tell: Tell = lambda *_: None,
        on_case: OnCase = lambda *_: None,
    ) -> None:
        self.acts = Acts(store, now_ns=now_ns)
        self.claims = ClaimsDesk(self._number)
        self._store = store
        self._now_ns = now_ns
        self._tell = tell
        self._on_case = on_case
        self._shown: dict[int, Ticket] = {}
        self._catching_up = False
        self._fresh: list[DeskTicket] = []
        self._since_ns = self._newest_ns = now_ns() - _BACK_NS
        self._looked_ns = now_ns()

    def catch_up(self) -> None:
        """Look at what was dealt with before, and at what is too old to be, saying nothing."""
        self._catching_up = True
        read_tickets(self._past(), self.claims, closed=self._store.closed())
        self._catching_up = False

    def _past(self) -> Iterator[Arrival]:
        for arrival in self._store.history(tuple(CASE_KINDS)):
            if arrival.dealt or arrival.received_ns < self._since_ns:
                yield arrival
                for ticket in self._fresh:  # of a time when nobody kept them
                    self.acts.close(ticket, "from_before")
                self._fresh.clear()

    def step(self) -> int:
        """Deal with what has come in, and with clocks that ran out; returns how many events there were."""
        now_ns = self._now_ns()
        for ticket in self._store.closed_since(self._looked_ns):
            self.claims.follow(ticket.number, ticket.outcome)
        self._looked_ns = now_ns
        arrivals = self._store.arrivals(tuple(DESK_KINDS), self._since_ns)
        for arrival in arrivals:
            event = event_of(arrival.event)
            if isinstance(event, str):
                device, boot, sequence = arrival.place
                _LOG.error("%s, boot %d, sequence %d is left out: %s", device, boot, sequence, event)
            else:
                self._take(arrival, event)
            self._newest_ns = max(self._newest_ns, arrival.received_ns)
        self._store.dealt(arrivals)
        if len(arrivals) < PAGE:  # a full page is of the gravest: what came before them may still wait
            self._since_ns = max(self._since_ns, self._newest_ns - _LATE_NS)
        self._watch()
        return len(arrivals)

    def _take(self, arrival: Arrival, event: AnyEvent) -> None:
        if isinstance(event, DeskMessage):
            if self._store.taken(event.id, arrival.place.device, arrival.received_ns):
                self._note_taken(event, arrival)
        elif isinstance(event, TicketReopened):
            self._reopen(arrival, event)
        elif isinstance(event, Feedback) and event.question == DID_IT_HELP:
            ticket = self._mine(event.ticket, arrival)
            if ticket is not None and event.intent == "yes":
                self._close(ticket, "helped", "helped")
        else:
            self._open(arrival, event)

    def _open(self, arrival: Arrival, event: AnyEvent) -> None:
        device, boot, sequence = arrival.place
        case = self.claims.take(device, boot, event, received_ns=arrival.received_ns)
        if case is not None:
            self._follow(case, sequence)

    def _follow(self, case: Ticket, sequence: int) -> None:
        """Keep what is known of a case now."""
        self._on_case(case, self._shown.get(case.number))
        self._shown[case.number] = case
        if len(self._shown) > _SHOWN_MAX:
            del self._shown[next(iter(self._shown))]
        for ticket in self._fresh:
            self._store.keep(opened := replace(ticket, sequence=sequence, severity=case.severity))
            self.acts.tell_opened(opened)
            self._tell(opened, "opened")
        self._fresh.clear()
        kept = self._store.ticket(case.number)
        if kept is None or not kept.is_open:
            return
        if not case.is_open:
            self._close(kept, case.outcome)
        elif case.severity != kept.severity:
            self._store.keep(replace(kept, severity=case.severity))

    def _number(self, device: str, boot: int, kind: Kind, about_ns: int) -> int:
        """The claims desk opens a ticket: the one that is kept of it, or a new one; a closed one stays closed."""
        known = self._store.find(device, boot, kind, about_ns)
        over = known is not None and not known.is_open and known.about_ns != about_ns
        if known is None or (over and not self._catching_up):
            now_ns = self._now_ns()
            known = self._store.open(
                DeskTicket(
                    number=0,
                    device=device,
                    boot=boot,
                    about_ns=about_ns,
                    sequence=0,
                    kind=kind,
                    severity=1,
                    state="open",
                    opened_ns=now_ns,
                    clock_ns=now_ns,
                )
            )
            self._fresh.append(known)
        return known.number

    def _reopen(self, arrival: Arrival, event: TicketReopened) -> None:
        ticket = self._mine(event.ticket, arrival)
        if ticket is not None and (reopened := self.acts.reopen(ticket, call=event.call)) is not ticket:
            self.claims.follow(reopened.number, "")
            self._tell(reopened, "reopened")

    def _watch(self) -> None:
        """Warn of what is overdue; close where it was asked whether it helped and nothing was said for so long."""
        now_ns = self._now_ns()
        for case in self.claims.look(now_ns):
            self._follow(case, 0)
        for ticket in self._store.tickets(is_open=True):
            if ticket.state == "answered" and ticket.asked_ns and now_ns >= ticket.asked_ns + SOLUTION_NS:
                self._close(ticket, "no_word")
            elif (missed := ticket.missed(now_ns)) > ticket.warned:
                self._tell(self.acts.tell_overdue(ticket, missed), "overdue")

    def _close(self, ticket: DeskTicket, outcome: str, word: str = "closed") -> None:
        if ticket.is_open:
            self._tell(self.acts.close(ticket, outcome), word)
        self.claims.follow(ticket.number, outcome)

    def _mine(self, number: int, arrival: Arrival) -> DeskTicket | None:
        """A car may speak of its own tickets only."""
        ticket = self._store.ticket(number) if number else None
        return ticket if ticket is not None and ticket.device == arrival.place.device else None

    def _note_taken(self, event: DeskMessage, arrival: Arrival) -> None:
        """A car that reads nothing out, since its driver wants to be called, has him called."""
        ticket = self._mine(event.ticket, arrival)
        if ticket is None:
            return
        if event.channel == "call" and not ticket.call_back:
            self._store.keep(ticket := replace(ticket, call_back=1))
        self._tell(ticket, f"taken {event.what}")

    def forget(self) -> None:
        """Let go of what is older than any message lives."""
        self._store.forget(self._now_ns() - _KEEP_NS)
