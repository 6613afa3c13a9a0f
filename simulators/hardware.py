"""The simulated car as the app's Hardware: the same drivers where there is a bus, the simulators' sources elsewhere."""

from collections.abc import Sequence
from itertools import count
from typing import Final

from agent.core.config import Bus
from agent.core.ports import Hardware, Inference, Keystore, Microphone, Notify, Probe, SampleSource, Speaker
from drivers.python_can import PythonCanSource
from simulators.can import CarBus
from simulators.clock import ManualClock
from simulators.drive import CarDrive
from simulators.world import Scenario, simulate
from simulators.world.frames import encode_drive

PROFILE: Final = "simcar"

_CHANNELS = count()


def open_car(
    scenario: Scenario,
    seed: int,
    clock: ManualClock,
    *,
    pace: float = 1.0,
    interface: str = "virtual",
    channel: str = "",
) -> CarDrive:
    """Simulate the whole drive and put the car on its bus. Raises SourceLost where there is no such bus."""
    drive = simulate(scenario, seed)
    name = channel or f"outrider-{next(_CHANNELS)}"  # two cars in one process never hear each other
    bus = CarBus(encode_drive(drive), interface=interface, channel=name, start_ns=clock.monotonic_ns())
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
) -> Hardware:
    """What the app touches of this car; `samples` adds sources, such as a dongle on the car's OBD socket."""
    frames = []
    if car.bus:
        bus = Bus(interface=car.bus.interface, channel=car.bus.channel)
        frames.append(car.heard_by(PythonCanSource(bus, car.clock)))
    return Hardware(
        keystore=keystore,
        frames=frames,
        samples=[car.imu, car.gnss, *samples],
        speaker=speaker,
        microphone=microphone,
        inference=inference,
        notify=notify,
        probe=probe,
    )
