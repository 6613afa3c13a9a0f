"""An engine's signals as one row a second: a bus brings them at 100 Hz, a diagnostics port every few seconds."""

from dataclasses import dataclass
from math import isfinite
from typing import Final

import numpy as np

from agent.core import vss
from agent.core.signals import SignalWindow
from agent.detect.streams import NS

RUNNING_RPM: Final = 400.0
_GAP_S: Final = 10  # a longer hole counts for nothing
_HOLD_S: Final = {vss.ENGINE_SPEED: 3, vss.SPEED: 3, vss.THROTTLE: 3, vss.MANIFOLD_PRESSURE: 3, vss.MASS_AIR_FLOW: 3}
_HOLD_SLOW_S: Final = 60  # temperatures and trims are asked for seldom

SIGNALS: Final = (
    *_HOLD_S,
    vss.COOLANT_TEMPERATURE,
    vss.INTAKE_TEMPERATURE,
    vss.SHORT_TERM_FUEL_TRIM,
    vss.LONG_TERM_FUEL_TRIM,
)


@dataclass(frozen=True, slots=True)
class Second:
    """What held at the end of one second: number = t_ns // 10^9; step_s: seconds since the row before, 0 after a gap.

    values by VSS path: the newest of each signal, left out once it is too old to count.
    """

    number: int
    step_s: int
    values: dict[str, float]

    @property
    def t_ns(self) -> int:
        """Its end."""
        return (self.number + 1) * NS

    @property
    def running(self) -> bool:
        """Whether the engine turns by itself."""
        return self.values.get(vss.ENGINE_SPEED, 0.0) >= RUNNING_RPM


class EngineSeconds:
    """Rows from windows. A second is finished by the first sample after it, so that any windows give the same rows."""

    def __init__(self) -> None:
        self._open: dict[int, dict[str, float]] = {}
        self._held: dict[str, tuple[int, float]] = {}
        self._last: int | None = None

    def feed(self, window: SignalWindow) -> list[Second]:
        """Take a window's samples; return the seconds that they finish."""
        for path in SIGNALS:
            series = window.new(path)
            if len(series) == 0:
                continue
            number = series.t_ns // NS
            ends = np.append(np.flatnonzero(number[1:] != number[:-1]), len(number) - 1)
            for second, value in zip(number[ends].tolist(), series.value[ends].tolist(), strict=True):
                if isfinite(value):
                    self._open.setdefault(second, {})[path] = value
        if len(self._open) < 2:
            return []
        newest = max(self._open)
        return [self._finish(second) for second in sorted(self._open) if second < newest]

    def _finish(self, number: int) -> Second:
        for path, value in self._open.pop(number).items():
            self._held[path] = (number, value)
        step_s = 0 if self._last is None else number - self._last
        self._last = number
        values = {
            path: value
            for path, (since, value) in self._held.items()
            if number - since <= _HOLD_S.get(path, _HOLD_SLOW_S)
        }
        return Second(number, step_s if step_s <= _GAP_S else 0, values)
