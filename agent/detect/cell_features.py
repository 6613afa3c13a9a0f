"""What the battery model sees of a cell: its newest days of use beside the other cells, one step a day. Pure.

All features are told beside the pack's own median cell, so packs of any number of cells look alike; 0 is "as the
others", and also what a day without a value, or before the first one, holds.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.battery_events import Feature
from agent.detect.cell_days import FEATURES as KEPT
from agent.detect.cell_days import CellDays
from agent.detect.cell_figures import Values, nanmedian, spread_of

Float32s = npt.NDArray[np.float32]

STEPS: Final = 14  # days of use
DAYS_MIN: Final = 3
CELLS_MIN: Final = 8  # of fewer nobody can say what is usual
_BASE_DAYS: Final = 3
_CHARGE_SPREAD_MIN: Final = 0.3  # percent of charge: a millivolt's rounding is no spread
_OWN_OHM_MIN: Final = 2e-4
_OHM_SPREAD_MIN: Final = 0.04  # of the median cell's own
_MOVED_V: Final = 0.025  # what the pack's voltage can tell at all, rounded to tenths of a volt
_DENIES_MAX: Final = 1.5

FEATURES: Final = (
    "charge",  # percent beside the median cell at rest
    "charge_sigmas",  # the same, by the pack's spread of that day
    "charge_per_day",  # percent gained since the last day with a rest, by days of the calendar
    "charge_moved",  # percent gained since the first days that are kept
    "moved_sigmas",  # the same, by the spread of what the cells gained
    "ohm",  # beyond the median cell's, in shares of the median cell's own
    "ohm_sigmas",
    "pack_denies",  # what share of the cell's change since its first days the pack's own voltage knows nothing of
    "at_rest",  # 1 where the day had a rest that told
    "under_load",  # 1 where it had a resistance
    "days_apart",  # log of 1 + days without use before it
)
GROUPS: Final[dict[Feature, tuple[str, ...]]] = {
    "rest_voltage": ("charge", "charge_sigmas", "pack_denies"),
    "self_discharge": ("charge_per_day", "charge_moved", "moved_sigmas"),
    "resistance": ("ohm", "ohm_sigmas"),
}
"""What a person would call the features, by what BatteryAdvice calls it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What the trend keeps of closed days, float64[days, cells], NaN where not known.

    charge in percent, volt in V and ohm in Ohm beside the median cell. float64[days]: gap, the pack's voltage beside
    the sum of its cells, V, and own_ohm, the median cell's. numbers int32[days].
    """

    numbers: npt.NDArray[np.int32]
    charge: Values
    volt: Values
    ohm: Values
    gap: Values
    own_ohm: Values


@dataclass(frozen=True, slots=True)
class CellHistory:
    """Days of use: numbers int32[days], features float64[days, cells, FEATURES]; volt and ohm float64[days, cells]."""

    numbers: npt.NDArray[np.int32]
    features: Values
    volt: Values
    ohm: Values

    @property
    def cells(self) -> int:
        """How many cells the pack has."""
        return int(self.features.shape[1])

    def steps(self, cell: int, *, before: int = 0) -> Values | None:
        """float64[STEPS, FEATURES] of a cell as it stood so many days of use ago, newest last; None of too few days."""
        end = len(self.numbers) - before
        if end < DAYS_MIN:
            return None
        rows = np.zeros((STEPS, len(FEATURES)))
        known = self.features[max(0, end - STEPS) : end, cell]
        rows[STEPS - len(known) :] = known
        return rows


def kept_of(days: CellDays) -> Kept:
    """All closed days that are kept of a pack."""
    numbers, values = days.by_day()
    charge, volt, ohm = (values[:, :, KEPT.index(name)] for name in ("charge", "volt", "ohm"))
    gap, own_ohm = (days.pack[name].astype(np.float64) for name in ("gap_v", "own_ohm"))
    return Kept(numbers.copy(), charge, volt, ohm, gap, own_ohm)


def look_back(kept: Kept, *, newest: int | None = None) -> CellHistory | None:
    """Features of all days, or of the newest ones; None where the pack has too few cells."""
    numbers, charge, volt, ohm, gaps = kept.numbers, kept.charge, kept.volt, kept.ohm, kept.gap
    own_ohm = max(float(nanmedian(kept.own_ohm[:, None])[0]), _OWN_OHM_MIN) if len(numbers) else _OWN_OHM_MIN
    cells = charge.shape[1]
    if cells < CELLS_MIN:
        return None
    base_charge, base_v, base_gap = _first(charge), _first(volt), _first(gaps[:, None])
    features = np.zeros((len(numbers), cells, len(FEATURES)))
    first = 0 if newest is None else max(0, len(numbers) - newest)
    last: tuple[int, Values] | None = None
    for row, number in enumerate(numbers.tolist()):
        rested = not np.isnan(charge[row]).all()
        if row < first:
            last = (number, charge[row]) if rested else last
            continue
        row_told = dict.fromkeys(FEATURES, np.zeros(cells))
        row_told["days_apart"] = row_told["days_apart"] + np.log1p(
            max(0, number - int(numbers[row - 1]) - 1) if row else 0.0
        )
        if rested:
            row_told |= _at_rest(charge[row], charge[row] - base_charge)
            row_told["pack_denies"] = _denied(volt[row] - base_v, gaps[row] - base_gap)
            if last is not None:
                row_told["charge_per_day"] = (charge[row] - last[1]) / max(1, number - last[0])
            last = number, charge[row]
        if not np.isnan(ohm[row]).all():
            row_told["ohm"] = ohm[row] / own_ohm
            row_told["ohm_sigmas"] = ohm[row] / max(spread_of(ohm[row]), _OHM_SPREAD_MIN * own_ohm)
            row_told["under_load"] = np.ones(cells)
        features[row] = np.column_stack([row_told[name] for name in FEATURES])
    told_days = np.nan_to_num(features[first:], nan=0.0, posinf=0.0, neginf=0.0)
    return CellHistory(numbers[first:], told_days, volt[first:], ohm[first:])


def told(features: Values, name: str) -> Values:
    """All values of a feature that a rest, or a load, did tell, of float64[days, cells, FEATURES]."""
    by = "under_load" if name in GROUPS["resistance"] else "at_rest"
    values: Values = features[:, :, FEATURES.index(name)][features[:, :, FEATURES.index(by)] > 0]
    return values


def without(steps: Values, group: Feature) -> Values:
    """The same steps with one group of features as the median cell has them: what the model says then is compared."""
    blank = steps.copy()
    blank[:, [FEATURES.index(name) for name in GROUPS[group]]] = 0
    return blank


def _at_rest(charge: Values, moved: Values) -> dict[str, Values]:
    return {
        "charge": charge,
        "charge_sigmas": charge / max(spread_of(charge), _CHARGE_SPREAD_MIN),
        "charge_moved": moved,
        "moved_sigmas": moved / max(spread_of(moved), _CHARGE_SPREAD_MIN),
        "at_rest": np.ones(len(charge)),
    }


def _first(by_day: Values) -> Values:
    """Medians of the first days on which anything is known: float64[columns], NaN where there are too few."""
    known = by_day[~np.isnan(by_day).all(axis=1)][:_BASE_DAYS]
    return nanmedian(known) if len(known) == _BASE_DAYS else np.full(by_day.shape[1], np.nan)


def _denied(moved_v: Values, gap_moved_v: Values) -> Values:
    """Share of each cell's change that is missing in the pack's voltage: 0 for a cell, 1 for a sensor that lies."""
    told = np.abs(moved_v) >= _MOVED_V
    share = np.where(told, -gap_moved_v / np.where(told, moved_v, 1.0), 0.0)
    shares: Values = np.clip(np.nan_to_num(share, nan=0.0), -0.5, _DENIES_MAX)
    return shares
