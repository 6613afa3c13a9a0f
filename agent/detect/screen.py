"""Samples as detectors may take them: finite values, times that go forward. What is left out is remembered."""

from collections import deque

import numpy as np

from agent.core.signals import EMPTY_SERIES, Series
from agent.detect.pulse import LONG_AGO_NS


class Screen:
    """Lets pass what is finite and newer than what came before it in its signal.

    A clock that jumps back silences a signal until it has caught up; one that jumps forward leaves a gap.
    """

    def __init__(self) -> None:
        self._newest_ns: dict[str, int] = {}
        self._jumps_ns: deque[int] = deque(maxlen=32)

    def pass_on(self, path: str, series: Series) -> Series:
        """The good samples of a signal's new ones."""
        if not len(series):
            return series
        newest_ns = self._newest_ns.get(path, LONG_AGO_NS)
        t_ns, value = series.t_ns, series.value
        if t_ns[0] <= newest_ns or (t_ns[1:] <= t_ns[:-1]).any():
            reached = np.maximum.accumulate(np.maximum(t_ns, newest_ns))
            before = np.concatenate([[newest_ns], reached[:-1]])
            self._jumps_ns.extend(before[t_ns < before].tolist())  # the same time twice is no jump
            t_ns, value = t_ns[t_ns > before], value[t_ns > before]
            if not len(t_ns):
                return EMPTY_SERIES
        self._newest_ns[path] = int(t_ns[-1])
        if not np.isfinite(value).all():
            good = np.isfinite(value)
            t_ns, value = t_ns[good], value[good]
        return series if len(t_ns) == len(series) else Series(t_ns, value)

    def jumped(self, start_ns: int, end_ns: int) -> bool:
        """Whether the clock went back at a time between the two."""
        return any(start_ns <= t_ns <= end_ns for t_ns in self._jumps_ns)
