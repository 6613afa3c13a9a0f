"""The agent's config: a bounded type. Typos and bad ranges fail at load, with the key, the file and the line."""

from datetime import date
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from agent.core import vss
from agent.core.errors import ConfigError
from agent.core.events import Purpose
from agent.core.limits import (
    Anomalies,
    BatteryLimits,
    CollisionLimits,
    Detect,
    Driving,
    Models,
    RoadLimits,
    RolloverLimits,
    Trip,
)
from agent.core.partners import Partners, Policy
from agent.core.section import Name, NameOrNone, Positive, Section
from agent.core.sound import Hearing, Sounding
from agent.core.supply import Supply
from agent.core.toml import convert_text, find_line, load_toml, merge, parse_text, parse_toml
from agent.core.web_config import Web

__all__ = [
    "Anomalies", "BatteryLimits", "Bus", "CollisionLimits", "Config", "Consent", "Detect", "Device", "Dongle",
    "Driving", "Gnss", "Imu", "Link", "Models", "Name", "NameOrNone", "Platform", "Positive", "RoadLimits",
    "RolloverLimits", "Row", "Section", "Store", "Telemetry", "TelemetrySignal", "Trip", "Trust", "Vehicle", "Voice",
    "Web", "load_config", "overlay_config", "parse_config",
]  # fmt: skip


_NEARLY: Final = 0.02  # an installer writes two decimals


class Bus(Section, frozen=True, kw_only=True):
    """One CAN bus. `socketcan` is read by our own driver, everything else by python-can."""

    interface: str = "socketcan"
    channel: str = "can0"
    bitrate: Annotated[int, Meta(ge=10_000, le=8_000_000)] | None = None
    fd: bool = False
    window_ms: Annotated[int, Meta(ge=1, le=1000)] = 20
    batch_max: Annotated[int, Meta(ge=16, le=65_536)] = 4096


class Dongle(Section, frozen=True, kw_only=True):
    """An ELM327 adapter: a tty path, or tcp://host:port."""

    port: str
    baudrate: Annotated[int, Meta(ge=9600, le=2_000_000)] = 38_400
    period_s: Annotated[float, Meta(ge=0.05, le=60)] = 0.5
    deadline_s: Annotated[float, Meta(ge=0.1, le=10)] = 1.0
    backend: Literal["own", "python-obd"] = "own"


class Gnss(Section, frozen=True, kw_only=True):
    """A receiver that speaks NMEA 0183."""

    port: str
    baudrate: Annotated[int, Meta(ge=4800, le=921_600)] = 9600


Row = tuple[float, float, float]


class Imu(Section, frozen=True, kw_only=True):
    """The box's accelerometer and gyroscope behind Linux IIO.

    device: its name, `iio:deviceN`, or its sysfs path; empty: the only accelerometer there is. gyroscope: the same,
    where it is a device of its own; empty: looked for beside the accelerometer. mount: forward, left and up as the chip
    sees them, one row each; absent: learnt from driving.
    """

    device: Annotated[str, Meta(max_length=256)] = ""
    gyroscope: Annotated[str, Meta(max_length=256)] = ""
    range_g: Annotated[float, Meta(ge=2, le=400)] = 16.0
    rate_hz: Annotated[int, Meta(ge=100, le=6400)] = 400
    window_ms: Annotated[int, Meta(ge=5, le=200)] = 20
    trigger: Annotated[str, Meta(max_length=64)] = ""
    mount: tuple[Row, Row, Row] | None = None

    def __post_init__(self) -> None:
        """Raise ValueError, which load tells as a ConfigError, where mount is no rotation."""
        if self.mount is not None and not _is_rotation(self.mount):
            raise ValueError("mount: forward, left and up must be at right angles, of length 1 and right-handed")


class TelemetrySignal(Section, frozen=True, kw_only=True):
    """A signal to sample. step: the resolution it is told in, in its VSS unit. Where the car was is never sampled."""

    path: Annotated[str, Meta(max_length=128, pattern=r"^Vehicle\.(?!CurrentLocation\.L)[A-Za-z0-9.]+$")]
    step: Annotated[float, Meta(ge=1e-6, le=1e6)]


