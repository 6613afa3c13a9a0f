"""What takes days to show in a cell: a leak through it, and a contact that gets worse. Pure.

A leak is what a cell's charge at rest beside the median cell loses by the day, beyond all others, and beyond what goes
with the state of charge: a cell of less capacity stands high when full and low when empty, day after day the same.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.detect.cell_days import DAYS_MAX, CellDays
from agent.detect.cell_figures import Values, apart, nanmedian, spread_of, student_90

_SPANS_DAYS: Final = (10, 30)  # of the calendar: the shorter one where it suffices, for leaks grow
_DAYS_MIN: Final = 6  # of use within them
_TERMS: Final = 3  # level, day, state of charge
_SOC_SPREAD: Final = 10.0  # percent of charge, for a bend of one percent: what a day is expected to differ by
_RATE_SPREAD: Final = 0.02  # percent a day: healthy cells differ by half a percent a month and more
_ERRORS: Final = 6.0  # of its own standard error
_LOST_PERCENT: Final = 1.0  # over the span: less is the curve's own bends
_LEAK_PERCENT: Final = 0.08  # a day, of which the interval's low end may be no less
_LACK_DAYS: Final = 3
_LACK_PERCENT: Final = 1.0  # beside the median cell: what balancing takes from a cell that has too much is no leak
SOON_RATE: Final = 0.5  # percent a day, of the interval's low end: balancing will not hide it for long
_CURVE_SHARE: Final = 0.28  # of the rate, at 90 %: how wrong volts a percent may be (ocv)

_OHM_DAYS: Final = 5  # the newest days, and the oldest ones that they are compared with
OHM_MIN: Final = 0.0002
_OHM_ERRORS: Final = 4.0  # what grows evenly scatters by that alone
_OHM_SPREAD: Final = 0.05  # of the median cell's resistance
_OHM_GROWN: Final = 0.3  # of the median cell's, since the oldest days
_OHM_BEYOND: Final = 0.35
_OHM_SOON: Final = 2.0
_NEXT_SHARE: Final = 1 / 3  # of a joint's resistance shows in the cell next to it as well


@dataclass(frozen=True, slots=True)
class Leak:
    """What a cell loses beyond the others, in percent of its charge a day, with its 90 % interval.

    spread: one standard deviation of the other cells. days: of the calendar, over which it was seen. lacks: in percent
    of charge beside the median cell, at last.
    """

    cell: int
    rate: float
    low: float
    high: float
    spread: float
    days: float
    lacks: float


@dataclass(frozen=True, slots=True)
class Grown:
    """A resistance that has grown: ohm beside the median cell's; the others in shares of the median cell's.

    joint: the cell beside it has grown too. days: of the calendar.
    """

    cell: int
    ohm: float
    beyond: float
    grown: float
    spread: float
    days: float
    joint: bool


def find_leak(days: CellDays, number: int) -> Leak | None:
    """The cell that leaks most up to the day `number`, if it stands apart from all others."""
    for span in _SPANS_DAYS:
        found = estimate_leak(days, number, span=span)
        if found is not None and _is_sure(found):
            return found
    return None


def estimate_leak(days: CellDays, number: int, *, span: int, cell: int | None = None) -> Leak | None:
    """Of the cell, or of the one that stands apart; None where there are too few days, or nobody does."""
    numbers, charge = days.last("charge", DAYS_MAX, since=number - span)
    if len(numbers) < _DAYS_MIN or numbers[-1] - numbers[0] < _DAYS_MIN:
        return None
    soc = days.pack["soc"][np.isin(days.numbers, numbers)].astype(np.float64)
    rate, error = drift(numbers.astype(np.float64), charge, soc)
    spread = max(spread_of(rate), _RATE_SPREAD)
    if cell is None:
        cell = next(iter(apart(-rate / spread)), None)
    if cell is None or np.isnan(rate[cell]) or -rate[cell] < _ERRORS * error[cell]:
        return None
    lost = -float(rate[cell])
    half = math.hypot(student_90(len(numbers) - _TERMS) * float(error[cell]), _CURVE_SHARE * lost)
    lacks = -float(nanmedian(charge[-_LACK_DAYS:])[cell])
    return Leak(cell, lost, lost - half, lost + half, spread, float(numbers[-1] - numbers[0]), lacks)


def drift(day: Values, charge: Values, soc: Values) -> tuple[Values, Values]:
    """Least squares of charge float64[n, cells] over the day and the state of charge: percent a day, and its error.

    NaN where a cell has too few days. Errors allow for days that resemble the one before (lag-one correlation).
    """
    known = ~np.isnan(charge)
    soc = np.nan_to_num((soc - np.nanmean(soc)) / _SOC_SPREAD) if np.isfinite(soc).any() else np.zeros(len(soc))
    terms = np.column_stack([np.ones(len(day)), day - day.mean(), soc])
    weight = known.astype(np.float64)
    squares = np.einsum("nc,ni,nj->cij", weight, terms, terms) + np.diag([0.0, 0.0, 1.0])  # a bend is unlikely
    enough = known.sum(axis=0) >= _DAYS_MIN
    squares[~enough] = np.eye(_TERMS)
    value = np.where(known, charge, 0.0)
    found = np.linalg.solve(squares, np.einsum("nc,ni,nc->ci", weight, terms, value)[..., None])[..., 0]
    left = np.where(known, value - terms @ found.T, 0.0)
    variance = (left**2).sum(axis=0) / np.maximum(known.sum(axis=0) - _TERMS, 1)
    again = (left[1:] * left[:-1]).sum(axis=0) / np.maximum((left**2).sum(axis=0), 1e-12)
    inflated = np.clip((1 + again) / (1 - np.minimum(again, 0.8)), 1.0, 9.0)
    error = np.sqrt(variance * inflated * np.linalg.inv(squares)[:, 1, 1])
    return np.where(enough, found[:, 1], np.nan), np.where(enough, np.maximum(error, 1e-4), np.nan)


def find_grown(days: CellDays, number: int, *, since: int) -> Grown | None:
    """The cell whose resistance has grown most and stands apart, if one has; since: the first day that counts."""
    numbers, ohm = days.last("ohm", DAYS_MAX, since=since)
    if len(numbers) < 2 * _OHM_DAYS:
        return None
    own = days.pack["own_ohm"][np.isin(days.numbers, numbers)].astype(np.float64)
    parts = [_share(ohm[rows], own[rows]) for rows in (slice(None, _OHM_DAYS), slice(-_OHM_DAYS, None))]
    (before, before_error), (now, now_error) = parts
    grown, error = now - before, np.hypot(before_error, now_error)
    if np.isnan(grown).all():
        return None
    spread = max(spread_of(grown), _OHM_SPREAD)
    standing = apart(np.nan_to_num(grown, nan=0.0) / spread)
    if not standing or len(standing) > 2 or (len(standing) == 2 and abs(standing[0] - standing[1]) != 1):
        return None
    cell = standing[0]
    ohm_now = float(nanmedian(ohm[-_OHM_DAYS:])[cell])
    if ohm_now < OHM_MIN or now[cell] < _OHM_BEYOND or grown[cell] < max(_OHM_GROWN, _OHM_ERRORS * error[cell]):
        return None
    beside = [grown[at] for at in (cell - 1, cell + 1) if 0 <= at < len(grown) and np.isfinite(grown[at])]
    joint = any(value >= max(_NEXT_SHARE * grown[cell], 3 * spread) for value in beside)
    return Grown(cell, ohm_now, float(now[cell]), float(grown[cell]), spread, float(number - numbers[0]), joint=joint)


def is_soon(found: Grown) -> bool:
    """Whether a workshop should see it within days."""
    return found.beyond >= _OHM_SOON


def _share(ohm: Values, own: Values) -> tuple[Values, Values]:
    """float64[cells]: median over days of ohm float64[n, cells] in shares of the median cell's, and its error."""
    own_ohm = float(np.median(own[own > 0])) if (own > 0).any() else float("nan")
    share = ohm / own_ohm
    middle = nanmedian(share)
    scatter = 1.4826 * nanmedian(np.abs(share - middle))
    return middle, 1.2533 * scatter / np.sqrt(np.maximum((~np.isnan(share)).sum(axis=0), 1))


def _is_sure(found: Leak) -> bool:
    return found.low >= _LEAK_PERCENT and found.rate * found.days >= _LOST_PERCENT and found.lacks >= _LACK_PERCENT
