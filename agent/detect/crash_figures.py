"""The figures of a finished pulse: delta-v, when it was reached, peak, acceleration severity index."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.detect.impacts import LONGEST_NS, Pulse
from agent.detect.pulse import MS, Floats, PulseTrace, horizontal
from agent.detect.streams import NS

_G: Final = 9.80665
_ONSET_NS: Final = 40 * MS
_TAIL_NS: Final = 10 * MS
_BEFORE_NS: Final = 220 * MS  # the bias is what was felt from so long before T0 until the onset
_BEFORE_MIN: Final = 5  # samples
_BEFORE_MPS2: Final = 12.0  # tyres hold no more: beyond, it was no braking
_ASI_NS: Final = 50 * MS
_ASI_LIMITS_G: Final = (12.0, 9.0, 10.0)


@dataclass(frozen=True, slots=True)
class Figures:
    """Of a pulse: delta-v in km/h forward, to the right and across gravity at its largest, and what goes with it.

    loud counts samples from a quarter of the peak on, along_kmh is the largest delta-v along gravity. Where the axes
    are not known, asi takes what is across gravity as longitudinal, which makes it a lower bound.
    """

    end_ns: int
    x_kmh: float
    y_kmh: float
    delta_v_kmh: float
    along_kmh: float
    max_after_ms: float
    peak_mps2: float
    asi: float
    loud: int
    clipped: bool

    @classmethod
    def of(cls, trace: PulseTrace, pulse: Pulse, end: int) -> "Figures":
        """Measure the pulse up to the sample `end`.

        Delta-v is integrated unfiltered: a low-pass moves velocity in time and takes none away, so all that filtering
        could do is blur T0 and the end. What depends on the sensor's bandwidth is a mean over a span of the integral:
        a streaming low-pass of linear phase that is the same at every rate, unlike CFC60, which 100 Hz cannot hold.
        """
        rows = slice(trace.first_after(pulse.t0_ns), end + 1)
        first, delta_v = _delta_v(trace, pulse, end)
        across = horizontal(delta_v, pulse.mounting)
        most = int(np.argmax(across))
        loudness = horizontal(trace.acceleration(rows), pulse.mounting)
        peak = float(loudness.max())
        return cls(
            end_ns=int(trace.t_ns[end]),
            x_kmh=float(delta_v[most, 0]),
            y_kmh=float(delta_v[most, 1]),
            delta_v_kmh=float(across[most]),
            along_kmh=float(np.abs(delta_v @ np.array(pulse.mounting.down)).max()),
            max_after_ms=max(0.0, float(trace.t_ns[first + most] - pulse.t0_ns) / MS),
            peak_mps2=peak,
            asi=_asi(trace, pulse, rows),
            loud=int((loudness >= peak / 4).sum()),
            clipped=bool(trace.clipped[rows].any()),
        )


def _delta_v(trace: PulseTrace, pulse: Pulse, end: int) -> tuple[int, Floats]:
    """Index from which on, and delta-v in km/h from there to a little beyond the end, float64[k, 3].

    It begins before T0 and goes on after the end, because the rules for both pass over 0.8 km/h of a soft pulse each.
    What the car did before (braking, a bend) is taken off up to T0. From then on nothing is, as in 49 CFR 563: nobody
    knows how much of it the tyres still hold in the crash.
    """
    first = trace.first_after(max(pulse.t0_ns - _ONSET_NS, pulse.since_ns))
    latest_ns = min(int(trace.t_ns[end]) + _TAIL_NS, max(pulse.t0_ns + LONGEST_NS, int(trace.t_ns[end])))
    last = int(np.searchsorted(trace.t_ns, latest_ns, side="right"))
    rows = slice(first, last)
    delta_v = trace.delta_v(first, rows)
    before = trace.first_after(pulse.t0_ns - _BEFORE_NS)
    if pulse.since_ns > pulse.t0_ns - _BEFORE_NS or first - before < _BEFORE_MIN:
        return first, delta_v
    per_ns = trace.delta_v(before, slice(first, first + 1))[0] / float(trace.t_ns[first] - trace.t_ns[before])
    if float(horizontal(per_ns[None], pulse.mounting)[0]) / 3.6 * NS > _BEFORE_MPS2:
        return first, delta_v
    until_t0 = np.clip(trace.t_ns[rows], None, max(pulse.t0_ns, int(trace.t_ns[first]))) - trace.t_ns[first]
    return first, delta_v - np.outer(until_t0.astype(np.float64), per_ns)


def _asi(trace: PulseTrace, pulse: Pulse, rows: slice) -> float:
    """Acceleration severity index by EN 1317-1:1998: means over 50 ms, over 12, 9 and 10 g, resultant, largest."""
    means_g = trace.delta_v_within(_ASI_NS, rows) / 3.6 / (_ASI_NS / NS) / _G
    along = means_g @ np.array(pulse.mounting.down)
    if pulse.mounting.trusted:
        x, y = means_g[:, 0], means_g[:, 1]
    else:
        x, y = horizontal(means_g, pulse.mounting), np.zeros(len(means_g))
    across_x, across_y, vertical = _ASI_LIMITS_G
    return float(np.sqrt((x / across_x) ** 2 + (y / across_y) ** 2 + (along / vertical) ** 2).max())
