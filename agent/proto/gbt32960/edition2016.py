"""The bodies of GB/T 32960.3-2016 (types 01 to 09). Layouts: table 9 ff. and annex B, from copies of the text.

Current: in real frames positive is discharge and negative is charge, the opposite of VSS; the standard is silent.
"""

from dataclasses import dataclass
from typing import Annotated, Final

from agent.proto.gbt32960.fields import Array, Plain, Reading, byte, dword, word

ALARM_BIT_MAX: Final = 18  # of the general alarms; those above are kept in reserve


@dataclass(frozen=True, slots=True)
class Vehicle:
    """Type 01, 20 bytes. The pedals: reserved in the main text, used by annex B and by real vehicles."""

    state: Annotated[Reading, byte(low=1, high=3)]  # 1 on, 2 off, 3 other
    charging: Annotated[Reading, byte(low=1, high=4)]  # 1 parked, 2 while driving, 3 not, 4 done
    mode: Annotated[Reading, byte(low=1, high=3)]  # 1 electric, 2 hybrid, 3 fuel
    speed_kmh: Annotated[Reading, word(10, high=2200)]
    odometer_km: Annotated[Reading, dword(10, high=9_999_999)]
    voltage_v: Annotated[Reading, word(10, high=10_000)]
    current_a: Annotated[Reading, word(10, 10_000, high=20_000)]
    soc_percent: Annotated[Reading, byte(high=100)]
    dc_dc: Annotated[Reading, byte(low=1, high=2)]  # 1 on, 2 off
    gear: Annotated[int, Plain(1)]  # bits 0-3 gear (13 R, 14 D, 15 P), 4 braking force, 5 driving force
    insulation_kohm: Annotated[Reading, word(high=60_000)]
    accelerator_percent: Annotated[Reading, byte(high=100)]
    brake_percent: Annotated[Reading, byte(high=0x65)]  # 101: pressed, without a travel


@dataclass(frozen=True, slots=True)
class Motor:
    """One drive motor."""

    number: Annotated[Reading, byte(low=1)]
    state: Annotated[Reading, byte(low=1, high=4)]  # 1 consuming, 2 generating, 3 off, 4 ready
    controller_celsius: Annotated[Reading, byte(1, 40, high=250)]
    speed_rpm: Annotated[Reading, word(1, 20_000, high=65_531)]
    torque_nm: Annotated[Reading, word(10, 20_000, high=65_531)]
    motor_celsius: Annotated[Reading, byte(1, 40, high=250)]
    voltage_v: Annotated[Reading, word(10, high=60_000)]
    current_a: Annotated[Reading, word(10, 10_000, high=20_000)]


@dataclass(frozen=True, slots=True)
class Motors:
    """Type 02."""

    count: Annotated[Reading, byte()]
    motors: Annotated[tuple[Motor, ...], Array("count", Motor)]


@dataclass(frozen=True, slots=True)
class FuelCell:
    """Type 03."""

    voltage_v: Annotated[Reading, word(10, high=20_000)]
    current_a: Annotated[Reading, word(10, high=20_000)]
    consumption_kg_per_100km: Annotated[Reading, word(100, high=60_000)]
    count: Annotated[Reading, word(high=65_531)]
    probes_celsius: Annotated[tuple[Reading, ...], Array("count", byte(1, 40, high=240))]
    hydrogen_celsius: Annotated[Reading, word(10, 400, high=2400)]
    hydrogen_probe: Annotated[Reading, byte(low=1, high=252)]
    concentration_mg_per_kg: Annotated[Reading, word(high=60_000)]
    concentration_sensor: Annotated[Reading, byte(low=1, high=252)]
    pressure_mpa: Annotated[Reading, word(10, high=1000)]
    pressure_sensor: Annotated[Reading, byte(low=1, high=252)]
    dc_dc: Annotated[Reading, byte(low=1, high=2)]


@dataclass(frozen=True, slots=True)
class Engine:
    """Type 04."""

    state: Annotated[Reading, byte(low=1, high=2)]  # 1 on, 2 off
    speed_rpm: Annotated[Reading, word(high=60_000)]
    consumption_l_per_100km: Annotated[Reading, word(100, high=60_000)]


