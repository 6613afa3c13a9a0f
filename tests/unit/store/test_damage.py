import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.core.events import Priority
from agent.core.records import SealedRecord
from agent.store import files
from agent.store.outbox import Outbox
from agent.store.rebuild import Damage, checksum
from tests.unit.store.kit import make_chain

PAGE = 4096


async def open_outbox(directory: Path, damages: list[Damage]) -> Outbox:
    return await Outbox.open(directory, device="car-1", size_max_bytes=10_000_000, on_damage=damages.append)


async def fill(directory: Path, count: int, *, size: int = 1000) -> list[SealedRecord]:
    outbox = await open_outbox(directory, [])
    records = make_chain(count, priorities=(Priority.TELEMETRY, Priority.CRASH), size=size)
    await outbox.append(records, critical=True)
    await outbox.close()
    return records


def leaf_pages(path: Path, table: str) -> Iterator[int]:
    """Numbers, from 0, of the pages that hold a table's rows."""
    with closing(sqlite3.connect(path)) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    content = path.read_bytes()
    assert content[(root - 1) * PAGE] == 5, "an interior page"
    page = content[(root - 1) * PAGE : root * PAGE]
    for index in range(int.from_bytes(page[3:5], "big")):
        cell = int.from_bytes(page[12 + 2 * index : 14 + 2 * index], "big")
        yield int.from_bytes(page[cell : cell + 4], "big") - 1


