"""A box learns its car's bus on one drive, keeps it over a boot, and knows a fuzzer on the next: the whole agent."""

import asyncio
import dataclasses
from pathlib import Path

import msgspec

from agent import app
from agent.core.config import Consent, Detect
from agent.core.events import BusAnomaly, BusHabits, Event
from agent.core.limits import BusLimits
from agent.core.paths import VEHICLES
from drivers.state_file import FileBusStore
from simulators.clock import ManualClock
from simulators.hardware import PROFILE, open_car, open_hardware
from simulators.world import load_scenario
from tests.scenario.test_emergency_data import read
from tests.unit.store.kit import KEYS, make_config


async def drive(folder: Path, name: str, *, profile: Path, store: FileBusStore) -> list[Event]:
    config = msgspec.structs.replace(
        make_config(_new(folder)),
        profile=str(profile),
        dbc=["outrider_sim.dbc"],
        consent=Consent(purposes=["diagnostics"]),
        detect=Detect(bus=BusLimits(enabled=True, learn_s=60)),
    )
    clock = ManualClock()
    car = open_car(load_scenario(name), 7, clock, pace=0)
    hardware = dataclasses.replace(open_hardware(car, keystore=KEYS.device), bus_store=store)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(app.run(config, hardware, clock))
        tasks.create_task(car.run())
    return [event for event in await read(config) if isinstance(event, BusHabits | BusAnomaly)]


async def test_what_one_drive_taught_is_known_on_the_next(tmp_path: Path) -> None:
    profile = tmp_path / "unpinned.toml"
    lines = (VEHICLES / f"{PROFILE}.toml").read_text(encoding="utf-8").splitlines(keepends=True)
    profile.write_text("".join(line for line in lines if not line.startswith("habits")), encoding="utf-8")
    store = FileBusStore(tmp_path)
    first = await drive(tmp_path / "first", "healthy", profile=profile, store=store)
    assert [(event.kind, getattr(event, "state", "")) for event in first] == [("bus_habits", "learnt")]
    second = await drive(tmp_path / "second", "bus_fuzz", profile=profile, store=store)
    assert {event.finding for event in second if isinstance(event, BusAnomaly)} == {"unknown_identifier"}
    assert {event.kind for event in second} == {"bus_anomaly"}


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder
