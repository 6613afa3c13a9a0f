import asyncio
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.core.keys import public_pem
from agent.core.vault import open_vault
from agent.privacy.door import Door, Erase, Grant, Request, Revoke
from agent.store.outbox import Outbox
from agent.store.seal import Sealer
from drivers.keystore import FileKeystore, create_x25519
from drivers.state_file import FileConsentStore, FileErasureStore, FilePackStore, FileVehicles
from tests.unit.store.kit import KEYS, braking, seal_chain, thermal


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
    FilePackStore(tmp_path / "data").save(b'{"cells": 96}')
    FileVehicles(tmp_path / "data").save(b'{"car": [12]}')
    FileConsentStore(tmp_path / "data").save(b'{"v":1,"choices":{"claims":{"granted":true,"by":"page","notice":1}}}')
    FileErasureStore(tmp_path / "data").save(b'{"v":1,"erasures":[]}')
    target = tmp_path / "mine.json"
    command = ["export", str(target), "--config", str(config)]
    assert main([*command, "--key", str(tmp_path / "owner.pem")]) == 0
    told = json.loads(target.read_text(encoding="utf-8"))
    assert told["vehicle"]["vin"] == "LTESTVAN000000001"
    assert [record["event"]["kind"] for record in told["records"]] == ["harsh_driving", "battery_alarm"]
    assert told["records"][0]["event"]["peak_mps2"] == 6.2
    assert told["learnt"] == {"pack": {"cells": 96}, "vehicles": {"car": [12]}}
    by_purpose = {each["purpose"]: each for each in told["consents"]}
    assert (by_purpose["claims"]["in_force"], by_purpose["claims"]["choice"]["by"]) == (True, "page")
    assert by_purpose["safety"]["why"] == "paper"
    assert target.stat().st_mode & 0o777 == 0o600
    capsys.readouterr()
    assert main(command) == 2, "nothing is overwritten"
    assert main(["export", "-", "--config", str(config)]) == 0
    sealed = json.loads(capsys.readouterr().out)
    assert [sorted(record) for record in sealed["records"]] == [["boot", "priority", "sealed", "sequence"]] * 2


def test_a_box_that_never_ran_has_an_empty_copy(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "-", "--config", str(config)]) == 0
    assert json.loads(capsys.readouterr().out)["records"] == []
    assert main(["consent", "revoke", "safety", "--config", str(config)]) == 2
    assert "has the agent run here yet" in capsys.readouterr().err
