"""A recording's own clock, made fit for replay: it starts at zero and never goes back."""

from typing import Final

import numpy as np
import numpy.typing as npt

RESTART_NS: Final = 1_000_000_000  # a step back beyond this is a recorder that started again, not disorder
GAP_MAX_NS: Final = 24 * 3600 * 1_000_000_000  # a step forward beyond this is a wall clock being set


class Timeline:
    """Turns raw times into times of replay and counts what it had to mend.

    Small steps back (frames logged out of order) are held at the latest time so far. A step back beyond a second
    continues from there, and so does a step forward beyond a day. wrap_ns is the span of a counter that overflows:
    a step back of more than half of it is no fault and gets the span added.
    """

    def __init__(self, *, wrap_ns: int | None = None) -> None:
        self.backward_steps = 0
        self.clock_jumps = 0
        self._wrap_ns = wrap_ns
        self._raw_ns: int | None = None
        self._adjusted_ns = 0
        self._latest_ns = 0

    def advance(self, raw_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """int64[n] raw times in file order -> int64[n] times since the first one ever given, not decreasing."""
        if len(raw_ns) == 0:
            return raw_ns
        if self._raw_ns is None:
            self._raw_ns = int(raw_ns[0])
        steps = np.diff(raw_ns, prepend=np.int64(self._raw_ns))
        if self._wrap_ns is not None:
            steps[steps < -(self._wrap_ns // 2)] += self._wrap_ns
        jumps = steps > GAP_MAX_NS
        self.backward_steps += int(np.count_nonzero(steps < 0))
        self.clock_jumps += int(np.count_nonzero(jumps))
        steps[jumps | (steps < -RESTART_NS)] = 0
        adjusted = np.cumsum(steps) + self._adjusted_ns
        t_ns = np.maximum(np.maximum.accumulate(adjusted), self._latest_ns)
        self._raw_ns = int(raw_ns[-1])
        self._adjusted_ns = int(adjusted[-1])
        self._latest_ns = int(t_ns[-1])
        return t_ns
