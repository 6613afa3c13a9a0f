"""python-OBD as a real client of our dongle, and as our own optional backend.

It sleeps for about three seconds while it connects: nothing we could shorten.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from agent.core import vss
from agent.core.config import Dongle as DongleConfig
from agent.core.errors import InputError, SourceLost
from drivers.clock import SystemClock
from drivers.elm327_serial import Elm327Source
from drivers.python_obd import PythonObdSource
from simulators.dongle import Dongle
from simulators.ecu import Ecu, Faults

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
