"""A long erasure: others get their turn between its slices, and it may be broken off between any two of them."""

import asyncio
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from agent.core import durable
from agent.core.erasure import Selection
from agent.core.errors import StoreError
from agent.core.events import Event, RecordsErased
from agent.core.records import Position, Range, SealedRecord
from agent.store import anew, erase, reports
from agent.store.database import Database
from agent.store.erase import Run, joined
from agent.store.files import PATIENCE_MS
from agent.store.reports import Reports
from tests.unit.store.kit import make_chain
from tests.unit.store.test_erase import chain, databases, erased, left, opened

SERVICE = Selection(frozenset({"service"}))


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erase, "SLICE_ROWS", 2)
    monkeypatch.setattr(anew, "_SLICE_ROWS", 2)


def open_database(folder: Path) -> Database:
    return Database(folder, device="car-1", size_max_bytes=10**9, now_ns=lambda: 0)


def slices_of_all(database: Database) -> Iterator[None]:
    """An erasure, slice by slice."""
    for work in (database.erase(SERVICE), database.write_anew(), database.shred_old_keys()):
        while database.next_slice(work) is not None:
            yield


def carry_through(database: Database, work: Generator[object, None, None]) -> None:
    while database.next_slice(work) is not None:
        pass


def stored(database: Database) -> list[SealedRecord]:
    return sorted(database.peek((-1, Position(0, 0)), 10_000), key=lambda record: record.position)


def kept(records: list[SealedRecord]) -> list[SealedRecord]:
    return [record for record in records if "service" not in record.purposes]


def test_what_comes_and_goes_between_two_slices_is_as_it_would_be_without(tmp_path: Path) -> None:
    """Even what is selected stays if it came meanwhile."""
    records = chain(40)
    database = open_database(tmp_path)
    database.append(records, may_use_reserve=False)
    expected = kept(records)
    newest = records[-1]
    for number, _ in enumerate(slices_of_all(database)):
        (newest,) = make_chain(1, first=newest.sequence + 1, after=newest.digest)
        database.append([replace(newest, purposes="service")], may_use_reserve=False)
        expected.append(newest)
        if number % 2:
            gone = expected.pop(number % 20)
            assert database.forget([Range(1, gone.sequence, gone.sequence, gone.digest)]) == (1, 0)
        assert {record.position for record in expected} <= {record.position for record in stored(database)}
    assert number > 30
    for _ in range(2):
        assert stored(database) == expected
        assert database.pending() == len(expected)
        database.close()
        assert databases(tmp_path) == ["outbox.db"]
        database = open_database(tmp_path)
    database.close()


def test_after_a_power_cut_between_any_two_slices_all_is_there_and_it_can_be_done_again(tmp_path: Path) -> None:
    records = chain(24)
    (tmp_path / "car").mkdir()
    database = open_database(tmp_path / "car")
    database.append(records, may_use_reserve=False)
    for number, _ in enumerate(slices_of_all(database)):
        shutil.copytree(tmp_path / "car", cut := tmp_path / f"cut{number}")
        after = open_database(cut)
        assert {record.position for record in kept(records)} <= {record.position for record in stored(after)}
        for _ in slices_of_all(after):
            pass
        assert stored(after) == kept(records)
        after.close()
        assert databases(cut) == ["outbox.db"]
    database.close()


@pytest.mark.parametrize("after_slices", [1, 8, 16, 20])
def test_a_store_that_is_closed_in_the_middle_leaves_nothing_half_done(tmp_path: Path, after_slices: int) -> None:
    database = open_database(tmp_path)
    database.append(chain(24), may_use_reserve=False)
    working = slices_of_all(database)
    for _ in range(after_slices):
        next(working)
    database.close()
    assert set(databases(tmp_path)) <= {"outbox.db", "outbox.erased.db"}
    database = open_database(tmp_path)
    assert {record.position for record in kept(chain(24))} <= {record.position for record in stored(database)}
    database.close()


