"""The whole app on a car that offers nothing but its OBD-II socket."""

import asyncio
from pathlib import Path

import pytest

from agent import app
from agent.core.config import Config, Consent, Device, Dongle, Store, Trust, Voice
from agent.core.events import Event, HarshDriving, SourceChanged, TripEnded
from agent.core.keys import public_pem
from agent.core.ports import Hardware, Notice
from drivers.elm327_serial import Elm327Source
from drivers.keystore import FileKeystore, create_x25519
from simulators.clock import ManualClock
from simulators.dongle import Dongle as SimulatedDongle
from simulators.drive import CarDrive
from simulators.ecu import Ecu
from simulators.world import load_scenario, simulate


def make_config(folder: Path, port: str) -> Config:
    insurer = create_x25519(folder / "insurer.pem")
    (folder / "insurer.pub.pem").write_bytes(public_pem(insurer.public_key()))
    return Config(
        profile="generic",
        device=Device(id="box-1", key=str(folder / "device.pem")),
        dongle=Dongle(port=port),
        store=Store(directory=str(folder / "data")),
        trust=Trust(insurer_encryption_key=str(folder / "insurer.pub.pem")),
        consent=Consent(purposes=["ubi_score", "diagnostics"]),
        voice=Voice(enabled=False),
    )


@pytest.mark.parametrize("transport", ["pty", "tcp"])
async def test_a_trip_is_found_through_the_adapter_also_when_it_is_unplugged_on_the_way(
    transport: str, tmp_path: Path
) -> None:
    clock = ManualClock()
    car = CarDrive(simulate(load_scenario("harsh_brake"), 3), clock, pace=0)
    dongle = SimulatedDongle([Ecu(car.values)], transport=transport)  # type: ignore[arg-type]  # parametrised
    await dongle.start()
    events: list[Event] = []

    def notice(seen: Notice) -> None:
        if seen.event is not None and seen.topic == "event":
            events.append(seen.event)

    config = make_config(tmp_path, dongle.port)
    source = Elm327Source(Dongle(port=dongle.port), clock)
    keystore = FileKeystore.create(Path(config.device.key), "box-1")
    ready = asyncio.Event()
    hardware = Hardware(keystore=keystore, samples=[source], notify=notice, service=lambda _: ready.set())
    car.at(30, dongle.unplug)
    car.at(32, dongle.plug)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        agent = tasks.create_task(app.run(config, hardware, clock, stop=stop))
        await ready.wait()
        await car.run()
        stop.set()
        summary = await agent
    await dongle.close()

    changes = [event for event in events if isinstance(event, SourceChanged)]
    assert [change.state for change in changes] == ["lost", "restored"]
    assert (changes[1].t_ns - changes[0].t_ns) / 1e9 <= 2 + 5
    trips = [event for event in events if isinstance(event, TripEnded)]
    assert len(trips) == 1
    assert trips[0].speed_max_kmh == pytest.approx(60, abs=3)
    assert [event.maneuver for event in events if isinstance(event, HarshDriving)] == ["braking"]
    assert summary.sealed == sum(summary.events.values()) == len(events)
