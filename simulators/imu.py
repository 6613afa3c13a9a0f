"""The simulated car's IMU as the app sees it: batches of the drive's samples, as time passes."""

import numpy as np

from agent.core import vss
from agent.core.ports import Clock
from agent.core.signals import SignalSpec
from simulators.windows import WINDOW_NS, WindowedSource
from simulators.world.motion import GRAVITY
from simulators.world.types import Drive


class SimulatedImu(WindowedSource):
    """A SampleSource of accelerations in m/s^2 and turning rates in degrees/s.

    Forward +, right +, up + as specific force: a standing car reads 0, 0, +9.81. Roll right side down +, pitch nose
    down +, yaw to the left +.
    """

    def __init__(self, drive: Drive, clock: Clock, *, start_ns: int = 0, window_ns: int = WINDOW_NS) -> None:
        full = drive.scenario.imu.range_g * GRAVITY
        specs = (
            SignalSpec(vss.ACCELERATION_LONGITUDINAL, "m/s^2", -2 * full, 2 * full, 0.5),
            SignalSpec(vss.ACCELERATION_LATERAL, "m/s^2", -2 * full, 2 * full, 0.5),
            SignalSpec(vss.ACCELERATION_VERTICAL, "m/s^2", -2 * full, 2 * full, 0.5),
            SignalSpec(vss.ROLL_RATE, "degrees/s", -4000, 4000, 0.5),
            SignalSpec(vss.PITCH_RATE, "degrees/s", -4000, 4000, 0.5),
            SignalSpec(vss.YAW_RATE, "degrees/s", -4000, 4000, 0.5),
        )
        values = np.column_stack([drive.imu.acceleration, drive.imu.rotation])
        super().__init__("imu", specs, drive.imu.t_ns + start_ns, values, clock, window_ns=window_ns)
