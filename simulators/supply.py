"""What the simulated box measures of its own supply: the 12 V battery, also while the buses sleep."""

from typing import Final

import numpy as np

from agent.core import vss
from agent.core.ports import Clock
from drivers.supply import SPECS
from simulators.windows import WINDOW_NS, WindowedSource
from simulators.world.types import Drive

_PERIOD_NS: Final = 1_000_000_000
_LATE_NS: Final = 370_000_000  # beside what the bus tells of the same battery
_STEP_V: Final = 0.01


class SimulatedSupply(WindowedSource):
    """A SampleSource of the battery's voltage once a second."""

    def __init__(self, drive: Drive, clock: Clock, *, start_ns: int = 0, window_ns: int = WINDOW_NS) -> None:
        known_ns, volts = drive.signals[vss.LOW_VOLTAGE]
        t_ns = np.arange(_LATE_NS, drive.duration_ns, _PERIOD_NS, dtype=np.int64)
        rows = np.minimum(np.searchsorted(known_ns, t_ns), len(known_ns) - 1)
        values = np.round(volts[rows] / _STEP_V) * _STEP_V
        super().__init__("supply", SPECS, t_ns + start_ns, values[:, None], clock, window_ns=window_ns)
