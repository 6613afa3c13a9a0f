"""Sensors of an engine that stand still while all others move, or say what the others rule out."""

from collections import deque
from statistics import median
from typing import Final

from agent.core import vss
from agent.core.diagnosis_events import EngineAdvice, EngineFault
from agent.detect.engine_seconds import Second

_STUCK_S: Final = 300
_STIRRED: Final = {  # how much of a range is much, in 5 minutes
    vss.ENGINE_SPEED: 1000.0,
    vss.THROTTLE: 10.0,
    vss.MANIFOLD_PRESSURE: 25.0,
    vss.MASS_AIR_FLOW: 8.0,
    vss.SPEED: 30.0,
}
_UNITS: Final = {
    vss.ENGINE_SPEED: "rpm",
    vss.THROTTLE: "percent",
    vss.MANIFOLD_PRESSURE: "kPa",
    vss.MASS_AIR_FLOW: "g/s",
    vss.SPEED: "km/h",
}
_MOVING_MIN: Final = 2  # others that must have moved much
_STANDS_KMH: Final = 5.0
_CLOSED_PERCENT: Final = 2.0
_FULL_KPA: Final = 85.0
_OPEN_PERCENT: Final = 75.0
_VACUUM_KPA: Final = 45.0
_CONTRADICTS_S: Final = 60
_FLOOR_S: Final = 120
_AIR_S: Final = 120
_AIR_SHARE: Final = 0.35


class StuckWatch:
    """Speed, throttle, manifold pressure or air flow shows one value for 5 minutes in which two others swung.

    The engine ran all the time. A road speed of 0 is no fault: the car stands and somebody plays with the pedal.
    """

    def __init__(self) -> None:
        self._begun: int | None = None
        self._last = 0
        self._low: dict[str, float] = {}
        self._high: dict[str, float] = {}

    def feed(self, second: Second) -> list[EngineAdvice]:
        """Take a second; every 5 minutes of them are judged by themselves."""
        if self._begun is None or second.number - self._last > 10:
            self._begin(second.number)
        self._last = second.number
        for path in _STIRRED:
            if (value := second.values.get(path)) is not None:
                self._low[path] = min(self._low.get(path, value), value)
                self._high[path] = max(self._high.get(path, value), value)
        if self._begun is None or second.number - self._begun < _STUCK_S:
            return []
        found = self._judge(second)
        self._begin(second.number)
        return found

    def _begin(self, number: int) -> None:
        self._begun = number
        self._low.clear()
        self._high.clear()

    def _judge(self, second: Second) -> list[EngineAdvice]:
        stirred = {path for path, low in self._low.items() if self._high[path] - low >= _STIRRED[path]}
        still = [path for path, low in self._low.items() if self._high[path] == low and path in second.values]
        if len(stirred) < _MOVING_MIN:
            return []
        return [
            _advice(second, "sensor_stuck", path, self._low[path], self._low[path], _STUCK_S)
            for path in still
            if path != vss.SPEED or self._low[path] >= _STANDS_KMH
        ]


class ContradictionWatch:
    """Throttle and manifold pressure of an engine that is throttled: shut means vacuum, open means none.

    For a minute together: at the lowest throttle seen (learnt for 2 minutes) a pressure of 85 kPa and more, or at 75 %
    of throttle and more a pressure of 45 kPa and less. An engine that never showed a vacuum may be a diesel, and is not
    accused. Above 1500 m of altitude the first finds nothing.
    """

    def __init__(self) -> None:
        self._floor: float | None = None
        self._throttled = False
        self._learnt_s = 0
        self._shut_s = self._open_s = 0

    def feed(self, second: Second) -> list[EngineAdvice]:
        """Take a second that has both; others do not count."""
        throttle, kpa = second.values.get(vss.THROTTLE), second.values.get(vss.MANIFOLD_PRESSURE)
        if throttle is None or kpa is None:
            return []
        self._floor = throttle if self._floor is None else min(self._floor, throttle)
        self._learnt_s += second.step_s
        self._throttled = self._throttled or kpa <= _VACUUM_KPA
        self._shut_s = self._shut_s + second.step_s if self._is_shut(second, throttle) and kpa >= _FULL_KPA else 0
        self._open_s = self._open_s + second.step_s if throttle >= _OPEN_PERCENT and kpa <= _VACUUM_KPA else 0
        if self._throttled and self._learnt_s >= _FLOOR_S and self._shut_s >= _CONTRADICTS_S:
            return [_advice(second, "sensor_implausible", vss.MANIFOLD_PRESSURE, kpa, _FULL_KPA, self._shut_s)]
        if self._open_s >= _CONTRADICTS_S:
            return [_advice(second, "sensor_implausible", vss.MANIFOLD_PRESSURE, kpa, _VACUUM_KPA, self._open_s)]
        return []

    def _is_shut(self, second: Second, throttle: float) -> bool:
        floor = throttle if self._floor is None else self._floor
        return throttle <= floor + _CLOSED_PERCENT and second.values[vss.ENGINE_SPEED] >= 600


class AirWatch:
    """The measured air against what the cylinders take (speed density), both told and away from idle and full load.

    The share air * temperature / (pressure * engine speed) is an engine's own constant within a band; the first two
    minutes of a drive within it are the reference, later ones may stray by 35 %. A sensor that was wrong from the start
    of the drive is not found: the fuel trims tell of it.
    """

    def __init__(self) -> None:
        self._shares: deque[float] = deque(maxlen=_AIR_S)
        self._reference: float | None = None

    def feed(self, second: Second) -> list[EngineAdvice]:
        """Take a second within 1500 to 3500 rpm and 40 to 80 kPa; others do not count."""
        values = second.values
        gps, kpa = values.get(vss.MASS_AIR_FLOW), values.get(vss.MANIFOLD_PRESSURE)
        celsius = values.get(vss.INTAKE_TEMPERATURE)
        rpm = values[vss.ENGINE_SPEED]
        if gps is None or kpa is None or celsius is None or not (1500 <= rpm <= 3500 and 40 <= kpa <= 80):
            return []
        self._shares.append(gps * (celsius + 273.15) / (kpa * rpm))
        if len(self._shares) < _AIR_S:
            return []
        share = median(self._shares)
        if self._reference is None:
            self._reference = share
            self._shares.clear()
            return []
        strays = abs(share / self._reference - 1) if self._reference else 0.0
        if strays < _AIR_SHARE:
            return []
        expected = gps * self._reference / share if share else 0.0
        return [_advice(second, "sensor_implausible", vss.MASS_AIR_FLOW, gps, expected, _AIR_S)]


def _advice(
    second: Second, fault: EngineFault, path: str, value: float, expected: float, seconds: float
) -> EngineAdvice:
    return EngineAdvice(
        t_ns=second.t_ns,
        level="advice",
        fault=fault,
        signal=path,
        value=round(value, 2),
        expected=round(expected, 2),
        unit=_UNITS[path],
        seconds=float(seconds),
    )
