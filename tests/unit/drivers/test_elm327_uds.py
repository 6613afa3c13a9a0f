from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from agent.core import vss
from agent.core.config import Dongle as DongleConfig
from agent.core.errors import SourceLost
from agent.decode.profile import load_profile
from agent.proto.did import DidSpec
from agent.proto.schedule import Poll
from drivers.elm327_serial import Elm327Source
from simulators.clock import ManualClock
from simulators.dongle import Dongle
from simulators.ecu import DidEcu, Ecu
from simulators.elm327 import Answers, Traits
from tests.unit.drivers.plugged_dongle import read_many

ENGINE = Ecu(lambda: {vss.SPEED: 30.0})
HEATER = DidEcu(0x744, 0x74C, {0x2101: bytes(range(1, 31))})
BATTERY = DidEcu(0x17FC007B, 0x17FE007B, {0x1E3B: bytes.fromhex("0578"), 0x1E40: bytes(range(40))})
TYRES = DidEcu(0x7A0, 0x7A8, {0xC00B: bytes(range(100, 124))})
POLLS = [
    Poll(pid=0x0D, period_s=0.5, priority=0),
    Poll(ecu=0x744, reply=0x74C, did=0x2101),
    Poll(ecu=0x17FC007B, did=0x1E3B),
    Poll(ecu=0x17FC007B, did=0x1E40),
    Poll(ecu=0x7A0, reply=0x7A8, did=0xC00B),
]
DIDS = [
    DidSpec(reply=0x74C, did=0x2101, path="Vehicle.Heater", bit_start=8 * 29),
    DidSpec(reply=0x17FE007B, did=0x1E3B, path=vss.PACK_VOLTAGE, unit="V", bit_length=16, scale=0.25),
    DidSpec(reply=0x17FE007B, did=0x1E40, path="Vehicle.Page", bit_start=8 * 39),
    DidSpec(reply=0x7A8, did=0xC00B, path="Vehicle.Tyre", bit_start=8 * 23),
]
WANTED = {vss.SPEED: 30.0, "Vehicle.Heater": 30.0, vss.PACK_VOLTAGE: 350.0, "Vehicle.Page": 39.0, "Vehicle.Tyre": 123.0}


def kona() -> DidEcu:
    """Bytes where OVMS reads them: SOC 68 %, -12.5 A (charging), 356.4 V, 21 and 19 Celsius, 3.62 and 3.6 V."""
    page = bytearray(56)
    page[4] = 136
    page[10:14] = (-125).to_bytes(2, "big", signed=True) + (3564).to_bytes(2, "big")
    page[14:20] = bytes([21, 19, 20, 20, 20, 0xFF])
    page[23:27] = bytes([181, 32, 180, 1])
    page[29] = 142
    page[30:46] = b"".join(value.to_bytes(4, "big") for value in (12345, 12000, 4567, 4400))
    page[50] = 0x04
    cells = bytes(4) + bytes([180] * 31 + [181])
    health = bytearray(42)
    health[25:27] = (985).to_bytes(2, "big")
    health[31], health[34], health[35] = 140, 185, 185
    pages = {0x0101: bytes(page), 0x0102: cells, 0x0103: cells, 0x0104: cells, 0x0105: bytes(health)}
    return DidEcu(0x7E4, 0x7EC, pages)


def e_up() -> list[DidEcu]:
    """350 V, -20 A, SOC 80 %, 3.662 and 3.418 V, 21.5 Celsius; SOC as displayed 78.5 %."""
    battery = {0x1E3B: 1400, 0x1E3D: 1964, 0x1E33: 15_000, 0x1E34: 14_000, 0x2A0B: 1376}
    pages = {did: raw.to_bytes(2, "big") for did, raw in battery.items()}
    return [DidEcu(0x7E5, 0x7ED, pages | {0x028C: bytes([200])}), DidEcu(0x7E0, 0x7E8, {0x1164: b"\x1e\xaa"})]


