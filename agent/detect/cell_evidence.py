"""What speaks against one cell, side by side: for the report and its page. Pure."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.detect.cell_days import CellDays
from agent.detect.cell_figures import nanmedian
from agent.detect.cell_slow import Leak, estimate_leak
from agent.detect.cell_verdicts import beside_v, measures

_SPANS_DAYS: Final = (10, 30)
_OHM_DAYS: Final = 5
_RECENT_DAYS: Final = 60


@dataclass(frozen=True, slots=True)
class Evidence:
    """Of one cell; None where it is not known. volt: beside the median cell at rest, V; leak where it is beyond doubt.

    resistance: beyond the median cell's, in shares of it; entropy and correlation: sigmas beside the median cell.
    """

    cell: int
    volt: float | None
    leak: Leak | None
    resistance: float | None
    entropy: float | None
    correlation: float | None


def look_at_cell(days: CellDays, cell: int, *, until: int) -> Evidence:
    """The newest days before `until`, as far as each feature goes back."""
    volt = beside_v(days, cell)
    leaks = (estimate_leak(days, until, span=span, cell=cell) for span in _SPANS_DAYS)
    entropy, correlation = measures(days, cell)
    return Evidence(
        cell,
        volt if np.isfinite(volt) else None,
        next((leak for leak in leaks if leak is not None and leak.low > 0), None),
        _resistance(days, cell, until=until),
        entropy,
        correlation,
    )


def _resistance(days: CellDays, cell: int, *, until: int) -> float | None:
    numbers, ohm = days.last("ohm", _OHM_DAYS, since=until - _RECENT_DAYS)
    own = days.pack["own_ohm"][np.isin(days.numbers, numbers)]
    if len(ohm) < _OHM_DAYS or not (own > 0).any():
        return None
    share = float(nanmedian(ohm)[cell]) / float(np.median(own[own > 0]))
    return share if np.isfinite(share) else None
