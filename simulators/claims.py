"""The insurer's claims desk: opens tickets from events, answers them, closes them. Pure; time comes with the events.

An answer stays at the desk: the way down to a car carries signed receipts and signed config, and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from agent.core.events import AnyEvent, BatteryAlarm, Collision, Feedback, Rollover

Kind = Literal["collision", "battery", "brake_noise"]

_TICKETS_MAX: Final = 100_000
_SAME_CRASH_NS: Final = 60_000_000_000  # a second impact belongs to the first
_SEVERE_KMH: Final = 25.0  # delta-v from which people are often hurt: a desk's rule of thumb, no medical statement
_ANSWERS: Final = {
    ("collision", 3): "Emergency services and a case handler were called.",
    ("collision", 2): "A case handler will call you within the hour.",
    ("collision", 1): "Your claim is open; send photographs when it suits you.",
    ("battery", 3): "Keep away from the car. The fire brigade and a tow truck were called.",
    ("battery", 2): "A tow truck is on its way; please do not charge the car.",
    ("battery", 1): "Please have the battery checked; a garage near you has been told.",
    ("brake_noise", 1): "A garage appointment for your brakes was asked for.",
}


@dataclass(frozen=True, slots=True)
class Ticket:
    """One case. severity: 1 can wait, 2 soon, 3 now. outcome is empty while it is open; opened_ns is of the boot."""

    number: int
    device: str
    boot: int
    kind: Kind
    severity: int
    opened_ns: int
    answer: str
    notes: tuple[str, ...] = ()
    outcome: str = ""

    @property
    def is_open(self) -> bool:
        """Whether somebody still works on it."""
        return not self.outcome


class ClaimsDesk:
    """The same events in the same order give the same tickets. The oldest closed ones are let go beyond a limit."""

    def __init__(self) -> None:
        self._tickets: dict[int, Ticket] = {}
        self._opened = 0

    @property
    def tickets(self) -> Sequence[Ticket]:
        """All of them, oldest first."""
        return tuple(self._tickets.values())

    def take(self, device: str, boot: int, event: AnyEvent) -> Ticket | None:
        """Return the ticket that an accepted event has opened or changed, None where it concerns none."""
        if isinstance(event, Collision):
            severity = 3 if event.delta_v_kmh >= _SEVERE_KMH else 1 if event.stationary else 2
            return self._take_crash(device, boot, event.t_ns, severity, f"delta-v {event.delta_v_kmh:.0f} km/h")
        if isinstance(event, Rollover):
            return self._take_crash(device, boot, event.t_ns, 3, f"rollover, {event.quarter_turns} quarter turns")
        if isinstance(event, BatteryAlarm):
            return self._take_battery(device, boot, event)
        if isinstance(event, Feedback):
            return self._take_feedback(device, boot, event)
        return None

    def close(self, number: int, outcome: str) -> Ticket:
        """A case handler is done with it. Raises KeyError for no such ticket, ValueError without an outcome."""
        if not outcome:
            raise ValueError("a ticket is closed with an outcome")
        return self._keep(replace(self._tickets[number], outcome=outcome))

    def _take_crash(self, device: str, boot: int, t_ns: int, severity: int, note: str) -> Ticket:
        open_one = self._find(device, boot, "collision")
        if open_one is not None and t_ns - open_one.opened_ns <= _SAME_CRASH_NS:
            return self._raise(open_one, severity, f"another impact, {note}")
        return self._open(device, boot, "collision", severity, t_ns, note)

    def _take_battery(self, device: str, boot: int, event: BatteryAlarm) -> Ticket | None:
        """One ticket for a pack, as severe as its worst alarm; closed by hand: a cleared alarm proves no repair."""
        severity = 3 if event.alarm == "thermal_runaway" or event.level >= 4 else 2 if event.level >= 3 else 1
        note = f"{event.alarm} {'cleared' if event.cleared else f'level {event.level}'}"
        open_one = self._find(device, boot, "battery")
        if open_one is not None:
            return self._raise(open_one, 0 if event.cleared else severity, note)
        return None if event.cleared else self._open(device, boot, "battery", severity, event.t_ns, note)

    def _take_feedback(self, device: str, boot: int, event: Feedback) -> Ticket | None:
        """What the driver answered: help makes a crash urgent, fine closes it where nobody has to come anyway."""
        note = f"driver: {event.intent}"
        if event.question == "brake_noise":
            return self._open(device, boot, "brake_noise", 1, event.t_ns, note) if event.intent == "yes" else None
        open_one = self._find(device, boot, "collision" if event.about in {"collision", "rollover"} else "battery")
        if open_one is None:
            return None
        if event.intent in {"help", "yes"}:
            return self._raise(open_one, 3 if event.intent == "help" else 2, note)
        if event.intent == "fine" and open_one.kind == "collision" and open_one.severity < 3:
            return self._keep(replace(open_one, notes=(*open_one.notes, note), outcome="driver is fine"))
        return self._raise(open_one, 0, note)

    def _open(self, device: str, boot: int, kind: Kind, severity: int, opened_ns: int, note: str) -> Ticket:
        self._opened += 1
        answer = _ANSWERS[kind, severity]
        return self._keep(Ticket(self._opened, device, boot, kind, severity, opened_ns, answer, (note,)))

    def _raise(self, ticket: Ticket, severity: int, note: str) -> Ticket:
        worse = max(severity, ticket.severity)
        answer = _ANSWERS[ticket.kind, worse]
        return self._keep(replace(ticket, severity=worse, answer=answer, notes=(*ticket.notes, note)[-50:]))

    def _find(self, device: str, boot: int, kind: Kind) -> Ticket | None:
        """The newest open ticket of that kind; a crash's of this boot only, since its times are of one boot."""
        found = [
            ticket
            for ticket in self._tickets.values()
            if ticket.is_open and ticket.device == device and ticket.kind == kind
        ]
        return next((ticket for ticket in reversed(found) if kind != "collision" or ticket.boot == boot), None)

    def _keep(self, ticket: Ticket) -> Ticket:
        self._tickets[ticket.number] = ticket
        if len(self._tickets) > _TICKETS_MAX:
            oldest = next((one.number for one in self._tickets.values() if not one.is_open), min(self._tickets))
            del self._tickets[oldest]
        return ticket
