"""The shape of a pulse in numbers: what the collision model is trained on and asked about, and what rules look at.

Every number comes from means over 10 ms of the integral, which are the same at 100, 400 and 1,600 Hz up to what a
slow sensor does not see, and from the parts across and along gravity, which need no mounting but gravity's.
"""

from collections.abc import Mapping
from math import acos, degrees
from typing import Final

import numpy as np

from agent.detect.impacts import Pulse
from agent.detect.pulse import MS, Floats, Mounting, PulseTrace, horizontal

FEATURES: Final[tuple[str, ...]] = (
    "delta_v_kmh",  # largest across gravity since T0, until the pulse's end
    "longitudinal_kmh",  # of it forward, signed; 0 where the axes are not known
    "lateral_kmh",  # of it to the right, signed; 0 where the axes are not known
    "vertical_kmh",  # largest along gravity, until the pulse's end, without sign
    "kmh_in_20ms",  # largest change across gravity within 20 ms, from 100 ms before T0 to the pulse's end
    "kmh_in_50ms",
    "kmh_in_100ms",
    "kmh_in_150ms",
    "duration_ms",  # T0 to the pulse's end
    "peak_mps2",  # largest mean over 10 ms across gravity
    "peak_after_ms",  # T0 to the middle of that
    "vertical_share",  # peak along gravity over the sum of both peaks: 0 a push, 1 a drop
    "jerk_mps2",  # largest step across gravity from one mean over 10 ms to the next
    "sign_changes",  # turns of the force along the pulse's direction beyond 15 % of the peak, to 100 ms after the end
    "ringing",  # share of the energy that a moving mean over 30 ms takes away: 0 smooth, 1 all ringing
    "crest",  # largest single sample over the largest mean over 10 ms
    "fill",  # delta-v over peak times duration: 1 a plateau, 0.5 a haversine, small a spike
    "rebound",  # share of delta-v that is lost again by 100 ms after the end: 1 it swung back
    "offset_after_mps2",  # what is left of the deviation, mean of the last 50 ms until 100 ms after the end
    "tilt_after_deg",  # how far gravity has turned by then, where what is felt is gravity alone; else 0
    "push_before_mps2",  # size of the mean deviation across gravity from 400 to 20 ms before T0: braking, a curve
    "shake_before_mps2",  # spread of the deviation about its mean in that time
    "echo_before",  # largest mean from 400 to 50 ms before T0, over the peak: an axle, or an impact, before
    "free_fall_ms",  # longest time before T0 in which nothing holds the box up
    "turn_dps",  # fastest turning from 100 ms before T0 to 100 ms after the end, -1 without a gyroscope
    "speed_before_kmh",  # -1 where the car does not tell
    "standing",  # 1 where the car stood
    "rise_ms",  # time in which delta-v along the pulse's direction goes from a tenth to nine tenths
    "carry_on",  # mean force along that direction in the last 50 ms until 100 ms after the end, over the peak
)

_BIN_NS: Final = 10 * MS
_BEFORE_BINS: Final = 40
_AFTER_BINS: Final = 10

AFTER_NS: Final = (_AFTER_BINS + 1) * _BIN_NS  # what of the time after a pulse's end is looked at, at most

_GRAVITY_MPS2: Final = 9.81
_GRAVITY_OFF_MPS2: Final = (
    1.0  # 4.5 m/s^2 of skidding are more; what is felt is gravity alone where its size is off by no more
)
_FALLING_MPS2: Final = 3.0
_TURN_SHARE: Final = 0.15
_LARGEST: Final = 2000.0
_TINY: Final = 1e-6