@asynccontextmanager
async def plugged(
    ecus: Sequence[Answers], polls: Sequence[Poll], dids: Sequence[DidSpec], traits: Traits | None = None
) -> AsyncIterator[tuple[Dongle, Elm327Source, ManualClock]]:
    dongle = Dongle(ecus, traits=traits)
    await dongle.start()
    clock = ManualClock()
    source = Elm327Source(DongleConfig(port=dongle.port, deadline_s=0.2), clock, polls=polls, dids=dids)
    await source.open()
    try:
        yield dongle, source, clock
    finally:
        await source.close()
        await dongle.close()


async def test_every_cell_of_a_kona_comes_over_the_dongle() -> None:
    profile = load_profile("hyundai_kona_ev")
    async with plugged([ENGINE, kona()], profile.polls, profile.dids) as (dongle, source, clock):
        seen = await read_many(source, clock, 12)
        assert [round(seen[vss.cell_voltage(n)], 2) for n in (0, 31, 32, 95, 97)] == [3.6, 3.62, 3.6, 3.62, 3.7]
        assert seen[vss.SPEED] == 30.0
        assert seen[vss.STATE_OF_CHARGE] == 68.0
        assert seen[vss.PACK_CURRENT] == 12.5
        assert {request[0] for request in dongle.chip.requests} <= {0x01, 0x03, 0x07, 0x09, 0x0A, 0x22}


async def test_an_e_up_is_asked_at_two_ecus() -> None:
    profile = load_profile("vw_e_up")
    async with plugged([ENGINE, *e_up()], profile.polls, profile.dids) as (_, source, clock):
        seen = await read_many(source, clock, 14)
        assert (seen[vss.PACK_VOLTAGE], seen[vss.PACK_CURRENT], seen[vss.SPEED]) == (350.0, -20.0, 30.0)
        assert seen[vss.STATE_OF_CHARGE] == 80.0
        assert seen["Vehicle.Powertrain.TractionBattery.StateOfCharge.Displayed"] == 78.5
        assert source.counters()["stray"] == 0


@pytest.mark.parametrize("protocol", ["6", "7"])
async def test_ecus_at_any_diagnostic_identifier_and_obd_take_turns(protocol: str) -> None:
    traits = Traits(protocol=protocol, padding=0)
    async with plugged([ENGINE, HEATER, BATTERY, TYRES], POLLS, DIDS, traits) as (_, source, clock):
        assert await read_many(source, clock, 20) == pytest.approx(WANTED)
        counters = source.counters()
        assert [counters[name] for name in ("not_addressed", "timeouts", "bad", "guard_refused")] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("traits", "missing"),
    [
        (Traits(refused=frozenset({"SH*"})), {"Vehicle.Heater", "Vehicle.Page", "Vehicle.Tyre", vss.PACK_VOLTAGE}),
        (Traits(refused=frozenset({"FC*"})), {"Vehicle.Heater", "Vehicle.Page", "Vehicle.Tyre", vss.PACK_VOLTAGE}),
        (Traits(refused=frozenset({"CRA*"})), {"Vehicle.Heater", "Vehicle.Page", "Vehicle.Tyre", vss.PACK_VOLTAGE}),
        (Traits(refused=frozenset({"CP*"})), {"Vehicle.Page", vss.PACK_VOLTAGE}),
        (Traits(refused=frozenset({"SP7"})), {"Vehicle.Page", vss.PACK_VOLTAGE}),
        (Traits(ignored=frozenset({"SP7"})), {"Vehicle.Page", vss.PACK_VOLTAGE}),
        (Traits(refused=frozenset({"DPN"})), {"Vehicle.Page", vss.PACK_VOLTAGE}),
        (Traits(refused=frozenset({"H1"})), {"Vehicle.Heater", "Vehicle.Page", "Vehicle.Tyre", vss.PACK_VOLTAGE}),
    ],
)
async def test_what_an_adapter_refuses_costs_those_ecus_is_counted_and_nothing_else(
    traits: Traits, missing: set[str]
) -> None:
    async with plugged([ENGINE, HEATER, BATTERY, TYRES], POLLS, DIDS, traits) as (_, source, clock):
        seen = await read_many(source, clock, 30)
        assert seen == pytest.approx({path: value for path, value in WANTED.items() if path not in missing})
        counters = source.counters()
        assert counters["not_addressed"] == 3 * sum(path in missing for path in WANTED)
        assert counters["pids_dropped"] == len(missing)
        assert (await read_many(source, clock, 10))[vss.SPEED] == 30.0
        assert source.counters()["not_addressed"] == counters["not_addressed"]


