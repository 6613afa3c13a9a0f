"""Windows of a calm IMU, kept until there is something to judge or a second is full: mostly nothing happens."""

from collections.abc import Iterator
from typing import Final, Protocol

import numpy as np

from agent.core import vss
from agent.core.signals import EMPTY_SERIES, Series, SignalWindow
from agent.detect.pulse import LONG_AGO_NS, MS, Floats

ACCELERATIONS: Final = (vss.ACCELERATION_LONGITUDINAL, vss.ACCELERATION_LATERAL, vss.ACCELERATION_VERTICAL)

_SAMPLES: Final = (*ACCELERATIONS, vss.ROLL_RATE)
_OTHERS: Final = (vss.SPEED, vss.IMU_HEADING_ERROR, vss.IMU_CLIPPED)
_KEPT_NS: Final = 1000 * MS
_CAPACITY: Final = 2048
_CALM_DPS: Final = 25.0  # a rollover begins at 30 degrees/s
_STIRRED_NS: Final = 300 * MS  # twice the trigger's span: what is judged at once after something was felt


class News(Protocol):
    """What is new, by path, up to t_ns: a window, or several that are one."""

    @property
    def t_ns(self) -> int:
        """Its end."""
        ...

    def new(self, path: str) -> Series:
        """New samples of a signal."""
        ...


class Intake:
    """Joins windows in which nothing can be found. That is a matter of when, not of what: no detector can tell.

    A window is calm where no axis is off the resting level by the bound, and the roll rate is small. The samples lie in
    arrays that are written in place, since a calm window is looked at 50 times a second.
    """

    def __init__(self) -> None:
        self._t_ns = np.empty((len(_SAMPLES), _CAPACITY), np.int64)
        self._values = np.zeros((len(_SAMPLES), _CAPACITY))
        self._off = np.empty((len(_SAMPLES), _CAPACITY))
        self._level = np.zeros((len(_SAMPLES), 1))
        self._bound = np.zeros((len(_SAMPLES), 1))
        self._bound[-1] = _CALM_DPS
        self._count = 0
        self._rolls = False  # whether what is kept has roll rates
        self._others: dict[str, list[Series]] = {}
        self._since_ns = 0
        self._until_ns = 0
        self._stirred_ns = LONG_AGO_NS

    def expect(self, level: Floats | None, bound_mps2: float) -> None:
        """What calm is: the resting level, float64[3], and how far off it no axis may be; None: nothing is."""
        self._bound[:-1] = 0.0 if level is None else bound_mps2
        if level is not None:
            self._level[:-1, 0] = level

    def take(self, window: SignalWindow, *, busy: bool) -> Iterator[News]:
        """Give what is to be judged now, nothing while all is calm; busy: something is under way."""
        samples = [window.new(path) for path in _SAMPLES]
        count = len(samples[0])
        kept = count + self._count <= _CAPACITY and self._alike(samples, count)
        if kept:
            self._keep(window, samples, count)
            if not busy and self._is_calm(count) and window.t_ns - self._since_ns < _KEPT_NS:
                return
        yield from self.release()
        if not kept:
            self._stirred_ns = window.t_ns
            yield window

    def release(self) -> Iterator[News]:
        """Give what is kept."""
        if not self._count and not self._others:
            return
        stop = self._count
        series = {
            path: Series(self._t_ns[row, :stop].copy(), self._values[row, :stop].copy())
            for row, path in enumerate(_SAMPLES[: 4 if self._rolls else 3])
        }
        for path, pieces in self._others.items():
            series[path] = Series(np.concatenate([s.t_ns for s in pieces]), np.concatenate([s.value for s in pieces]))
        self._count, self._others = 0, {}
        yield _Joined(series, self._until_ns)

    def _alike(self, samples: list[Series], count: int) -> bool:
        """Whether the axes have as many samples each, and a gyroscope that is there or not as before."""
        rolls = len(samples[3])
        if len(samples[1]) != count or len(samples[2]) != count or rolls not in (0, count):
            return False
        return not self._count or not count or bool(rolls) == self._rolls

    def _keep(self, window: SignalWindow, samples: list[Series], count: int) -> None:
        if not self._count and not self._others:
            self._since_ns = window.t_ns
        self._until_ns = window.t_ns
        for path in _OTHERS:
            series = window.new(path)
            if len(series):
                self._others.setdefault(path, []).append(series)
        if not count:
            return
        self._rolls = len(samples[3]) > 0
        rows = slice(self._count, self._count + count)
        for row, one in enumerate(samples if self._rolls else samples[:3]):
            self._t_ns[row, rows] = one.t_ns
            self._values[row, rows] = one.value
        self._count += count

    def _is_calm(self, count: int) -> bool:
        """Whether the last samples are near the resting level, and all were for a while. A NaN is not."""
        if not count:
            return True
        rows = slice(self._count - count, self._count)
        width = 4 if self._rolls else 3
        off = self._off[:width, :count]
        np.subtract(self._values[:width, rows], self._level[:width], out=off)
        np.abs(off, out=off)
        if (off < self._bound[:width]).all():
            return self._until_ns - self._stirred_ns > _STIRRED_NS
        self._stirred_ns = self._until_ns
        return False


class _Joined:
    """Several windows as one."""

    def __init__(self, series: dict[str, Series], t_ns: int) -> None:
        self._series = series
        self.t_ns = t_ns

    def new(self, path: str) -> Series:
        """All their samples."""
        return self._series.get(path, EMPTY_SERIES)
