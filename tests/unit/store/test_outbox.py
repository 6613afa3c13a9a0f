import errno
import os
import sqlite3
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.core.errors import InputError, StoreError
from agent.core.events import Priority
from agent.core.records import GENESIS, Position, Range, SealedRecord
from agent.store import files
from agent.store.outbox import Outbox
from agent.store.quota import Shed
from agent.store.reserve import SIZE_BYTES
from tests.unit.store.kit import make_chain

MIXED = (Priority.TELEMETRY, Priority.SERVICE, Priority.CRASH, Priority.SAFETY)


async def open_outbox(
    directory: Path, *, size_max_bytes: int = 1_000_000, shed: Counter[Priority] | None = None
) -> Outbox:
    counts = Counter[Priority]() if shed is None else shed

    def count(parts: Sequence[Shed]) -> None:
        counts.update({part.priority: part.records for part in parts})

    return await Outbox.open(directory, device="car-1", size_max_bytes=size_max_bytes, on_shed=count)


def covering(*records: SealedRecord) -> Range:
    return Range(records[0].boot, records[0].sequence, records[-1].sequence, records[-1].digest)


async def test_records_come_back_in_sending_order(tmp_path: Path) -> None:
    outbox = await open_outbox(tmp_path)
    records = make_chain(8, priorities=MIXED)
    await outbox.append(records[:5], critical=False)
    await outbox.append(records[5:], critical=True)
    order = sorted(records, key=lambda r: (r.priority, r.boot, r.sequence))
    assert await outbox.peek(None, 100) == order
    assert await outbox.peek(order[2].position, 3) == order[3:6]
    assert await outbox.pending() == 8
    await outbox.close()


async def test_detail_of_a_crash_goes_behind_safety_and_before_service(tmp_path: Path) -> None:
    outbox = await open_outbox(tmp_path)
    bulk = make_chain(2, priorities=(Priority.CRASH,), bulk=True)
    others = make_chain(4, first=3, after=bulk[-1].digest, priorities=MIXED)
    await outbox.append([*bulk, *others], critical=True)
    graver = sorted((r for r in others if r.priority <= Priority.SAFETY), key=lambda r: (r.priority, r.sequence))
    lesser = sorted((r for r in others if r.priority > Priority.SAFETY), key=lambda r: (r.priority, r.sequence))
    assert await outbox.peek(None, 100) == [*graver, *bulk, *lesser]
    assert await outbox.peek(bulk[0].position, 100) == [bulk[1], *lesser]
    await outbox.forget([covering(*bulk)])
    assert await outbox.pending() == 4
    await outbox.close()


async def test_detail_of_a_crash_is_never_shed(tmp_path: Path) -> None:
    outbox = await open_outbox(tmp_path, size_max_bytes=20_000)
    bulk = make_chain(5, priorities=(Priority.CRASH,), bulk=True, size=1000)
    await outbox.append(bulk, critical=True)
    await outbox.append(make_chain(40, first=6, after=bulk[-1].digest, size=1000), critical=False)
    assert (await outbox.peek(None, 5)) == bulk
    await outbox.close()


async def test_peek_goes_on_behind_a_record_forgotten_meanwhile(tmp_path: Path) -> None:
    outbox = await open_outbox(tmp_path)
    records = make_chain(6)
    await outbox.append(records, critical=False)
    assert await outbox.peek(None, 3) == records[:3]
    await outbox.forget([covering(*records[:3])])
    assert await outbox.peek(records[2].position, 10) == records[3:]
    assert await outbox.peek(Position(9, 9), 10) == records[3:]
    await outbox.close()


async def test_records_head_and_boot_survive_a_restart(tmp_path: Path) -> None:
    outbox = await open_outbox(tmp_path)
    records = make_chain(3)
    await outbox.append(records, critical=False)
    assert (outbox.boot, outbox.head) == (1, GENESIS)
    await outbox.close()
    again = await open_outbox(tmp_path)
    assert (again.boot, again.head) == (2, records[-1].digest)
    assert await again.peek(None, 10) == records
    following = make_chain(2, boot=2, after=again.head)
    await again.append(following, critical=False)
    assert await again.peek(None, 10) == records + following
    await again.close()


async def test_only_a_matching_receipt_deletes(tmp_path: Path) -> None:
    outbox = await open_outbox(tmp_path)
    records = make_chain(9)
    await outbox.append(records, critical=False)
    foreign = Range(1, 1, 9, b"\1" * 32)
    beyond = Range(1, 1, 12, records[-1].digest)
    assert await outbox.forget([foreign, beyond]) == 0
    assert (await outbox.pending(), outbox.receipts_refused) == (9, 2)
    assert await outbox.forget([covering(*records[2:4]), covering(*records[6:])]) == 5
    assert await outbox.peek(None, 10) == [*records[:2], *records[4:6]]
    await outbox.close()


async def test_repeating_an_append_changes_nothing(tmp_path: Path) -> None:
    """A commit may have reached the disk although it was reported as failed."""
    outbox = await open_outbox(tmp_path)
    records = make_chain(4)
    await outbox.append(records, critical=False)
    await outbox.append(records, critical=False)
    assert await outbox.peek(None, 10) == records
    await outbox.close()


async def test_a_gap_in_the_chain_is_a_bug(tmp_path: Path) -> None:
    outbox = await open_outbox(tmp_path)
    with pytest.raises(ValueError, match="does not follow"):
        await outbox.append(make_chain(2, first=5), critical=False)
    assert await outbox.pending() == 0
    await outbox.close()


