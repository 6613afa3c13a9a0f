"""What can befall sensors, clock and bus: event types of a scenario file."""

from typing import Annotated, Literal

from msgspec import Meta

from simulators.world.happening import Happening, Lasting

# Sensors


class SensorFault(Lasting, frozen=True, kw_only=True, tag="sensor_fault"):
    """A signal (VSS path) lies. amount: the offset, or the drift in units a second; a stuck one keeps its value."""

    signal: str
    fault: Literal["stuck", "offset", "drift"]
    amount: Annotated[float, Meta(ge=-1e6, le=1e6)] = 0.0


class GnssOutage(Lasting, frozen=True, kw_only=True, tag="gnss_outage"):
    """No fix: a tunnel, an underground car park."""


class GnssSpoof(Lasting, frozen=True, kw_only=True, tag="gnss_spoof"):
    """A transmitter leads the position away, at this speed towards this bearing; accuracy claims stay good."""

    speed_mps: Annotated[float, Meta(ge=0, le=1000)] = 30.0
    jump_m: Annotated[float, Meta(ge=0, le=1e6)] = 0.0
    bearing_deg: Annotated[float, Meta(ge=0, lt=360)] = 90.0


class ClockJump(Happening, frozen=True, kw_only=True, tag="clock_jump"):
    """The box's calendar is set: forward, or back below 0. Its monotonic clock, and so every event, stays in order."""

    by_s: Annotated[float, Meta(ge=-1e9, le=1e9)]


# The bus


class BusFlood(Lasting, frozen=True, kw_only=True, tag="bus_flood"):
    """Frames of the highest priority crowd the others out; this share of them is lost."""

    frames_per_s: Annotated[float, Meta(ge=1, le=20_000)] = 3000.0
    lost_share: Annotated[float, Meta(ge=0, le=1)] = 0.7


class BusFuzz(Lasting, frozen=True, kw_only=True, tag="bus_fuzz"):
    """Random bytes under random identifiers."""

    frames_per_s: Annotated[float, Meta(ge=1, le=20_000)] = 500.0


class BusSilence(Lasting, frozen=True, kw_only=True, tag="bus_silence"):
    """A message is suspended; without a name the whole bus is off."""

    message: str = ""


class EcuAsleep(Lasting, frozen=True, kw_only=True, tag="ecu_asleep"):
    """A control unit sleeps, or lies on another wire than thought: none of its messages is sent."""

    node: str


class BusReplay(Lasting, frozen=True, kw_only=True, tag="bus_replay"):
    """Another node says what a message said back_s earlier: in the message's place, or beside its true sender."""

    message: str
    back_s: Annotated[float, Meta(gt=0, le=3600)] = 20.0
    beside: bool = False


class BusMasquerade(Lasting, frozen=True, kw_only=True, tag="bus_masquerade"):
    """Another node has silenced a message's sender and speaks in its place: all as it should be but for one signal.

    Counters and checksums are right, so only the other messages give it away.
    """

    message: str
    signal: str
    value: Annotated[float, Meta(ge=-1e9, le=1e9)]


SensorEvent = SensorFault | GnssOutage | GnssSpoof | ClockJump
BusEvent = BusFlood | BusFuzz | BusSilence | EcuAsleep | BusReplay | BusMasquerade
