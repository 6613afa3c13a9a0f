"""Half a minute of driving, or half an hour of a slow log: what each cell has at rest and under load, by one fit. Pure.

Beside the median cell of the same second, v = rest + ohm * current: a contact that has come loose shows in ohm alone, a
cell that lacks charge in rest, a sensor that lies in rest too, but not in the pack's own voltage.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.detect.cell_figures import Values
from agent.detect.cell_rows import Row
from agent.detect.streams import NS

_ROWS: Final = 30
_SPAN_NS: Final = 1800 * NS
_GAP_NS: Final = 300 * NS
_STEADY_A: Final = 10.0  # from row to row: cells are not read all at once
_STEADY_MIN: Final = 8
_VARIED_A: Final = 8.0  # standard deviation of the current, below which it tells no resistance
_NEXT_NS: Final = 40 * NS
_CHANGE_A: Final = 5.0


@dataclass(frozen=True, slots=True)
class Block:
    """One fit. float64[cells]: rest_v beside the median cell, ohm and ohm_error beside it (None: current too even).

    middle_v: the median cell's voltage; lowest_v and highest_v: its range; changes: how often each reading changed.
    pack_v: pack voltage beside the sum of the cells at no current, with its error; NaN where either is not known.
    middle_ohm: the median cell's own resistance, NaN where no change of current told it.
    """

    start_ns: int
    end_ns: int
    rest_v: Values
    rest_error_v: Values
    ohm: Values | None
    ohm_error: Values | None
    middle_v: float
    middle_ohm: float
    lowest_v: float
    highest_v: float
    changes: Values
    last_v: Values
    ampere: float
    soc: float
    pack_v: float
    pack_error_v: float


class CellBlocks:
    """Gathers rows into blocks."""

    def __init__(self) -> None:
        self._rows: list[Row] = []

    def feed(self, row: Row, cells: int) -> Block | None:
        """Take a row; the block that ends before it or with it, if one does."""
        found = None
        if self._rows and (row.t_ns - self._rows[-1].t_ns > _GAP_NS or row.t_ns - self._rows[0].t_ns > _SPAN_NS):
            found = self.flush(cells)
        self._rows.append(row)
        return self.flush(cells) if len(self._rows) == _ROWS else found

    def flush(self, cells: int) -> Block | None:
        """What has been gathered so far; None where it tells nothing."""
        rows, self._rows = self._rows, []
        return fit(rows, cells) if len(rows) >= _STEADY_MIN else None


def fit(rows: list[Row], cells: int) -> Block | None:
    """Fit at least 8 rows; None where current or cells are missing or the current never holds."""
    volt = np.array([row.volt[:cells] for row in rows])
    ampere = np.array([row.ampere for row in rows])
    t_ns = np.array([row.t_ns for row in rows])
    whole = (~np.isnan(volt)).mean(axis=1) >= 0.6
    middle = np.full(len(rows), np.nan)
    middle[whole] = [np.median(v[~np.isnan(v)]) for v in volt[whole]]
    change = np.abs(np.diff(ampere, prepend=ampere[0]))
    steady = whole & np.isfinite(ampere) & (change <= _STEADY_A)
    if steady.sum() < _STEADY_MIN:
        return None
    x, beside = ampere[steady], (volt - middle[:, None])[steady]
    level, level_error, slope, slope_error = _line(x, beside)
    gap = np.array([row.pack_v for row in rows])[steady] - volt[steady].sum(axis=1)  # NaN where a cell is missing
    gap_level, gap_error, _, _ = _line(x, gap[:, None])
    varied = float(x.std()) >= _VARIED_A
    readings = volt[whole]
    return Block(
        start_ns=int(t_ns[0]),
        end_ns=int(t_ns[-1]),
        rest_v=level if varied else _means(beside),
        rest_error_v=level_error,
        ohm=slope if varied else None,
        ohm_error=slope_error if varied else None,
        middle_v=float(np.median(middle[whole])),
        middle_ohm=_own_ohm(t_ns, ampere, middle),
        lowest_v=float(np.nanmin(middle)),
        highest_v=float(np.nanmax(middle)),
        changes=(readings[1:] != readings[:-1]).sum(axis=0).astype(np.float64),
        last_v=readings[-1],
        ampere=float(np.abs(x).mean()),
        soc=float(rows[-1].soc),
        pack_v=float(gap_level[0] if varied else _means(gap[:, None])[0]),
        pack_error_v=float(gap_error[0]),
    )


def _means(beside: Values) -> Values:
    known = (~np.isnan(beside)).sum(axis=0)
    sums = np.nan_to_num(beside).sum(axis=0)
    return np.where(known >= _STEADY_MIN, sums / np.maximum(known, 1), np.nan)


def _line(x: Values, y: Values) -> tuple[Values, Values, Values, Values]:
    """Least squares of each column of y float64[n, c] over x: level at 0, its error, slope, its error; NaN if few."""
    known = ~np.isnan(y)
    count = known.sum(axis=0)
    enough = count >= _STEADY_MIN
    count = np.maximum(count, 1)
    y = np.where(known, y, 0.0)
    x_mean = (known * x[:, None]).sum(axis=0) / count
    y_mean = y.sum(axis=0) / count
    apart = np.where(known, x[:, None] - x_mean, 0.0)
    squares = (apart**2).sum(axis=0)
    slope = np.where(squares > 0, (apart * y).sum(axis=0) / np.maximum(squares, 1e-9), 0.0)
    left = np.where(known, y - y_mean - slope * apart, 0.0)
    variance = (left**2).sum(axis=0) / np.maximum(count - 2, 1) + (0.0005**2)  # and what rounding to 1 mV hides
    slope_error = np.sqrt(variance / np.maximum(squares, 1e-9))
    level_error = np.sqrt(variance / count + (x_mean * slope_error) ** 2)
    told = (y_mean - slope * x_mean, level_error, slope, slope_error)
    level, level_error, slope, slope_error = (np.where(enough, value, np.nan) for value in told)
    return level, level_error, slope, slope_error


def _own_ohm(t_ns: Values, ampere: Values, middle: Values) -> float:
    """Resistance of the median cell, from what a change of current does to it between two rows."""
    step_a, step_v = np.diff(ampere), np.diff(middle)
    told = (np.abs(step_a) >= _CHANGE_A) & np.isfinite(step_v) & (np.diff(t_ns) <= _NEXT_NS)
    squares = float((step_a[told] ** 2).sum())
    return float((step_a[told] * step_v[told]).sum()) / squares if squares else float("nan")
