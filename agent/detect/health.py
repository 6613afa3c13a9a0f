"""How much charge the pack still takes: charge in over state of charge gained, one estimate a charge. Pure."""

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from agent.detect.cell_figures import NORMAL_90, student_90
from agent.detect.cell_rows import Row
from agent.detect.streams import NS

SEGMENTS_MAX: Final = 36
_SEGMENTS_MIN: Final = 3
_GAINED_PERCENT: Final = 20.0  # a step of 1 % is then 5 %, and less over many
_CURRENT_A: Final = 1.0
_PAUSE_NS: Final = 600 * NS
_STEP_NS: Final = 120 * NS
_STANDING_KMH: Final = 0.5
_OF_MEDIAN: Final = 1.2533  # standard error of a median against that of a mean
_SOC_SCALE: Final = 0.01  # what all charges have in common does not average out; ours
_SOC_STEP: Final = 0.01  # no car's state of charge is truer


@dataclass(frozen=True, slots=True)
class Capacity:
    """Median estimate in Ah and its 90 % interval."""

    segments: int
    ah: float
    low_ah: float
    high_ah: float


@dataclass(slots=True)
class ChargeSegments:
    """Integrates each charge; ah holds the newest estimates of the capacity, oldest first."""

    ah: list[float] = field(default_factory=list)
    _before: tuple[int, float] | None = None
    _flowed_ns: int = 0
    _coulombs: float = 0.0
    _start: float | None = None
    _soc: float = 0.0

    def feed(self, row: Row) -> None:
        """Take a row: current in A, state of charge in percent."""
        before, self._before = self._before, (row.t_ns, row.ampere)
        standing = not row.speed > _STANDING_KMH
        if self._start is not None:
            late = row.t_ns - self._flowed_ns > _PAUSE_NS or (before is not None and row.t_ns - before[0] > _STEP_NS)
            if late or not standing or row.ampere < -_CURRENT_A:
                self._close()
        if not (standing and np.isfinite(row.ampere) and np.isfinite(row.soc)):
            return
        if self._start is None:
            if row.ampere >= _CURRENT_A:
                self._start, self._coulombs, self._flowed_ns = row.soc, 0.0, row.t_ns
            return
        if row.ampere >= _CURRENT_A:
            self._flowed_ns = row.t_ns
        if before is not None and np.isfinite(before[1]):
            self._coulombs += (row.ampere + before[1]) / 2 * (row.t_ns - before[0]) / NS
            self._soc = row.soc

    def capacity(self) -> Capacity | None:
        """What the segments say together; None of fewer than three."""
        if len(self.ah) < _SEGMENTS_MIN:
            return None
        middle = float(np.median(self.ah))
        spread = max(1.4826 * float(np.median(np.abs(np.array(self.ah) - middle))), _SOC_STEP * middle)
        error = student_90(len(self.ah) - 1) * _OF_MEDIAN * spread / len(self.ah) ** 0.5
        half = math.hypot(error, NORMAL_90 * _SOC_SCALE * middle)
        return Capacity(len(self.ah), middle, middle - half, middle + half)

    def _close(self) -> None:
        start, self._start = self._start, None
        gained = self._soc - (start or 0.0)
        if start is not None and gained >= _GAINED_PERCENT and self._coulombs > 0:
            self.ah = [*self.ah, self._coulombs / 36 / gained][-SEGMENTS_MAX:]
