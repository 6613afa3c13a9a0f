"""What is kept of a pack for months: one value per cell, feature and day of use, in at most 200 kB. Pure.

A day's value is the median of up to 64 rows at rest, thinned evenly as the day goes on, so that neither sentinels nor
an hour at one place weigh much. Kept are 128 days; what is older lives on in a level per cell and bin of charge.
"""

from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

DAYS_MAX: Final = 128
BINS: Final = 10  # of charge, a tenth each
_ROWS_MAX: Final = 64
_OHMS_MAX: Final = 32
_CAPACITIES_MAX: Final = 36
_GAP_ROWS_MIN: Final = 20
_VARIED_A2: Final = 25.0
_LEVEL_ROWS: Final = 20  # a level is the mean of so many, then it follows
_STEP_MAX: Final = 0.5  # percent of charge by which one day may move a level
_NONE: Final = -32_768
_STEPS: Final = {"volt": 1e-4, "charge": 0.01, "ohm": 2e-6}  # what one count of an int16 stands for

FEATURES: Final = tuple(_STEPS)


class _Saved(msgspec.Struct, frozen=True):
    """What outlives a boot: arrays as little-endian bytes."""

    version: int
    cells: int
    day: int
    stride: int
    seen: int
    numbers: bytes
    values: dict[str, bytes]
    levels: bytes
    weights: bytes
    rows: bytes
    slopes: bytes
    socs: bytes
    ohms: list[bytes]
    gaps: bytes
    today: list[float]
    told: bytes
    capacities: list[float]
    reported: int


_VERSION: Final = 1


@dataclass(slots=True)
class OpenDay:
    """The day that is going on: rows at rest (V beside the median cell), their slopes (V a percent) and charge."""

    number: int
    rows: list[npt.NDArray[np.float32]]
    slopes: list[float]
    socs: list[float]
    ohms: list[npt.NDArray[np.float32]]
    stride: int = 1
    seen: int = 0
    gap_sums: list[float] = field(default_factory=lambda: [0.0] * 5)  # of 1, x, y, xx, xy; see add_gap

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

    def add_resistance(self, beside_ohm: Values) -> None:
        """Take what some driving told of each cell's resistance; of more than the limit, evenly thinned ones."""
        if len(self.ohms) == _OHMS_MAX:
            self.ohms = self.ohms[1::2]
        self.ohms.append(beside_ohm.astype(np.float32))


class CellDays:
    """The days of one pack of `cells` cells. float64[days, cells] by feature, NaN where there was nothing.

    volt: beside the median cell at rest, V; charge: the same in percent of charge; ohm: beside the median cell.
    """

    def __init__(self, cells: int) -> None:
        self.cells = cells
        self.numbers = np.zeros(0, np.int32)
        self.values = {feature: np.zeros((0, cells), np.int16) for feature in FEATURES}
        self.gaps = np.zeros(0, np.float32)  # V, by day, NaN where not known
        self.levels = np.zeros((BINS, cells), np.float32)  # percent of charge
        self.weights = np.zeros((BINS, cells), np.uint8)
        self.told = np.zeros(cells, np.uint8)  # by cell: the highest level of advice given and not taken back
        self.capacities: list[float] = []  # Ah, one a charge; health keeps few
        self.reported = -1  # the month of the last report on health
        self.open: OpenDay | None = None

    def begin(self, number: int) -> None:
        """A day begins; nothing of the one before is lost if it was closed."""
        self.open = OpenDay(number, [], [], [], [])

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
        self.numbers = np.append(self.numbers, np.int32(day.number))[-DAYS_MAX:]
        self.gaps = np.append(self.gaps, np.float32(day.gap_v()))[-DAYS_MAX:]
        for feature, step in _STEPS.items():
            counts = np.clip(np.rint(found[feature] / step), -32_767, 32_767)
            whole = np.where(np.isnan(counts), _NONE, counts).astype(np.int16)
            self.values[feature] = np.concatenate([self.values[feature], whole[None]])[-DAYS_MAX:]
        return True

    def last(self, feature: str, count: int, *, since: int) -> tuple[npt.NDArray[np.int32], Values]:
        """Numbers and values float64[k, cells] of the newest days (at most count) that have the feature."""
        kept = (self.values[feature] != _NONE).any(axis=1) & (self.numbers >= since)
        rows = np.flatnonzero(kept)[-count:]
        values = self.values[feature][rows]
        return self.numbers[rows], np.where(values == _NONE, np.nan, values * _STEPS[feature])

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

    def dump(self) -> bytes:
        """Everything, to be kept across boots."""
        day = self.open or OpenDay(-1, [], [], [], [])
        saved = _Saved(
            version=_VERSION,
            cells=self.cells,
            day=day.number,
            stride=day.stride,
            seen=day.seen,
            numbers=self.numbers.tobytes(),
            values={feature: values.tobytes() for feature, values in self.values.items()},
            levels=self.levels.tobytes(),
            weights=self.weights.tobytes(),
            rows=np.array(day.rows, np.float32).tobytes(),
            slopes=np.array(day.slopes, np.float32).tobytes(),
            socs=np.array(day.socs, np.float32).tobytes(),
            ohms=[row.tobytes() for row in day.ohms],
            gaps=self.gaps.tobytes(),
            today=day.gap_sums,
            told=self.told.tobytes(),
            capacities=self.capacities,
            reported=self.reported,
        )
        return msgspec.msgpack.encode(saved)


