"""All that the insurer's store holds about one ticket, put together for its page."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from agent.core.crash import CrashData, assemble
from agent.core.crash_events import CrashRecord
from agent.core.errors import ProtocolError
from agent.core.events import (
    BatteryAlarm,
    ChargeSession,
    ChargingFault,
    Collision,
    EmergencyData,
    Event,
    Feedback,
    Rollover,
)
from agent.proto.msd import Msd, decode_msd
from fleet.coverage import Hint, Powertrain, hints
from fleet.desk.claims import SAME_CRASH_NS, Ticket
from fleet.desk.reading import CASE_KINDS, event_of
from fleet.receiver.store import Store

_ANSWERED_WITHIN_NS: Final = 600_000_000_000
_CHARGE_NS: Final = 86_400_000_000_000
_OF_OTHERS: Final = frozenset({"collision", "rollover", "battery_alarm", "charge_session"})
_NEW_ENERGY: Final = frozenset({"electric", "hydrogen"})
E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Entry:
    """One event with what the receiver knows of its record. wall_ns: UTC, None where nothing dates it."""

    event: Event
    boot: int
    sequence: int
    wall_ns: int | None
    received_ns: int
    chain: str


@dataclass(frozen=True, slots=True)
class Case:
    """entries: every record of the ticket, by time. records: assembled, by number. problems: what cannot be read.

    talk: what was said to the driver, as a part of the page.
    emergency: each minimum set of data, None for one that is none.
    """

    ticket: Ticket
    entries: Sequence[Entry]
    records: Mapping[int, CrashData] = field(default_factory=dict)
    emergency: Sequence[Msd | None] = ()
    problems: Sequence[str] = ()
    talk: str = ""

    def events(self, kind: type[E]) -> list[E]:
        """Its events of one kind, by time."""
        return [entry.event for entry in self.entries if isinstance(entry.event, kind)]

    @property
    def first(self) -> Entry | None:
        """The entry that the ticket's time is: the first impact, or what came instead of one."""
        told = [one for one in self.entries if isinstance(one.event, (Collision, Rollover))]
        return next(iter(told or self.entries), None)

    @property
    def notice_s(self) -> float | None:
        """How long after T0 the first notice was at the insurer's; None where the clocks do not tell."""
        first = self.first
        told = first is not None and isinstance(first.event, (Collision, Rollover))
        if first is None or not told or first.wall_ns is None or first.received_ns < first.wall_ns:
            return None
        return (first.received_ns - first.wall_ns) / 1e9

    @property
    def powertrain(self) -> Powertrain | None:
        """As the minimum set of data tells it; None where it does not, or a hybrid may be of either edition."""
        driven = {name for msd in self.emergency if msd is not None for name in msd.propulsion}
        if not driven or "other" in driven or (driven & _NEW_ENERGY and driven - _NEW_ENERGY):
            return None
        return "new_energy" if driven & _NEW_ENERGY else "fuel"

    @property
    def hints(self) -> list[Hint]:
        """Covers that it may concern; none where the driver calls it a false alarm, or the box took it back."""
        if self.ticket.false_alarm or self.ticket.outcome == "withdrawn":
            return []
        return hints((entry.event for entry in self.entries), self.powertrain)


def load_cases(store: Store, tickets: Sequence[Ticket], *, with_records: bool) -> list[Case]:
    """Everything of each ticket's boot that belongs to it; each car's rows are read once. Raises StoreError.

    with_records: crash records too, which are most of what a car sends of a crash.
    """
    kinds = tuple(kind for kind in CASE_KINDS if with_records or kind != "crash_record")
    of_car = {device: list(store.events(device, kinds=kinds)) for device in {one.device for one in tickets}}
    return [_make_case(of_car[ticket.device], ticket) for ticket in tickets]


def _make_case(rows: Iterable[Mapping[str, Any]], ticket: Ticket) -> Case:
    entries: list[Entry] = []
    problems: list[str] = []
    for row in rows:
        if row["boot"] != ticket.boot:
            continue
        event = event_of(row["event"])
        if isinstance(event, str):
            problems.append(f"boot {row['boot']}, sequence {row['sequence']}: {event}")
        elif _belongs(event, ticket):
            entries.append(Entry(event, row["boot"], row["sequence"], row["wall_ns"], row["received_ns"], row["chain"]))
    entries.sort(key=lambda entry: (entry.event.t_ns, entry.sequence))
    records: dict[int, CrashData] = {}
    for number, fragments in _by_record(entries).items():
        try:
            records[number] = assemble(fragments)
        except ProtocolError as exc:
            problems.append(str(exc))
    emergency = [_decode(entry.event, problems) for entry in entries if isinstance(entry.event, EmergencyData)]
    return Case(ticket, entries, records, emergency, problems)


def _decode(event: EmergencyData, problems: list[str]) -> Msd | None:
    try:
        return decode_msd(event.msd)
    except ProtocolError as exc:
        problems.append(str(exc))
        return None


def _belongs(event: Event, ticket: Ticket) -> bool:
    of_charge = isinstance(event, (ChargeSession, ChargingFault)) or (
        isinstance(event, Feedback) and event.about == "charge_session"
    )
    if ticket.kind == "charging" or of_charge:
        return ticket.kind == "charging" and of_charge and 0 <= event.t_ns - ticket.opened_ns <= _CHARGE_NS
    if ticket.kind in {"feedback", "idea"}:
        return isinstance(event, Feedback) and event.about not in _OF_OTHERS and event.t_ns >= ticket.opened_ns
    if ticket.kind != "collision":
        return isinstance(event, BatteryAlarm) == (ticket.kind == "battery") and event.t_ns >= ticket.opened_ns
    if isinstance(event, BatteryAlarm):
        return False
    if isinstance(event, Feedback):
        if event.about not in {"collision", "rollover"}:
            return False
        if event.about_ns is None:
            return 0 <= event.t_ns - ticket.opened_ns <= _ANSWERED_WITHIN_NS
        return abs(event.about_ns - ticket.opened_ns) <= SAME_CRASH_NS
    return abs(event.t_ns - ticket.opened_ns) <= SAME_CRASH_NS


def _by_record(entries: Iterable[Entry]) -> dict[int, list[CrashRecord]]:
    found: dict[int, list[CrashRecord]] = {}
    for entry in entries:
        if isinstance(entry.event, CrashRecord):
            found.setdefault(entry.event.record, []).append(entry.event)
    return found
