"""How a cell moves beside the others while the current changes: how unpredictably, and how much like the median.

A tight cell's deviation hardly changes when the load does; a loose contact, a noisy sensor or a reading that stands
still make it change in many ways (entropy) or out of step (correlation). Both are of one day and bounded. Pure.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.detect.cell_figures import Values
from agent.detect.streams import NS

Counts = npt.NDArray[np.uint16]

_STEP_NS: Final = 60 * NS  # between two rows
_MOVED_V: Final = 0.005  # by which the median cell has to move, or only noise is counted
_ROWS_MIN: Final = 100
_EDGES_V: Final = np.array([-0.048, -0.024, -0.012, -0.006, -0.003, -0.0015, 0.0015, 0.003, 0.006, 0.012, 0.024, 0.048])
CHANGES: Final = len(_EDGES_V) + 1
TERMS: Final = 6  # of 1, x, y, xx, yy, xy: the median cell's change x and the cell's own y, in V
_COUNT_MAX: Final = 65_535


@dataclass(slots=True)
class Motion:
    """One day. counts uint16[cells, CHANGES]: how often a deviation changed so much; sums float64[TERMS, cells]."""

    counts: Counts
    sums: Values
    _before: tuple[int, float, Values] | None = None

    @classmethod
    def of(cls, cells: int) -> "Motion":
        """Of a day that begins."""
        return cls(np.zeros((cells, CHANGES), np.uint16), np.zeros((TERMS, cells)))

    def feed(self, t_ns: int, volt: Values, middle_v: float) -> None:
        """Take a row: float64[cells] in V, NaN where a cell is missing, and the median cell's voltage."""
        before, self._before = self._before, (t_ns, middle_v, volt)
        if before is None or t_ns - before[0] > _STEP_NS:
            return
        moved = middle_v - before[1]
        if abs(moved) < _MOVED_V:
            return
        change = volt - before[2]
        known = np.flatnonzero(~np.isnan(change))
        change = change[known]
        kind = np.searchsorted(_EDGES_V, change - moved)
        if int(self.counts.max()) == _COUNT_MAX:
            self.counts //= 2
        self.counts[known, kind] += 1
        terms = (np.ones(len(known)), np.full(len(known), moved), change, moved * moved + 0 * change)
        self.sums[:, known] += (*terms, change * change, moved * change)

    def entropy(self) -> Values:
        """Shannon's, of the changes of each cell's deviation: float64[cells] in bit, NaN of too few rows."""
        total = self.counts.sum(axis=1, dtype=np.float64)
        share = self.counts / np.maximum(total, 1)[:, None]
        bits = -(share * np.log2(np.where(share > 0, share, 1))).sum(axis=1)
        return np.where(total >= _ROWS_MIN, np.abs(bits), np.nan)

    def correlation(self) -> Values:
        """Of each cell's changes with the median cell's, by Fisher's z (atanh r): float64[cells], NaN of too few rows.

        A reading that stands still has no correlation at all: 0.
        """
        count, x, y, xx, yy, xy = self.sums
        known = count >= _ROWS_MIN
        count = np.maximum(count, 1)
        varied = (xx - x * x / count) * (yy - y * y / count)
        r = np.where(varied > 0, (xy - x * y / count) / np.sqrt(np.where(varied > 0, varied, 1)), 0.0)
        return np.where(known, np.arctanh(np.clip(r, -0.99999, 0.99999)), np.nan)