@dataclass(frozen=True, slots=True)
class Position:
    """Type 05. An invalid position repeats the last valid one."""

    status: Annotated[int, Plain(1)]  # bit 0 invalid, 1 south, 2 west
    longitude_abs: Annotated[Reading, dword(1_000_000, high=180_000_000)]
    latitude_abs: Annotated[Reading, dword(1_000_000, high=90_000_000)]

    @property
    def degrees(self) -> tuple[float, float] | None:
        """Latitude (north +) and longitude (east +); None where the status says that they are not valid."""
        latitude, longitude = self.latitude_abs.value, self.longitude_abs.value
        if self.status & 1 or latitude is None or longitude is None:
            return None
        return (-latitude if self.status & 2 else latitude, -longitude if self.status & 4 else longitude)


@dataclass(frozen=True, slots=True)
class Extremes:
    """Type 06, 14 bytes."""

    voltage_max_system: Annotated[Reading, byte(low=1, high=250)]
    voltage_max_cell: Annotated[Reading, byte(low=1, high=250)]
    voltage_max_v: Annotated[Reading, word(1000, high=15_000)]
    voltage_min_system: Annotated[Reading, byte(low=1, high=250)]
    voltage_min_cell: Annotated[Reading, byte(low=1, high=250)]
    voltage_min_v: Annotated[Reading, word(1000, high=15_000)]
    temperature_max_system: Annotated[Reading, byte(low=1, high=250)]
    temperature_max_probe: Annotated[Reading, byte(low=1, high=250)]
    temperature_max_celsius: Annotated[Reading, byte(1, 40, high=250)]
    temperature_min_system: Annotated[Reading, byte(low=1, high=250)]
    temperature_min_probe: Annotated[Reading, byte(low=1, high=250)]
    temperature_min_celsius: Annotated[Reading, byte(1, 40, high=250)]


@dataclass(frozen=True, slots=True)
class Alarms:
    """Type 07. Levels: 0 none, 1 does not affect driving, 2 limits performance, 3 stop now. Codes: the maker's own."""

    level: Annotated[Reading, byte(high=3)]
    flags: Annotated[int, Plain(4)]  # see alarms.py
    battery_count: Annotated[Reading, byte(high=252)]
    battery_codes: Annotated[tuple[int, ...], Array("battery_count", Plain(4))]
    motor_count: Annotated[Reading, byte(high=252)]
    motor_codes: Annotated[tuple[int, ...], Array("motor_count", Plain(4))]
    engine_count: Annotated[Reading, byte(high=252)]
    engine_codes: Annotated[tuple[int, ...], Array("engine_count", Plain(4))]
    other_count: Annotated[Reading, byte(high=252)]
    other_codes: Annotated[tuple[int, ...], Array("other_count", Plain(4))]


@dataclass(frozen=True, slots=True)
class CellSystem:
    """The cells of one battery system that are in this frame: count of them, from number first on, of total."""

    number: Annotated[Reading, byte(low=1, high=250)]
    voltage_v: Annotated[Reading, word(10, high=10_000)]
    current_a: Annotated[Reading, word(10, 10_000, high=20_000)]
    total: Annotated[Reading, word(low=1, high=65_531)]
    first: Annotated[Reading, word(low=1, high=65_531)]
    count: Annotated[Reading, byte()]  # up to 200 by the text
    cells_v: Annotated[tuple[Reading, ...], Array("count", word(1000, high=60_000))]


@dataclass(frozen=True, slots=True)
class Cells:
    """Type 08."""

    count: Annotated[Reading, byte()]
    systems: Annotated[tuple[CellSystem, ...], Array("count", CellSystem)]


@dataclass(frozen=True, slots=True)
class ProbeSystem:
    """The temperatures of one battery system."""

    number: Annotated[Reading, byte(low=1, high=250)]
    count: Annotated[Reading, word(high=65_531)]
    probes_celsius: Annotated[tuple[Reading, ...], Array("count", byte(1, 40, high=250))]


@dataclass(frozen=True, slots=True)
class Temperatures:
    """Type 09."""

    count: Annotated[Reading, byte()]
    systems: Annotated[tuple[ProbeSystem, ...], Array("count", ProbeSystem)]


Body = Vehicle | Motors | FuelCell | Engine | Position | Extremes | Alarms | Cells | Temperatures

BODIES: Final[dict[int, type[Body]]] = {
    0x01: Vehicle, 0x02: Motors, 0x03: FuelCell, 0x04: Engine, 0x05: Position, 0x06: Extremes, 0x07: Alarms,
    0x08: Cells, 0x09: Temperatures,
}  # fmt: skip
