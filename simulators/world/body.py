"""Tyres, the 12 V system, doors, belts, interlock and what OBD knows of the engine: signals beside the drive's own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core import vss
from simulators.world.grid import SLOW_STEP_S, STEP_S, Floats, lag, stream, times, to_ns
from simulators.world.happenings import (
    AlternatorFault,
    BeltOpen,
    Charging,
    Crank,
    DoorOpen,
    Drain,
    HvilOpen,
    InsulationLoss,
    LeanMixture,
    Misfire,
    SmartAlternator,
    TyreLeak,
)
from simulators.world.motion import Motion
from simulators.world.powertrain import Powertrain
from simulators.world.scenario import HarshBrake, Scenario
from simulators.world.types import Times, Values

_AXLE: Final = "Vehicle.Chassis.Axle"
TYRES: Final[Mapping[str, str]] = {
    "front_left": f"{_AXLE}.Row1.Wheel.Left.Tire",
    "front_right": f"{_AXLE}.Row1.Wheel.Right.Tire",
    "rear_left": f"{_AXLE}.Row2.Wheel.Left.Tire",
    "rear_right": f"{_AXLE}.Row2.Wheel.Right.Tire",
}  # + .Pressure in kPa, .Temperature in Celsius
DOORS: Final[Mapping[str, str]] = {
    "driver": "Vehicle.Cabin.Door.Row1.DriverSide.IsOpen",
    "passenger": "Vehicle.Cabin.Door.Row1.PassengerSide.IsOpen",
    "rear_left": "Vehicle.Cabin.Door.Row2.DriverSide.IsOpen",
    "rear_right": "Vehicle.Cabin.Door.Row2.PassengerSide.IsOpen",
}
BELTS: Final[Mapping[str, str]] = {
    "driver": "Vehicle.Cabin.Seat.Row1.DriverSide.IsBelted",
    "passenger": "Vehicle.Cabin.Seat.Row1.PassengerSide.IsBelted",
}
ABS: Final = "Vehicle.ADAS.ABS.IsEngaged"
TRIM_SHORT: Final = "Vehicle.Private.OBD.ShortTermFuelTrim1"  # percent; named as in obd_pids.toml: ECUs answer it
TRIM_LONG: Final = "Vehicle.Private.OBD.LongTermFuelTrim1"  # percent
DTC_COUNT: Final = "Vehicle.Diagnostics.DTCCount"
MIL: Final = "Vehicle.Private.OBD.IsMILOn"
CHARGING: Final = "Vehicle.Powertrain.TractionBattery.Charging.IsCharging"
HVIL: Final = "Vehicle.Private.Powertrain.TractionBattery.IsHvilClosed"

COLD_KPA: Final = 240.0  # gauge, at the air's temperature when the drive begins
_AMBIENT_KPA: Final = 101.3
_KELVIN: Final = 273.15
_TYRE_C_PER_KMH: Final = 0.22
_TYRE_TAU_S: Final = 500.0
_INSULATED_KOHM: Final = 2000.0
_MISFIRE_S: Final = 10.0
_LEAN_PERCENT: Final = 20.0
_LEARN_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Body:
    """signals as in Drive; dtcs: (s, code) in order; low_v on the motion grid; tyre_kpa by wheel on the slow grid."""

    signals: Mapping[str, tuple[Times, Values]]
    dtcs: tuple[tuple[float, str], ...]
    low_v: Floats
    tyre_kpa: Mapping[str, Floats]


def equip(scenario: Scenario, seed: int, motion: Motion, train: Powertrain, off_s: float) -> Body:
    """All of it; low_v is without sensor noise, because the drive adds it."""
    slow_s = times(scenario.duration_s, SLOW_STEP_S)
    slow_ns = to_ns(slow_s)
    tyre_c, tyre_kpa = _tyres(scenario, slow_s, motion)
    short, long = _trims(scenario, slow_s, np.interp(slow_s, motion.t_s, train.engine_rpm) > 0, seed)
    dtcs = _dtcs(scenario, slow_s, long)
    codes = sum((np.where(slow_s >= at_s, 1.0, 0.0) for at_s, _ in dtcs), np.zeros(len(slow_s)))
    insulation = np.full(len(slow_s), _INSULATED_KOHM)
    for event in scenario.events:
        if isinstance(event, InsulationLoss):
            insulation[(slow_s >= event.at_s) & (slow_s < event.until_s)] = event.kohm
    values = {
        **{f"{TYRES[wheel]}.Pressure": kpa for wheel, kpa in tyre_kpa.items()},
        **{f"{TYRES[wheel]}.Temperature": tyre_c for wheel in TYRES},
        **{
            path: _during(slow_s, [e for e in scenario.events if isinstance(e, DoorOpen) and e.door == door])
            for door, path in DOORS.items()
        },
        **{
            path: 1 - _during(slow_s, [e for e in scenario.events if isinstance(e, BeltOpen) and e.seat == seat])
            for seat, path in BELTS.items()
        },
        ABS: _antilock(scenario, slow_s),
        TRIM_SHORT: short,
        TRIM_LONG: long,
        DTC_COUNT: codes,
        MIL: np.minimum(codes, 1.0),
        CHARGING: _during(slow_s, [e for e in scenario.events if isinstance(e, Charging)]),
        HVIL: 1 - _during(slow_s, [e for e in scenario.events if isinstance(e, HvilOpen)]),
        vss.INSULATION_RESISTANCE: insulation,
    }
    return Body(
        signals={path: (slow_ns, series) for path, series in values.items()},
        dtcs=dtcs,
        low_v=_low_voltage(scenario, motion.t_s, train, off_s),
        tyre_kpa=tyre_kpa,
    )


def rough_rpm(scenario: Scenario, seed: int, t_s: Floats) -> Floats:
    """What misfires add to a running engine's speed, rpm."""
    rough = np.zeros(len(t_s))
    for event in scenario.events:
        if isinstance(event, Misfire):
            missing = (t_s >= event.at_s) & (t_s < event.until_s)
            rough[missing] += event.roughness_rpm * stream(seed, "more").standard_normal(int(missing.sum()))
    return rough


