"""Learns of each cell day by day, tells another pack, and has each new day judged what the last ones say. Pure."""

import math
from typing import Final

import numpy as np

from agent.core.events import Event
from agent.detect.cell_advice import pack_changed
from agent.detect.cell_days import DAYS_MAX, CellDays
from agent.detect.cell_figures import Values, add_terms, at_no_current, nanmedian, spread_of
from agent.detect.cell_rows import Row
from agent.detect.cell_state import dump_days, load_days
from agent.detect.cell_today import OpenDay
from agent.detect.cell_verdicts import CHARGE_PERCENT, judge
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
_DAYS_MIN: Final = 3
_CHANGED: Final = 0.2  # correlation with the pattern known so far, below which these are other cells
_NORMAL_DAYS: Final = 2
_GAP_ERROR_V: Final = 0.006
_GAP_ROWS_ERROR_V: Final = 0.012  # of thirty rows in tenths of a volt, of cells that are not read all at once
_GAP_ERRORS: Final = 3.0
_GAP_KEPT: Final = 0.97  # a row: some thirty count
_MORE_ROWS: Final = 20  # one after another, with cells that a known pack does not have
_FEWER: Final = 4  # a module; of less, it is a wire that came off
_PATTERN_MIN: Final = 0.5  # percent of charge: of less spread the pattern is noise


