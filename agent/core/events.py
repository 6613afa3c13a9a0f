"""What the agent tells: frozen, versioned structs. docs/wire.md describes their CBOR.

Every event has t_ns, the monotonic time at which it became true; wall time joins only when it is encoded.
`version` counts the shape of one kind, `priority` decides what a full disk or a thin link lets go first,
`purpose` is what the driver consents to.
"""

from typing import ClassVar, Literal

import msgspec

from agent.core.battery_events import (
    BatteryAdvice,
    BatteryAlarm,
    BatteryHealth,
    BatteryReport,
    ChargeSession,
    ChargingFault,
    LowVoltageAlarm,
    PackSensorFault,
)
from agent.core.bus_events import BusAnomaly, BusHabits
from agent.core.crash_events import Collision, CrashRecord, DeviceShock, EmergencyData, RoadImpact, Rollover
from agent.core.diagnosis_events import Diagnosis, EngineAdvice, TroubleCodes
from agent.core.event_base import Event, Priority, Purpose

__all__ = [
    "AgentStarted",
    "AgentStopped",
    "Anomaly",
    "AnyEvent",
    "BatteryAdvice",
    "BatteryAlarm",
    "BatteryHealth",
    "BatteryReport",
    "BusAnomaly",
    "BusHabits",
    "ChargeSession",
    "ChargingFault",
    "Collision",
    "ConfigApplied",
    "ConfigRejected",
    "CrashRecord",
    "DeviceShock",
    "Diagnosis",
    "EmergencyData",
    "EngineAdvice",
    "Event",
    "Feedback",
    "HarshDriving",
    "LowVoltageAlarm",
    "ModelChanged",
    "ModelReport",
    "PackSensorFault",
    "Priority",
    "Purpose",
    "RecordsDamaged",
    "RecordsShed",
    "RoadImpact",
    "Rollover",
    "SourceChanged",
    "Telemetry",
    "TripEnded",
    "TripStarted",
    "TroubleCodes",
]


class AgentStarted(Event, frozen=True, kw_only=True, tag="agent_started"):
    """The daemon came up."""

    agent_version: str
    config_version: int
    profile: str


class AgentStopped(Event, frozen=True, kw_only=True, tag="agent_stopped"):
    """The daemon went down in order."""

    reason: str


class SourceChanged(Event, frozen=True, kw_only=True, tag="source_changed"):
    """A bus, dongle or sensor was lost, was silenced for the car's sake (a wake loop), or came back."""

    source: str
    state: Literal["lost", "silenced", "restored"]
    detail: str = ""


class ModelChanged(Event, frozen=True, kw_only=True, tag="model_changed"):
    """A model was refused, went down or was given up after dying too often (rules carry on alone), or came back."""

    model: str
    state: Literal["refused", "down", "restored", "given_up"]
    reason: str = ""


class ModelReport(Event, frozen=True, kw_only=True, tag="model_report"):
    """How a model did over so many windows: told at most once a day, where there is a shadow or something drifted.

    over counts windows at or above the model's threshold. shadow is a second model that scored in silence over
    compared of them: shadow_over at or above its own threshold, disagreed where only one of the two was. drifted
    names inputs whose population stability index against the training reached the manifest's limit; psi_max is the
    largest of any input, None while there were too few windows to say.
    """

    model: str
    windows: int
    over: int
    shadow: str = ""
    compared: int = 0
    shadow_over: int = 0
    disagreed: int = 0
    drifted: list[str] = msgspec.field(default_factory=list)
    psi_max: float | None = None


class TripStarted(Event, frozen=True, kw_only=True, tag="trip_started"):
    """The car set off. t_ns is the first moving sample."""

    purpose: ClassVar[Purpose] = "ubi_score"


class TripEnded(Event, frozen=True, kw_only=True, tag="trip_ended"):
    """The car stood long enough, or the data ended. t_ns is the last moving sample."""

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose] = "ubi_score"

    started_ns: int
    duration_s: float
    distance_m: float
    speed_max_kmh: float
    harsh_acceleration_count: int = 0
    harsh_braking_count: int = 0
    harsh_cornering_count: int = 0


