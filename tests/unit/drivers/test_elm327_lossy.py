import pytest

from agent.core import vss
from agent.core.errors import SourceLost
from agent.proto.cut import harms_when_cut
from agent.proto.schedule import Poll
from drivers.elm327_serial import Elm327Source
from simulators.ecu import Ecu
from simulators.elm327 import Elm327Chip
from tests.unit.drivers.plugged_dongle import VALUES, plugged, read, read_many


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
