"""Crash pulses of delta-v 1: acceleration, its integral and its peak, for each shape."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from simulators.world.grid import Floats, haversine_pulse, haversine_step
from simulators.world.happening import PulseShape

_RAMP: Final = 0.2  # of the duration, at either end of a plateau
_EARLY: Final = 0.3  # of the duration: where a sawtooth has its peak
PEAK: Final[Mapping[PulseShape, float]] = {
    "haversine": 2.0,
    "triangle": 2.0,
    "half_sine": np.pi / 2,
    "plateau": 1 / (1 - _RAMP),
    "sawtooth": 2.0,
}  # times delta-v / duration


def pulse(shape: PulseShape, t_s: Floats, start_s: float, duration_s: float) -> Floats:
    """Acceleration, 1/s."""
    if shape == "haversine":
        return haversine_pulse(t_s, start_s, duration_s)
    phase = np.clip((t_s - start_s) / duration_s, 0, 1)
    near = np.minimum(phase, 1 - phase)  # to the nearer end
    if shape == "sawtooth":
        return PEAK[shape] / duration_s * np.minimum(phase / _EARLY, (1 - phase) / (1 - _EARLY))
    rise = {"triangle": 2 * near, "half_sine": np.sin(np.pi * phase), "plateau": np.minimum(near / _RAMP, 1)}[shape]
    return np.asarray(PEAK[shape] / duration_s * rise, np.float64)


def pulse_step(shape: PulseShape, t_s: Floats, start_s: float, duration_s: float) -> Floats:
    """Its integral: from 0 to 1 over the duration."""
    if shape == "haversine":
        return haversine_step(t_s, start_s, duration_s)
    phase = np.clip((t_s - start_s) / duration_s, 0, 1)
    near = np.minimum(phase, 1 - phase)
    if shape == "half_sine":
        return np.asarray((1 - np.cos(np.pi * phase)) / 2)
    if shape == "sawtooth":
        return np.where(phase < _EARLY, phase**2 / _EARLY, 1 - (1 - phase) ** 2 / (1 - _EARLY))
    first_half = 2 * near**2 if shape == "triangle" else PEAK[shape] * _plateau_area(near)
    return np.where(phase < 0.5, first_half, 1 - first_half)


def _plateau_area(near: Floats) -> Floats:
    return np.where(near < _RAMP, near**2 / (2 * _RAMP), near - _RAMP / 2)