def spoil(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


@pytest.mark.parametrize("damage", [b"this is no database, but long enough to be taken for one" * 90, b"\0" * 5000])
async def test_what_is_no_database_is_kept_aside_and_a_new_one_begun(tmp_path: Path, damage: bytes) -> None:
    await fill(tmp_path, 3)
    (tmp_path / "outbox.db").write_bytes(damage)
    damages: list[Damage] = []
    again = await open_outbox(tmp_path, damages)
    aside = tmp_path / "outbox.corrupt-1.db"
    assert damages == [Damage(quarantined=0, unreadable=None, recovered=0, file=aside)]
    assert aside.read_bytes() == damage
    assert again.boot == 2, "a boot used twice would look like a duplicate"
    assert await again.pending() == 0
    await again.append(make_chain(1, boot=2), critical=True)
    await again.close()
    damages.clear()
    once_more = await open_outbox(tmp_path, damages)
    assert (damages, await once_more.pending()) == ([], 1)
    await once_more.close()


async def test_a_spoilt_page_costs_its_own_records_only(tmp_path: Path) -> None:
    records = await fill(tmp_path, 60)
    path = tmp_path / "outbox.db"
    spoilt = list(leaf_pages(path, "telemetry_records"))[3:5]
    for page in spoilt:
        spoil(path, page * PAGE, b"\xee" * 16)
    damages: list[Damage] = []
    outbox = await open_outbox(tmp_path, damages)
    left = await outbox.peek(None, 100)
    (damage,) = damages
    assert damage.unreadable == len(records) - len(left) == 6
    assert (damage.recovered, damage.file) == (len(left), tmp_path / "outbox.corrupt-1.db")
    assert [r for r in left if r.priority == Priority.CRASH] == records[1::2]
    assert {r.position for r in left} <= {r.position for r in records}
    assert outbox.head == records[-1].digest, "the chain goes on"
    assert await outbox.pending() == len(left)
    await outbox.close()


async def test_a_page_that_is_spoilt_meanwhile_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = await fill(tmp_path, 60)
    path = tmp_path / "outbox.db"
    spoil(path, list(leaf_pages(path, "crash_records"))[2] * PAGE, b"\xee" * 16)
    damages: list[Damage] = []
    with monkeypatch.context() as unchecked:
        unchecked.setattr(files, "_check", lambda _: None)
        outbox = await open_outbox(tmp_path, damages)
    assert damages == []
    more = make_chain(3, boot=2, after=records[-1].digest)
    await outbox.append(more, critical=False)
    left = await outbox.peek(None, 100)
    assert [damage.unreadable for damage in damages] == [3]
    assert len(left) == 60 + 3 - 3
    assert left[-3:] == more
    further = make_chain(1, boot=2, first=4, after=more[-1].digest)
    await outbox.append(further, critical=False)
    assert (await outbox.peek(None, 100))[-1:] == further
    await outbox.close()


async def test_a_flipped_bit_in_a_record_sets_it_aside(tmp_path: Path) -> None:
    records = await fill(tmp_path, 10)
    path = tmp_path / "outbox.db"
    with closing(sqlite3.connect(path)) as db:
        ((stored,),) = db.execute("SELECT payload FROM telemetry_records WHERE place = ?", (1 << 32 | 5,)).fetchall()
    content = path.read_bytes()
    start = 0
    while (start := content.find(stored, start) + 1) > 0:  # pages that were split hold old copies
        spoil(path, start + 499, bytes([content[start + 499] ^ 4]))
    damages: list[Damage] = []
    outbox = await open_outbox(tmp_path, damages)
    left = await outbox.peek(None, 100)
    assert damages == [Damage(quarantined=1)]
    assert sorted(left, key=lambda r: r.position) == records[:4] + records[5:]
    assert await outbox.pending() == 9
    with closing(sqlite3.connect(path)) as db:
        ((kept,),) = db.execute("SELECT payload FROM damaged").fetchall()
    assert [a ^ b for a, b in zip(kept, stored, strict=True) if a != b] == [4]
    await outbox.close()


async def test_a_record_at_a_damaged_place_is_no_other_record(tmp_path: Path) -> None:
    records = await fill(tmp_path, 10)
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as db:
        db.execute("UPDATE telemetry_records SET place = place + 64 WHERE place = ?", (1 << 32 | 9,))
        db.commit()
    damages: list[Damage] = []
    outbox = await open_outbox(tmp_path, damages)
    left = await outbox.peek(None, 100)
    assert sorted(left, key=lambda r: r.position) == [*records[:8], records[9]]
    assert damages == [Damage(quarantined=1)]
    await outbox.close()


async def test_a_rebuilt_file_takes_its_place_after_a_power_cut(tmp_path: Path) -> None:
    records = await fill(tmp_path, 4)
    (tmp_path / "outbox.db").rename(tmp_path / "outbox.rebuilt.db")
    (tmp_path / "outbox.db").write_bytes(b"damaged")
    outbox = await open_outbox(tmp_path, [])
    assert await outbox.pending() == len(records)
    assert (tmp_path / "outbox.corrupt-1.db").read_bytes() == b"damaged"
    assert "outbox.rebuilt.db" not in os.listdir(tmp_path)  # noqa: PTH208  # pathlib is called blocking here
    await outbox.close()


def make_older(db: sqlite3.Connection, records: list[SealedRecord]) -> None:
    """As it was up to the third schema: no word of purposes, and envelopes as they are."""
    for table in files.TABLES:
        for record in records:
            place = record.boot << 32 | record.sequence
            row = record.payload, checksum(place, record.payload), place
            db.execute(f"UPDATE {table.name} SET payload = ?, crc = ? WHERE place = ?", row)  # noqa: S608  # a constant
        db.execute(f"ALTER TABLE {table.name} DROP COLUMN purposes")
        db.execute(f"ALTER TABLE {table.name} DROP COLUMN wall_ns")


async def test_a_file_of_the_first_schema_goes_on(tmp_path: Path) -> None:
    records = await fill(tmp_path, 6)
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as db:
        make_older(db, records)
        for table in files.TABLES:
            if not table.bulk:
                db.execute(f"ALTER TABLE {table.name} DROP COLUMN crc")
                db.execute(f"ALTER TABLE {table.name} DROP COLUMN stored_ns")
        db.execute("DROP TABLE crash_bulk_records")
        db.execute("DROP TABLE damaged")
        db.execute("PRAGMA user_version = 1")
        db.commit()
    damages: list[Damage] = []
    outbox = await open_outbox(tmp_path, damages)
    more = make_chain(2, boot=2, after=records[-1].digest)
    await outbox.append(more, critical=False)
    left = await outbox.peek(None, 100)
    assert sorted(left, key=lambda r: r.position) == [*records, *more]
    assert damages == []
    await outbox.close()


async def test_a_file_of_the_second_schema_goes_on_and_takes_bulk(tmp_path: Path) -> None:
    records = await fill(tmp_path, 6)
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as db:
        make_older(db, records)
        db.execute("DROP TABLE crash_bulk_records")
        db.execute("PRAGMA user_version = 2")
        db.commit()
    damages: list[Damage] = []
    outbox = await open_outbox(tmp_path, damages)
    more = make_chain(2, boot=2, after=records[-1].digest, priorities=(Priority.CRASH,), bulk=True)
    await outbox.append(more, critical=True)
    left = await outbox.peek(None, 100)
    assert sorted(left, key=lambda r: r.position) == [*records, *more]
    assert damages == []
    await outbox.close()


async def test_a_rebuilt_file_still_knows_bulk(tmp_path: Path) -> None:
    outbox = await open_outbox(tmp_path, [])
    notice = make_chain(1, priorities=(Priority.CRASH,))
    bulk = make_chain(40, first=2, after=notice[0].digest, priorities=(Priority.CRASH,), bulk=True, size=2000)
    later = make_chain(1, first=42, after=bulk[-1].digest, priorities=(Priority.SAFETY,))
    await outbox.append([*notice, *bulk, *later], critical=True)
    await outbox.close()
    spoil(
        tmp_path / "outbox.db", list(leaf_pages(tmp_path / "outbox.db", "crash_bulk_records"))[-1] * PAGE, b"\xee" * 16
    )
    damages: list[Damage] = []
    outbox = await open_outbox(tmp_path, damages)
    left = await outbox.peek(None, 100)
    assert damages
    assert left[:2] == [*notice, *later]
    assert len(left) > 20
    assert all(record.bulk for record in left[2:])
    await outbox.close()


async def test_the_check_at_the_start_takes_bounded_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = await fill(tmp_path, 3000, size=2000)
    monkeypatch.setattr(files, "_CHECK_TIME_S", 0.0)
    monkeypatch.setattr(files, "_CHECK_STEPS", 1)
    damages: list[Damage] = []
    outbox = await open_outbox(tmp_path, damages)
    assert (damages, await outbox.pending()) == ([], len(records))
    await outbox.close()
