"""Erasure through the whole agent: no byte of it is left in any file, the insurer is asked, his word is kept."""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from agent.core.erasure import ErasureReceipt, Selection
from agent.core.errors import StoreError
from agent.core.events import Priority
from agent.core.ports import Kept, ServiceState, StateStore
from agent.core.privacy_events import ErasureRequested, RecordsErased
from agent.core.records import SealedRecord
from agent.core.vault import read_vault
from agent.privacy.door import Erase, Revoke
from agent.privacy.erasures import Erasures
from agent.store.database import Database
from agent.store.files import TABLES
from agent.store.outbox import Outbox
from agent.voice.scene_memory import SceneMemory
from drivers.state_file import FileErasureStore, FilePackStore, FileSceneStore
from simulators.cloud import Cloud
from tests.scenario.consent_car import NS, Car, car, room, run_car
from tests.scenario.delivery import open_car, quick_link
from tests.unit.store.kit import make_config

SECRET = b"the cells of this very car, as they were learnt"


def stored(folder: Path) -> Iterator[tuple[str, bytes]]:
    return ((path.name, path.read_bytes()) for path in folder.rglob("*") if path.is_file() and path.name != "reserve")


def rows(one: Car) -> list[bytes]:
    """What of the records lies in the tables: under a key of the vault."""
    with closing(sqlite3.connect(one.directory / "outbox.db")) as db:
        tables = [db.execute(f"SELECT payload FROM {table.name}").fetchall() for table in TABLES]  # noqa: S608  # constants
    return [payload for table in tables for (payload,) in table]


