"""A file system that others have filled."""

import asyncio
import random
from pathlib import Path

import pytest

pytest.importorskip("apsw", reason="the disk that lies is an SQLite VFS of apsw")

from agent.core.errors import StoreError
from agent.core.events import Collision, Priority
from agent.store.outbox import Outbox
from agent.store.recorder import Recorder
from tests.torture.disk import Disk, mounted
from tests.torture.writer import QuickClock
from tests.unit.store.kit import KEYS, braking, make_config

CRASHES = 20
ORDINARY = 60


def crash(t_ns: int) -> Collision:
    return Collision(t_ns=t_ns, delta_v_kmh=31.0, duration_ms=90.0, peak_mps2=180.0, stationary=False)


async def fill_and_crash(directory: Path, disk: Disk) -> None:
    durable = asyncio.Event()
    config = make_config(directory, batch_wait_ms=1)
    recorder = await Recorder.open(config, KEYS.device, QuickClock(), on_durable=lambda _: durable.set())
    running = asyncio.create_task(recorder.run())
    recorder.put(braking())
    await recorder.flush()

    disk.capacity_bytes = disk.used_bytes()
    for _ in range(ORDINARY):
        recorder.put(braking())
    with pytest.raises(StoreError, match="full"):
        await recorder.flush()
    sealed_before = config.store.batch_max  # they hold places in the chain before the first crash
    for number in range(CRASHES):
        recorder.put(crash(number))
        while recorder.sealed < 1 + sealed_before + number + 1:
            durable.clear()
            await durable.wait()
    assert recorder.sealed == 1 + sealed_before + CRASHES, "nothing else took the crash records' space"

    disk.capacity_bytes = None
    recorder.close()
    await running
    assert recorder.sealed == 1 + ORDINARY + CRASHES


def test_no_crash_is_lost_on_a_full_disk_and_the_rest_waits(tmp_path: Path) -> None:
    disk = Disk("torn", random.Random(1), cut_after_ops=10**9)  # noqa: S311 - no fault but the full disk
    with mounted(disk):
        asyncio.run(asyncio.wait_for(fill_and_crash(tmp_path, disk), 60))
    assert disk.failures > 0

    async def read_back() -> list[Priority]:
        outbox = await Outbox.open(tmp_path / "store", device="car-1", size_max_bytes=10**9)
        records = await outbox.peek(None, 1000)
        await outbox.close()
        return [record.priority for record in records]

    priorities = asyncio.run(read_back())
    assert priorities.count(Priority.CRASH) == CRASHES
    assert len(priorities) == 1 + ORDINARY + CRASHES
