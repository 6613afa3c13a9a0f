"""The 12 V battery and what charges it. Speaks after minutes under load: smart alternators rest at 12.x V on purpose.

Limits of rest and load tests are published, those of charging second-hand (docs/sources.md 5); 24 V systems are twice.
"""

from typing import Final, Literal

from agent.core import vss
from agent.core.battery_actions import low_voltage_action
from agent.core.config import Detect
from agent.core.events import Event, LowVoltageAlarm
from agent.core.signals import SignalWindow
from agent.detect.streams import NS, in_order

_WEAK_CRANK_V: Final = 9.6
_RECOVERING_V: Final = 12.0
_FLAT_V, _LOW_V = 11.8, 12.06
_FLAT_NS, _LOW_NS = 10 * NS, 60 * NS
_CHARGING_V: Final = 13.2
_ALONE_V: Final = 12.4  # below what a smart alternator lets it rest at
_FALLING_NS, _ALONE_NS = 60 * NS, 300 * NS
_FALLEN_V: Final = 0.3
_HIGH_V, _HIGH_NS = 15.2, 60 * NS
_BACK_V: Final = 12.6
_TWICE_V: Final = 18.0
_GAP_NS: Final = 60 * NS
_RUNNING_KMH, _RUNNING_RPM = 3.0, 400.0
_RUNNING_NS: Final = 60 * NS  # a car at a light is still on

Alarm = Literal["weak_crank", "not_charging", "low", "flat", "over_voltage"]
_INPUTS: Final = (vss.SPEED, vss.ENGINE_SPEED, vss.LOW_VOLTAGE)


class _Span:
    """Since when a condition holds without a gap."""

    def __init__(self) -> None:
        self.since_ns: int | None = None
        self.first = 0.0

    def feed(self, t_ns: int, value: float, *, holds: bool) -> int:
        """Take a sample; for how long it has held, in ns."""
        if not holds:
            self.since_ns = None
            return 0
        if self.since_ns is None:
            self.since_ns, self.first = t_ns, value
        return t_ns - self.since_ns


class LowVoltageDetector:
    """Alarms of the low-voltage system, each told once until it is over."""

    inputs: tuple[str, ...] = _INPUTS

    def __init__(self, limits: Detect) -> None:  # noqa: ARG002  # what all detectors take
        self._running_ns = -_RUNNING_NS - 1
        self._last: tuple[int, float] | None = None
        self._charged_ns: int | None = None
        self._twice = 1.0
        self._dip, self._low, self._flat = _Span(), _Span(), _Span()
        self._uncharged, self._alone, self._high, self._back = _Span(), _Span(), _Span(), _Span()
        self._told: dict[Alarm, tuple[float, float]] = {}
        self._cranked = False
        self._dipped = 0

    def configure(self, limits: Detect) -> None:
        """Nothing here is configured."""

    def update(self, window: SignalWindow) -> list[Event]:
        """Judge the window's samples."""
        events: list[Event] = []
        for t_ns, order, value in in_order(window, _INPUTS):
            if order == 2:
                events += self._take(t_ns, value)
            elif value > (_RUNNING_RPM if order else _RUNNING_KMH):
                self._running_ns = t_ns
        return events

    def finish(self, t_ns: int) -> list[Event]:  # noqa: ARG002  # the protocol's signature
        """Nothing is left open."""
        return []

    def _take(self, t_ns: int, volt: float) -> list[Event]:
        if not 2.0 <= volt <= 36.0:
            return []  # no battery at all, or no value
        if self._last is not None and t_ns - self._last[0] > _GAP_NS:
            for span in (self._dip, self._low, self._flat, self._uncharged, self._alone, self._high, self._back):
                span.since_ns = None
            self._charged_ns = None
        if volt > _TWICE_V:
            self._twice = 2.0
        self._last = (t_ns, volt)
        return self._judge(t_ns, volt / self._twice)

    def _judge(self, t_ns: int, volt: float) -> list[Event]:
        running = t_ns - self._running_ns <= _RUNNING_NS
        events = self._crank(t_ns, volt)
        if volt >= _CHARGING_V:
            self._charged_ns = t_ns
        if self._flat.feed(t_ns, volt, holds=volt < _FLAT_V) >= _FLAT_NS:
            events += self._tell("flat", self._flat.since_ns, volt, _FLAT_V)
        if self._low.feed(t_ns, volt, holds=volt < _LOW_V and not running) >= _LOW_NS and "flat" not in self._told:
            events += self._tell("low", self._low.since_ns, volt, _LOW_V)
        alone = self._alone.feed(t_ns, volt, holds=running and volt < _ALONE_V)
        uncharged = self._uncharged.feed(t_ns, volt, holds=running and volt < _CHARGING_V)
        falling = uncharged >= _FALLING_NS and volt < min(_ALONE_V, self._uncharged.first - _FALLEN_V)
        if falling or alone >= _ALONE_NS:
            events += self._tell("not_charging", self._charged_ns or self._uncharged.since_ns, volt, _CHARGING_V)
        if self._high.feed(t_ns, volt, holds=volt > _HIGH_V) >= _HIGH_NS:
            events += self._tell("over_voltage", self._high.since_ns, volt, _HIGH_V)
        if self._back.feed(t_ns, volt, holds=_BACK_V < volt <= _HIGH_V) >= _FALLING_NS:
            events += self._take_back(t_ns, volt)
        return events

    def _crank(self, t_ns: int, volt: float) -> list[Event]:
        """A dip that is over, or has lasted for a second, is a starter's; one that stays is a flat battery's.

        A single sample counts where the next one still shows the battery recovering.
        """
        before = self._dip.since_ns
        samples, self._dipped = self._dipped, self._dipped + 1 if volt < _WEAK_CRANK_V else 0
        lasted = self._dip.feed(t_ns, volt, holds=volt < _WEAK_CRANK_V)
        if before is None:
            return []
        if volt >= _WEAK_CRANK_V:
            told, self._cranked = self._cranked, False
            seen = samples >= 2 or volt < _RECOVERING_V
            return self._tell("weak_crank", before, volt, _WEAK_CRANK_V) if seen and not told else []
        if lasted >= NS and not self._cranked:
            self._cranked = True
            return self._tell("weak_crank", before, volt, _WEAK_CRANK_V)
        return []

    def _tell(self, alarm: Alarm, since_ns: int | None, volt: float, limit: float) -> list[Event]:
        if since_ns is None or (alarm in self._told and alarm != "weak_crank"):
            return []
        self._told[alarm] = (volt, limit)
        return [self._event(alarm, since_ns, volt, limit)]

    def _take_back(self, t_ns: int, volt: float) -> list[Event]:
        """A minute at a healthy voltage ends what stands; charging ends only where it charges again."""
        over: list[Alarm] = [a for a in self._told if a not in {"weak_crank", "not_charging"} or volt >= _CHARGING_V]
        events: list[Event] = []
        for alarm in over:
            _, limit = self._told.pop(alarm)
            if alarm != "weak_crank":
                events.append(self._event(alarm, t_ns, volt, limit, cleared=True))
        return events

    def _event(self, alarm: Alarm, t_ns: int, volt: float, limit: float, *, cleared: bool = False) -> Event:
        twice = self._twice
        return LowVoltageAlarm(
            t_ns=t_ns,
            alarm=alarm,
            value=round(volt * twice, 2),
            limit=round(limit * twice, 2),
            cleared=cleared,
            action="none" if cleared else low_voltage_action(alarm),
        )
