"""The battery's month as one event, from what the other detectors found and what is kept of the cells. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.core import vss
from agent.core.battery_events import AdviceLevel
from agent.core.battery_report_events import REPORT_ADVICE, BatteryReport
from agent.core.config import Detect
from agent.core.events import Event
from agent.core.ports import StateStore
from agent.core.signals import SignalWindow
from agent.detect.battery_diary import DAY_NS, Charge, Diary, Estimate, load_diary
from agent.detect.cell_days import DAYS_MAX, CellDays
from agent.detect.cell_figures import Values, nanmedian, spread_of, stand
from agent.detect.cell_slow import Grown, Leak, find_grown, find_leak
from agent.detect.streams import NS

_GRACE_NS: Final = 1800 * NS  # what a day had is told by then: a charge ends a quarter of an hour after its last data
_SAVE_NS: Final = 600 * NS
_CELLS_DAYS: Final = 30
_GROWN_DAYS: Final = 60
_TREND_DAYS_MIN: Final = 5
_TREND_DAYS: Final = 30  # slopes are told by the month
_SPREAD_MIN: Final = 0.3  # percent of charge, as the trend has it
_BACK_SIGMAS: Final = 2.0
_ADVICE_DAYS: Final = 90  # what was told of a cell's contact or leak; nothing tells when it was mended
_SENSORS_MAX: Final = 8
_CELLS_MAX: Final = 8
_CHARGER_TROUBLE: Final = 2  # in a month: one may be an accident
_CAPACITY_PERCENT: Final = 80.0
_ALARM_LEVEL: Final = 2
_LEVELS: Final[tuple[AdviceLevel, ...]] = ("advice", "service_soon", "stop_now")
_INPUTS: Final = (vss.STATE_OF_CHARGE, vss.PACK_CURRENT, vss.PACK_VOLTAGE)


@dataclass(frozen=True, slots=True)
class Cells:
    """Who lacks most charge over some days, who leaks, whose resistance has grown.

    trend: percent a month. sigmas float64[cells]: beside the median.
    """

    spread_v: float
    weakest: int
    weakest_v: float
    trend: float | None
    sigmas: Values
    leak: Leak | None = None
    grown: Grown | None = None


class BatteryReports:
    """Hears the other detectors' events and tells the month's report once `report_days` are over and the car is used.

    days: what is kept of the cells, None where there is nothing. epoch_ns: UTC at t_ns 0; where nobody knows the date
    the diary's last day goes on.
    """

    inputs: tuple[str, ...] = _INPUTS

    def __init__(
        self,
        limits: Detect,
        *,
        days: Callable[[], CellDays | None] = lambda: None,
        store: StateStore | None = None,
        epoch_ns: int | None = None,
    ) -> None:
        self._cells = days
        self._store = store
        self._diary = load_diary(store.load() if store is not None else b"")
        self._epoch_ns = epoch_ns if epoch_ns is not None else self._diary.last_day * DAY_NS
        self._due_ns: int | None = None
        self._saved_ns: int | None = None
        self._news = False
        self.configure(limits)

    def configure(self, limits: Detect) -> None:
        """Take a new period; the month that is going on ends by it."""
        self._report_days = limits.battery.report_days

    def hear(self, events: Sequence[Event]) -> None:
        """Take what other detectors found, at any time before the window's own update."""
        for event in events:
            self._news |= self._diary.note(event, self._day(event.t_ns))

    def update(self, window: SignalWindow) -> list[Event]:
        """Look whether the month is over."""
        pieces = [window.new(path).t_ns for path in _INPUTS]
        stamps = np.unique(np.concatenate(pieces))
        if not len(stamps):
            return []
        diary = self._diary
        if diary.start_day is None:
            diary.start_day, self._news = self._day(int(stamps[0])), True
        events: list[Event] = []
        while True:
            if self._due_ns is None:
                over_ns = (diary.start_day + self._report_days) * DAY_NS - self._epoch_ns
                stamps = stamps[stamps >= over_ns]
                if not len(stamps):
                    break
                self._due_ns = int(stamps[0])
            stamps = stamps[stamps >= self._due_ns + _GRACE_NS]
            if not len(stamps):
                break
            until = self._day(self._due_ns)
            events.append(self._report(int(stamps[0]), diary.start_day, until))
            diary.start_day, self._due_ns, self._news = until, None, True
        self._save(window.t_ns, now=bool(events))
        return events

    def finish(self, t_ns: int) -> list[Event]:
        """Keep what was heard; a month does not end with the data."""
        self._save(t_ns, now=True)
        return []

    def _day(self, t_ns: int) -> int:
        return (self._epoch_ns + t_ns) // DAY_NS

    def _save(self, t_ns: int, *, now: bool) -> None:
        self._saved_ns = t_ns if self._saved_ns is None else self._saved_ns
        day = self._day(t_ns)
        self._news |= day > self._diary.last_day
        if self._store is None or not self._news or not (now or t_ns - self._saved_ns >= _SAVE_NS):
            return
        self._diary.last_day = max(day, self._diary.last_day)
        self._saved_ns, self._news = t_ns, False
        self._store.save(self._diary.dump())

    def _report(self, t_ns: int, since: int, until: int) -> Event:
        days = self._cells()
        cells = None if days is None else look_at_cells(days, since=until - _CELLS_DAYS, until=until)
        return make_report(t_ns, self._diary, cells, since=since, until=until)


