"""Boots at 1970, jumps of ten years, a clock that is set late or never: what the insurer makes of it is true."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from agent.core.config import Config
from agent.core.events import Event, RoadImpact
from agent.core.records import GENESIS
from agent.link.wire import parse_receipt
from agent.store.chain import date_of, verify_chain
from agent.store.recorder import Recorder
from agent.store.seal import Sealer
from agent.store.unseal import open_record
from fleet.receiver.database import open_store
from fleet.receiver.intake import Intake
from fleet.receiver.keys import ReceiverKeys
from fleet.receiver.store import Store
from simulators.clock import ManualClock
from tests.unit.store.kit import KEYS, make_config, seal_chain, thermal

S: Final = 10**9
YEAR_NS: Final = 31_557_600 * S
BIRTH_NS: Final = 1_790_000_000 * S
SYNC_ERROR_NS: Final = 400_000_000
WRONG_NS: Final = (0, BIRTH_NS - 10 * YEAR_NS, BIRTH_NS + 10 * YEAR_NS)


@dataclass
class Life:
    """A car's life with what is true beside it. truth_ns: UTC now; happened: UTC of each event, by its number."""

    chance: random.Random
    recorder: Recorder = field(init=False)
    clock: ManualClock = field(init=False)
    never_set: bool = field(init=False)  # in this boot
    truth_ns: int = BIRTH_NS
    happened: list[int] = field(default_factory=list)
    boots: list[int] = field(default_factory=list)
    urgent: set[int] = field(default_factory=set)

    def start(self) -> None:
        start_ns = self.chance.randrange(1000 * S)
        self.clock = ManualClock(start_ns=start_ns, wall_start_ns=self.chance.choice([*WRONG_NS, self.truth_ns]))
        self.clock.synced = False
        self.never_set = self.chance.random() < 0.3

    async def live(self) -> None:
        """One thing that happens to a clock."""
        match self.chance.randrange(7):
            case 0:
                self.set_wall(self.chance.choice(WRONG_NS))  # the kernel calls a clock that was set unsynchronised
                self.clock.synced = False
            case 1 | 2 if not self.never_set:
                self.set_wall(self.truth_ns + self.chance.randint(-SYNC_ERROR_NS, SYNC_ERROR_NS))
                self.clock.synced = True
            case 3:
                self.clock.synced = False  # nothing was heard from a server for hours
            case _:
                seconds = self.chance.uniform(0, 600)
                before_ns = self.clock.monotonic_ns()
                await self.clock.advance(seconds)
                self.truth_ns += self.clock.monotonic_ns() - before_ns

    def set_wall(self, wall_ns: int) -> None:
        self.clock.jump_wall((wall_ns - self.clock.wall_ns()) / S)

    def record(self) -> None:
        number, t_ns = len(self.happened), self.clock.monotonic_ns()
        event: Event = RoadImpact(t_ns=t_ns, peak_mps2=float(number), speed_kmh=None)
        if self.chance.random() < 0.2:
            event = msgspec.structs.replace(thermal(t_ns), value=float(number))
            self.urgent.add(number)
        self.recorder.put(event)
        self.happened.append(self.truth_ns)
        self.boots.append(self.recorder.outbox.boot)


def number_of(row: dict[str, Any]) -> int:
    return int(row["event"].get("peak_mps2", row["event"].get("value")))


async def deliver(life: Life, intake: Intake, key: bytes) -> None:
    """In a random order, some only next time."""
    waiting = await life.recorder.outbox.peek(None, 10_000)
    life.chance.shuffle(waiting)
    for record in waiting[: life.chance.randint(0, len(waiting))]:
        assert intake.take([record.payload])[0].status in {"accepted", "duplicate"}
    for _, receipt in intake.receipts(["car-1"]):
        await life.recorder.outbox.forget(parse_receipt(receipt, key, "car-1"))


def config_for(directory: Path, keys: ReceiverKeys) -> Config:
    config = make_config(directory)
    trust = msgspec.structs.replace(config.trust, insurer_encryption_key=str(keys.encryption_public))
    return msgspec.structs.replace(config, trust=trust)


@pytest.mark.parametrize("seed", range(12))
async def test_order_is_exact_and_every_date_is_right(
    seed: int, tmp_path: Path, new_database: Callable[[], str]
) -> None:
    keys = ReceiverKeys.create(tmp_path / "insurer")
    keys.register("car-1", KEYS.device.public_key)
    life = Life(random.Random(seed))  # noqa: S311  # a test repeats
    store = open_store(new_database(), create=True)
    intake = Intake(keys, store, now_ns=lambda: life.truth_ns)
    for boot in range(6):
        life.start()
        life.recorder = await Recorder.open(config_for(tmp_path, keys), KEYS.device, life.clock)
        running = asyncio.create_task(life.recorder.run())
        for _ in range(life.chance.randint(3, 25)):
            await life.live()
            life.record()
            if life.chance.random() < 0.5:
                await life.recorder.flush()
        await life.recorder.flush()
        for _ in range(40 if boot == 5 else life.chance.randint(0, 2)):
            await deliver(life, intake, keys.receipt_public.read_bytes())
        left = await life.recorder.outbox.peek(None, 10_000)
        for record in left if boot == 5 else []:
            assert intake.take([record.payload])[0].status in {"accepted", "duplicate"}
        life.recorder.close()
        await running
        life.truth_ns += life.chance.randrange(100_000) * S
    rows = list(store.events("car-1"))
    check_order(life, rows)
    check_dates(life, rows)
    check_chain(store, keys)
    store.close()


