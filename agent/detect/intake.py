"""Windows of a calm IMU, left alone until there is something to judge or five seconds are full."""

from typing import Final, Protocol

import numpy as np

from agent.core import vss
from agent.core.signals import EMPTY_SERIES, Series, SignalWindow
from agent.detect.pulse import LONG_AGO_NS, MS, Floats
from agent.detect.streams import NS

ACCELERATIONS: Final = (vss.ACCELERATION_LONGITUDINAL, vss.ACCELERATION_LATERAL, vss.ACCELERATION_VERTICAL)

_X, _Y, _Z = ACCELERATIONS
_PATHS: Final = (*ACCELERATIONS, vss.ROLL_RATE, vss.SPEED, vss.IMU_HEADING_ERROR, vss.IMU_CLIPPED)
_KEPT_NS: Final = 5000 * MS
_LONGEST_NS: Final = NS  # a longer window is no window of a car's
_SAMPLES_MAX: Final = 8192
_STIRRED_NS: Final = 60 * MS  # so long all is judged at once after something was felt: a blow may ring through zero


class News(Protocol):
    """What is new, by path, up to t_ns: one window or several."""

    @property
    def t_ns(self) -> int:
        """Its end."""
        ...

    def new(self, path: str) -> Series:
        """New samples of a signal."""
        ...


class Intake:
    """Lets calm windows pass and hands over what they held when it is time to judge it.

    That is a matter of when, not of what: no detector can tell. A window is calm where its last sample is near the
    resting level on every axis. What lasts for 60 ms does not slip through windows of 20 ms, and what does is judged
    within five seconds. It is looked at 50 times a second, so this is as short as it can be: a call costs more here
    than the numbers in an array. What was let pass is taken from the window's recent seconds.
    """

    def __init__(self) -> None:
        self._samples = 0
        self._since_ns = LONG_AGO_NS  # end of the first window that was let pass
        self._until_ns = LONG_AGO_NS  # end of the window before
        self._stirred_ns = LONG_AGO_NS
        self._x = self._y = self._z = 0.0
        self._bound = -1.0
        self._given_ns: dict[str, int] = {}  # newest sample that was handed over, by path
        self._last: SignalWindow | None = None

    def expect(self, level: Floats | None, bound_mps2: float) -> None:
        """What calm is: the resting level, float64[3], and how far off it no axis may be; None: nothing is."""
        self._bound = -1.0
        if level is not None:
            self._x, self._y, self._z = level.tolist()
            self._bound = bound_mps2

    def take(self, window: SignalWindow) -> News | None:
        """Give what is to be judged now; None while all is calm."""
        t_ns, bound = window.t_ns, self._bound
        calm, self._until_ns = t_ns - self._until_ns <= _LONGEST_NS, t_ns
        x, y, z = window.new(_X).value, window.new(_Y).value, window.new(_Z).value
        if len(x):
            self._samples += len(x)
            calm = calm and -bound < x[-1] - self._x < bound
        if len(y):
            calm = calm and -bound < y[-1] - self._y < bound
        if len(z):
            calm = calm and -bound < z[-1] - self._z < bound
        if not calm:  # as a NaN is not
            self._stirred_ns = t_ns
        elif t_ns - self._stirred_ns > _STIRRED_NS and self._samples < _SAMPLES_MAX:
            if self._since_ns == LONG_AGO_NS:
                self._since_ns = t_ns
            if t_ns - self._since_ns < _KEPT_NS:
                self._last = window
                return None
        return self.release(window)

    def release(self, window: SignalWindow) -> News:
        """Give what has not been handed over yet."""
        if self._since_ns == LONG_AGO_NS:
            series = {path: window.new(path) for path in _PATHS}
        else:
            seconds = (window.t_ns - self._since_ns + _KEPT_NS) / NS
            series = {path: self._after(window.recent(path, seconds), path) for path in _PATHS}
        self._given_ns |= {path: int(one.t_ns[-1]) for path, one in series.items() if len(one)}
        self._since_ns, self._samples = LONG_AGO_NS, 0
        return _Joined(series, window.t_ns)

    def rest(self) -> News | None:
        """Give what was let pass since, as the data ends."""
        if self._since_ns == LONG_AGO_NS or self._last is None:
            return None
        return self.release(self._last)

    def _after(self, series: Series, path: str) -> Series:
        """What has not been handed over before."""
        first = int(np.searchsorted(series.t_ns, self._given_ns.get(path, LONG_AGO_NS), side="right"))
        return Series(series.t_ns[first:], series.value[first:]) if first else series


class _Joined:
    """Several windows as one."""

    def __init__(self, series: dict[str, Series], t_ns: int) -> None:
        self._series = series
        self.t_ns = t_ns

    def new(self, path: str) -> Series:
        """All their samples."""
        return self._series.get(path, EMPTY_SERIES)
