"""What the agent tells of collisions and shocks. docs/wire.md describes their CBOR."""

from typing import ClassVar, Literal

import msgspec

from agent.core.event_base import Event, Leaves, Priority, Purpose

LimitOfData = Literal[
    "clipped", "mounting_unknown", "sensor_died", "samples_lost", "rate_wanders", "stuck_axis", "clock_jumped"
]


class RoadImpact(Event, frozen=True, kw_only=True, tag="road_impact"):
    """A pothole, kerb or bump: a short shock without the delta-v of a collision."""

    purpose: ClassVar[Purpose] = "claims"
    leaves: ClassVar[Leaves] = {"claims": "peak_mps2 speed_kmh"}

    peak_mps2: float
    speed_kmh: float | None = None


class Collision(Event, frozen=True, kw_only=True, tag="collision"):
    """Delta-v of at least the trigger within 150 ms (EDR-like; 49 CFR 563 semantics, no conformity claimed).

    The first notice of loss: all that a claims desk needs to act, small enough for the worst link.

    t_ns is T0; delta-v in km/h with x forward and y right, reached max_after_ms after T0; clipped: the sensor was at
    its end, so delta-v, peak and asi are lower bounds. pdof_deg is the principal direction of force, 0 from ahead, 90
    from the right, None where the mounting is not known; crash_mode is the side that it names. asi: acceleration
    severity index by EN 1317-1:1998 (50 ms means). multi_event counts the impacts of one crash, which begin within 5 s
    of the first; since_first_s is the time from the first one's T0 to this one's, None for the first.

    confidence, 0 to 1, joins what the rules, the model (None: it did not speak) and the car's own signals say; the
    latter are None where the car does not tell. belted and occupants count seats. drivable is a hint. features: what
    the model saw, in thousandths, in the order of agent.detect.crash_features.FEATURES; empty where they could not be
    had. limits_of_data names what makes the figures less sure. record is the crash record of this boot that belongs to
    it, 0 where there is none. The position is there only as precise as the driver agreed to.
    """

    priority: ClassVar[Priority] = Priority.CRASH
    purpose: ClassVar[Purpose] = "claims"
    leaves: ClassVar[Leaves] = {
        "claims": """
        delta_v_kmh duration_ms peak_mps2 stationary pdof_deg delta_v_longitudinal_kmh delta_v_lateral_kmh
        speed_before_kmh clipped crash_mode multi_event since_first_s max_after_ms asi severity confidence
        confidence_rules confidence_model airbag_deployed belted occupants braking drivable limits_of_data features
        record latitude longitude position_accuracy_m
        """,
    }

    delta_v_kmh: float
    duration_ms: float
    peak_mps2: float
    stationary: bool
    pdof_deg: float | None = None
    delta_v_longitudinal_kmh: float | None = None
    delta_v_lateral_kmh: float | None = None
    speed_before_kmh: float | None = None
    clipped: bool = False
    crash_mode: Literal["frontal", "side_right", "rear", "side_left"] | None = None
    multi_event: int = 1
    since_first_s: float | None = None
    max_after_ms: float | None = None
    asi: float | None = None
    severity: Literal["minor", "moderate", "severe"] = "moderate"
    confidence: float = 1.0
    confidence_rules: float = 1.0
    confidence_model: float | None = None
    airbag_deployed: bool | None = None
    belted: int | None = None
    occupants: int | None = None
    braking: bool | None = None
    drivable: Literal["likely", "unlikely", "unknown"] = "unknown"
    limits_of_data: list[LimitOfData] = msgspec.field(default_factory=list)
    features: list[int] = msgspec.field(default_factory=list)
    record: int = 0
    latitude: float | None = None
    longitude: float | None = None
    position_accuracy_m: float | None = None


class Rollover(Event, frozen=True, kw_only=True, tag="rollover"):
    """The car turned over. t_ns is the onset of the roll; with basis attitude, when it was known to lie so.

    roll_deg is the largest roll since the onset and resting_deg how the car lay then, both right side down +; None
    where it is not known. quarter_turns is at least that many of 90 degrees.
    """

    priority: ClassVar[Priority] = Priority.CRASH
    purpose: ClassVar[Purpose] = "claims"
    leaves: ClassVar[Leaves] = {"claims": "roll_deg quarter_turns duration_s resting_deg basis speed_before_kmh"}

    roll_deg: float | None = None
    quarter_turns: int = 1
    duration_s: float | None = None
    resting_deg: float | None = None
    basis: Literal["rotation", "attitude"] = "rotation"
    speed_before_kmh: float | None = None


class DeviceShock(Event, frozen=True, kw_only=True, tag="device_shock"):
    """The box itself was knocked, fell, or swings loose: what looked like a blow did not happen to the car."""

    leaves: ClassVar[Leaves] = {"diagnostics": "what peak_mps2 speed_kmh"}

    what: Literal["knock", "drop", "loose"]
    peak_mps2: float
    speed_kmh: float | None = None


class CrashRecord(Event, frozen=True, kw_only=True, tag="crash_record"):
    """A fragment of an EDR-like record of a crash; agent.core.crash puts the fragments together again.

    t_ns is T0. record numbers those of this boot: 1, 3, 5 for collisions, 2, 4, 6 for rollovers. fragment counts from 0
    without gaps. What the parts hold: trigger: acceleration up to the sample that passed the trigger; table: elements
    as 49 CFR 563 has them, and the acceleration of the impact; imu: acceleration and turning rates from from_ns up to
    until_ns; signals: the car's other signals; end: nothing more will come, complete says whether all of it was kept,
    and elements are as they are known then; withdrawn: it was no crash. elements: a JSON text of name -> value, values,
    or null where the car does not tell. columns: agent.core.crash_columns, docs/wire.md.
    """

    priority: ClassVar[Priority] = Priority.CRASH
    purpose: ClassVar[Purpose] = "claims"
    bulk: ClassVar[bool] = True
    leaves: ClassVar[Leaves] = {
        "claims": "record fragment part from_ns until_ns complete elements signals steps counts columns",
    }

    record: int
    fragment: int
    part: Literal["trigger", "table", "imu", "signals", "end", "withdrawn"]
    from_ns: int
    until_ns: int
    complete: bool = False
    elements: str = ""
    signals: list[str] = msgspec.field(default_factory=list)
    steps: list[float] = msgspec.field(default_factory=list)
    counts: list[int] = msgspec.field(default_factory=list)
    columns: bytes = b""


class EmergencyData(Event, frozen=True, kw_only=True, tag="emergency_data"):
    """A minimum set of data as eCall has it (EN 15722, unaligned PER), for desks that read those. It is no eCall.

    t_ns is the collision's T0; msd at most 140 bytes.
    """

    priority: ClassVar[Priority] = Priority.CRASH
    purpose: ClassVar[Purpose] = "claims"
    leaves: ClassVar[Leaves] = {"claims": "msd automatic"}

    msd: bytes
    automatic: bool = True
