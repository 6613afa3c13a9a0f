"""Vehicle profiles: which messages of which DBC become which VSS signals, as typed TOML."""

import math
import re
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from agent.core.config import Name, Section
from agent.core.errors import ConfigError
from agent.core.habits_manifest import HabitsManifest, load_habits_manifest
from agent.core.paths import HABITS, VEHICLES
from agent.core.toml import load_toml
from agent.decode.quality import QualityRules
from agent.proto.did import DidSpec
from agent.proto.schedule import Poll

_GATE: Final = re.compile(r"^\s*([A-Za-z_]\w*)\s*(==|!=|<=|>=|<|>)\s*(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*$")

GateText = Annotated[str, Meta(pattern=_GATE.pattern)]
Text = Annotated[str, Meta(min_length=1, max_length=200)]


class Mapping(Section, frozen=True, kw_only=True):
    """One DBC signal under its VSS path.

    value = DBC physical value * factor + offset, in the VSS unit; a negative factor turns an axis round.
    minimum and maximum are in the VSS unit; beyond them a value is IMPLAUSIBLE. The DBC's own [min|max] is not
    used: in the wild it is as often wrong as right.
    sentinels are raw values, sign included, before any scaling; for floats the bit pattern. They give SENTINEL.
    gates are conditions on other signals of the same frame in the DBC's own unit, such as "ImuValid == 1". Unless all
    of them hold the value is SENTINEL.
    """

    message: Text
    signal: Text
    path: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$")]
    unit: str = ""
    factor: float = 1.0
    offset: float = 0.0
    minimum: float | None = None
    maximum: float | None = None
    stale_after_s: Annotated[float, Meta(gt=0, le=3600)] = 2.0
    sentinels: Annotated[list[int], Meta(max_length=16)] = msgspec.field(default_factory=list)
    gates: Annotated[list[GateText], Meta(max_length=16)] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        if self.factor == 0 or not math.isfinite(self.factor) or not math.isfinite(self.offset):
            raise ValueError(f"{self.path}: factor and offset must be finite, factor not 0")
        if self.minimum is not None and self.maximum is not None and self.minimum >= self.maximum:
            raise ValueError(f"{self.path}: minimum {self.minimum} is not below maximum {self.maximum}")


class MessageCheck(Section, frozen=True, kw_only=True):
    """Counter and checksum of one DBC message: the signals that hold them, and the algorithm by name (checks.py).

    The counter runs from 0 to modulus - 1; a frame that repeats it fails. data_id: the AUTOSAR end-to-end byte.
    """

    message: Text
    counter: Text | None = None
    modulus: Annotated[int, Meta(ge=2, le=65_536)] = 16
    checksum: Text | None = None
    algorithm: str = ""
    data_id: Annotated[int, Meta(ge=0, le=255)] | None = None

    def __post_init__(self) -> None:
        if self.counter is None and self.checksum is None:
            raise ValueError(f"{self.message}: neither counter nor checksum")
        if (self.checksum is None) != (not self.algorithm):
            raise ValueError(f"{self.message}: a checksum and its algorithm go together")


