"""The car's hardware, as config says."""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from agent.core.config import Config, Dongle
from agent.core.ports import Clock, CodeSource, FrameSource, Hardware, Kept, Mount, Notify, SampleSource, StateStore
from agent.core.signals import SignalWindow
from agent.proto.did import DidSpec
from agent.proto.schedule import Poll
from drivers.button import open_buttons
from drivers.can_source import open_can_source
from drivers.elm327_serial import Elm327Source
from drivers.gnss_serial import GnssSource
from drivers.imu_iio import ImuSource
from drivers.imu_mount import FileMountStore, FixedMount
from drivers.keystore import FileKeystore
from drivers.onnx_worker import OnnxWorker
from drivers.python_obd import PythonObdSource
from drivers.state_file import (
    FileBusStore,
    FileConsentStore,
    FileDeskStore,
    FileDiaryStore,
    FileErasureStore,
    FilePackStore,
    FilePageStore,
    FileSceneStore,
    FileTrendStore,
)
from drivers.supply import SupplySource
from drivers.systemd import tell_systemd
from drivers.vehicle_cache import FileVehicleCache
from drivers.voice import open_microphone, open_speaker


def open_hardware(
    config: Config,
    clock: Clock,
    *,
    notify: Notify = lambda _: None,
    polls: Sequence[Poll] = (),
    dids: Sequence[DidSpec] = (),
    can_ids: Collection[int] | None = None,
    mount: Callable[[StateStore], Mount] | None = None,
    on_utc: Callable[[int], None] = lambda _: None,
) -> Hardware:
    """Make every driver the config asks for; none is opened yet. Raises InputError where the key is not usable.

    polls and dids: what the vehicle profile wants from the diagnostics port; can_ids: the frames it decodes, None where
    it cannot say; mount: makes what learns how the IMU lies in the car, where config does not tell; on_utc gets the UTC
    of fixes.

    listen_only leaves out what transmits: the dongle. Buses are read through sockets that never send, either way.
    """
    directory = Path(config.store.directory)
    mounting, vehicles = FileMountStore(directory), FileVehicleCache(directory)
    frames: list[FrameSource] = [
        open_can_source(bus, clock, index=index, can_ids=can_ids) for index, bus in enumerate(config.buses)
    ]
    samples: list[SampleSource] = []
    codes: list[CodeSource] = []
    listeners: list[Callable[[SignalWindow], None]] = []
    if config.dongle and not config.listen_only:
        dongle = _open_dongle(config.dongle, clock, polls, dids, vehicles)
        samples.append(dongle)
        listeners.append(dongle.observe)
        if isinstance(dongle, Elm327Source):
            codes.append(dongle)
    if config.gnss:
        samples.append(GnssSource(config.gnss, clock, on_utc=on_utc))
    if config.imu:
        told = config.imu.mount
        imu = ImuSource(config.imu, clock, FixedMount(told) if told or mount is None else mount(mounting))
        samples.append(imu)
        listeners.append(imu.observe)
    speaker = open_speaker(config)
    if config.supply:
        samples.append(SupplySource(config.supply, clock))
    return Hardware(
        keystore=FileKeystore.open(Path(config.device.key), config.device.id),
        frames=frames,
        samples=samples,
        codes=codes,
        speaker=speaker,
        prepare_speech=None if speaker is None else speaker.prepare,
        set_volume=_ignore if speaker is None else speaker.set_volume,
        microphone=open_microphone(config, clock),
        buttons=open_buttons(config, clock),
        inference=OnnxWorker(config.detect.anomaly.deadline_s),
        notify=notify,
        **_open_stores(directory, mounting, vehicles),
        on_window=partial(_tell, listeners),
        service=tell_systemd,
    )


def _open_stores(directory: Path, mounting: FileMountStore, vehicles: FileVehicleCache) -> dict[str, Any]:
    """What outlives a boot, and whose data it is; the mounting and the vehicles go with everything only.

    Those in use, not others of the same files: one that was told to forget writes no more.
    """
    bus, pack, trends = FileBusStore(directory), FilePackStore(directory), FileTrendStore(directory)
    diary, scenes, desk = FileDiaryStore(directory), FileSceneStore(directory), FileDeskStore(directory)
    return {
        "bus_store": bus,
        "pack_store": pack,
        "trend_store": trends,
        "diary_store": diary,
        "scene_store": scenes,
        "desk_store": desk,
        "consent_store": FileConsentStore(directory),
        "erasure_store": FileErasureStore(directory),
        "page_store": FilePageStore(directory),
        "kept": [
            Kept(bus, frozenset({"diagnostics"})),
            Kept(pack, frozenset({"safety", "service"})),
            Kept(trends, frozenset({"service"})),
            Kept(diary, frozenset({"service"})),
            Kept(scenes, frozenset({"feedback"})),
            Kept(desk, frozenset({"feedback", "claims"})),
            Kept(mounting),
            Kept(vehicles.file),
        ],
    }


def _open_dongle(
    dongle: Dongle,
    clock: Clock,
    polls: Sequence[Poll],
    dids: Sequence[DidSpec],
    cache: FileVehicleCache,
) -> Elm327Source | PythonObdSource:
    if dongle.backend == "python-obd":
        return PythonObdSource(dongle, clock)
    return Elm327Source(dongle, clock, polls=polls, dids=dids, cache=cache)


def _ignore(_: int) -> None:
    """No speaker, no volume."""


def _tell(listeners: Sequence[Callable[[SignalWindow], None]], window: SignalWindow) -> None:
    for listen in listeners:
        listen(window)
