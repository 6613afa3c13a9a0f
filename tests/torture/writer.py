"""What is tortured: the real recorder and outbox, fed at random, with receipts that come at random.

The ledger knows what was handed to the disk, what the disk called durable, and what a receipt allowed to go.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from agent.core.errors import StoreError
from agent.core.records import Position, Range, SealedRecord
from agent.store.recorder import Recorder
from drivers.clock import SystemClock
from tests.unit.store.kit import KEYS, braking, make_config, thermal


class QuickClock(SystemClock):
    """Waits between attempts are not what is tortured."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(min(seconds, 0.002))


class Hear(Protocol):
    """Hears of records before they are handed over (False) and when they are durable (True)."""

    def __call__(self, records: Sequence[SealedRecord], *, durable: bool) -> None: ...


@dataclass
class Ledger:
    """handed: digest of every record by its place; durable and released are places."""

    handed: dict[Position, bytes] = field(default_factory=dict)
    durable: set[Position] = field(default_factory=set)
    released: set[Position] = field(default_factory=set)
    critical: set[Position] = field(default_factory=set)

    def hear(self, records: Sequence[SealedRecord], *, durable: bool) -> None:
        for record in records:
            self.handed[record.position] = record.digest
            if durable:
                self.durable.add(record.position)
            if record.priority <= 1:
                self.critical.add(record.position)


async def write(
    directory: Path,
    rng: random.Random,
    *,
    hear: Hear,
    release: Callable[[Range], None],
    is_over: Callable[[], bool],
    events: int,
) -> None:
    """Record and forget, until enough or until it is over. Raises StoreError where the disk refuses to the end."""
    config = make_config(directory, batch_wait_ms=1, batch_max=rng.choice([1, 5, 20]))
    recorder = await Recorder.open(config, KEYS.device, QuickClock())
    append = recorder.outbox.append

    async def heard(records: Sequence[SealedRecord], *, critical: bool, for_crash: bool = False) -> None:
        hear(records, durable=False)
        await append(records, critical=critical, for_crash=for_crash)
        hear(records, durable=True)

    recorder.outbox.append = heard  # type: ignore[method-assign]  # the ledger listens at the one door
    running = asyncio.create_task(recorder.run())
    try:
        while events > 0 and not is_over():
            for _ in range(rng.randrange(1, 9)):
                recorder.put(thermal() if rng.random() < 0.1 else braking())
                events -= 1
            await asyncio.sleep(rng.random() * 0.003)
            if rng.random() < 0.3:
                await _forget_some(recorder, rng, release)
    finally:
        recorder.close()
        await running


async def _forget_some(recorder: Recorder, rng: random.Random, release: Callable[[Range], None]) -> None:
    """A receipt for a part of what waits."""
    try:
        waiting = await recorder.outbox.peek(None, rng.randrange(1, 30))
        if waiting:
            last = rng.choice(waiting)
            part = Range(last.boot, max(1, last.sequence - rng.randrange(10)), last.sequence, last.digest)
            release(part)
            await recorder.outbox.forget([part])
    except StoreError:
        return
