"""What the car's signals say to a platform: the newest values by VSS path as bodies of GB/T 32960.3, in both editions.

What the car does not tell is "invalid" (FF..), what does not fit its field "abnormal" (FE..). The current's sign is
turned: the platform's positive is discharge in the frames seen, VSS's is charge. Motors and fuel cells are not told:
no signal of theirs is decoded yet.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from agent.core import vss
from agent.proto.gbt32960 import edition2016, edition2025
from agent.proto.gbt32960.fields import tell_struct
from agent.proto.gbt32960.frame import Edition
from agent.proto.gbt32960.messages import Body, Realtime

CELLS_MAX: Final = 200  # of one frame, by the text of 2016
_ON, _OFF = 1, 2
_PARKED_CHARGING, _NOT_CHARGING = 1, 3
_STATE_OFF, _STATE_ON = (1.0, 2.0), (4.0, 5.0)  # of Vehicle.LowVoltageSystemState
_NO_GEAR_2025: Final = 0x80


@dataclass(frozen=True, slots=True)
class Flag:
    """One general alarm that holds: its bit, and its level from 1 to 4."""

    bit: int
    level: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What a snapshot may and must say. mode: 1 electric, 2 hybrid, 3 fuel; position: whether it may be told."""

    edition: Edition
    mode: int | None = None
    position: bool = False


def snapshot(
    values: Mapping[str, float], flags: Sequence[Flag], *, time: datetime, terms: Terms
) -> tuple[Realtime, ...]:
    """One message, and more where there are more cells than one takes. time: of the values, any zone."""
    bodies: list[Body] = [_vehicle(values, terms)]
    if vss.ENGINE_SPEED in values:
        bodies.append(_engine(values, terms.edition))
    if terms.position:
        bodies.append(_position(values, terms.edition))
    cells_v, probes = _column(values, vss.cell_voltage), _column(values, vss.cell_temperature)
    if terms.edition is Edition.V2016:
        bodies.append(_extremes(values, cells_v, probes))
    bodies.append(_alarms(flags, terms.edition))
    pages = list(_cells(values, cells_v, terms.edition))
    if probes:
        bodies.append(_probes(probes, terms.edition))
    first = Realtime(time, (*bodies, *pages[:1]))
    return (first, *(Realtime(time, (page,)) for page in pages[1:]))


def _vehicle(values: Mapping[str, float], terms: Terms) -> Body:
    current_a = values.get(vss.PACK_CURRENT)
    told: dict[str, Any] = {
        "state": _state(values),
        "charging": _charging(values),
        "mode": terms.mode,
        "speed_kmh": values.get(vss.SPEED),
        "odometer_km": _scaled(values.get(vss.TRAVELED_DISTANCE), 1e-3),
        "voltage_v": values.get(vss.PACK_VOLTAGE),
        "current_a": _scaled(current_a, -1),
        "soc_percent": values.get(vss.STATE_OF_CHARGE),
        "insulation_kohm": values.get(vss.INSULATION_RESISTANCE),
    }
    if terms.edition is Edition.V2025:
        return tell_struct(edition2025.Vehicle, gear=_NO_GEAR_2025, **told)
    return tell_struct(
        edition2016.Vehicle,
        gear=0,
        accelerator_percent=values.get(vss.ACCELERATOR_PEDAL),
        brake_percent=values.get(vss.BRAKE_PEDAL),
        **told,
    )


def _state(values: Mapping[str, float]) -> int | None:
    state = values.get(vss.LOW_VOLTAGE_STATE)
    if state in _STATE_ON or values.get(vss.SPEED, 0) > 0:
        return _ON
    return _OFF if state in _STATE_OFF else None


def _charging(values: Mapping[str, float]) -> int | None:
    charging = values.get(vss.IS_CHARGING)
    if charging is None:
        return None
    return _PARKED_CHARGING if charging else _NOT_CHARGING


def _engine(values: Mapping[str, float], edition: Edition) -> Body:
    rpm = values[vss.ENGINE_SPEED]
    if edition is Edition.V2025:
        return tell_struct(edition2025.Engine, speed_rpm=rpm)
    return tell_struct(edition2016.Engine, state=_ON if rpm > 0 else _OFF, speed_rpm=rpm)


