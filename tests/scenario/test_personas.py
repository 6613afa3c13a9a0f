import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from agent.core import vss
from agent.core.config import Dongle as DongleConfig
from agent.core.errors import InputError
from drivers.elm327_serial import Elm327Source
from simulators.clock import ManualClock
from simulators.dongle import Dongle, parked_car
from simulators.personas import PERSONAS, persona
from tests.soak_elm327 import NonceEcu, Soak, run_all

EXCHANGES = 260  # with each: some 20,000 in all


@pytest.mark.parametrize("name", PERSONAS)
def test_no_wrong_credit_no_wedge_and_back_in_time(name: str) -> None:
    [figures] = run_all(EXCHANGES, names=[name])
    assert figures.is_sound, figures
    assert figures.answered > 0.5 * EXCHANGES


@pytest.mark.parametrize("name", ["late-tail", "garbled", "reboots-quietly", "busy-hears-half", "everything"])
def test_the_worst_of_them_for_longer(name: str) -> None:
    [figures] = run_all(4000, names=[name], seed=11)
    assert figures.is_sound, figures
    assert figures.faults > 10
    assert figures.lost > 0


def test_the_soak_sees_a_wrong_credit() -> None:
    """An answer from another ECU, an old one and a damaged one are each told apart."""

    class Liar(NonceEcu):
        def __init__(self, step: int, flip: int) -> None:
            super().__init__(0)
            self._step, self._flip = step, flip

        def answer(self, request: bytes) -> bytes | None:
            answer = super().answer(request)
            if answer is None or request[0] != 1 or request[1] not in {0x24, 0x25}:
                return answer
            nonce = int.from_bytes(answer[3:6], "big") + self._step
            return answer[:2] + bytes([answer[2] ^ self._flip]) + nonce.to_bytes(3, "big") + answer[6:]

    for step, flip, kind in ((0, 1, "wrong"), (-2, 0, "stale"), (2000, 0, "spoilt")):
        soak = Soak(persona("one-pid-only"), 7)
        soak._ecus = [Liar(step, flip)]
        soak._adapter = persona("one-pid-only").adapter(soak._ecus, latency_s=0.02)
        assert getattr(soak.run(200), kind) > 0


def test_every_persona_says_what_it_is_and_where_it_is_known_from() -> None:
    assert len(PERSONAS) >= 25
    for name, one in PERSONAS.items():
        assert one.name == name
        assert one.description
        assert one.source
    assert len({one.description for one in PERSONAS.values()}) == len(PERSONAS)
    with pytest.raises(InputError, match="no persona 'nobody'"):
        persona("nobody")


@pytest.mark.parametrize("name", ["headers-ignored", "echo-sticks", "kwp", "two-ecus-mixed", "can-29-bit", "split"])
async def test_the_driver_reads_the_parked_car_through_it(name: str) -> None:
    dongle = Dongle(parked_car(persona(name).ecus), persona_name=name)
    await dongle.start()
    clock = ManualClock()
    source = Elm327Source(DongleConfig(port=dongle.port, deadline_s=0.5), clock)
    seen: dict[str, float] = {}
    try:
        opening = asyncio.create_task(source.open())
        while not opening.done():
            await clock.advance(0.05)
        await opening
        while not {vss.ENGINE_SPEED, vss.COOLANT_TEMPERATURE} <= seen.keys():
            reading = asyncio.create_task(source.read_batch())
            while not reading.done():
                await clock.advance(0.05)
            samples = await reading
            seen |= {source.specs[n].path: float(v) for n, v in zip(samples.signal, samples.value, strict=True)}
    finally:
        await source.close()
        await dongle.close()
    assert (seen[vss.ENGINE_SPEED], seen[vss.COOLANT_TEMPERATURE]) == (800.0, 90.0)


async def test_a_persona_pulls_itself_out_and_comes_back() -> None:
    dongle = Dongle(parked_car(1), persona_name="unplugged")
    await dongle.start()
    try:
        for there in (False, True):
            dongle.adapter._edge_ns = 0
            dongle._pass_on()
            await asyncio.gather(*dongle._tasks)
            assert Path(dongle.port).exists() is there  # noqa: ASYNC240  a link in a folder of our own
    finally:
        await dongle.close()


def test_the_command_lists_them_and_refuses_what_it_does_not_know() -> None:
    command = [sys.executable, "-m", "simulators", "dongle"]
    listed = subprocess.run([*command, "--list"], capture_output=True, text=True, check=True)
    assert len(listed.stdout.splitlines()) == len(PERSONAS)
    refused = subprocess.run([*command, "--persona", "nobody"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "no persona 'nobody'" in refused.stderr
