"""The bodies of GB/T 32960.3-2025 (types 01 to 08, 30 to 32). Layouts: tables 10 to 26, from copies of the text.

Current: positive is discharge in the frames seen, as in the 2016 edition; the standard is silent.
"""

from dataclasses import dataclass
from typing import Annotated, Final

from agent.proto.gbt32960 import edition2016
from agent.proto.gbt32960.fields import Array, Plain, Reading, byte, dword, word


@dataclass(frozen=True, slots=True)
class Vehicle:
    """Type 01, 18 bytes."""

    state: Annotated[Reading, byte(low=1, high=3)]  # 1 on, 2 off, 3 other
    charging: Annotated[Reading, byte(low=1, high=4)]  # 1 parked, 2 while driving, 3 not, 4 done
    mode: Annotated[Reading, byte(low=1, high=3)]  # 1 electric, 2 hybrid, 3 fuel
    speed_kmh: Annotated[Reading, word(10, high=5000)]
    odometer_km: Annotated[Reading, dword(10, high=9_999_999)]
    voltage_v: Annotated[Reading, word(10, high=60_000)]
    current_a: Annotated[Reading, word(10, 30_000, high=60_000)]
    soc_percent: Annotated[Reading, byte(high=100)]
    dc_dc: Annotated[Reading, byte(low=1, high=2)]  # 1 on, 2 off
    gear: Annotated[int, Plain(1)]  # bits 0-3 gear (13 R, 14 D, 15 P), 4 braking force, 5 driving force, 7 not valid
    insulation_kohm: Annotated[Reading, word(high=60_000)]


@dataclass(frozen=True, slots=True)
class Motor:
    """One drive motor, 10 bytes."""

    number: Annotated[Reading, byte(low=1)]
    state: Annotated[Reading, byte(low=1, high=4)]  # 1 consuming, 2 generating, 3 off, 4 ready
    controller_celsius: Annotated[Reading, byte(1, 40, high=250)]
    speed_rpm: Annotated[Reading, word(1, 32_000, high=65_531)]
    torque_nm: Annotated[Reading, dword(10, 200_000, high=400_000)]
    motor_celsius: Annotated[Reading, byte(1, 40, high=250)]


@dataclass(frozen=True, slots=True)
class Motors:
    """Type 02."""

    count: Annotated[Reading, byte()]
    motors: Annotated[tuple[Motor, ...], Array("count", Motor)]


@dataclass(frozen=True, slots=True)
class Hydrogen:
    """Type 03: fuel-cell engine and hydrogen system."""

    hydrogen_celsius: Annotated[Reading, word(1, 40, high=250)]
    hydrogen_probe: Annotated[Reading, byte(low=1)]
    concentration_percent: Annotated[Reading, word(10_000, high=60_000)]
    concentration_sensor: Annotated[Reading, byte(low=1)]
    pressure_mpa: Annotated[Reading, word(10, high=1000)]
    pressure_sensor: Annotated[Reading, byte(low=1)]
    dc_dc: Annotated[Reading, byte(low=1, high=2)]
    hydrogen_left_percent: Annotated[Reading, byte(high=100)]
    dc_dc_celsius: Annotated[Reading, byte(1, 40, high=250)]


@dataclass(frozen=True, slots=True)
class Engine:
    """Type 04."""

    speed_rpm: Annotated[Reading, word(high=60_000)]


@dataclass(frozen=True, slots=True)
class Position:
    """Type 05. An invalid position repeats the last valid one."""

    status: Annotated[int, Plain(1)]  # bit 0 invalid, 1 south, 2 west
    system: Annotated[Reading, byte(low=1, high=3)]  # 1 WGS84, 2 GCJ-02, 3 other
    longitude_abs: Annotated[Reading, dword(1_000_000, high=180_000_000)]
    latitude_abs: Annotated[Reading, dword(1_000_000, high=90_000_000)]

    @property
    def degrees(self) -> tuple[float, float] | None:
        """Latitude (north +) and longitude (east +) in its own system; None where they are not valid."""
        return edition2016.Position(self.status, self.longitude_abs, self.latitude_abs).degrees


@dataclass(frozen=True, slots=True)
class AlarmLevel:
    """The level of one flag."""

    bit: Annotated[Reading, byte(high=31)]
    level: Annotated[Reading, byte(high=4)]


@dataclass(frozen=True, slots=True)
class Alarms:
    """Type 06. As in 2016, with level 4 (thermal event by GB 38031) and a level per flag.

    Real frames exist with a flag set and no level for it: they are taken as they are.
    """

    level: Annotated[Reading, byte(high=4)]
    flags: Annotated[int, Plain(4)]  # see alarms.py
    battery_count: Annotated[Reading, byte()]
    battery_codes: Annotated[tuple[int, ...], Array("battery_count", Plain(4))]
    motor_count: Annotated[Reading, byte()]
    motor_codes: Annotated[tuple[int, ...], Array("motor_count", Plain(4))]
    engine_count: Annotated[Reading, byte()]
    engine_codes: Annotated[tuple[int, ...], Array("engine_count", Plain(4))]
    other_count: Annotated[Reading, byte()]
    other_codes: Annotated[tuple[int, ...], Array("other_count", Plain(4))]
    flag_count: Annotated[Reading, byte()]
    flag_levels: Annotated[tuple[AlarmLevel, ...], Array("flag_count", AlarmLevel)]


