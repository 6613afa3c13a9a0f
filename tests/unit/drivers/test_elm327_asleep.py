import asyncio
from contextlib import suppress

import pytest

from agent.core import vss
from agent.core.errors import SourceLost, SourceSilenced
from simulators.ecu import Ecu
from tests.unit.drivers.plugged_dongle import VALUES, gather, plugged, read, read_many


async def test_the_ignition_is_off() -> None:
    async with plugged() as (dongle, source, clock):
        dongle.chip.ignition = False
        with pytest.raises(SourceLost, match=r"ELM327 V1\.5: no ECU answers .*UNABLE TO CONNECT"):
            await source.open()
        dongle.chip.ignition = True
        await source.open()
        await read(source, clock)
        dongle.chip.ignition = False
        with pytest.raises(SourceLost, match="no live data any more"):
            await read_many(source, clock, 100)


async def test_nothing_is_asked_while_the_car_sleeps_and_polling_goes_on_when_it_wakes() -> None:
    values = dict(VALUES)
    async with plugged(Ecu(lambda: values)) as (dongle, source, clock):
        await source.open()
        await read(source, clock)
        values |= {vss.ENGINE_SPEED: 0.0, vss.SPEED: 0.0}
        dongle.chip.supply_v = 12.4
        task = asyncio.create_task(gather(source))
        await clock.advance(1.0)
        count = len(dongle.chip.requests)
        await clock.advance(600)
        assert len(dongle.chip.requests) == count
        values |= {vss.ENGINE_SPEED: 900.0}
        dongle.chip.supply_v = 14.2
        await clock.advance(4)
        assert len(dongle.chip.requests) > count
        task.cancel()


async def test_a_wake_loop_silences_the_source() -> None:
    values = {**VALUES, vss.ENGINE_SPEED: 0.0, vss.SPEED: 0.0}
    async with plugged(Ecu(lambda: values)) as (dongle, source, clock):
        await source.open()
        task = asyncio.create_task(gather(source))
        for _ in range(6):
            dongle.chip.supply_v = 12.4
            await clock.advance(30)
            dongle.chip.supply_v = 14.2
            await clock.advance(30)
        with pytest.raises(SourceSilenced, match="wakes again and again"):
            await task
        reopening = asyncio.create_task(source.open())
        count = len(dongle.chip.requests)
        await clock.advance(1800)
        assert len(dongle.chip.requests) == count
        assert not reopening.done()
        reopening.cancel()
        assert source.counters()["guard_wake_loops"] == 1


@pytest.mark.parametrize("answers", [True, False])
async def test_a_parked_car_whose_converter_is_at_work_is_hardly_asked(answers: bool) -> None:  # noqa: FBT001  parametrised
    values = {vss.SPEED: 30.0, vss.COOLANT_TEMPERATURE: 20.0}
    async with plugged(Ecu(lambda: values)) as (dongle, source, clock):
        await source.open()
        await read(source, clock)
        values[vss.SPEED] = 0.0
        dongle.chip.supply_v = 12.4
        task = asyncio.create_task(gather(source))
        await clock.advance(60)
        dongle.chip.supply_v, dongle.chip.ignition = 14.2, answers
        dongle.chip.requests.clear()
        await clock.advance(600)
        assert len(dongle.chip.requests) < (100 if answers else 25)
        late = dongle.chip.requests[len(dongle.chip.requests) // 2 :]
        assert {request[1:] for request in late} <= {b"\x0d", b"\x0d\x05", b"\x05"}
        task.cancel()
        with suppress(asyncio.CancelledError, SourceLost):
            await task


async def test_an_electric_car_that_stood_ready_and_drives_off_is_read_within_two_seconds() -> None:
    values = {vss.SPEED: 0.0, vss.COOLANT_TEMPERATURE: 20.0}
    async with plugged(Ecu(lambda: values)) as (dongle, source, clock):
        dongle.chip.supply_v = 12.4
        opening = asyncio.create_task(source.open())
        await clock.advance(20)
        dongle.chip.supply_v = 14.2
        await clock.advance(20)
        values[vss.SPEED] = 5.0
        await clock.advance(3)
        dongle.chip.requests.clear()
        await opening
        task = asyncio.create_task(gather(source))
        await clock.advance(5)
        assert len(dongle.chip.requests) > 8
        task.cancel()
        assert source.guard.counters()["asleep"] > 0
