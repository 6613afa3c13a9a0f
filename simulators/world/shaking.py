"""What else the box feels: kerbs, bumps and rails, doors and knocks, lifts, waves, a rollover, a mount that gives."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from simulators.world.grid import Floats, haversine_pulse, haversine_step
from simulators.world.happenings import (
    CarWash,
    DoorSlam,
    Drop,
    Kerb,
    Knock,
    LooseMount,
    RailCrossing,
    Rollover,
    SpeedBump,
    Swell,
    Tilt,
    Tow,
)
from simulators.world.motion import GRAVITY, WHEELBASE_M, Motion
from simulators.world.scenario import HarshBrake, Scenario

_BUMP_M: Final = 3.0
_RAIL_GAP_M: Final = 1.5
_ABS_HZ: Final = 12.0
_ABS_SHARE: Final = 0.18
_DROPPED_DEG: Final = 70.0  # how the box lies after a fall
_FLOOR_S: Final = 0.008
_BODY_BLOW_S: Final = 0.08  # roof and sides on the ground
_BODY_BLOW_MPS2: Final = 30.0

Shake = Callable[[Any, float, Floats, Floats, Floats, np.random.Generator], None]


def tilt(scenario: Scenario, motion: Motion) -> tuple[Floats, Floats]:
    """Pitch (nose down +) and roll (right side down +) in degrees that road, lifts and waves add; motion grid.

    A box that fell or hangs loose counts as a tilt of the car: its axes turn for gravity, not for the drive's forces.
    """
    t_s = motion.t_s
    pitch, roll = -np.rad2deg(np.arctan(motion.slope)), np.zeros(len(t_s))
    for event in scenario.events:
        if isinstance(event, Tilt | Tow):
            share = _lifted(t_s, event.at_s, event.until_s, event.ramp_s)
            # The front hangs on the hook: nose up.
            pitch += share * (event.pitch_deg if isinstance(event, Tilt) else -event.lift_deg)
            roll += share * (event.roll_deg if isinstance(event, Tilt) else 0.0)
        elif isinstance(event, Swell):
            share = _lifted(t_s, event.at_s, event.until_s, 2 * event.period_s)
            phase = 2 * np.pi * (t_s - event.at_s) / event.period_s
            roll += share * event.roll_deg * np.sin(phase)
            pitch += share * event.pitch_deg * np.sin(1.31 * phase)
        elif isinstance(event, Rollover):
            turned = 360 * event.turns * haversine_step(t_s, event.at_s, event.duration_s)
            roll += turned if event.side == "right" else -turned
        elif isinstance(event, LooseMount):
            pitch += event.pitch_deg * haversine_step(t_s, event.at_s, 0.4)
        elif isinstance(event, Drop):
            pitch += _DROPPED_DEG * haversine_step(t_s, event.at_s, fall_s(event))
    return pitch, roll


def shake(
    scenario: Scenario, rng: np.random.Generator, motion: Motion, t_s: Floats, felt: tuple[Floats, Floats]
) -> None:
    """Add every event's own shaking to felt: specific force (n, 3) and turning rates (n, 3), in place."""
    force, turning = felt
    for event in scenario.events:
        add = _SHAKES.get(type(event))
        if add is None:
            continue
        speed = float(np.interp(event.at_s, motion.t_s, np.abs(motion.speed)))
        end_s = event.at_s + max(5.0, getattr(event, "duration_s", 0.0))
        near = slice(*np.searchsorted(t_s, (event.at_s, end_s)))
        add(event, speed, t_s[near], force[near], turning[near], rng)


def fall_s(event: Drop) -> float:
    """Time of the fall."""
    return float(np.sqrt(2 * event.height_m / GRAVITY))


def _lifted(t_s: Floats, start_s: float, end_s: float, ramp_s: float) -> Floats:
    """0 before and after, 1 between, with round ramps inside."""
    ramp_s = min(ramp_s, (end_s - start_s) / 2)
    return haversine_step(t_s, start_s, ramp_s) - haversine_step(t_s, end_s - ramp_s, ramp_s)


def _blow(t_s: Floats, start_s: float, duration_s: float, peak: float) -> Floats:
    """A haversine of this peak."""
    return haversine_pulse(t_s, start_s, duration_s) * (peak * duration_s / 2)


def _ringing(t_s: Floats, start_s: float, hertz: float, decay_s: float) -> Floats:
    after = np.maximum(t_s - start_s, 0)
    return np.asarray(np.exp(-after / decay_s) * np.sin(2 * np.pi * hertz * after))


def _kerb(event: Kerb, speed: float, t_s: Floats, force: Floats, turning: Floats, _: np.random.Generator) -> None:
    if speed < 0.3:  # a standing car meets no kerb
        return
    side = 1.0 if event.side == "right" else -1.0
    for start_s, share in ((event.at_s, 1.0), (event.at_s + WHEELBASE_M / speed, 0.7)):
        width_s = float(np.clip(0.25 / speed, 0.025, 0.08))
        blow = _blow(t_s, start_s, width_s, share * event.peak_mps2)
        force[:, 2] += blow + 0.2 * share * event.peak_mps2 * _ringing(t_s, start_s + width_s, 12.0, 0.09)
        force[:, 0] -= 0.35 * blow
        force[:, 1] -= 0.45 * side * blow
        turning[:, 0] -= side * 0.5 * blow


