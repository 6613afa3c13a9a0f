"""How the car moves: a driver who follows a plan, the limits of the powertrain, the road's curves, and impacts."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from simulators.world.grid import STEP_S, Floats, haversine_step, lag, stream, times, wander
from simulators.world.happenings import Grip, Hill, Rollover
from simulators.world.pulses import pulse_step
from simulators.world.route import legs_of
from simulators.world.scenario import Collision, HarshBrake, Leg, Scenario

GRAVITY: Final = 9.80665
WHEELBASE_M: Final = 2.7
_HALF_DENSITY: Final = 0.5 * 1.2  # of the air, kg/m^3: times drag area and v^2
_ROLLING_MPS2: Final = 0.011 * GRAVITY
_TRACTION_MPS2: Final = 4.2  # what the front wheels can push
_DRIVER_GAIN: Final = 0.7  # 1/s: how eagerly a difference of speed is closed
_JERK_MPS3: Final = 2.2
_EMERGENCY_JERK_MPS3: Final = 18.0
_CRAWL_MPS2: Final = 0.45  # the last metre to a stop is not approached for ever
_UNSTEADY_MPS: Final = 0.35  # nobody holds a speed exactly
_UNSTEADY_S: Final = 6.0
_FOOT_S: Final = 1.5
_SLIDE_MPS2: Final = 3.2  # a damaged car coming to a stand: below every harsh braking limit
_SCRUB_MPS2: Final = 5.0  # tyres pushed sideways
_CURVE_RAMP_S: Final = 1.2
_METRES_PER_DEGREE: Final = 111_320.0
_HILL_RAMP_S: Final = 3.0
_ROAD_FRICTION: Final = {"dry": np.inf, "wet": 0.6, "snow": 0.25, "ice": 0.12}  # shares of gravity; dry: enough


@dataclass(frozen=True, slots=True)
class Motion:
    """On the motion grid: t_s, speed in m/s (backwards is negative), accelerations in m/s^2.

    acceleration holds what tyres and brakes do; of a collision's pulse only the delta-v is in speed.
    lateral: right +. yaw_dps and curvature (1/m): left +. slope: metres up a metre ahead.
    crashed_s: when the first collision or rollover begins, inf without one.
    """

    t_s: Floats
    speed: Floats
    acceleration: Floats
    lateral: Floats
    yaw_dps: Floats
    curvature: Floats
    distance_m: Floats
    latitude: Floats
    longitude: Floats
    heading_deg: Floats
    slope: Floats
    climbed_m: Floats
    crashed_s: float


def move(scenario: Scenario, seed: int) -> Motion:
    """The whole drive's motion. The seed is the driver's unsteady foot."""
    t_s = times(scenario.duration_s, STEP_S)
    crashed_s = min(
        (event.at_s for event in scenario.events if isinstance(event, Collision | Rollover)), default=np.inf
    )
    slope = _slope(scenario, t_s)
    speed, acceleration = _drive_along(scenario, seed, t_s, slope, crashed_s)
    curvature = np.where(t_s < crashed_s, _curvature(scenario, t_s), 0.0)
    # Tyres that hold no more run wide: the bend becomes as gentle as they need it.
    held = _grip(scenario, t_s) / np.maximum(speed**2, 1e-6)
    curvature = np.clip(curvature, -held, held)
    yaw = speed * curvature
    heading = np.deg2rad(scenario.car.heading_deg) - _integral(yaw)
    east, north = _integral(speed * np.sin(heading)), _integral(speed * np.cos(heading))
    shrink = np.cos(np.deg2rad(scenario.car.latitude))
    return Motion(
        t_s=t_s,
        speed=speed,
        acceleration=acceleration,
        lateral=-speed * yaw,
        yaw_dps=np.rad2deg(yaw),
        curvature=curvature,
        distance_m=_integral(np.abs(speed)),
        latitude=scenario.car.latitude + north / _METRES_PER_DEGREE,
        longitude=scenario.car.longitude + east / (_METRES_PER_DEGREE * shrink),
        heading_deg=np.rad2deg(heading) % 360,
        slope=slope,
        climbed_m=_integral(speed * slope),
        crashed_s=crashed_s,
    )


def resistance_mps2(speed: Floats, scenario: Scenario) -> Floats:
    """Air drag and rolling resistance per kg of car."""
    car, moving = scenario.car, np.abs(speed) > 0.05
    through_air = speed + np.where(moving, scenario.weather.headwind_kmh / 3.6, 0.0)
    drag = _HALF_DENSITY * car.drag_area_m2 * through_air * np.abs(through_air) / car.mass_kg
    return drag + np.where(moving, _ROLLING_MPS2, 0.0)


def scrub(t_s: Floats, start_s: float, velocity: float) -> Floats:
    """Lateral acceleration by which the tyres take away a sideways velocity in m/s that a side impact gave."""
    end_s = start_s + abs(velocity) / _SCRUB_MPS2
    return np.where((t_s >= start_s) & (t_s < end_s), -np.sign(velocity) * _SCRUB_MPS2, 0.0)


def _drive_along(scenario: Scenario, seed: int, t_s: Floats, slope: Floats, crashed_s: float) -> tuple[Floats, Floats]:
    """Speed and acceleration: one scalar loop, because each step needs the speed of the last."""
    legs, wind = legs_of(scenario), scenario.weather.headwind_kmh / 3.6
    target, push, brake = _plan(legs, t_s)
    unsteady = _UNSTEADY_MPS * lag(wander(stream(seed, "driver"), len(t_s), STEP_S, _UNSTEADY_S), STEP_S, _FOOT_S)
    target = np.where(target > 2, target + unsteady, target)
    forced = np.zeros(len(t_s))
    for event in scenario.events:
        if isinstance(event, HarshBrake):
            forced[(t_s >= event.at_s) & (t_s < event.at_s + event.duration_s)] = event.deceleration_mps2
    crashes = [event for event in scenario.events if isinstance(event, Collision)]
    knocks = np.diff(sum((_longitudinal_step(crash, t_s) for crash in crashes), np.zeros(len(t_s))))
    grip, pull = _grip(scenario, t_s), (GRAVITY * slope).tolist()
    traction = np.minimum(_TRACTION_MPS2, grip).tolist()
    forced, brake = np.minimum(forced, grip), np.minimum(brake, grip)
    power_per_kg = scenario.car.power_kw * 1000 * 0.9 / scenario.car.mass_kg
    drag = _HALF_DENSITY * scenario.car.drag_area_m2 / scenario.car.mass_kg
    rolling = bool(legs) and legs[0].at_s == 0
    v = float(target[0]) if rolling else 0.0  # a plan that begins at 0 s begins at its speed
    a = 0.0
    speeds, accelerations = [v], [a]
    crash_row = int(np.searchsorted(t_s, crashed_s))
    slide_row = int(np.searchsorted(t_s, _slide_s(scenario)))
    wishes = zip(target.tolist(), push.tolist(), brake.tolist(), forced.tolist(), strict=True)
    for row, (knock, wish) in enumerate(zip(knocks.tolist(), wishes, strict=False)):
        if row < crash_row:
            air = drag * (v + wind) * abs(v + wind)
            limit = min(traction[row], power_per_kg / max(v, 2.0)) - air - _ROLLING_MPS2 - pull[row]
            v, a = _driven(v, a, wish, limit)
        else:
            v, a = _sliding(v) if row >= slide_row else (v, 0.0)
        v += knock
        speeds.append(v)
        accelerations.append(a)
    return np.array(speeds), np.array(accelerations)


def _slide_s(scenario: Scenario) -> float:
    """When the first pulse is over: until then it alone changes the speed, so that its delta-v is the one asked for.

    A car that rolls over slides at once.
    """
    ends = [event.at_s + event.duration_ms / 1000 for event in scenario.events if isinstance(event, Collision)]
    ends += [event.at_s for event in scenario.events if isinstance(event, Rollover)]
    return min(ends, default=np.inf)


def _slope(scenario: Scenario, t_s: Floats) -> Floats:
    """Metres up a metre ahead; the hill begins and ends within seconds."""
    slope = np.zeros(len(t_s))
    for event in scenario.events:
        if isinstance(event, Hill):
            rise = haversine_step(t_s, event.at_s, _HILL_RAMP_S) - haversine_step(t_s, event.until_s, _HILL_RAMP_S)
            slope += rise * (event.grade_percent / 100)
    return slope


def _grip(scenario: Scenario, t_s: Floats) -> Floats:
    """Acceleration the tyres can hold, m/s^2; unlimited but where the scenario says otherwise."""
    grip = np.full(len(t_s), _ROAD_FRICTION[scenario.weather.road] * GRAVITY)
    for event in scenario.events:
        if isinstance(event, Grip):
            grip[(t_s >= event.at_s) & (t_s < event.until_s)] = event.friction * GRAVITY
    return grip


def _driven(v: float, a: float, wish: tuple[float, float, float, float], limit: float) -> tuple[float, float]:
    """One step of a driver closing the difference to the wanted speed, within his limits and the car's."""
    goal, push, brake, forced = wish
    jerk = _EMERGENCY_JERK_MPS3 if forced > 0 or a < -brake - 0.1 else _JERK_MPS3
    want = -forced if forced > 0 else min(max(_DRIVER_GAIN * (goal - v), -brake), push)
    if goal == 0 and v > 0:
        want = min(want, -_CRAWL_MPS2)
    want = min(want, limit)
    a = min(max(want, a - jerk * STEP_S), a + jerk * STEP_S)
    v += a * STEP_S
    return (0.0, 0.0) if v <= 0 and a < 0 else (v, a)


