"""A simulated crash through the whole agent leaves a whole record of it in the store."""

import asyncio
from pathlib import Path

import msgspec
import numpy as np
import pytest

from agent import app
from agent.core import vss
from agent.core.config import Consent
from agent.core.crash import ELEMENTS, assemble
from agent.core.events import Collision, CrashRecord, Event
from agent.store.chain import verify_chain
from agent.store.outbox import Outbox
from agent.store.unseal import open_record
from simulators.clock import ManualClock
from simulators.hardware import PROFILE, open_car, open_hardware
from simulators.world import load_scenario
from tests.unit.store.kit import KEYS, make_config

NS = 1_000_000_000


async def drive(folder: Path, scenario: str) -> list[Event]:
    """The events of a drive as they lie in the store, whose chain holds."""
    config = msgspec.structs.replace(make_config(folder), profile=PROFILE, consent=Consent(purposes=["claims"]))
    clock = ManualClock()
    car = open_car(load_scenario(scenario), 7, clock, pace=0)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(app.run(config, open_hardware(car, keystore=KEYS.device), clock))
        tasks.create_task(car.run())
    outbox = await Outbox.open(Path(config.store.directory), device="car-1", size_max_bytes=10**9)
    records = sorted(await outbox.peek(None, 10_000), key=lambda record: record.position)
    await outbox.close()
    report = verify_chain(
        [record.payload for record in records],
        check=lambda envelope: open_record(envelope, KEYS.insurer, KEYS.device_public),
    )
    assert report.finding is None
    return [open_record(record.payload, KEYS.owner, KEYS.device_public)[1].event for record in records]


async def test_a_frontal_crash_leaves_a_complete_record(tmp_path: Path) -> None:
    events = await drive(tmp_path, "crash_front")
    (collision,) = [event for event in events if isinstance(event, Collision)]
    found = assemble(event for event in events if isinstance(event, CrashRecord) and event.record == collision.record)
    assert (found.complete, found.missing, found.t0_ns) == (True, (), collision.t_ns)
    assert found.elements.keys() == set(ELEMENTS)
    curve = found.elements["delta_v_longitudinal_kmh"]
    assert isinstance(curve, list)
    at_end = np.interp(collision.duration_ms, np.arange(26) * 10, np.array(curve, np.float64))
    assert at_end == pytest.approx(collision.delta_v_longitudinal_kmh, abs=0.5)
    assert curve[-1] == pytest.approx(collision.delta_v_longitudinal_kmh, abs=3)  # then the wheels skid
    assert found.elements["delta_v_max_resultant_kmh"] >= collision.delta_v_kmh  # type: ignore[operator]
    assert found.elements["speed_kmh_5s"] is not None
    after_s = (found.imu.t_ns - found.t0_ns) / NS
    assert (after_s[0], after_s[-1]) == (pytest.approx(-15, abs=0.02), pytest.approx(15, abs=0.02))
    assert np.isfinite(found.imu.values[:, :3]).all()
    assert len(found.signals[vss.SPEED].t_ns) > 100
    assert not any("Location" in path for path in found.signals)


async def test_the_impacts_of_a_chain_have_records_of_their_own(tmp_path: Path) -> None:
    events = await drive(tmp_path, "crash_chain")
    collisions = [event for event in events if isinstance(event, Collision)]
    assert len({event.record for event in collisions}) == len(collisions) > 1
    for collision in collisions:
        found = assemble(e for e in events if isinstance(e, CrashRecord) and e.record == collision.record)
        assert (found.t0_ns, found.missing) == (collision.t_ns, ())
        assert found.elements["events"] == collision.multi_event
        assert found.elements["since_first_s"] == collision.since_first_s
