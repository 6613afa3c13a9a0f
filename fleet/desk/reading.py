"""Events of a receiver's store as the desk reads them."""

from collections.abc import Iterable, Mapping
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
from fleet.desk.store import Arrival
from fleet.desk.ticket import DeskTicket

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
    kind = DESK_KINDS.get(str(event.get("kind")))
    if kind is None:
        return "no event of a kind that a desk knows"
    try:
        found: AnyEvent = msgspec.convert(event, kind)  # type: ignore[assignment]  # all are of AnyEvent
    except msgspec.ValidationError as exc:
        return str(exc)
    return found


def read_tickets(arrivals: Iterable[Arrival], desk: ClaimsDesk, *, closed: Iterable[DeskTicket] = ()) -> None:
    """Show a desk what the store holds already, both in the order in which it was: what came, and which were closed.

    What is no event is left out. Raises StoreError.
    """
    closing = iter(closed)
    ticket = next(closing, None)
    for arrival in arrivals:
        while ticket is not None and (ticket.closed_ns or 0) < arrival.received_ns:
            desk.follow(ticket.number, ticket.outcome)
            ticket = next(closing, None)
        event = event_of(arrival.event)
        if not isinstance(event, str):
            desk.take(arrival.place.device, arrival.place.boot, event, received_ns=arrival.received_ns)
    while ticket is not None:
        desk.follow(ticket.number, ticket.outcome)
        ticket = next(closing, None)