class CellTrend:
    """Learns from rows of one pack, day by day, and names cells. Days are UTC's where epoch_ns tells the date.

    capacity_ah: of a cell string, by which a leak is told in A. state: what `dump` gave at an earlier boot. epoch_ns is
    added to t_ns: UTC at t_ns 0. Where it is not known the state's last day goes on.
    """

    def __init__(
        self,
        chemistry: Chemistry,
        *,
        capacity_ah: float | None = None,
        state: bytes = b"",
        epoch_ns: int | None = None,
    ) -> None:
        self._chemistry = chemistry
        self._capacity_ah = capacity_ah
        self._days = load_days(state)
        self._epoch_ns = epoch_ns if epoch_ns is not None else self._last_day() * DAY_NS
        self._before: tuple[int, float] | None = None
        self._taken_ns = -(1 << 62)
        self._gap_sums = [0.0] * 5  # of the newest rows
        self._more_rows = 0

    @property
    def cells(self) -> int:
        """Cells of the pack, 0 where none has been seen."""
        return 0 if self._days is None else self._days.cells

    def dump(self) -> bytes:
        """What should outlive the boot; empty where nothing is known."""
        return b"" if self._days is None else dump_days(self._days)

    def feed(self, row: Row) -> list[Event]:
        """Take a second."""
        seen = np.flatnonzero(~np.isnan(row.volt))
        if len(seen) < _CELLS_MIN:
            return []
        events = self._count_cells(row.t_ns, int(seen[-1]) + 1)
        days = self._days
        if days is None:
            return events
        number = (self._epoch_ns + row.t_ns) // DAY_NS
        if days.open is None or days.open.number != number:
            events += self._new_day(days, row.t_ns, number)
        if self._days is not None and self._days.open is not None:
            self._take(self._days, self._days.open, row)
        return events

    def _take(self, days: CellDays, day: OpenDay, row: Row) -> None:
        volt = row.volt[: days.cells]
        known = volt[~np.isnan(volt)]
        day.top = max(day.top, int(np.flatnonzero(~np.isnan(volt))[-1]) + 1) if len(known) else day.top
        if np.isfinite(row.pack_v + row.ampere) and len(known) == days.cells:
            gap_v = row.pack_v - float(known.sum())
            day.add_gap(row.ampere, gap_v)
            self._gap_sums = add_terms(self._gap_sums, row.ampere, gap_v, kept=_GAP_KEPT)
        at_rest = self._at_rest(row)
        if len(known) < _SEEN_SHARE * days.cells:
            return
        middle = float(np.median(known))
        day.motion.feed(row.t_ns, volt, middle)
        slope = volts_per_percent(self._chemistry, middle)
        if at_rest and slope >= STEEP_ENOUGH:
            self._taken_ns = row.t_ns
            day.add(volt - middle, slope, row.soc)

    def learn_resistance(self, beside_ohm: Values, own_ohm: float) -> None:
        """Take each cell's resistance beside the median cell's, float64[cells], and that of the median cell, in Ohm."""
        if self._days is not None and self._days.open is not None and len(beside_ohm) == self._days.cells:
            self._days.open.add_resistance(beside_ohm, own_ohm)

    def is_sensor(self, cell: int, beside_v: float, *, at_once: bool = False) -> bool | None:
        """Whether the pack's own voltage knows nothing of what the cell, now beside_v, lost since it was normal.

        None where it will tell once there is more to see; False where nobody can, for a cell is the safer guess.
        at_once: by the newest rows, not by the last three days, which decide where these do not.
        """
        days = self._days
        if days is None or days.open is None:
            return False
        _, charge = days.last("charge", DAYS_MAX, since=0)
        numbers, volt = days.last("volt", DAYS_MAX, since=0)
        gaps = days.pack["gap_v"][np.isin(days.numbers, numbers)].astype(np.float64)
        normal = (np.abs(charge[:, cell]) <= CHARGE_PERCENT * 0.75) & np.isfinite(gaps)
        if normal.sum() < _NORMAL_DAYS:
            return False
        before_v, before_gap = float(np.median(volt[normal, cell])), float(np.median(gaps[normal]))
        error = max(1.4826 * float(np.median(np.abs(gaps[normal] - before_gap))), _GAP_ERROR_V)
        now_gap = at_no_current(self._gap_sums, varied=True) if at_once else float(np.nanmedian(gaps[-_DAYS_MIN:]))
        if not np.isfinite(now_gap):
            return None if at_once else False
        lost_v, gained_v = before_v - beside_v, now_gap - before_gap
        error = math.hypot(error, _GAP_ROWS_ERROR_V) if at_once else error
        if lost_v < _GAP_ERRORS * error:
            return None
        if at_once and 0.5 * lost_v - error < gained_v < 0.5 * lost_v:
            return None
        return 0.5 * lost_v <= gained_v <= 1.5 * lost_v + 2 * error

    @property
    def days(self) -> CellDays | None:
        """All that is kept, None where no pack has been seen."""
        return self._days

    def _last_day(self) -> int:
        if self._days is None:
            return 0
        numbers = self._days.numbers.tolist() + ([self._days.open.number] if self._days.open else [])
        return max(numbers, default=0)

    def _count_cells(self, t_ns: int, count: int) -> list[Event]:
        """Cells with higher numbers than any before belong to a pack that is not known, unless they are a glitch."""
        self._more_rows = self._more_rows + 1 if self._days is not None and count > self._days.cells else 0
        known = self._days is not None and len(self._days.numbers) > 0
        if self._days is not None and self._more_rows < (_MORE_ROWS if known else 1):
            return []
        self._days, self._more_rows = CellDays(count), 0
        return [pack_changed(t_ns)] if known else []

    def _at_rest(self, row: Row) -> bool:
        before, self._before = self._before, (row.t_ns, row.ampere) if np.isfinite(row.ampere) else None
        if before is None or not abs(row.ampere) <= _REST_A or row.t_ns - self._taken_ns < _APART_NS:
            return False
        return abs(before[1]) <= _BEFORE_A and row.t_ns - before[0] <= _BEFORE_NS

    def _new_day(self, days: CellDays, t_ns: int, number: int) -> list[Event]:
        events = []
        if days.close(_ROWS_MIN):
            cells = _other_pack(days)
            if cells:
                self._days = CellDays(cells)
                self._days.begin(number)
                return [pack_changed(t_ns)]
            days.begin(number)
            events = judge(days, t_ns, number, capacity_ah=self._capacity_ah)
        else:
            days.begin(number)
        return events


def _other_pack(days: CellDays) -> int:
    """How many cells the pack has that the last three days speak of; 0 where it is the one that is known."""
    tops = days.pack["top"][-_DAYS_MIN:]
    if len(tops) == _DAYS_MIN and tops.min() == tops.max() <= days.cells - _FEWER:
        return int(tops[0])
    _, charge = days.last("charge", 4 * _DAYS_MIN, since=-(1 << 30))
    if len(charge) < 3 * _DAYS_MIN:
        return 0
    old, new = nanmedian(charge[:-_DAYS_MIN]), charge[-_DAYS_MIN:]
    return days.cells if all(_correlation(old, day) < _CHANGED for day in new) else 0


def _correlation(one: Values, other: Values) -> float:
    """Over the cells that both have; 1 where either is too even to tell."""
    both = ~np.isnan(one) & ~np.isnan(other)
    if both.sum() < _CELLS_MIN or min(spread_of(one[both]), spread_of(other[both])) < _PATTERN_MIN:
        return 1.0
    return float(np.corrcoef(one[both], other[both])[0, 1])