def make_report(t_ns: int, diary: Diary, cells: Cells | None, *, since: int, until: int) -> BatteryReport:
    """Report the days from since to before until."""
    charges = [charge for charge in diary.charges if since <= charge.day < until]
    newest = next((estimate for estimate in reversed(diary.estimates) if estimate.day < until), None)
    advised = _open_advice(diary, cells, until)
    level = max(advised.values(), key=_LEVELS.index, default=None)
    sensors = sorted({signal for day, signal in diary.sensors if since <= day < until})
    alarms = [sum(counts[k] for day, counts in diary.alarms if since <= day < until) for k in range(4)]
    modes = {mode: [charge for charge in charges if charge.mode == mode] for mode in ("ac", "dc", "unknown")}
    leak, grown = (None, None) if cells is None else (cells.leak, cells.grown)
    return BatteryReport(
        t_ns=t_ns,
        days=until - since,
        capacity_ah=None if newest is None else newest.ah,
        capacity_low_ah=None if newest is None else newest.low_ah,
        capacity_high_ah=None if newest is None else newest.high_ah,
        soh_percent=None if newest is None else newest.soh,
        soh_low_percent=None if newest is None else newest.low,
        soh_high_percent=None if newest is None else newest.high,
        sessions_ac=len(modes["ac"]),
        sessions_dc=len(modes["dc"]),
        sessions_unknown=len(modes["unknown"]),
        energy_ac_kwh=_energy(modes["ac"]),
        energy_dc_kwh=_energy(modes["dc"]),
        energy_unknown_kwh=_energy(modes["unknown"]),
        interrupted=sum(charge.interrupted > 0 for charge in charges),
        charging_faults=sum(bool(charge.faults) for charge in charges),
        spread_v=None if cells is None else round(cells.spread_v, 4),
        weakest=None if cells is None else cells.weakest,
        weakest_v=None if cells is None else round(cells.weakest_v, 4),
        weakest_trend=None if cells is None or cells.trend is None else round(cells.trend, 2),
        leaking=None if leak is None else leak.cell,
        leak_percent=None if leak is None else round(leak.rate, 3),
        leak_low_percent=None if leak is None else round(leak.low, 3),
        leak_high_percent=None if leak is None else round(leak.high, 3),
        resistive=None if grown is None else grown.cell,
        resistive_percent=None if grown is None else round(100 * grown.beyond, 1),
        cells=sorted(advised)[:_CELLS_MAX],
        level=level,
        sensors=sensors[:_SENSORS_MAX],
        alarms=alarms,
        advice=_advice(level, charges, newest, alarms, lying=bool(sensors)),
    )


def _advice(
    level: AdviceLevel | None,
    charges: Sequence[Charge],
    newest: Estimate | None,
    alarms: Sequence[int],
    *,
    lying: bool,
) -> list[str]:
    """Keys of REPORT_ADVICE that apply, the gravest first."""
    trouble = sum(charge.interrupted > 0 or bool(charge.faults) for charge in charges)
    applies = {
        "leave_the_car": level == "stop_now",
        "weak_cell_garage": level == "service_soon",
        "weak_cell_service": level == "advice",
        "sensor_check": lying,
        "alarm_check": any(alarms[_ALARM_LEVEL - 1 :]),
        "charger_check": trouble >= _CHARGER_TROUBLE,
        "capacity_low": newest is not None and newest.high is not None and newest.high < _CAPACITY_PERCENT,
    }
    applies["nothing"] = not any(applies.values())
    return [key for key in REPORT_ADVICE if applies[key]]


def look_at_cells(days: CellDays, *, since: int, until: int) -> Cells | None:
    """The cells at rest over the days from since to before until; None where there are none of use."""
    numbers, charge = days.last("charge", DAYS_MAX, since=since)
    _, volt = days.last("volt", DAYS_MAX, since=since)
    before = numbers < until
    numbers, charge, volt = numbers[before], charge[before], volt[before]
    if not len(charge) or np.isnan(nanmedian(charge)).all():
        return None
    standing = stand(charge, spread_min=_SPREAD_MIN)
    middle_v = nanmedian(volt)
    weakest = int(np.nanargmin(standing.value))
    trend = _slope(numbers.astype(np.float64), charge[:, weakest])
    return Cells(
        spread_v=spread_of(middle_v),
        weakest=weakest,
        weakest_v=float(middle_v[weakest]),
        trend=None if trend is None else trend * _TREND_DAYS,
        sigmas=standing.sigmas,
        leak=find_leak(days, until),
        grown=find_grown(days, until, since=until - _GROWN_DAYS),
    )


def _open_advice(diary: Diary, cells: Cells | None, until: int) -> dict[int, AdviceLevel]:
    """By cell the highest level told of it; without weak cells that are among the others again, and other packs'."""
    found: dict[int, AdviceLevel] = {}
    for told in diary.advice:
        if told.day >= until:
            break
        if told.cell is None:
            found = {}
            continue
        if told.fault == "weak_cell":
            back = cells is not None and told.cell < len(cells.sigmas) and cells.sigmas[told.cell] > -_BACK_SIGMAS
        else:
            back = told.day < until - _ADVICE_DAYS
        if not back:
            found[told.cell] = max(told.level, found.get(told.cell, told.level), key=_LEVELS.index)
    return found


def _energy(charges: Sequence[Charge]) -> float:
    return round(sum((charge.energy_kwh for charge in charges), 0.0), 2)


def _slope(day: Values, value: Values) -> float | None:
    """Median of all slopes between two days (Theil-Sen): a day that was wrong moves it little."""
    day, value = day[~np.isnan(value)], value[~np.isnan(value)]
    if len(day) < _TREND_DAYS_MIN:
        return None
    first, second = np.triu_indices(len(day), 1)
    apart = day[second] - day[first]
    return float(np.median((value[second] - value[first])[apart > 0] / apart[apart > 0]))
