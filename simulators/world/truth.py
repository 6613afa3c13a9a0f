"""What a perfect agent with default limits would report: worked out from the motion itself, not from any sensor."""

from typing import Final

import numpy as np

from agent.core.config import BatteryLimits, CollisionLimits, Driving, RoadLimits, Trip
from simulators.world.body import Body
from simulators.world.faults import tell_faults
from simulators.world.grid import SLOW_STEP_S, STEP_S, Floats
from simulators.world.happenings import Kerb
from simulators.world.motion import Motion
from simulators.world.pack import Pack
from simulators.world.pulses import PEAK
from simulators.world.scenario import CellOverheat, Collision, Pothole, Scenario
from simulators.world.types import Truth

_RUNAWAY_KPS: Final = 1.0  # GB 38031-2025: a limit temperature, and dT/dt of at least 1 K/s for more than 3 s
_RUNAWAY_S: Final = 3.0
_STANDING_KMH: Final = 1.0
_SAME_CRASH_S: Final = 5.0  # 49 CFR 563: events this close belong to one crash


def tell(scenario: Scenario, motion: Motion, pack: Pack, body: Body, *, ignition_off_s: float) -> tuple[Truth, ...]:
    """All truths in order of time."""
    found = [*_trips(motion, ignition_off_s), *_harsh(motion), *_impacts(scenario, motion), *_battery(scenario, pack)]
    found += tell_faults(scenario, motion, pack, body, ignition_off_s=ignition_off_s)
    return tuple(sorted(found, key=lambda truth: truth.t_ns))


def _at(seconds: float) -> int:
    return round(seconds * 1e9)


def _trips(motion: Motion, ignition_off_s: float) -> list[Truth]:
    """Trips: moving is going at the start speed or faster; longer pauses cut. Being pushed is no trip."""
    limits = Trip()
    kmh = np.abs(motion.speed) * 3.6
    moving = np.flatnonzero((kmh >= limits.start_speed_kmh) & (motion.t_s < ignition_off_s))
    if len(moving) == 0:
        return []
    breaks = np.flatnonzero(np.diff(moving) * STEP_S > limits.end_after_s)
    found = []
    for rows in np.split(moving, breaks + 1):
        first, last = int(rows[0]), int(rows[-1])
        found.append(Truth("trip_started", _at(motion.t_s[first]), {}))
        distance = float(motion.distance_m[last] - motion.distance_m[first])
        top = float(kmh[first : last + 1].max())
        details: dict[str, float | int | str | bool] = {
            "distance_m": round(distance, 1),
            "duration_s": round(float(motion.t_s[last] - motion.t_s[first]), 2),
            "speed_max_kmh": round(top, 1),
        }
        found.append(Truth("trip_ended", _at(motion.t_s[last]), details))
    return found


def _harsh(motion: Motion) -> list[Truth]:
    limits = Driving()
    found = []
    kmh = np.abs(motion.speed) * 3.6
    before_crash = motion.t_s < motion.crashed_s
    for maneuver, excess, limit, slowest in (
        ("braking", -motion.acceleration, limits.braking_mps2, limits.speed_min_kmh),
        ("acceleration", motion.acceleration, limits.acceleration_mps2, limits.speed_min_kmh),
        ("cornering", np.abs(motion.lateral), limits.cornering_mps2, limits.cornering_speed_min_kmh),
    ):
        for first, last in _spans((excess > limit) & before_crash):
            if (last - first) * STEP_S < limits.duration_min_s or kmh[first] < slowest:
                continue
            details: dict[str, float | int | str | bool] = {
                "maneuver": maneuver,
                "peak_mps2": round(float(excess[first:last].max()), 2),
                "speed_kmh": round(float(kmh[first]), 1),
            }
            found.append(Truth("harsh_driving", _at(motion.t_s[first]), details))
    return found


def _impacts(scenario: Scenario, motion: Motion) -> list[Truth]:
    limits, trigger = RoadLimits(), CollisionLimits()
    found = []
    for event in scenario.events:
        before = round(float(np.interp(event.at_s - STEP_S, motion.t_s, np.abs(motion.speed))) * 3.6, 1)
        if isinstance(event, Pothole | Kerb):
            if event.peak_mps2 < limits.peak_mps2 or before < limits.speed_min_kmh:
                continue
            found.append(Truth("road_impact", _at(event.at_s), {"peak_mps2": event.peak_mps2, "speed_kmh": before}))
        elif isinstance(event, Collision):
            least = trigger.stationary_delta_v_kmh if before < _STANDING_KMH else trigger.delta_v_kmh
            if event.delta_v_kmh < least:
                continue
            details: dict[str, float | int | str | bool] = {
                "delta_v_kmh": event.delta_v_kmh,
                "duration_ms": event.duration_ms,
                "pdof_deg": event.pdof_deg % 360,
                "peak_mps2": round(PEAK[event.shape] * event.delta_v_kmh / 3.6 / event.duration_ms * 1000, 1),
                "speed_before_kmh": before,
                "stationary": before < _STANDING_KMH,
            }
            again = 0 < event.at_s - motion.crashed_s <= _SAME_CRASH_S
            found.append(Truth("second_impact" if again else "collision", _at(event.at_s), details))
    return found


def _battery(scenario: Scenario, pack: Pack) -> list[Truth]:
    limits = BatteryLimits()
    found = []
    for event in scenario.events:
        if not isinstance(event, CellOverheat):
            continue
        celsius = pack.cell_c[event.cell]
        spread = celsius - pack.cell_c.min(axis=0)
        rate = np.concatenate([[0.0], np.diff(celsius)]) / SLOW_STEP_S
        steady = np.convolve(rate >= _RUNAWAY_KPS, np.ones(round(_RUNAWAY_S / SLOW_STEP_S)))[: len(rate)]
        for alarm, rows in (
            ("over_temperature", celsius >= limits.over_temperature_c),
            ("temperature_difference", spread >= limits.temperature_spread_c),
            ("thermal_runaway", (celsius >= limits.over_temperature_c) & (steady >= round(_RUNAWAY_S / SLOW_STEP_S))),
        ):
            if rows.any():
                t_s = float(np.argmax(rows)) * SLOW_STEP_S
                found.append(Truth("battery_alarm", _at(t_s), {"alarm": alarm, "cell": event.cell}))
    return found


def _spans(rows: np.ndarray[tuple[int], np.dtype[np.bool_]] | Floats) -> list[tuple[int, int]]:
    """Half-open runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], rows.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
