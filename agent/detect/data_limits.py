"""What makes the figures of a pulse less sure: gaps, rates that wander, axes that stand still."""

from typing import Final

import numpy as np

from agent.core.crash_events import LimitOfData
from agent.detect.impacts import LONGEST_NS, Pulse
from agent.detect.pulse import MS, Ints, PulseTrace
from agent.detect.streams import NS

_BEFORE_NS: Final = 400 * MS
_DIED_EARLY_NS: Final = 50 * MS
_GAP_SHARE: Final = 2.5  # times the usual step: a sample is missing, and not just late
_GAP_MIN_NS: Final = 4 * MS
_WANDER: Final = 0.1
_STEPS_MIN: Final = 8
_STUCK_SAMPLES: Final = 3
_STUCK_MPS2: Final = 0.5  # the resting level may move by so much below it
_STUCK_LONGEST_NS: Final = 200 * MS  # 16 g for so long are 113 km/h
_EDGE: Final = 0.15  # of the plateau: what lies between is a shoulder
_ALONE: Final = 0.04
_EDGES_FROM_STEP_NS: Final = 5 * MS  # slower sensors miss the shoulders of a pulse
_MOVED_MPS2: Final = 9.8


def find_limits(trace: PulseTrace, pulse: Pulse, end: int, *, calm: bool) -> list[LimitOfData]:
    """Name them, from 400 ms before T0 to the pulse's end; `clipped` is the caller's."""
    start = trace.first_after(pulse.t0_ns)
    found: list[LimitOfData] = []
    if not pulse.mounting.trusted:
        found.append("mounting_unknown")
    if _died(trace, pulse, end, calm=calm):
        found.append("sensor_died")
    first = trace.first_after(pulse.t0_ns - _BEFORE_NS)
    steps_ns = np.diff(trace.t_ns[first : end + 1])
    if len(steps_ns) >= _STEPS_MIN:
        usual_ns = float(np.median(steps_ns))
        inside = np.diff(trace.t_ns[max(start - 1, first) : end + 1])
        if len(inside) and inside.max() > max(_GAP_SHARE * usual_ns, _GAP_MIN_NS):
            found.append("samples_lost")
        elif _wanders(steps_ns):
            found.append("rate_wanders")
    moved = trace.acceleration(slice(start, end + 1))
    if len(moved) >= _STUCK_SAMPLES and (np.ptp(moved, axis=0) == 0).any() and np.abs(moved).max() >= _MOVED_MPS2:
        found.append("stuck_axis")
    return found


def is_stuck(trace: PulseTrace, pulse: Pulse, end: int) -> bool:
    """Whether the pulse is an axis that reads the same whatever happens: a fault, and nothing that a car does.

    All its loud samples are equal. At the end of the range that may be a crash, whose shoulders tell it from a fault; a
    sensor that is too slow to show them shows something on the other axes at least.
    """
    rows = slice(trace.first_after(pulse.t0_ns), end + 1)
    size = np.abs(trace.acceleration(rows))
    axis = int(np.argmax(size.max(axis=0)))
    one = size[:, axis]
    loud = np.flatnonzero(one >= one.max() / 4)
    if len(loud) < _STUCK_SAMPLES or np.ptp(one[loud]) > _STUCK_MPS2:
        return False
    if not trace.clipped[rows].any():
        return True
    lasting_ns = int(trace.t_ns[rows][loud[-1]] - trace.t_ns[rows][loud[0]])
    if lasting_ns > _STUCK_LONGEST_NS:
        return True
    if (np.delete(one, loud) >= _EDGE * one.max()).any():
        return False
    others = np.delete(size, axis, axis=1)
    return lasting_ns / (len(loud) - 1) < _EDGES_FROM_STEP_NS or bool(np.quantile(others, 0.9) < _ALONE * one.max())


def _died(trace: PulseTrace, pulse: Pulse, end: int, *, calm: bool) -> bool:
    """Whether nothing more came, or not for a second, before the pulse could end."""
    end_ns = int(trace.t_ns[end])
    if calm or end_ns > pulse.t0_ns + LONGEST_NS - _DIED_EARLY_NS:
        return False
    return end + 1 == len(trace.t_ns) or int(trace.t_ns[end + 1]) - end_ns > NS


def _wanders(steps_ns: Ints) -> bool:
    half = len(steps_ns) // 2
    before, after = float(steps_ns[:half].mean()), float(steps_ns[half:].mean())
    return abs(after - before) > _WANDER * min(before, after)
