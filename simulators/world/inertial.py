"""What the box's IMU feels: motion, gravity, road, engine, potholes and impacts, then the sensor's own faults."""

from typing import Final

import numpy as np

from simulators.world.grid import STEP_S, Floats, convolve, haversine_pulse, stream, times, to_ns
from simulators.world.motion import GRAVITY, WHEELBASE_M, Motion, scrub
from simulators.world.powertrain import pitch_deg, roll_deg
from simulators.world.pulses import pulse
from simulators.world.scenario import Collision, Imu, Pothole, Scenario
from simulators.world.shaking import shake, tilt
from simulators.world.types import ImuData

_RING_HZ: Final = 70.0  # structure of the car during an impact
_RING_SHARE: Final = 0.08
_WHEEL_HOP_HZ: Final = 12.0
_HEAVE_HZ: Final = 1.4
_FORGOTTEN_S: Final = 5.0  # by then nothing of a shock or an impact is left
_REAR_SHARE: Final = 0.7  # the box sits in front: it feels less of the rear wheels


def feel(scenario: Scenario, seed: int, motion: Motion, engine_rpm: Floats) -> ImuData:
    """All samples of the drive at the sensor's rate."""
    imu = scenario.imu
    t_s = times(scenario.duration_s, 1 / imu.rate_hz)
    true_f, true_w = true_forces(scenario, seed, motion, engine_rpm, t_s)
    acceleration, rotation = _sense(imu, stream(seed, "imu"), true_f, true_w)
    return ImuData(to_ns(t_s), acceleration, rotation)


def attitude(scenario: Scenario, motion: Motion) -> tuple[Floats, Floats]:
    """Pitch (nose down +) and roll (right side down +) in degrees, on the motion grid."""
    leaning, lying = tilt(scenario, motion)
    return pitch_deg(motion) + leaning, roll_deg(motion) + lying


def gravity(pitch: Floats, roll: Floats) -> Floats:
    """What a car at rest reads at this attitude in degrees, float64[n, 3] in m/s^2.

    Nose down, gravity pulls the proof mass forward, which reads as braking; rolled to the right, it reads as left.
    """
    pitch, roll = np.deg2rad(pitch), np.deg2rad(roll)
    return GRAVITY * np.column_stack([-np.sin(pitch), -np.sin(roll), np.cos(pitch) * np.cos(roll)])


def true_forces(
    scenario: Scenario, seed: int, motion: Motion, engine_rpm: Floats, t_s: Floats
) -> tuple[Floats, Floats]:
    """Specific force (n, 3) in m/s^2 and turning rates (n, 3) in degrees/s at even times, without any sensor fault."""
    pitch, roll = attitude(scenario, motion)
    rate_hz = (len(t_s) - 1) / (t_s[-1] - t_s[0])

    def fine(coarse: Floats) -> Floats:
        return np.interp(t_s, motion.t_s, coarse)

    still = gravity(pitch, roll)
    force = np.empty((len(t_s), 3))
    force[:, 0] = fine(motion.acceleration + still[:, 0])
    force[:, 1] = fine(motion.lateral + still[:, 1])
    force[:, 2] = fine(still[:, 2])
    force += road(stream(seed, "road"), round(rate_hz), fine(np.abs(motion.speed)))
    hum = 0.06 * np.sin(2 * np.pi * np.cumsum(fine(engine_rpm)) / 60 * 2 / round(rate_hz))
    force[:, 2] += np.where(fine(engine_rpm) > 300, hum, 0.0)
    turning = np.column_stack([fine(np.gradient(roll, STEP_S)), fine(np.gradient(pitch, STEP_S)), fine(motion.yaw_dps)])
    for event in scenario.events:
        near = slice(*np.searchsorted(t_s, (event.at_s, event.at_s + _FORGOTTEN_S)))
        if isinstance(event, Pothole):
            speed = float(np.interp(event.at_s, motion.t_s, motion.speed))
            _add_pothole(event, speed, t_s[near], force[near], turning[near])
        elif isinstance(event, Collision):
            _add_collision(event, t_s[near], force[near], turning[near])
    shake(scenario, stream(seed, "shake"), motion, t_s, (force, turning))
    return force, turning


def road(rng: np.random.Generator, rate_hz: int, speed: Floats) -> Floats:
    """Roughness: wheel hop and body heave excited by the road, stronger with speed in m/s; (n, 3) in m/s^2."""
    kernel_s = np.arange(round(rate_hz * 0.8)) / rate_hz
    strength = np.clip(speed / 14.0, 0, 2.0) ** 0.8
    noise = np.empty((len(speed), 3))
    for axis, (hop, heave) in enumerate(((0.14, 0.04), (0.12, 0.07), (0.38, 0.22))):
        white = rng.standard_normal(len(speed))
        kernel = hop * _ring(kernel_s, _WHEEL_HOP_HZ, 0.06) + heave * _ring(kernel_s, _HEAVE_HZ, 0.3)
        noise[:, axis] = convolve(white, kernel)[: len(speed)] * strength
    return noise


