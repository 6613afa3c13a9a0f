"""Which moments a drive offers for a word that can wait: a standing car, the end of a trip."""

from typing import Final

from agent.core.events import Event, TripEnded
from agent.core.signals import SignalWindow
from agent.core.vss import LOW_VOLTAGE_STATE, SPEED
from agent.voice.scene_file import Moment

_MOVING_KMH: Final = 3.0
_STANDS_NS: Final = 3 * 10**9  # shorter, and it may be a junction
_KNOWN_NS: Final = 10 * 10**9  # of a speed that is older nobody knows
_LINGERS_NS: Final = 180 * 10**9  # a driver who has arrived gets out; ours, not a standard's
_ON: Final = 4.0  # of Vehicle.LowVoltageSystemState


class Moments:
    """Looks at speed, ignition and trips. Time comes from the data alone; a car that does not tell never stands."""

    def __init__(self) -> None:
        self._speed_ns = 0
        self._stands_since_ns: int | None = None
        self._ended_ns: int | None = None
        self._on = False
        self._t_ns = 0
        self._told: frozenset[Moment] = frozenset({"any"})

    def update(self, window: SignalWindow) -> bool:
        """Look at the window's new samples; whether there are other moments than before."""
        self._t_ns = window.t_ns
        speed = window.new(SPEED)
        if len(speed.t_ns):
            moving = speed.t_ns[speed.value >= _MOVING_KMH]
            standing = speed.t_ns[speed.value < _MOVING_KMH]
            if len(moving):
                self._ended_ns = None
                after = standing[standing > moving[-1]]
                self._stands_since_ns = int(after[0]) if len(after) else None
            elif self._stands_since_ns is None:
                self._stands_since_ns = int(standing[0])
            self._speed_ns = int(speed.t_ns[-1])
        state = window.new(LOW_VOLTAGE_STATE)
        for t_ns, value in zip(state.t_ns.tolist(), state.value.tolist(), strict=True):
            if self._on and 0 < value < _ON and self._stands_since_ns is not None:
                self._ended_ns = t_ns
            self._on = value >= _ON if value > 0 else self._on
        before, self._told = self._told, self.at(window.t_ns)
        return self._told != before

    def on_event(self, event: Event) -> None:
        """A trip that has ended is the last word on it."""
        if isinstance(event, TripEnded) and self._stands_since_ns is not None:
            self._ended_ns = max(event.t_ns, self._t_ns)

    def at(self, t_ns: int) -> frozenset[Moment]:
        """Every moment that it is now."""
        moments: set[Moment] = {"any"}
        if self._stands_since_ns is not None:
            stood_ns = self._speed_ns - self._stands_since_ns
            if stood_ns >= _STANDS_NS and t_ns - self._speed_ns <= _KNOWN_NS:
                moments.add("standing")
        if self._ended_ns is not None and 0 <= t_ns - self._ended_ns <= _LINGERS_NS:
            moments |= {"standing", "trip_end"}
        return frozenset(moments)