def _bump(event: SpeedBump, speed: float, t_s: Floats, force: Floats, turning: Floats, _: np.random.Generator) -> None:
    if speed < 0.3:  # a standing car meets no bump
        return
    for start_s, sign in ((event.at_s, 1.0), (event.at_s + WHEELBASE_M / speed, -1.0)):
        phase = np.clip((t_s - start_s) / (_BUMP_M / speed), 0, 1)
        force[:, 2] += 0.5 * event.peak_mps2 * -np.sin(4 * np.pi * phase) * np.sin(np.pi * phase)
        turning[:, 1] -= sign * 4.0 * np.sin(2 * np.pi * phase)


def _rails(event: RailCrossing, speed: float, t_s: Floats, force: Floats, _: Floats, __: np.random.Generator) -> None:
    if speed < 0.3:  # a standing car crosses nothing
        return
    for rail in range(event.rails):
        for axle_m in (0.0, WHEELBASE_M):
            start_s = event.at_s + (rail * _RAIL_GAP_M + axle_m) / speed
            force[:, 2] += _blow(t_s, start_s, 0.03, event.peak_mps2)
            force[:, 2] += 0.2 * event.peak_mps2 * _ringing(t_s, start_s, 14.0, 0.06)


def _slam(event: DoorSlam, _: float, t_s: Floats, force: Floats, turning: Floats, __: np.random.Generator) -> None:
    side = 1.0 if event.side == "left" else -1.0
    force[:, 1] += side * event.peak_mps2 * _ringing(t_s, event.at_s, 18.0, 0.08)
    force[:, 2] += 0.5 * event.peak_mps2 * _ringing(t_s, event.at_s, 9.0, 0.12)
    turning[:, 0] += side * 2.0 * _ringing(t_s, event.at_s, 2.0, 0.3)


def _knock(event: Knock, _: float, t_s: Floats, force: Floats, turning: Floats, __: np.random.Generator) -> None:
    blow = _blow(t_s, event.at_s, 0.012, event.peak_mps2)
    force += blow[:, None] * np.array([0.6, 0.5, 0.4])
    turning[:, 1] += 1.5 * blow


def _drop(event: Drop, _: float, t_s: Floats, force: Floats, turning: Floats, __: np.random.Generator) -> None:
    floor_s = event.at_s + fall_s(event)
    falling = (t_s >= event.at_s) & (t_s < floor_s)
    force[falling] = 0.0
    hit = haversine_pulse(t_s, floor_s, _FLOOR_S) * float(np.sqrt(2 * GRAVITY * event.height_m))
    bounce = 0.3 * haversine_pulse(t_s, floor_s + 0.15, _FLOOR_S)
    force += (hit + bounce)[:, None] * np.array([0.3, 0.4, 0.85])
    turning[falling] += np.array([60.0, 120.0, 30.0])


def _rattle(
    event: LooseMount, speed: float, t_s: Floats, force: Floats, turning: Floats, rng: np.random.Generator
) -> None:
    loose = (t_s >= event.at_s) & (t_s < event.until_s)
    size = 0.5 * event.rattle * min(speed / 14.0, 2.0)
    force[loose] += size * rng.standard_normal((int(loose.sum()), 3))
    turning[loose] += 4.0 * size * rng.standard_normal((int(loose.sum()), 3))


def _wash(event: CarWash, _: float, t_s: Floats, force: Floats, turning: Floats, rng: np.random.Generator) -> None:
    share = _lifted(t_s, event.at_s, event.until_s, 3.0) * event.sway_mps2
    phases = rng.uniform(0, 2 * np.pi, 3)
    for axis, (hertz, part) in enumerate(((0.7, 0.4), (1.3, 1.0), (2.1, 0.5))):
        force[:, axis] += part * share * np.sin(2 * np.pi * hertz * t_s + phases[axis])
        turning[:, axis] += part * share * np.cos(2 * np.pi * hertz * t_s + phases[axis])
    force += 0.15 * share[:, None] * rng.standard_normal(force.shape)


def _antilock(event: HarshBrake, _: float, t_s: Floats, force: Floats, __: Floats, ___: np.random.Generator) -> None:
    if not event.antilock:
        return
    braking = (t_s >= event.at_s + 0.3) & (t_s < event.at_s + event.duration_s)
    wave = np.where(braking, np.sin(2 * np.pi * _ABS_HZ * (t_s - event.at_s)), 0.0)
    force[:, 0] += _ABS_SHARE * event.deceleration_mps2 * wave
    force[:, 2] += 0.5 * _ABS_SHARE * event.deceleration_mps2 * wave


def _tumble(event: Rollover, _: float, t_s: Floats, force: Floats, __: Floats, ___: np.random.Generator) -> None:
    """A blow whenever another side of the body meets the ground: every quarter turn."""
    for quarter in range(1, round(4 * event.turns) + 1):
        at_s = event.at_s + event.duration_s * quarter / (4 * event.turns + 0.5)
        blow = _blow(t_s, at_s, _BODY_BLOW_S, _BODY_BLOW_MPS2)
        force += blow[:, None] * np.array([-0.3, 0.6 if quarter % 2 else -0.6, 0.7])


_SHAKES: Final[Mapping[type, Shake]] = {
    Kerb: _kerb,
    SpeedBump: _bump,
    RailCrossing: _rails,
    DoorSlam: _slam,
    Knock: _knock,
    Drop: _drop,
    LooseMount: _rattle,
    CarWash: _wash,
    HarshBrake: _antilock,
    Rollover: _tumble,
}
