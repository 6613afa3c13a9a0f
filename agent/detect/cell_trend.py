"""Which cell has been unlike the others for days: named long before a limit is broken. Pure.

A cell's feature is judged against the spread of its own pack, and against what the difference means in charge: both
must be large, the cell must stand apart from the rest, and it must have done so on most of the recent days of use.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.battery_events import Action, AdviceLevel, BatteryAdvice, CellFault, Feature
from agent.core.events import Event
from agent.detect.cell_days import DAYS_MAX, CellDays, Values, add_terms, at_no_current, load_days, nanmedian
from agent.detect.cell_rows import Row
from agent.detect.ocv import STEEP_ENOUGH, Chemistry, volts_per_percent
from agent.detect.streams import NS

DAY_NS: Final = 86_400 * NS

_REST_A: Final = 3.0  # below, a cell twice as resistive as the others shows it by 3 mV at most
_BEFORE_A: Final = 10.0  # and the row before it, or what polarised is still there
_BEFORE_NS: Final = 60 * NS
_APART_NS: Final = 10 * NS  # between two rows that count
_CELLS_MIN: Final = 8  # of fewer nobody can say what is usual
_SEEN_SHARE: Final = 0.6  # of the cells must be in a row
_ROWS_MIN: Final = 6  # at rest, for a day to count
_DAYS: Final = 5  # of use that are judged together
_DAYS_MIN: Final = 3
_RECENT_DAYS: Final = 60  # of the calendar, to which they must belong

_SIGMAS: Final = 3.5  # beside the median cell, of the pack's own spread
_APART: Final = 1.0  # sigma between the named cells and the next one
_NAMED_MAX: Final = 3  # more are no outliers but a pack
_CHARGE_PERCENT: Final = 2.0  # less than the median cell: balancing starts well below that
_SOON_PERCENT: Final = 5.0
_SOON_V: Final = 0.05  # 50 mV: where balancing is called for (docs/sources.md 4)
_BACK_SIGMAS: Final = 2.0
_BACK_DAYS: Final = 10
_SPREAD_MIN: Final = 0.3  # percent of charge: a millivolt's rounding is no spread
_CHANGED: Final = 0.2  # correlation with the pattern known so far, below which these are other cells
_NORMAL_DAYS: Final = 2
_GAP_ERROR_V: Final = 0.006
_GAP_KEPT: Final = 0.97  # a row: some thirty count
_PATTERN_MIN: Final = 0.5  # percent of charge: of less spread the pattern is noise

_LEVELS: Final[tuple[AdviceLevel, ...]] = ("advice", "service_soon", "stop_now")
_ACTIONS: Final[dict[AdviceLevel, Action]] = {
    "advice": "mention_at_service",
    "service_soon": "book_service",
    "stop_now": "leave_the_car",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """How one feature of all cells stands: value float64[cells] and its sigmas float64[cells] beside the median."""

    value: Values
    sigmas: Values
    spread: float


class CellTrend:
    """Learns from rows of one pack, day by day, and names cells. Days are UTC's where epoch_ns tells the date.

    state: what `dump` gave at an earlier boot. epoch_ns is added to t_ns: UTC at t_ns 0. Where it is not known the
    state's last day goes on.
    """

    def __init__(self, chemistry: Chemistry, *, state: bytes = b"", epoch_ns: int | None = None) -> None:
        self._chemistry = chemistry
        self._days = load_days(state)
        self._epoch_ns = epoch_ns if epoch_ns is not None else self._last_day() * DAY_NS
        self._before: tuple[int, float] | None = None
        self._taken_ns = -(1 << 62)
        self._gap_sums = [0.0] * 5  # of the newest rows

    @property
    def cells(self) -> int:
        """Cells of the pack, 0 where none has been seen."""
        return 0 if self._days is None else self._days.cells

    def dump(self) -> bytes:
        """What should outlive the boot; empty where nothing is known."""
        return b"" if self._days is None else self._days.dump()

    def feed(self, row: Row) -> list[Event]:
        """Take a second."""
        volt = row.volt
        seen = np.flatnonzero(~np.isnan(volt))
        if len(seen) < _CELLS_MIN:
            return []
        events = self._count_cells(row.t_ns, int(seen[-1]) + 1)
        days = self._days
        if days is None:
            return events
        number = (self._epoch_ns + row.t_ns) // DAY_NS
        if days.open is None or days.open.number != number:
            events += self._new_day(days, row.t_ns, number)
        if days.open is not None and np.isfinite(row.pack_v + row.ampere) and len(seen) == days.cells:
            gap_v = row.pack_v - float(volt[seen].sum())
            days.open.add_gap(row.ampere, gap_v)
            self._gap_sums = add_terms(self._gap_sums, row.ampere, gap_v, kept=_GAP_KEPT)
        if days.open is not None and self._at_rest(row) and len(seen) >= _SEEN_SHARE * days.cells:
            middle = float(np.median(volt[seen]))
            slope = volts_per_percent(self._chemistry, middle)
            if slope >= STEEP_ENOUGH:
                self._taken_ns = row.t_ns
                days.open.add(volt[: days.cells] - middle, slope, row.soc)
        return events

    def learn_resistance(self, beside_ohm: Values) -> None:
        """Take each cell's resistance beside the median cell's, float64[cells] in Ohm."""
        if self._days is not None and self._days.open is not None and len(beside_ohm) == self._days.cells:
            self._days.open.add_resistance(beside_ohm)

    def is_sensor(self, cell: int, beside_v: float, *, at_once: bool = False) -> bool | None:
        """Whether the pack's own voltage knows nothing of what the cell, now beside_v, lost since it was normal.

        None where it will tell once there is more to see; False where nobody can, for a cell is the safer guess.
        at_once: by the newest rows, not by the last three days.
        """
        days = self._days
        if days is None or days.open is None:
            return False
        _, charge = days.last("charge", DAYS_MAX, since=0)
        numbers, volt = days.last("volt", DAYS_MAX, since=0)
        gaps = days.gaps[np.isin(days.numbers, numbers)].astype(np.float64)
        normal = (np.abs(charge[:, cell]) <= _CHARGE_PERCENT * 0.75) & np.isfinite(gaps)
        if normal.sum() < _NORMAL_DAYS:
            return False
        before_v, before_gap = float(np.median(volt[normal, cell])), float(np.median(gaps[normal]))
        error = max(1.4826 * float(np.median(np.abs(gaps[normal] - before_gap))), _GAP_ERROR_V)
        now_gap = at_no_current(self._gap_sums, varied=True) if at_once else float(np.nanmedian(gaps[-_DAYS_MIN:]))
        if not np.isfinite(now_gap):
            return None
        lost_v, gained_v = before_v - beside_v, now_gap - before_gap
        if lost_v < 3 * error:
            return None
        return 0.5 <= gained_v / lost_v <= 1.5

    @property
    def days(self) -> CellDays | None:
        """All that is kept, None where no pack has been seen."""
        return self._days

    def note(self, cell: int, level: AdviceLevel) -> bool:
        """Remember that the driver has been told of a weak cell; False where he knew as much already."""
        number = _LEVELS.index(level) + 1
        if self._days is None or cell >= self._days.cells or number <= self._days.told[cell]:
            return False
        self._days.told[cell] = number
        return True

    def since_days(self, cell: int) -> float:
        """How many days ago the days of use began on which the cell was beyond the limit, single days apart."""
        if self._days is None or self._days.open is None:
            return 0.0
        numbers, charge = self._days.last("charge", DAYS_MAX, since=0)
        bad = beyond(charge)[:, cell]
        now = since = self._days.open.number
        misses = 0
        for day, is_bad in zip(reversed(numbers.tolist()), reversed(bad.tolist()), strict=True):
            misses = 0 if is_bad else misses + 1
            if misses > 1:
                break
            since = day if is_bad else since
        return float(now - since)

    def _last_day(self) -> int:
        if self._days is None:
            return 0
        numbers = self._days.numbers.tolist() + ([self._days.open.number] if self._days.open else [])
        return max(numbers, default=0)

    def _count_cells(self, t_ns: int, count: int) -> list[Event]:
        """A cell with a higher number than any before belongs to a pack that is not known."""
        if self._days is not None and count <= self._days.cells:
            return []
        known = self._days is not None and len(self._days.numbers) > 0
        self._days = CellDays(count)
        return [_changed(t_ns)] if known else []

    def _at_rest(self, row: Row) -> bool:
        before, self._before = self._before, (row.t_ns, row.ampere) if np.isfinite(row.ampere) else None
        if before is None or not abs(row.ampere) <= _REST_A or row.t_ns - self._taken_ns < _APART_NS:
            return False
        return abs(before[1]) <= _BEFORE_A and row.t_ns - before[0] <= _BEFORE_NS

    def _new_day(self, days: CellDays, t_ns: int, number: int) -> list[Event]:
        events = []
        if days.close(_ROWS_MIN):
            if _is_other_pack(days):
                told, self._days = days.cells, CellDays(days.cells)
                self._days.begin(number)
                return [_changed(t_ns)] if told else []
            days.begin(number)
            events = self._judge(days, t_ns, number)
        else:
            days.begin(number)
        return events

    def _judge(self, days: CellDays, t_ns: int, number: int) -> list[Event]:
        """Name cells by what they lack in charge at rest."""
        _, charge = days.last("charge", _DAYS, since=number - _RECENT_DAYS)
        _, volt = days.last("volt", _DAYS, since=number - _RECENT_DAYS)
        if len(charge) < _DAYS_MIN:
            return []
        standing = stand(charge, spread_min=_SPREAD_MIN)
        recent_v = nanmedian(volt[-_DAYS_MIN:])
        recent = stand(charge[-_DAYS_MIN:], spread_min=_SPREAD_MIN)
        events: list[Event] = []
        for cell in apart(-standing.sigmas):
            if standing.value[cell] > -_CHARGE_PERCENT:
                continue
            soon = recent_v[cell] <= -_SOON_V and recent.value[cell] <= -_SOON_PERCENT
            level = 2 if soon and recent.sigmas[cell] <= -_SIGMAS else 1
            if level <= days.told[cell]:
                continue
            spread_v = float(spread_of(recent_v))
            events.append(
                advise(
                    t_ns,
                    level=_LEVELS[level - 1],
                    fault="weak_cell",
                    cell=cell,
                    feature="rest_voltage",
                    value=float(recent_v[cell]),
                    spread=spread_v,
                    unit="V",
                    since_days=self.since_days(cell),
                    confidence=_confidence(charge, cell),
                )
            )
        self._take_back(days, number)
        return events

    def _take_back(self, days: CellDays, number: int) -> None:
        """A cell that has been among the others for ten days of use may be named again one day."""
        _, charge = days.last("charge", _BACK_DAYS, since=number - 2 * _RECENT_DAYS)
        if len(charge) == _BACK_DAYS:
            back = stand(charge, spread_min=_SPREAD_MIN).sigmas > -_BACK_SIGMAS
            days.told[back & (days.told < 3)] = 0


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
        if ranked[count - 1] >= _SIGMAS and ranked[count - 1] - ranked[count] >= _APART:
            return [int(cell) for cell in order[:count]]
    return []


def beyond(charge: Values) -> npt.NDArray[np.bool_]:
    """Days and cells at which a cell alone would be named: bool[days, cells]."""
    spreads = np.array([max(spread_of(day), _SPREAD_MIN) for day in charge])
    return np.asarray((charge <= -_CHARGE_PERCENT) & (charge <= -_SIGMAS * spreads[:, None]))


def _confidence(charge: Values, cell: int) -> float:
    """Rule of succession: of n days on which it was judged, k were beyond the limit."""
    bad = beyond(charge)[:, cell]
    return round((int(bad.sum()) + 1) / (len(bad) + 2), 2)


def _is_other_pack(days: CellDays) -> bool:
    """Whether the last three days' pattern of cells has nothing to do with the one before."""
    _, charge = days.last("charge", 4 * _DAYS_MIN, since=-(1 << 30))
    if len(charge) < 3 * _DAYS_MIN:
        return False
    old, new = nanmedian(charge[:-_DAYS_MIN]), charge[-_DAYS_MIN:]
    return all(_correlation(old, day) < _CHANGED for day in new)


