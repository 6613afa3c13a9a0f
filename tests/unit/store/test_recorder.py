import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.core.config import Config
from agent.core.errors import ConfigError, InputError, StoreError
from agent.core.events import (
    AgentStopped,
    Collision,
    CrashRecord,
    Event,
    Feedback,
    Priority,
    RecordsDamaged,
    RecordsShed,
    RoadImpact,
)
from agent.core.records import SealedRecord, encode_event
from agent.store import recorder as recorder_module
from agent.store.chain import verify_chain
from agent.store.outbox import Outbox
from agent.store.recorder import Recorder
from agent.store.unseal import open_record
from simulators.clock import ManualClock
from tests.unit.store.kit import KEYS, braking, make_config

CRASH = Collision(t_ns=9, delta_v_kmh=20.0, duration_ms=90.0, peak_mps2=200.0, stationary=False)


def impact(t_ns: int) -> RoadImpact:
    return RoadImpact(t_ns=t_ns, peak_mps2=30.0)


async def open_recorder(config: Config, clock: ManualClock, **more: Any) -> Recorder:
    return await Recorder.open(config, KEYS.device, clock, uniform=lambda: 0.5, **more)


async def read_back(config: Config) -> list[Event]:
    outbox = await Outbox.open(Path(config.store.directory), device="car-1", size_max_bytes=10**9)
    records = sorted(await outbox.peek(None, 100_000), key=lambda r: r.position)
    await outbox.close()
    assert verify_chain([r.payload for r in records]).finding is None
    return [open_record(r.payload, KEYS.owner, KEYS.device_public)[1].event for r in records]


class FailingDisk:
    """The outbox's append, refusing the next n times."""

    def __init__(self, recorder: Recorder) -> None:
        self.failures = 0
        self.batches: list[list[SealedRecord]] = []
        self._append = recorder.outbox.append
        recorder.outbox.append = self.append  # type: ignore[method-assign]  # a disk fails below the port

    async def append(self, records: Sequence[SealedRecord], *, critical: bool, for_crash: bool = False) -> None:
        self.batches.append(list(records))
        if self.failures:
            self.failures -= 1
            raise StoreError("no space left on device")
        await self._append(records, critical=critical, for_crash=for_crash)


