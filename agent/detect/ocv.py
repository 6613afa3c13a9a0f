"""How many volts a percent of charge is worth at rest, by chemistry: turns a cell's voltage into the charge it lacks.

Coarse, typical of data sheets, no cell in particular (common knowledge): a third too much or too little moves a limit
by a third. Where a curve is flat, voltage says next to nothing about charge, and nobody should ask it.
"""

from collections.abc import Mapping
from typing import Final, Literal

import numpy as np

Chemistry = Literal["lfp", "nmc"]

STEEP_ENOUGH: Final = 0.003  # V a percent, below which a millivolt of noise is a third of a percent and more
# Rest voltage, and V a percent there.
_SLOPES: Final[Mapping[Chemistry, tuple[list[float], list[float]]]] = {
    "nmc": ([3.0, 3.3, 3.45, 3.52, 3.58, 3.66, 3.75, 4.2], [0.05, 0.03, 0.016, 0.009, 0.006, 0.0055, 0.009, 0.0095]),
    "lfp": ([2.8, 3.05, 3.17, 3.22, 3.26, 3.335, 3.36, 3.5], [0.06, 0.03, 0.01, 0.0045, 0.002, 0.001, 0.003, 0.02]),
}
_OFFSET_PERCENT: Final = 1.0  # nobody's cells are balanced better


def volts_per_percent(chemistry: Chemistry, rest_v: float) -> float:
    """Slope of the open-circuit voltage over charge, in V a percent, at a rest voltage in V."""
    return float(np.interp(rest_v, *_SLOPES[chemistry]))
