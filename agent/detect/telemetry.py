"""Telemetry: chosen signals at an even rate, told in batches."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from agent.core.config import Detect
from agent.core.config import Telemetry as Wanted
from agent.core.events import Event, Telemetry
from agent.core.signals import Series, SignalWindow
from agent.core.telemetry import pack_columns
from agent.detect.streams import NS

_FINE: Final = 16  # parts of a step: sums of them are exact, in whatever order samples are added
_FINE_MAX: Final = float(2**50)
_HELD_NS: Final = 10 * NS  # a slow signal's value stands this long


@dataclass(slots=True)
class _Column:
    """One signal. total and count belong to the period under way; newest is the last sample; all in fine steps."""

    step: float
    total: int = 0
    count: int = 0
    newest: int = 0
    newest_ns: int | None = None
    steps: list[int | None] = field(default_factory=list)

    def close(self, end_ns: int) -> None:
        """The mean of the period, or the value that still stands."""
        if self.count:
            self.steps.append(_whole(self.total, self.count * _FINE))
        elif self.newest_ns is not None and end_ns - self.newest_ns <= _HELD_NS:
            self.steps.append(_whole(self.newest, _FINE))
        else:
            self.steps.append(None)
        self.total = self.count = 0


@dataclass(frozen=True, slots=True)
class _Part:
    """A signal's samples within one period, which counts from 0 on the monotonic clock."""

    period: int
    path: str
    total: int
    count: int
    newest: int
    newest_ns: int


class TelemetrySampler:
    """A sample a period for each signal: the mean of its values in it, or the last value for 10 s.

    A batch begins with the first value and is told after batch_s, or when no signal has a value any more. Until then it
    is in memory, and lost with the power.
    """

    def __init__(self, wanted: Wanted) -> None:
        self.inputs: tuple[str, ...] = tuple(signal.path for signal in wanted.signals) if wanted.enabled else ()
        self._period_s = wanted.period_s
        self._period_ns = round(wanted.period_s * NS)
        self._count_max = max(1, round(wanted.batch_s / wanted.period_s))
        self._columns = {signal.path: _Column(signal.step) for signal in wanted.signals}
        self._first: int | None = None  # the batch's first period
        self._now = 0  # the period under way

    def configure(self, limits: Detect) -> None:
        """Nothing: what is sampled is no limit."""

    def update(self, window: SignalWindow) -> list[Event]:
        """Sort the new samples into their periods, and close those that are over."""
        parts = [part for path in self.inputs for part in self._parts(path, window.new(path))]
        events: list[Event] = []
        for part in sorted(parts, key=lambda part: part.period):
            events += self._close_before(part.period)
            if self._first is None:
                self._first = self._now = part.period
            column = self._columns[part.path]
            column.total += part.total
            column.count += part.count
            column.newest, column.newest_ns = part.newest, part.newest_ns
        return events + self._close_before(window.t_ns // self._period_ns)

    def finish(self, t_ns: int) -> list[Event]:
        """Tell the batch under way, its last period as far as it came."""
        events = self._close_before(t_ns // self._period_ns)
        if self._first is not None and any(column.count for column in self._columns.values()):
            self._close()
        return events + self._tell()

    def _parts(self, path: str, series: Series) -> Iterator[_Part]:
        if not len(series):
            return
        step = self._columns[path].step
        fine = np.rint(np.clip(series.value / step * _FINE, -_FINE_MAX, _FINE_MAX)).astype(np.int64)
        # A period holds what came after its begin, up to and with its end.
        periods = -(-series.t_ns // self._period_ns) - 1
        starts = np.flatnonzero(np.diff(periods, prepend=periods[0] - 1))
        stops = [*starts[1:].tolist(), len(periods)]
        totals = np.add.reduceat(fine, starts).tolist()
        for start, stop, total in zip(starts.tolist(), stops, totals, strict=True):
            newest_ns = int(series.t_ns[stop - 1])
            yield _Part(int(periods[start]), path, total, stop - start, int(fine[stop - 1]), newest_ns)

    def _close_before(self, period: int) -> list[Event]:
        """Close all periods before this one; in a silence only as long as a value stands."""
        events: list[Event] = []
        while self._first is not None and self._now < period:
            self._close()
            if all(column.steps[-1] is None for column in self._columns.values()):
                for column in self._columns.values():
                    column.steps.pop()
                events += self._tell()
            elif self._now - self._first == self._count_max:
                events += self._tell()
                self._first = self._now
        return events

    def _close(self) -> None:
        self._now += 1
        for column in self._columns.values():
            column.close(self._now * self._period_ns)

    def _tell(self) -> list[Event]:
        first, self._first = self._first, None
        columns = [column.steps for column in self._columns.values()]
        if first is None or not columns or not columns[0]:
            return []
        event = Telemetry(
            t_ns=(first + 1) * self._period_ns,
            period_s=self._period_s,
            count=len(columns[0]),
            signals=list(self._columns),
            steps=[column.step for column in self._columns.values()],
            columns=pack_columns(columns),
        )
        for column in self._columns.values():
            column.steps.clear()
        return [event]


def _whole(total: int, count: int) -> int:
    """Quotient to the nearest whole number, halves up: exact, unlike floats."""
    return (2 * total + count) // (2 * count)
