"""Sample streams made fit for detectors: exact whatever the windows were, and constant in memory.

Nothing here sums over a whole window: a value depends only on the samples of its own bucket, so that any split of
a recording into windows gives the same bits. Every derived value carries `ready_ns`, the time of the sample that
completed it; working through values in the order of ready_ns is the same for every split by time.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.signals import Series, SignalWindow

NS: Final = 1_000_000_000

Times = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Buckets:
    """k finished buckets: number int64[k] (time // span), mean float64[k, c], ready_ns int64[k]."""

    number: Times
    mean: Values
    ready_ns: Times


class BucketMeans:
    """Means over spans of absolute time. A bucket is finished by the first sample after it."""

    def __init__(self, span_ns: int) -> None:
        self._span_ns = span_ns
        self._open: list[tuple[Times, Values]] = []
        self._number: int | None = None

    def feed(self, t_ns: Times, values: Values) -> Buckets | None:
        """Take samples (t_ns int64[n], values float64[n, c]); None where they finish no bucket."""
        if not len(t_ns):
            return None
        self._open.append((t_ns, values))
        last = int(t_ns[-1]) // self._span_ns
        if last == self._number:
            return None
        t_all, v_all = self._open[0]
        if len(self._open) > 1:
            t_all = np.concatenate([t for t, _ in self._open])
            v_all = np.concatenate([v for _, v in self._open])
        number = t_all // self._span_ns
        starts = _first_of_each(number)
        self._number = last
        self._open = [(t_all[starts[-1] :], v_all[starts[-1] :])]
        if len(starts) == 1:
            return None
        sums = np.add.reduceat(v_all, starts, axis=0)[:-1]
        return Buckets(number[starts[:-1]], sums / (starts[1:] - starts[:-1])[:, None], t_all[starts[1:]])


def _first_of_each(number: Times) -> npt.NDArray[np.intp]:
    """Places at which another number begins, 0 included."""
    begins = np.empty(len(number), np.bool_)
    begins[0] = True
    np.not_equal(number[1:], number[:-1], out=begins[1:])
    return begins.nonzero()[0]


class RestLevel:
    """What an accelerometer shows when nothing happens: gravity's share, mounting tilt and bias, per axis.

    The median over recent seconds of each second's median of 50 ms means: seconds of hard braking or a crash pulse
    do not move it. None until one whole second was seen, and again after a gap of more than 10 s. A hasty one is there
    sooner, from the first 150 ms in which no axis moves by more than 3 m/s^2 from one mean to another.
    """

    _GAP_S: Final = 10
    _HASTY_BUCKETS: Final = 3
    _HASTY_SPREAD: Final = 3.0

    def __init__(self, axes: int, *, seconds: int, buckets_per_second: int = 20, hasty: bool = False) -> None:
        self._axes = axes
        self._hasty = hasty
        self._per_second = buckets_per_second
        self._second: int | None = None
        self._means: list[list[float]] = []
        self._medians: deque[list[float]] = deque(maxlen=seconds)
        self.level: list[float] | None = None
        self.newest: list[float] | None = None  # of the last whole second alone
        self.spread: float = np.inf  # widest range of any axis's 50 ms means within the last whole second

    def feed(self, number: int, mean: list[float]) -> bool:
        """Take one bucket; whether the level changed."""
        second = number // self._per_second
        changed = False
        if second != self._second:
            changed = self._second is not None and self._finish_second(second - self._second > self._GAP_S)
            self._second = second
        self._means.append(mean)
        if self.level is None and self._hasty and len(self._means) >= self._HASTY_BUCKETS:
            columns = list(zip(*self._means[-self._HASTY_BUCKETS :], strict=True))
            if max(max(column) - min(column) for column in columns) <= self._HASTY_SPREAD:
                self.level = [median(column) for column in columns]
                changed = True
        return changed

    def _finish_second(self, after_gap: bool) -> bool:  # noqa: FBT001  # private, one caller
        columns = list(zip(*self._means, strict=True))
        whole = len(self._means) * 2 >= self._per_second or len(self._means) >= 5
        self._means = []
        if after_gap:
            self._medians.clear()
            self.level, self.newest, self.spread = None, None, np.inf
            return True
        if not whole:
            return False
        self.newest = [median(column) for column in columns]
        self._medians.append(self.newest)
        self.level = [median(m[axis] for m in self._medians) for axis in range(self._axes)]
        self.spread = max(max(column) - min(column) for column in columns)
        return True


def in_order(window: SignalWindow, paths: Sequence[str]) -> list[tuple[int, int, float]]:
    """New samples of several signals as (t_ns, place in paths, value), by time; of one instant in the paths' order."""
    rows = []
    for place, path in enumerate(paths):
        series = window.new(path)
        rows += [(t, place, v) for t, v in zip(series.t_ns.tolist(), series.value.tolist(), strict=True)]
    return sorted(rows)


class AxisMerge:
    """Several signals of one sensor on one time line.

    An axis holds its last value where it has no sample, and is 0 before its first. Where it says nothing for longer
    than hold_ns while others do, it is dead, and NaN from then on until it speaks again.
    """

    def __init__(self, axes: int, *, hold_ns: int | None = None) -> None:
        self._held = np.zeros(axes)
        self._heard_ns: list[int | None] = [None] * axes
        self._hold_ns = hold_ns
        self.dead = False  # whether the last merge gave a NaN

    def merge(self, series: list[Series]) -> tuple[Times, Values]:
        """Return t_ns int64[n] and values float64[n, axes]; n is 0 where nothing is new."""
        first = series[0]
        together = len(first) and all(_same(s.t_ns, first.t_ns) for s in series[1:])
        if together and (first.t_ns[1:] > first.t_ns[:-1]).all():
            values = np.empty((len(first), len(series)))
            for axis, s in enumerate(series):
                values[:, axis] = s.value
            self._held = values[-1].copy()
            self._heard_ns = [int(first.t_ns[-1])] * len(series)
            self.dead = False
            return first.t_ns, values
        fed = [s.t_ns for s in series if len(s)]
        if not fed:
            return first.t_ns, np.empty((0, len(series)))
        t_ns = np.unique(np.concatenate(fed))
        values = np.column_stack([self._column(axis, s, t_ns) for axis, s in enumerate(series)])
        self.dead = self._hold_ns is not None and bool(np.isnan(values).any())
        self._held = np.array([s.value[-1] if len(s) else self._held[axis] for axis, s in enumerate(series)])
        self._heard_ns = [int(s.t_ns[-1]) if len(s) else self._heard_ns[axis] for axis, s in enumerate(series)]
        return t_ns, values

    def _column(self, axis: int, series: Series, t_ns: Times) -> Values:
        """One axis at the times of all."""
        at = np.searchsorted(series.t_ns, t_ns, side="right")
        column = np.concatenate(([self._held[axis]], series.value))[at]
        heard_ns = self._heard_ns[axis]
        if self._hold_ns is not None:
            # Never heard: an axis that is not there, and 0 for good.
            since = np.concatenate(([t_ns[-1] if heard_ns is None else heard_ns], series.t_ns))[at]
            column[t_ns - since > self._hold_ns] = np.nan
        return np.asarray(column)


def _same(one: Times, other: Times) -> bool:
    return len(one) == len(other) and bool((one == other).all())


class SpeedTrack:
    """The speed of the last seconds, one sample (the first) per 0.1 s, to be asked for afterwards."""

    _BUCKET_NS: Final = NS // 10
    _KEPT_NS: Final = 30 * NS
    STALE_NS: Final = 5 * NS

    def __init__(self) -> None:
        self._bucket = -1
        self._t_ns: list[int] = []
        self._kmh: list[float] = []

    def feed(self, series: Series) -> tuple[list[int], list[float]]:
        """Take new samples; return those kept as (times, km/h)."""
        if not len(series):
            return [], []
        number = series.t_ns // self._BUCKET_NS
        kept = _first_of_each(number)
        if number[0] == self._bucket:
            kept = kept[1:]
        self._bucket = int(number[-1])
        t_ns, kmh = series.t_ns[kept].tolist(), series.value[kept].tolist()
        self._t_ns += t_ns
        self._kmh += kmh
        return t_ns, kmh

    def at(self, t_ns: int) -> float | None:
        """Newest speed at or before t_ns in steps of 0.1 km/h, None where it is older than 5 s or was never known."""
        for sample_ns, kmh in zip(reversed(self._t_ns), reversed(self._kmh), strict=True):
            if sample_ns <= t_ns:
                return round(kmh, 1) if t_ns - sample_ns <= self.STALE_NS else None
        return None

    def highest(self, start_ns: int, end_ns: int) -> float | None:
        """Highest speed within a span, else the newest before it, in steps of 0.1 km/h."""
        inside = [kmh for t, kmh in zip(self._t_ns, self._kmh, strict=True) if start_ns <= t <= end_ns]
        return round(max(inside), 1) if inside else self.at(end_ns)

    def forget(self, now_ns: int) -> None:
        """Drop what nobody can ask for any more."""
        old = bisect_left(self._t_ns, now_ns - self._KEPT_NS, 0, max(len(self._t_ns) - 1, 0))
        if old:
            del self._t_ns[:old], self._kmh[:old]
