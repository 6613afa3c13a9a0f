from pathlib import Path

import msgspec
import pytest

from agent.core.config import Anomalies, Bus, Config, Detect, Device, Dongle, Imu, Store, Voice
from agent.core.ports import StateStore
from agent.core.signals import SignalWindow
from agent.core.vault import FILES
from drivers.elm327_serial import Elm327Source
from drivers.hardware import open_hardware
from drivers.imu_iio import ImuSource
from drivers.imu_mount import FixedMount
from drivers.keystore import FileKeystore
from simulators.clock import ManualClock
from tests.unit.detect.feed import Window


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


def test_the_imu_is_opened_from_config_and_hears_the_speed(tmp_path: Path) -> None:
    key = tmp_path / "device.pem"
    FileKeystore.create(key, "box")
    quiet = Config(
        device=Device(id="box", key=str(key)),
        store=Store(directory=str(tmp_path)),
        dongle=Dongle(port="/dev/null"),
        imu=Imu(),
        voice=Voice(enabled=False),
        detect=Detect(anomaly=Anomalies(enabled=False)),
        listen_only=True,
    )
    mount = Ears()
    hardware = open_hardware(quiet, ManualClock(), mount=lambda _: mount)
    assert [type(source) for source in hardware.samples] == [ImuSource]  # it transmits nothing to the car
    hardware.on_window(Window({}, 0, 7))
    assert mount.heard == [7]
    told = msgspec.structs.replace(quiet, imu=Imu(mount=((1, 0, 0), (0, 1, 0), (0, 0, 1))))
    hardware = open_hardware(told, ManualClock(), mount=lambda _: mount)
    hardware.on_window(Window({}, 0, 8))
    assert mount.heard == [7]  # what config tells is not learnt
    assert hardware.samples[0].counters()["heading_error_deg"] == 2


def test_what_was_learnt_of_the_car_is_not_written_again_after_an_erasure_of_everything(tmp_path: Path) -> None:
    key = tmp_path / "device.pem"
    FileKeystore.create(key, "box")
    config = Config(
        device=Device(id="box", key=str(key)),
        store=Store(directory=str(tmp_path / "store")),
        dongle=Dongle(port="/dev/null"),
        imu=Imu(),
        voice=Voice(enabled=False),
    )
    (tmp_path / "store").mkdir()
    learning: list[StateStore] = []

    def learn(store: StateStore) -> FixedMount:
        learning.append(store)
        return FixedMount()

    hardware = open_hardware(config, ManualClock(), mount=learn)
    (dongle,) = (source for source in hardware.samples if isinstance(source, Elm327Source))

    def save() -> set[str]:
        learning[0].save(b"forward")
        assert dongle._cache is not None
        dongle._cache.save("LRDTESTCAR0000007", frozenset({12}))
        return {path.name for path in (tmp_path / "store").iterdir()} - set(FILES)

    assert save() == {"mounting.json", "vehicles.json"}
    for kept in hardware.kept:
        kept.store.forget()
    assert save() == set()


class Ears(FixedMount):
    def __init__(self) -> None:
        super().__init__()
        self.heard: list[int] = []

    def observe(self, window: SignalWindow) -> None:
        self.heard.append(window.t_ns)
