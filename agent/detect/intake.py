"""Windows of a calm IMU, left alone until there is something to judge or five seconds are full."""

from math import inf
from typing import Final, Protocol

from agent.core import vss
from agent.core.signals import EMPTY_SERIES, Series, SignalWindow
from agent.detect.pulse import LONG_AGO_NS, MS, Floats
from agent.detect.streams import NS

ACCELERATIONS: Final = (vss.ACCELERATION_LONGITUDINAL, vss.ACCELERATION_LATERAL, vss.ACCELERATION_VERTICAL)

_X, _Y, _Z = ACCELERATIONS
_PATHS: Final = (*ACCELERATIONS, vss.ROLL_RATE, vss.SPEED, vss.IMU_HEADING_ERROR, vss.IMU_CLIPPED)
_KEPT_NS: Final = 5000 * MS
_LONGEST_NS: Final = NS  # a longer window is no window of a car's
_SHORT_NS: Final = 25 * MS  # a blow does not begin and end within a window as short as a car's
_NOTHING_CALM: Final = (inf, -inf) * 3
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
    resting level on every axis, a long one where all are. What lasts for 60 ms does not slip through windows of 20 ms,
    and what does is judged within five seconds. It is looked at 50 times a second, so this is as short as it can be: a
    call costs more here than the numbers in an array. What was let pass is taken from the window's recent seconds.
    """

    def __init__(self) -> None:
        self._since_ns = LONG_AGO_NS  # end of the first window that was let pass
        self._until_ns = LONG_AGO_NS  # end of the window before
        self._stirred_ns = LONG_AGO_NS
        self._few = 0  # samples of an axis in _SHORT_NS
        self._calm = _NOTHING_CALM  # lowest and highest of each axis
        self._given_ns: dict[str, int] = {}  # newest sample that was handed over, by path
        self._last: SignalWindow | None = None

    def expect(self, level: Floats | None, bound_mps2: float) -> None:
        """What calm is: the resting level, float64[3], and how far off it no axis may be; None: nothing is."""
        self._calm = _NOTHING_CALM
        if level is not None:
            x, y, z = level.tolist()
            self._calm = x - bound_mps2, x + bound_mps2, y - bound_mps2, y + bound_mps2, z - bound_mps2, z + bound_mps2

    def take(self, window: SignalWindow) -> News | None:
        """Give what is to be judged now; None while all is calm."""
        new, t_ns = window.new, window.t_ns
        x_low, x_high, y_low, y_high, z_low, z_high = self._calm
        try:
            x = new(_X).value
            calm = (  # which a NaN is not
                x_low < x.item(-1) < x_high
                and y_low < new(_Y).value.item(-1) < y_high
                and z_low < new(_Z).value.item(-1) < z_high
                and (len(x) <= self._few or self._is_calm(window))
            )
        except IndexError:
            calm = self._is_calm(window)
        if not calm or t_ns - self._until_ns > _LONGEST_NS:
            self._stirred_ns = t_ns
        elif t_ns - self._stirred_ns > _STIRRED_NS:
            if self._since_ns == LONG_AGO_NS:
                self._since_ns = t_ns
            if t_ns - self._since_ns < _KEPT_NS:
                self._until_ns, self._last = t_ns, window
                return None
        self._until_ns = t_ns
        return self.release(window)

    def release(self, window: SignalWindow) -> News:
        """Give what has not been handed over yet."""
        if self._since_ns == LONG_AGO_NS:
            series = {path: window.new(path) for path in _PATHS}
        else:
            seconds = (window.t_ns - self._since_ns + _KEPT_NS) / NS
            series = {path: self._after(window.recent(path, seconds), path) for path in _PATHS}
        axis_ns = series[_X].t_ns
        if len(axis_ns) > 1:
            self._few = 1 + (len(axis_ns) - 1) * _SHORT_NS // max(1, int(axis_ns[-1] - axis_ns[0]))
        self._given_ns |= {path: int(one.t_ns[-1]) for path, one in series.items() if len(one)}
        self._since_ns = LONG_AGO_NS
        return _Joined(series, window.t_ns)

    def rest(self) -> News | None:
        """Give what was let pass since, as the data ends."""
        if self._since_ns == LONG_AGO_NS or self._last is None:
            return None
        return self.release(self._last)

    def _is_calm(self, window: SignalWindow) -> bool:
        """Whether every sample is, which a NaN is not; an axis that says nothing is as calm as can be."""
        told = zip(ACCELERATIONS, self._calm[::2], self._calm[1::2], strict=True)
        return all(
            not len(s := window.new(path)) or low < s.value.min() <= s.value.max() < high for path, low, high in told
        )

    def _after(self, series: Series, path: str) -> Series:
        """What has not been handed over before."""
        if not len(series):
            return series
        first = int(series.t_ns.searchsorted(self._given_ns.get(path, LONG_AGO_NS), side="right"))
        return Series(series.t_ns[first:], series.value[first:]) if first else series


class _Joined:
    """Several windows as one."""

    def __init__(self, series: dict[str, Series], t_ns: int) -> None:
        self._series = series
        self.t_ns = t_ns

    def new(self, path: str) -> Series:
        """All their samples."""
        return self._series.get(path, EMPTY_SERIES)
