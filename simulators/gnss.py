"""The simulated car's GNSS receiver as the app sees it: a window's fixes at a time."""

from collections.abc import Mapping, Sequence

import numpy as np

from agent.core import vss
from agent.core.ports import Clock
from agent.core.signals import Samples, SignalSpec, interleave
from simulators.windows import WINDOW_NS, Windows
from simulators.world.types import Drive


class SimulatedGnss:
    """A SampleSource of fixes at 1 to 10 Hz."""

    def __init__(self, drive: Drive, clock: Clock, *, start_ns: int = 0, window_ns: int = WINDOW_NS) -> None:
        self.name = "gnss"
        self.specs: Sequence[SignalSpec] = (
            SignalSpec(vss.LATITUDE, "degrees", -90, 90, 5.0),
            SignalSpec(vss.LONGITUDE, "degrees", -180, 180, 5.0),
            SignalSpec(vss.ALTITUDE, "m", -500, 10_000, 5.0),
            SignalSpec(vss.HEADING, "degrees", 0, 360, 5.0),
            SignalSpec(vss.HORIZONTAL_ACCURACY, "m", 0, 10_000, 5.0),
            SignalSpec(vss.GNSS_SPEED, "km/h", 0, 500, 5.0),
        )
        fixes = drive.gnss
        self._t_ns = fixes.t_ns + start_ns
        self._values = np.column_stack(
            [fixes.latitude, fixes.longitude, fixes.altitude_m, fixes.heading_deg, fixes.accuracy_m, fixes.speed_kmh]
        )
        self._windows = Windows(self._t_ns, clock, window_ns=window_ns)

    async def open(self) -> None:
        """Nothing to open."""

    async def read_batch(self) -> Samples:
        """Wait for the next fixes, those of one window. Raises EndOfSource after the last."""
        rows = await self._windows.next()
        return interleave(self._t_ns[rows], self._values[rows])

    async def close(self) -> None:
        """Nothing to let go of."""

    def counters(self) -> Mapping[str, int]:
        """Fixes given so far."""
        return {"fixes": self._windows.given}
