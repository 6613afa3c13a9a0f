"""What the agent tells of the car's own health: what its engine shows."""

from typing import ClassVar, Literal

from agent.core.event_base import Event, Priority, Purpose

EngineLevel = Literal["advice", "service_soon", "stop_now"]
EngineFault = Literal[
    "misfire",
    "lean_mixture",
    "rich_mixture",
    "thermostat",
    "overheating",
    "sensor_stuck",
    "sensor_implausible",
]


class EngineAdvice(Event, frozen=True, kw_only=True, tag="engine_advice"):
    """A combustion engine runs unlike a healthy one for minutes, whether it has told a trouble code or not.

    t_ns is the end of the time that showed it, seconds how much of it counted. value is what was measured and expected
    the limit or what it should be, both in `unit`; signal is the VSS path it was seen in. Levels: advice (mention it
    at the next service), service_soon (within days), stop_now.
    """

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose] = "service"

    level: EngineLevel
    fault: EngineFault
    signal: str
    value: float
    expected: float
    unit: str
    seconds: float
