"""Traction battery: limits, spreads and thermal runaway."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from agent.core import vss
from agent.core.battery_actions import alarm_action
from agent.core.battery_events import AlarmName
from agent.core.config import Detect
from agent.core.events import BatteryAlarm, Event
from agent.core.signals import SignalWindow
from agent.detect.heat import DropWatch, RiseWatch
from agent.detect.pack_limits import Limit, Limits
from agent.detect.probes import JumpWatch, ProbePanel, lie
from agent.detect.streams import NS

CELLS_MAX: Final = 256
_FRESH_NS: Final = 90 * NS  # cloud logs come every 30 s
_PERSIST_NS: Final = NS  # a limit counts once broken by two samples in a row, a second apart
_SPREAD_PERSIST_NS: Final = 5 * NS // 4  # cells are not read all at once, and the current moves meanwhile
_CALM_NS: Final = 10 * NS  # an alarm ends when its value stayed back: a loose probe must not ring it again and again
_INFINITE: Final = float("inf")
_CELSIUS_MIN: Final = -39.5
_DROP_FRESH_NS: Final = 60 * NS


@dataclass(slots=True)
class _Alarm:
    """Who breaks a limit now, who has begun to, and what has been said about it."""

    begun: dict[int, int] = field(default_factory=dict)  # source -> first sample beyond
    broken: set[int] = field(default_factory=set)
    calm: dict[int, int] = field(default_factory=dict)  # source -> first sample back within the release
    level: int = 0

    @property
    def idle(self) -> bool:
        return not self.begun and not self.broken


@dataclass(frozen=True, slots=True)
class _Source:
    path: str
    volt: bool
    cell: int | None = None


_SOURCES: Final = (  # cells before the pack's extremes: of two that say the same at once, the one that says who
    *(_Source(vss.cell_voltage(cell), volt=True, cell=cell) for cell in range(CELLS_MAX)),
    *(_Source(vss.cell_temperature(cell), volt=False, cell=cell) for cell in range(CELLS_MAX)),
    _Source(vss.CELL_VOLTAGE_MAX, volt=True),
    _Source(vss.CELL_VOLTAGE_MIN, volt=True),
    _Source(vss.PACK_TEMPERATURE_MAX, volt=False),
    _Source(vss.PACK_TEMPERATURE_MIN, volt=False),
)
_NUMBERS: Final = {source.path: number for number, source in enumerate(_SOURCES)}
_IS_VOLT: Final = tuple(source.volt for source in _SOURCES)
_DROPPING: Final = tuple(source.volt and source.path != vss.CELL_VOLTAGE_MAX for source in _SOURCES)
_CELLS: Final = tuple(source.cell for source in _SOURCES)


class BatteryDetector:
    """Alarms when limits of BatteryLimits are broken by the pack's extremes or by any cell, and when they hold again.

    Voltages in V, temperatures in Celsius. Values no cell can have (0 V and less, above 6 V, outside -39.5..200 degC:
    -40 is the usual coding's zero) are dropped here too, though decoding gates sentinels already. Probes that lie are
    told, and break no limit. Thermal runaway is a rise of 1 degC/s for 3 s together with a temperature at the limit or
    a voltage that lost a quarter (GB 38031-2025 as quoted in docs/sources.md 4).
    """

    inputs: tuple[str, ...] = tuple(source.path for source in _SOURCES)

    def __init__(self, limits: Detect) -> None:
        self._alarms: dict[AlarmName, _Alarm] = {}
        self._latest: tuple[dict[int, tuple[int, float]], dict[int, tuple[int, float]]] = ({}, {})
        self._extremes = [(_INFINITE, -_INFINITE), (_INFINITE, -_INFINITE)]
        self._jumps: defaultdict[int, JumpWatch] = defaultdict(JumpWatch)
        self._panel = ProbePanel()
        self._rises: defaultdict[int, RiseWatch] = defaultdict(RiseWatch)
        self._drops: defaultdict[int | None, DropWatch] = defaultdict(DropWatch)
        self.configure(limits)

    def configure(self, limits: Detect) -> None:
        """Swap the limits; alarms that stand stay until their new release."""
        self._limits = Limits.from_config(limits.battery)
        for limit in (
            self._limits.over_voltage,
            self._limits.under_voltage,
            self._limits.over_temperature,
            self._limits.voltage_spread,
            self._limits.temperature_spread,
            self._limits.runaway,
        ):
            self._alarms.setdefault(limit.alarm, _Alarm())

    def update(self, window: SignalWindow) -> list[Event]:
        """Judge the window's samples."""
        rows: list[tuple[int, int, float]] = []
        for path in window.paths():
            number = _NUMBERS.get(path)
            if number is not None:
                series = window.new(path)
                rows += [(t, number, v) for t, v in zip(series.t_ns.tolist(), series.value.tolist(), strict=True)]
        rows = [row for row in rows if (0 < row[2] <= 6 if _IS_VOLT[row[1]] else _CELSIUS_MIN < row[2] <= 200)]
        rows.sort()
        calm = (self._are_calm(rows, volt=False), self._are_calm(rows, volt=True))
        events: list[Event] = []
        for t_ns, number, value in rows:
            volt = _IS_VOLT[number]
            if not volt and not self._believe(t_ns, number, value, events):
                pass  # what it shows breaks no limit; a runaway is still looked for below
            elif calm[volt]:
                self._latest[volt][number] = (t_ns, value)
            elif volt:
                events += self._hold_voltage(t_ns, number, value)
            else:
                events += self._hold_temperature(t_ns, number, value)
            if _DROPPING[number]:
                self._drops[_CELLS[number]].feed(t_ns, value)
            elif not volt:
                events += self._watch_runaway(t_ns, number, value)
        return events

    def finish(self, t_ns: int) -> list[Event]:  # noqa: ARG002  # the protocol's signature
        """Standing alarms stay: the end of data cools nothing."""
        return []

    def _believe(self, t_ns: int, number: int, celsius: float, events: list[Event]) -> bool:
        """Whether a temperature may break limits; tells of probes that lie, once each time."""
        source, watch = _SOURCES[number], self._jumps[number]
        known = watch.lying
        believed = watch.feed(t_ns, celsius)
        if source.cell is None:
            return believed
        if watch.lying and not known:
            expected = celsius if watch.expected is None else watch.expected
            events.append(lie(t_ns, source.path, "offset", value=celsius, expected=expected))
        if believed:
            events += self._panel.feed(t_ns, source.path, celsius)
        return believed and self._panel.is_believed(source.path)

    def _are_calm(self, rows: list[tuple[int, int, float]], *, volt: bool) -> bool:
        """Whether no voltage (or temperature) of these can change anything but what is known: nearly always."""
        values = [value for _, number, value in rows if _IS_VOLT[number] is volt]
        if not values:
            return True
        limits = self._limits
        over, spread = limits.over_temperature, limits.temperature_spread
        if volt:
            over, spread = limits.over_voltage, limits.voltage_spread
            if limits.under_voltage.broken(min(values)) or not self._alarms[limits.under_voltage.alarm].idle:
                return False
        low, high = self._extremes[volt]
        low, high = min(low, *values), max(high, *values)
        if over.broken(max(values)) or high - low >= spread.at:
            return False
        if not (self._alarms[over.alarm].idle and self._alarms[spread.alarm].idle):
            return False
        self._extremes[volt] = (low, high)
        return True

    def _hold_voltage(self, t_ns: int, number: int, volt: float) -> list[Event]:
        events = self._hold(self._limits.over_voltage, t_ns, number, volt)
        events += self._hold(self._limits.under_voltage, t_ns, number, volt)
        return events + self._spread(self._limits.voltage_spread, t_ns, number, volt)

    def _hold_temperature(self, t_ns: int, number: int, celsius: float) -> list[Event]:
        events = self._hold(self._limits.over_temperature, t_ns, number, celsius)
        return events + self._spread(self._limits.temperature_spread, t_ns, number, celsius)

    def _watch_runaway(self, t_ns: int, number: int, celsius: float) -> list[Event]:
        """Take a temperature; few rise as fast as that, and none falls that has not risen."""
        limit, alarm = self._limits.runaway, self._alarms["thermal_runaway"]
        rising = self._rises[number].feed(t_ns, celsius)
        if rising and number not in alarm.broken:
            drop = self._drops.get(_CELLS[number])
            dropped = drop is not None and t_ns - drop.dropped_ns <= _DROP_FRESH_NS
            if celsius >= limit.at or dropped:
                alarm.broken.add(number)
                return self._raise(limit, t_ns, number, celsius)
        elif number in alarm.broken:
            return self._release(limit, t_ns, number, celsius)
        return []

    def _spread(self, limit: Limit, t_ns: int, number: int, value: float) -> list[Event]:
        """Hold the largest difference between fresh values of one kind to its limit."""
        volt = _IS_VOLT[number]
        latest = self._latest[volt]
        latest[number] = (t_ns, value)
        low_ever, high_ever = self._extremes[volt]
        self._extremes[volt] = low_ever, high_ever = min(low_ever, value), max(high_ever, value)
        if high_ever - low_ever < limit.at and self._alarms[limit.alarm].idle:
            return []  # not even the extremes since they were last counted differ that much
        values = [v for _, v in latest.values()]
        self._extremes[volt] = (min(values), max(values))
        fresh = {n: v for n, (t, v) in latest.items() if t_ns - t <= _FRESH_NS}
        high, low = min(fresh, key=lambda n: (-fresh[n], n)), min(fresh, key=lambda n: (fresh[n], n))
        worst = low if volt else high
        return self._hold(limit, t_ns, -1, fresh[high] - fresh[low], cell=_CELLS[worst])

    def _hold(self, limit: Limit, t_ns: int, number: int, value: float, *, cell: int | None = None) -> list[Event]:
        """Hold one value of one source to a limit."""
        alarm = self._alarms[limit.alarm]
        if number in alarm.broken:
            if limit.level(value) > alarm.level:
                return self._raise(limit, t_ns, number, value, cell=cell)
            return self._release(limit, t_ns, number, value, cell=cell)
        if not limit.broken(value):
            if alarm.begun:
                alarm.begun.pop(number, None)
            return []
        since_ns = alarm.begun.setdefault(number, t_ns)
        if t_ns - since_ns > _FRESH_NS:
            alarm.begun[number] = since_ns = t_ns
        if t_ns - since_ns < (_PERSIST_NS if number >= 0 else _SPREAD_PERSIST_NS):
            return []
        del alarm.begun[number]
        alarm.broken.add(number)
        return self._raise(limit, since_ns, number, value, cell=cell)

    def _raise(self, limit: Limit, t_ns: int, number: int, value: float, *, cell: int | None = None) -> list[Event]:
        """Say it, unless it has been said at this level."""
        alarm, level = self._alarms[limit.alarm], limit.level(value)
        if level <= alarm.level:
            return []
        alarm.level = level
        return [_event(limit, t_ns, value, level=level, cell=_CELLS[number] if number >= 0 else cell)]

    def _release(self, limit: Limit, t_ns: int, number: int, value: float, *, cell: int | None = None) -> list[Event]:
        """Take a source off the alarm; the last one clears it."""
        alarm = self._alarms[limit.alarm]
        if not limit.released(value):
            alarm.calm.pop(number, None)
            return []
        since_ns = alarm.calm.setdefault(number, t_ns)
        if t_ns - since_ns < _CALM_NS:
            return []
        del alarm.calm[number]
        alarm.broken.discard(number)
        if alarm.broken:
            return []
        level, alarm.level = alarm.level, 0
        cell = _CELLS[number] if number >= 0 else cell
        return [_event(limit, since_ns, value, level=level, cell=cell, cleared=True)]


def _event(limit: Limit, t_ns: int, value: float, *, level: int, cell: int | None, cleared: bool = False) -> Event:
    return BatteryAlarm(
        t_ns=t_ns,
        alarm=limit.alarm,
        level=level,
        value=round(value, 3),
        limit=limit.at,
        unit=limit.unit,
        cell=cell,
        cleared=cleared,
        action="none" if cleared else alarm_action(limit.alarm, level),
    )