async def test_a_full_store_sheds_the_lowest_priority_and_its_oldest_first(tmp_path: Path) -> None:
    shed: Counter[Priority] = Counter()
    outbox = await open_outbox(tmp_path, size_max_bytes=24_000, shed=shed)
    records = make_chain(24, priorities=(Priority.TELEMETRY, Priority.SERVICE, Priority.CRASH), size=1000)
    for start in range(0, 24, 4):
        await outbox.append(records[start : start + 4], critical=False)
    left = await outbox.peek(None, 100)
    assert [r for r in left if r.priority == Priority.CRASH] == records[2::3]
    assert [r for r in left if r.priority == Priority.SERVICE] == records[1::3]
    telemetry = [r for r in left if r.priority == Priority.TELEMETRY]
    assert telemetry == records[::3][-len(telemetry) :]
    assert shed == {Priority.TELEMETRY: 24 - len(left)}
    await outbox.close()


async def test_crash_records_have_a_reserve_and_are_never_shed(tmp_path: Path) -> None:
    outbox = await open_outbox(tmp_path, size_max_bytes=20_000)
    ordinary = make_chain(30, size=1000)
    await outbox.append(ordinary, critical=False)
    kept = await outbox.pending()
    crashes = make_chain(30, first=31, after=ordinary[-1].digest, priorities=(Priority.CRASH,), size=1000)
    room = 20_000 // (len(crashes[0].payload) + 64)
    for crash in crashes[:room]:
        await outbox.append([crash], critical=True)
    with pytest.raises(StoreError, match="full of crash records"):
        await outbox.append([crashes[room]], critical=True)
    assert kept < room
    assert await outbox.peek(None, 100) == crashes[:room]
    await outbox.close()


async def test_a_store_full_of_crashes_lets_their_oldest_detail_go_and_keeps_the_notices(tmp_path: Path) -> None:
    shed: Counter[Priority] = Counter()
    outbox = await open_outbox(tmp_path, size_max_bytes=20_000)
    outbox.on_shed = lambda parts: shed.update({part.priority: part.records for part in parts})
    after, first = GENESIS, 1
    details: list[SealedRecord] = []
    notices: list[SealedRecord] = []
    for _ in range(8):
        for bulk in (False, True, True):
            (record,) = make_chain(1, first=first, after=after, priorities=(Priority.CRASH,), size=1000, bulk=bulk)
            await outbox.append([record], critical=True, for_crash=True)
            (details if bulk else notices).append(record)
            after, first = record.digest, first + 1
    left = await outbox.peek(None, 100)
    assert [record for record in left if not record.bulk] == notices
    kept = [record for record in left if record.bulk]
    assert 0 < len(kept) < len(details)
    assert kept == details[-len(kept) :]
    assert shed == {Priority.CRASH: len(details) - len(kept)}
    await outbox.close()


async def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    outbox = await open_outbox(tmp_path)
    await outbox.close()
    with sqlite3.connect(tmp_path / "outbox.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(InputError, match="newer version"):
        await open_outbox(tmp_path)
    assert "outbox.corrupt-1.db" not in os.listdir(tmp_path)  # noqa: PTH208  # pathlib is called blocking here


async def test_two_agents_do_not_share_a_store(tmp_path: Path) -> None:
    outbox = await open_outbox(tmp_path)
    with pytest.raises(StoreError, match="in use"):
        await open_outbox(tmp_path)
    await outbox.close()
    await (await open_outbox(tmp_path)).close()


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    outbox = await open_outbox(tmp_path)
    await outbox.close()
    await outbox.close()
    with pytest.raises(StoreError, match="closed"):
        await outbox.pending()


async def test_a_directory_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="outbox"):
        await open_outbox(tmp_path / "file" / "store")


async def test_every_commit_is_synced(tmp_path: Path) -> None:
    outbox = await open_outbox(tmp_path)
    assert outbox._database._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert outbox._database._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    records = make_chain(2)
    await outbox.append(records, critical=False)
    await outbox.forget([covering(*records)])
    assert outbox._database._db.execute("PRAGMA synchronous").fetchone() == (2,)
    await outbox.close()


async def test_what_was_forgotten_makes_room(tmp_path: Path) -> None:
    outbox = await open_outbox(tmp_path, size_max_bytes=20_000)
    after, first = GENESIS, 1
    for _ in range(5):
        records = make_chain(12, first=first, after=after, size=1000)
        await outbox.append(records, critical=False)
        assert await outbox.forget([covering(*records)]) == 12
        after, first = records[-1].digest, first + 12
    await outbox.close()


async def test_the_disk_full_of_others_is_a_store_error_and_loses_nothing(tmp_path: Path) -> None:
    outbox = await open_outbox(tmp_path)
    records = make_chain(60, size=4000)
    await outbox.append(records[:2], critical=False)
    outbox._database._db.execute("PRAGMA max_page_count = 12")  # SQLite's own way to meet SQLITE_FULL
    with pytest.raises(StoreError, match="full"):
        await outbox.append(records[2:], critical=False)
    outbox._database._db.execute("PRAGMA max_page_count = 100000")
    assert await outbox.pending() == 2
    await outbox.append(records[2:], critical=False)
    assert await outbox.peek(None, 100) == records
    await outbox.close()


async def test_a_full_disk_does_not_keep_the_store_from_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await open_outbox(tmp_path)).close()
    reserve = tmp_path / "reserve"
    assert reserve.stat().st_size == SIZE_BYTES

    def count_while_full(path: Path, count: int) -> None:
        if reserve.exists():
            raise OSError(errno.ENOSPC, "no space left on device")
        files.write_count(path, count)

    monkeypatch.setattr("agent.store.database.write_count", count_while_full)
    outbox = await open_outbox(tmp_path)
    assert not reserve.exists()
    await outbox.append(make_chain(1, boot=outbox.boot, priorities=(Priority.CRASH,)), critical=True, for_crash=True)
    await outbox.close()