def _sliding(v: float) -> tuple[float, float]:
    """One step of a car nobody drives any more, in either direction."""
    a = -_SLIDE_MPS2 if v > 0 else _SLIDE_MPS2
    moved = v + a * STEP_S
    return (0.0, 0.0) if moved * v <= 0 else (moved, a)


def _plan(legs: list[Leg], t_s: Floats) -> tuple[Floats, Floats, Floats]:
    """Wanted speed in m/s and the driver's limits in m/s^2 at every step; standing until the first leg."""
    starts = [0.0, *(leg.at_s for leg in legs), np.inf]
    wishes = [(0.0, 1.5, 1.8), *((leg.speed_kmh / 3.6, leg.acceleration_mps2, leg.braking_mps2) for leg in legs)]
    columns = np.zeros((3, len(t_s)))
    for (start, end), wish in zip(pairwise(starts), wishes, strict=True):
        columns[:, (t_s >= start) & (t_s < end)] = np.array(wish)[:, None]
    return columns[0], columns[1], columns[2]


def _curvature(scenario: Scenario, t_s: Floats) -> Floats:
    """1/m, left +, with half-cosine turn-in and turn-out."""
    total = np.zeros(len(t_s))
    for curve in scenario.curves:
        ramp = min(_CURVE_RAMP_S, curve.duration_s / 2)
        inside = slice(*np.searchsorted(t_s, (curve.at_s, curve.at_s + curve.duration_s)))
        rise = np.clip((t_s[inside] - curve.at_s) / ramp, 0, 1)
        fall = np.clip((curve.at_s + curve.duration_s - t_s[inside]) / ramp, 0, 1)
        shape = 0.25 * (1 - np.cos(np.pi * rise)) * (1 - np.cos(np.pi * fall))
        total[inside] += shape / curve.radius_m * (1 if curve.turn == "left" else -1)
    return total


def _longitudinal_step(crash: Collision, t_s: Floats) -> Floats:
    change = -crash.delta_v_kmh / 3.6 * np.cos(np.deg2rad(crash.pdof_deg))
    return float(change) * pulse_step(crash.shape, t_s, crash.at_s, crash.duration_ms / 1000)


def _integral(x: npt.NDArray[np.float64]) -> Floats:
    """Trapezoidal running integral over the motion grid, from 0."""
    return np.concatenate([[0.0], np.cumsum((x[1:] + x[:-1]) * (STEP_S / 2))])