@pytest.mark.parametrize("traits", [Traits(refused=frozenset({"CRA", "FCSM0"})), Traits(bare_settings=True)])
async def test_an_adapter_that_cannot_go_back_is_reset_once_and_asked_for_obd_only(traits: Traits) -> None:
    async with plugged([ENGINE, HEATER, BATTERY, TYRES], POLLS, DIDS, traits) as (dongle, source, clock):
        await read_many(source, clock, 30)
        assert source._adapter.dialogue.resets == 1
        dongle.chip.requests.clear()
        assert await read_many(source, clock, 10) == {vss.SPEED: 30.0}
        assert set(dongle.chip.requests) <= {b"\x01\x0d", b"\x03", b"\x07", b"\x0a"}
        assert source.counters()["not_addressed"] > 0


async def test_an_adapter_that_hangs_while_one_ecu_is_addressed_is_told_so_twice_at_most() -> None:
    traits = Traits(locked_by=frozenset({"CRA74C"}))
    async with plugged([ENGINE, HEATER], POLLS[:2], DIDS[:1], traits) as (dongle, source, clock):
        for _ in range(2):
            with pytest.raises(SourceLost, match="silent"):
                await read_many(source, clock, 10)
            await dongle.unplug()
            await dongle.plug()
            await source.open()
        assert await read_many(source, clock, 10) == {vss.SPEED: 30.0}
        assert source.counters()["not_addressed"] == 3


async def test_an_answer_of_another_ecu_is_credited_to_none() -> None:
    class Impostor(DidEcu):
        def answer(self, request: bytes) -> bytes | None:
            return kona().answer(request)

    profile = load_profile("hyundai_kona_ev")
    impostor = Impostor(0x7E4, 0x7ED, {})  # hears what is asked at 7E4, and answers as somebody else
    async with plugged([ENGINE, impostor], profile.polls, profile.dids) as (_, source, clock):
        assert await read_many(source, clock, 12) == {vss.SPEED: 30.0}
        assert source.counters()["stray"] > 0


async def test_a_quiet_restart_in_the_middle_misleads_nobody() -> None:
    async with plugged([ENGINE, HEATER, BATTERY, TYRES], POLLS, DIDS) as (dongle, source, clock):
        for _ in range(6):
            await read_many(source, clock, 3)
            dongle.chip._reset()
        assert (await read_many(source, clock, 20)).items() >= WANTED.items()
        counters = source.counters()
        assert counters["guard_refused"] == 0
        assert source._adapter.dialogue.resets > 0


async def test_a_pid_that_a_profile_asks_of_one_ecu_is_asked_of_that_one() -> None:
    others = Ecu(lambda: {vss.SPEED: 31.0, vss.COOLANT_TEMPERATURE: 80.0}, reply_id=0x7E9)
    polls = [Poll(pid=0x0D, period_s=0.5), Poll(pid=0x05, ecu=0x7E1, period_s=0.5)]
    async with plugged([ENGINE, others], polls, []) as (_, source, clock):
        assert await read_many(source, clock, 6) == {vss.SPEED: 30.0, vss.COOLANT_TEMPERATURE: 80.0}
        assert source.counters()["not_addressed"] == 0