_EVERYDAY: Final = (
    TelemetrySignal(path=vss.SPEED, step=0.5),
    TelemetrySignal(path=vss.ACCELERATION_LONGITUDINAL, step=0.1),
    TelemetrySignal(path=vss.ACCELERATION_LATERAL, step=0.1),
    TelemetrySignal(path=vss.YAW_RATE, step=0.5),
    TelemetrySignal(path=vss.ENGINE_SPEED, step=20.0),
    TelemetrySignal(path=vss.THROTTLE, step=1.0),
    TelemetrySignal(path=vss.COOLANT_TEMPERATURE, step=1.0),
    TelemetrySignal(path=vss.LOW_VOLTAGE, step=0.1),
    TelemetrySignal(path=vss.STATE_OF_CHARGE, step=0.5),
    TelemetrySignal(path=vss.PACK_VOLTAGE, step=0.5),
    TelemetrySignal(path=vss.PACK_CURRENT, step=1.0),
    TelemetrySignal(path=vss.PACK_TEMPERATURE_MAX, step=1.0),
)


class Telemetry(Section, frozen=True, kw_only=True):
    """Signals at an even rate for the insurer, under the purpose `service`. Off by default."""

    enabled: bool = False
    period_s: Annotated[float, Meta(ge=0.1, le=60)] = 1.0
    batch_s: Annotated[float, Meta(ge=1, le=1800)] = 600.0
    signals: Annotated[list[TelemetrySignal], Meta(max_length=64)] = msgspec.field(
        default_factory=lambda: list(_EVERYDAY)
    )


class Voice(Section, frozen=True, kw_only=True):
    """What is said, and when it is not."""

    enabled: bool = True
    language: Literal["zh", "en"] = "zh"
    answer_timeout_s: Annotated[float, Meta(ge=1, le=60)] = 15.0
    gate_braking_mps2: Annotated[float, Meta(ge=1, le=15)] = 2.94
    gate_cornering_mps2: Annotated[float, Meta(ge=1, le=15)] = 2.45
    gate_quiet_s: Annotated[float, Meta(ge=0, le=60)] = 5.0
    gate_crash_s: Annotated[float, Meta(ge=0, le=600)] = 30.0
    volume_percent: Annotated[int, Meta(ge=0, le=200)] = 100
    waiting_max: Annotated[int, Meta(ge=1, le=100)] = 16
    scenes_per_hour: Annotated[int, Meta(ge=0, le=60)] = 3  # those that could wait


class Store(Section, frozen=True, kw_only=True):
    """The outbox."""

    directory: str = "/var/lib/outrider"
    batch_max: Annotated[int, Meta(ge=1, le=1000)] = 50
    batch_wait_ms: Annotated[int, Meta(ge=1, le=10_000)] = 200
    size_max_mb: Annotated[int, Meta(ge=1, le=100_000)] = 512


class Link(Section, frozen=True, kw_only=True):
    """MQTT 5 over mutual TLS to the insurer. An empty host keeps everything on disk."""

    host: str = ""
    port: Annotated[int, Meta(ge=1, le=65_535)] = 8883
    ca: str = ""
    certificate: str = ""
    key: str = ""
    keep_alive_s: Annotated[int, Meta(ge=5, le=1200)] = 60
    session_expiry_s: Annotated[int, Meta(ge=0, le=2_592_000)] = 604_800
    in_flight_max: Annotated[int, Meta(ge=1, le=1000)] = 16
    ack_timeout_s: Annotated[float, Meta(ge=0.5, le=300)] = 15.0
    receipt_timeout_s: Annotated[float, Meta(ge=1, le=86_400)] = 60.0
    backoff_longest_s: Annotated[float, Meta(ge=0.1, le=3600)] = 60.0
    budget_kb_per_hour: Annotated[int, Meta(ge=0, le=10_000_000)] = 0  # of 1000 bytes; 0: no limit
    drain_timeout_s: Annotated[float, Meta(ge=0, le=600)] = 1.5


class Platform(Section, frozen=True, kw_only=True):
    """A platform that speaks GB/T 32960.3, over TCP, or TLS where there is a ca. An empty host: none.

    It is told under the purpose `safety`, and as vehicle.vin. packs: the codes of the pack by GB/T 34014, 2025 only.
    position: whether it is told where the car is. days: how long data waits for the platform; 0: as the edition asks.
    """

    host: str = ""
    port: Annotated[int, Meta(ge=1, le=65_535)] = 32_960
    ca: str = ""
    edition: Literal[2016, 2025] = 2016
    iccid: Annotated[str, Meta(pattern=r"^[0-9A-Z]{20}$")] = "0" * 20
    packs: Annotated[list[Annotated[str, Meta(pattern=r"^[0-9A-Z]{24}$")]], Meta(max_length=50)] = msgspec.field(
        default_factory=list
    )
    period_s: Annotated[float, Meta(ge=1, le=30)] = 10.0
    position: bool = False
    answer_s: Annotated[float, Meta(ge=1, le=120)] = 10.0
    days: Annotated[int, Meta(ge=0, le=30)] = 0


