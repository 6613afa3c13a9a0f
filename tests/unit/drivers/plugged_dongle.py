"""A simulated adapter in a simulated car, the source that reads it, and the clock of both."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

from agent.core import vss
from agent.core.config import Dongle as DongleConfig
from agent.core.signals import Samples
from drivers.elm327_serial import Elm327Source
from simulators.clock import ManualClock
from simulators.dongle import Dongle
from simulators.ecu import Ecu, Faults
from simulators.elm327 import Traits

VALUES = {
    vss.SPEED: 72.0,
    vss.ENGINE_SPEED: 2150.0,
    vss.THROTTLE: 20.0,
    vss.COOLANT_TEMPERATURE: 91.0,
    vss.LOW_VOLTAGE: 13.9,
    vss.AIR_TEMPERATURE: 21.0,
    vss.TRAVELED_DISTANCE: 123_456_700.0,
    "Vehicle.Powertrain.FuelSystem.RelativeLevel": 40.0,
    "Vehicle.Private.OBD.IntakeTemp": 30.0,
    "Vehicle.Private.OBD.BarometricPressure": 101.0,
}


def make_ecu(**options: Any) -> Ecu:
    return Ecu(lambda: VALUES, faults=Faults(stored=("P0133",), pending=("U0100", "C0123")), **options)


@asynccontextmanager
async def plugged(
    *ecus: Ecu, transport: Literal["pty", "tcp"] = "pty", traits: Traits | None = None, latency_s: float = 0.0
) -> AsyncIterator[tuple[Dongle, Elm327Source, ManualClock]]:
    dongle = Dongle(ecus or [make_ecu()], transport=transport, traits=traits, latency_s=latency_s)
    await dongle.start()
    clock = ManualClock()
    source = Elm327Source(DongleConfig(port=dongle.port, deadline_s=0.2, period_s=0.5), clock)
    try:
        yield dongle, source, clock
    finally:
        await source.close()
        await dongle.close()


async def read(source: Elm327Source, clock: ManualClock) -> dict[str, float]:
    task = asyncio.create_task(source.read_batch())
    await asyncio.sleep(0)
    while not task.done():
        await clock.advance(0.1)
    return by_path(source, await task)


def by_path(source: Elm327Source, samples: Samples) -> dict[str, float]:
    return {source.specs[n].path: float(v) for n, v in zip(samples.signal, samples.value, strict=True)}


async def read_many(source: Elm327Source, clock: ManualClock, count: int) -> dict[str, float]:
    seen: dict[str, float] = {}
    for _ in range(count):
        seen |= await read(source, clock)
    return seen


async def gather(source: Elm327Source) -> None:
    while True:
        await source.read_batch()