def hold_writing_anew(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """The long part of an erasure goes on only once this is set."""
    held = asyncio.Event()
    write_anew = Outbox.write_anew

    async def write_slowly(outbox: Outbox) -> None:
        await held.wait()
        await write_anew(outbox)

    monkeypatch.setattr(Outbox, "write_anew", write_slowly)
    return held


async def test_after_an_erasure_a_byte_search_finds_nothing(tmp_path: Path) -> None:
    async with car(tmp_path, "service", "diagnostics") as one:
        one.pack.save(SECRET)
        (one.directory / "outbox.corrupt-1.db").write_bytes(SECRET)
        await one.drive(10)
        vault = read_vault(one.directory)
        assert vault is not None
        before = rows(one)
        assert all(row in b"".join(data for _, data in stored(one.directory)) for row in before)
        sealed = one.waiting()
        assert len(before) > 20
        assert len(sealed) > 20
        one.leave(Erase(purposes=["service"]))
        await one.clock.advance(1.0)
        everything = b"".join(data for _, data in stored(one.directory))
        assert [stored_ for stored_ in before if stored_[5:37] in everything] == []
        assert [payload for payload in sealed if payload[-32:] in everything] == []
        assert SECRET not in everything
        assert vault.keys[-1].secret not in everything
        one.pack.save(SECRET)  # by who has it still in memory
    assert FilePackStore(one.directory).load() == b""
    told = await one.events()
    (request,) = [event for event in told if isinstance(event, ErasureRequested)]
    assert (request.of_purposes, request.by) == (["service"], "command")
    assert request.asked_ns is not None
    assert request.deadline_ns == request.asked_ns + 14 * 86_400 * NS
    erased = [event for event in told if isinstance(event, RecordsErased)]
    assert {event.request for event in erased} == {request.request}
    assert sum(sum(event.records) for event in erased) >= 20
    assert [event for event in told if event.purpose == "service"] == []
    assert [event.kind for event in told if event.purpose == "diagnostics"] == ["agent_started", "agent_stopped"]


async def test_a_time_is_erased_and_what_was_before_and_after_stays(tmp_path: Path) -> None:
    async with car(tmp_path, "service") as one:
        await one.drive(3)
        from_ns = one.clock.wall_ns()
        await one.drive(3)
        until_ns = one.clock.wall_ns()
        await one.drive(3)
        one.leave(Erase(from_ns=from_ns, until_ns=until_ns))
        await one.drive(1)
    offset_ns = one.clock.wall_ns() - one.clock.monotonic_ns()
    left = [event.t_ns + offset_ns for event in await one.events() if event.purpose == "service"]
    assert len(left) >= 24
    assert [wall_ns for wall_ns in left if from_ns <= wall_ns < until_ns] == []


async def test_an_erasure_that_was_broken_off_is_finished_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with car(tmp_path, "service") as one:
        await one.drive(5)
        with monkeypatch.context() as broken:
            broken.setattr("agent.store.database.Copy", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
            one.leave(Erase())
            await one.clock.advance(2.0)
            (undone,) = Erasures(FileErasureStore(one.directory)).undone()
            one.stop.set()
    async with car(tmp_path, "service") as one:
        await one.drive(2)
    assert len([event for event in await one.events() if event.purpose == "service"]) >= 8, "it is not about the new"
    (done,) = Erasures(FileErasureStore(one.directory)).all()
    assert done.done_here
    assert done.request == undone.request
    vault = read_vault(one.directory)
    assert vault is not None
    assert len(vault.keys) == 1
    requests = [event for event in await one.events() if isinstance(event, ErasureRequested)]
    assert {event.request for event in requests} == {undone.request}
    assert len(requests) == 2, "asked again, as long as nobody has signed"


async def test_the_insurers_receipt_is_kept_and_what_is_late_is_told(tmp_path: Path) -> None:
    async with room(tmp_path) as (privacy, one, events):
        request = await privacy.erase(Selection(), by="page")
        assert [event.kind for event in events] == ["erasure_requested"]
        one.clock.jump_wall(15 * 86_400)
        await one.clock.advance(2.0)
        (late,) = privacy.state()["erasures"]
        assert (late["request"], late["done_here"], late["receipt"], late["overdue"]) == (request, True, False, True)
        assert [text for text in one.said if "has not signed" in text] == [
            f"erasure {request}: the insurer has not signed for it in time"
        ]
        privacy.on_erased(ErasureReceipt("of another", 7, 1), b"blob")
        assert privacy.state()["erasures"] == [late]
        privacy.on_erased(ErasureReceipt(request, 7, one.clock.wall_ns()), b"blob")
        (kept,) = privacy.state()["erasures"]
        assert (kept["receipt"], kept["overdue"], kept["records_there"]) == (True, False, 7)
    async with room(tmp_path) as (_, _, events):
        assert events == [], "what is signed for is not asked again"


async def test_the_insurer_erases_and_his_receipt_comes_down(cloud: Cloud, tmp_path: Path) -> None:
    signed: list[ErasureReceipt] = []
    arrived = asyncio.Event()

    def on_erased(receipt: ErasureReceipt, _: bytes) -> None:
        signed.append(receipt)
        arrived.set()

    request = ErasureRequested(
        t_ns=9,
        request="r1",
        boot=1,
        of_purposes=["claims"],
        from_ns=None,
        until_ns=None,
        asked_ns=None,
        deadline_ns=None,
        by="page",
    )
    async with open_car(cloud, tmp_path, quick_link(cloud), on_erased=on_erased) as one:
        await one.record(5)
        await one.deliver()
        await one.record(1, event=request)
        await one.deliver()
        async with asyncio.timeout(10):
            await arrived.wait()
    assert (signed[0].request, signed[0].records) == ("r1", 5)


async def test_a_long_erasure_keeps_no_revocation_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.sweep._WAIT_S", 0.0)
    async with room(tmp_path, "service") as (privacy, one, _):
        held = hold_writing_anew(monkeypatch)
        one.leave(Erase())
        await one.clock.advance(0.5)
        assert privacy.summary()["erasures_undone"] == 1
        waiting = SealedRecord("car-1", 1, 1, Priority.SERVICE, b"", purposes="service")
        others = replace(waiting, purposes="claims rights")
        assert not privacy.withholds(waiting)
        one.leave(Revoke(purposes=["service"]))
        revoking = asyncio.create_task(one.clock.advance(0.5))
        while privacy.allows("service"):  # noqa: ASYNC110  # plain data
            await asyncio.sleep(0)
        assert (privacy.withholds(waiting), privacy.withholds(others)) == (True, False), "it does not leave meanwhile"
        held.set()
        await revoking
        while privacy.withholds(waiting):
            await one.clock.advance(0.5)
        assert privacy.summary() == {"agreed": [], "erasures_undone": 0, "erasures_overdue": 0}


async def test_a_long_erasure_tells_the_service_manager_that_it_goes_on_also_at_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.sweep._BUSY_S", 0.01)
    monkeypatch.setattr("agent.sweep._WAIT_S", 0.0)
    told: asyncio.Queue[ServiceState] = asyncio.Queue()
    held = hold_writing_anew(monkeypatch)
    async with room(tmp_path, "service") as (privacy, one, _):
        privacy._service = told.put_nowait
        one.leave(Erase())
        await one.clock.advance(0.5)
        assert await told.get() == "alive"
        privacy._opened = False  # as one that an earlier start left undone
        while not told.empty():
            told.get_nowait()
        assert await told.get() == "starting"
        held.set()
        while privacy.summary()["erasures_undone"]:  # noqa: ASYNC110  # plain data
            await asyncio.sleep(0)


async def test_an_agent_that_is_stopped_while_it_erases_stops_at_once_and_goes_on_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("agent.sweep._WAIT_S", 0.0)
    for module in ("agent.store.erase.SLICE_ROWS", "agent.store.anew._SLICE_ROWS"):
        monkeypatch.setattr(module, 1)
    begun, go_on, next_slice, loop = asyncio.Event(), threading.Event(), Database.next_slice, asyncio.get_running_loop()

    def held_once(database: Database, work: Generator[object, None, None]) -> object:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(10)
        return next_slice(database, work)

    async with car(tmp_path, "service") as one:
        await one.drive(30)
        monkeypatch.setattr(Database, "next_slice", held_once)
        one.leave(Erase())
        await one.clock.advance(0.5)
        await begun.wait()
        one.stop.set()
        go_on.set()
    assert len(Erasures(FileErasureStore(one.directory)).undone()) == 1, "it was not carried through first"
    assert [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert len(await one.events()) > 10, "the store is in order"
    async with car(tmp_path, "service") as one:
        while Erasures(FileErasureStore(one.directory)).undone():
            await one.clock.advance(0.5)
    told = await one.events()
    assert {event.kind for event in told} == {"erasure_requested", "records_erased"}


@pytest.mark.parametrize("refused", [False, True], ids=["behind another one", "the disk had refused"])
async def test_what_comes_after_a_request_stays_however_late_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, refused: bool
) -> None:
    """The insurer goes by the request's place too; a crash in between would be gone here and never have left."""
    monkeypatch.setattr("agent.sweep._WAIT_S", 0.0)
    async with car(tmp_path, "service") as one:
        await one.drive(5)
        held = asyncio.Event()
        write_anew = Outbox.write_anew

        async def write_late(outbox: Outbox) -> None:
            if refused and not held.is_set():
                raise StoreError("full")
            await held.wait()
            await write_anew(outbox)

        monkeypatch.setattr(Outbox, "write_anew", write_late)
        if not refused:
            one.leave(Erase(purposes=["claims"]))
            await one.clock.advance(0.5)
        one.leave(Erase())
        await one.clock.advance(0.5)
        asked_ns = one.clock.monotonic_ns()
        await one.drive(5)
        held.set()
        while Erasures(FileErasureStore(one.directory)).undone():
            await one.clock.advance(1.0)
    codes = [event.t_ns for event in await one.events() if event.kind == "trouble_codes"]
    assert len(codes) == 20
    assert min(codes) > asked_ns


async def test_what_is_taken_back_by_voice_while_an_erasure_runs_is_deleted_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.sweep._WAIT_S", 0.0)
    async with room(tmp_path, "service") as (privacy, one, _):
        held = hold_writing_anew(monkeypatch)
        one.leave(Erase())
        await one.clock.advance(0.5)
        privacy.take_back(["service"], by="voice")
        held.set()
        for _ in range(20):
            await one.clock.advance(0.5)
        async with asyncio.timeout(10):
            await asyncio.gather(*privacy._sweeper._begun)
        assert privacy.consents.unswept() == {}


def quiet_car(folder: Path) -> Car:
    """Its driver wants no more hints."""
    one = Car(folder, make_config(folder))
    one.directory.mkdir()
    scenes = FileSceneStore(one.directory)
    SceneMemory(scenes).silence("coach")
    kept = [*one.hardware.kept, Kept(scenes, frozenset({"feedback"}))]
    one.hardware = replace(one.hardware, scene_store=scenes, kept=kept)
    return one


@pytest.mark.parametrize(
    ("request_", "left"),
    [
        (Erase(), set()),
        (Erase(purposes=["feedback"]), {"coach"}),
        (Erase(until_ns=2 * 10**18), {"coach"}),
    ],
    ids=["everything", "one purpose", "all of a time"],
)
async def test_what_the_driver_wants_to_be_asked_no_more_goes_with_everything_only(
    tmp_path: Path, request_: Erase, left: set[str]
) -> None:
    one = quiet_car(tmp_path)
    async with run_car(one):
        one.leave(request_)
        await one.clock.advance(1.0)
        assert FileSceneStore(one.directory).load() == (b'{"silenced":["coach"]}' if left else b"")
    assert SceneMemory(FileSceneStore(one.directory)).silenced == left


async def test_nor_does_it_come_back_from_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memories: list[SceneMemory] = []

    def remember(store: StateStore, utc_ns: Callable[[], int | None]) -> SceneMemory:
        memories.append(SceneMemory(store, utc_ns))
        return memories[-1]

    monkeypatch.setattr("agent.voice_room.SceneMemory", remember)
    one = quiet_car(tmp_path)
    async with run_car(one):
        assert memories[0].silenced == {"coach"}
        one.leave(Erase())
        await one.clock.advance(1.0)
        assert memories[0].silenced == frozenset()
        memories[0].silence("low_tyre")  # by the next owner
    assert SceneMemory(FileSceneStore(one.directory)).silenced == {"low_tyre"}
