"""Time grids, random streams and the two filters that everything in the world uses."""

from typing import Final

import numpy as np
import numpy.typing as npt

STEP_S: Final = 0.02  # of the motion: driver, powertrain, brakes
SLOW_STEP_S: Final = 0.5  # of everything thermal
CELL_STEP_S: Final = 0.1  # of cell voltages

Floats = npt.NDArray[np.float64]

_STREAMS: Final = (
    *("imu", "road", "gnss", "pack", "signals", "frames", "commute", "driver", "shake", "more", "attack"),
    "cells",
)


def stream(seed: int, name: str) -> np.random.Generator:
    """A random stream of its own for each part, so that a change in one leaves the others as they were."""
    return np.random.default_rng([seed, _STREAMS.index(name)])


def times(duration_s: float, step_s: float) -> Floats:
    """Seconds from 0 to the duration, both ends included."""
    return np.arange(round(duration_s / step_s) + 1, dtype=np.float64) * step_s


def to_ns(t_s: Floats) -> npt.NDArray[np.int64]:
    """Seconds to nanoseconds."""
    return np.rint(t_s * 1e9).astype(np.int64)


def lag(x: Floats, step_s: float, tau_s: float) -> Floats:
    """First-order lag of time constant tau_s, starting settled at x[0]; its tail is cut after 6 tau."""
    count = max(1, round(6 * tau_s / step_s))
    kernel = np.exp(-np.arange(count) * step_s / tau_s)
    padded = np.concatenate([np.full(count - 1, x[0]), x])
    return convolve(padded, kernel / kernel.sum())[count - 1 : count - 1 + len(x)]


def wander(rng: np.random.Generator, count: int, step_s: float, tau_s: float) -> Floats:
    """Slow noise of standard deviation 1 that forgets itself over tau_s."""
    early = round(6 * tau_s / step_s)
    return lag(rng.standard_normal(count + early), step_s, tau_s)[early:] * float(np.sqrt(2 * tau_s / step_s))


def convolve(x: Floats, kernel: Floats) -> Floats:
    """Full convolution in blocks (overlap-add), so that hours cost no more a second than minutes."""
    size = 1 << int(np.ceil(np.log2(max(1024, 8 * len(kernel)))))
    block = size - len(kernel) + 1
    count = -(-len(x) // block)
    rows = np.zeros((count, size))
    for row in range(count):
        part = x[row * block : (row + 1) * block]
        rows[row, : len(part)] = part
    folded = np.fft.irfft(np.fft.rfft(rows, axis=1) * np.fft.rfft(kernel, size), size, axis=1)
    out = np.zeros(count * block + size)
    for row in range(count):
        out[row * block : row * block + size] += folded[row]
    return out[: len(x) + len(kernel) - 1]


def haversine_pulse(t_s: Floats, start_s: float, duration_s: float) -> Floats:
    """Acceleration pulse of delta-v 1: sin^2, its peak is 2 / duration (haversine, docs/sources.md 3)."""
    phase = (t_s - start_s) / duration_s
    inside = (phase > 0) & (phase < 1)
    return np.where(inside, 2 / duration_s * np.sin(np.pi * phase) ** 2, 0.0)


def haversine_step(t_s: Floats, start_s: float, duration_s: float) -> Floats:
    """Its integral: from 0 to 1 over the duration."""
    phase = np.clip((t_s - start_s) / duration_s, 0, 1)
    return phase - np.sin(2 * np.pi * phase) / (2 * np.pi)
