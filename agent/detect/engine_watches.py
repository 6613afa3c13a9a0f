"""What the mixture and the evenness of an engine tell. Each watch sees the seconds in which the engine runs."""

from collections import deque
from statistics import fmean, median
from typing import Final, Protocol

from agent.core import vss
from agent.core.diagnosis_events import EngineAdvice
from agent.detect.engine_seconds import Second

_CLOSED_LOOP_C: Final = 60.0
_TRIM_S: Final = 90
_TRIM_PERCENT: Final = 20.0
_TRIM_GRAVE_PERCENT: Final = 30.0
_ROUGH_S: Final = 60
_ROUGH_RPM: Final = 60.0
_STEADY: Final = {  # the most that each may move within three seconds, and that share of itself
    vss.THROTTLE: (2.0, 0.0),
    vss.SPEED: (2.0, 0.0),
    vss.MANIFOLD_PRESSURE: (8.0, 0.0),
    vss.MASS_AIR_FLOW: (1.0, 0.15),
}


class Watch(Protocol):
    """Finds one kind of fault."""

    def feed(self, second: Second) -> list[EngineAdvice]:
        """Take the next second of a running engine; what is found may be found again."""
        ...


class MixtureWatch:
    """Lean or rich: the sum of both fuel trims of bank 1, its mean over 90 s of closed loop, at or beyond 20 %.

    Closed loop is taken for granted from 60 degC of coolant on, or where the coolant is not told. Most control units
    set P0171 or P0172 at 20 to 30 %.
    """

    def __init__(self) -> None:
        self._trims: deque[float] = deque(maxlen=_TRIM_S)

    def feed(self, second: Second) -> list[EngineAdvice]:
        """Take a second; seconds without a long trim do not count."""
        long = second.values.get(vss.LONG_TERM_FUEL_TRIM)
        if long is None or second.values.get(vss.COOLANT_TEMPERATURE, _CLOSED_LOOP_C) < _CLOSED_LOOP_C:
            return []
        self._trims.append(long + second.values.get(vss.SHORT_TERM_FUEL_TRIM, 0.0))
        if len(self._trims) < _TRIM_S:
            return []
        percent = fmean(self._trims)
        if abs(percent) < _TRIM_PERCENT:
            return []
        return [
            EngineAdvice(
                t_ns=second.t_ns,
                level="service_soon" if abs(percent) >= _TRIM_GRAVE_PERCENT else "advice",
                fault="lean_mixture" if percent > 0 else "rich_mixture",
                signal=vss.LONG_TERM_FUEL_TRIM,
                value=round(percent, 1),
                expected=_TRIM_PERCENT if percent > 0 else -_TRIM_PERCENT,
                unit="percent",
                seconds=float(_TRIM_S),
            )
        ]


class RoughWatch:
    """Misfires: the engine's speed jumps from second to second though throttle, air and car are steady.

    Measured is the second difference of the speed over three seconds in a row, |a - 2 b + c|, which a steady pull or
    coasting leaves at zero; judged is its median over 60 such seconds. Healthy engines show below 20 rpm.
    """

    def __init__(self) -> None:
        self._recent: deque[Second] = deque(maxlen=3)
        self._rough_rpm: deque[float] = deque(maxlen=_ROUGH_S)

    def feed(self, second: Second) -> list[EngineAdvice]:
        """Take a second; those that are not steady, or follow a hole, do not count."""
        if second.step_s != 1:
            self._recent.clear()
        self._recent.append(second)
        if len(self._recent) < 3 or not all(map(self._is_steady, _STEADY)):
            return []
        speeds = [recent.values[vss.ENGINE_SPEED] for recent in self._recent]
        self._rough_rpm.append(abs(speeds[0] - 2 * speeds[1] + speeds[2]))
        if len(self._rough_rpm) < _ROUGH_S or (rough_rpm := median(self._rough_rpm)) < _ROUGH_RPM:
            return []
        return [
            EngineAdvice(
                t_ns=second.t_ns,
                level="service_soon",
                fault="misfire",
                signal=vss.ENGINE_SPEED,
                value=round(rough_rpm, 1),
                expected=_ROUGH_RPM,
                unit="rpm",
                seconds=float(_ROUGH_S),
            )
        ]

    def _is_steady(self, path: str) -> bool:
        """Whether a signal keeps still over the recent seconds; one that is not told does."""
        values = [second.values[path] for second in self._recent if path in second.values]
        most, share = _STEADY[path]
        return not values or max(values) - min(values) <= max(most, share * max(values))
