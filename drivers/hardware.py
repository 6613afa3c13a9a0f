"""The car's hardware, as config says."""

from pathlib import Path

from agent.core.config import Config
from agent.core.paths import MODELS
from agent.core.ports import Clock, FrameSource, Hardware, Notify, SampleSource
from drivers.can_source import open_can_source
from drivers.elm327_serial import Elm327Source
from drivers.gnss_serial import GnssSource
from drivers.keystore import FileKeystore
from drivers.microphone import TypedMicrophone
from drivers.onnx_worker import OnnxWorker
from drivers.python_obd import PythonObdSource
from drivers.speaker import EspeakSpeaker
from drivers.systemd import tell_systemd


def open_hardware(config: Config, clock: Clock, *, notify: Notify = lambda _: None) -> Hardware:
    """Make every driver the config asks for; none is opened yet. Raises InputError where the key is not usable."""
    frames: list[FrameSource] = [open_can_source(bus, clock) for bus in config.buses]
    samples: list[SampleSource] = []
    if config.dongle:
        backend = PythonObdSource if config.dongle.backend == "python-obd" else Elm327Source
        samples.append(backend(config.dongle, clock))
    if config.gnss:
        samples.append(GnssSource(config.gnss, clock))
    anomaly = config.detect.anomaly
    return Hardware(
        keystore=FileKeystore.open(Path(config.device.key), config.device.id),
        frames=frames,
        samples=samples,
        speaker=EspeakSpeaker(volume_percent=config.voice.volume_percent) if config.voice.enabled else None,
        microphone=TypedMicrophone(clock) if config.voice.enabled else None,
        inference=OnnxWorker(MODELS / f"{anomaly.model}.toml", anomaly.deadline_s) if anomaly.enabled else None,
        notify=notify,
        service=tell_systemd,
    )