class Trust(Section, frozen=True, kw_only=True):
    """Whom the agent believes: public keys as files (raw Ed25519 or X25519 in PEM)."""

    insurer_encryption_key: str = ""
    insurer_receipt_key: str = ""
    owner_encryption_key: str = ""
    operator_key: str = ""


class Consent(Section, frozen=True, kw_only=True):
    """What the driver agreed to: events of other purposes are never sealed, sent or kept. Off by default.

    crash_position: how precisely a crash may say where it was, under the purpose claims; area is about a kilometre.
    """

    purposes: list[Purpose] = msgspec.field(default_factory=list)
    crash_position: Literal["none", "area", "exact"] = "none"


class PastRepair(Section, frozen=True, kw_only=True):
    """Something done to the car: what by its name in firmware_config/diagnosis; when, as far as is known."""

    what: Name
    date: Annotated[str, Meta(pattern=r"^(\d{4}-\d\d-\d\d)?$")] = ""
    odometer_km: Annotated[float, Meta(ge=0, le=10_000_000)] | None = None

    def __post_init__(self) -> None:
        if self.date:
            date.fromisoformat(self.date)


class Vehicle(Section, frozen=True, kw_only=True):
    """The car as its papers have it, for the data an emergency desk wants. An empty vin: not told.

    repairs: lately, as owner or garage know them; a diagnosis takes them into account.
    """

    vin: Annotated[str, Meta(pattern=r"^([A-HJ-NPR-Z0-9]{17})?$")] = ""
    category: Literal["M1", "M2", "M3", "N1", "N2", "N3"] = "M1"
    propulsion: list[Literal["gasoline", "diesel", "cng", "lpg", "electric", "hydrogen", "other"]] = msgspec.field(
        default_factory=list
    )
    repairs: Annotated[list[PastRepair], Meta(max_length=64)] = msgspec.field(default_factory=list)


class Device(Section, frozen=True, kw_only=True):
    """Which box in which fleet, and what it reads."""

    id: Name = "unnamed"
    groups: list[Name] = msgspec.field(default_factory=list)
    key: str = "/etc/outrider/keys/device.pem"


class Config(Section, frozen=True, kw_only=True):
    """The whole file."""

    version: Annotated[int, Meta(ge=0)] = 0
    profile: str = "generic"
    dbc: list[str] = msgspec.field(default_factory=list)
    device: Device = Device()
    vehicle: Vehicle = Vehicle()
    buses: list[Bus] = msgspec.field(default_factory=list)
    dongle: Dongle | None = None
    gnss: Gnss | None = None
    imu: Imu | None = None
    supply: Supply | None = None
    listen_only: bool = False  # opens nothing that could transmit
    detect: Detect = Detect()
    models: Models = Models()
    telemetry: Telemetry = Telemetry()
    voice: Voice = Voice()
    sounding: Sounding = Sounding()
    hearing: Hearing = Hearing()
    store: Store = Store()
    link: Link = Link()
    platform: Platform = Platform()
    trust: Trust = Trust()
    consent: Consent = Consent()
    partners: Partners = msgspec.field(default_factory=list)
    policy: Policy = Policy()
    web: Web = Web()
    stop_timeout_s: Annotated[float, Meta(ge=0.5, le=60)] = 4.0


def _is_rotation(rows: tuple[Row, Row, Row]) -> bool:
    """Whether the rows are at right angles, of length 1, and right-handed, to two decimals."""
    (a, b, c), (d, e, f), up = rows
    third = (b * f - c * e, c * d - a * f, a * e - b * d)
    sizes = (a * a + b * b + c * c, d * d + e * e + f * f)
    straight = abs(a * d + b * e + c * f) < _NEARLY and all(abs(size - 1) < _NEARLY for size in sizes)
    return straight and all(abs(x - y) < _NEARLY for x, y in zip(third, up, strict=True))


def load_config(path: Path) -> Config:
    """Read a config file. Raises ConfigError naming key, file and line."""
    return load_toml(path, Config)


def parse_config(text: str, *, name: str = "config") -> Config:
    """Parse a config held in memory, such as a pushed bundle's."""
    return parse_toml(text, Config, path=Path(name))


def overlay_config(base: Config, text: str, *, tables: frozenset[str], name: str) -> Config:
    """Lay a pushed TOML text over base; it may speak of the named top-level tables only. Raises ConfigError."""
    path = Path(name)
    overlay = parse_text(text, path)
    foreign = sorted(set(overlay) - tables)
    if foreign:
        raise ConfigError(f"{foreign[0]}: may not be pushed", path=path, line=find_line(text, foreign[:1]))
    return convert_text(merge(msgspec.to_builtins(base), overlay), Config, text=text, path=path)
