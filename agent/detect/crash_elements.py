"""The table of a crash record: elements with the meaning of 49 CFR 563 (EDR-like; docs/sources.md 2, docs/wire.md).

Every element is there, None where the car does not tell it, or nothing is known of it yet.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from agent.core import vss
from agent.core.config import CollisionLimits
from agent.core.crash import IMU_PATHS, Element
from agent.core.signals import Series, SignalWindow
from agent.detect.crash_samples import between
from agent.detect.pulse import MS, Floats, Ints, Mounting, PulseTrace, horizontal, reach
from agent.detect.streams import NS, AxisMerge

CURVE_NS: Final = 250 * MS
LONGEST_NS: Final = 300 * MS

_CURVE_STEP_NS: Final = 10 * MS
_LEVEL_BEFORE_NS: Final = 50 * MS
_LOCK_SPAN_NS: Final = 150 * MS
_HELD_NS: Final = 5 * NS  # a slow signal's value stands this long
_BRAKE_ON_PERCENT: Final = 2.0  # a pedal that is not touched shows a little
_BEFORE_NS: Final = 20 * NS
_ROLL_FROM_NS, _ROLL_UNTIL_NS = -NS, 5 * NS
_ACCELERATION_UNIT: Final = 1e-4  # m/s^2, of PulseTrace
_RANGE_SHARE: Final = 0.99
_DRIVER, _PASSENGER = vss.SEATS[:2]

Elements = dict[str, Element]
Trigger = Literal["collision", "rollover"]


@dataclass(frozen=True, slots=True)
class Impact:
    """What the detector knows when it opens a record: level is each axis's acceleration at rest in m/s^2."""

    t0_ns: int
    trigger_ns: int
    trigger: Trigger
    level: Floats
    mounting: Mounting


def impact_elements(window: SignalWindow, impact: Impact, until_ns: int, limits: CollisionLimits) -> Elements:
    """The blow itself, of the samples up to, not with, until_ns, and 300 ms from T0 at most."""
    until_ns = min(until_ns, impact.t0_ns + LONGEST_NS + 1)
    found: Elements = {f"delta_v_{axis}_kmh": None for axis in ("longitudinal", "lateral", "resultant")}
    found |= {f"delta_v_max_{axis}_{unit}": None for axis in _AXES for unit in ("kmh", "ms")}
    found |= {"clipped": None, "clipped_ms": None, "imu_rate_hz": None, "mounting_known": impact.mounting.trusted}
    found |= {"locked": None, "locked_by": None, "trigger": impact.trigger}
    found["trigger_ms"] = round((impact.trigger_ns - impact.t0_ns) / MS, 1)
    t_ns, values = _axes(window, impact.t0_ns - _LEVEL_BEFORE_NS, until_ns)
    inside = int(np.searchsorted(t_ns, impact.t0_ns))
    if inside == len(t_ns) or impact.trigger == "rollover":  # gravity turns with the car: no delta-v without it
        return found
    clipped = reach(values, limits.sensor_range_mps2 * _RANGE_SHARE)
    counts = np.rint((values - impact.level) / _ACCELERATION_UNIT).astype(np.int64)
    trace = PulseTrace(t_ns, counts, clipped)
    delta_v = trace.delta_v(inside, slice(inside, len(t_ns)))
    found |= _delta_v_elements(t_ns[inside:] - impact.t0_ns, delta_v, impact.mounting)
    found |= _clipping(window, impact.t0_ns, t_ns[clipped & (t_ns >= impact.t0_ns)], until_ns)
    within = trace.delta_v_within(_LOCK_SPAN_NS, slice(inside, len(t_ns)), since_ns=impact.t0_ns)
    along = np.abs(within[:, 0]) if impact.mounting.trusted else horizontal(within, impact.mounting)
    locked = impact.trigger == "collision" and float(along.max()) >= limits.lock_delta_v_kmh
    found |= {"locked": locked, "locked_by": "delta_v" if locked else None}
    step_ns = float(np.median(np.diff(t_ns))) if len(t_ns) > 1 else 0.0
    found["imu_rate_hz"] = round(NS / step_ns) if step_ns > 0 else None
    return found


def elements_before(window: SignalWindow, t0_ns: int) -> Elements:
    """What the car's signals told until T0."""
    early, late = t0_ns - _BEFORE_NS - _HELD_NS, t0_ns + 1
    found: Elements = {}
    for name, paths in _BEFORE.items():
        series = next((s for s in (between(window, path, early, late) for path in paths) if len(s)), None)
        values = _held(series, t0_ns + _AT_10_HZ_NS, name)
        found[f"{name}_20s"], found[f"{name}_5s"] = values, None if values is None else values[-51::5]
    for name, path in _BEFORE_5_S.items():
        found[f"{name}_5s"] = _held(between(window, path, early, late), t0_ns + _AT_10_HZ_NS[-51::5], name)
    for name, path in _BEFORE_1_S.items():
        values = _held(between(window, path, early, late), np.array([t0_ns - NS]), name)
        found[name] = None if values is None or values[0] is None else bool(values[0])
    return found | {"ignition_cycles_crash": None, "ignition_cycles_download": None}