def _ring(t_s: Floats, hertz: float, decay_s: float) -> Floats:
    """A damped oscillation of unit energy: filtering white noise of 1 m/s^2 with it gives 1 m/s^2."""
    wave = np.exp(-t_s / decay_s) * np.sin(2 * np.pi * hertz * t_s)
    return np.asarray(wave / np.sqrt(np.sum(wave**2)))


def _add_pothole(event: Pothole, speed: float, t_s: Floats, force: Floats, turning: Floats) -> None:
    """Each axle: the wheel drops, strikes the far edge, the body rings. Nothing happens to a standing car."""
    if speed < 1:
        return
    side = 1.0 if event.side == "right" else -1.0
    for start_s, share in ((event.at_s, 1.0), (event.at_s + WHEELBASE_M / speed, _REAR_SHARE)):
        width_s = np.clip(0.35 / speed, 0.02, 0.06)
        drop = haversine_pulse(t_s, start_s, 1.5 * width_s) * 0.75 * width_s
        strike = haversine_pulse(t_s, start_s + 1.2 * width_s, width_s) * 0.5 * width_s
        after = np.maximum(t_s - start_s - 1.7 * width_s, 0)
        settle = np.exp(-after / 0.09) * np.sin(2 * np.pi * _WHEEL_HOP_HZ * after)
        peak = event.peak_mps2 * share
        force[:, 2] += peak * (strike - 0.35 * drop + 0.22 * settle * (after > 0))
        force[:, 0] -= 0.22 * peak * strike
        force[:, 1] -= 0.12 * peak * side * strike
        turning[:, 0] += side * 0.9 * peak * (drop - 0.8 * strike)
        turning[:, 1] += 0.5 * peak * (drop - strike) * (1 if share == 1.0 else -1)


def _add_collision(event: Collision, t_s: Floats, force: Floats, turning: Floats) -> None:
    """A pulse along the principal direction of force, with the body ringing, then scrubbing tyres."""
    direction = np.deg2rad(event.pdof_deg)
    duration_s = event.duration_ms / 1000
    delta_v = event.delta_v_kmh / 3.6
    change = -delta_v * np.array([np.cos(direction), np.sin(direction)])
    shock = pulse(event.shape, t_s, event.at_s, duration_s)
    # Whole periods under a symmetric window: the ringing adds nothing to delta-v.
    periods = max(2, round(_RING_HZ * duration_s))
    ring = shock * np.sin(2 * np.pi * periods * (t_s - event.at_s) / duration_s)
    force[:, :2] += (shock + _RING_SHARE * ring)[:, None] * change
    force[:, 1] += scrub(t_s, event.at_s + duration_s, float(change[1]))
    force[:, 2] += 0.25 * delta_v * ring
    after = np.maximum(t_s - event.at_s - duration_s / 2, 0)
    sway = np.exp(-after / 0.25) * np.sin(2 * np.pi * 2.2 * after)
    turning += sway[:, None] * np.array([4.0 * change[1], -3.0 * change[0], -4.0 * change[1]])


def _sense(imu: Imu, rng: np.random.Generator, true_f: Floats, true_w: Floats) -> tuple[Floats, Floats]:
    """Turn into the box's axes, add bias and noise, clip and round as the chip does, and turn back as calibrated."""
    mounting = _rotation(np.deg2rad(np.array(imu.mounting_deg)))
    mistake = _rotation(np.deg2rad(imu.misalignment_deg * rng.standard_normal(3) / np.sqrt(3)))
    out = []
    limit = imu.range_g * GRAVITY
    for true, noise, bias, ceiling, bit in (
        (true_f, imu.noise_mps2, imu.bias_mps2, limit, limit / 32768),
        (true_w, imu.noise_dps, imu.bias_dps, 2000.0, 2000 / 32768),
    ):
        chip = _turn(true, mounting @ mistake) + bias * rng.standard_normal(3) + noise * rng.standard_normal(true.shape)
        chip = np.rint(np.clip(chip, -ceiling, ceiling) / bit) * bit
        out.append(_turn(chip, mounting.T))
    return out[0], out[1]


def _turn(rows: Floats, matrix: Floats) -> Floats:
    """Rotate every row; written out, because a threaded product may round differently from run to run."""
    return np.column_stack([sum(rows[:, k] * matrix[row, k] for k in range(3)) for row in range(3)])


def _rotation(angles: Floats) -> Floats:
    """Roll, pitch, yaw in radians to a matrix."""
    (sr, sp, sy), (cr, cp, cy) = np.sin(angles), np.cos(angles)
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )
