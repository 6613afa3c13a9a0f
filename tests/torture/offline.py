"""Days without a network: every event is recorded while the road is cut, and delivered when it opens again.

The car's time is simulated, the network's is real: recording 72 hours takes as long as sealing the events does.
"""

import asyncio
import resource
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec

from agent.core.events import RoadImpact
from simulators.clock import ManualClock
from simulators.cloud import Cloud
from tests.scenario.delivery import Car, open_car

_BATCH: Final = 50  # the store's group commit
_SAMPLE_S: Final = 0.25
_STALLED_S: Final = 60.0
_PAGE: Final = resource.getpagesize()


@dataclass(frozen=True, slots=True)
class Offline:
    """What became of the events; memory in MB of this process, which holds car, road and receiver."""

    events: int
    lost: int
    invented: int
    out_of_order: int
    duplicates: int
    dead: int
    record_s: float
    deliver_s: float
    memory_start_mb: float
    memory_most_mb: float

    @property
    def is_sound(self) -> bool:
        """Whether everything arrived once in effect, in the car's order."""
        return not (self.lost or self.invented or self.out_of_order or self.dead)


async def run(directory: Path, *, events: int, hours: float = 72.0) -> Offline:
    """Record so many events over so many hours offline; then deliver them all."""
    async with Cloud(directory / "cloud") as cloud:
        link = msgspec.structs.replace(cloud.link_config("car1"), backoff_longest_s=0.5)
        cloud.cut()
        clock = ManualClock()
        async with open_car(cloud, directory, link, clock=clock) as car:
            begun_s = time.monotonic()
            await _record(car, clock, events, hours)
            recorded_s = time.monotonic()
            start_mb = _memory_mb()
            cloud.restore()
            most_mb = await _deliver(car)
            delivered_s = time.monotonic()
        times_ns = [event["event"]["t_ns"] for event in cloud.store.events("car1")]
        wanted = {_t_ns(number, events, hours) for number in range(events)}
        return Offline(
            events=events,
            lost=len(wanted - set(times_ns)),
            invented=len(times_ns) - len(wanted & set(times_ns)),
            out_of_order=sum(later <= earlier for earlier, later in pairwise(times_ns)),
            duplicates=cloud.outcomes["duplicate"],
            dead=cloud.counts().dead + cloud.counts().broken + cloud.counts().waiting,
            record_s=recorded_s - begun_s,
            deliver_s=delivered_s - recorded_s,
            memory_start_mb=start_mb,
            memory_most_mb=most_mb,
        )


async def _record(car: Car, clock: ManualClock, events: int, hours: float) -> None:
    for start in range(0, events, _BATCH):
        for number in range(start, min(start + _BATCH, events)):
            t_ns = _t_ns(number, events, hours)
            car.recorder.put(RoadImpact(t_ns=t_ns, peak_mps2=20.0, speed_kmh=float(number % 130)))
        await car.recorder.flush()
        await clock.advance_to(_t_ns(min(start + _BATCH, events), events, hours))


def _t_ns(number: int, events: int, hours: float) -> int:
    return round(number * hours * 3600e9 / events)


async def _deliver(car: Car) -> float:
    """Return the most memory used meanwhile; gives up where nothing is received for a minute."""
    most_mb = _memory_mb()

    async def watch() -> None:
        nonlocal most_mb
        while True:
            most_mb = max(most_mb, _memory_mb())
            await asyncio.sleep(_SAMPLE_S)

    watching = asyncio.create_task(watch())
    left = await car.uplink.drain(_STALLED_S)
    while left and left > (left := await car.uplink.drain(_STALLED_S)):
        pass
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    return most_mb


def _memory_mb() -> float:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE / 1e6