def elements_after(window: SignalWindow, t0_ns: int, until_ns: int) -> Elements:
    """What they told of air bags, and the gyroscope of the roll, from T0 up to until_ns."""
    found: Elements = {}
    for name, seat in (("airbag_driver_ms", _DRIVER), ("airbag_passenger_ms", _PASSENGER)):
        fired = between(window, vss.airbag_deployed(seat), t0_ns, until_ns)
        first = np.flatnonzero(fired.value > 0)
        found[name] = round((int(fired.t_ns[first[0]]) - t0_ns) / MS, 1) if len(first) else None
    found["roll_deg"] = _roll(between(window, vss.ROLL_RATE, t0_ns + _ROLL_FROM_NS - _CURVE_STEP_NS, until_ns), t0_ns)
    every = (between(window, vss.airbag_deployed(seat), t0_ns, until_ns) for seat in vss.SEATS)
    if any(bool((series.value > 0).any()) for series in every):
        found |= {"locked": True, "locked_by": "airbag"}
    return found


_AXES: Final = ("longitudinal", "lateral", "resultant")
_AT_10_HZ_NS: Final = np.arange(-_BEFORE_NS, 1, NS // 10)
_BEFORE: Final = {
    "speed_kmh": (vss.SPEED, vss.GNSS_SPEED),
    "accelerator_percent": (vss.ACCELERATOR_PEDAL, vss.THROTTLE),
    "service_brake": (vss.BRAKE_PEDAL,),
    "engine_rpm": (vss.ENGINE_SPEED,),
    "steering_deg": (vss.STEERING_ANGLE,),
}
_BEFORE_5_S: Final = {"abs_active": vss.ABS_ENGAGED, "esc_active": vss.ESC_ENGAGED}
_BEFORE_1_S: Final = {
    "belt_driver": vss.seat_belted(_DRIVER),
    "belt_passenger": vss.seat_belted(_PASSENGER),
    "airbag_lamp": vss.AIRBAG_LAMP,
}
_DIGITS: Final = {"speed_kmh": 1}


def _axes(window: SignalWindow, from_ns: int, until_ns: int) -> tuple[Ints, Floats]:
    t_ns, values = AxisMerge(3).merge([between(window, path, from_ns, until_ns) for path in IMU_PATHS[:3]])
    return t_ns, values


def _delta_v_elements(after_ns: Ints, delta_v: Floats, mounting: Mounting) -> Elements:
    """after_ns: int64[n] since T0, which is its first; delta_v float64[n, 3] in km/h."""
    found: Elements = {}
    resultant = horizontal(delta_v, mounting)
    columns = {"longitudinal": delta_v[:, 0], "lateral": delta_v[:, 1], "resultant": resultant}
    at_ns = np.arange(0, CURVE_NS + 1, _CURVE_STEP_NS)
    known = at_ns <= after_ns[-1]
    for axis in _AXES if mounting.trusted else _AXES[2:]:
        curve = np.interp(at_ns, after_ns, columns[axis])
        most = int(np.argmax(np.abs(columns[axis])))
        found[f"delta_v_{axis}_kmh"] = [
            round(v, 2) if there else None for v, there in zip(curve.tolist(), known.tolist(), strict=True)
        ]
        found[f"delta_v_max_{axis}_kmh"] = round(float(columns[axis][most]), 2)
        found[f"delta_v_max_{axis}_ms"] = round(int(after_ns[most]) / MS, 1)
    return found


def _clipping(window: SignalWindow, t0_ns: int, reached_ns: Ints, until_ns: int) -> Elements:
    """By the sensor's range, or as the IMU itself tells."""
    told = between(window, vss.IMU_CLIPPED, t0_ns, until_ns)
    times = [int(t[0]) for t in (reached_ns, told.t_ns[told.value > 0]) if len(t)]
    return {"clipped": bool(times), "clipped_ms": round((min(times) - t0_ns) / MS, 1) if times else None}


def _held(series: Series | None, at_ns: Ints, name: str) -> list[float | None] | None:
    """The newest value at each of the instants; None where there is none or it is too old."""
    if series is None or not len(series):
        return None
    rows = np.searchsorted(series.t_ns, at_ns, side="right") - 1
    known = (rows >= 0) & (at_ns - series.t_ns[rows] <= _HELD_NS)
    values = series.value[rows]
    if name == "service_brake":
        values = (values >= _BRAKE_ON_PERCENT).astype(np.float64)
    digits = _DIGITS.get(name, 0)
    whole = (round(v, digits) if digits else round(v) for v in values.tolist())
    return [v if there else None for v, there in zip(whole, known.tolist(), strict=True)]


def _roll(rate: Series, t0_ns: int) -> list[float | None] | None:
    """Degrees of roll since T0, 61 values from -1 s on at 10 Hz: the integral of the roll rate."""
    if len(rate) < 2:
        return None
    middle = (rate.value[1:] + rate.value[:-1]) / 2
    angle = np.concatenate([[0.0], np.cumsum(middle * np.diff(rate.t_ns) / NS)])
    at_ns = np.arange(_ROLL_FROM_NS, _ROLL_UNTIL_NS + 1, NS // 10) + t0_ns
    known = (at_ns >= rate.t_ns[0]) & (at_ns <= rate.t_ns[-1] + _CURVE_STEP_NS)
    degrees = np.interp(at_ns, rate.t_ns, angle) - np.interp(t0_ns, rate.t_ns, angle)
    return [round(v, 1) if there else None for v, there in zip(degrees.tolist(), known.tolist(), strict=True)]
