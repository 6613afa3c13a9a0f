"""Alarms of the pack as a whole, its wiring and what it drives: one value each, held to a limit with hysteresis.

The other half of GB/T 32960.3's general alarms; `battery` has those of cells and probes. Flags that the car raises are
told by the same names. Bits 9, 21, 22 and 24 to 27 come from the car's own flags alone: only it knows its limits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import Final

from agent.core import vss
from agent.core.battery_actions import alarm_action
from agent.core.battery_events import ALARM_BITS, AlarmName, BatteryAlarm
from agent.core.config import BatteryLimits, Detect
from agent.core.events import Event
from agent.core.signals import SignalWindow
from agent.detect.pack_limits import cell_voltages
from agent.detect.streams import NS

_PERSIST_NS: Final = NS
_FRESH_NS: Final = 90 * NS
_CALM_NS: Final = 10 * NS
_JUMP_SPAN_NS: Final = 60 * NS
_JUMP_PERCENT_PER_S: Final = 0.1  # faster than any car charges or drives itself empty
_CHARGING_A: Final = 3.0
_LIVE_A: Final = 5.0  # through contactors that say they are open
_OVERCHARGE_S: Final = 60.0
_PROTECTED_KOHM: Final = 100.0  # what keeps people safe at any voltage
_FULL_PERCENT: Final = 100.0


@dataclass(frozen=True, slots=True)
class Band:
    """An alarm: broken at `at`, over at `release`, worse from `severe` on; sign -1: lower is worse."""

    at: float
    release: float
    levels: tuple[int, int]
    unit: str
    severe: float = inf
    sign: int = 1
    persist_ns: int = _PERSIST_NS

    def level(self, value: float) -> int:
        """0 where the value is not beyond the limit."""
        if self.sign * value < self.sign * self.at:
            return 0
        return self.levels[isfinite(self.severe) and self.sign * value >= self.sign * self.severe]


@dataclass(slots=True)
class _State:
    level: int = 0
    begun_ns: int | None = None
    seen_ns: int = 0
    calm_ns: int | None = None


_INPUTS: Final = (  # what others are judged by comes first
    vss.PACK_VOLTAGE,
    vss.PACK_CURRENT,
    vss.CELL_VOLTAGE_MAX,
    vss.STATE_OF_CHARGE,
    vss.INSULATION_RESISTANCE,
    vss.HVIL_CLOSED,
    *vss.CONTACTORS,
    vss.DCDC_TEMPERATURE,
    vss.DCDC_OK,
    vss.MOTOR_TEMPERATURE,
    vss.MOTOR_CONTROLLER_TEMPERATURE,
    vss.MOTOR_SPEED,
    vss.MOTOR_CURRENT,
    vss.BRAKE_SYSTEM_OK,
    vss.ALARM_LEVEL,
    vss.ALARM_FLAGS,
)
_ORDER: Final = {path: number for number, path in enumerate(_INPUTS)}
_NO_FLAG: Final = frozenset({0xFFFF_FFFF, 0xFFFF_FFFE})  # "invalid" and "abnormal" of GB/T 32960.3


class PackAlarmDetector:
    """Holds every value to its band. A broken one counts from two samples on, a second apart."""

    inputs: tuple[str, ...] = _INPUTS

    def __init__(self, limits: Detect) -> None:
        self._states: dict[tuple[AlarmName, bool], _State] = {}  # ours, and the car's own
        self._latest: dict[str, tuple[int, float]] = {}
        self._soc: tuple[int, float] | None = None
        self._flags = 0
        self.configure(limits)

    def configure(self, limits: Detect) -> None:
        """Swap the limits; alarms that stand stay until their new release."""
        self._limits = limits.battery
        self._bands = _bands(limits.battery)

    def update(self, window: SignalWindow) -> list[Event]:
        """Judge the window's samples."""
        rows = [
            (t_ns, _ORDER[path], value)
            for path in window.paths()
            if path in _ORDER
            for t_ns, value in zip(window.new(path).t_ns.tolist(), window.new(path).value.tolist(), strict=True)
            if isfinite(value)
        ]
        return [event for t_ns, number, value in sorted(rows) for event in self._take(t_ns, _INPUTS[number], value)]

    def finish(self, t_ns: int) -> list[Event]:  # noqa: ARG002  # the protocol's signature
        """Standing alarms stay."""
        return []

    def _take(self, t_ns: int, path: str, value: float) -> list[Event]:
        self._latest[path] = (t_ns, value)
        if path == vss.ALARM_FLAGS:
            return self._take_flags(t_ns, int(value))
        events: list[Event] = []
        for alarm, value_now in self._derive(t_ns, path, value):
            band = self._bands.get(alarm)
            if band is not None:
                events += self._hold(alarm, band, t_ns, value_now)
        return events

    def _derive(self, t_ns: int, path: str, value: float) -> list[tuple[AlarmName, float]]:
        """What this sample says of which alarm."""
        plain = _PLAIN.get(path)
        if plain is not None:
            return [(alarm, value) for alarm in plain]
        if path == vss.STATE_OF_CHARGE:
            return [
                ("soc_low", value),
                ("soc_high", self._over_full(t_ns, value)),
                ("soc_jump", self._jump(t_ns, value)),
            ]
        if path == vss.CELL_VOLTAGE_MAX:
            return [("overcharge", value if self._charging(t_ns) else 0.0)]
        if path == vss.INSULATION_RESISTANCE:
            volt = self._fresh(vss.PACK_VOLTAGE, t_ns) or 0.0
            protected = _PROTECTED_KOHM * 1000 / self._limits.insulation_warn_ohm_per_v
            return [("insulation", value * 1000 / max(volt, protected))]
        if path == vss.PACK_CURRENT:
            open_ = any(self._fresh(contactor, t_ns) == 0 for contactor in vss.CONTACTORS)
            return [("contactor", abs(value) if open_ else 0.0)]
        return []

    def _over_full(self, t_ns: int, soc: float) -> float:
        return soc if self._charging(t_ns) else 0.0

    def _charging(self, t_ns: int) -> bool:
        return (self._fresh(vss.PACK_CURRENT, t_ns) or 0.0) >= _CHARGING_A

    def _jump(self, t_ns: int, soc: float) -> float:
        """Percent by which charge moved beyond what any current could do since the sample before."""
        before, self._soc = self._soc, (t_ns, soc)
        if before is None or t_ns - before[0] > _JUMP_SPAN_NS:
            return 0.0
        return abs(soc - before[1]) - _JUMP_PERCENT_PER_S * (t_ns - before[0]) / NS

    def _fresh(self, path: str, t_ns: int) -> float | None:
        known = self._latest.get(path)
        return known[1] if known is not None and t_ns - known[0] <= _FRESH_NS else None

    def _take_flags(self, t_ns: int, flags: int) -> list[Event]:
        """Tell what the car raises and takes back, by the names of the bits. A flag counts from two samples on."""
        if flags in _NO_FLAG or flags < 0:
            return []
        told = self._fresh(vss.ALARM_LEVEL, t_ns)
        level = min(max(1, round(told)), 3) if told is not None else 1
        self._flags |= flags
        events: list[Event] = []
        for alarm, bit in ALARM_BITS.items():
            if self._flags >> bit & 1:  # now or once
                as_told = (4, 4) if alarm == "thermal_runaway" else (level, level)
                events += self._hold(alarm, Band(1.0, 0.0, as_told, ""), t_ns, float(flags >> bit & 1), of_car=True)
        return events

    def _hold(self, alarm: AlarmName, band: Band, t_ns: int, value: float, *, of_car: bool = False) -> list[Event]:
        state = self._states.setdefault((alarm, of_car), _State())
        level = band.level(value)
        if level > state.level:
            if state.begun_ns is None or t_ns - state.seen_ns > _FRESH_NS:
                state.begun_ns = t_ns
            state.seen_ns, state.calm_ns = t_ns, None
            if t_ns - state.begun_ns < band.persist_ns:
                return []
            since_ns, state.begun_ns, state.level = state.begun_ns, None, level
            return [_event(alarm, band, since_ns, value, level=level)]
        state.begun_ns = None
        if not state.level or band.sign * value > band.sign * band.release:
            state.calm_ns = None
            return []
        state.calm_ns = t_ns if state.calm_ns is None else state.calm_ns
        if t_ns - state.calm_ns < _CALM_NS:
            return []
        level, state.level = state.level, 0
        return [_event(alarm, band, state.calm_ns, value, level=level, cleared=True)]


