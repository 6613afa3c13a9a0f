from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agent.cli.events import show_events
from agent.core.events import EmergencyData
from agent.proto.msd import Msd, encode_msd
from agent.store.recorder import Recorder
from drivers.keystore import FileKeystore, write_private
from simulators.clock import ManualClock
from tests.unit.store.kit import KEYS, braking, make_config


async def test_the_owner_reads_his_events_and_what_a_minimum_set_of_data_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    made = make_config(tmp_path)
    keystore = FileKeystore.create(tmp_path / "device.pem", "car-1")
    recorder = await Recorder.open(made, keystore, ManualClock())
    for event in (braking(), EmergencyData(t_ns=1, msd=encode_msd(Msd(vin="WVWZZZ1KZAW000001", passengers=2)))):
        recorder.put(event)
    recorder.close()
    await recorder.run()
    write_private(tmp_path / "owner.key", private_pem())
    config = tmp_path / "outrider.toml"
    config.write_text(
        f'[device]\nid = "car-1"\nkey = "{tmp_path / "device.pem"}"\n[store]\ndirectory = "{made.store.directory}"\n'
    )
    assert show_events(config, key=tmp_path / "owner.key", most=10) == 0
    shown = capsys.readouterr().out
    assert "VIN WVWZZZ1KZAW000001" in shown
    assert "2 belted" in shown
    assert "harsh_driving" in shown
    assert show_events(config, key=None, most=10) == 0
    assert "WVW" not in capsys.readouterr().out


def private_pem() -> bytes:
    return KEYS.owner.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
