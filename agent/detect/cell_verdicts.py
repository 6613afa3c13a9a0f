"""What days of use say of each cell: who lacks charge, who leaks, whose resistance has grown, and who is back. Pure.

A cell's feature is judged against the spread of its own pack, and against what the difference means in charge: both
must be large, the cell must stand apart from the rest, and it must have done so on most of the recent days of use.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.battery_events import AdviceLevel, CellFault
from agent.core.events import Event
from agent.detect.cell_advice import LEVELS, advise
from agent.detect.cell_days import DAYS_MAX, CellDays
from agent.detect.cell_figures import SIGMAS, Values, apart, nanmedian, spread_of, stand
from agent.detect.cell_slow import SOON_RATE, find_grown, find_leak, is_soon

TOLD: Final[tuple[CellFault, ...]] = ("weak_cell", "micro_short", "contact_resistance")  # rows of CellDays.told

_DAYS: Final = 5  # of use that are judged together
_DAYS_MIN: Final = 3
_RECENT_DAYS: Final = 60  # of the calendar, to which they must belong
CHARGE_PERCENT: Final = 2.0  # less than the median cell: balancing starts well below that
_SOON_PERCENT: Final = 5.0
_SOON_V: Final = 0.05  # 50 mV: where balancing is called for (docs/sources.md 4)
_BACK_SIGMAS: Final = 2.0
_BACK_DAYS: Final = 10
_AGED_OHM: Final = 0.35  # of the median cell's resistance
_BACK_OHM: Final = 0.15  # of the median cell's resistance
_SPREAD_MIN: Final = 0.3  # percent of charge: a millivolt's rounding is no spread
_MEASURE_MIN: Final = 0.05  # of entropy in bit, and of Fisher's z: what a byte's rounding leaves open
_STOP: Final = 3


def judge(days: CellDays, t_ns: int, number: int, *, capacity_ah: float | None) -> list[Event]:
    """Advice as the day `number` begins, and the end of what no longer holds."""
    events = [*_weak(days, t_ns, number), *_leaking(days, t_ns, number, capacity_ah), *_worn(days, t_ns, number)]
    _take_back(days, number)
    return events


def note(days: CellDays, fault: CellFault, cell: int, level: AdviceLevel) -> bool:
    """Remember that the driver has been told; False where he knew as much already. Stop now is told each time."""
    number = LEVELS.index(level) + 1
    if fault not in TOLD or cell >= days.cells:
        return True
    rows = days.told[:, cell]
    own = TOLD.index(fault)
    known = int(rows.max()) if fault == "weak_cell" else int(rows[own])  # who leaks is weak too
    rows[own] = max(int(rows[own]), number)
    return number > known or number == _STOP


def since_days(days: CellDays, cell: int) -> float:
    """How many days ago the days of use began on which the cell was beyond the limit, single days apart."""
    if days.open is None:
        return 0.0
    numbers, charge = days.last("charge", DAYS_MAX, since=0)
    bad = beyond(charge)[:, cell]
    now = since = days.open.number
    misses = 0
    for day, is_bad in zip(reversed(numbers.tolist()), reversed(bad.tolist()), strict=True):
        misses = 0 if is_bad else misses + 1
        if misses > 1:
            break
        since = day if is_bad else since
    return float(now - since)


def beside_v(days: CellDays, cell: int) -> float:
    """What the cell had beside the median cell at rest on the last three days of use, in V; NaN of none."""
    _, volt = days.last("volt", _DAYS_MIN, since=0)
    return float(nanmedian(volt)[cell]) if len(volt) else float("nan")


def measures(days: CellDays, cell: int) -> tuple[float | None, float | None]:
    """Sigmas of the cell's entropy and correlation beside the median cell, today's among the last days' of use."""
    found: list[float | None] = []
    for feature in ("entropy", "correlation"):
        _, rows = days.last(feature, _DAYS - 1, since=-(1 << 30))
        if days.open is not None:
            motion = days.open.motion
            rows = np.vstack([rows, motion.entropy() if feature == "entropy" else motion.correlation()])
        rows = rows[~np.isnan(rows).all(axis=1)]
        beside = rows - np.array([np.median(row[~np.isnan(row)]) for row in rows])[:, None]
        sigmas = stand(beside, spread_min=_MEASURE_MIN).sigmas[cell] if len(rows) else np.nan
        found.append(round(float(sigmas), 1) if np.isfinite(sigmas) else None)
    return found[0], found[1]


def beyond(charge: Values) -> npt.NDArray[np.bool_]:
    """Days and cells at which a cell alone would be named: bool[days, cells]."""
    spreads = np.array([max(spread_of(day), _SPREAD_MIN) for day in charge])
    return np.asarray((charge <= -CHARGE_PERCENT) & (charge <= -SIGMAS * spreads[:, None]))