def _during(t_s: Floats, spans: list[DoorOpen] | list[BeltOpen] | list[Charging] | list[HvilOpen]) -> Floats:
    """1 within any of the spans."""
    inside = np.zeros(len(t_s))
    for span in spans:
        inside[(t_s >= span.at_s) & (t_s < span.until_s)] = 1.0
    return inside


def _antilock(scenario: Scenario, t_s: Floats) -> Floats:
    engaged = np.zeros(len(t_s))
    for event in scenario.events:
        if isinstance(event, HarshBrake) and event.antilock:
            engaged[(t_s >= event.at_s) & (t_s < event.at_s + event.duration_s)] = 1.0
    return engaged


def _tyres(scenario: Scenario, slow_s: Floats, motion: Motion) -> tuple[Floats, dict[str, Floats]]:
    """Temperature (rolling warms it) and pressure of each: an ideal gas, less what leaks."""
    air_c = scenario.car.air_c
    kmh = np.interp(slow_s, motion.t_s, np.abs(motion.speed)) * 3.6
    warmth = np.concatenate([np.zeros(1), _TYRE_C_PER_KMH * kmh[1:]])  # a cold start: lag settles at the first value
    tyre_c = air_c + lag(warmth, SLOW_STEP_S, _TYRE_TAU_S)
    ratio = (tyre_c + _KELVIN) / (air_c + _KELVIN)
    kpa = {}
    for wheel in TYRES:
        cold = np.full(len(slow_s), COLD_KPA)
        for event in scenario.events:
            if isinstance(event, TyreLeak) and event.wheel == wheel:
                cold -= event.kpa_per_min / 60 * np.maximum(slow_s - event.at_s, 0)
        kpa[wheel] = np.maximum((np.maximum(cold, 0) + _AMBIENT_KPA) * ratio - _AMBIENT_KPA, 0)
    return tyre_c, kpa


def _trims(scenario: Scenario, slow_s: Floats, running: npt.NDArray[np.bool_], seed: int) -> tuple[Floats, Floats]:
    """Short and long fuel trim of bank 1 in percent: their sum is what the mixture lacks."""
    long = np.full(len(slow_s), 1.6)
    short = 1.2 * stream(seed, "more").standard_normal(len(slow_s)) * running
    for event in scenario.events:
        if isinstance(event, LeanMixture):
            since = np.clip(slow_s - event.at_s, 0, event.duration_s)
            learnt = 1 - np.exp(-since / _LEARN_S)
            long += event.trim_percent * learnt
            short += event.trim_percent * (1 - learnt) * ((since > 0) & (slow_s < event.until_s))
    return short, long


def _dtcs(scenario: Scenario, slow_s: Floats, long: Floats) -> tuple[tuple[float, str], ...]:
    """Confirmed codes; of the two drive cycles that set a MIL only the second is simulated."""
    found = []
    for event in scenario.events:
        if isinstance(event, Misfire) and event.at_s + _MISFIRE_S < min(scenario.duration_s, event.until_s):
            found.append((event.at_s + _MISFIRE_S, f"P03{event.cylinder:02d}"))
        elif isinstance(event, LeanMixture):
            lean = np.flatnonzero((long > _LEAN_PERCENT) & (slow_s >= event.at_s))
            found += [(float(slow_s[lean[0]]), "P0171")] if len(lean) else []
    return tuple(sorted(found))


def _low_voltage(scenario: Scenario, t_s: Floats, train: Powertrain, off_s: float) -> Floats:
    """The DC-DC converter holds 14.2 V less the load's drop; switched off, the battery rests; then the faults."""
    load = lag(train.brake / 100 + (train.engine_rpm > 0), STEP_S, 1.0)
    rest = 12.7 + 0.9 * np.exp(-np.clip(t_s - off_s, 0, None) / 20.0)
    volts = np.where(t_s < off_s, 14.2 - 0.12 * load, rest)
    for event in scenario.events:
        since = np.maximum(t_s - event.at_s, 0)
        if isinstance(event, SmartAlternator):
            wanted = 13.4 - 0.9 * (train.accelerator > 15) + 1.5 * (train.brake > 3)  # percent
            inside = (t_s >= event.at_s) & (t_s < event.until_s) & (t_s < off_s)
            volts = np.where(inside, lag(wanted, STEP_S, 1.5), volts)
        elif isinstance(event, AlternatorFault):
            falling = 12.5 + (volts - 12.5) * np.exp(-since / 4) - event.volts_per_min / 60 * since
            volts = np.where((t_s >= event.at_s) & (t_s < event.until_s), np.maximum(falling, 5.0), volts)
        elif isinstance(event, Drain):
            volts = np.maximum(volts - event.volts_per_min / 60 * since, np.minimum(volts, 4.0))
        elif isinstance(event, Crank):
            dip = (t_s >= event.at_s) & (t_s < event.at_s + 2)
            volts = np.where(dip, volts - (volts - event.lowest_v) * np.exp(-since / 0.35), volts)
    return volts
