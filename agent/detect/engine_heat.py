"""What the coolant tells: an engine that boils, one that never warms up, and a sensor that lies."""

from collections import deque
from collections.abc import Mapping
from typing import Final

from agent.core import vss
from agent.core.diagnosis_events import EngineAdvice, EngineFault, EngineLevel
from agent.detect.engine_seconds import Second

_HOT_C: Final = 118.0
_HOT_S: Final = 15
_WARM_C: Final = 80.0
_RISE_S: Final = 60
_RISE_K: Final = 12.0
_RISE_FROM_C: Final = 82.0
_FUEL_KW_PER_GPS: Final = 43.0 / 14.7  # 43 MJ/kg at 14.7 of air to 1 of fuel
_TO_COOLANT: Final = 0.35  # of the fuel's heat, at most
_KJ_PER_K: Final = 40.0  # of a small engine and its coolant, at least
_RISE_SHARE: Final = 1.5
_POSSIBLE_K: Final = 20.0  # in a minute, where the air is not measured
_COLD_C: Final = 70.0
_COOLED_C: Final = 65.0
_DRIVE_S: Final = 900
_RUNNING_SHARE: Final = 0.8
_DRIVE_KMH: Final = 25.0
_LEVELS: Final[Mapping[EngineFault, EngineLevel]] = {
    "overheating": "stop_now",
    "thermostat": "advice",
    "sensor_implausible": "service_soon",
}


class HeatWatch:
    """Coolant of a running engine, in Celsius.

    overheating: 118 degC and more for 15 s; no sensor that was found to lie is believed. sensor_implausible: once warm,
    12 K and more within a minute, half as much again as the fuel burnt in that minute could have brought (where the air
    is measured: without it the rise alone has to be 30 K). thermostat: below 70 degC after 15 minutes of driving at 25
    km/h and more with an engine that ran all the time, or again below 65 degC for so long.
    """

    def __init__(self) -> None:
        self._hot_s = 0
        self._lies = False
        self._minute: deque[tuple[int, float, float | None]] = deque()  # second, Celsius, g/s of air
        self._drive: deque[tuple[int, float, float]] = deque()  # second, Celsius, km/h
        self._warmed = False

    def feed(self, second: Second) -> list[EngineAdvice]:
        """Take a second."""
        celsius = second.values.get(vss.COOLANT_TEMPERATURE)
        if celsius is None:
            return []
        if second.step_s == 0:
            self._minute.clear()
            self._drive.clear()
        found = self._judge_rise(second, celsius)
        self._hot_s = self._hot_s + second.step_s if celsius >= _HOT_C and not self._lies else 0
        if self._hot_s >= _HOT_S:
            found.append(_advice(second, "overheating", celsius, _HOT_C, float(self._hot_s)))
        self._warmed = self._warmed or celsius >= _WARM_C
        return found + self._judge_cold(second, celsius)

    def _judge_rise(self, second: Second, celsius: float) -> list[EngineAdvice]:
        self._minute.append((second.number, celsius, second.values.get(vss.MASS_AIR_FLOW)))
        while second.number - self._minute[0][0] > _RISE_S:
            self._minute.popleft()
        first, from_c, _ = self._minute[0]
        rise_k = celsius - from_c
        if rise_k < _RISE_K or from_c < _RISE_FROM_C or second.number - first < _RISE_S // 2:
            return []
        flows = [gps for _, _, gps in self._minute if gps is not None]
        told = len(flows) == len(self._minute)
        possible_k = sum(flows) * _FUEL_KW_PER_GPS * _TO_COOLANT / _KJ_PER_K if told else _POSSIBLE_K
        if rise_k < _RISE_SHARE * possible_k:
            return []
        self._lies = True
        return [_advice(second, "sensor_implausible", rise_k, possible_k, float(second.number - first), unit="K")]

    def _judge_cold(self, second: Second, celsius: float) -> list[EngineAdvice]:
        self._drive.append((second.number, celsius, second.values.get(vss.SPEED, 0.0)))
        while second.number - self._drive[0][0] > _DRIVE_S:
            self._drive.popleft()
        limit_c = _COOLED_C if self._warmed else _COLD_C
        if celsius >= limit_c or second.number - self._drive[0][0] < _DRIVE_S:
            return []
        count = len(self._drive)
        if count < _RUNNING_SHARE * _DRIVE_S or sum(kmh for _, _, kmh in self._drive) / count < _DRIVE_KMH:
            return []
        if self._warmed and max(c for _, c, _ in self._drive) >= limit_c:
            return []
        return [_advice(second, "thermostat", celsius, limit_c, float(_DRIVE_S))]


def _advice(
    second: Second, fault: EngineFault, value: float, expected: float, seconds: float, *, unit: str = "Celsius"
) -> EngineAdvice:
    return EngineAdvice(
        t_ns=second.t_ns,
        level=_LEVELS[fault],
        fault=fault,
        signal=vss.COOLANT_TEMPERATURE,
        value=round(value, 1),
        expected=round(expected, 1),
        unit=unit,
        seconds=seconds,
    )