def crash_features(
    trace: PulseTrace,
    pulse: Pulse,
    end: int,
    *,
    mounting: Mounting,
    speed_kmh: float | None = None,
    turn_dps: float | None = None,
) -> list[int]:
    """FEATURES of the pulse whose last sample is trace.t_ns[end], in thousandths, each within +-2,000,000.

    The trace should reach from 400 ms before T0 to 100 ms after the end; what is missing counts as rest. They depend on
    no sample outside of that.
    """
    end_bin = max(1, -(-int(trace.t_ns[end] - pulse.t0_ns) // _BIN_NS))
    velocity_kmh = _velocity(trace, pulse.t0_ns, end_bin + _AFTER_BINS)
    told = (
        _changes(velocity_kmh, end_bin, mounting)
        | _shape(velocity_kmh, end_bin, mounting)
        | _surroundings(velocity_kmh, end_bin, mounting)
        | {
            "duration_ms": float(trace.t_ns[end] - pulse.t0_ns) / MS,
            "turn_dps": -1.0 if turn_dps is None else turn_dps,
            "speed_before_kmh": -1.0 if speed_kmh is None else speed_kmh,
            "standing": float(pulse.standing),
        }
    )
    rows = slice(trace.first_after(pulse.t0_ns), end + 1)
    told["crest"] = float(horizontal(trace.acceleration(rows), mounting).max()) / max(told["peak_mps2"], _TINY)
    told["fill"] = told["delta_v_kmh"] / 3.6 / max(told["peak_mps2"] * told["duration_ms"] / 1000, _TINY)
    return [round(1000 * min(max(told[name], -_LARGEST), _LARGEST)) for name in FEATURES]


def named(features: list[int]) -> Mapping[str, float]:
    """Features by name, in their units; empty where there are none."""
    return dict(zip(FEATURES, (value / 1000 for value in features), strict=True)) if features else {}


def _velocity(trace: PulseTrace, t0_ns: int, last_bin: int) -> Floats:
    """Change of velocity since T0 in km/h every 10 ms from 400 ms before it, float64[k, 3]; held where data ends."""
    first, stop = np.searchsorted(trace.t_ns, [t0_ns - _BEFORE_BINS * _BIN_NS, t0_ns + last_bin * _BIN_NS + 1])
    rows = slice(int(first), max(int(stop), int(first) + 1))
    known = trace.delta_v(min(trace.first_after(t0_ns), len(trace.t_ns) - 1), rows)
    at = np.arange(-_BEFORE_BINS, last_bin + 1) * float(_BIN_NS)
    since_ns = (trace.t_ns[rows] - t0_ns).astype(np.float64)
    return np.column_stack([np.interp(at, since_ns, known[:, axis]) for axis in range(3)])


def _changes(velocity_kmh: Floats, end_bin: int, mounting: Mounting) -> dict[str, float]:
    """Delta-v: as a whole, by its parts, and within spans."""
    inside = velocity_kmh[_BEFORE_BINS : _BEFORE_BINS + end_bin + 1] - velocity_kmh[_BEFORE_BINS]
    across = horizontal(inside, mounting)
    most = int(np.argmax(across))
    later = velocity_kmh[_BEFORE_BINS + most :] - velocity_kmh[_BEFORE_BINS]
    told = {
        "delta_v_kmh": float(across[most]),
        "longitudinal_kmh": float(inside[most, 0]) if mounting.trusted else 0.0,
        "lateral_kmh": float(inside[most, 1]) if mounting.trusted else 0.0,
        "vertical_kmh": float(np.abs(inside @ np.array(mounting.down)).max()),
        "rebound": float(horizontal(later - inside[most], mounting)[-1]) / max(float(across[most]), _TINY),
    }
    near = velocity_kmh[_BEFORE_BINS - 10 : _BEFORE_BINS + end_bin + 1]
    for bins in (2, 5, 10, 15):
        ahead = near[bins:] if len(near) > bins else near[-1:]
        told[f"kmh_in_{10 * bins}ms"] = float(horizontal(ahead - near[: len(ahead)], mounting).max())
    return told


def _shape(velocity_kmh: Floats, end_bin: int, mounting: Mounting) -> dict[str, float]:
    """How the force rises, turns and rings."""
    force = np.diff(velocity_kmh[_BEFORE_BINS - 1 :], axis=0) / 3.6 / (_BIN_NS / 1e9)
    pulse = force[1 : end_bin + 1]
    across = horizontal(pulse, mounting)
    peak, along_peak = float(across.max()), float(np.abs(pulse @ np.array(mounting.down)).max())
    flat = velocity_kmh - np.outer(velocity_kmh @ np.array(mounting.down), mounting.down)
    inside = flat[_BEFORE_BINS : _BEFORE_BINS + end_bin + 1] - flat[_BEFORE_BINS]
    direction = inside[int(np.argmax((inside * inside).sum(axis=1)))]
    size = float(np.sqrt((direction * direction).sum()))
    direction = direction / max(size, _TINY)
    push = force[1:] @ direction
    signs = np.sign(push[np.abs(push) >= _TURN_SHARE * peak])
    smooth = (force[:-2] + force[1:-1] + force[2:]) / 3
    shaken, whole = force[1:-1] - smooth, float((force[1:-1] ** 2).sum())
    return {
        "peak_mps2": peak,
        "peak_after_ms": (int(np.argmax(across)) + 0.5) * _BIN_NS / MS,
        "vertical_share": along_peak / max(peak + along_peak, _TINY),
        "jerk_mps2": float(horizontal(np.diff(force[: end_bin + 2], axis=0), mounting).max()),
        "sign_changes": float(np.count_nonzero(signs[1:] != signs[:-1])),
        "ringing": float((shaken**2).sum()) / max(whole, _TINY),
        "rise_ms": _rise_ms(inside @ direction, size),
        "carry_on": float(push[-5:].mean()) / max(peak, _TINY),
    }


def _rise_ms(gained_kmh: Floats, size_kmh: float) -> float:
    """Time from a tenth to nine tenths of what was gained, between bins by a straight line."""
    most = max(1, int(np.argmax(gained_kmh)))
    climbing = np.maximum.accumulate(gained_kmh[: most + 1])
    tenth, most_of_it = np.interp([0.1 * size_kmh, 0.9 * size_kmh], climbing, np.arange(most + 1))
    return float(most_of_it - tenth) * _BIN_NS / MS


def _surroundings(velocity_kmh: Floats, end_bin: int, mounting: Mounting) -> dict[str, float]:
    """What the box felt before the pulse, and how it came to rest after it."""
    force = np.diff(velocity_kmh, axis=0) / 3.6 / (_BIN_NS / 1e9)
    before = force[: _BEFORE_BINS - 2]
    size = np.sqrt((force * force).sum(axis=1))
    earlier = size[: _BEFORE_BINS - 5]
    pulse = size[_BEFORE_BINS : _BEFORE_BINS + end_bin]
    gravity = _GRAVITY_MPS2 * np.array(mounting.down)
    held = force[:_BEFORE_BINS] + gravity
    falling = np.sqrt((held * held).sum(axis=1)) < _FALLING_MPS2
    after = force[-5:].mean(axis=0)
    return {
        "push_before_mps2": float(horizontal(before.mean(axis=0)[None], mounting)[0]),
        "shake_before_mps2": float(np.sqrt(before.var(axis=0).sum())),
        "echo_before": float(earlier.max()) / max(float(pulse.max()), _TINY),
        "free_fall_ms": _longest_run(falling.tolist()) * _BIN_NS / MS,
        "offset_after_mps2": float(np.sqrt((after**2).sum())),
        "tilt_after_deg": _turned_deg(after + gravity, gravity),
    }


def _turned_deg(felt: Floats, gravity: Floats) -> float:
    """Angle between two forces in degrees; 0 where what is felt is not gravity alone."""
    size = float(np.sqrt((felt * felt).sum()))
    if abs(size - _GRAVITY_MPS2) > _GRAVITY_OFF_MPS2:
        return 0.0
    return degrees(acos(min(1.0, max(-1.0, float(felt @ gravity) / (size * _GRAVITY_MPS2)))))


def _longest_run(flags: list[bool]) -> int:
    longest = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        longest = max(longest, run)
    return longest
