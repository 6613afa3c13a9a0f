"""What the agent tells of the car's own health: its trouble codes, what may be behind them, what its engine shows."""

from typing import ClassVar, Literal

import msgspec

from agent.core.event_base import Event, Leaves, Priority, Purpose

Drive = Literal["go_on", "to_a_garage", "stop_now"]
"""How far one may drive, the least cautious first; to_a_garage means gently, and no further."""

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
    leaves: ClassVar[Leaves] = {"service": "level fault signal value expected unit seconds"}

    level: EngineLevel
    fault: EngineFault
    signal: str
    value: float
    expected: float
    unit: str
    seconds: float


class TroubleCodes(Event, frozen=True, kw_only=True, tag="trouble_codes"):
    """What a car's control units remember of faults is another than before: told once for each change.

    stored, pending and permanent are all codes there now, those of trucks as SPN and FMI; added and gone what changed.
    frozen is the code that froze a frame of values ("" where none did): frame_signals are VSS paths and frame_values
    what they had then. after_restart: the agent has just come up, and may have told of these before.
    """

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose] = "service"
    leaves: ClassVar[Leaves] = {
        "service": "source stored pending permanent added gone after_restart frozen frame_signals frame_values",
    }

    source: str
    stored: list[str]
    pending: list[str]
    permanent: list[str]
    added: list[str]
    gone: list[str]
    after_restart: bool = False
    frozen: str = ""
    frame_signals: list[str] = msgspec.field(default_factory=list)
    frame_values: list[float] = msgspec.field(default_factory=list)


class Diagnosis(Event, frozen=True, kw_only=True, tag="diagnosis"):
    """What may be behind new trouble codes of one group, and how far one may drive with it.

    causes are names of firmware_config/diagnosis, the likeliest first, points what each came to: the rule base's own
    and the sum of its evidence. evidence_of[i] is the place in causes that evidence[i] speaks of, evidence_points[i]
    what it added, evidence_values[i] the figure it saw, None where there is none. limits name what forbids to drive
    on. A code that the rule base does not know has no causes. confirmed: False while all of the codes are pending only.
    """

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose] = "service"
    leaves: ClassVar[Leaves] = {
        "service": "codes confirmed drive causes points evidence_of evidence evidence_points evidence_values limits",
    }

    codes: list[str]
    confirmed: bool
    drive: Drive
    causes: list[str]
    points: list[int]
    evidence_of: list[int]
    evidence: list[str]
    evidence_points: list[int]
    evidence_values: list[float | None]
    limits: list[str]