_PLAIN: Final[Mapping[str, tuple[AlarmName, ...]]] = {
    vss.PACK_VOLTAGE: ("pack_over_voltage", "pack_under_voltage"),
    vss.HVIL_CLOSED: ("hvil",),
    vss.DCDC_TEMPERATURE: ("dcdc_temperature",),
    vss.DCDC_OK: ("dcdc_status",),
    vss.MOTOR_TEMPERATURE: ("motor_temperature",),
    vss.MOTOR_CONTROLLER_TEMPERATURE: ("motor_controller_temperature",),
    vss.MOTOR_SPEED: ("motor_over_speed",),
    vss.MOTOR_CURRENT: ("motor_over_current",),
    vss.BRAKE_SYSTEM_OK: ("brake_system",),
}


def _bands(limits: BatteryLimits) -> dict[AlarmName, Band]:
    over, under = cell_voltages(limits)
    warn = limits.insulation_warn_ohm_per_v
    stop = min(limits.insulation_stop_ohm_per_v, warn)
    low, hot_c = limits.soc_low_percent, "Celsius"
    bands: dict[AlarmName, Band] = {
        "soc_low": Band(low, low + 3, (1, 1), "percent", sign=-1),
        "soc_high": Band(_FULL_PERCENT, _FULL_PERCENT - 1, (1, 1), "percent", persist_ns=round(_OVERCHARGE_S * NS)),
        "soc_jump": Band(limits.soc_jump_percent, 0.5, (1, 1), "percent", persist_ns=0),
        "overcharge": Band(over, over - 0.05, (3, 3), "V"),
        "insulation": Band(warn, 1.2 * warn, (2, 3), "Ohm/V", severe=stop, sign=-1),
        "hvil": Band(0.0, 1.0, (2, 2), "", sign=-1),
        "contactor": Band(_LIVE_A, _LIVE_A / 2, (2, 2), "A", persist_ns=2 * NS),
        "dcdc_status": Band(0.0, 1.0, (1, 1), "", sign=-1),
        "brake_system": Band(0.0, 1.0, (2, 2), "", sign=-1),
    }
    for alarm, at in (
        ("dcdc_temperature", limits.dcdc_temperature_c),
        ("motor_temperature", limits.motor_temperature_c),
        ("motor_controller_temperature", limits.motor_controller_temperature_c),
    ):
        bands[alarm] = Band(at, at - 10, (1, 2), hot_c, severe=at + 15)  # type: ignore[index]  # literals, three of them
    if limits.motor_speed_rpm is not None:
        bands["motor_over_speed"] = Band(limits.motor_speed_rpm, 0.95 * limits.motor_speed_rpm, (1, 1), "rpm")
    if limits.motor_current_a is not None:
        bands["motor_over_current"] = Band(limits.motor_current_a, 0.9 * limits.motor_current_a, (1, 1), "A")
    if limits.cells_in_series is not None:
        cells = limits.cells_in_series
        bands["pack_over_voltage"] = Band(cells * over, cells * (over - 0.05), (2, 3), "V", severe=cells * (over + 0.1))
        bands["pack_under_voltage"] = Band(
            cells * under, cells * (under + 0.1), (2, 3), "V", severe=cells * (under - 0.3), sign=-1
        )
    return bands


def _event(alarm: AlarmName, band: Band, t_ns: int, value: float, *, level: int, cleared: bool = False) -> Event:
    return BatteryAlarm(
        t_ns=t_ns,
        alarm=alarm,
        level=level,
        value=round(value, 3),
        limit=band.at,
        unit=band.unit,
        cleared=cleared,
        action="none" if cleared else alarm_action(alarm, level),
    )
