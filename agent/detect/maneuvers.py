"""What harsh driving is made of: a phase beyond a limit, and an acceleration from coarse speed."""

from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import Final

from agent.detect.streams import NS

_SLOPE_SPAN_NS: Final = 1_050_000_000  # three samples at 2 Hz; 1 km/h of quantisation is then 0.3 m/s^2 at most
_SLOPE_SPREAD_MIN_NS: Final = 400_000_000
_SLOPE_GAP_NS: Final = 2_500_000_000
_LEAP_MPS: Final = 10 / 3.6
_HELD_NS: Final = 400_000_000  # a control unit may tell its speed so rarely, to whoever asks more often
TYRES_MPS2: Final = 14.0  # tyres do not hold more: a shock, a glitch or a crash, and not driving


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch beyond the limit: its span, and the largest value in it."""

    onset_ns: int
    end_ns: int
    peak: float


class PhaseTracker:
    """Follows one value in time: on at the limit, off below limit * (1 - hysteresis)."""

    def __init__(self) -> None:
        self._onset_ns: int | None = None
        self._last_ns = 0
        self._peak = 0.0

    def feed(self, t_ns: int, value: float, limit: float, hysteresis: float) -> Phase | None:
        """Take a value; the phase that it ends, if it ends one."""
        ended = None
        if self._onset_ns is not None and value < limit * (1 - hysteresis):
            ended = Phase(self._onset_ns, t_ns, self._peak)
            self._onset_ns = None
        elif self._onset_ns is not None:
            self._peak = max(self._peak, value)
        elif value >= limit:
            self._onset_ns, self._peak = t_ns, value
        self._last_ns = t_ns
        return ended

    def stop(self) -> Phase | None:
        """End it at the last value: a gap, or the end of data."""
        onset_ns, self._onset_ns = self._onset_ns, None
        return None if onset_ns is None else Phase(onset_ns, self._last_ns, self._peak)


class SpeedSlope:
    """Acceleration in m/s^2 from speed in km/h at 1 Hz or more, quantised to 1 km/h, unevenly timed.

    A median of three takes out single wrong samples without bending a ramp; a least-squares line through the last
    second (or the last two samples, where they are rarer) evens out quantisation. The value belongs to the middle of
    its samples. `leapt_ns` is when speed last changed faster than tyres can: a glitch, another source, a liar.
    """

    def __init__(self) -> None:
        self.leapt_ns = self._changed_ns = -(1 << 62)
        self._three: deque[tuple[int, float]] = deque(maxlen=3)
        self._points: deque[tuple[int, float]] = deque(maxlen=64)

    def feed(self, t_ns: int, kmh: float) -> tuple[int, float] | None:
        """Take a sample; (time ns, m/s^2), None where there is too little to tell."""
        if self._three and t_ns - self._three[-1][0] > _SLOPE_GAP_NS:
            self._three.clear()
            self._points.clear()
        self._three.append((t_ns, kmh))
        if len(self._three) < 3:
            return None
        points = self._points
        points.append((self._three[1][0], median(v for _, v in self._three) / 3.6))
        self._watch_leap()
        newest_ns = points[-1][0]
        while len(points) > 2 and newest_ns - points[0][0] > _SLOPE_SPAN_NS:
            points.popleft()
        if len(points) < 2 or newest_ns - points[0][0] < _SLOPE_SPREAD_MIN_NS:
            return None
        times = [(t - newest_ns) / NS for t, _ in points]
        t_mean = sum(times) / len(times)
        v_mean = sum(v for _, v in points) / len(points)
        covariance = sum((t - t_mean) * (v - v_mean) for t, (_, v) in zip(times, points, strict=True))
        return newest_ns + round(t_mean * NS), covariance / sum((t - t_mean) ** 2 for t in times)

    def _watch_leap(self) -> None:
        """Compare the newest two points; what speed does all at once may have grown while it was held."""
        if len(self._points) < 2:
            return
        (before_ns, before), (t_ns, mps) = self._points[-2], self._points[-1]
        change = abs(mps - before)
        if not change:
            return
        passed_ns = max(t_ns - before_ns, min(t_ns - self._changed_ns, _HELD_NS))
        self._changed_ns = t_ns
        if change > _LEAP_MPS and change * NS > TYRES_MPS2 * passed_ns:
            self.leapt_ns = t_ns