class Profile(Section, frozen=True, kw_only=True):
    """What one kind of vehicle says on its buses.

    Where `signals` is empty every signal of the DBC files is decoded, under MESSAGE.SIGNAL and in the DBC's unit.
    `dbc` names files of firmware_config/dbc; `obd` decodes OBD-II responses (7E8-7EF and 18DAF1xx).
    `j1939` finds messages by their parameter group, whoever sends them and at whatever priority.
    `dids` decodes answers to UDS 22, on the bus as from the diagnostics port.
    `checks` are counters and checksums that gate whole frames; `quality` adds to firmware_config/quality.toml.
    `habits` pins what is normal on the buses: a file of firmware_config/habits or a path, such as another box's
    bus.state; empty: each box learns it, where detect.bus is enabled.
    `polls` says what the diagnostics port is asked for; empty: what the car supports, at sensible rates.
    `diagnosis` names files of firmware_config/diagnosis that are laid over the generic rule base, in their order.
    """

    name: Name
    description: str = ""
    dbc: list[Name] = msgspec.field(default_factory=list)
    obd: bool = False
    j1939: bool = False
    signals: list[Mapping] = msgspec.field(default_factory=list)
    checks: Annotated[list[MessageCheck], Meta(max_length=256)] = msgspec.field(default_factory=list)
    quality: QualityRules = QualityRules()
    dids: Annotated[list[DidSpec], Meta(max_length=256)] = msgspec.field(default_factory=list)
    polls: Annotated[list[Poll], Meta(max_length=256)] = msgspec.field(default_factory=list)
    diagnosis: Annotated[list[str], Meta(max_length=16)] = msgspec.field(default_factory=list)
    habits: Annotated[str, Meta(max_length=200)] = ""


def load_pinned(name: str) -> bytes:
    """What a profile's `habits` names; empty for none. Raises ConfigError where it cannot be read."""
    if not name:
        return b""
    path = _pin_path(name)
    try:
        return path.read_bytes()
    except OSError as exc:
        raise ConfigError(f"habits: {exc.strerror}", path=path) from exc


def load_pin(name: str) -> HabitsManifest | None:
    """The manifest beside what `habits` names; None without one, as of habits that an owner copied from a box of his.

    Raises ConfigError where it is unsound.
    """
    path = _pin_path(name).with_suffix(".toml")
    return load_habits_manifest(path) if name and path.is_file() else None


def _pin_path(name: str) -> Path:
    return Path(name) if "/" in name else HABITS / name


class Condition(msgspec.Struct, frozen=True):
    """A parsed gate: low <= value <= high, or outside of it where negated. NaN never passes."""

    signal: str
    low: float
    high: float
    negated: bool = False

    def holds(self, value: float) -> bool:
        """Whether the value passes."""
        if self.negated:
            return value < self.low or value > self.high
        return self.low <= value <= self.high


def parse_gate(text: str) -> Condition:
    """Parse "SIGNAL OPERATOR NUMBER". Raises ConfigError."""
    match = _GATE.match(text)
    if match is None:
        raise ConfigError(f'gate "{text}" is not like "ImuValid == 1"')
    signal, operator, limit = match[1], match[2], float(match[3])
    span = {
        "==": (limit, limit),
        "!=": (limit, limit),
        "<=": (-math.inf, limit),
        ">=": (limit, math.inf),
        "<": (-math.inf, math.nextafter(limit, -math.inf)),
        ">": (math.nextafter(limit, math.inf), math.inf),
    }[operator]
    return Condition(signal, *span, operator == "!=")


def load_profile(name_or_path: str) -> Profile:
    """Read a profile by its name in firmware_config/vehicles, or from a .toml file. Raises ConfigError."""
    path = VEHICLES / f"{name_or_path}.toml"
    if "/" in name_or_path or name_or_path.endswith(".toml"):
        path = Path(name_or_path)
    elif not path.is_file():
        known = ", ".join(sorted(file.stem for file in VEHICLES.glob("*.toml")))
        raise ConfigError(f'there is no vehicle profile "{name_or_path}"; known: {known}', path=path)
    profile = load_toml(path, Profile)
    _check_paths(profile, path)
    return profile


def _check_paths(profile: Profile, path: Path) -> None:
    """Raise ConfigError where a signal would come from two places: their lags and scales would mix."""
    paths = [mapping.path for mapping in profile.signals]
    for place, signal in enumerate(paths):
        if signal in paths[:place]:
            lines = path.read_text(encoding="utf-8").splitlines()
            named = [number for number, line in enumerate(lines, 1) if f'"{signal}"' in line and "path" in line]
            line = named[1] if len(named) > 1 else None
            raise ConfigError(f"signals.{place}.path: {signal} is mapped twice", path=path, line=line)
