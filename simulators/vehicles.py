"""Thousands of vehicles against one broker and the real receiver, on this machine.

Each vehicle is the agent's real seal, chain and uplink over its own mutual TLS connection; its outbox is in memory and
its events are made up, so that the load is on what the vehicles share. They come over the first fifth of the time.
"""

import asyncio
import multiprocessing
import random
import resource
import time
from bisect import insort
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from numpy.typing import NDArray

from agent.core.config import Link
from agent.core.errors import InputError
from agent.core.events import Event, HarshDriving, Priority, RoadImpact
from agent.core.records import GENESIS, Header, Position, Range, SealedRecord, encode_event
from agent.link.uplink import Uplink
from agent.store.seal import Sealer
from drivers.clock import SystemClock
from drivers.keystore import FileKeystore

_ARRIVAL: Final = 0.2  # of the time
_DRAIN_S: Final = 90.0
_FILES_PER_VEHICLE: Final = 2  # one socket, and a spare
_TELLS_MAX: Final = 100_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What one process of vehicles does. period_s: mean time between two events of a vehicle."""

    vehicles: Sequence["Identity"]
    insurer_key: bytes  # raw X25519
    receipt_key: bytes  # raw Ed25519
    duration_s: float
    period_s: float
    seed: int


@dataclass(frozen=True, slots=True)
class Identity:
    """A vehicle's name, its raw Ed25519 private key, and its way to the broker."""

    device: str
    key: bytes
    link: Link


@dataclass(frozen=True, slots=True)
class Told:
    """What a process of vehicles did: events a vehicle, seconds from an event to its receipt, and cuts."""

    events: dict[str, int]
    waits_s: NDArray[np.float64]
    left: int
    cuts: int
    peak_rss_mb: float


def drive(plan: Plan) -> Told:
    """Run one process's vehicles to their end."""
    return asyncio.run(_drive(plan))


def spread(plans: Sequence[Plan]) -> list[Told]:
    """Run the plans, each in a process of its own."""
    with ProcessPoolExecutor(len(plans), mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(drive, plans))


def allow_connections(count: int) -> None:
    """Raise this process's limit of open files, which its children take over. Raises InputError where it may not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count * _FILES_PER_VEHICLE + 256
    if soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise InputError(f"--vehicles {count}: needs {wanted} open files, {hard} are allowed (ulimit -n)")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@dataclass(slots=True)
class _MemoryOutbox:
    """The outbox's part that the uplink needs, for one boot: (priority, sequence, record) in sending order."""

    on_gone: Callable[[SealedRecord], None]
    waiting: list[tuple[Priority, int, SealedRecord]] = field(default_factory=list)

    def add(self, record: SealedRecord) -> None:
        insort(self.waiting, (record.priority, record.sequence, record))

    async def peek(self, after: Position | None, count_max: int) -> list[SealedRecord]:
        places = [record.position for _, _, record in self.waiting]
        start = places.index(after) + 1 if after in places else 0
        return [record for _, _, record in self.waiting[start : start + count_max]]

    async def forget(self, ranges: Sequence[Range]) -> int:
        here = {sequence: record for _, sequence, record in self.waiting}
        gone: set[int] = set()
        for part in ranges:
            if part.last in here and here[part.last].digest == part.digest:
                gone.update(sequence for sequence in here if part.first <= sequence <= part.last)
        self.waiting = [entry for entry in self.waiting if entry[1] not in gone]
        for sequence in sorted(gone):
            self.on_gone(here[sequence])
        return len(gone)

    async def pending(self) -> int:
        return len(self.waiting)


class _Vehicle:
    def __init__(self, identity: Identity, plan: Plan, chance: random.Random) -> None:
        keystore = FileKeystore(Ed25519PrivateKey.from_private_bytes(identity.key), identity.device)
        self.told = 0
        self.waits_s: list[float] = []
        self.outbox = _MemoryOutbox(on_gone=self._note_gone)
        self._sealer = Sealer(keystore, [X25519PublicKey.from_public_bytes(plan.insurer_key)])
        self._device = identity.device
        self._previous = GENESIS
        self._told_at_s: dict[int, float] = {}
        self._chance = chance
        self._offset_ns = time.time_ns() - time.monotonic_ns()
        self.uplink = Uplink(
            identity.link,
            self.outbox,
            device=identity.device,
            receipt_key=plan.receipt_key,
            clock=SystemClock(),
            uniform=chance.random,
        )

    async def run(self, arrival_s: float, end_s: float, period_s: float) -> None:
        """Come, tell until the end, and stay until everything is received."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(arrival_s - loop.time())
        uplink = asyncio.create_task(self.uplink.run())
        while loop.time() < end_s and self.told < _TELLS_MAX:
            self._tell(_make_event(self._chance))
            await asyncio.sleep(min(self._chance.expovariate(1 / period_s), max(0.0, end_s - loop.time())))
        await self.uplink.drain(_DRAIN_S)
        uplink.cancel()
        with suppress(asyncio.CancelledError):
            await uplink

    def _tell(self, event: Event) -> None:
        self.told += 1
        header = Header(
            device=self._device, boot=1, sequence=self.told, priority=event.priority, previous=self._previous
        )
        content = encode_event(
            event, position=header.position, wall_offset_ns=self._offset_ns, agent_version="simulated"
        )
        record = self._sealer.seal(content, header)
        self._previous = record.digest
        self._told_at_s[self.told] = time.monotonic()
        self.outbox.add(record)
        self.uplink.wake()

    def _note_gone(self, record: SealedRecord) -> None:
        self.waits_s.append(time.monotonic() - self._told_at_s.pop(record.sequence))


def _make_event(chance: random.Random) -> Event:
    now_ns, speed_kmh = time.monotonic_ns(), chance.uniform(20, 120)
    if chance.random() < 0.5:
        return HarshDriving(t_ns=now_ns, maneuver="braking", peak_mps2=6.2, duration_s=0.8, speed_kmh=speed_kmh)
    return RoadImpact(t_ns=now_ns, peak_mps2=chance.uniform(10, 30), speed_kmh=speed_kmh)


async def _drive(plan: Plan) -> Told:
    begun_s = asyncio.get_running_loop().time()
    end_s = begun_s + plan.duration_s
    vehicles = [_Vehicle(identity, plan, random.Random(f"{plan.seed} {identity.device}")) for identity in plan.vehicles]
    async with asyncio.TaskGroup() as driving:
        for index, vehicle in enumerate(vehicles):
            arrival_s = begun_s + _ARRIVAL * plan.duration_s * index / len(vehicles)
            driving.create_task(vehicle.run(arrival_s, end_s, plan.period_s))
    return Told(
        events={identity.device: vehicle.told for identity, vehicle in zip(plan.vehicles, vehicles, strict=True)},
        waits_s=np.concatenate([np.asarray(vehicle.waits_s) for vehicle in vehicles]),
        left=sum([await vehicle.outbox.pending() for vehicle in vehicles]),
        cuts=sum(vehicle.uplink.counters().get("cuts", 0) for vehicle in vehicles),
        peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )
