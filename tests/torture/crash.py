"""One trial: a car crashes, and its box loses power at T0 + 250 ms or at any time later. What was promised is there.

A child hands the drive to the pipeline window by window, waits until the recorder says that all of it is on the disk,
and says so; then it is killed. What a window makes due is a function of its samples, so the parent knows without asking
what is promised: all fragments and notices that the windows so far give. They must be in the store, open, hang together
in the chain, and give the record back as far as it had come.
"""

import asyncio
import multiprocessing
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import numpy as np

from agent.core.crash import assemble
from agent.core.events import Collision, CrashRecord, Event, Priority
from agent.core.records import SealedRecord
from agent.store.chain import verify_chain
from agent.store.outbox import Outbox
from agent.store.recorder import Recorder
from agent.store.unseal import open_record
from drivers.clock import SystemClock
from tests.bench.collision_durable import WINDOW_NS, Car, make_pipeline
from tests.unit.store.kit import KEYS, make_config

_NS: Final = 1_000_000_000
_CAR: Final = Car(crashes=2, first_s=16.0, apart_s=3.0)  # the second impact is the same crash's
_UNTIL_NS: Final = 36 * _NS
_TABLE_NS: Final = 16_280_000_000  # end of the window with the first sample behind T0 + 250 ms
_FORKS: Final = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.torture.crash"])


@dataclass
class Result:
    """Events promised at the moment of the kill, of these missing, and what else is wrong."""

    promised: int = 0
    lost: int = 0
    complete: int = 0
    problems: list[str] = field(default_factory=list)


def run_trial(seed: int, directory: Path) -> Result:
    """Every fourth is killed as soon as the table is promised, the others at random."""
    rng = random.Random(seed)  # noqa: S311 - when to kill is no secret
    wanted_ns = _TABLE_NS if seed % 4 == 0 else rng.randrange(_TABLE_NS, _UNTIL_NS)
    promised_ns = _crash_and_kill(directory, wanted_ns, rng.random() * 0.004)
    result = Result()
    _judge(asyncio.run(_stored(directory)), _promised(promised_ns), result)
    return result


def _crash_and_kill(directory: Path, wanted_ns: int, delay_s: float) -> int:
    """Kill the child once it has promised as much; the newest that it did promise."""
    ours, childs = _FORKS.Pipe(duplex=False)
    child = _FORKS.Process(target=_drive, args=(directory, childs))
    child.start()
    childs.close()
    promised_ns = 0
    try:
        while promised_ns < wanted_ns:
            promised_ns = ours.recv()
        ours.poll(delay_s)
        child.kill()
        while True:  # what it said before the kill
            promised_ns = ours.recv()
    except EOFError:
        return promised_ns
    finally:
        child.kill()
        child.join()
        ours.close()


def _drive(directory: Path, told: Connection) -> None:
    asyncio.run(_record(directory, told))


async def _record(directory: Path, told: Connection) -> None:
    recorder = await Recorder.open(make_config(directory), KEYS.device, SystemClock())
    waiting = False

    def on_events(events: Sequence[Event]) -> None:
        nonlocal waiting
        for event in events:
            recorder.put(event)
            waiting = True

    pipeline = make_pipeline(on_events)
    async with asyncio.TaskGroup() as group:
        group.create_task(recorder.run())
        for start_ns in range(0, _UNTIL_NS, WINDOW_NS):
            pipeline.on_samples("car", _CAR.window(start_ns))
            if waiting:
                waiting = False
                await recorder.flush()
            told.send(start_ns + WINDOW_NS)
        await asyncio.sleep(3600)  # it is killed


@cache
def _all_due() -> list[tuple[int, Event]]:
    """Crash events of the whole drive, each with the end of the window that gives it."""
    due: list[tuple[int, Event]] = []
    now_ns = 0
    pipeline = make_pipeline(lambda events: due.extend((now_ns, event) for event in events))
    car = Car(crashes=_CAR.crashes, first_s=_CAR.first_s, apart_s=_CAR.apart_s)
    for now_ns in range(WINDOW_NS, _UNTIL_NS + WINDOW_NS, WINDOW_NS):
        pipeline.on_samples("car", car.window(now_ns - WINDOW_NS))
    return [(at_ns, event) for at_ns, event in due if event.priority == Priority.CRASH]


def _promised(until_ns: int) -> list[Event]:
    return [event for at_ns, event in _all_due() if at_ns <= until_ns]


async def _stored(directory: Path) -> list[SealedRecord]:
    outbox = await Outbox.open(directory / "store", device="car-1", size_max_bytes=10**9)
    try:
        return await outbox.peek(None, 1_000_000)
    finally:
        await outbox.close()


def _judge(stored: list[SealedRecord], promised: list[Event], result: Result) -> None:
    """Open all, check the chain, compare, and put the records together."""
    chain = sorted(stored, key=lambda record: record.position)
    report = verify_chain(
        [record.payload for record in chain],
        check=lambda envelope: open_record(envelope, KEYS.insurer, KEYS.device_public),
    )
    if report.finding is not None:
        result.problems.append(str(report.finding))
    events = [open_record(record.payload, KEYS.insurer, KEYS.device_public)[1].event for record in chain]
    result.promised = len(promised)
    result.lost = sum(event not in events for event in promised)
    fragments = [event for event in events if isinstance(event, CrashRecord)]
    for number in {event.record for event in fragments}:
        found = assemble(event for event in fragments if event.record == number)
        result.complete += found.complete
        mine = [event for event in promised if isinstance(event, CrashRecord) and event.record == number]
        if found.missing:
            result.problems.append(f"record {number} lacks {found.missing}")
        if any(event.part == "table" for event in mine) and found.elements.get("speed_kmh_5s") != [50.0] * 11:
            result.problems.append(f"record {number} has no table")
        if len(mine) > 1 and not np.isfinite(found.imu.values).all():
            result.problems.append(f"record {number} has holes")
    told = [event.record for event in events if isinstance(event, Collision)]
    if not set(told) <= {event.record for event in fragments}:
        result.problems.append("a notice names a record that is not there")
