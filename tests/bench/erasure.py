"""A crash while an erasure runs: from the recorder's door to the disk, with a store that has much to erase.

Half of the records go, the others are written anew under a fresh key. Ten first notices a second come before
and meanwhile.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from agent.core.erasure import Selection
from agent.core.events import Collision, Priority
from agent.core.records import GENESIS, Position, SealedRecord
from agent.store.outbox import Outbox
from agent.store.recorder import Recorder
from drivers.clock import SystemClock
from tests.unit.store.kit import KEYS, make_chain, make_config

_FOLDER: Final = "/var/tmp"  # a real disk, where /tmp may be memory
_RECORDS: Final = int(os.environ.get("OUTRIDER_BENCH_ERASED", "200000"))
_AT_ONCE: Final = 2_000
_SIZE: Final = 600
_EVERY_S: Final = 0.1
_QUIET: Final = 100  # notices before, for comparison
_CRASH: Final = Collision(
    t_ns=1, delta_v_kmh=20, duration_ms=90, peak_mps2=150, stationary=False, severity="moderate"
)  # fmt: skip


def run() -> dict[str, object]:
    """The bar: 50 ms."""
    with TemporaryDirectory(prefix="bench-erasure-", dir=_FOLDER) as folder:
        return {"name": "erasure", **asyncio.run(_measure(Path(folder)))}


async def _measure(folder: Path) -> dict[str, object]:
    config = make_config(folder)
    await _fill(Path(config.store.directory))
    put_s: list[float] = []
    taken_ms: list[float] = []

    def on_durable(records: Sequence[SealedRecord]) -> None:
        """Notices are sealed in the order in which they were put."""
        now_s = time.perf_counter()
        for record in records:
            if record.priority == Priority.CRASH:
                taken_ms.append((now_s - put_s[len(taken_ms)]) * 1e3)

    recorder = await Recorder.open(config, KEYS.device, SystemClock(), on_durable=on_durable)

    async def crash() -> None:
        while True:
            put_s.append(time.perf_counter())
            recorder.put(_CRASH)
            await asyncio.sleep(_EVERY_S)

    async with asyncio.TaskGroup() as group:
        group.create_task(recorder.run())
        crashing = group.create_task(crash())
        await asyncio.sleep(_QUIET * _EVERY_S)
        quiet_ms = taken_ms[:]
        begun_s = time.perf_counter()
        erased = await recorder.erase(Selection(frozenset({"service"})), until=Position(1, _RECORDS))
        erased_s = time.perf_counter()
        await recorder.outbox.write_anew()
        await recorder.outbox.shred_old_keys()
        end_s = time.perf_counter()
        crashing.cancel()
        await recorder.flush()
        recorder.close()
    del taken_ms[: len(quiet_ms)]
    return {
        "quiet_p99_ms": round(float(np.percentile(quiet_ms, 99)), 1),
        "durable_p99_ms": round(float(np.percentile(taken_ms, 99)), 1),
        "durable_max_ms": round(max(taken_ms), 1),
        "durable_median_ms": round(float(np.median(taken_ms)), 1),
        "notices": len(taken_ms),
        "erased": erased,
        "erase_s": round(erased_s - begun_s, 1),
        "write_anew_s": round(end_s - erased_s, 1),
        "cores": os.cpu_count() or 0,
    }


async def _fill(directory: Path) -> None:
    outbox = await Outbox.open(directory, device="car-1", size_max_bytes=10**10)
    head = GENESIS
    for first in range(1, _RECORDS + 1, _AT_ONCE):
        made = make_chain(_AT_ONCE, first=first, after=head, size=_SIZE, priorities=(Priority.SERVICE,))
        head = made[-1].digest
        records = [
            replace(record, purposes="service" if at // 50 % 2 else "diagnostics", wall_ns=1)
            for at, record in enumerate(made)
        ]
        await outbox.append(records, critical=False)
    await outbox.close()
