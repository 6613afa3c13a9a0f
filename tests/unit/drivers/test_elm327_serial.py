import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal

import pytest

from agent.core import vss
from agent.core.config import Dongle as DongleConfig
from agent.core.errors import SourceLost, SourceSilenced
from agent.core.signals import Quality, Samples
from agent.proto.cut import harms_when_cut
from agent.proto.schedule import Poll
from drivers.elm327_serial import Elm327Source
from simulators.clock import ManualClock
from simulators.dongle import Dongle
from simulators.ecu import Ecu, Faults
from simulators.elm327 import Elm327Chip, Traits, Trouble

VALUES = {
    vss.SPEED: 72.0,
    vss.ENGINE_SPEED: 2150.0,
    vss.THROTTLE: 20.0,
    vss.COOLANT_TEMPERATURE: 91.0,
    vss.LOW_VOLTAGE: 13.9,
    vss.AIR_TEMPERATURE: 21.0,
    vss.TRAVELED_DISTANCE: 123_456_700.0,
    "Vehicle.Powertrain.FuelSystem.RelativeLevel": 40.0,
    "Vehicle.Private.OBD.IntakeTemp": 30.0,
    "Vehicle.Private.OBD.BarometricPressure": 101.0,
}


def make_ecu(**options: Any) -> Ecu:
    return Ecu(lambda: VALUES, faults=Faults(stored=("P0133",), pending=("U0100", "C0123")), **options)


@asynccontextmanager
async def plugged(
    *ecus: Ecu, transport: Literal["pty", "tcp"] = "pty", traits: Traits | None = None, latency_s: float = 0.0
) -> AsyncIterator[tuple[Dongle, Elm327Source, ManualClock]]:
    dongle = Dongle(ecus or [make_ecu()], transport=transport, traits=traits, latency_s=latency_s)
    await dongle.start()
    clock = ManualClock()
    source = Elm327Source(DongleConfig(port=dongle.port, deadline_s=0.2, period_s=0.5), clock)
    try:
        yield dongle, source, clock
    finally:
        await source.close()
        await dongle.close()


async def read(source: Elm327Source, clock: ManualClock) -> dict[str, float]:
    task = asyncio.create_task(source.read_batch())
    await asyncio.sleep(0)
    while not task.done():
        await clock.advance(0.1)
    return by_path(source, await task)


def by_path(source: Elm327Source, samples: Samples) -> dict[str, float]:
    return {source.specs[n].path: float(v) for n, v in zip(samples.signal, samples.value, strict=True)}


async def read_many(source: Elm327Source, clock: ManualClock, count: int) -> dict[str, float]:
    seen: dict[str, float] = {}
    for _ in range(count):
        seen |= await read(source, clock)
    return seen


@pytest.mark.parametrize("transport", ["pty", "tcp"])
async def test_live_data_and_facts(transport: Literal["pty", "tcp"]) -> None:
    async with plugged(transport=transport) as (dongle, source, _):
        assert source.vehicle_facts() is None
        await source.open()
        facts = source.vehicle_facts()
        assert facts is not None
        assert facts.vin == "LRDTESTCAR0000007"
        assert (facts.stored_dtcs, facts.pending_dtcs, facts.permanent_dtcs) == (("P0133",), ("U0100", "C0123"), ())
        assert facts.calibration_ids == ("OUTRIDER-SIM",)
        assert {0x0C, 0x0D, 0xA6} <= facts.supported_pids
        dongle.chip.requests.clear()
        first = await source.read_batch()
        assert set(first.quality) == {Quality.VALID}
        values = by_path(source, first)
        assert {path: values[path] for path in (vss.SPEED, vss.ENGINE_SPEED, vss.THROTTLE)} == pytest.approx(
            {vss.SPEED: 72.0, vss.ENGINE_SPEED: 2150.0, vss.THROTTLE: 20.0}, abs=0.3
        )
        assert len(values) == 6
        values |= by_path(source, await source.read_batch())
        assert values[vss.COOLANT_TEMPERATURE] == 91.0
        assert values[vss.TRAVELED_DISTANCE] == 123_456_700.0
        assert [request.hex() for request in dongle.chip.requests] == ["010c0d4205110f", "012f4633a6"]
        counters = source.counters()
        assert (counters["timeouts"], counters["bad"], counters["stray"], counters["pack_max"]) == (0, 0, 0, 6)


async def test_an_answer_belongs_to_the_instant_of_its_question() -> None:
    async with plugged(latency_s=0.02) as (_, source, clock):
        await source.open()
        task = asyncio.create_task(source.read_batch())
        await clock.advance(10)
        samples = await task
        assert set(samples.t_ns) == {0}


