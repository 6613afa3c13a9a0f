"""What is kept of a pack for months: one value per cell, feature and day of use, in at most 200 kB. Pure.

A day's value is the median of up to 64 rows at rest, thinned evenly as the day goes on, so that neither sentinels nor
an hour at one place weigh much. Kept are 128 days; what is older lives on in a level per cell and bin of charge.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.detect.cell_figures import Values, nanmedian
from agent.detect.cell_motion import Motion
from agent.detect.cell_today import OpenDay

Numbers = npt.NDArray[np.int32]

DAYS_MAX: Final = 128
BINS: Final = 10  # of charge, a tenth each
_LEVEL_ROWS: Final = 20  # a level is the mean of so many, then it follows
_STEP_MAX: Final = 0.5  # percent of charge by which one day may move a level
# What one count stands for, and in which type: the last two need no more than a hundred steps.
_STEPS: Final = {"volt": 1e-4, "charge": 0.01, "ohm": 2e-6, "entropy": 0.03, "correlation": 0.05}
TYPES: Final[Mapping[str, type[np.int16] | type[np.int8]]] = {
    "volt": np.int16,
    "charge": np.int16,
    "ohm": np.int16,
    "entropy": np.int8,
    "correlation": np.int8,
}
FEATURES: Final = tuple(TYPES)
KINDS: Final = 3  # of advice: cell_verdicts names them
PACK: Final = ("gap_v", "soc", "own_ohm", "top")  # one value a day of the pack as a whole


class CellDays:
    """The days of one pack of `cells` cells. float64[days, cells] by feature, NaN where there was nothing.

    volt: beside the median cell at rest, V; charge: the same in percent of charge; ohm: beside the median cell's;
    entropy in bit and correlation as Fisher's z: see cell_motion. pack float32[days] by name: gap_v, the pack's voltage
    beside the sum of its cells at no current; soc at rest in percent; own_ohm of the median cell;
    top, the highest number of cells that a row had.
    """

    def __init__(self, cells: int) -> None:
        self.cells = cells
        self.numbers = np.zeros(0, np.int32)
        self.values = {feature: np.zeros((0, cells), TYPES[feature]) for feature in FEATURES}
        self.pack = {name: np.zeros(0, np.float32) for name in PACK}
        self.levels = np.zeros((BINS, cells), np.float32)  # percent of charge
        self.weights = np.zeros((BINS, cells), np.uint8)
        self.told = np.zeros((KINDS, cells), np.uint8)  # the highest level of advice given and not taken back
        self.capacities: list[float] = []  # Ah, one a charge; health keeps few
        self.reported = -1  # the month of the last report on health
        self.open: OpenDay | None = None

    def begin(self, number: int) -> None:
        """A day begins; nothing of the one before is lost if it was closed."""
        self.open = OpenDay(number, Motion.of(self.cells))

    def close(self, rows_min: int) -> bool:
        """The day is over; whether it had rows enough at rest, or a resistance, to be kept."""
        day, self.open = self.open, None
        if day is None or (len(day.rows) < rows_min and not day.ohms):
            return False
        found = {feature: np.full(self.cells, np.nan) for feature in FEATURES}
        if len(day.rows) >= rows_min:
            rows = np.array(day.rows, np.float64)
            charge = rows / np.array(day.slopes)[:, None]
            found["volt"], found["charge"] = nanmedian(rows), nanmedian(charge)
            self._learn(charge, np.array(day.socs))
        if day.ohms:
            found["ohm"] = nanmedian(np.array(day.ohms, np.float64))
        found["entropy"], found["correlation"] = day.motion.entropy(), day.motion.correlation()
        self.numbers = np.append(self.numbers, np.int32(day.number))[-DAYS_MAX:]
        pack = (day.gap_v(), _median(day.socs), _median(day.own_ohms), day.top)
        for name, value in zip(PACK, pack, strict=True):
            self.pack[name] = np.append(self.pack[name], np.float32(value))[-DAYS_MAX:]
        for feature, step in _STEPS.items():
            kept = TYPES[feature]
            limits = np.iinfo(kept)
            counts = np.clip(np.rint(found[feature] / step), limits.min + 1, limits.max)
            whole = np.where(np.isnan(counts), limits.min, counts).astype(kept)
            self.values[feature] = np.concatenate([self.values[feature], whole[None]])[-DAYS_MAX:]
        return True

    def last(self, feature: str, count: int, *, since: int) -> tuple[Numbers, Values]:
        """Numbers and values float64[k, cells] of the newest days (at most count) that have the feature."""
        known = (self.values[feature] != np.iinfo(TYPES[feature]).min).any(axis=1) & (self.numbers >= since)
        rows = np.flatnonzero(known)[-count:]
        return self.numbers[rows], self._told(feature, rows)

    def by_day(self) -> tuple[Numbers, Values]:
        """All days kept, the oldest first: their numbers and float64[days, cells, FEATURES], NaN where not known."""
        rows = np.arange(len(self.numbers))
        return self.numbers, np.stack([self._told(feature, rows) for feature in FEATURES], axis=-1)

    def _told(self, feature: str, rows: npt.NDArray[np.int64]) -> Values:
        values = self.values[feature][rows]
        return np.where(values == np.iinfo(TYPES[feature]).min, np.nan, values * _STEPS[feature])

    def _learn(self, charge: Values, socs: Values) -> None:
        """Move each bin's level towards what was seen in it today."""
        bins = np.clip(np.nan_to_num(socs, nan=50.0) * BINS / 100, 0, BINS - 1).astype(int)
        for number in np.unique(bins):
            today = nanmedian(charge[bins == number])
            known = np.minimum(self.weights[number], _LEVEL_ROWS - 1)
            step = (today - self.levels[number]) / (known + 1)
            step = np.where(known == 0, step, np.clip(step, -_STEP_MAX, _STEP_MAX))
            seen = ~np.isnan(today)
            self.levels[number] += np.where(seen, step, 0).astype(np.float32)
            self.weights[number] = np.where(seen, known + 1, known).astype(np.uint8)


def _median(values: list[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.median(known)) if known else float("nan")
