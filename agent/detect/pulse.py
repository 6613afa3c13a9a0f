"""Delta-v bookkeeping of a crash pulse, in integers so that sums do not depend on where they began.

Semantics follow 49 CFR 563 (docs/sources.md 2); no conformity is claimed: a box on the dashboard is not an EDR.
"""

from dataclasses import dataclass
from math import atan2, cos, degrees, hypot, radians, sqrt
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

MS: Final = 1_000_000  # ns
LONG_AGO_NS: Final = -(1 << 62)

_ACCELERATION_UNIT: Final = 1e-4  # m/s^2 per count
_VELOCITY_UNIT_KMH: Final = _ACCELERATION_UNIT * 1e-6 / 2 * 3.6  # km/h per count: count * us, both ends of a trapezoid
_STEP_MAX_US: Final = 30_000  # a missing stretch is not integrated beyond this
_T0_DELTA_V_KMH: Final = 0.8
_T0_SPAN_LONGITUDINAL_NS: Final = 20 * MS
_T0_SPAN_LATERAL_NS: Final = 5 * MS
_END_SPAN_NS: Final = 20 * MS
_KEPT_NS: Final = 1000 * MS

CrashMode = Literal["frontal", "side_right", "rear", "side_left"]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mounting:
    """Where down is, as a unit vector in the sensor's axes, and whether the axes are what the profile says."""

    down: tuple[float, float, float] = (0.0, 0.0, 1.0)
    trusted: bool = True

    @classmethod
    def from_rest(cls, level: list[float]) -> "Mounting":
        """Read gravity from a resting level in m/s^2; a sensor that removes gravity itself is taken at its word."""
        size = sqrt(sum(x * x for x in level))
        if not 7.0 <= size <= 12.5:
            return cls()
        down = (level[0] / size, level[1] / size, level[2] / size)
        return cls(down, abs(down[2]) >= cos(radians(35)))


class PulseHistory:
    """The last second of bias-removed acceleration (x forward, y right, z vertical) and its integral."""

    def __init__(self) -> None:
        self._t: list[Ints] = []
        self._deviation: list[Floats] = []
        self._clipped: list[npt.NDArray[np.bool_]] = []
        self._seen = 0

    def add(self, t_ns: Ints, deviation: Floats, clipped: npt.NDArray[np.bool_]) -> None:
        """Take new samples: t_ns int64[n], deviation float64[n, 3] in m/s^2, clipped bool[n]."""
        self._t.append(t_ns)
        self._deviation.append(deviation)
        self._clipped.append(clipped)

    def trim(self) -> None:
        """Forget what is more than a second older than the newest sample, a long chunk in part."""
        horizon = self._t[-1][-1] - _KEPT_NS
        drop = 0
        while self._t[drop][-1] < horizon:
            drop += 1
        if drop:
            del self._t[:drop], self._deviation[:drop], self._clipped[:drop]
        if (old := int(np.searchsorted(self._t[0], horizon))) > len(self._t[0]) // 2:
            self._t[0], self._deviation[0] = self._t[0][old:], self._deviation[0][old:]
            self._clipped[0] = self._clipped[0][old:]
        if len(self._t) > 64:
            self._t, self._deviation = [np.concatenate(self._t)], [np.concatenate(self._deviation)]
            self._clipped = [np.concatenate(self._clipped)]

    def trace(self) -> "PulseTrace":
        """All of it as arrays."""
        counts = np.rint(np.concatenate(self._deviation) / _ACCELERATION_UNIT).astype(np.int64)
        return PulseTrace(np.concatenate(self._t), counts, np.concatenate(self._clipped))


