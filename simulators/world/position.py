"""What the GNSS receiver says: the true path with an error that wanders, as multipath and the sky make it."""

from typing import Final

import numpy as np

from simulators.world.grid import Floats, lag, stream, times, to_ns, wander
from simulators.world.motion import Motion
from simulators.world.scenario import Scenario
from simulators.world.types import GnssData

_WANDER_S: Final = 20.0
_SMOOTH_S: Final = 2.0  # the receiver's own filter
_SPEED_NOISE_MPS: Final = 0.06
_METRES_PER_DEGREE: Final = 111_320.0


def locate(scenario: Scenario, seed: int, motion: Motion) -> GnssData:
    """All fixes of the drive. Below walking pace the heading is the last one: a receiver cannot know it."""
    rng = stream(seed, "gnss")
    step_s = 1 / scenario.gnss.rate_hz
    t_s = times(scenario.duration_s, step_s)
    error = (
        np.array([lag(wander(rng, len(t_s), step_s, _WANDER_S), step_s, _SMOOTH_S) for _ in range(3)])
        * scenario.gnss.accuracy_m
    )
    shrink = np.cos(np.deg2rad(scenario.car.latitude))
    speed = np.interp(t_s, motion.t_s, np.abs(motion.speed))
    measured = np.maximum(speed + _SPEED_NOISE_MPS * rng.standard_normal(len(t_s)), 0)
    accuracy = scenario.gnss.accuracy_m * np.exp(0.15 * wander(rng, len(t_s), step_s, _WANDER_S))
    return GnssData(
        t_ns=to_ns(t_s),
        latitude=np.interp(t_s, motion.t_s, motion.latitude) + error[0] / _METRES_PER_DEGREE,
        longitude=np.interp(t_s, motion.t_s, motion.longitude) + error[1] / (_METRES_PER_DEGREE * shrink),
        altitude_m=scenario.car.altitude_m + np.interp(t_s, motion.t_s, motion.climbed_m) + 1.5 * error[2],
        speed_kmh=3.6 * measured,
        heading_deg=_heading(t_s, motion, speed, rng),
        accuracy_m=accuracy,
    )


def _heading(t_s: Floats, motion: Motion, speed: Floats, rng: np.random.Generator) -> Floats:
    unwrapped = np.interp(t_s, motion.t_s, np.unwrap(motion.heading_deg, period=360))
    noisy = unwrapped + rng.standard_normal(len(t_s)) * np.minimum(1.5 / np.maximum(speed, 0.5), 3)
    last = np.maximum.accumulate(np.where(speed > 1.5, np.arange(len(t_s)), 0))
    return np.asarray(noisy[last] % 360)
