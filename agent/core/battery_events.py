"""What the agent tells of the traction battery's cells, its charging, its sensors and of the 12 V battery."""

from typing import ClassVar, Literal

from agent.core.event_base import Event, Priority, Purpose

AdviceLevel = Literal["advice", "service_soon", "stop_now"]
CellFault = Literal["weak_cell", "contact_resistance", "micro_short", "pack_changed"]
Feature = Literal["rest_voltage", "resistance", "self_discharge", "pattern"]
Action = Literal["mention_at_service", "book_service", "leave_the_car", "none"]


class BatteryAdvice(Event, frozen=True, kw_only=True, tag="battery_advice"):
    """A cell behaves unlike the others, long before a limit is broken: which one, in what, since when, how sure.

    cell counts from 0; None speaks of the pack (`pack_changed`: the cells are others than before, and are learnt anew).
    value is the cell's feature and spread one standard deviation of the other cells', both in `unit`: its rest voltage
    against the median cell in V, its resistance beyond the median cell's in Ohm, its leak in A. confidence is 0 to 1.
    since_days: how long ago it began, as far as is known. action is what to do; levels: advice (nothing hurries),
    service_soon (within days), stop_now.
    """

    priority: ClassVar[Priority] = Priority.SAFETY
    purpose: ClassVar[Purpose] = "safety"

    level: AdviceLevel
    fault: CellFault
    cell: int | None
    feature: Feature
    value: float
    spread: float
    unit: str
    since_days: float
    confidence: float
    action: Action


class SensorFault(Event, frozen=True, kw_only=True, tag="sensor_fault"):
    """A sensor of the pack lies, and what it says is not believed: no cell can do what it shows.

    signal is its VSS path; value what it shows and expected what the rest of the pack says it should, in `unit`.
    """

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose] = "diagnostics"

    signal: str
    fault: Literal["stuck", "offset", "drift"]
    value: float
    expected: float
    unit: str
