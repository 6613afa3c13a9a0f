from pathlib import Path

import pytest

from agent.core.config import Anomalies, Bus, Config, Detect, Device, Dongle, Store, Voice
from drivers.elm327_serial import Elm327Source
from drivers.hardware import open_hardware
from drivers.keystore import FileKeystore
from simulators.clock import ManualClock


@pytest.mark.parametrize("listen_only", [False, True])
def test_listen_only_leaves_out_what_could_transmit(tmp_path: Path, listen_only: bool) -> None:  # noqa: FBT001  # pytest hands it over by name
    key = tmp_path / "device.pem"
    FileKeystore.create(key, "box")
    config = Config(
        device=Device(id="box", key=str(key)),
        store=Store(directory=str(tmp_path)),
        buses=[Bus(interface="virtual", channel="silent")],
        dongle=Dongle(port="/dev/null"),
        voice=Voice(enabled=False),
        detect=Detect(anomaly=Anomalies(enabled=False)),
        listen_only=listen_only,
    )
    hardware = open_hardware(config, ManualClock())
    assert len(hardware.frames) == 1
    assert [type(source) for source in hardware.samples] == ([] if listen_only else [Elm327Source])
