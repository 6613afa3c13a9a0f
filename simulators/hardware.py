"""The simulated car as the app's Hardware: the car's own driver where there is a bus, the simulators' sources else."""

from collections.abc import Sequence
from itertools import count
from typing import Final

from agent.core.config import Bus
from agent.core.ports import (
    FrameSource,
    Hardware,
    Inference,
    Keystore,
    Microphone,
    Notify,
    Probe,
    SampleSource,
    Speaker,
    WordSource,
)
from drivers.python_can import PythonCanSource
from simulators.can import CHANNELS, CarBus
from simulators.clock import ManualClock
from simulators.drive import CarDrive
from simulators.world import Scenario, simulate
from simulators.world.frames import encode_drive

PROFILE: Final = "simcar"

_NUMBERS = count()


def open_car(
    scenario: Scenario,
    seed: int,
    clock: ManualClock,
    *,
    pace: float = 1.0,
    interface: str = "",
    channel: str = "",
) -> CarDrive:
    """Simulate the whole drive.

    Without an interface its frames go to the app as batches; with one they are sent on that bus, and the app hears them
    through python-can as any box does. Raises SourceLost where there is no such bus.
    """
    drive = simulate(scenario, seed)
    frames = encode_drive(drive)
    if not interface:
        return CarDrive(drive, clock, frames=frames, pace=pace)
    name = channel or CHANNELS.get(interface) or f"outrider-{next(_NUMBERS)}"  # two cars never hear each other
    bus = CarBus(frames, interface=interface, channel=name, start_ns=clock.monotonic_ns())
    return CarDrive(drive, clock, bus=bus, pace=pace)


def open_hardware(
    car: CarDrive,
    *,
    keystore: Keystore,
    speaker: Speaker | None = None,
    microphone: Microphone | None = None,
    inference: Inference | None = None,
    notify: Notify = lambda _: None,
    probe: Probe | None = None,
    samples: Sequence[SampleSource] = (),
    words: Sequence[WordSource] = (),
) -> Hardware:
    """What the app touches of this car; `samples` adds sources, such as a dongle on the car's OBD socket."""
    frames: list[FrameSource] = [] if car.can is None else [car.can]
    if car.bus:
        bus = Bus(interface=car.bus.interface, channel=car.bus.channel)
        frames.append(car.heard_by(PythonCanSource(bus, car.clock)))
    return Hardware(
        keystore=keystore,
        frames=frames,
        samples=[car.imu, car.gnss, *samples],
        speaker=speaker,
        microphone=microphone,
        words=words,
        inference=inference,
        notify=notify,
        probe=probe,
    )
