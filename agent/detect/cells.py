"""The pack's cells: rows, half minutes and days of them, and who is unlike the others."""

from typing import Final

import msgspec
import numpy as np

from agent.core.battery_events import BatteryAdvice
from agent.core.config import Detect
from agent.core.events import BatteryHealth, Event
from agent.core.ports import StateStore
from agent.core.signals import SignalWindow
from agent.detect.cell_blocks import Block, CellBlocks
from agent.detect.cell_days import CellDays
from agent.detect.cell_faults import CellFaults
from agent.detect.cell_figures import nanmedian, spread_of
from agent.detect.cell_rows import INPUTS, CellRows, Row
from agent.detect.cell_trend import CellTrend
from agent.detect.cell_verdicts import beside_v, measures, note, since_days
from agent.detect.health import Capacity, ChargeSegments
from agent.detect.streams import NS

_MONTH_DAYS: Final = 30
_SAVE_NS: Final = 3600 * NS  # a hundred kilobytes: cards wear out


class CellDetector:
    """Advice on cells and news of sensors that lie, from what the cells do beside each other.

    What it learns of the cells is saved every hour of driving, and found again by store at the next boot.
    epoch_ns: UTC at t_ns 0, None where nobody knows the date.
    """

    inputs: tuple[str, ...] = INPUTS

    def __init__(self, limits: Detect, *, store: StateStore | None = None, epoch_ns: int | None = None) -> None:
        battery = limits.battery
        self._rows = CellRows()
        self._blocks = CellBlocks()
        self._faults = CellFaults(battery.chemistry, capacity_ah=battery.capacity_ah)
        self._segments: ChargeSegments | None = None
        self._capacity_ah = battery.capacity_ah
        self._store = store
        self._saved_ns: int | None = None
        state = store.load() if store is not None else b""
        self._trend = CellTrend(battery.chemistry, capacity_ah=battery.capacity_ah, state=state, epoch_ns=epoch_ns)

    def configure(self, limits: Detect) -> None:
        """The chemistry is the car's and does not change; nothing else here is configured."""

    def update(self, window: SignalWindow) -> list[Event]:
        """Judge the seconds that this window completes."""
        return [event for row in self._rows.feed(window) for event in self._judge(row)]

    def finish(self, t_ns: int) -> list[Event]:  # noqa: ARG002  # the protocol's signature
        """Judge what is still open."""
        events = [event for row in self._rows.flush() for event in self._judge(row)]
        block = self._blocks.flush(self._trend.cells)
        events += self._judge_block(block) if block is not None else []
        self._save()
        return events

    @property
    def days(self) -> CellDays | None:
        """All that is kept of the cells, None where no pack has been seen."""
        return self._trend.days

    def _save(self) -> None:
        if self._store is not None and self._trend.cells:
            self._store.save(self._trend.dump())

    def _without_known(self, events: list[Event], *, at_once: bool = False) -> list[Event]:
        """Both ways may find one cell: it is told once a fault and level, and not where its sensor lies."""
        news: list[Event] = []
        days = self._trend.days
        for event in events:
            if not isinstance(event, BatteryAdvice) or event.cell is None or days is None:
                news.append(event)
                continue
            if self._faults.is_lying(event.cell):
                continue
            shown_v = _shown_v(event, days, at_once=at_once)
            lies = False if shown_v is None else self._trend.is_sensor(event.cell, shown_v, at_once=at_once)
            if lies and shown_v is not None:
                news += self._faults.lie_later(event.t_ns, event.cell, shown_v)
            if lies or (lies is None and event.level != "stop_now"):
                self._faults.ask_again(event.cell)
                continue  # nothing hurries: soon it will be clearer who lies
            if note(days, event.fault, event.cell, event.level):
                news.append(_with_evidence(event, days, event.cell))
        return news

    def _judge(self, row: Row) -> list[Event]:
        events = self._without_known(self._trend.feed(row))
        if not self._trend.cells:
            return events
        events += self._report(row)
        self._saved_ns = row.t_ns if self._saved_ns is None else self._saved_ns
        if row.t_ns - self._saved_ns >= _SAVE_NS:
            self._saved_ns = row.t_ns
            self._save()
        block = self._blocks.feed(row, self._trend.cells)
        return events + (self._judge_block(block) if block is not None else [])

    def _report(self, row: Row) -> list[Event]:
        """The month's report, at the first charge of the next one that ends with a new estimate."""
        days = self._trend.days
        if days is None or days.open is None:
            return []
        segments = self._segments
        if segments is None:
            segments = self._segments = ChargeSegments(list(days.capacities))
        segments.feed(row)
        if segments.ah == days.capacities:
            return []
        days.capacities = list(segments.ah)
        month, capacity = days.open.number // _MONTH_DAYS, segments.capacity()
        if capacity is None or month == days.reported:
            return []
        days.reported = month
        return [_health(row.t_ns, capacity, days, new_ah=self._capacity_ah)]

    def _judge_block(self, block: Block) -> list[Event]:
        events = self._without_known(self._faults.feed(block), at_once=True)
        ohm = self._faults.resistances(block)
        if ohm is not None:
            self._trend.learn_resistance(ohm, self._faults.own_ohm())
        return events


def _shown_v(event: BatteryAdvice, days: CellDays, *, at_once: bool) -> float | None:
    """What a cell shows at rest that a sensor's lie would show too, in V; None where that has been looked at."""
    if event.feature == "rest_voltage":
        return event.value
    if event.feature == "self_discharge" and not at_once and event.cell is not None:
        return beside_v(days, event.cell)
    return None


def _with_evidence(event: BatteryAdvice, days: CellDays, cell: int) -> BatteryAdvice:
    entropy, correlation = measures(days, cell)
    since = since_days(days, cell) if event.fault == "weak_cell" else event.since_days
    return msgspec.structs.replace(event, since_days=since, entropy_sigmas=entropy, correlation_sigmas=correlation)


def _health(t_ns: int, capacity: Capacity, days: CellDays, *, new_ah: float | None) -> Event:
    _, charge = days.last("charge", _MONTH_DAYS, since=days.numbers[-1] - _MONTH_DAYS if len(days.numbers) else 0)
    value = nanmedian(charge) if len(charge) else None
    weakest = None if value is None else int(np.nanargmin(value))
    percent = [
        None if new_ah is None else round(100 * ah / new_ah, 1)
        for ah in (capacity.ah, capacity.low_ah, capacity.high_ah)
    ]
    return BatteryHealth(
        t_ns=t_ns,
        segments=capacity.segments,
        capacity_ah=round(capacity.ah, 2),
        capacity_low_ah=round(capacity.low_ah, 2),
        capacity_high_ah=round(capacity.high_ah, 2),
        soh_percent=percent[0],
        soh_low_percent=percent[1],
        soh_high_percent=percent[2],
        spread_percent=None if value is None else round(spread_of(value), 2),
        weakest=weakest,
        weakest_lacks_percent=None if value is None or weakest is None else round(-float(value[weakest]), 2),
    )
