"""What an analyst gets of a device's telemetry."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from agent.core.events import AgentStopped, Telemetry
from agent.core.telemetry import pack_columns
from agent.store.seal import Sealer
from fleet.__main__ import main
from fleet.receiver.intake import Intake
from fleet.receiver.keys import ReceiverKeys
from fleet.receiver.sqlite import SqliteStore
from tests.conftest import REPOSITORY
from tests.unit.store.kit import KEYS, seal_chain


def batch(t_ns: int, columns: dict[str, list[int | None]]) -> Telemetry:
    return Telemetry(
        t_ns=t_ns,
        period_s=0.5,
        count=2,
        signals=list(columns),
        steps=[0.5] * len(columns),
        columns=pack_columns(columns.values()),
    )


def test_batches_of_any_signals_become_one_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = ReceiverKeys.create(tmp_path / "keys")
    keys.register("car-1", KEYS.device.public_key)
    store = SqliteStore(tmp_path / "received.db")
    events = [batch(10, {"Vehicle.Speed": [100, None]}), batch(20, {"Vehicle.Speed": [3, 4], "Vehicle.B": [-1, 0]})]
    records = seal_chain(events, sealer=Sealer(KEYS.device, [keys.encryption_key.public_key()]))
    Intake(keys, store).take([record.payload for record in records])
    store.close()
    assert main(["telemetry", "car-1", "--database", str(tmp_path / "received.db")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "boot,t_ns,wall_ns,Vehicle.Speed,Vehicle.B",
        "1,10,17,50,",
        "1,500000010,500000017,,",
        "1,20,27,1.5,-0.5",
        "1,500000020,500000027,2,0",
    ]


def test_a_batch_that_is_none_is_left_out_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = ReceiverKeys.create(tmp_path / "keys")
    keys.register("car-1", KEYS.device.public_key)
    store = SqliteStore(tmp_path / "received.db")
    good = batch(10, {"Vehicle.Speed": [100, None]})
    bad = [
        msgspec.structs.replace(good, columns=b"\x80"),
        msgspec.structs.replace(good, period_s=float("inf")),
        msgspec.structs.replace(good, period_s=1e300),
        msgspec.structs.replace(good, signals=[], steps=[], columns=b"", count=2**60),
    ]
    records = seal_chain([*bad, good], sealer=Sealer(KEYS.device, [keys.encryption_key.public_key()]))
    Intake(keys, store).take([record.payload for record in records])
    store.close()
    assert main(["telemetry", "car-1", "--database", str(tmp_path / "received.db")]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == ["boot,t_ns,wall_ns,Vehicle.Speed", "1,10,17,50", "1,500000010,500000017,"]
    assert [line.split(":")[1] for line in said.err.splitlines()] == [f" boot 1, sequence {n}" for n in (1, 2, 3, 4)]


def test_a_reader_that_has_seen_enough_is_no_failure(tmp_path: Path) -> None:
    keys = ReceiverKeys.create(tmp_path / "keys")
    keys.register("car-1", KEYS.device.public_key)
    store = SqliteStore(tmp_path / "received.db")
    events = [AgentStopped(t_ns=n, reason="x" * 1000) for n in range(200)]
    records = seal_chain(events, sealer=Sealer(KEYS.device, [keys.encryption_key.public_key()]))
    Intake(keys, store).take([record.payload for record in records])
    store.close()
    command = [sys.executable, "-m", "fleet", "events", "--database", str(tmp_path / "received.db")]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as reading:
        assert reading.stdout is not None
        assert reading.stderr is not None
        assert b"agent_stopped" in reading.stdout.readline()
        reading.stdout.close()
        assert (reading.stderr.read(), reading.wait(30)) == (b"", 141)
