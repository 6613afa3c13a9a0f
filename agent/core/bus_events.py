"""What the agent tells of the CAN bus itself: frames that do not belong there, and what it takes for normal."""

from typing import ClassVar, Literal

from agent.core.event_base import Event, Leaves, Priority

BusFinding = Literal["flood", "unknown_identifier", "injected", "forged_payload", "held_payload"]


class BusAnomaly(Event, frozen=True, kw_only=True, tag="bus_anomaly"):
    """Frames that the car does not send, by the habits of its bus: a hint at a fault or an attack, never a verdict.

    flood: one identifier hundreds of times a second; unknown_identifier: the car does not use it; injected: a second
    sender speaks between a control unit's own frames; forged_payload: bits turn that do not turn; held_payload: one
    that never rests says the same for long, as an old frame in its sender's place, or a control unit that hangs, does.
    identifiers: the first 8 as frame keys (bit 31 set for 29 bits), more: there are others. frames since the last event
    of this finding, from first_ns to last_ns.
    """

    priority: ClassVar[Priority] = Priority.SERVICE
    leaves: ClassVar[Leaves] = {"diagnostics": "bus finding identifiers more frames first_ns last_ns"}

    bus: int
    finding: BusFinding
    identifiers: list[int]
    more: bool
    frames: int
    first_ns: int
    last_ns: int


class BusHabits(Event, frozen=True, kw_only=True, tag="bus_habits"):
    """What is normal on a bus has been learnt, of so many identifiers; or is learnt anew, for so many are new."""

    priority: ClassVar[Priority] = Priority.SERVICE
    leaves: ClassVar[Leaves] = {"diagnostics": "bus state identifiers"}

    bus: int
    state: Literal["learnt", "relearning"]
    identifiers: int
