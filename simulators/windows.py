"""What is known of a whole drive, given away as time passes: a window at a time."""

from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.errors import EndOfSource
from agent.core.ports import Clock

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
