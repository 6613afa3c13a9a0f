import asyncio
from typing import Literal

import pytest

from agent.core import vss
from agent.core.config import Dongle as DongleConfig
from agent.core.errors import SourceLost
from agent.core.signals import Quality
from agent.proto.schedule import Poll
from drivers.elm327_serial import Elm327Source
from simulators.clock import ManualClock
from simulators.ecu import Ecu
from simulators.elm327 import Traits, Trouble
from tests.unit.drivers.plugged_dongle import VALUES, by_path, make_ecu, plugged, read, read_many


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


async def test_a_dialogue_that_has_failed_ends_the_connection_at_once() -> None:
    async with plugged() as (dongle, source, clock):
        await source.open()
        await read(source, clock)
        dongle.chip._traits = Traits(troubles=[Trouble(text="LV RESET", rate=1.0, how="reset")])
        with pytest.raises(SourceLost, match=r"ELM327 V1\.5: no ECU answers \(LV RESET\)"):
            await read(source, clock)
        assert source.counters()["timeouts"] == 0