def test_a_copy_whose_name_the_disk_does_not_keep_is_not_taken_for_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored after that would be gone with the next start."""
    records = chain(24)
    database = open_database(tmp_path)
    database.append(records[:12], may_use_reserve=False)
    with monkeypatch.context() as broken:
        broken.setattr(durable, "sync_directory", lambda _: (_ for _ in ()).throw(OSError(5, "input/output error")))
        work = database.write_anew()
        with pytest.raises(StoreError, match="input/output"):
            carry_through(database, work)
    database.append(records[12:], may_use_reserve=False)
    database.close()
    database = open_database(tmp_path)
    assert stored(database) == records
    assert databases(tmp_path) == ["outbox.db"]
    database.close()


def test_an_old_file_that_was_not_overwritten_to_its_end_is_before_another_takes_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "_CHUNK", bytes(4096))
    database = open_database(tmp_path)
    database.append(chain(24), may_use_reserve=False)
    old = tmp_path / "outbox.erased.db"
    work = database.write_anew()
    while not old.exists():
        assert database.next_slice(work)
    os.link(old, kept := tmp_path / "its blocks")
    assert any(kept.read_bytes())
    for _ in slices_of_all(database):
        pass
    assert not any(kept.read_bytes())
    database.close()


def test_who_reads_the_store_makes_an_erasure_wait_and_not_the_crash_behind_it(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    database.append(chain(24), may_use_reserve=False)
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT place FROM service_records").fetchone()  # and the rest later
        begun_s = time.monotonic()
        for work in (database.erase(SERVICE), database.write_anew()):
            with pytest.raises(StoreError, match="reads it without end"):
                carry_through(database, work)
        assert (time.monotonic() - begun_s) * 1000 < PATIENCE_MS, "not as long as even one of them might"
    for _ in slices_of_all(database):
        pass
    assert stored(database) == kept(chain(24))
    database.close()


def test_another_work_ends_one_that_was_broken_off(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    records = chain(24)
    database.append(records, may_use_reserve=False)
    first = database.write_anew()
    for _ in range(3):
        assert database.next_slice(first)
    for _ in slices_of_all(database):
        pass
    assert stored(database) == kept(records)
    database.close()


async def test_who_hurries_waits_for_no_more_than_a_slice(tmp_path: Path) -> None:
    records = chain(60)
    outbox = await opened(tmp_path, records)

    async def all_of_it() -> None:
        await erased(outbox, SERVICE)
        await outbox.write_anew()

    erasing = asyncio.create_task(all_of_it())
    newest = records[-1]
    for _ in range(10):
        (newest,) = make_chain(1, first=newest.sequence + 1, after=newest.digest)
        await outbox.append([replace(newest, purposes="claims")], critical=True)
        assert not erasing.done()
    await erasing
    assert len(await left(outbox)) == len(kept(records)) + 10
    await outbox.close()


async def test_who_is_stopped_in_the_middle_tells_all_that_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = chain(60)
    outbox = await opened(tmp_path, records)
    begun, go_on, next_slice, loop = asyncio.Event(), threading.Event(), Database.next_slice, asyncio.get_running_loop()
    slices = 0

    def held_in_the_fifth(database: Database, work: Generator[object, None, None]) -> object:
        nonlocal slices
        slices += 1
        if slices == 5:
            loop.call_soon_threadsafe(begun.set)
            go_on.wait(10)
        return next_slice(database, work)

    monkeypatch.setattr(Database, "next_slice", held_in_the_fifth)
    told: list[Event] = []
    telling = asyncio.create_task(Reports(told.append, lambda: 0).tell_erased(outbox.erase(SERVICE), SERVICE, "r"))
    await begun.wait()
    telling.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await telling
    gone = len(records) - len(await left(outbox))
    assert slices == 5
    assert 0 < gone == sum(sum(event.records) for event in told if isinstance(event, RecordsErased))
    await outbox.close()


async def test_an_outbox_that_is_closed_meanwhile_says_so_to_who_erases(tmp_path: Path) -> None:
    outbox = await opened(tmp_path, chain(40))
    slices = outbox.erase(SERVICE)
    await anext(slices)
    await outbox.close()
    with pytest.raises(StoreError, match="closed"):
        await anext(slices)


async def test_many_runs_are_told_as_fewer_and_a_large_erasure_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "_RUNS_MAX", 4)
    monkeypatch.setattr(reports, "_RUNS_LEAST", 1)
    monkeypatch.setattr(reports, "_RECORDS_TOLD", 6)
    told: list[Event] = []
    report = Reports(told.append, lambda: 0)
    assert await report.tell_erased(every_other(40), SERVICE, "r") == 20
    events = [event for event in told if isinstance(event, RecordsErased)]
    assert [event.records for event in events] == [[2, 2, 1, 1], [6], [6], [2]]
    assert [event.firsts for event in events] == [[1, 5, 9, 11], [13], [25], [37]]
    assert [event.lasts for event in events] == [[3, 7, 9, 11], [23], [35], [39]]
    assert events[0].digests == [bytes([last]) for last in (3, 7, 9, 11)]


async def test_what_went_is_told_also_where_the_disk_refuses_the_rest() -> None:
    told: list[Event] = []
    report = Reports(told.append, lambda: 0)
    with pytest.raises(StoreError):
        await report.tell_erased(every_other(5, then=StoreError("full")), SERVICE, "r")
    (event,) = told
    assert isinstance(event, RecordsErased)
    assert event.firsts == [1, 3, 5]


def test_runs_without_a_gap_are_one() -> None:
    def run(first: int, last: int, boot: int = 1) -> Run:
        return Run(Position(boot, first), Position(boot, last), last - first + 1, bytes([last]))

    runs = [run(1, 2), run(3, 5), run(7, 7), run(8, 9), run(10, 12, boot=2)]
    assert joined(runs, 9) == [run(1, 5), run(7, 9), run(10, 12, boot=2)]
    assert joined(runs, 2) == [Run(Position(1, 1), Position(1, 9), 8, bytes([9])), run(10, 12, boot=2)]


async def every_other(last: int, *, then: Exception | None = None) -> AsyncIterator[list[Run]]:
    """Slices of one record each."""
    for sequence in range(1, last + 1, 2):
        yield [Run(Position(1, sequence), Position(1, sequence), 1, bytes([sequence]))]
    if then is not None:
        raise then
