"""What is known of a whole drive, given away as time passes: a window at a time."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.errors import EndOfSource
from agent.core.ports import Clock
from agent.core.signals import Samples, SignalSpec, interleave

WINDOW_NS: Final = 200_000_000  # what happens within one is told at its end, at every pace alike


class Windows:
    """Rows at t_ns int64[n], not decreasing, on the clock's time; windows count from the clock's zero."""

    def __init__(self, t_ns: npt.NDArray[np.int64], clock: Clock, *, window_ns: int = WINDOW_NS) -> None:
        self.given = 0
        self._t_ns = t_ns
        self._clock = clock
        self._window_ns = window_ns

    def __bool__(self) -> bool:
        """Whether there are more."""
        return self.given < len(self._t_ns)

    async def next(self) -> slice:
        """Wait for the end of the next window that has rows. Raises EndOfSource after the last."""
        if not self:
            raise EndOfSource("the drive is over")
        end_ns = -(-int(self._t_ns[self.given]) // self._window_ns) * self._window_ns
        await self._clock.sleep(max(0, end_ns - self._clock.monotonic_ns()) / 1e9)
        first, self.given = self.given, int(np.searchsorted(self._t_ns, self._clock.monotonic_ns(), side="right"))
        return slice(first, self.given)


class WindowedSource:
    """A SampleSource of a drive: rows of values float64[n, len(specs)] at t_ns int64[n], a window of them at a time."""

    def __init__(
        self,
        name: str,
        specs: Sequence[SignalSpec],
        t_ns: npt.NDArray[np.int64],
        values: npt.NDArray[np.float64],
        clock: Clock,
        *,
        window_ns: int,
    ) -> None:
        self.name = name
        self.specs = specs
        self.t_ns = t_ns
        self.values = values
        self._windows = Windows(t_ns, clock, window_ns=window_ns)

    def samples(self, rows: slice) -> Samples:
        """What these rows say."""
        return interleave(self.t_ns[rows], self.values[rows])

    async def open(self) -> None:
        """Nothing to open."""

    async def read_batch(self) -> Samples:
        """Wait for the next rows, those of one window. Raises EndOfSource after the last."""
        return self.samples(await self._windows.next())

    async def close(self) -> None:
        """Nothing to let go of."""

    def counters(self) -> Mapping[str, int]:
        """Rows given so far."""
        return {"rows": self._windows.given}