@dataclass(frozen=True, slots=True)
class CellPack:
    """All cells (smallest parallel units) of one pack."""

    number: Annotated[Reading, byte(low=1, high=50)]
    voltage_v: Annotated[Reading, word(10, high=60_000)]
    current_a: Annotated[Reading, word(10, 30_000, high=60_000)]
    total: Annotated[Reading, word(high=65_531)]
    cells_v: Annotated[tuple[Reading, ...], Array("total", word(1000, high=60_000))]


@dataclass(frozen=True, slots=True)
class Cells:
    """Type 07."""

    count: Annotated[Reading, byte(high=50)]
    packs: Annotated[tuple[CellPack, ...], Array("count", CellPack)]


@dataclass(frozen=True, slots=True)
class ProbePack:
    """The temperatures of one pack."""

    number: Annotated[Reading, byte(low=1, high=50)]
    count: Annotated[Reading, word(high=65_531)]
    probes_celsius: Annotated[tuple[Reading, ...], Array("count", byte(1, 40, high=250))]


@dataclass(frozen=True, slots=True)
class Temperatures:
    """Type 08."""

    count: Annotated[Reading, byte(high=50)]
    packs: Annotated[tuple[ProbePack, ...], Array("count", ProbePack)]


@dataclass(frozen=True, slots=True)
class Stack:
    """One fuel-cell stack. Pressures are relative."""

    number: Annotated[Reading, byte(low=1)]
    voltage_v: Annotated[Reading, word(10, high=20_000)]
    current_a: Annotated[Reading, word(10, high=20_000)]
    hydrogen_kpa: Annotated[Reading, word(10, 1000, high=5000)]
    air_kpa: Annotated[Reading, word(10, 1000, high=5000)]
    air_celsius: Annotated[Reading, byte(1, 40, high=250)]
    count: Annotated[Reading, word(high=65_531)]
    coolant_celsius: Annotated[tuple[Reading, ...], Array("count", byte(1, 40, high=250))]


@dataclass(frozen=True, slots=True)
class Stacks:
    """Type 30."""

    count: Annotated[Reading, byte()]
    stacks: Annotated[tuple[Stack, ...], Array("count", Stack)]


@dataclass(frozen=True, slots=True)
class Supercapacitor:
    """Type 31."""

    number: Annotated[Reading, byte(low=1)]
    voltage_v: Annotated[Reading, word(10, high=10_000)]
    current_a: Annotated[Reading, word(10, 30_000, high=60_000)]
    cell_count: Annotated[Reading, word(high=65_531)]
    cells_v: Annotated[tuple[Reading, ...], Array("cell_count", word(1000, high=60_000))]
    probe_count: Annotated[Reading, word(high=65_531)]
    probes_celsius: Annotated[tuple[Reading, ...], Array("probe_count", byte(1, 40, high=250))]


@dataclass(frozen=True, slots=True)
class SupercapacitorExtremes:
    """Type 32, 18 bytes."""

    voltage_max_system: Annotated[Reading, byte(low=1)]
    voltage_max_cell: Annotated[Reading, word(low=1, high=65_531)]
    voltage_max_v: Annotated[Reading, word(1000, high=60_000)]
    voltage_min_system: Annotated[Reading, byte(low=1)]
    voltage_min_cell: Annotated[Reading, word(low=1, high=65_531)]
    voltage_min_v: Annotated[Reading, word(1000, high=60_000)]
    temperature_max_system: Annotated[Reading, byte(low=1)]
    temperature_max_probe: Annotated[Reading, word(low=1, high=65_531)]
    temperature_max_celsius: Annotated[Reading, byte(1, 40, high=250)]
    temperature_min_system: Annotated[Reading, byte(low=1)]
    temperature_min_probe: Annotated[Reading, word(low=1, high=65_531)]
    temperature_min_celsius: Annotated[Reading, byte(1, 40, high=250)]


Body = (
    Vehicle | Motors | Hydrogen | Engine | Position | Alarms | Cells | Temperatures | Stacks | Supercapacitor
    | SupercapacitorExtremes
)  # fmt: skip

BODIES: Final[dict[int, type[Body]]] = {
    0x01: Vehicle, 0x02: Motors, 0x03: Hydrogen, 0x04: Engine, 0x05: Position, 0x06: Alarms, 0x07: Cells,
    0x08: Temperatures, 0x30: Stacks, 0x31: Supercapacitor, 0x32: SupercapacitorExtremes,
}  # fmt: skip
