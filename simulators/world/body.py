"""Tyres, doors, belts, airbags, interlock, insulation and what OBD knows of the engine: beside the drive's signals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core import vss
from simulators.world.charging import IS_CHARGING, plugged
from simulators.world.diagnosis import Health, Memory, lit, remember
from simulators.world.electrics import low_voltage
from simulators.world.grid import SLOW_STEP_S, Floats, lag, stream, times, to_ns
from simulators.world.happening import Lasting
from simulators.world.happenings import AirbagFault, BeltOpen, DoorOpen, LeanMixture, Misfire, Rollover, TyreLeak
from simulators.world.happenings_pack import HvilOpen, InsulationLoss, WaterIngress
from simulators.world.motion import Motion
from simulators.world.pack import Pack
from simulators.world.powertrain import Powertrain
from simulators.world.scenario import Collision, HarshBrake, Scenario, ignition_off_s
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
AIRBAGS: Final[Mapping[str, str]] = {
    "driver": "Vehicle.Cabin.Seat.Row1.DriverSide.Airbag.IsDeployed",
    "passenger": "Vehicle.Cabin.Seat.Row1.PassengerSide.Airbag.IsDeployed",
}
AIRBAG_LAMP: Final = "Vehicle.Private.Cabin.Airbag.IsWarningOn"
TRIM_SHORT: Final = "Vehicle.Private.OBD.ShortTermFuelTrim1"  # percent
TRIM_LONG: Final = "Vehicle.Private.OBD.LongTermFuelTrim1"  # percent
ENGINE_LOAD: Final = "Vehicle.Private.OBD.EngineLoad"  # percent
RUN_TIME: Final = "Vehicle.Private.OBD.RunTime"  # s since the engine's start
HVIL: Final = "Vehicle.Private.Powertrain.TractionBattery.IsHvilClosed"
CONTACTOR_POSITIVE: Final = "Vehicle.Powertrain.TractionBattery.IsPowerConnected"
CONTACTOR_NEGATIVE: Final = "Vehicle.Powertrain.TractionBattery.IsGroundConnected"

COLD_KPA: Final = 240.0  # gauge, at the air's temperature when the drive begins
_AMBIENT_KPA: Final = 101.3
_KELVIN: Final = 273.15
_TYRE_C_PER_KMH: Final = 0.22
_TYRE_TAU_S: Final = 500.0
_INSULATED_KOHM: Final = 2000.0
_WET_KOHM: Final = 5.0
_LEARN_S: Final = 30.0
_FRONT_BAG_KMH: Final = 20.0  # delta-v from which airbags fire, about: common knowledge, every car has its own
_SIDE_BAG_KMH: Final = 14.0
_FRONT_DEG: Final = 60.0
_FIRING_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Body:
    """signals as in Drive; memory: what the control units tell of faults; low_v on the motion grid.

    tyre_kpa by wheel, insulation_kohm: on the slow grid.
    """

    signals: Mapping[str, tuple[Times, Values]]
    memory: tuple[Memory, ...]
    low_v: Floats
    tyre_kpa: Mapping[str, Floats]
    insulation_kohm: Floats


def equip(scenario: Scenario, seed: int, motion: Motion, train: Powertrain, pack: Pack) -> Body:
    """All of it but the pack's own; low_v is without sensor noise, because the drive adds it."""
    off_s = ignition_off_s(scenario)
    slow_s = times(scenario.duration_s, SLOW_STEP_S)
    tyre_c, tyre_kpa = _tyres(scenario, slow_s, motion)
    rpm = np.interp(slow_s, motion.t_s, train.engine_rpm)
    short, long = _trims(scenario, slow_s, rpm > 0, seed)
    insulation = _insulation(scenario, slow_s)
    memory = remember(scenario, slow_s, Health(long, insulation, train.coolant_c, train.engine_rpm))
    charger = plugged(scenario, slow_s, np.interp(slow_s, motion.t_s, pack.charging_kw))
    closed = np.where((slow_s < min(off_s, motion.crashed_s)) | (charger[IS_CHARGING] > 0), 1.0, 0.0)
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
        **{path: _deployed(scenario, slow_s, seat) for seat, path in AIRBAGS.items()},
        AIRBAG_LAMP: np.maximum(
            _during(slow_s, [e for e in scenario.events if isinstance(e, AirbagFault)]),
            np.maximum(*(_deployed(scenario, slow_s, seat) for seat in AIRBAGS)),
        ),
        ABS: _antilock(scenario, slow_s),
        TRIM_SHORT: short,
        TRIM_LONG: long,
        ENGINE_LOAD: np.interp(slow_s, motion.t_s, train.throttle),
        RUN_TIME: np.cumsum(rpm > 0) * SLOW_STEP_S,
        **lit(memory, slow_s),
        **charger,
        CONTACTOR_POSITIVE: closed,
        CONTACTOR_NEGATIVE: closed,
        HVIL: 1 - _during(slow_s, [e for e in scenario.events if isinstance(e, HvilOpen)]),
        vss.INSULATION_RESISTANCE: insulation,
    }
    slow_ns = to_ns(slow_s)
    return Body(
        signals={path: (slow_ns, series) for path, series in values.items()},
        memory=memory,
        low_v=low_voltage(scenario, motion.t_s, train, off_s),
        tyre_kpa=tyre_kpa,
        insulation_kohm=insulation,
    )


def rough_rpm(scenario: Scenario, seed: int, t_s: Floats) -> Floats:
    """What misfires add to a running engine's speed, rpm."""
    rough = np.zeros(len(t_s))
    for event in scenario.events:
        if isinstance(event, Misfire):
            missing = (t_s >= event.at_s) & (t_s < event.until_s)
            rough[missing] += event.roughness_rpm * stream(seed, "more").standard_normal(int(missing.sum()))
    return rough


def _during(t_s: Floats, spans: Sequence[Lasting]) -> Floats:
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


def _deployed(scenario: Scenario, t_s: Floats, seat: str) -> Floats:
    """1 from when this seat's airbag has fired: both in front, the struck side's at the side, both in a rollover."""
    fired_s = np.inf
    for event in scenario.events:
        if isinstance(event, Rollover):
            fired_s = min(fired_s, event.at_s)
        elif isinstance(event, Collision):
            degrees = (event.pdof_deg + 180) % 360 - 180  # from the right is positive, and there sits the passenger
            front = abs(degrees) <= _FRONT_DEG and event.delta_v_kmh >= _FRONT_BAG_KMH
            struck = (degrees > 0) == (seat == "passenger") and _FRONT_DEG < abs(degrees) < 180 - _FRONT_DEG
            if front or (struck and event.delta_v_kmh >= _SIDE_BAG_KMH):
                fired_s = min(fired_s, event.at_s)
    return np.where(t_s >= fired_s + _FIRING_S, 1.0, 0.0)


def _insulation(scenario: Scenario, slow_s: Floats) -> Floats:
    """KOhm between pack and body."""
    kohm = np.full(len(slow_s), _INSULATED_KOHM)
    for event in scenario.events:
        inside = (slow_s >= event.at_s) & (slow_s < getattr(event, "until_s", np.inf))
        if isinstance(event, InsulationLoss):
            kohm[inside] = event.kohm
        elif isinstance(event, WaterIngress):
            wet = _INSULATED_KOHM * 0.5 ** (np.maximum(slow_s - event.at_s, 0) / event.halving_s)
            kohm[inside] = np.minimum(kohm, np.maximum(wet, _WET_KOHM))[inside]
    return kohm


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
