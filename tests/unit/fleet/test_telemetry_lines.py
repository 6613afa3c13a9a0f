"""What an analyst gets of a device's telemetry."""

from pathlib import Path

import pytest

from agent.core.events import Telemetry
from agent.core.telemetry import pack_columns
from agent.store.seal import Sealer
from fleet.__main__ import main
from fleet.receiver.intake import Intake
from fleet.receiver.keys import ReceiverKeys
from fleet.receiver.sqlite import SqliteStore
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
