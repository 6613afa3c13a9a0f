"""A recorder on a file system that fills up, with the agent's modules: `fulldisk.py STORE DEVICE KEY PUBLIC`.

STORE lies on a small file system. First the store's own limit is reached with room left on the disk; then others take
that room, to the last byte, and give it back. Prints as JSON what was put and what the recorder counted; what is in the
files is for somebody else to say.
"""

import asyncio
import errno
import json
import os
import sys
from pathlib import Path
from typing import Final

from agent.core.config import Config, Device, Store, Trust
from agent.core.errors import StoreError
from agent.core.events import BatteryAlarm, Collision, Event, HarshDriving, Priority, TripStarted
from agent.core.records import parse_envelope
from agent.store.look import look
from agent.store.recorder import Recorder
from drivers.clock import SystemClock
from drivers.keystore import FileKeystore

_SIZE_MAX_MB: Final = 1  # the least there is: some thousand records
_BATCH_MAX: Final = 50
_ROUNDS: Final = 80
_TELEMETRY: Final = 30  # a round, with one record of each other priority
_LATE: Final = 60
_LATE_CRASHES: Final = 40
_PATIENCE_S: Final = 60.0
_BLOCKS: Final = (1 << 20, 1 << 12, 1)


async def fill(store: Path, device: str, key: str, public: str) -> dict[str, int]:
    """Counts by name."""
    config = Config(
        device=Device(id=device, key=key),
        store=Store(directory=str(store), size_max_mb=_SIZE_MAX_MB, batch_max=_BATCH_MAX, batch_wait_ms=1),
        trust=Trust(insurer_encryption_key=public),
    )
    recorder = await Recorder.open(config, FileKeystore.open(Path(key), device), SystemClock())
    running = asyncio.create_task(recorder.run())
    for number in range(_ROUNDS):
        for event in (*(TripStarted(t_ns=number) for _ in range(_TELEMETRY)), *_higher(number)):
            recorder.put(event)
        await recorder.flush()
    ballast = store.parent / "ballast"
    _take_room(ballast)
    refused = await _put_on_full(recorder, store)
    while_full = _count_crashes(store)
    ballast.unlink()
    while not await _flush(recorder):
        pass
    recorder.close()
    await running
    return {
        "crashes": _ROUNDS + _LATE_CRASHES,
        "crashes_while_full": while_full,
        "late_crashes": _LATE_CRASHES,
        "others": _ROUNDS * (_TELEMETRY + 2) + _LATE,
        "refused": refused,
        "sealed": recorder.sealed,
        "dropped": recorder.dropped,
        "shed": sum(recorder.shed.values()),
        "shed_telemetry": recorder.shed[Priority.TELEMETRY],
    }


async def _put_on_full(recorder: Recorder, store: Path) -> bool:
    """Whether the others were refused; returns when every crash record is on the disk all the same."""
    for number in range(_LATE):
        recorder.put(TripStarted(t_ns=number))
    refused = not await _flush(recorder)
    for number in range(_LATE_CRASHES):
        recorder.put(_crash(_ROUNDS + number))
    async with asyncio.timeout(_PATIENCE_S):
        while _count_crashes(store) < _ROUNDS + _LATE_CRASHES:  # noqa: ASYNC110 - the disk rings no bell
            await asyncio.sleep(0.1)
    return refused


def _count_crashes(store: Path) -> int:
    _, envelopes = look(store, 1_000_000)
    return sum(parse_envelope(envelope)[0].priority == Priority.CRASH for envelope in envelopes)


async def _flush(recorder: Recorder) -> bool:
    """Whether all that was put is on the disk; else it was full when last tried."""
    try:
        await recorder.flush()
    except StoreError as exc:
        if "full" not in str(exc):
            raise
        return False
    return True


def _higher(number: int) -> list[Event]:
    return [
        HarshDriving(t_ns=number, maneuver="braking", peak_mps2=6.2, duration_s=0.8, speed_kmh=48.0),
        BatteryAlarm(t_ns=number, alarm="over_temperature", level=2, value=61.0, limit=55.0, unit="Celsius", cell=3),
        _crash(number),
    ]


def _crash(number: int) -> Collision:
    return Collision(t_ns=number, delta_v_kmh=31.0, duration_ms=90.0, peak_mps2=180.0, stationary=False)


def _take_room(ballast: Path) -> None:
    """Write until not a byte more fits."""
    descriptor = os.open(ballast, os.O_WRONLY | os.O_CREAT)
    for block in _BLOCKS:
        try:
            while os.write(descriptor, bytes(block)) > 0:
                pass
        except OSError as exc:
            if exc.errno != errno.ENOSPC:
                raise
    os.fsync(descriptor)
    os.close(descriptor)


if __name__ == "__main__":
    directory, device_id, device_key, insurer_key = sys.argv[1:]
    sys.stdout.write(json.dumps(asyncio.run(fill(Path(directory), device_id, device_key, insurer_key))) + "\n")
