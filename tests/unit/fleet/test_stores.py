"""What is particular to one of the stores, and how they fail."""

import random
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.core.errors import InputError, StoreError
from agent.store.seal import Sealer
from fleet.receiver.database import open_store
from fleet.receiver.intake import Intake
from fleet.receiver.keys import ReceiverKeys
from fleet.receiver.schema import SQLITE, SQLITE_VERSION
from fleet.receiver.sqlite import SqliteStore
from fleet.receiver.store import DEAD_LETTERS_MAX, PAGE_ROWS, Counts, Letter
from simulators.postgres import Postgres
from tests.unit.store.kit import KEYS, braking, seal_chain

_SCHEMA_1 = """
CREATE TABLE events (
    device TEXT NOT NULL, boot INTEGER NOT NULL, sequence INTEGER NOT NULL,
    priority INTEGER NOT NULL, kind TEXT NOT NULL, agent TEXT NOT NULL, event TEXT NOT NULL,
    t_ns INTEGER NOT NULL, wall_ns INTEGER, clock_synced INTEGER NOT NULL,
    previous BLOB NOT NULL, digest BLOB NOT NULL, chain TEXT NOT NULL,
    envelope BLOB NOT NULL, received_ns INTEGER NOT NULL,
    PRIMARY KEY (device, boot, sequence)
);
CREATE INDEX by_digest ON events (device, digest);
CREATE INDEX by_previous ON events (device, previous);
CREATE INDEX undated ON events (device, boot) WHERE wall_ns IS NULL;
CREATE INDEX dated ON events (device, boot) WHERE clock_synced;
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, device TEXT NOT NULL, reason TEXT NOT NULL,
    envelope BLOB NOT NULL, received_ns INTEGER NOT NULL, times INTEGER NOT NULL
);
CREATE VIEW devices AS SELECT device FROM events;
PRAGMA user_version = 1;
"""


def test_a_file_of_the_first_schema_is_migrated_with_all_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "received.db"
    old = sqlite3.connect(path)
    old.executescript(_SCHEMA_1)
    event = '{"kind": "agent_stopped", "t_ns": 5, "reason": "x"}'
    insert = f"INSERT INTO events VALUES ({','.join('?' * 15)})"  # noqa: S608  # marks only
    row = ("car-1", 1, 1, 3, "agent_stopped", "0.1", event, 5, 12, 0, bytes(32), b"d" * 32, "verified", b"e", 99)
    old.execute(insert, row)
    row = ("car-1", 1, 2, 3, "agent_stopped", "0.1", event, 6, 13, 1, b"d" * 32, b"f" * 32, "verified", b"g", 99)
    old.execute(insert, row)
    old.execute("INSERT INTO dead_letters VALUES (4, x'00', 'car-1', 'forged', x'01', 7, 2)")
    old.commit()
    old.close()
    store = SqliteStore(path)
    assert store.counts("car-1") == Counts(received=2, verified=2, broken=0, dead=1)
    rows = list(store.events())
    assert [(row["wall_ns"], row["dated"]) for row in rows] == [(12, "derived"), (13, "told")]
    assert store.envelopes("car-1") == [b"e", b"g"]
    assert store.dead_letters() == [("car-1", "forged", 2)]
    store.close()
    assert SqliteStore(path).counts() == Counts(received=2, verified=2, broken=0, dead=1)


def test_every_older_schema_has_a_way_to_the_newest() -> None:
    assert sorted(SQLITE) == list(range(SQLITE_VERSION))


def test_a_newer_schema_is_left_alone(tmp_path: Path, postgres: Postgres) -> None:
    path = tmp_path / "received.db"
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {SQLITE_VERSION + 1}")
    with pytest.raises(InputError, match=r"received\.db: made by a newer version \(schema 5; this one knows 4\)"):
        SqliteStore(path)
    address = postgres.create_database("newer")
    store = open_store(address)
    store._open.execute("INSERT INTO outrider_schema VALUES (9)")  # type: ignore[attr-defined]
    store.close()
    with pytest.raises(InputError, match="made by a newer version"):
        open_store(address)