class HarshDriving(Event, frozen=True, kw_only=True, tag="harsh_driving"):
    """Acceleration beyond the configured limit for long enough. t_ns is its onset."""

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose] = "ubi_score"

    maneuver: Literal["acceleration", "braking", "cornering"]
    peak_mps2: float
    duration_s: float
    speed_kmh: float | None = None
    basis: Literal["imu", "speed"] = "imu"


class Anomaly(Event, frozen=True, kw_only=True, tag="anomaly"):
    """A model finds the recent window unlike its training drives. A hint, never a verdict."""

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose] = "diagnostics"

    model: str
    score: float
    threshold: float
    signal: str = ""


class Feedback(Event, frozen=True, kw_only=True, tag="feedback"):
    """What the driver answered to a question about an event of kind `about`.

    intent: one of the question's answers, "none" for silence, "unclear" for words that are none of them. about_ns is
    the t_ns of that event, so that an answer belongs to one crash record; None in records of older software.
    It goes before the detail of a crash, and is on the disk at once.
    """

    priority: ClassVar[Priority] = Priority.SAFETY
    purpose: ClassVar[Purpose] = "feedback"

    question: str
    about: str
    intent: str
    transcript: str
    confidence: float
    language: Literal["zh", "en"]
    asked_ns: int
    about_ns: int | None = None


class RecordsShed(Event, frozen=True, kw_only=True, tag="records_shed"):
    """The store was full and let records go, all of one priority, unsent: the oldest, from first to last.

    first_ns and last_ns are when they were stored, in monotonic ns of their boots. Others of the same boots may remain.
    """

    priority: ClassVar[Priority] = Priority.SERVICE

    of_priority: int
    records: int
    size_bytes: int
    first_boot: int
    first_sequence: int
    first_ns: int
    last_boot: int
    last_sequence: int
    last_ns: int


class RecordsDamaged(Event, frozen=True, kw_only=True, tag="records_damaged"):
    """The disk spoilt records: quarantined ones are kept but not sent; unreadable ones are counted where that is known.

    recovered counts the records of a file that had to be rebuilt; file is the damaged one's name, kept, "" if none.
    """

    priority: ClassVar[Priority] = Priority.SERVICE

    quarantined: int
    unreadable: int | None
    recovered: int
    file: str


class ConfigApplied(Event, frozen=True, kw_only=True, tag="config_applied"):
    """A pushed bundle became the running config."""

    priority: ClassVar[Priority] = Priority.SERVICE

    bundle: str
    config_version: int
    sha256: str


class ConfigRejected(Event, frozen=True, kw_only=True, tag="config_rejected"):
    """A pushed bundle was refused; the running config stays."""

    priority: ClassVar[Priority] = Priority.SERVICE

    bundle: str
    reason: str


class Telemetry(Event, frozen=True, kw_only=True, tag="telemetry"):
    """Signals as they were, sampled evenly. t_ns is the first sample's time; period_s lies between two.

    Each of the signals (VSS paths) has count samples in columns, in whole steps of its unit; see agent.core.telemetry.
    """

    purpose: ClassVar[Purpose] = "service"

    period_s: float
    count: int
    signals: list[str]
    steps: list[float]
    columns: bytes


AnyEvent = (
    AgentStarted
    | AgentStopped
    | SourceChanged
    | ModelChanged
    | ModelReport
    | TripStarted
    | TripEnded
    | HarshDriving
    | RoadImpact
    | Collision
    | Rollover
    | DeviceShock
    | CrashRecord
    | EmergencyData
    | BatteryAlarm
    | Anomaly
    | Feedback
    | Telemetry
    | RecordsShed
    | RecordsDamaged
    | ConfigApplied
    | ConfigRejected
    | BatteryAdvice
    | PackSensorFault
    | LowVoltageAlarm
    | ChargeSession
    | ChargingFault
    | BatteryHealth
    | EngineAdvice
    | TroubleCodes
    | Diagnosis
    | BatteryReport
    | BusAnomaly
    | BusHabits
)
"""The closed set that may leave the car; msgspec decodes by the `kind` tag."""
