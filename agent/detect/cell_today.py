"""The day that is going on: rows at rest, what drives told of resistances, how the cells moved; bounded. Pure."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.detect.cell_figures import Values, add_terms, at_no_current
from agent.detect.cell_motion import Motion

_ROWS_MAX: Final = 64
_OHMS_MAX: Final = 32


@dataclass(slots=True)
class OpenDay:
    """rows at rest (V beside the median cell), their slopes (V a percent) and charge; ohms beside the median cell's.

    own_ohms: of the median cell itself, one for each of ohms. top: the highest number of cells that a row had.
    """

    number: int
    motion: Motion
    rows: list[npt.NDArray[np.float32]] = field(default_factory=list)
    slopes: list[float] = field(default_factory=list)
    socs: list[float] = field(default_factory=list)
    ohms: list[npt.NDArray[np.float32]] = field(default_factory=list)
    own_ohms: list[float] = field(default_factory=list)
    stride: int = 1
    seen: int = 0
    gap_sums: list[float] = field(default_factory=lambda: [0.0] * 5)  # of 1, x, y, xx, xy; see add_gap
    top: int = 0

    def add(self, beside_v: Values, slope: float, soc: float) -> None:
        """Take a row at rest."""
        self.seen += 1
        if self.seen % self.stride:
            return
        if len(self.rows) == _ROWS_MAX:
            self.rows, self.slopes, self.socs = self.rows[1::2], self.slopes[1::2], self.socs[1::2]
            self.stride *= 2
            if self.seen % self.stride:
                return
        self.rows.append(beside_v.astype(np.float32))  # what a boot would leave of it
        self.slopes.append(float(np.float32(slope)))
        self.socs.append(float(np.float32(soc)))

    def add_gap(self, ampere: float, gap_v: float) -> None:
        """Take the pack's voltage beside the sum of its cells, and the current, of one row.

        A day's rows average out what rounding to tenths of a volt hides.
        """
        self.gap_sums = add_terms(self.gap_sums, ampere, gap_v)

    def gap_v(self) -> float:
        """The same at no current over the day so far; NaN of too few rows."""
        return at_no_current(self.gap_sums)

    def add_resistance(self, beside_ohm: Values, own_ohm: float) -> None:
        """Take what some driving told of each cell's resistance; of more than the limit, evenly thinned ones."""
        if len(self.ohms) == _OHMS_MAX:
            self.ohms, self.own_ohms = self.ohms[1::2], self.own_ohms[1::2]
        self.ohms.append(beside_ohm.astype(np.float32))
        self.own_ohms.append(float(np.float32(own_ohm)))
