import asyncio
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.cli.main import main
from agent.core.best_time import BestTime
from agent.core.desk import DeskNote
from agent.core.desk_state import BoxTicket
from agent.core.keys import parse_ed25519, public_pem
from agent.core.vault import open_vault
from agent.desk import seal_note
from agent.detect.bus_guard import BusGuard
from agent.detect.cell_state import dump_days
from agent.privacy.door import Door, Erase, Grant, Request, Revoke
from agent.store.outbox import Outbox
from agent.store.seal import Sealer
from agent.tickets import Tickets
from agent.voice.scene_memory import SceneMemory
from drivers.keystore import FileKeystore, create_x25519
from drivers.state_file import (
    FileBusStore,
    FileConsentStore,
    FileDeskStore,
    FileDiaryStore,
    FileErasureStore,
    FilePackStore,
    FileSceneStore,
)
from drivers.vehicle_cache import FileVehicleCache
from simulators.clock import ManualClock
from tests.unit.cli.test_battery_page import FIRST, diary, pack
from tests.unit.detect.test_bus_guard import CLEAN, LIMITS
from tests.unit.store.kit import KEYS, braking, seal_chain, thermal

DESK = Ed25519PrivateKey.from_private_bytes(b"\5" * 32)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "insurer.pem").write_bytes(public_pem(KEYS.insurer.public_key()))
    FileKeystore.create(tmp_path / "device.pem", "car-1")
    path = tmp_path / "box.toml"
    path.write_text(
        f"""
[device]
id = "car-1"
key = "{tmp_path}/device.pem"
[vehicle]
vin = "LTESTVAN000000001"
[store]
directory = "{tmp_path}/data"
[trust]
insurer_encryption_key = "{tmp_path}/insurer.pem"
[consent]
purposes = ["safety"]
""",
        encoding="utf-8",
    )
    return path


@contextmanager
def agent(folder: Path) -> Iterator[list[Request]]:
    """Something that answers as the running agent does."""
    asked: list[Request] = []
    over = threading.Event()

    async def carry_out(request: Request) -> str:
        asked.append(request)
        return "it is done"

    async def run() -> None:
        door = Door(folder / "data", carry_out)
        door.open()
        ready.set()
        while not over.is_set():
            await door.look()

    ready = threading.Event()
    running = threading.Thread(target=lambda: asyncio.run(run()))
    running.start()
    ready.wait()
    try:
        yield asked
    finally:
        over.set()
        running.join()


def test_every_purpose_is_shown_with_its_notice(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["consent", "show", "--config", str(config), "--language", "en"]) == 0
    shown = capsys.readouterr().out
    assert "[x] safety  Battery safety  (on paper, at installation)" in shown
    assert "[ ] claims  Claims  (never asked)" in shown
    assert main(["consent", "show", "--config", str(config)]) == 0
    assert "[x] safety  电池安全  (安装时书面同意)" in capsys.readouterr().out


def test_days_that_count_from_when_the_clock_is_set_are_shown(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    choices = b'{"choices":{"claims":{"granted":true,"by":"page","notice":1,"days":30,"place":"area"}}}'
    FileConsentStore(tmp_path / "data").save(choices)
    assert main(["consent", "show", "--config", str(config), "--language", "en"]) == 0
    assert re.search(r"\[x\] claims .*; --days 30; --place area\)", capsys.readouterr().out)


def test_what_is_chosen_reaches_the_agent(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with agent(tmp_path) as asked:
        monkeypatch.setattr("sys.stdin.readline", lambda: "no\n")
        assert main(["consent", "grant", "claims", "--config", str(config)]) == 1
        assert asked == []
        assert "事故" in capsys.readouterr().out, "the notice is shown before anything is agreed to"
        monkeypatch.setattr("sys.stdin.readline", lambda: "yes\n")
        assert main(["consent", "grant", "claims", "--place", "area", "--days", "9", "--config", str(config)]) == 0
        assert main(["consent", "revoke", "safety", "service", "--config", str(config)]) == 0
        assert main(["erase", "--all", "--yes", "--config", str(config)]) == 0
        when = ["--from", "2026-11-28T00:00+08:00", "--to", "2026-11-29T00:00+08:00"]
        assert main(["erase", "--purpose", "claims", *when, "--config", str(config)]) == 0
    day = 1_795_795_200 * 10**9
    assert asked == [
        Grant(purpose="claims", notice=1, days=9, place="area"),
        Revoke(purposes=["safety", "service"]),
        Erase(),
        Erase(purposes=["claims"], from_ns=day, until_ns=day + 86_400 * 10**9),
    ]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "name what is to be erased"),
        (["--all", "--purpose", "claims"], "--all leaves nothing to choose"),
        (["--from", "yesterday"], "yesterday: not a time"),
    ],
)
def test_an_erasure_that_says_nothing_is_refused(
    config: Path, options: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["erase", "--yes", *options, "--config", str(config)]) == 2
    assert reason in capsys.readouterr().err


async def fill(folder: Path, key: Path) -> None:
    keystore = FileKeystore.open(folder / "device.pem", "car-1")
    sealer = Sealer(keystore, [KEYS.insurer.public_key(), create_x25519(key).public_key()])
    outbox = await Outbox.open(folder / "data", device="car-1", size_max_bytes=10**9)
    await outbox.append(seal_chain([braking(1), thermal(2)], sealer=sealer), critical=False)
    await outbox.close()


