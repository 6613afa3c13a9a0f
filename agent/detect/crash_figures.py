"""The figures of a finished pulse: delta-v, when it was reached, peak, acceleration severity index."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.detect.impacts import Pulse
from agent.detect.pulse import MS, PulseTrace, horizontal
from agent.detect.streams import NS

_G: Final = 9.80665
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
        start = trace.first_after(pulse.t0_ns)
        rows = slice(start, end + 1)
        delta_v = trace.delta_v(start, rows)
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
            max_after_ms=float(trace.t_ns[start + most] - pulse.t0_ns) / MS,
            peak_mps2=peak,
            asi=_asi(trace, pulse, rows),
            loud=int((loudness >= peak / 4).sum()),
            clipped=bool(trace.clipped[rows].any()),
        )


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
