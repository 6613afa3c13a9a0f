"""What the wheels ask of engine, motor, brakes and pedals: the motor first, the engine for the rest."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from simulators.world.grid import SLOW_STEP_S, STEP_S, Floats, lag, times
from simulators.world.motion import GRAVITY, WHEELBASE_M, Motion, resistance_mps2
from simulators.world.scenario import Car, Scenario

MOTOR_KW: Final = 20.0
_REGENERATION_KW: Final = 15.0
_DRIVELINE: Final = 0.92
_ACCESSORIES_KW: Final = 0.9  # air conditioning, DC-DC converter
_ENGINE_ON_KW: Final = 13.0  # smoothed demand above which the engine starts, and below which it stops
_ENGINE_OFF_KW: Final = 3.5
_IDLE_RPM: Final = 780  # of an engine that has to idle; a hybrid's never runs so slowly
_ENGINE_ON_KMH: Final = 70.0
_AIR_PER_KWS: Final = 14.7 / (0.32 * 43.0)  # g of air per kJ at the crank: stoichiometric, 32 % efficiency, 43 MJ/kg
_BRAKE_FULL_MPS2: Final = 10.0  # deceleration of a fully pressed brake pedal
_STEERING_RATIO: Final = 15.2
_UNDERSTEER: Final = 0.0022  # rad of road wheel per m/s^2 of lateral acceleration
_THERMOSTAT_C: Final = 88.0


@dataclass(frozen=True, slots=True)
class Powertrain:
    """On the motion grid unless named: percent, rpm, g/s, degrees (left +), kW (battery: + = drawn)."""

    accelerator: Floats
    brake: Floats
    throttle: Floats
    engine_rpm: Floats
    air_gps: Floats
    steering_deg: Floats
    battery_kw: Floats
    coolant_c: Floats  # on the slow grid


def power(motion: Motion, scenario: Scenario, *, ignition_off_s: float) -> Powertrain:
    """Work back from the motion. After a crash or with the ignition off nothing drives."""
    car = scenario.car
    alive = motion.t_s < min(motion.crashed_s, ignition_off_s)
    wheel_mps2 = motion.acceleration + resistance_mps2(motion.speed, scenario) + GRAVITY * motion.slope
    wheel_kw = wheel_mps2 * motion.speed * car.mass_kg / 1000
    demand_kw = np.where(alive, np.maximum(wheel_kw, 0) / _DRIVELINE, 0.0)
    engine_kw, rpm = _engine(motion, demand_kw, alive, car)
    regenerated_kw = np.where(
        alive & (motion.speed > 2), np.clip(-wheel_kw * _DRIVELINE, 0, _regeneration_kw(car)), 0.0
    )
    motor_kw = np.clip(demand_kw - engine_kw, 0, {"hybrid": MOTOR_KW, "ice": 0.0, "ev": car.power_kw}[car.kind])
    accessories_kw = np.where(motion.t_s < ignition_off_s, _ACCESSORIES_KW, 0.03) if car.kind != "ice" else 0.0
    friction_mps2 = np.maximum(-wheel_mps2 - regenerated_kw / np.maximum(motion.speed, 1) * 1000 / car.mass_kg, 0)
    held = (np.abs(motion.speed) < 0.05) & alive
    brake = np.where(held, 18.0, np.clip(friction_mps2 / _BRAKE_FULL_MPS2 * 100, 0, 100))
    engine_full_kw = np.clip(rpm / 5500, 0.3, 1) * car.power_kw
    return Powertrain(
        accelerator=np.where(alive, np.clip(100 * np.sqrt(demand_kw / car.power_kw), 0, 100), 0.0),
        brake=np.clip(
            lag(np.where((motion.t_s < motion.crashed_s) | (np.abs(motion.speed) > 0.05), brake, 0.0), STEP_S, 0.05),
            0,
            100,
        ),
        throttle=np.where(rpm > 300, np.clip(11 + 89 * lag(engine_kw / engine_full_kw, STEP_S, 0.2), 0, 100), 0.0),
        engine_rpm=rpm,
        air_gps=np.where(rpm > 300, 1.6 * rpm / 1000 + engine_kw * _AIR_PER_KWS, 0.0),
        steering_deg=np.rad2deg(_STEERING_RATIO * (WHEELBASE_M * motion.curvature - _UNDERSTEER * motion.lateral)),
        battery_kw=motor_kw / 0.9 - 0.9 * regenerated_kw + accessories_kw - _charging(engine_kw, car),
        coolant_c=_coolant(engine_kw, car, motion),
    )


def _engine(motion: Motion, demand_kw: Floats, alive: npt.NDArray[np.bool_], car: Car) -> tuple[Floats, Floats]:
    """Power at the crank and speed, with the start-stop hysteresis of the hybrid."""
    smooth_kw = lag(demand_kw, STEP_S, 0.8)
    kmh = motion.speed * 3.6
    start = (smooth_kw > _ENGINE_ON_KW) | (kmh > _ENGINE_ON_KMH) | (car.kind == "ice")
    stop = ~start & (smooth_kw < _ENGINE_OFF_KW) & (kmh < 0.8 * _ENGINE_ON_KMH)
    decisive = np.where(start | stop, np.arange(len(kmh)), -1)
    last = np.maximum.accumulate(decisive)
    running = (last >= 0) & start[np.maximum(last, 0)] & alive & (car.kind != "ev")
    helped_kw = 2.0 if car.kind == "hybrid" else 0.0
    engine_kw = np.where(running, np.clip(smooth_kw - helped_kw, 1.5, 0.9 * car.power_kw), 0.0)
    idle_rpm = 1150 if car.kind == "hybrid" else _IDLE_RPM
    wanted_rpm = np.where(running, np.clip(idle_rpm + 4200 * engine_kw / car.power_kw + 6 * kmh, idle_rpm, 5600), 0.0)
    return engine_kw, np.maximum(lag(wanted_rpm, STEP_S, 0.25), 0.0)


def _regeneration_kw(car: Car) -> float:
    """What the pack takes back: less when it is nearly full or cold."""
    if car.kind == "ice":
        return 0.0
    most_kw = _REGENERATION_KW if car.kind == "hybrid" else 0.5 * car.power_kw
    return most_kw * min(max((96 - car.soc_percent) / 15, 0.0), 1.0) * min(max((car.pack_c + 15) / 25, 0.2), 1.0)


def _charging(engine_kw: Floats, car: Car) -> Floats:
    """A hybrid's running engine also feeds the pack a little."""
    return np.where(engine_kw > 0, 1.2 if car.kind == "hybrid" else 0.0, 0.0)


def _coolant(engine_kw: Floats, car: Car, motion: Motion) -> Floats:
    """One thermal node: about as much heat into the coolant as work at the crank, a thermostat, a radiator."""
    slow_s = times(motion.t_s[-1], SLOW_STEP_S)
    heat_kw = np.interp(slow_s, motion.t_s, lag(engine_kw, STEP_S, 0.5)).tolist()
    temperature, out = car.coolant_c, []
    for kw in heat_kw:
        out.append(temperature)
        opening = min(max((temperature - _THERMOSTAT_C) / 6, 0.0), 1.0)
        loss_kw = (0.012 + 0.9 * opening) * (temperature - car.air_c)
        temperature += (0.9 * kw - loss_kw) / 45.0 * SLOW_STEP_S
    return np.array(out)


def pitch_deg(motion: Motion) -> Floats:
    """Nose dive in degrees (down +): about 3 degrees a g, settling with the suspension."""
    return lag(-3.0 * motion.acceleration / GRAVITY, STEP_S, 0.12)


def roll_deg(motion: Motion) -> Floats:
    """Roll in degrees (right side down +): about 4 degrees a g, outwards."""
    return lag(-4.0 * motion.lateral / GRAVITY, STEP_S, 0.15)
