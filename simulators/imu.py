"""The simulated car's IMU as the app sees it: batches of the drive's samples, as time passes."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from agent.core import vss
from agent.core.errors import EndOfSource
from agent.core.ports import Clock
from agent.core.signals import Samples, SignalSpec
from simulators.world.motion import GRAVITY
from simulators.world.types import Drive

WINDOW_NS: Final = 10_000_000


class SimulatedImu:
    """A SampleSource of accelerations in m/s^2 and turning rates in degrees/s.

    Forward +, right +, up + as specific force: a standing car reads 0, 0, +9.81. Roll right side down +, pitch nose
    down +, yaw to the left +.
    """

    def __init__(self, drive: Drive, clock: Clock, *, start_ns: int = 0) -> None:
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
        self._clock = clock
        self._next = 0

    async def open(self) -> None:
        """Nothing to open: the sensor is soldered in."""

    async def read_batch(self) -> Samples:
        """Wait for the next samples, a window of 10 ms at a time. Raises EndOfSource after the last."""
        if self._next >= len(self._t_ns):
            raise EndOfSource("the drive is over")
        await sleep_until_due(self._clock, int(self._t_ns[self._next]), WINDOW_NS)
        end = int(np.searchsorted(self._t_ns, self._clock.monotonic_ns(), side="right"))
        rows = slice(self._next, end)
        self._next = end
        return interleave(self._t_ns[rows], self._values[rows])

    async def close(self) -> None:
        """Nothing to let go of."""

    def counters(self) -> Mapping[str, int]:
        """Samples given so far."""
        return {"samples": self._next}


async def sleep_until_due(clock: Clock, due_ns: int, window_ns: int) -> None:
    """Wait for the end of the window in which due_ns lies, counted from the clock's zero; at once if that is past."""
    window_end_ns = -(-due_ns // window_ns) * window_ns
    await clock.sleep(max(0, window_end_ns - clock.monotonic_ns()) / 1e9)


def interleave(
    t_ns: np.ndarray[tuple[int], np.dtype[np.int64]], values: np.ndarray[tuple[int, int], np.dtype[np.float64]]
) -> Samples:
    """Valid samples, sorted by time, from rows of k signals at once: t_ns int64[n], values float64[n, k]."""
    count, width = values.shape
    return Samples(
        np.repeat(t_ns, width),
        np.tile(np.arange(width, dtype=np.int32), count),
        values.reshape(-1),
        np.zeros(count * width, np.uint8),
    )
