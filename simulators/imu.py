"""The simulated car's IMU as the app sees it: batches of the drive's samples, as time passes."""

from collections.abc import Mapping, Sequence

import numpy as np

from agent.core import vss
from agent.core.ports import Clock
from agent.core.signals import Samples, SignalSpec, interleave
from simulators.windows import WINDOW_NS, Windows
from simulators.world.motion import GRAVITY
from simulators.world.types import Drive


class SimulatedImu:
    """A SampleSource of accelerations in m/s^2 and turning rates in degrees/s.

    Forward +, right +, up + as specific force: a standing car reads 0, 0, +9.81. Roll right side down +, pitch nose
    down +, yaw to the left +.
    """

    def __init__(self, drive: Drive, clock: Clock, *, start_ns: int = 0, window_ns: int = WINDOW_NS) -> None:
        self.name = "imu"
        full = drive.scenario.imu.range_g * GRAVITY
        self.specs: Sequence[SignalSpec] = (
            SignalSpec(vss.ACCELERATION_LONGITUDINAL, "m/s^2", -2 * full, 2 * full, 0.5),
            SignalSpec(vss.ACCELERATION_LATERAL, "m/s^2", -2 * full, 2 * full, 0.5),
            SignalSpec(vss.ACCELERATION_VERTICAL, "m/s^2", -2 * full, 2 * full, 0.5),
            SignalSpec(vss.ROLL_RATE, "degrees/s", -4000, 4000, 0.5),
            SignalSpec(vss.PITCH_RATE, "degrees/s", -4000, 4000, 0.5),
            SignalSpec(vss.YAW_RATE, "degrees/s", -4000, 4000, 0.5),
        )
        self._t_ns = drive.imu.t_ns + start_ns
        self._values = np.column_stack([drive.imu.acceleration, drive.imu.rotation])
        self._windows = Windows(self._t_ns, clock, window_ns=window_ns)

    async def open(self) -> None:
        """Nothing to open: the sensor is soldered in."""

    async def read_batch(self) -> Samples:
        """Wait for the next samples, those of one window. Raises EndOfSource after the last."""
        rows = await self._windows.next()
        return interleave(self._t_ns[rows], self._values[rows])

    async def close(self) -> None:
        """Nothing to let go of."""

    def counters(self) -> Mapping[str, int]:
        """Samples given so far."""
        return {"samples": self._windows.given}
