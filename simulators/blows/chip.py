"""An accelerometer chip: a low-pass before the samples are taken, the end of the range after it, noise and bias.

The one model of a sensor for single blows and for recordings of crash tests (docs/sources.md 11).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

GRAVITY: Final = 9.80665
BUTTERWORTH: Final = float(np.sqrt(0.5))
_SETTLED: Final = 8.0  # time constants after which a filter has forgotten

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Chip:
    """What a data sheet says. bandwidth: -3 dB of the low-pass as a share of the rate; rate_error: of its oscillator.

    resonance_hz: where box and bracket swing, with that quality; 0: as stiff as the car.
    """

    rate_hz: float = 400.0
    range_g: float = 16.0
    bandwidth: float = 0.25
    noise_mps2: float = 0.03
    bias_mps2: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    rate_error: float = 0.0
    resonance_hz: float = 0.0
    quality: float = 3.0


@dataclass(frozen=True, slots=True)
class Reading:
    """t_ns int64[n]; values float64[n, 3] in m/s^2 in the chip's axes; clipped int64[n]: axes at the range's end."""

    t_ns: Times
    values: Floats
    clipped: Times


def low_pass(values: Floats, rate_hz: float, cut_hz: float, quality: float = BUTTERWORTH) -> Floats:
    """A causal filter with two poles of float64[n, k] at even times, settled at the first row.

    A Butterworth filter (-3 dB at cut_hz) by its quality, a spring and a mass with a higher one. Done by its frequency
    response, which is exact and needs no loop over samples.
    """
    first, last = values[0], values[-1]
    size = _fast(len(values) + round(_SETTLED * max(quality, 1.0) * rate_hz / cut_hz))
    back = np.linspace(1, 0, size - len(values)) * (last - first)[:, None]  # the transform wraps around: come back
    whole = np.concatenate([(values - first).T, back], axis=1)
    part = 1j * np.fft.rfftfreq(size, 1 / rate_hz) / cut_hz
    spectrum = np.fft.rfft(whole) / (1 + part / quality + part**2)
    return np.asarray(np.fft.irfft(spectrum, size)[:, : len(values)].T + first)


def _fast(count: int) -> int:
    """A length from count on that transforms fast: a power of two, or 1.25 or 1.5 times one."""
    power = 1 << max(count - 1, 1).bit_length() - 1
    return next(size for size in (power, power * 5 // 4, power * 3 // 2, power * 2) if size >= count)


def sample(chip: Chip, rng: np.random.Generator, t_s: Floats, force: Floats) -> Reading:
    """Read specific force, float64[n, 3] in m/s^2 in the chip's axes at even times t_s, which are closer than samples.

    The first sample comes at a random instant within the first step.
    """
    step_s = (t_s[-1] - t_s[0]) / (len(t_s) - 1)
    if chip.resonance_hz:
        force = low_pass(force, 1 / step_s, chip.resonance_hz, chip.quality)
    smooth = low_pass(force, 1 / step_s, chip.bandwidth * chip.rate_hz)
    every_s = (1 + chip.rate_error) / chip.rate_hz
    at_s = np.arange(t_s[0] + rng.uniform(0, every_s), t_s[-1], every_s)
    values = np.column_stack([np.interp(at_s, t_s, column) for column in smooth.T])
    values = values * np.array(chip.scale) + np.array(chip.bias_mps2)
    values += chip.noise_mps2 * rng.standard_normal(values.shape)
    limit = chip.range_g * GRAVITY
    bit = limit / 32768
    values = np.rint(np.clip(values, -limit, limit - bit) / bit) * bit
    clipped = ((values >= limit - 1.5 * bit) | (values <= -limit + 0.5 * bit)).sum(axis=1)
    return Reading(np.rint(at_s * 1e9).astype(np.int64), values, clipped.astype(np.int64))