async def test_rounds_follow_the_clock() -> None:
    async with plugged() as (dongle, source, clock):
        await source.open()
        for _ in range(2):
            await source.read_batch()
        count = len(dongle.chip.requests)
        task = asyncio.create_task(source.read_batch())
        await clock.advance(0.499)
        assert len(dongle.chip.requests) == count
        await clock.advance(0.001)
        assert set((await task).t_ns) == {500_000_000}


@pytest.mark.parametrize(
    "traits",
    [
        Traits(echo_sticks=True),
        Traits(silent_reset=True, name="OBDII"),
        Traits(refused=frozenset({"L0", "S0", "SP0", "DPN"})),
        Traits(refused=frozenset({"H1"})),
    ],
)
async def test_clones(traits: Traits) -> None:
    async with plugged(traits=traits) as (_, source, clock):
        await source.open()
        assert set(VALUES) <= set(await read_many(source, clock, 10))
        facts = source.vehicle_facts()
        assert facts is not None
        assert facts.vin == "LRDTESTCAR0000007"
        assert source.counters()["bad"] == 0


@pytest.mark.parametrize(
    ("ecu", "traits", "pack_max"),
    [
        (make_ecu(multi_pid=False), Traits(), 1),
        (make_ecu(), Traits(request_bytes_max=4), 3),
        (make_ecu(), Traits(request_bytes_max=2), 1),
    ],
)
async def test_fewer_pids_a_request_where_six_are_refused(ecu: Ecu, traits: Traits, pack_max: int) -> None:
    async with plugged(ecu, traits=traits) as (_, source, clock):
        await source.open()
        await read_many(source, clock, 40)
        # An adapter that refuses long requests may be one that loses characters: 0142 has to wait 200 answers.
        assert set(VALUES) <= set(await read_many(source, clock, 240))
        counters = source.counters()
        assert (counters["pack_max"], counters["pids_dropped"]) == (pack_max, 0)


async def test_the_engine_is_believed_where_two_ecus_tell_the_same() -> None:
    gearbox = Ecu(lambda: {vss.SPEED: 70.0, "Vehicle.Private.OBD.RunTime": 60.0}, reply_id=0x7E9)
    async with plugged(gearbox, make_ecu()) as (_, source, clock):
        await source.open()
        seen = await read_many(source, clock, 6)
        assert seen[vss.SPEED] == 72.0
        assert seen["Vehicle.Private.OBD.RunTime"] == 60.0


@pytest.mark.parametrize("transport", ["pty", "tcp"])
async def test_a_mute_adapter_is_lost_and_comes_back(transport: Literal["pty", "tcp"]) -> None:
    async with plugged(transport=transport) as (dongle, source, clock):
        await source.open()
        await source.read_batch()
        dongle.mute = True
        with pytest.raises(SourceLost, match=r"silent for 0\.2 s"):
            await read(source, clock)
        with pytest.raises(SourceLost, match=r"silent for 0\.2 s"):
            await source.open()
        dongle.mute = False
        await source.open()
        assert (await read(source, clock))[vss.SPEED] == 72.0


@pytest.mark.parametrize("transport", ["pty", "tcp"])
async def test_a_replugged_adapter_works_again(transport: Literal["pty", "tcp"]) -> None:
    async with plugged(transport=transport) as (dongle, source, clock):
        await source.open()
        await source.read_batch()
        await dongle.unplug()
        with pytest.raises(SourceLost):
            await read(source, clock)
        with pytest.raises(SourceLost):
            await source.open()
        await dongle.plug()
        await source.open()
        assert (await read(source, clock))[vss.SPEED] == 72.0


async def test_half_lines_end_in_a_lost_source_and_never_in_wrong_values() -> None:
    async with plugged() as (dongle, source, clock):
        await source.open()
        dongle.half_lines = True
        with pytest.raises(SourceLost, match="without an end"):
            await read_many(source, clock, 10)
        assert source.counters()["timeouts"] >= 2


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


@pytest.mark.parametrize("port", ["/nonexistent/ttyUSB9", "tcp://127.0.0.1:1", "tcp://", "tcp://host:99999"])
async def test_a_port_that_is_not_there(port: str) -> None:
    source = Elm327Source(DongleConfig(port=port), ManualClock())
    with pytest.raises(SourceLost, match=port.split(":", maxsplit=1)[0]):
        await source.open()
    await source.close()
    with pytest.raises(SourceLost, match="not open"):
        await source._adapter.talk()


async def test_only_reads_reach_the_bus() -> None:
    async with plugged() as (dongle, source, clock):
        await source.open()
        await read_many(source, clock, 20)
        assert {request[0] for request in dongle.chip.requests} == {1, 2, 3, 7, 9, 0x0A}