def load_days(state: bytes) -> CellDays | None:
    """What `dump` gave; None where it is nothing, damaged or of other software: it can be learnt again."""
    try:
        saved = msgspec.msgpack.decode(state, type=_Saved)
        if saved.version != _VERSION or not 0 < saved.cells <= 256 or saved.stride < 1:
            return None
        days = CellDays(saved.cells)
        days.numbers = np.frombuffer(saved.numbers, np.int32)
        count = len(days.numbers)
        days.values = {f: np.frombuffer(saved.values[f], np.int16).reshape(count, saved.cells) for f in FEATURES}
        days.gaps = np.frombuffer(saved.gaps, np.float32)
        days.levels = np.frombuffer(saved.levels, np.float32).reshape(BINS, saved.cells).copy()
        days.weights = np.frombuffer(saved.weights, np.uint8).reshape(BINS, saved.cells).copy()
        days.told = np.frombuffer(saved.told, np.uint8).reshape(saved.cells).copy()
        days.capacities, days.reported = saved.capacities[:_CAPACITIES_MAX], saved.reported
        if saved.day >= 0:
            rows = np.frombuffer(saved.rows, np.float32).reshape(-1, saved.cells)
            slopes, socs = (np.frombuffer(raw, np.float32).astype(float).tolist() for raw in (saved.slopes, saved.socs))
            ohms = [np.frombuffer(raw, np.float32).reshape(saved.cells) for raw in saved.ohms]
            if not len(rows) == len(slopes) == len(socs) or len(days.gaps) != count or len(saved.today) != 5:
                return None
            days.open = OpenDay(saved.day, list(rows), slopes, socs, ohms, saved.stride, saved.seen, saved.today)
    except (msgspec.MsgspecError, KeyError, ValueError):
        return None
    return days


def add_terms(sums: list[float], x: float, y: float, *, kept: float = 1.0) -> list[float]:
    """Sums of 1, x, y, xx, xy with one more point; kept: what the older ones count from now on."""
    return [kept * total + term for total, term in zip(sums, (1.0, x, y, x * x, x * y), strict=True)]


def at_no_current(sums: list[float], *, varied: bool = False) -> float:
    """Least squares of y over x at x = 0; NaN of fewer than twenty points.

    varied: NaN also where x hardly moved: what is measured in tenths of a volt stays at one wrong value then.
    """
    count, x, y, xx, xy = sums
    if count < _GAP_ROWS_MIN:
        return float("nan")
    squares = xx - x * x / count
    if varied and squares < _VARIED_A2 * count:
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
