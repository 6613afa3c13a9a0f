"""Kernel stamps, which are of the wall clock, to monotonic time: whatever happens to the wall clock in between."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.ports import Clock
from drivers.socketcan_receive import Received

_NS_PER_S: Final = 1_000_000_000
_SLACK_NS: Final = 2_000_000  # two clocks cannot be read at once
_DRIFT_NS: Final = 1_000_000  # less is no step, but two readings of the clocks
_READINGS: Final = 3
_GAP_NS: Final = 50_000
_running_max: Final = np.maximum.accumulate


class Timeline:
    """The time of every frame: never before the frame ahead of it, never after it was read.

    window_ns: how far the wall clock may move while nothing is received, and it is still no step. since_ns: when the
    queue was last seen empty, kept by the one who looks.
    """

    def __init__(self, clock: Clock, window_ns: int) -> None:
        self._clock = clock
        self._window_ns = window_ns
        self._second = -1  # of the wall clock; that of no stamp
        self._to_monotonic = np.zeros(1, np.int64)  # from the nanoseconds of that second
        self.restart()

    def restart(self) -> None:
        """Nothing was received before now."""
        self.since_ns, self._offset_ns = self._read_clocks()
        self._latest_ns, self._second = self.since_ns, -1

    def follow(self) -> None:
        """Follow the wall clock after a silence."""
        _, offset_ns = self._read_clocks()
        if abs(offset_ns - self._offset_ns) < self._window_ns:
            self._offset_ns, self._second = offset_ns, -1

    def stamp(self, received: Received) -> npt.NDArray[np.int64]:
        """Times of all that was received, int64[count]. Call it at once, for the time of reading is taken here."""
        count, seconds = received.count, received.seconds
        wall_ns = self._clock.wall_ns()
        now_ns = self._clock.monotonic_ns()
        # The quick way, all but once a second: no clock was set, and the second is that of the stamps between, too.
        if -_GAP_NS < now_ns - wall_ns - self._offset_ns < _GAP_NS and (
            self._second == seconds.item(0) == seconds.item(count - 1)
        ):
            t_ns = _running_max(received.nanoseconds[:count] + self._to_monotonic)
            first_ns, last_ns = t_ns.item(0), t_ns.item(-1)
            if first_ns >= self._latest_ns and first_ns >= self.since_ns - _SLACK_NS and last_ns <= now_ns:
                self._latest_ns = last_ns
                return t_ns
        t_ns = self._stamp_with_care(received)
        self._latest_ns = t_ns.item(-1)
        return t_ns

    def _stamp_with_care(self, received: Received) -> npt.NDArray[np.int64]:
        now_ns, offset_ns = self._read_clocks()
        stepped = abs(offset_ns - self._offset_ns) > _DRIFT_NS
        offsets_ns = (offset_ns, self._offset_ns) if stepped else (offset_ns,)
        self._offset_ns = offset_ns
        self._second = received.seconds.item(received.count - 1)
        self._to_monotonic.fill(self._second * _NS_PER_S + offset_ns)
        return to_monotonic(
            received.seconds[: received.count] * _NS_PER_S + received.nanoseconds[: received.count],
            now_ns=now_ns,
            since_ns=self.since_ns,
            latest_ns=self._latest_ns,
            offsets_ns=offsets_ns,
        )

    def _read_clocks(self) -> tuple[int, int]:
        """(Monotonic time, monotonic minus wall time). Read again if this process was held up between the two."""
        best_ns, offset_ns, after_ns = 1 << 62, 0, 0
        for _ in range(_READINGS):
            before_ns = self._clock.monotonic_ns()
            wall_ns = self._clock.wall_ns()
            after_ns = self._clock.monotonic_ns()
            gap_ns = after_ns - before_ns
            if gap_ns < best_ns:
                best_ns, offset_ns = gap_ns, before_ns + gap_ns // 2 - wall_ns
            if gap_ns <= _GAP_NS:
                break
        return after_ns, offset_ns


def to_monotonic(
    wall_ns: npt.NDArray[np.int64], *, now_ns: int, since_ns: int, latest_ns: int, offsets_ns: Sequence[int]
) -> npt.NDArray[np.int64]:
    """Kernel stamps int64[n] (wall clock, ns since 1970) -> monotonic times in latest_ns..now_ns, not decreasing.

    since_ns: when the queue was last seen empty; latest_ns: time of the frame before. offsets_ns: monotonic minus wall
    time, now and, if the wall clock was set in between, at the last reading. Of the times these allow the latest that
    lies within since_ns..now_ns is taken, or else now_ns: so a step moves a frame at most to the moment of its reading.
    """
    earliest_ns, last_ns = since_ns - _SLACK_NS, now_ns + _SLACK_NS
    t_ns = wall_ns + offsets_ns[0]
    in_order = _running_max(t_ns)
    if len(offsets_ns) > 1 or t_ns.item(0) < earliest_ns or in_order.item(-1) > last_ns:
        t_ns.fill(now_ns)
        for offset_ns in sorted(offsets_ns):
            guess_ns = wall_ns + offset_ns
            np.copyto(t_ns, guess_ns, where=(guess_ns >= earliest_ns) & (guess_ns <= last_ns))
        in_order = _running_max(t_ns)
    return np.clip(in_order, latest_ns, max(now_ns, latest_ns))
