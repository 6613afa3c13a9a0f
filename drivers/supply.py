"""The box's own supply voltage, from an attribute file of Linux' IIO or hwmon."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from agent.core import vss
from agent.core.ports import Clock
from agent.core.signals import Samples, SignalSpec, interleave
from agent.core.supply import Supply
from drivers.iio_sysfs import Attributes

SPECS: Final = (SignalSpec(vss.LOW_VOLTAGE, "V", minimum=0, maximum=40, stale_after_s=30.0),)


class SupplySource:
    """A SampleSource of `Vehicle.LowVoltageBattery.CurrentVoltage`, once a period.

    A box on the battery's permanent plus sees it fall while the car sleeps and its buses say nothing. An attribute that
    is not there, cannot be read or is no number is a SourceLost that names it.
    """

    specs: Sequence[SignalSpec] = SPECS

    def __init__(self, supply: Supply, clock: Clock) -> None:
        path = Path(supply.path)
        self.name = f"supply:{path.name}"
        self._supply = supply
        self._attribute = path.name
        self._folder = Attributes(path.parent)
        self._clock = clock
        self._read = 0

    async def open(self) -> None:
        """Look whether it can be read. Raises SourceLost."""
        await self._volts()

    async def read_batch(self) -> Samples:
        """Wait a period, and read. Raises SourceLost."""
        await self._clock.sleep(self._supply.period_s)
        volts = await self._volts()
        self._read += 1
        return interleave(np.array([self._clock.monotonic_ns()], np.int64), np.array([[volts]]))

    async def close(self) -> None:
        """Nothing to let go of."""

    def counters(self) -> Mapping[str, int]:
        """How often it was read."""
        return {"read": self._read}

    async def _volts(self) -> float:
        """Converters behind I2C take milliseconds: not on the loop."""
        counts = await asyncio.to_thread(self._folder.number, self._attribute)
        return counts * self._supply.volts_per_count + self._supply.drop_v
