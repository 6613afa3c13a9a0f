"""What the agent tells: frozen, versioned structs. docs/wire.md describes their CBOR.

Every event has t_ns, the monotonic time at which it became true; wall time joins only when it is encoded.
`version` counts the shape of one kind, `priority` decides what a full disk or a thin link lets go first,
`purpose` is what the driver consents to, and `leaves` on which ground each field may leave the car.
"""

from typing import ClassVar, Literal

import msgspec

from agent.core.battery_events import (
    BatteryAdvice,
    BatteryAlarm,
    ChargeSession,
    ChargingFault,
    LowVoltageAlarm,
    PackSensorFault,
)
from agent.core.battery_report_events import BatteryHealth, BatteryReport
from agent.core.bus_events import BusAnomaly, BusHabits
from agent.core.crash_events import Collision, CrashRecord, DeviceShock, EmergencyData, RoadImpact, Rollover
from agent.core.desk_events import DeskMessage, TicketReopened
from agent.core.diagnosis_events import Diagnosis, EngineAdvice, TroubleCodes
from agent.core.event_base import Event, Ground, Leaves, Priority, Purpose
from agent.core.privacy_events import ConsentChanged, ErasureRequested, RecordsErased
from agent.core.system_events import (
    AgentStarted,
    AgentStopped,
    ConfigApplied,
    ConfigRejected,
    ModelChanged,
    ModelReport,
    RecordsDamaged,
    RecordsShed,
    SourceChanged,
)
from agent.core.voice_events import VoiceClip

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
    "ConsentChanged",
    "CrashRecord",
    "DeskMessage",
    "DeviceShock",
    "Diagnosis",
    "EmergencyData",
    "EngineAdvice",
    "ErasureRequested",
    "Event",
    "Feedback",
    "Ground",
    "HarshDriving",
    "Leaves",
    "LowVoltageAlarm",
    "ModelChanged",
    "ModelReport",
    "PackSensorFault",
    "Priority",
    "Purpose",
    "RecordsDamaged",
    "RecordsErased",
    "RecordsShed",
    "RoadImpact",
    "Rollover",
    "SourceChanged",
    "Telemetry",
    "TicketReopened",
    "TripEnded",
    "TripStarted",
    "TroubleCodes",
    "VoiceClip",
]


class TripStarted(Event, frozen=True, kw_only=True, tag="trip_started"):
    """The car set off. t_ns is the first moving sample."""

    purpose: ClassVar[Purpose] = "ubi_score"
    leaves: ClassVar[Leaves] = {"ubi_detail": "t_ns"}


class TripEnded(Event, frozen=True, kw_only=True, tag="trip_ended"):
    """The car stood long enough, or the data ended. t_ns is the last moving sample."""

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose] = "ubi_score"
    leaves: ClassVar[Leaves] = {
        "ubi_score": """
        started_ns duration_s distance_m speed_max_kmh harsh_acceleration_count harsh_braking_count
        harsh_cornering_count
        """,
    }

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
    leaves: ClassVar[Leaves] = {"ubi_detail": "maneuver peak_mps2 duration_s speed_kmh basis"}

    maneuver: Literal["acceleration", "braking", "cornering"]
    peak_mps2: float
    duration_s: float
    speed_kmh: float | None = None
    basis: Literal["imu", "speed"] = "imu"


class Anomaly(Event, frozen=True, kw_only=True, tag="anomaly"):
    """A model takes the recent window for a fault, which shows in a signal. A hint, never a verdict."""

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose] = "diagnostics"
    leaves: ClassVar[Leaves] = {"diagnostics": "model score threshold signal fault"}

    model: str
    score: float
    threshold: float
    signal: str = ""
    fault: str = ""


class Feedback(Event, frozen=True, kw_only=True, tag="feedback"):
    """What the driver answered to a question about an event of kind `about`.

    intent: one of the question's answers, "none" for silence, "unclear" for words that are none of them. about_ns is
    the t_ns of that event, so that an answer belongs to one crash record; None in records of older software.
    ticket: the insurer's that it belongs to, 0 for none; tickets: his other open ones.

    What was said is read once more as free words: topic, sentiment, urgency and wish, "" where nothing was said. The
    rest is the car around it. signals: VSS paths, each with the least, mean, largest and last value of the minute
    before in signal_values; codes: trouble codes as of now; trends: of the engine, by name; causes: the likeliest of
    the diagnosis of diagnosis_ns; earlier: kinds of events of the hour before, and when they were.

    It goes before the detail of a crash, and is on the disk at once.
    """

    priority: ClassVar[Priority] = Priority.SAFETY
    purpose: ClassVar[Purpose] = "feedback"
    leaves: ClassVar[Leaves] = {
        "feedback": "question about intent transcript confidence language asked_ns about_ns ticket topic sentiment"
        " urgency wish tickets",
        "service": "signals signal_values codes trends trend_values causes diagnosis_ns earlier earlier_ns",
    }

    question: str
    about: str
    intent: str
    transcript: str
    confidence: float
    language: Literal["zh", "en"]
    asked_ns: int
    about_ns: int | None = None
    ticket: int = 0
    topic: str = ""
    sentiment: Literal["negative", "neutral", "positive", ""] = ""
    urgency: Literal["now", "soon", "can_wait", ""] = ""
    wish: str = ""
    signals: list[str] = msgspec.field(default_factory=list)
    signal_values: list[float] = msgspec.field(default_factory=list)
    codes: list[str] = msgspec.field(default_factory=list)
    trends: list[str] = msgspec.field(default_factory=list)
    trend_values: list[float] = msgspec.field(default_factory=list)
    causes: list[str] = msgspec.field(default_factory=list)
    diagnosis_ns: int | None = None
    earlier: list[str] = msgspec.field(default_factory=list)
    earlier_ns: list[int] = msgspec.field(default_factory=list)
    tickets: list[int] = msgspec.field(default_factory=list)


class Telemetry(Event, frozen=True, kw_only=True, tag="telemetry"):
    """Signals as they were, sampled evenly. t_ns is the first sample's time; period_s lies between two.

    Each of the signals (VSS paths) has count samples in columns, in whole steps of its unit; see agent.core.telemetry.
    """

    purpose: ClassVar[Purpose] = "service"
    leaves: ClassVar[Leaves] = {"service": "period_s count signals steps columns"}

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
    | ConsentChanged
    | DeskMessage
    | TicketReopened
    | ErasureRequested
    | RecordsErased
    | VoiceClip
)
"""The closed set that may leave the car; msgspec decodes by the `kind` tag."""
