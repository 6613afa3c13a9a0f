from pathlib import Path

import pytest

from agent.core.events import EmergencyData
from agent.proto.msd import Msd, encode_msd, place_of
from agent.store.seal import Sealer
from fleet.__main__ import main
from fleet.receiver.intake import Intake
from fleet.receiver.keys import ReceiverKeys
from fleet.receiver.sqlite import SqliteStore
from tests.unit.store.kit import KEYS, braking, seal_chain


def test_bytes_are_read_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["msd", "02251C0680E30A51439E2955D43800800437F80A31", "05669023F8A71166932185B004150043C040"]) == 0
    assert "VIN ECALLEXAMPLE02013, M1 gasoline" in capsys.readouterr().out


@pytest.mark.parametrize(("words", "reason"), [(["0"], "hex"), (["ff"], "version 255"), ([], "HEX, or --database")])
def test_what_is_none_is_said(words: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["msd", *words]) == 2
    assert reason in capsys.readouterr().err


def test_what_was_received_is_listed_and_what_a_car_made_up_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = ReceiverKeys.create(tmp_path / "keys")
    keys.register("car-1", KEYS.device.public_key)
    store = SqliteStore(tmp_path / "received.db")
    msd = encode_msd(Msd(place=place_of(31.2, 121.4), passengers=1))
    events = [EmergencyData(t_ns=1, msd=msd), braking(), EmergencyData(t_ns=2, msd=b"nonsense")]
    records = seal_chain(events, sealer=Sealer(KEYS.device, [keys.encryption_key.public_key()]))
    Intake(keys, store).take([record.payload for record in records])
    store.close()
    assert main(["msd", "--database", str(tmp_path / "received.db"), "--device", "car-1"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("car-1 1/1: automatic, no date, VIN not told")
    assert "at 31.20000, 121.40000 (not to be trusted)" in first
    assert second == "car-1 1/3: MSD version 110; known is 2"