async def test_everything_put_is_committed_by_close_the_crash_first(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    recorder = await open_recorder(config, ManualClock())
    events: list[Event] = [impact(1), CRASH, impact(2), braking(3), AgentStopped(t_ns=4, reason="stopped")]
    for event in events:
        recorder.put(event)
    recorder.close()
    await recorder.run()
    assert (recorder.sealed, recorder.dropped) == (5, 0)
    assert await read_back(config) == [CRASH, *events[:1], *events[2:]]


async def test_a_crash_is_durable_at_once_and_telemetry_waits_for_company(tmp_path: Path) -> None:
    clock = ManualClock()
    durable: list[int] = []
    recorder = await open_recorder(
        make_config(tmp_path, batch_wait_ms=200), clock, on_durable=lambda _: durable.append(clock.monotonic_ns())
    )
    running = asyncio.create_task(recorder.run())
    recorder.put(impact(1))
    await clock.advance(0.15)
    assert recorder.sealed == 0
    await clock.advance(0.1)
    assert recorder.sealed == 1
    recorder.put(impact(2))
    recorder.put(CRASH)
    await clock.advance(0)
    assert recorder.sealed == 2
    await clock.advance(0.3)
    assert durable == [200_000_000, 250_000_000, 450_000_000]
    recorder.close()
    await running


async def test_a_notice_and_an_answer_go_before_the_detail_of_the_crash_before(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    recorder = await open_recorder(config, ManualClock())
    detail = [CrashRecord(t_ns=9, record=1, fragment=number, part="imu", from_ns=0, until_ns=9) for number in range(3)]
    answer = Feedback(
        t_ns=30,
        question="all_right",
        about="collision",
        intent="help",
        transcript="no",
        confidence=1.0,
        language="en",
        asked_ns=20,
    )
    for event in (*detail, CRASH, braking(3), answer):
        recorder.put(event)
    recorder.close()
    await recorder.run()
    outbox = await Outbox.open(Path(config.store.directory), device="car-1", size_max_bytes=10**9)
    sent = [open_record(r.payload, KEYS.owner, KEYS.device_public)[1].event for r in await outbox.peek(None, 100)]
    await outbox.close()
    assert sent == [CRASH, answer, *detail, braking(3)]


async def test_a_full_batch_does_not_wait(tmp_path: Path) -> None:
    clock = ManualClock()
    recorder = await open_recorder(make_config(tmp_path, batch_max=5, batch_wait_ms=10_000), clock)
    running = asyncio.create_task(recorder.run())
    for t_ns in range(12):
        recorder.put(impact(t_ns))
    await clock.advance(0)
    assert recorder.sealed == 10
    await recorder.flush()
    assert recorder.sealed == 12
    recorder.close()
    await running


async def test_a_crash_overtakes_a_full_batch(tmp_path: Path) -> None:
    clock = ManualClock()
    config = make_config(tmp_path, batch_max=5, batch_wait_ms=10_000)
    recorder = await open_recorder(config, clock)
    running = asyncio.create_task(recorder.run())
    for event in (*map(impact, range(7)), CRASH, impact(8)):
        recorder.put(event)
    await clock.advance(0)
    assert recorder.sealed == 6
    recorder.close()
    await running
    assert await read_back(config) == [CRASH, *map(impact, (0, 1, 2, 3, 4, 5, 6, 8))]


async def test_a_crash_stops_the_sealing_of_a_batch_under_way(tmp_path: Path) -> None:
    config, clock = make_config(tmp_path, batch_max=50), ManualClock()
    encoded: list[Event] = []

    def encode(event: Event, **context: Any) -> bytes:
        encoded.append(event)
        if len(encoded) == 3:
            recorder.put(CRASH)  # arrives while the third of fifty is being sealed
        return encode_event(event, **context)

    recorder = await open_recorder(config, clock, encode=encode)
    disk = FailingDisk(recorder)
    for t_ns in range(50):
        recorder.put(impact(t_ns))
    running = asyncio.create_task(recorder.run())
    await recorder.flush()
    assert [len(batch) for batch in disk.batches] == [3, 1, 47]
    recorder.close()
    await running
    assert await read_back(config) == [*map(impact, range(3)), CRASH, *map(impact, range(3, 50))]


async def test_the_committed_instant_is_held(tmp_path: Path) -> None:
    """Simulated time does not pass while the disk works: the next instant already sees the record."""
    clock = ManualClock()
    recorder = await open_recorder(make_config(tmp_path), clock)
    running = asyncio.create_task(recorder.run())
    for second in range(5):
        recorder.put(CRASH)
        await clock.advance(1)
        assert recorder.sealed == second + 1
    recorder.close()
    await running


async def test_cancelled_it_still_commits_what_was_put(tmp_path: Path) -> None:
    config = make_config(tmp_path, batch_wait_ms=10_000)
    recorder = await open_recorder(config, ManualClock())
    running = asyncio.create_task(recorder.run())
    recorder.put(impact(1))
    await asyncio.sleep(0)
    recorder.put(impact(2))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    recorder.put(impact(3))
    assert recorder.dropped == 1
    assert await read_back(config) == [impact(1), impact(2)]


async def test_a_refusing_disk_is_tried_again_and_nothing_is_lost(tmp_path: Path) -> None:
    config, clock = make_config(tmp_path), ManualClock()
    recorder = await open_recorder(config, clock)
    disk = FailingDisk(recorder)
    disk.failures = 3
    running = asyncio.create_task(recorder.run())
    recorder.put(CRASH)
    await clock.advance(0)
    recorder.put(impact(1))
    assert recorder.sealed == 0
    await clock.advance(30)
    assert recorder.sealed == 2
    assert [len(batch) for batch in disk.batches] == [1, 1, 1, 1, 1]
    assert len({batch[0].digest for batch in disk.batches[:4]}) == 1, "a record is sealed once: its place is taken"
    recorder.close()
    await running
    assert await read_back(config) == [CRASH, impact(1)]


async def test_flush_says_when_the_disk_refuses(tmp_path: Path) -> None:
    recorder = await open_recorder(make_config(tmp_path), ManualClock())
    disk = FailingDisk(recorder)
    disk.failures = 1
    running = asyncio.create_task(recorder.run())
    recorder.put(impact(1))
    with pytest.raises(StoreError, match="no space"):
        await recorder.flush()
    await recorder.flush()
    assert recorder.sealed == 1
    recorder.close()
    await running


async def test_a_disk_that_refuses_to_the_end_is_an_error(tmp_path: Path) -> None:
    recorder = await open_recorder(make_config(tmp_path), ManualClock())
    FailingDisk(recorder).failures = 100
    recorder.put(impact(1))
    recorder.close()
    with pytest.raises(StoreError, match="1 events are lost"):
        await recorder.run()
    with pytest.raises(StoreError, match="1 events are not on the disk"):
        await recorder.flush()


async def test_without_room_the_oldest_of_the_lowest_priority_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "_WAITING_MAX", 3)
    config = make_config(tmp_path)
    recorder = await open_recorder(config, ManualClock())
    for event in (CRASH, impact(1), impact(2), braking(3), CRASH):
        recorder.put(event)
    recorder.close()
    await recorder.run()
    assert recorder.dropped == 2
    assert await read_back(config) == [CRASH, CRASH, braking(3)]


async def test_an_event_too_large_to_seal_is_counted_and_stops_nothing(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    recorder = await open_recorder(config, ManualClock())
    recorder.put(AgentStopped(t_ns=1, reason="x" * 70_000))
    recorder.put(impact(2))
    recorder.close()
    await recorder.run()
    assert (recorder.dropped, recorder.sealed) == (1, 1)
    assert await read_back(config) == [impact(2)]


async def test_wall_time_joins_only_when_synced(tmp_path: Path) -> None:
    config, clock = make_config(tmp_path), ManualClock(wall_start_ns=1_000)
    clock.synced = False
    recorder = await open_recorder(config, clock)
    running = asyncio.create_task(recorder.run())
    recorder.put(CRASH)
    await clock.advance(0)
    clock.synced = True
    recorder.put(CRASH)
    await recorder.flush()
    first, second = await recorder.outbox.peek(None, 5)
    recorder.close()
    await running
    told = [open_record(r.payload, KEYS.insurer, KEYS.device_public)[1] for r in (first, second)]
    assert [(t.wall_ns, t.clock_synced) for t in told] == [(None, False), (1_009, True)]


async def test_a_corrupt_store_is_reported_as_an_event(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "outbox.db").write_bytes(b"no database" * 500)
    recorder = await open_recorder(config, ManualClock())
    recorder.close()
    await recorder.run()
    (event,) = await read_back(config)
    assert isinstance(event, RecordsDamaged)
    assert (event.unreadable, event.recovered, event.file) == (None, 0, "outbox.corrupt-1.db")


async def test_shed_records_are_counted_and_told_with_their_span(tmp_path: Path) -> None:
    clock = ManualClock()
    config = make_config(tmp_path, size_max_mb=1)
    recorder = await open_recorder(config, clock)
    running = asyncio.create_task(recorder.run())
    recorder.outbox._database._size_max_bytes = 4_000
    for t_ns in range(20):
        recorder.put(impact(t_ns))
    await recorder.flush()
    told = 1
    assert recorder.sealed == 20 + told
    assert recorder.shed == {Priority.TELEMETRY: 20 + told - await recorder.outbox.pending()}
    recorder.close()
    await running
    first, rest = [event for event in await read_back(config) if isinstance(event, RecordsShed)]
    assert (first.of_priority, first.first_boot, first.first_sequence, first.records) == (3, 1, 1, first.last_sequence)
    assert first.first_ns <= first.last_ns <= first.t_ns
    assert rest.first_sequence == first.last_sequence + 1
    assert recorder.shed[Priority.TELEMETRY] >= first.records + rest.records


async def test_missing_and_wrong_keys_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"trust\.insurer_encryption_key"):
        await open_recorder(Config(), ManualClock())
    config = make_config(tmp_path)
    (tmp_path / "owner.pem").write_text("nonsense")
    with pytest.raises(InputError, match=r"owner\.pem: not a PEM public key"):
        await open_recorder(config, ManualClock())
