"""Events of a receiver's store as the desk reads them."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from agent.core.crash_events import CrashRecord
from agent.core.desk_events import DeskMessage, TicketReopened
from agent.core.events import (
    AnyEvent,
    BatteryAlarm,
    ChargeSession,
    ChargingFault,
    Collision,
    EmergencyData,
    Event,
    Feedback,
    Rollover,
)
from fleet.desk.claims import ClaimsDesk
from fleet.desk.ticket import DeskTicket
from fleet.receiver.store import Place, Store

CASE_KINDS: Final[Mapping[str, type[Event]]] = {
    "collision": Collision,
    "rollover": Rollover,
    "crash_record": CrashRecord,
    "emergency_data": EmergencyData,
    "feedback": Feedback,
    "battery_alarm": BatteryAlarm,
    "charge_session": ChargeSession,
    "charging_fault": ChargingFault,
}
"""What concerns a case."""
DESK_KINDS: Final[Mapping[str, type[Event]]] = {
    **CASE_KINDS,
    "desk_message": DeskMessage,
    "ticket_reopened": TicketReopened,
}
"""The same, and what cars say of the desk's own messages."""


def event_of(event: Mapping[str, Any]) -> AnyEvent | str:
    """The event of a row of one of DESK_KINDS, or why it is none: JSON has no word for what is no number."""
    try:
        found: AnyEvent = msgspec.convert(event, DESK_KINDS[event["kind"]])  # type: ignore[assignment]  # all are of AnyEvent
    except msgspec.ValidationError as exc:
        return str(exc)
    return found


def read_tickets(
    store: Store,
    desk: ClaimsDesk,
    *,
    device: str | None = None,
    wanted: Callable[[Place, int], bool] = lambda *_: True,
    kept: Sequence[DeskTicket] = (),
) -> None:
    """Show a desk what the store holds already, in the order in which it came; all at once. Raises StoreError.

    wanted: whether an event of this place, received then, shall be shown. kept: the desk's tickets, of which each is
    closed when it was.
    """
    closed = deque(sorted((one for one in kept if one.closed_ns is not None), key=_closed_ns))
    rows = sorted(store.events(device, kinds=tuple(CASE_KINDS)), key=lambda row: row["received_ns"])
    for row in rows:
        while closed and _closed_ns(closed[0]) < row["received_ns"]:
            _follow(desk, closed.popleft())
        event = event_of(row["event"])
        place = Place(row["device"], row["boot"], row["sequence"])
        if not isinstance(event, str) and wanted(place, row["received_ns"]):
            desk.take(row["device"], row["boot"], event, received_ns=row["received_ns"])
    for ticket in closed:
        _follow(desk, ticket)


def _closed_ns(ticket: DeskTicket) -> int:
    return ticket.closed_ns or 0


def _follow(desk: ClaimsDesk, ticket: DeskTicket) -> None:
    desk.follow(ticket.number, ticket.outcome)
