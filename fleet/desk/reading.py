"""Events of a receiver's store as the desk reads them."""

from collections.abc import Callable, Mapping
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
from fleet.desk.store import DeskStore
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
) -> None:
    """Show a desk what the store holds already, in the order in which it came; all at once. Raises StoreError.

    wanted: whether an event of this place, received then, shall be shown.
    """
    rows = sorted(store.events(device, kinds=tuple(CASE_KINDS)), key=lambda row: row["received_ns"])
    for row in rows:
        event = event_of(row["event"])
        place = Place(row["device"], row["boot"], row["sequence"])
        if not isinstance(event, str) and wanted(place, row["received_ns"]):
            desk.take(row["device"], row["boot"], event, received_ns=row["received_ns"])


def follow_kept(store: DeskStore, desk: ClaimsDesk) -> None:
    """Close what the desk has closed by hand, or after the driver's word. Raises StoreError."""
    for ticket in store.tickets():
        desk.follow(ticket.number, ticket.outcome)
