"""Potholes, kerbs and bumps: short vertical shocks that leave no delta-v."""

from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.config import RoadLimits
from agent.core.events import RoadImpact
from agent.detect.pulse import MS
from agent.detect.streams import NS, SpeedTrack

SHOCK_NS: Final = 300 * MS  # the shock and what follows it at once
_VERDICT_NS: Final = 1000 * MS  # by then a crash that began within the shock has been reported
_LONGEST_NS: Final = 150 * MS  # above half its peak: longer is a ramp, a speed bump taken slowly, or a lift
_VERTICAL_SHARE: Final = 1.2  # the vertical peak beats the horizontal one by this much


class RoadShocks:
    """Finds shocks in vertical and horizontal deviation; fed by the collision detector, which owns the IMU's history.

    Amplitudes of potholes are not published (docs/sources.md 3): the limit is ours and configurable.
    """

    def __init__(self, limits: RoadLimits) -> None:
        self.limits = limits
        self._samples: list[tuple[int, float, float]] = []
        self._rearm_ns = -(1 << 62)
        self._high = False  # the last sample was beyond the limit already

    @property
    def open(self) -> bool:
        """Whether a shock is being looked at."""
        return bool(self._samples)

    def feed(
        self, t_ns: npt.NDArray[np.int64], vertical: npt.NDArray[np.float64], across: npt.NDArray[np.float64]
    ) -> list[tuple[int, float]]:
        """Take samples (m/s^2, absolute); return finished shocks as (onset ns, peak m/s^2)."""
        found = []
        for t, v, a in zip(t_ns.tolist(), vertical.tolist(), across.tolist(), strict=True):
            since_ns = t - self._samples[0][0] if self._samples else 0
            if since_ns > _VERDICT_NS:
                found += self.finish()
            rises, self._high = v >= self.limits.peak_mps2 and not self._high, v >= self.limits.peak_mps2
            if not self._samples and (not rises or t < self._rearm_ns):
                continue
            if since_ns <= SHOCK_NS or since_ns > _VERDICT_NS:
                self._samples.append((t, v, a))
        return found

    def calm(self) -> None:
        """Hear that samples were left out which were all below the limit."""
        self._high = False

    def finish(self) -> list[tuple[int, float]]:
        """Judge the shock under way."""
        samples, self._samples = self._samples, []
        if not samples:
            return []
        onset_ns = samples[0][0]
        self._rearm_ns = onset_ns + NS
        peak = max(v for _, v, _ in samples)
        loud = [t for t, v, _ in samples if v >= peak / 2]
        if _longest_run_ns(loud) > _LONGEST_NS or peak < _VERTICAL_SHARE * max(a for _, _, a in samples):
            return []
        self._rearm_ns = onset_ns + round(self.limits.gap_min_s * NS)
        return [(onset_ns, peak)]

    def event(self, onset_ns: int, peak: float, speeds: SpeedTrack) -> RoadImpact | None:
        """Return the event, None where the car stood: then somebody slammed a door or knocked the box."""
        speed_kmh = speeds.at(onset_ns)
        if speed_kmh is not None and speed_kmh < self.limits.speed_min_kmh:
            return None
        return RoadImpact(t_ns=onset_ns, peak_mps2=round(peak, 2), speed_kmh=speed_kmh)


def _longest_run_ns(t_ns: list[int]) -> int:
    """Longest stretch without a hole of 25 ms."""
    longest, start = 0, t_ns[0]
    for before, now in pairwise(t_ns):
        if now - before > 25 * MS:
            start = now
        longest = max(longest, now - start)
    return longest
