"""Whether somebody is in the car: a parked car that was hit is asked about once its driver is back."""

from typing import Final

from agent.core.events import Collision
from agent.core.signals import Series, SignalWindow
from agent.core.vss import LOW_VOLTAGE_STATE, SEATS, SPEED, seat_belted, seat_occupied

_MOVING_KMH: Final = 3.0
_ON: Final = 4.0  # of Vehicle.LowVoltageSystemState
_OFF: Final = 2.0
_LINGERS_NS: Final = 120 * 10**9  # a red light, a level crossing; ours, not a standard's


class Presence:
    """Remembers the last sign of a person at the wheel: the car moved, the driver's belt, the ignition.

    The sign lasts two minutes, or until the car tells that it was switched off. Time comes from the data alone.
    """

    def __init__(self) -> None:
        self._seen_ns: int | None = None
        self._off_ns: int | None = None
        self._others_ns: int | None = None
        self._belt = seat_belted(SEATS[0])
        self._others = [path(seat) for seat in SEATS[1:] for path in (seat_belted, seat_occupied)]

    def update(self, window: SignalWindow) -> bool:
        """Look at the window's new samples; whether somebody came, when there was nobody before."""
        before = self.there(window.t_ns)
        state = window.new(LOW_VOLTAGE_STATE)
        signs = [
            _last(window.new(SPEED), _MOVING_KMH),
            _last(window.new(self._belt), 1.0),
            _last(state, _ON),
        ]
        self._seen_ns = max((t_ns for t_ns in (*signs, self._seen_ns) if t_ns is not None), default=None)
        others = [_last(window.new(path), 1.0) for path in self._others if path in window.paths()]
        self._others_ns = max((t_ns for t_ns in (*others, self._others_ns) if t_ns is not None), default=None)
        off = state.t_ns[(state.value > 0) & (state.value <= _OFF)]  # 0 is "undefined"
        self._off_ns = int(off[-1]) if len(off) else self._off_ns
        return self.there(window.t_ns) and not before

    def there(self, t_ns: int) -> bool:
        """Whether somebody was seen of late."""
        if self._seen_ns is None or (self._off_ns is not None and self._off_ns > self._seen_ns):
            return False
        return t_ns - self._seen_ns <= _LINGERS_NS

    def is_shared(self, t_ns: int) -> bool:
        """Whether somebody beside the driver is known to be in the car."""
        return self._others_ns is not None and t_ns - self._others_ns <= _LINGERS_NS

    def was_empty(self, collision: Collision) -> bool:
        """Whether nobody is known to have been in the car that was hit."""
        aboard = (collision.occupants or 0) + (collision.belted or 0)
        return aboard == 0 and not self.there(collision.t_ns)


def _last(series: Series, least: float) -> int | None:
    found = series.t_ns[series.value >= least]
    return int(found[-1]) if len(found) else None
