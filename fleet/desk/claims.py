"""What an insurer's desk makes of events: tickets, how urgent they are, and what is noted on them. Pure.

Time comes with the events. What is said to the driver about a ticket, fleet/desk/desk.py does. Answers and outcomes are
keys of the words in simulators/claims_words.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

from agent.core.events import AnyEvent, BatteryAlarm, ChargingFault, Collision, CrashRecord, Feedback, Rollover
from fleet.desk.claims_records import Progress, Records, RecordState
from fleet.desk.needs import need_of

Kind = Literal["collision", "battery", "brake_noise", "charging", "feedback", "idea"]

SAME_CRASH_NS: Final = 60_000_000_000
"""A second impact belongs to the first, and so does what is said and recorded within it."""
SURE: Final = 0.5
"""Below this confidence a desk asks before it believes."""
_TICKETS_MAX: Final = 100_000
_SEVERITIES: Final = {"minor": 1, "moderate": 2, "severe": 3}
_WANTED: Final = frozenset({"help", "tow", "garage", "damage", "yes"})
_CHARGE_TROUBLE: Final = {"plug": 2, "hot": 2, "charger": 1, "grid": 1, "charger_fault": 1, "pay_trouble": 1, "bad": 1}
"""Of a charge, by what the box saw or the driver said; whatever else is said of one, slowness too, opens no ticket."""
_HARMLESS: Final = {"fine": "driver_is_fine", "no_damage": "no_damage"}


class Note(NamedTuple):
    """What the desk saw: a key of the words, and what stands in their places."""

    key: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ticket:
    """One case. severity: 1 can wait, 2 soon, 3 now. outcome is empty while it is open; opened_ns is of the boot.

    call_back: nobody may have crashed; somebody asks the driver before anything else happens. false_alarm: the driver
    says that it was none. records: the crash records that belong to it, by number. received_ns: when its first event
    came, by the receiver's clock.
    """

    number: int
    device: str
    boot: int
    kind: Kind
    severity: int
    opened_ns: int
    notes: tuple[Note, ...] = ()
    outcome: str = ""
    call_back: bool = False
    false_alarm: bool = False
    records: tuple[tuple[int, RecordState], ...] = ()
    received_ns: int = 0

    @property
    def is_open(self) -> bool:
        """Whether somebody still works on it."""
        return not self.outcome

    @property
    def answer(self) -> str:
        """What the desk does about it."""
        return f"{'call_back' if self.call_back else self.kind}_{self.severity}"


class ClaimsDesk:
    """The same events in the same order give the same tickets. The oldest closed ones are let go beyond a limit."""

    def __init__(self, number: Callable[[str, int, Kind, int], int] | None = None) -> None:
        """number: gives a new ticket its number, out of device, boot, kind and the event's t_ns; else they count."""
        self._number = number
        self._tickets: dict[int, Ticket] = {}
        self._of: dict[str, list[int]] = {}  # a car's tickets, oldest first
        self._opened = 0
        self._records = Records()

    @property
    def tickets(self) -> Sequence[Ticket]:
        """All of them, oldest first."""
        return tuple(self._tickets.values())

    def take(self, device: str, boot: int, event: AnyEvent, *, received_ns: int = 0) -> Ticket | None:
        """Return the ticket that an accepted event has opened or changed, None where it concerns none."""
        self._records.hear(device, received_ns)
        if isinstance(event, Collision):
            note = Note("impact", (f"{event.delta_v_kmh:.0f}",))
            sure = event.confidence >= SURE
            return self._take_crash(device, boot, event, _SEVERITIES[event.severity], note, received_ns, sure=sure)
        if isinstance(event, Rollover):
            note = Note("rollover", (str(event.quarter_turns),))
            return self._take_crash(device, boot, event, 3, note, received_ns)
        if isinstance(event, CrashRecord):
            one, changed = self._records.take(device, boot, event, received_ns)
            return self._take_record(one) if changed or not one.ticket else None
        if isinstance(event, BatteryAlarm):
            return self._take_battery(device, boot, event, received_ns)
        if isinstance(event, ChargingFault):
            note = Note("charging", (event.fault,))
            return self._take_charge(device, boot, event.t_ns, event.fault, note, received_ns)
        if isinstance(event, Feedback) and event.about == "charge_session":
            note = Note("driver", (f"question_{event.question}", event.intent))
            at_ns = event.t_ns if event.about_ns is None else event.about_ns
            return self._take_charge(device, boot, at_ns, event.intent, note, received_ns)
        if isinstance(event, Feedback):
            return self._take_feedback(device, boot, event, received_ns)
        return None

    def look(self, now_ns: int) -> list[Ticket]:
        """Return the tickets of boxes that fell silent in a crash, by the receiver's clock: opened, or changed.

        A record that began and does not end, from a box that says nothing any more, is what a crash looks like that
        destroyed the box. Where not even a first notice came nobody knows how hard it was: it is as urgent as can be.
        """
        return [self._take_silence(one, now_ns) for one in self._records.fall_silent(now_ns)]

    def close(self, number: int, outcome: str) -> Ticket:
        """A case handler is done with it. Raises KeyError for no such ticket, ValueError without an outcome."""
        if not outcome:
            raise ValueError("a ticket is closed with an outcome")
        return self._keep(replace(self._tickets[number], outcome=outcome))

    def follow(self, number: int, outcome: str) -> None:
        """The desk has closed a ticket, or opened it again (no outcome), whatever the events say."""
        ticket = self._tickets.get(number)
        if ticket is not None and ticket.is_open == bool(outcome):
            self._keep(replace(ticket, outcome=outcome))

    def _take_crash(
        self,
        device: str,
        boot: int,
        event: Collision | Rollover,
        severity: int,
        note: Note,
        now_ns: int,
        *,
        sure: bool = True,
    ) -> Ticket:
        ticket = self._find_crash(device, boot, event.t_ns)
        if ticket is None:
            ticket = self._open(device, boot, "collision", severity, event.t_ns, note, now_ns)
            ticket = self._keep(replace(ticket, call_back=not sure))
        else:
            first_ns = min(ticket.opened_ns, event.t_ns)
            ticket = replace(ticket, call_back=ticket.call_back and not sure, opened_ns=first_ns)
            ticket = self._raise(ticket, severity, note)
        for one in self._records.of_crash(device, boot, event.t_ns - SAME_CRASH_NS, event.t_ns + SAME_CRASH_NS):
            if not one.ticket:
                ticket = self._join(ticket, one)
        return ticket

    def _take_record(self, one: Progress) -> Ticket | None:
        """A record joins the ticket that its notice opened; by itself it opens none: it may yet be withdrawn."""
        ticket = self._tickets.get(one.ticket) or self._find_crash(one.device, one.boot, one.t0_ns, closed=True)
        if ticket is None:
            return None
        spoke_again = (one.record, "silent") in ticket.records
        ticket = self._join(ticket, one)
        if one.state == "withdrawn":
            ticket = self._raise(ticket, 0, Note("withdrawn"))
            if ticket.is_open and ticket.call_back and {state for _, state in ticket.records} == {"withdrawn"}:
                ticket = self._keep(replace(ticket, outcome="withdrawn"))
        elif spoke_again:
            ticket = self._raise(ticket, 0, Note("speaks_again"))
        return ticket

    def _take_silence(self, one: Progress, now_ns: int) -> Ticket:
        note = Note("silent")
        ticket = self._tickets.get(one.ticket)
        if ticket is not None:
            return self._join(self._raise(ticket, 2, note), one)
        ticket = self._open(one.device, one.boot, "collision", 3, one.t0_ns, note, now_ns)
        return self._join(replace(ticket, call_back=True), one)

    def _take_battery(self, device: str, boot: int, event: BatteryAlarm, now_ns: int) -> Ticket | None:
        """One ticket for a pack, as severe as its worst alarm; closed by hand: a cleared alarm proves no repair."""
        severity = 3 if event.alarm == "thermal_runaway" or event.level >= 4 else 2 if event.level >= 3 else 1
        note = Note("alarm_over" if event.cleared else "alarm", (event.alarm, str(event.level)))
        open_one = self._find(device, "battery")
        if open_one is not None:
            return self._raise(open_one, 0 if event.cleared else severity, note)
        return None if event.cleared else self._open(device, boot, "battery", severity, event.t_ns, note, now_ns)

    def _take_charge(self, device: str, boot: int, t_ns: int, what: str, note: Note, now_ns: int) -> Ticket | None:
        """One ticket for charges that went wrong; closed where the driver says that he ended the charge himself."""
        severity = _CHARGE_TROUBLE.get(what, 0)
        open_one = self._find(device, "charging")
        if open_one is None:
            return self._open(device, boot, "charging", severity, t_ns, note, now_ns) if severity else None
        ticket = self._raise(open_one, severity, note)
        if what == "by_driver" and ticket.severity < 2:
            return self._keep(replace(ticket, outcome="driver_ended_it"))
        return ticket

    def _take_feedback(self, device: str, boot: int, event: Feedback, now_ns: int) -> Ticket | None:
        """What the driver answered: help makes a crash urgent, fine closes it where nothing else is to be done."""
        note = Note("driver", (f"question_{event.question}", event.intent))
        if event.question == "brake_noise":
            if event.intent != "yes":
                return None
            return self._open(device, boot, "brake_noise", 1, event.t_ns, note, now_ns)
        crash = event.about in {"collision", "rollover"}
        if crash:
            ticket = self._find_crash(device, boot, event.about_ns, closed=event.about_ns is not None)
        elif event.about == "battery_alarm":
            ticket = self._find(device, "battery")
        else:
            return self._take_words(device, boot, event, note, now_ns)
        if ticket is None:
            return None
        if event.intent in _WANTED:  # also behind an answer that has closed it
            severity = 3 if event.intent == "help" else 2 if event.intent == "tow" or event.question == "rescue" else 0
            sure = event.intent == "help"
            return self._raise(replace(ticket, outcome="", call_back=ticket.call_back and not sure), severity, note)
        ticket = self._raise(ticket, 0, note)
        if event.intent == "false_alarm" and crash:
            outcome = "" if ticket.severity >= 3 else "false_alarm"
            return self._keep(replace(ticket, false_alarm=True, outcome=outcome))
        if event.intent in _HARMLESS and crash and ticket.severity < 2:
            return self._keep(replace(ticket, outcome=_HARMLESS[event.intent]))
        return ticket

    def _take_words(self, device: str, boot: int, event: Feedback, note: Note, now_ns: int) -> Ticket | None:
        """Of each kind one open ticket a car."""
        need = None if event.about == "desk_message" else need_of(event)
        if need is None:
            return None
        if event.topic:
            note = Note("topic", (event.topic, event.transcript))
        open_one = self._find(device, need.kind)
        if open_one is None:
            return self._open(device, boot, need.kind, need.severity, event.t_ns, note, now_ns)
        return self._raise(open_one, need.severity, note)

    def _join(self, ticket: Ticket, one: Progress) -> Ticket:
        one.ticket = ticket.number
        records = dict(ticket.records) | {one.record: one.state}
        return self._keep(replace(ticket, records=tuple(sorted(records.items()))))

    def _open(
        self, device: str, boot: int, kind: Kind, severity: int, opened_ns: int, note: Note, now_ns: int
    ) -> Ticket:
        self._opened += 1
        number = self._number(device, boot, kind, opened_ns) if self._number else self._opened
        return self._keep(Ticket(number, device, boot, kind, severity, opened_ns, (note,), received_ns=now_ns))

    def _raise(self, ticket: Ticket, severity: int, note: Note) -> Ticket:
        return self._keep(replace(ticket, severity=max(severity, ticket.severity), notes=(*ticket.notes, note)[-50:]))

    def _find(self, device: str, kind: Kind) -> Ticket | None:
        """The newest open ticket of that kind."""
        return next(
            (one for one in self._newest(device) if one.is_open and one.kind == kind),
            None,
        )

    def _find_crash(self, device: str, boot: int, t_ns: int | None, *, closed: bool = False) -> Ticket | None:
        """The newest ticket of a crash at about that time of that boot (its times say nothing of another one).

        t_ns None: at any time.
        """
        for one in self._newest(device):
            mine = (one.boot, one.kind) == (boot, "collision") and (closed or one.is_open)
            if mine and (t_ns is None or abs(t_ns - one.opened_ns) <= SAME_CRASH_NS):
                return one
        return None

    def _newest(self, device: str) -> Iterator[Ticket]:
        return (self._tickets[number] for number in reversed(self._of.get(device, ())))

    def _keep(self, ticket: Ticket) -> Ticket:
        if ticket.number not in self._tickets:
            self._of.setdefault(ticket.device, []).append(ticket.number)
        self._tickets[ticket.number] = ticket
        if len(self._tickets) > _TICKETS_MAX:
            oldest = self._tickets[min(self._tickets)]
            self._let_go(next((one for one in self._tickets.values() if not one.is_open), oldest))
        return ticket

    def _let_go(self, ticket: Ticket) -> None:
        del self._tickets[ticket.number]
        self._of[ticket.device].remove(ticket.number)
        if not self._of[ticket.device]:
            del self._of[ticket.device]
