"""A simulated crash through the whole agent: what is sealed of it, and in which order it would be sent."""

import asyncio
from pathlib import Path

import msgspec
import numpy as np
import pytest

from agent import app
from agent.core.config import Config, Consent, Vehicle
from agent.core.events import Collision, EmergencyData, Event
from agent.proto.msd import Msd, decode_msd, degrees_of
from agent.store.outbox import Outbox
from agent.store.unseal import open_record
from simulators.clock import ManualClock
from simulators.hardware import PROFILE, open_car, open_hardware
from simulators.world import load_scenario, simulate
from tests.unit.store.kit import KEYS, make_config

SCENARIO, SEED = "crash_front", 7


async def drive(folder: Path, consent: Consent) -> list[Event]:
    """The events of a crash as they lie in the store, in the order of sending."""
    made = make_config(folder)
    config = msgspec.structs.replace(
        made, profile=PROFILE, consent=consent, vehicle=Vehicle(vin="WVWZZZ1KZAW000001", propulsion=["electric"])
    )
    clock = ManualClock()
    car = open_car(load_scenario(SCENARIO), SEED, clock, pace=0)
    hardware = open_hardware(car, keystore=KEYS.device)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(app.run(config, hardware, clock))
        tasks.create_task(car.run())
    return await read(config)


async def read(config: Config) -> list[Event]:
    outbox = await Outbox.open(Path(config.store.directory), device="car-1", size_max_bytes=10**9)
    records = await outbox.peek(None, 10_000)
    await outbox.close()
    return [open_record(record.payload, KEYS.owner, KEYS.device_public)[1].event for record in records]


async def test_an_insurer_gets_the_notice_then_the_minimum_set_then_the_rest(tmp_path: Path) -> None:
    events = await drive(tmp_path, Consent(purposes=["claims", "ubi_score"], crash_position="exact"))
    notice, emergency = events[:2]
    assert isinstance(notice, Collision)
    assert isinstance(emergency, EmergencyData)
    assert notice.t_ns == emergency.t_ns
    msd = decode_msd(emergency.msd)
    assert (msd.vin, msd.test, msd.automatic) == ("WVWZZZ1KZAW000001", False, True)
    assert msd.propulsion == {"electric"}
    assert msd.trusted
    assert msd.place is not None
    fixes = simulate(load_scenario(SCENARIO), SEED).gnss
    last = np.searchsorted(fixes.t_ns, notice.t_ns, "right") - 1
    assert degrees_of(msd.place) == pytest.approx((fixes.latitude[last], fixes.longitude[last]), abs=2e-4)
    assert len(msd.recent) == 2


async def test_without_consent_to_a_position_none_is_kept(tmp_path: Path) -> None:
    events = await drive(tmp_path, Consent(purposes=["claims"]))
    sets = [decode_msd(event.msd) for event in events if isinstance(event, EmergencyData)]
    assert [(msd.place, msd.recent, msd.trusted, msd.direction_deg) for msd in sets] == [(None, (), False, None)]
    assert isinstance(sets[0], Msd)
    assert [event.latitude for event in events if isinstance(event, Collision)] == [None]