class PulseTrace:
    """Arrays of one look at the history: t int64[n] ns, delta-v between any two samples in km/h."""

    def __init__(self, t_ns: Ints, counts: Ints, clipped: npt.NDArray[np.bool_]) -> None:
        self.t_ns = t_ns
        self.clipped = clipped
        self._counts = counts
        step_us = np.minimum(np.diff(t_ns) // 1000, _STEP_MAX_US)
        self._velocity = np.zeros_like(counts)
        np.cumsum((counts[1:] + counts[:-1]) * step_us[:, None], axis=0, out=self._velocity[1:])

    def acceleration(self, rows: slice) -> Floats:
        """Bias-removed acceleration in m/s^2, float64[k, 3]."""
        return self._counts[rows].astype(np.float64) * _ACCELERATION_UNIT

    def first_after(self, t_ns: int) -> int:
        """Index of the first sample at or after t_ns."""
        return int(np.searchsorted(self.t_ns, t_ns))

    def delta_v(self, start: int | Ints, rows: slice) -> Floats:
        """Delta-v in km/h from the samples `start` to each of `rows`, float64[k, 3]."""
        counts = self._velocity[rows] - self._velocity[start]
        return counts.astype(np.float64) * _VELOCITY_UNIT_KMH

    def delta_v_within(self, span_ns: int, rows: slice, *, since_ns: int = LONG_AGO_NS) -> Floats:
        """Delta-v in km/h over the span that ends at each of rows, of it what is since since_ns, float64[k, 3].

        The span is whole at any rate: where it begins between two samples, a share of the step is taken.
        """
        begins_ns = np.maximum(self.t_ns[rows] - span_ns, since_ns)
        first = np.searchsorted(self.t_ns, begins_ns)
        before = np.maximum(first - 1, 0)
        step_ns = self.t_ns[first] - self.t_ns[before]
        # A step that was not integrated whole has no share; nor has one whose beginning may be forgotten.
        whole = (step_ns > 0) & (step_ns <= _STEP_MAX_US * 1000)
        share = np.where(whole, (self.t_ns[first] - begins_ns) / np.maximum(step_ns, 1), 0.0)
        partly = (self._velocity[first] - self._velocity[before]) * share[:, None]
        return (self._velocity[rows] - self._velocity[first] + partly) * _VELOCITY_UNIT_KMH

    def time_zero(self, trigger: int, since_ns: int, mounting: Mounting) -> int:
        """Index of T0: where more than 0.8 km/h in 20 ms longitudinal or 5 ms lateral began, from since_ns to trigger.

        Where neither axis meets its rule (a soft oblique or lateral pulse, or an unknown mounting) the resultant
        over 20 ms serves, and at last the start of the span: the algorithm's wake-up, which the rule allows too.
        """
        start = min(self.first_after(since_ns), trigger)
        rows = slice(start, trigger + 1)
        floor_ns = int(self.t_ns[start])
        delta_x = self.delta_v_within(_T0_SPAN_LONGITUDINAL_NS, rows, since_ns=floor_ns)
        found: list[int] = []
        if mounting.trusted:
            delta_y = self.delta_v_within(_T0_SPAN_LATERAL_NS, rows, since_ns=floor_ns)
            found = [
                *self._begins(np.abs(delta_x[:, 0]), start, _T0_SPAN_LONGITUDINAL_NS),
                *self._begins(np.abs(delta_y[:, 1]), start, _T0_SPAN_LATERAL_NS),
            ]
        if not found:
            found = self._begins(horizontal(delta_x, mounting), start, _T0_SPAN_LONGITUDINAL_NS)
        return min(found, default=start)

    def _begins(self, delta_kmh: Floats, start: int, span_ns: int) -> list[int]:
        """Where the first span that is over T0's limit began, not before start; spans end at start, start + 1, ..."""
        over = np.flatnonzero(delta_kmh > _T0_DELTA_V_KMH)
        if not len(over):
            return []
        end = start + int(over[0])
        return [max(start, min(self.first_after(int(self.t_ns[end]) - span_ns), end - 1))]

    def end(self, trigger: int, mounting: Mounting) -> int | None:
        """Index of the first sample after `trigger` over whose last 20 ms the resultant is at most 0.8 km/h."""
        rows = slice(trigger + 1, len(self.t_ns))
        calm = np.flatnonzero(horizontal(self.delta_v_within(_END_SPAN_NS, rows), mounting) <= _T0_DELTA_V_KMH)
        for k in calm.tolist():
            index = trigger + 1 + k
            before = self.first_after(int(self.t_ns[index]) - _END_SPAN_NS)
            if before < index:  # a lone sample after a gap proves no calm
                return index
        return None


def parts(vectors: Floats, mounting: Mounting) -> tuple[Floats, Floats]:
    """Sizes of the parts of float64[k, 3] that are across gravity and along it."""
    along = vectors @ np.array(mounting.down)
    across = np.sqrt(np.maximum(np.einsum("ij,ij->i", vectors, vectors) - along * along, 0.0))
    return across, np.abs(along)


def horizontal(vectors: Floats, mounting: Mounting) -> Floats:
    """Size of the part of float64[k, 3] that is across gravity."""
    return parts(vectors, mounting)[0]


def pdof_deg(longitudinal: float, lateral: float) -> float:
    """Principal direction of force from delta-v: 0 from ahead, 90 from the right (docs/sources.md 2)."""
    return degrees(atan2(-lateral, -longitudinal)) % 360.0 if hypot(longitudinal, lateral) else 0.0


def crash_mode_of(pdof: float, frontal_deg: float) -> CrashMode:
    """The side that a principal direction of force names: frontal and rear reach frontal_deg to either side."""
    if abs((pdof + 180) % 360 - 180) <= frontal_deg:
        return "frontal"
    if abs(pdof % 360 - 180) <= frontal_deg:
        return "rear"
    return "side_right" if pdof % 360 < 180 else "side_left"


def reach(values: Floats, limit: float) -> npt.NDArray[np.bool_]:
    """Which rows of float64[n, 3] have an axis at the limit or beyond, either way."""
    size = np.abs(values)
    if size.max() < limit:
        return np.zeros(len(values), np.bool_)
    return np.asarray(size.max(axis=1) >= limit, np.bool_)
