"""Group commit against one commit per event, and the memory of a store with a large backlog.

Both sides run the real outbox on the same sealed records, in turns, and sync every commit. Events/s and the bytes that
the kernel sent towards the disk (write_bytes of /proc/self/io, so the folder must not lie in memory) are compared; the
ratios are medians over the turns. The peer is what most agents do: each event its own transaction.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from agent.core.records import SealedRecord
from agent.store.outbox import Outbox
from tests.unit.store.kit import make_chain

_RECORDS: Final = 1000
_BATCH: Final = 50
_SIZE: Final = 700  # bytes of a sealed event of everyday
_TURNS: Final = 5
_BACKLOG: Final = 200_000
_FOLDER: Final = "/var/tmp"  # a real disk, where /tmp may be memory


def run() -> dict[str, object]:
    """ratio_events: events/s, group over single; ratio_bytes: bytes written, single over group."""
    events: list[float] = []
    written: list[float] = []
    singles: list[tuple[float, int]] = []
    groups: list[tuple[float, int]] = []
    for _ in range(_TURNS):
        single, group = _measure(1), _measure(_BATCH)
        events.append(single[0] / group[0])
        written.append(single[1] / group[1])
        singles.append(single)
        groups.append(group)
    opened_mb, used_mb = _backlog_memory()
    return {
        "name": "store",
        "ratio_events": round(statistics.median(events), 2),
        "ratio_bytes": round(statistics.median(written), 2),
        "events_per_s_group": round(_RECORDS / statistics.median(seconds for seconds, _ in groups)),
        "events_per_s_single": round(_RECORDS / statistics.median(seconds for seconds, _ in singles)),
        "bytes_per_event_group": round(statistics.median(count for _, count in groups) / _RECORDS),
        "bytes_per_event_single": round(statistics.median(count for _, count in singles) / _RECORDS),
        "bytes_per_event_payload": len(make_chain(1, size=_SIZE)[0].payload),
        "backlog_records": _BACKLOG,
        "rss_mb_empty": opened_mb,
        "rss_mb_backlog": used_mb,
    }


def _measure(batch: int) -> tuple[float, int]:
    """Seconds and bytes written for all records in commits of this size."""
    records = make_chain(_RECORDS, size=_SIZE)
    with TemporaryDirectory(prefix="bench-store-", dir=_FOLDER) as folder:
        return asyncio.run(_write(Path(folder), records, batch))


async def _write(folder: Path, records: Sequence[SealedRecord], batch: int) -> tuple[float, int]:
    outbox = await Outbox.open(folder, device="car-1", size_max_bytes=10**9)
    os.sync()
    bytes_before, begun_s = _written_bytes(), time.perf_counter()
    for start in range(0, len(records), batch):
        await outbox.append(records[start : start + batch], critical=False)
    seconds = time.perf_counter() - begun_s
    written = _written_bytes() - bytes_before
    await outbox.close()
    return seconds, written


def _written_bytes() -> int:
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])


def _backlog_memory() -> tuple[float, float]:
    """RSS in MB of a process with an empty store, and of one that has walked a large backlog and added to it."""
    with TemporaryDirectory(prefix="bench-store-", dir=_FOLDER) as folder:
        empty, full = Path(folder) / "empty", Path(folder) / "full"
        _in_child("_walk", empty)
        _in_child("_fill", full)
        return _in_child("_walk", empty), _in_child("_walk", full)


def _in_child(job: str, folder: Path) -> float:
    code = f"import sys; from tests.bench.store import {job} as job; job(sys.argv[1])"
    answer = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True, timeout=300
    )
    return float(answer.stdout or 0)


def _fill(folder: str) -> None:
    async def fill() -> None:
        outbox = await Outbox.open(Path(folder), device="car-1", size_max_bytes=10**9)
        after, step = make_chain(1)[0].digest, 2000
        first = 1
        while first <= _BACKLOG:
            records = make_chain(step, boot=outbox.boot, first=first, after=after, size=_SIZE)
            await outbox.append(records, critical=False)
            first, after = first + step, records[-1].digest
        await outbox.close()

    asyncio.run(fill())


def _walk(folder: str) -> None:
    async def walk() -> None:
        outbox = await Outbox.open(Path(folder), device="car-1", size_max_bytes=10**9)
        await outbox.append(make_chain(50, boot=outbox.boot, after=outbox.head, size=_SIZE), critical=True)
        records = await outbox.peek(None, 50)
        while records:
            records = await outbox.peek(records[-1].position, 50)
        await outbox.append(make_chain(50, boot=outbox.boot, first=51, after=outbox.head, size=_SIZE), critical=True)
        sys.stdout.write(str(_rss_mb()))
        await outbox.close()

    asyncio.run(walk())


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)
