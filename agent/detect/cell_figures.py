"""Statistics of cells beside each other, that a few wrong ones do not move. Pure."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

NORMAL_90: Final = 1.645
SIGMAS: Final = 3.5  # beside the median cell, of the pack's own spread
_APART: Final = 1.0  # sigma between the named cells and the next one
_NAMED_MAX: Final = 3  # more are no outliers but a pack
_TERMS_MIN: Final = 20
_VARIED: Final = 25.0  # variance of x; of A, where a current is meant


@dataclass(frozen=True, slots=True)
class Standing:
    """How one feature of all cells stands: value float64[cells] and its sigmas float64[cells] beside the median."""

    value: Values
    sigmas: Values
    spread: float


def stand(by_day: Values, *, spread_min: float) -> Standing:
    """Medians over days of a feature float64[days, cells], and where they stand among the cells."""
    value = nanmedian(by_day)
    spread = max(spread_of(value), spread_min)
    daily = np.array([day / max(spread_of(day), spread_min) for day in by_day])
    return Standing(value, nanmedian(daily), spread)


def spread_of(value: Values) -> float:
    """One standard deviation of the cells, from the middle nine tenths: a few wrong ones do not widen it."""
    known = value[~np.isnan(value)]
    if not len(known):
        return 0.0
    low, high = np.quantile(known, [0.05, 0.95])
    return float(high - low) / 3.29


def apart(sigmas: Values) -> list[int]:
    """Cells beyond the limit (high is bad) that stand apart from the next one; none where too many do."""
    order = np.argsort(-np.nan_to_num(sigmas, nan=-np.inf), kind="stable")
    ranked = sigmas[order]
    for count in range(min(_NAMED_MAX, len(order) - 1), 0, -1):
        if ranked[count - 1] >= SIGMAS and ranked[count - 1] - ranked[count] >= _APART:
            return [int(cell) for cell in order[:count]]
    return []


def add_terms(sums: list[float], x: float, y: float, *, kept: float = 1.0) -> list[float]:
    """Sums of 1, x, y, xx, xy with one more point; kept: what the older ones count from now on."""
    return [kept * total + term for total, term in zip(sums, (1.0, x, y, x * x, x * y), strict=True)]


def at_no_current(sums: list[float], *, varied: bool = False) -> float:
    """Least squares of y over x at x = 0; NaN of fewer than twenty points.

    varied: NaN also where x hardly moved: what is measured in tenths of a volt stays at one wrong value then.
    """
    count, x, y, xx, xy = sums
    if count < _TERMS_MIN:
        return float("nan")
    squares = xx - x * x / count
    if varied and squares < _VARIED * count:
        return float("nan")
    slope = (xy - x * y / count) / squares if squares > count else 0.0  # an ampere of spread, or none
    return (y - slope * x) / count


def nanmedian(rows: Values) -> Values:
    """float64[cells]: median over rows float64[n, cells], NaN where a cell has none. Without NumPy's warning."""
    ordered = np.sort(rows, axis=0)  # NaN last
    count = (~np.isnan(rows)).sum(axis=0)
    low, high = np.maximum(count - 1, 0) // 2, count // 2
    columns = np.arange(rows.shape[1])
    high = np.minimum(high, len(rows) - 1)
    return np.where(count > 0, (ordered[low, columns] + ordered[high, columns]) / 2, np.nan)


def student_90(freedom: int) -> float:
    """Student's t for a 90 % interval, by the first terms of its expansion about the normal's quantile."""
    return NORMAL_90 + 1.524 / freedom + 1.42 / freedom**2
