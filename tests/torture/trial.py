"""One trial: lives of the writer on one store, each ended by a kill or a power cut, and what is left after each."""

import asyncio
import multiprocessing
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, Literal, get_args
from unittest.mock import patch

from agent.core.errors import StoreError
from agent.core.records import Position, Range, SealedRecord
from agent.store.chain import verify_chain
from agent.store.outbox import Outbox
from agent.store.rebuild import Damage
from agent.store.unseal import open_record
from tests.torture.disk import Disk, Fault, mounted
from tests.torture.writer import Ledger, write
from tests.unit.store.kit import KEYS

Kind = Literal["killed", Fault]

KINDS: Final[tuple[Kind, ...]] = ("killed", *get_args(Fault))
_LIVES: Final = 2
_EVENTS_MAX: Final = 120
_FORKS: Final = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.torture.writer"])


@dataclass
class Result:
    """Records called durable, of these missing, records there that nobody wrote, and what else is wrong."""

    committed: int = 0
    critical: int = 0
    lost: int = 0
    invented: int = 0
    failures: int = 0
    problems: list[str] = field(default_factory=list)


def run_trial(kind: Kind, seed: int, directory: Path) -> Result:
    """Deterministic in what is asked of the disk and where it fails; the scheduling of threads is the machine's."""
    rng = random.Random(f"{kind} {seed}")  # noqa: S311 - faults to repeat, no secret
    ledger, result = Ledger(), Result()
    for _ in range(_LIVES):
        if kind == "killed":
            _live_killed(directory, rng, ledger)
        else:
            result.failures += _live_on_bad_disk(kind, directory, rng, ledger)
        _judge(asyncio.run(_stored(directory)), ledger, result)
    result.committed, result.critical = len(ledger.durable), len(ledger.durable & ledger.critical)
    return result


def _live_on_bad_disk(fault: Fault, directory: Path, rng: random.Random, ledger: Ledger) -> int:
    disk = Disk(fault, rng, cut_after_ops=rng.randrange(1, 400))
    with patch("agent.store.files._WAL_PAGES", rng.choice([3, 10, 40, 2000])), mounted(disk):
        writing = write(
            directory,
            rng,
            hear=ledger.hear,
            release=lambda part: ledger.released.update(_positions(part)),
            is_over=lambda: disk.is_cut,
            events=rng.randrange(1, _EVENTS_MAX),
        )
        try:
            asyncio.run(writing)
        except StoreError:
            if not (disk.is_cut or disk.failures):
                raise
    return disk.failures


def _live_killed(directory: Path, rng: random.Random, ledger: Ledger) -> None:
    """SIGKILL between two words of the child, or at a random time after one."""
    ours, childs = _FORKS.Pipe(duplex=False)
    child = _FORKS.Process(target=_be_killed, args=(directory, rng.randrange(2**32), childs))
    child.start()
    childs.close()
    try:
        for _ in range(rng.randrange(1, 40)):
            _note(ledger, ours.recv())
        ours.poll(rng.random() * 0.004)
        child.kill()
        while True:  # what it said before the kill
            _note(ledger, ours.recv())
    except EOFError:
        pass
    finally:
        child.kill()
        child.join()
        ours.close()


def _be_killed(directory: Path, seed: int, told: Connection) -> None:
    def hear(records: Sequence[SealedRecord], *, durable: bool) -> None:
        told.send(("durable" if durable else "handed", list(records)))

    asyncio.run(
        write(
            directory,
            random.Random(seed),  # noqa: S311 - faults to repeat, no secret
            hear=hear,
            release=lambda part: told.send(("released", part)),
            is_over=lambda: False,
            events=10**9,
        )
    )


def _note(ledger: Ledger, message: tuple[str, list[SealedRecord] | Range]) -> None:
    what, said = message
    if isinstance(said, Range):
        ledger.released.update(_positions(said))
    else:
        ledger.hear(said, durable=what == "durable")


def _positions(part: Range) -> set[Position]:
    return {Position(part.boot, sequence) for sequence in range(part.first, part.last + 1)}


async def _stored(directory: Path) -> tuple[list[SealedRecord], bytes]:
    """All records in sending order, and the head of the chain."""
    damages: list[Damage] = []
    outbox = await Outbox.open(directory / "store", device="car-1", size_max_bytes=10**9, on_damage=damages.append)
    try:
        records = await outbox.peek(None, 1_000_000)
        if damages:
            raise AssertionError(f"taken for corrupt: {damages}")
        if await outbox.pending() != len(records):
            raise AssertionError("the count of pending records is wrong")
        return records, outbox.head
    finally:
        await outbox.close()


def _judge(stored: tuple[list[SealedRecord], bytes], ledger: Ledger, result: Result) -> None:
    records, head = stored
    there = {record.position: record.digest for record in records}
    result.lost += len(ledger.durable - ledger.released - there.keys())
    result.invented += sum(ledger.handed.get(position) != digest for position, digest in there.items())
    order = [(record.priority, record.position) for record in records]
    if order != sorted(order) or len(there) != len(records):
        result.problems.append("the sending order is wrong")
    chain = sorted(records, key=lambda record: record.position)
    if chain and ledger.handed.get(max(ledger.handed), b"") and head not in {*ledger.handed.values()}:
        result.problems.append("the head of the chain is no record")
    for run in _runs(chain, ledger.released):
        report = verify_chain(
            [record.payload for record in run],
            check=lambda envelope: open_record(envelope, KEYS.insurer, KEYS.device_public),
        )
        if report.finding is not None:
            result.problems.append(str(report.finding))


def _runs(chain: Sequence[SealedRecord], released: set[Position]) -> list[list[SealedRecord]]:
    """Cut where a receipt let records go; anywhere else a gap is a finding."""
    runs: list[list[SealedRecord]] = []
    for record in chain:
        boot, sequence = record.position
        if not runs or Position(boot, sequence - 1) in released or (sequence == 1 and released):
            runs.append([])
        runs[-1].append(record)
    return runs