def _position(values: Mapping[str, float], edition: Edition) -> Body:
    latitude, longitude = values.get(vss.LATITUDE), values.get(vss.LONGITUDE)
    known = latitude is not None and longitude is not None
    status = (not known) | ((latitude or 0) < 0) << 1 | ((longitude or 0) < 0) << 2
    told: dict[str, Any] = {
        "status": int(status),
        "latitude_abs": None if latitude is None else abs(latitude),
        "longitude_abs": None if longitude is None else abs(longitude),
    }
    if edition is Edition.V2025:
        return tell_struct(edition2025.Position, system=1, **told)  # WGS84, as the receiver gives it
    return tell_struct(edition2016.Position, **told)


def _extremes(values: Mapping[str, float], cells_v: Sequence[float | None], probes: Sequence[float | None]) -> Body:
    """Type 06 of 2016: where the cells are not told singly, the extremes that the car tells, without a number."""
    told: dict[str, Any] = {}
    for kind, column, unit, number in (("voltage", cells_v, "v", "cell"), ("temperature", probes, "celsius", "probe")):
        known = [(value, place + 1) for place, value in enumerate(column) if value is not None]
        for end, pick in (("max", max), ("min", min)):
            if known:
                value, place = pick(known)
                told |= {f"{kind}_{end}_{unit}": value, f"{kind}_{end}_{number}": place, f"{kind}_{end}_system": 1}
    if not cells_v:
        told["voltage_max_v"] = values.get(vss.CELL_VOLTAGE_MAX)
        told["voltage_min_v"] = values.get(vss.CELL_VOLTAGE_MIN)
    if not probes:
        told["temperature_max_celsius"] = values.get(vss.PACK_TEMPERATURE_MAX)
        told["temperature_min_celsius"] = values.get(vss.PACK_TEMPERATURE_MIN)
    return tell_struct(edition2016.Extremes, **told)


def _alarms(flags: Sequence[Flag], edition: Edition) -> Body:
    """Levels beyond those of the edition are its highest; bits that 2016 keeps in reserve are left out of it."""
    newer = edition is Edition.V2025
    told = [flag for flag in flags if newer or flag.bit <= edition2016.ALARM_BIT_MAX]
    highest = 4 if newer else 3
    level = min(max((flag.level for flag in flags), default=0), highest)
    bits = sum(1 << bit for bit in {flag.bit for flag in told})
    if not newer:
        return tell_struct(edition2016.Alarms, level=level, flags=bits)
    levels = tuple(
        tell_struct(edition2025.AlarmLevel, bit=flag.bit, level=min(flag.level, highest))
        for flag in sorted(told, key=lambda flag: flag.bit)
    )
    return tell_struct(edition2025.Alarms, level=level, flags=bits, flag_levels=levels)


def _cells(values: Mapping[str, float], cells_v: Sequence[float | None], edition: Edition) -> Iterator[Body]:
    told: dict[str, Any] = {
        "number": 1,
        "voltage_v": values.get(vss.PACK_VOLTAGE),
        "current_a": _scaled(values.get(vss.PACK_CURRENT), -1),
    }
    if not cells_v:
        return
    if edition is Edition.V2025:
        pack = tell_struct(edition2025.CellPack, cells_v=cells_v, **told)
        yield tell_struct(edition2025.Cells, packs=(pack,))
        return
    for first in range(0, len(cells_v), CELLS_MAX):
        part = cells_v[first : first + CELLS_MAX]
        system = tell_struct(edition2016.CellSystem, total=len(cells_v), first=first + 1, cells_v=part, **told)
        yield tell_struct(edition2016.Cells, systems=(system,))


def _probes(probes: Sequence[float | None], edition: Edition) -> Body:
    if edition is Edition.V2025:
        pack = tell_struct(edition2025.ProbePack, number=1, probes_celsius=probes)
        return tell_struct(edition2025.Temperatures, packs=(pack,))
    system = tell_struct(edition2016.ProbeSystem, number=1, probes_celsius=probes)
    return tell_struct(edition2016.Temperatures, systems=(system,))


def _column(values: Mapping[str, float], path_of: Any) -> list[float | None]:
    """Cells from 0 up to the last one that is known; None between."""
    prefix, _, suffix = path_of(0).partition("0")
    known = [
        int(number)
        for path in values
        if path.startswith(prefix) and path.endswith(suffix)
        if (number := path[len(prefix) : len(path) - len(suffix)]).isdecimal()
    ]
    return [values.get(path_of(place)) for place in range(max(known, default=-1) + 1)]


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