def test_the_owner_takes_his_data_with_him(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(fill(tmp_path, tmp_path / "owner.pem"))
    open_vault(tmp_path / "data")
    FileConsentStore(tmp_path / "data").save(b'{"v":1,"choices":{"claims":{"granted":true,"by":"page","notice":1}}}')
    FileErasureStore(tmp_path / "data").save(b'{"v":1,"erasures":[]}')
    target = tmp_path / "mine.json"
    command = ["export", str(target), "--config", str(config)]
    assert main([*command, "--key", str(tmp_path / "owner.pem")]) == 0
    told = json.loads(target.read_text(encoding="utf-8"))
    assert told["vehicle"]["vin"] == "LTESTVAN000000001"
    assert [record["event"]["kind"] for record in told["records"]] == ["harsh_driving", "battery_alarm"]
    assert told["records"][0]["event"]["peak_mps2"] == 6.2
    assert told["learnt"] == {}
    by_purpose = {each["purpose"]: each for each in told["consents"]}
    assert (by_purpose["claims"]["in_force"], by_purpose["claims"]["choice"]["by"]) == (True, "page")
    assert by_purpose["safety"]["why"] == "paper"
    assert target.stat().st_mode & 0o777 == 0o600
    capsys.readouterr()
    assert main(command) == 2, "nothing is overwritten"
    assert main(["export", "-", "--config", str(config)]) == 0
    sealed = json.loads(capsys.readouterr().out)
    assert [sorted(record) for record in sealed["records"]] == [["boot", "priority", "sealed", "sequence"]] * 2


def learn(folder: Path) -> DeskNote:
    """Everything that the box learns, saved by whoever learns it; the message that the desk has sent."""
    folder.mkdir()
    open_vault(folder)
    FilePackStore(folder).save(dump_days(pack(4)))
    FileDiaryStore(folder).save(diary().dump())
    BusGuard(LIMITS, store=FileBusStore(folder)).update(CLEAN)
    FileVehicleCache(folder).save("LTESTVAN000000001", frozenset({12, 13}))
    SceneMemory(FileSceneStore(folder)).silence("coach")
    return hear_the_desk(folder)


def hear_the_desk(folder: Path) -> DeskNote:
    keystore, clock = FileKeystore.open(folder.parent / "device.pem", "car-1"), ManualClock()
    tickets = Tickets(
        keystore,
        DESK.public_key().public_bytes_raw(),
        clock,
        now=BestTime(clock).now,
        language=lambda: "en",
        emit=lambda _: None,
        speak=lambda _: None,
        store=FileDeskStore(folder),
    )
    now_ns = clock.wall_ns()
    note = DeskNote(
        id="1-answer-a", device="car-1", created_ns=now_ns, expires_ns=now_ns + 10**15, what="answer", ticket=1,
        points=20, zh="修理厂约好了。", en="A garage is booked.",
    )  # fmt: skip
    tickets.on_desk(seal_note(note, parse_ed25519(keystore.public_key), DESK.sign))
    return note


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (text for key, each in value.items() for text in (key, *strings(each)))
    elif isinstance(value, list):
        yield from (text for each in value for text in strings(each))
    elif isinstance(value, str):
        yield value


def exported(config: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["export", "-", "--config", str(config)]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    return told


def test_what_was_learnt_is_told_in_names_and_numbers(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    note = learn(tmp_path / "data")
    (tmp_path / "receipts.pem").write_bytes(public_pem(DESK.public_key()))
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("[trust]", f'[trust]\ninsurer_receipt_key = "{tmp_path}/receipts.pem"'), "utf-8")
    told = exported(config, capsys)
    learnt = told["learnt"]
    assert sorted(learnt) == ["battery", "bus", "desk", "pack", "scenes", "vehicles"]
    assert learnt["battery"]["charges"][1]["energy_kwh"] == 20.0
    assert learnt["battery"]["advice"] == [
        {"day": FIRST + 30, "cell": 5, "level": "service_soon", "fault": "weak_cell"}
    ]
    assert learnt["pack"]["days"] == [FIRST + day for day in range(4)]
    assert learnt["pack"]["by_day"]["charge"][0][5] == pytest.approx(-4.0, abs=0.5), "the weak cell, in percent"
    assert learnt["pack"]["by_day"]["ohm"][0][5] is None, "what was not measured is null"
    assert learnt["pack"]["capacities_ah"] == [90.0, 91.0, 92.0, 91.5]
    assert set(learnt["bus"]["0"]["identifiers"]) == {"100", "110", "120"}
    assert learnt["bus"]["0"]["identifiers"]["100"]["frames"] > 1000
    assert learnt["scenes"]["silenced"] == ["coach"]
    assert (learnt["desk"]["points"], learnt["desk"]["channel"]) == (20, "voice")
    assert told["tickets"] == [msgspec.to_builtins(BoxTicket(number=1, state="answered", message=note.id))]
    assert told["desk"] == [{"told": False} | msgspec.to_builtins(note)]
    assert [text for part in ("learnt", "tickets", "desk") for text in strings(told[part]) if len(text) > 32] == []


def test_what_cannot_be_read_is_told_as_it_lies(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learn(tmp_path / "data")
    FileDiaryStore(tmp_path / "data").save(msgspec.msgpack.encode({"version": 99, "days": {1: b"\1\2"}}))
    FilePackStore(tmp_path / "data").save(b"\xc1 never was msgpack")
    told = exported(config, capsys)
    assert told["learnt"]["battery"] == {"version": 99, "days": {"1": "AQI="}}
    assert told["learnt"]["pack"] == {"base64": "wSBuZXZlciB3YXMgbXNncGFjaw=="}
    (message,) = told["desk"]
    assert "key" in message["cannot_be_opened"], "the config names no key that the insurer signs with"
    assert message["sealed"]


def test_a_box_that_never_ran_has_an_empty_copy(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "-", "--config", str(config)]) == 0
    assert json.loads(capsys.readouterr().out)["records"] == []
    assert main(["consent", "revoke", "safety", "--config", str(config)]) == 2
    assert "has the agent run here yet" in capsys.readouterr().err
