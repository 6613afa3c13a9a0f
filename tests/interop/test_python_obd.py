"""python-OBD as a real client of our dongle, and as our own optional backend.

It sleeps for about three seconds while it connects: nothing we could shorten.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any

import numpy as np
import pytest

from agent.core import vss
from agent.core.config import Dongle as DongleConfig
from agent.core.errors import InputError, SourceLost
from drivers.clock import SystemClock
from drivers.elm327_serial import Elm327Source
from drivers.python_obd import PythonObdSource
from simulators.clock import ManualClock
from simulators.dongle import Dongle
from simulators.drive import CarDrive
from simulators.ecu import Ecu, Faults
from simulators.world import load_scenario, simulate

pytestmark = pytest.mark.interop

VALUES = {vss.SPEED: 72.0, vss.ENGINE_SPEED: 2150.0, vss.COOLANT_TEMPERATURE: 91.0}


@pytest.fixture
async def dongle() -> AsyncIterator[Dongle]:
    made = Dongle([Ecu(lambda: VALUES, faults=Faults(stored=("P0133", "U0100")))])
    await made.start()
    yield made
    await made.close()


def pty_of(dongle: Dongle) -> str:
    """The pty behind the link: on any other path python-OBD tries baud rates first."""
    return os.path.realpath(dongle.port)


def ask_as_a_stranger(port: str) -> Mapping[str, Any]:
    obd = pytest.importorskip("obd", reason="python-OBD is not installed")
    client = obd.OBD(port, fast=False, timeout=2)
    try:
        assert client.status() == obd.OBDStatus.CAR_CONNECTED
        answers = {name: client.query(obd.commands[name]).value for name in ("SPEED", "RPM", "VIN", "GET_DTC")}
        return {**answers, "protocol": client.protocol_name()}
    finally:
        client.close()


async def test_python_obd_reads_speed_rpm_vin_and_dtcs(dongle: Dongle) -> None:
    answers = await asyncio.to_thread(ask_as_a_stranger, pty_of(dongle))
    assert answers["SPEED"].magnitude == 72.0
    assert answers["RPM"].magnitude == 2150.0
    assert bytes(answers["VIN"]) == b"LRDTESTCAR0000007"
    assert [code for code, _ in answers["GET_DTC"]] == ["P0133", "U0100"]
    assert answers["protocol"] == "ISO 15765-4 (CAN 11/500)"
    assert {request[0] for request in dongle.chip.requests} <= {1, 3, 6, 9}


async def test_both_backends_give_the_same_values(dongle: Dongle) -> None:
    pytest.importorskip("obd", reason="python-OBD is not installed")
    config = DongleConfig(port=pty_of(dongle), period_s=0.05)
    seen = []
    for source in (PythonObdSource(config, SystemClock()), Elm327Source(config, SystemClock())):
        await source.open()
        values: dict[str, float] = {}
        while len(values) < len(VALUES):
            samples = await source.read_batch()
            values |= {source.specs[n].path: float(v) for n, v in zip(samples.signal, samples.value, strict=True)}
        await source.close()
        seen.append(values)
    assert seen[0] == seen[1] == VALUES


async def test_without_the_library_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obd", None)
    with pytest.raises(InputError, match="outrider\\[obd\\]"):
        await PythonObdSource(DongleConfig(port="/dev/null"), SystemClock()).open()


async def test_a_port_that_is_not_there_is_a_lost_source() -> None:
    pytest.importorskip("obd", reason="python-OBD is not installed")
    source = PythonObdSource(DongleConfig(port="/nonexistent/ttyUSB9"), SystemClock())
    with pytest.raises(SourceLost, match="python-OBD says: Not Connected"):
        await source.open()
    with pytest.raises(SourceLost, match="not open"):
        await source.read_batch()


WORLD = {  # python-OBD's command: the world's signal, the step of its PID
    "SPEED": (vss.SPEED, 1.0),
    "RPM": (vss.ENGINE_SPEED, 0.25),
    "COOLANT_TEMP": (vss.COOLANT_TEMPERATURE, 1.0),
    "THROTTLE_POS": (vss.THROTTLE, 100 / 255),
    "MAF": (vss.MASS_AIR_FLOW, 0.01),
    "AMBIANT_AIR_TEMP": (vss.AIR_TEMPERATURE, 1.0),
    "SHORT_FUEL_TRIM_1": ("Vehicle.Private.OBD.ShortTermFuelTrim1", 100 / 128),
    "LONG_FUEL_TRIM_1": ("Vehicle.Private.OBD.LongTermFuelTrim1", 100 / 128),
}


async def test_python_obd_follows_the_world_through_a_drive() -> None:
    """A lean mixture shows in the trims, the drive in everything else; time moves between the questions."""
    obd = pytest.importorskip("obd", reason="python-OBD is not installed")
    drive = simulate(load_scenario("lean_mixture"), 3)
    clock = ManualClock()
    car = CarDrive(drive, clock, pace=0)
    dongle = Dongle([Ecu(car.values)])
    await dongle.start()
    client = await asyncio.to_thread(obd.OBD, pty_of(dongle), fast=False, timeout=2)
    seen: dict[str, list[float]] = {name: [] for name in WORLD}
    lamp: list[tuple[bool, int]] = []
    try:
        for second in range(0, int(drive.scenario.duration_s), 10):
            await clock.advance_to(second * 1_000_000_000)
            for name, (path, step) in WORLD.items():
                answer = await asyncio.to_thread(client.query, obd.commands[name])
                times_ns, values = drive.signals[path]
                expected = float(np.interp(second * 1e9, times_ns.astype(np.float64), values))
                assert answer.value.magnitude == pytest.approx(max(expected, 0) if step == 0.01 else expected, abs=step)
                seen[name].append(answer.value.magnitude)
            status = (await asyncio.to_thread(client.query, obd.commands.STATUS)).value
            lamp.append((status.MIL, status.DTC_count))
    finally:
        await asyncio.to_thread(client.close)
        await dongle.close()
    still = {name for name, values in seen.items() if len(set(values)) < 3}
    assert still == {"AMBIANT_AIR_TEMP"}
    assert max(seen["LONG_FUEL_TRIM_1"]) - min(seen["LONG_FUEL_TRIM_1"]) > 5
    assert (lamp[0], lamp[-1]) == ((False, 0), (True, 1))