def _correlation(one: Values, other: Values) -> float:
    """Over the cells that both have; 1 where either is too even to tell."""
    both = ~np.isnan(one) & ~np.isnan(other)
    if both.sum() < _CELLS_MIN or min(spread_of(one[both]), spread_of(other[both])) < _PATTERN_MIN:
        return 1.0
    return float(np.corrcoef(one[both], other[both])[0, 1])


def _changed(t_ns: int) -> Event:
    return advise(
        t_ns,
        level="advice",
        fault="pack_changed",
        cell=None,
        feature="pattern",
        value=0.0,
        spread=0.0,
        unit="",
        since_days=0.0,
        confidence=0.5,
    )


def advise(
    t_ns: int,
    *,
    level: AdviceLevel,
    fault: CellFault,
    cell: int | None,
    feature: Feature,
    value: float,
    spread: float,
    unit: str,
    since_days: float,
    confidence: float,
) -> BatteryAdvice:
    """The event, rounded, with what to do."""
    return BatteryAdvice(
        t_ns=t_ns,
        level=level,
        fault=fault,
        cell=cell,
        feature=feature,
        value=round(value, 6),
        spread=round(spread, 6),
        unit=unit,
        since_days=since_days,
        confidence=confidence,
        action="none" if cell is None else _ACTIONS[level],
    )
