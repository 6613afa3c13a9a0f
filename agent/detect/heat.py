"""Thermal runaway of one temperature probe or cell, by the words of GB 38031-2025 (docs/sources.md 4)."""

from collections import deque
from math import inf
from typing import Final

from agent.detect.streams import NS

_BUCKET_NS: Final = NS // 4
_RATE_C_PER_S: Final = 1.0
_SPAN_NS: Final = 3 * NS
_HALF_NS: Final = 3 * NS // 2
_QUANTUM_C: Final = 0.5
_KEPT: Final = 24


class RiseWatch:
    """Whether a temperature has risen by at least 1 degC/s for 3 s.

    Both halves of the span must have risen, so that one wrong jump is no runaway; probes are quantised to 1 degC and
    come at 10 Hz to once in 30 s, so that the rate is taken between samples at least 1.5 s apart.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[int, float]] = deque(maxlen=_KEPT)
        self._floor = inf  # no kept value is lower

    def feed(self, t_ns: int, celsius: float) -> bool:
        """Take a sample."""
        samples = self._samples
        rising = False
        if celsius - self._floor >= _RATE_C_PER_S * 3:
            self._floor = min((v for _, v in samples), default=inf)
        if celsius - self._floor >= _RATE_C_PER_S * 3:
            middle = next((s for s in reversed(samples) if t_ns - s[0] >= _HALF_NS), None)
            start = next((s for s in reversed(samples) if t_ns - s[0] >= _SPAN_NS and s is not middle), None)
            if middle is not None and start is not None and start[0] < middle[0]:
                now = (t_ns, celsius)
                # The last one before must have risen as well: a single wrong sample is no runaway.
                rising = all(_rises(start, later) for later in (middle, samples[-1], now)) and _rises(middle, now)
        if not samples or t_ns // _BUCKET_NS != samples[-1][0] // _BUCKET_NS:
            samples.append((t_ns, celsius))
            self._floor = min(self._floor, celsius)
        return rising


def _rises(before: tuple[int, float], after: tuple[int, float]) -> bool:
    return after[1] - before[1] >= _RATE_C_PER_S * (after[0] - before[0]) / NS - _QUANTUM_C


class DropWatch:
    """Whether a cell's voltage has lost more than a quarter of what it had within the last minute.

    Of two samples in a row the one that says less counts: a single wrong one is no collapse, nor a height to fall from.
    """

    _SHARE: Final = 0.75
    _BUCKET_NS: Final = 10 * NS

    def __init__(self) -> None:
        self._highest: deque[tuple[int, float]] = deque(maxlen=6)
        self._ceiling = 0.0  # no kept value is higher
        self._before = inf
        self.dropped_ns = -(1 << 62)

    def feed(self, t_ns: int, volt: float) -> None:
        """Take a sample."""
        number = t_ns // self._BUCKET_NS
        volt, highest, self._before = min(volt, self._before), max(volt, self._before), volt
        while self._highest and number - self._highest[0][0] > 6:
            self._highest.popleft()
        if highest < self._SHARE * self._ceiling:
            self._ceiling = max((v for _, v in self._highest), default=0.0)
        if highest < self._SHARE * self._ceiling:
            self.dropped_ns = t_ns
        self._ceiling = max(self._ceiling, volt)
        if self._highest and self._highest[-1][0] == number:
            self._highest[-1] = (number, max(volt, self._highest[-1][1]))
        else:
            self._highest.append((number, volt))