def _weak(days: CellDays, t_ns: int, number: int) -> list[Event]:
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
        if standing.value[cell] > -CHARGE_PERCENT:
            continue
        soon = recent_v[cell] <= -_SOON_V and recent.value[cell] <= -_SOON_PERCENT
        level = 2 if soon and recent.sigmas[cell] <= -SIGMAS else 1
        if level <= days.told[0, cell]:
            continue
        events.append(
            advise(
                t_ns,
                level=LEVELS[level - 1],
                fault="weak_cell",
                cell=cell,
                feature="rest_voltage",
                value=float(recent_v[cell]),
                spread=float(spread_of(recent_v)),
                unit="V",
                since_days=since_days(days, cell),
                confidence=_confidence(charge, cell),
            )
        )
    return events


def _leaking(days: CellDays, t_ns: int, number: int, capacity_ah: float | None) -> list[Event]:
    """Suspect a micro-short where a cell loses charge for days, beyond all others; with an interval."""
    leak = find_leak(days, number)
    if leak is None or _is_resistive(days, leak.cell, number):
        return []
    level = 2 if leak.low >= SOON_RATE else 1
    if level <= days.told[1, leak.cell]:
        return []
    unit = 1 / 24 if capacity_ah is None else capacity_ah / 100 / 24  # percent a day -> percent an hour, or A
    return [
        advise(
            t_ns,
            level=LEVELS[level - 1],
            fault="micro_short",
            cell=leak.cell,
            feature="self_discharge",
            value=leak.rate * unit,
            spread=leak.spread * unit,
            unit="percent/h" if capacity_ah is None else "A",
            since_days=leak.days,
            confidence=round(max(leak.low, 0.0) / leak.rate, 2),
            low=leak.low * unit,
            high=leak.high * unit,
        )
    ]


def _is_resistive(days: CellDays, cell: int, number: int) -> bool:
    """Whether the cell's resistance stands out as well: then it ages, for a short changes none."""
    numbers, ohm = days.last("ohm", _DAYS, since=number - _RECENT_DAYS)
    own = days.pack["own_ohm"][np.isin(days.numbers, numbers)]
    if not len(ohm) or not np.isfinite(own).any():
        return False
    return bool(nanmedian(ohm)[cell] >= _AGED_OHM * float(np.nanmedian(own)))


def _worn(days: CellDays, t_ns: int, number: int) -> list[Event]:
    """Name a resistance that has grown: a contact where the cell lacks no charge, or its neighbour grew with it."""
    grown = find_grown(days, number, since=number - _RECENT_DAYS)
    if grown is None:
        return []
    _, charge = days.last("charge", _DAYS, since=number - _RECENT_DAYS)
    lacks = len(charge) > 0 and nanmedian(charge)[grown.cell] <= -CHARGE_PERCENT
    fault: CellFault = "weak_cell" if lacks and not grown.joint else "contact_resistance"
    level = 2 if is_soon(grown) else 1
    if level <= days.told[TOLD.index(fault), grown.cell]:
        return []
    return [
        advise(
            t_ns,
            level=LEVELS[level - 1],
            fault=fault,
            cell=grown.cell,
            feature="resistance",
            value=grown.ohm,
            spread=grown.spread * grown.ohm / grown.beyond,
            unit="Ohm",
            since_days=grown.days,
            confidence=0.9 if grown.joint else 0.7,
        )
    ]


def _take_back(days: CellDays, number: int) -> None:
    """A cell that has been among the others for ten days of use may be named again one day."""
    _, charge = days.last("charge", _BACK_DAYS, since=number - 2 * _RECENT_DAYS)
    if len(charge) == _BACK_DAYS:
        back = stand(charge, spread_min=_SPREAD_MIN).sigmas > -_BACK_SIGMAS
        days.told[:2][(days.told[:2] < _STOP) & back] = 0
    numbers, ohm = days.last("ohm", _BACK_DAYS, since=number - 2 * _RECENT_DAYS)
    own = days.pack["own_ohm"][np.isin(days.numbers, numbers)]
    if len(ohm) == _BACK_DAYS and np.isfinite(own).any():
        days.told[2, nanmedian(ohm) <= _BACK_OHM * float(np.nanmedian(own))] = 0


def _confidence(charge: Values, cell: int) -> float:
    """Rule of succession: of n days on which it was judged, k were beyond the limit."""
    bad = beyond(charge)[:, cell]
    return round((int(bad.sum()) + 1) / (len(bad) + 2), 2)
