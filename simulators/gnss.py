"""The simulated car's GNSS receiver as the app sees it: a window's fixes at a time."""

import numpy as np

from agent.core import vss
from agent.core.ports import Clock
from agent.core.signals import SignalSpec
from simulators.windows import WINDOW_NS, WindowedSource
from simulators.world.types import Drive


class SimulatedGnss(WindowedSource):
    """A SampleSource of fixes at 1 to 10 Hz."""

    def __init__(self, drive: Drive, clock: Clock, *, start_ns: int = 0, window_ns: int = WINDOW_NS) -> None:
        specs = (
            SignalSpec(vss.LATITUDE, "degrees", -90, 90, 5.0),
            SignalSpec(vss.LONGITUDE, "degrees", -180, 180, 5.0),
            SignalSpec(vss.ALTITUDE, "m", -500, 10_000, 5.0),
            SignalSpec(vss.HEADING, "degrees", 0, 360, 5.0),
            SignalSpec(vss.HORIZONTAL_ACCURACY, "m", 0, 10_000, 5.0),
            SignalSpec(vss.GNSS_SPEED, "km/h", 0, 500, 5.0),
        )
        fixes = drive.gnss
        values = np.column_stack(
            [fixes.latitude, fixes.longitude, fixes.altitude_m, fixes.heading_deg, fixes.accuracy_m, fixes.speed_kmh]
        )
        super().__init__("gnss", specs, fixes.t_ns + start_ns, values, clock, window_ns=window_ns)
