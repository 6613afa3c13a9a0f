"""The whole app on a car that offers nothing but its OBD-II socket."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from agent import app
from agent.core import vss
from agent.core.config import Config, Consent, Device, Dongle, PastRepair, Store, Trust, Vehicle, Voice
from agent.core.events import Diagnosis, Event, HarshDriving, SourceChanged, TripEnded, TroubleCodes
from agent.core.keys import public_pem
from agent.core.ports import Hardware, Notice, Utterance
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
        consent=Consent(purposes=["ubi_score", "diagnostics", "service"]),
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


class Said:
    """A speaker that keeps what it is told."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def say(self, utterance: Utterance) -> None:
        self.texts.append(utterance.text)

    async def close(self) -> None:
        """Nothing is open."""


@dataclass
class Watched:
    events: list[Event]
    speaker: Said

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]


async def drive_with_dongle(config: Config, dongle: SimulatedDongle, car: CarDrive) -> Watched:
    """The whole app on a simulated drive, heard through the adapter alone."""
    watched = Watched([], Said())

    def notice(seen: Notice) -> None:
        if seen.event is not None and seen.topic == "event":
            watched.events.append(seen.event)

    source = Elm327Source(Dongle(port=dongle.port), car.clock)
    keystore = FileKeystore.create(Path(config.device.key), "box-1")
    ready, stop = asyncio.Event(), asyncio.Event()
    hardware = Hardware(
        keystore=keystore,
        samples=[source],
        codes=[source],
        speaker=watched.speaker,
        notify=notice,
        service=lambda _: ready.set(),
    )
    async with asyncio.TaskGroup() as tasks:
        agent = tasks.create_task(app.run(config, hardware, car.clock, stop=stop))
        await ready.wait()
        await car.run()
        stop.set()
        await agent
    return watched


@pytest.mark.parametrize(("scenario", "code", "cause", "drive"), [
    ("lean_mixture", "P0171", "intake_leak", "to_a_garage"),
    ("misfire", "P0301", "spark_plug", "to_a_garage"),
    ("hvil_open", "P0A0A", "plug_open", "stop_now"),
    ("insulation_loss", "P0AA6", "insulation_lost", "stop_now"),
])  # fmt: skip
async def test_a_trouble_code_behind_the_adapter_becomes_a_diagnosis(
    scenario: str, code: str, cause: str, drive: str, tmp_path: Path
) -> None:
    car = CarDrive(simulate(load_scenario(scenario), 3), ManualClock(), pace=0)
    dongle = SimulatedDongle([Ecu(car.values, faults=car.faults)])
    await dongle.start()
    config = msgspec.structs.replace(
        make_config(tmp_path, dongle.port),
        vehicle=Vehicle(repairs=[PastRepair(what="spark_plugs")]),
        voice=Voice(language="en"),
    )
    watched = await drive_with_dongle(config, dongle, car)
    await dongle.close()

    changes = [event for event in watched.of("trouble_codes") if isinstance(event, TroubleCodes)]
    assert [added for change in changes for added in change.added] == [code]
    assert code in changes[-1].stored
    found = [event for event in watched.of("diagnosis") if isinstance(event, Diagnosis)]
    assert [(one.codes, one.causes[0], one.drive) for one in found if one.confirmed] == [([code], cause, drive)]
    assert len(found) <= 2  # pending, then confirmed
    assert sum(code in text for text in watched.speaker.texts) == 1


async def test_the_freeze_frame_and_the_repair_speak_for_the_leak(tmp_path: Path) -> None:
    """For the first time, so that the frame is of this drive: the code is pending."""
    scenario = msgspec.structs.replace(load_scenario("lean_mixture"), past_cycles=[])
    car = CarDrive(simulate(scenario, 3), ManualClock(), pace=0)
    dongle = SimulatedDongle([Ecu(car.values, faults=car.faults)])
    await dongle.start()
    config = msgspec.structs.replace(
        make_config(tmp_path, dongle.port), vehicle=Vehicle(repairs=[PastRepair(what="spark_plugs")])
    )
    watched = await drive_with_dongle(config, dongle, car)
    await dongle.close()

    (found,) = watched.of("diagnosis")
    assert isinstance(found, Diagnosis)
    assert (found.codes, found.causes[0], found.confirmed) == (["P0171"], "intake_leak", False)
    first = {
        name: (points, value)
        for name, of, points, value in zip(
            found.evidence,
            found.evidence_of,
            found.evidence_points,
            found.evidence_values,
            strict=True,
        )
        if of == 0
    }
    assert first["intake_opened"] == (4, None)
    points, percent = first["trim_frozen"]
    assert points == 2
    assert percent is not None
    assert percent > 20
    frame = watched.of("trouble_codes")[-1]
    assert isinstance(frame, TroubleCodes)
    assert frame.frozen == "P0171"
    assert vss.LONG_TERM_FUEL_TRIM in frame.frame_signals