def check_order(life: Life, rows: Sequence[dict[str, Any]]) -> None:
    """By sequence as they happened, but for alarms that were sealed first; by t_ns always."""
    everything = list(range(len(life.happened)))
    assert [(row["boot"], number_of(row)) for row in sorted(rows, key=number_of)] == list(
        zip(life.boots, everything, strict=True)
    )
    ordinary = [number_of(row) for row in rows if number_of(row) not in life.urgent]
    assert ordinary == [number for number in everything if number not in life.urgent]
    by_time = sorted(rows, key=lambda row: (row["boot"], row["event"]["t_ns"], number_of(row)))
    assert [number_of(row) for row in by_time] == everything


def check_dates(life: Life, rows: Sequence[dict[str, Any]]) -> None:
    dated_boots = {row["boot"] for row in rows if row["dated"] == "told"}
    for row in rows:
        truth_ns = life.happened[number_of(row)]
        if row["boot"] in dated_boots:
            assert row["dated"] in {"told", "derived"}
            assert abs(row["wall_ns"] - truth_ns) < S
            assert (row["not_before_ns"], row["not_after_ns"]) == (None, None)
        else:
            assert (row["wall_ns"], row["dated"]) == (None, None)
            assert row["not_before_ns"] is None or row["not_before_ns"] < truth_ns + S
            assert truth_ns - S < row["not_after_ns"] <= row["received_ns"]
            later = any(row["boot"] < boot for boot in dated_boots)
            assert (row["not_before_ns"] is None) == all(boot > row["boot"] for boot in dated_boots)
            assert later or row["not_after_ns"] == row["received_ns"]


def check_chain(store: Store, keys: ReceiverKeys) -> None:
    """A third party finds nothing wrong with the dates either."""

    def check(envelope: bytes) -> object:
        return date_of(open_record(envelope, keys.encryption_key, KEYS.device_public)[1])

    assert verify_chain(store.envelopes("car-1"), check=check).finding is None


def told(keys: ReceiverKeys, times_and_offsets: Sequence[tuple[int, int | None]], *, boot: int) -> list[bytes]:
    """Envelopes of one boot: monotonic times, and the clock's offset at each."""
    sealer = Sealer(KEYS.device, [keys.encryption_key.public_key()])
    envelopes: list[bytes] = []
    after = GENESIS
    for t_ns, offset_ns in times_and_offsets:
        event = RoadImpact(t_ns=t_ns, peak_mps2=1.0, speed_kmh=None)
        first = len(envelopes) + 1
        record = seal_chain([event], boot=boot, first=first, after=after, wall_offset_ns=offset_ns, sealer=sealer)[0]
        envelopes.append(record.payload)
        after = record.digest
    return envelopes


@pytest.mark.parametrize("backwards", [False, True])
def test_of_two_offsets_in_a_boot_the_nearer_one_dates(
    tmp_path: Path, new_database: Callable[[], str], *, backwards: bool
) -> None:
    keys = ReceiverKeys.create(tmp_path / "insurer")
    keys.register("car-1", KEYS.device.public_key)
    store = open_store(new_database(), create=True)
    intake = Intake(keys, store, now_ns=lambda: BIRTH_NS)
    first, second = BIRTH_NS - YEAR_NS, BIRTH_NS
    envelopes = told(keys, [(1, None), (10, first), (30, None), (60, None), (70, second), (99, None)], boot=2)
    envelopes += told(keys, [(5, None)], boot=1) + told(keys, [(5, None)], boot=3)
    for envelope in reversed(envelopes) if backwards else envelopes:  # which one comes first must not matter
        assert intake.take([envelope])[0].status == "accepted"
    rows = list(store.events("car-1"))
    none = [None, None]
    assert [[row["wall_ns"], row["dated"], row["not_before_ns"], row["not_after_ns"]] for row in rows] == [
        [None, None, None, first + 10],
        [first + 1, "derived", *none],
        [first + 10, "told", *none],
        [first + 30, "derived", *none],
        [second + 60, "derived", *none],
        [second + 70, "told", *none],
        [second + 99, "derived", *none],
        [None, None, second + 70, BIRTH_NS],
    ]
    store.close()