def test_what_came_in_a_time_is_found_by_when_it_came(new_database: Callable[[], str], tmp_path: Path) -> None:
    keys = ReceiverKeys.create(tmp_path / "keys")
    keys.register("car-1", KEYS.device.public_key)
    records = seal_chain([braking(5)] * 4, sealer=Sealer(KEYS.device, [keys.encryption_key.public_key()]))
    store = open_store(new_database(), create=True)
    for now_ns, record in zip((10, 20, 20, 30), records, strict=True):
        Intake(keys, store, now_ns=lambda now_ns=now_ns: now_ns).take([record.payload])  # type: ignore[misc]
    digests = [record.digest for record in records]
    assert store.received(10, 30) == sorted(digests[:3])
    assert store.received(20, 31) == sorted(digests[1:])
    assert store.received(31, 2**62) == []
    store.close()


def test_events_come_page_by_page(new_database: Callable[[], str], tmp_path: Path) -> None:
    keys = ReceiverKeys.create(tmp_path / "keys")
    sealer = Sealer(KEYS.device, [keys.encryption_key.public_key()])
    store = open_store(new_database(), create=True)
    for device in ("car-1", "car-2"):
        keys.register(device, KEYS.device.public_key)
        records = seal_chain([braking(t_ns) for t_ns in range(PAGE_ROWS // 2 + 1)], sealer=sealer, device=device)
        Intake(keys, store).take([record.payload for record in records])
    places = [(row["device"], row["sequence"]) for row in store.events()]
    assert places == [(device, n + 1) for device in ("car-1", "car-2") for n in range(PAGE_ROWS // 2 + 1)]
    assert sum(1 for _ in store.events("car-2")) == PAGE_ROWS // 2 + 1
    store.close()


def test_a_server_that_takes_nothing_is_waited_for(postgres: Postgres) -> None:
    """In standby or without rights: no bug of ours, and over at some time."""
    store = open_store(postgres.create_database("refusing"))
    letters = [Letter("car-1", b"noise", "poison")]
    database = store._open  # type: ignore[attr-defined]
    database.execute("SET default_transaction_read_only = on")
    with pytest.raises(StoreError, match="read-only transaction"):
        store.put([], letters, received_ns=1)
    store.put([], letters, received_ns=1)  # on a new connection
    database = store._open  # type: ignore[attr-defined]
    database.execute("CREATE ROLE reader; GRANT SELECT ON dead_letters TO reader; SET ROLE reader")
    with pytest.raises(StoreError, match="permission denied"):
        store.put([], letters, received_ns=1)
    store.put([], letters, received_ns=1)
    assert store.dead_letters() == [("car-1", "poison", 2)]
    store.close()


def test_workers_that_store_the_same_at_once_neither_block_each_other_nor_store_twice(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    keys = ReceiverKeys.create(tmp_path / "keys")
    keys.register("car-1", KEYS.device.public_key)
    sealer = Sealer(KEYS.device, [keys.encryption_key.public_key()])
    records = [record.payload for record in seal_chain([braking(n) for n in range(200)], sealer=sealer)]
    poison = [b"noise %d" % number for number in range(40)]
    address = new_database()
    stores = [open_store(address, create=True) for _ in range(3)]
    start = threading.Barrier(len(stores))

    def work(number: int) -> list[str]:
        chance = random.Random(number)  # noqa: S311  # the order is no secret
        intake = Intake(keys, stores[number])
        said: list[str] = []
        mine = chance.sample([*records, *poison], 240)
        start.wait()
        for first in range(0, len(mine), 60):
            said += [outcome.status for outcome in intake.take(mine[first : first + 60])]
        return said

    with ThreadPoolExecutor(len(stores)) as threads:
        said = [status for part in threads.map(work, range(len(stores))) for status in part]
    assert (said.count("accepted"), said.count("duplicate"), said.count("dead")) == (200, 400, 120)
    assert stores[0].counts() == Counts(received=200, verified=200, broken=0, dead=40)
    assert {times for _, _, times in stores[0].dead_letters()} == {3}
    for store in stores:
        store.close()


def test_the_oldest_dead_letters_go(new_database: Callable[[], str]) -> None:
    store = open_store(new_database(), create=True)
    for start in range(0, DEAD_LETTERS_MAX + 500, 500):
        letters = [Letter("car-1", b"%d" % number, "poison") for number in range(start, start + 500)]
        store.put([], letters, received_ns=start)
    store.put([], [Letter("car-1", b"9999", "poison")], received_ns=1)
    left = store.dead_letters()
    assert len(left) == DEAD_LETTERS_MAX
    assert [letter for letter in left if letter[2] > 1] == [("car-1", "poison", 2)]
    store.close()


def test_a_restarted_server_is_found_again(tmp_path: Path, postgres: Postgres) -> None:
    keys = ReceiverKeys.create(tmp_path / "keys")
    keys.register("car-1", KEYS.device.public_key)
    store = open_store(postgres.create_database("restarted"))
    intake = Intake(keys, store)
    records = seal_chain([braking(), braking()], sealer=Sealer(KEYS.device, [keys.encryption_key.public_key()]))
    assert intake.take([records[0].payload])[0].status == "accepted"
    postgres.restart()
    with pytest.raises(StoreError, match="receiver's store: "):
        intake.take([records[1].payload])
    assert [outcome.status for outcome in intake.take([r.payload for r in records])] == ["duplicate", "accepted"]
    store.close()


def test_what_cannot_be_opened_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.db: no such file"):
        open_store(str(tmp_path / "missing.db"))
    with pytest.raises(StoreError, match="receiver's store: connection"):
        open_store(f"postgresql:///x?host={tmp_path}")
    with pytest.raises(InputError, match="database: "):
        open_store("postgresql://x?nonsense=1")


_BACK_TO_FIRST_OFFSETS = """
DROP VIEW devices;
DROP VIEW restored_devices;
DROP VIEW chained_events;
DROP VIEW dated_events;
DROP VIEW boots;
DROP INDEX by_date;
DROP INDEX by_arrival;
DROP TABLE tickets;
DROP TABLE ticket_messages;
DROP TABLE ticket_events;
CREATE TABLE boots (device TEXT NOT NULL, boot INTEGER NOT NULL, wall_offset_ns BIGINT NOT NULL);
CREATE VIEW chained_events AS SELECT * FROM events;
CREATE VIEW restored_devices AS SELECT device FROM events;
CREATE VIEW devices AS SELECT device FROM events;
"""


def test_stores_that_kept_one_offset_a_boot_date_by_the_nearest_after_the_migration(
    tmp_path: Path, postgres: Postgres
) -> None:
    keys = ReceiverKeys.create(tmp_path / "keys")
    keys.register("car-1", KEYS.device.public_key)
    record = seal_chain([braking(5)], sealer=Sealer(KEYS.device, [keys.encryption_key.public_key()]))[0]
    addresses = (str(tmp_path / "received.db"), postgres.create_database("older"))
    for address in addresses:
        store = open_store(address, create=True)
        assert Intake(keys, store).take([record.payload])[0].status == "accepted"
        store.close()
    with sqlite3.connect(addresses[0]) as old:
        old.executescript(f"{_BACK_TO_FIRST_OFFSETS} PRAGMA user_version = 2;")
    old.close()
    store = open_store(addresses[1])
    database = store._open  # type: ignore[attr-defined]
    database.execute(f"DROP VIEW dead_letters_by_reason, alarms, events_by_minute; {_BACK_TO_FIRST_OFFSETS}")
    for view in ("events_by_minute", "alarms", "dead_letters_by_reason"):
        database.execute(f"CREATE VIEW {view} AS SELECT device FROM events")  # noqa: S608  # constants
    database.execute("UPDATE outrider_schema SET version = 1")
    store.close()
    for address in addresses:
        store = open_store(address)
        assert store.counts() == Counts(received=1, verified=1, broken=0, dead=0)
        assert [(row["wall_ns"], row["dated"]) for row in store.events()] == [(12, "told")]
        store.close()
