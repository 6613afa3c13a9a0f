from pathlib import Path

import pytest

from agent.link.wire import parse_receipt
from agent.store.chain import split_envelopes
from agent.store.seal import Sealer
from fleet.__main__ import main
from fleet.receiver.intake import Intake
from fleet.receiver.keys import ReceiverKeys
from fleet.receiver.sqlite import SqliteStore
from tests.unit.store.kit import KEYS, braking, seal_chain


def test_the_export_signs_for_all_that_is_held(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = ReceiverKeys.create(tmp_path / "keys")
    keys.register("car-1", KEYS.device.public_key)
    intake = Intake(keys, SqliteStore(tmp_path / "received.db"))
    records = seal_chain([braking()] * 6, sealer=Sealer(KEYS.device, [keys.encryption_key.public_key()]))
    for record in records[:2] + records[3:]:
        intake.take([record.payload])
    intake.store.close()
    command = ["export", "car-1", str(tmp_path / "log"), "--database", str(tmp_path / "received.db")]
    assert main([*command, "--receipts", str(tmp_path / "receipts")]) == 2
    assert "--keys" in capsys.readouterr().err
    assert main([*command, "--receipts", str(tmp_path / "receipts"), "--keys", str(tmp_path / "keys")]) == 0
    (receipt,) = split_envelopes((tmp_path / "receipts").read_bytes())
    public = keys.receipt_public.read_bytes()
    ranges = parse_receipt(receipt, public, "car-1")
    assert [(part.boot, part.first, part.last) for part in ranges] == [(1, 1, 2), (1, 4, 6)]
    assert [part.digest for part in ranges] == [records[1].digest, records[5].digest]
