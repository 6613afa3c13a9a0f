"""The agent's IMU driver alone, run in the guest with the packaged Python modules: `imureader.py RATE_HZ SECONDS`.

Prints one JSON object of what came from the simulated chip (chip/simulated_imu.c), which numbers its scans.
"""

import asyncio
import json
import sys
import time
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.config import Imu
from agent.core.vss import ACCELERATION_LONGITUDINAL, ACCELERATION_VERTICAL, YAW_RATE
from drivers.clock import SystemClock
from drivers.imu_iio import ImuSource
from drivers.imu_mount import FixedMount

Floats = npt.NDArray[np.float64]

_COUNT_MPS2: Final = 0.004788403  # of +-16 g over 16 bits
_NUMBERS: Final = 16_384  # the chip's scan numbers begin again there


async def main(rate_hz: int, seconds: float) -> None:
    """Read so long, then say what came."""
    source = ImuSource(Imu(device="simulated-imu", rate_hz=rate_hz), SystemClock(), FixedMount())
    places = {spec.path: place for place, spec in enumerate(source.specs)}
    t_ns: list[npt.NDArray[np.int64]] = []
    columns: dict[str, list[Floats]] = {
        path: [] for path in (ACCELERATION_LONGITUDINAL, ACCELERATION_VERTICAL, YAW_RATE)
    }
    ages_ns: list[int] = []
    await source.open()
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        samples = await source.read_batch()
        ages_ns.append(time.clock_gettime_ns(time.CLOCK_BOOTTIME) - int(samples.t_ns[-1]))
        for path, column in columns.items():
            rows = samples.signal == places[path]
            column.append(samples.value[rows])
            if path == ACCELERATION_LONGITUDINAL:
                t_ns.append(samples.t_ns[rows])
    await source.close()
    times = np.concatenate(t_ns)
    numbers = np.rint(np.concatenate(columns[ACCELERATION_LONGITUDINAL]) / _COUNT_MPS2).astype(np.int64)
    steps = np.diff(numbers) % _NUMBERS
    sys.stdout.write(
        json.dumps(
            {
                "scans": len(times),
                "first": int(numbers[0]),
                "missing": int((steps - 1).sum()),
                "period_us": float(np.median(np.diff(times)) / 1000),
                "period_spread_us": float(np.ptp(np.diff(times)[steps == 1]) / 1000),
                "age_max_ms": max(ages_ns) / 1e6,
                "vertical_mps2": float(np.median(np.concatenate(columns[ACCELERATION_VERTICAL]))),
                "turns": len(np.concatenate(columns[YAW_RATE])),
                "counters": dict(source.counters()),
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
