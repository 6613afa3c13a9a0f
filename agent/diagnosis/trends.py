"""What is learnt of the mixture while driving: at idle, under load, and whether it changed."""

from math import exp
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from agent.core import vss
from agent.core.signals import SignalWindow
from agent.detect.engine_seconds import EngineSeconds, Second

_CLOSED_LOOP_C: Final = 60.0
_NOW_S: Final = 120.0  # time constant of what holds now
_LONG_S: Final = 36_000.0  # and of what held before, over many drives
_KNOWN_S: Final = 1800  # of what held before, until a change from it says anything
_SEEN_S: Final = 60  # of a condition, before it says anything
_IDLE_RPM: Final = 1200.0
_IDLE_KMH: Final = 2.0
_LOAD_RPM: Final = 1600.0
_LOAD_KMH: Final = 30.0


class _State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    v: int = 1
    seconds: Annotated[int, Meta(ge=0, le=10**9)] = 0
    percent: Annotated[float, Meta(ge=-200, le=200)] = 0.0


class _Mean:
    """An exponential mean over seconds; a plain one until its time constant has passed."""

    def __init__(self, tau_s: float, seconds: int = 0, value: float = 0.0) -> None:
        self._tau_s = tau_s
        self.seconds = seconds
        self.value = value

    def add(self, value: float) -> None:
        self.seconds += 1
        self.value += (value - self.value) * max(1 / self.seconds, 1 - exp(-1 / self._tau_s))


class Trends:
    """Means of both fuel trims of bank 1 together, in percent, of a warm running engine. Of a fixed size.

    What held before is remembered across starts: a leak that came with a repair shows on the first drive after it.
    """

    def __init__(self, state: bytes = b"") -> None:
        """state: what `state` gave; anything else is forgotten, and learnt anew."""
        kept = _parse(state)
        self._seconds = EngineSeconds()
        self._idle = _Mean(_NOW_S)
        self._load = _Mean(_NOW_S)
        self._now = _Mean(_NOW_S)
        self._before = _Mean(_LONG_S, kept.seconds, kept.percent)

    @property
    def seconds(self) -> int:
        """How long it has learnt, earlier starts included."""
        return self._before.seconds

    def state(self) -> bytes:
        """To be kept for the next start."""
        return msgspec.json.encode(_State(seconds=self._before.seconds, percent=round(self._before.value, 4)))

    def update(self, window: SignalWindow) -> None:
        """Take a window."""
        for second in self._seconds.feed(window):
            if second.running:
                self._take(second)

    def figures(self) -> dict[str, float]:
        """What is known, by the names of rules.TrendFigure.

        trim_idle, trim_load: the mean there; trim_idle_excess, trim_load_excess: how much larger it is there than at
        the other; trim_change: now against many hours before; trim_size: how large it is now, whichever way.
        """
        figures: dict[str, float] = {}
        if self._idle.seconds >= _SEEN_S:
            figures["trim_idle"] = self._idle.value
        if self._load.seconds >= _SEEN_S:
            figures["trim_load"] = self._load.value
        if len(figures) == 2:
            figures["trim_idle_excess"] = self._idle.value - self._load.value
            figures["trim_load_excess"] = self._load.value - self._idle.value
        if self._now.seconds >= _SEEN_S:
            figures["trim_size"] = abs(self._now.value)
        if self._now.seconds >= _SEEN_S and self._before.seconds >= _KNOWN_S:
            figures["trim_change"] = self._now.value - self._before.value
        return figures

    def _take(self, second: Second) -> None:
        long = second.values.get(vss.LONG_TERM_FUEL_TRIM)
        if long is None or second.values.get(vss.COOLANT_TEMPERATURE, _CLOSED_LOOP_C) < _CLOSED_LOOP_C:
            return
        percent = long + second.values.get(vss.SHORT_TERM_FUEL_TRIM, 0.0)
        rpm, kmh = second.values[vss.ENGINE_SPEED], second.values.get(vss.SPEED)
        if kmh is not None and kmh < _IDLE_KMH and rpm < _IDLE_RPM:
            self._idle.add(percent)
        elif kmh is not None and kmh >= _LOAD_KMH and rpm >= _LOAD_RPM:
            self._load.add(percent)
        self._now.add(percent)
        self._before.add(percent)


def _parse(state: bytes) -> _State:
    try:
        kept = msgspec.json.decode(state, type=_State) if state else _State()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _State()
    return kept if kept.v == 1 else _State()
