import sqlite3
from pathlib import Path

import pytest

from agent.core.errors import StoreError
from agent.store.spool import Spool
from tests.unit.store.kit import KEYS


def on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_what_waits_comes_back_in_the_order_of_its_times(tmp_path: Path) -> None:
    spool = await Spool.open(tmp_path, KEYS.device, rows_max=100)
    await spool.add([(20, b"second"), (10, b"first")])
    await spool.close()
    spool = await Spool.open(tmp_path, KEYS.device, rows_max=100)
    rows = await spool.oldest(10, since_s=0)
    assert [data for _, data in rows] == [b"first", b"second"]
    await spool.forget([rows[0][0]])
    assert [data for _, data in await spool.oldest(10, since_s=0)] == [b"second"]
    await spool.close()


async def test_nothing_of_it_can_be_read_on_the_disk(tmp_path: Path) -> None:
    spool = await Spool.open(tmp_path, KEYS.device, rows_max=100)
    await spool.add([(10, b"LTESTVIN000000001 stands at 31.2 N")])
    found = on_disk(tmp_path)
    await spool.close()
    assert b"LTESTVIN" not in found
    assert b"31.2" not in found


async def test_the_oldest_go_first_when_there_are_too_many_or_they_are_too_old(tmp_path: Path) -> None:
    spool = await Spool.open(tmp_path, KEYS.device, rows_max=3)
    await spool.add([(second, b"%d" % second) for second in range(5)])
    assert await spool.count() == 3
    assert [data for _, data in await spool.oldest(10, since_s=4)] == [b"4"]
    assert spool.dropped == 4
    await spool.close()


async def test_a_spoilt_message_is_left_out_and_a_spoilt_file_begun_anew(tmp_path: Path) -> None:
    spool = await Spool.open(tmp_path, KEYS.device, rows_max=100)
    await spool.add([(10, b"one"), (20, b"two")])
    await spool.close()
    with sqlite3.connect(tmp_path / "platform.sqlite") as db:
        db.execute("UPDATE messages SET sealed = X'00' WHERE time_s = 10")
    db.close()
    spool = await Spool.open(tmp_path, KEYS.device, rows_max=100)
    assert [data for _, data in await spool.oldest(10, since_s=0)] == [b"two"]
    assert spool.dropped == 1
    await spool.close()
    (tmp_path / "platform.sqlite").write_bytes(b"no database at all, but long enough to look like one" * 100)
    for name in ("platform.sqlite-wal", "platform.sqlite-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    spool = await Spool.open(tmp_path, KEYS.device, rows_max=100)
    assert await spool.count() == 0
    await spool.close()


async def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"platform\.sqlite"):
        await Spool.open(tmp_path / "file", KEYS.device, rows_max=100)