async def test_the_supported_pids_are_remembered_by_vin() -> None:
    class Memory:
        known: dict[str, frozenset[int]]

        def load(self, vin: str) -> frozenset[int] | None:
            return self.known.get(vin)

        def save(self, vin: str, pids: frozenset[int]) -> None:
            self.known[vin] = pids

    memory = Memory()
    memory.known = {}
    async with plugged() as (dongle, first, clock):
        for cached in (0, 1):
            source = Elm327Source(first._dongle, clock, cache=memory)
            dongle.chip.requests.clear()
            await source.open()
            assert (b"\x01\x20" in dongle.chip.requests) == (not cached)
            assert source.counters().get("from_cache", 0) == cached
            facts = source.vehicle_facts()
            assert facts is not None
            assert facts.supported_pids == memory.known["LRDTESTCAR0000007"]
            await source.close()


async def test_a_profile_says_what_is_asked_for_and_how_often() -> None:
    async with plugged() as (dongle, plain, clock):
        polls = [Poll(pid=0x0D, period_s=0.2, priority=0), Poll(pid=0x05, period_s=1.0), Poll(pid=0x77)]
        source = Elm327Source(plain._dongle, clock, polls=polls)
        await source.open()
        dongle.chip.requests.clear()
        seen = await read_many(source, clock, 10)
        assert set(seen) == {vss.SPEED, vss.COOLANT_TEMPERATURE}
        assert dongle.chip.requests[:3] == [b"\x01\x0d\x05", b"\x01\x0d", b"\x01\x0d"]
        await source.close()


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


async def gather(source: Elm327Source) -> None:
    while True:
        await source.read_batch()


class Forgetful(Elm327Chip):
    """Loses a piece of every request from some time on."""

    lost = slice(0)

    def answer(self, line: bytes) -> bytes:
        left = bytearray(line)
        del left[self.lost]
        return super().answer(line if line.startswith(b"AT") else bytes(left))


async def test_what_would_clear_codes_if_cut_is_not_asked_over_a_line_that_loses_characters() -> None:
    values = {**VALUES, "Vehicle.Private.OBD.EngineLoad": 40.0}
    async with plugged(Ecu(lambda: values, multi_pid=False)) as (dongle, source, clock):
        await source.open()
        assert b"\x09\x04" in dongle.chip.requests
        await read_many(source, clock, 60)  # long enough to know that packs do not work here
        assert b"\x01\x04" in dongle.chip.requests
        source._adapter.dialogue._doubts = 1000
        dongle.chip.requests.clear()
        seen = await read_many(source, clock, 30)
        assert not {b"\x01\x04", b"\x01\x42"} & set(dongle.chip.requests)
        assert vss.SPEED in seen
        counters = source.counters()
        assert (counters["withheld"] > 6, counters["pids_dropped"]) == (True, 0)
        source._adapter.dialogue._doubts = 0
        await read_many(source, clock, 30)
        assert {b"\x01\x04", b"\x01\x42"} <= set(dongle.chip.requests)


async def test_a_line_over_which_nothing_may_be_asked_is_lost() -> None:
    async with plugged() as (dongle, plain, clock):
        source = Elm327Source(plain._dongle, clock, polls=[Poll(pid=0x42, period_s=0.1)])
        await source.open()
        assert set(await read(source, clock)) == {vss.LOW_VOLTAGE}
        source._adapter.dialogue._doubts = 1000
        dongle.chip.requests.clear()
        with pytest.raises(SourceLost, match="loses characters"):
            await read(source, clock)
        assert b"\x01\x42" not in dongle.chip.requests
        await source.close()


@pytest.mark.parametrize("lost", [slice(1), slice(2), slice(3), slice(1, 2)])
async def test_no_request_turns_into_another_where_a_piece_is_lost(lost: slice) -> None:
    values = {**VALUES, "Vehicle.Private.OBD.EngineLoad": 40.0, "Vehicle.Powertrain.CombustionEngine.MAF": 3.0}
    async with plugged(Ecu(lambda: values)) as (dongle, source, clock):
        await source.open()
        chip = Forgetful([Ecu(lambda: values)], random=None)
        chip._settings, chip._searched = dongle.chip._settings, True
        dongle.adapter.chip = chip
        await read_many(source, clock, 10)
        chip.lost = lost
        with pytest.raises(SourceLost):
            await read_many(source, clock, 60)
        assert b"\x04" not in chip.requests
        assert not [request for request in chip.requests if harms_when_cut(b"\xff" + request)]


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


async def test_a_dialogue_that_has_failed_ends_the_connection_at_once() -> None:
    async with plugged() as (dongle, source, clock):
        await source.open()
        await read(source, clock)
        dongle.chip._traits = Traits(troubles=[Trouble(text="LV RESET", rate=1.0, how="reset")])
        with pytest.raises(SourceLost, match=r"ELM327 V1\.5: no ECU answers \(LV RESET\)"):
            await read(source, clock)
        assert source.counters()["timeouts"] == 0
