import asyncio

from agent.core import vss
from agent.core.config import Dongle as DongleConfig
from agent.decode.profile import load_profile
from drivers.elm327_serial import Elm327Source
from simulators.clock import ManualClock
from simulators.dongle import Dongle
from simulators.ecu import Ecu

PACK = "Vehicle.Powertrain.TractionBattery"


def answers() -> dict[bytes, bytes]:
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
    return {
        bytes([0x22]) + did.to_bytes(2, "big"): bytes([0x62]) + did.to_bytes(2, "big") + data
        for did, data in pages.items()
    }


class BatteryManagement:
    """Answers 22 0101 to 22 0105 as the public notes of the Kona say."""

    reply_id = 0x7EC

    def answer(self, request: bytes) -> bytes | None:
        return answers().get(request)


async def test_every_cell_of_a_kona_comes_over_the_dongle() -> None:
    profile = load_profile("hyundai_kona_ev")
    dongle = Dongle([Ecu(lambda: {vss.SPEED: 30.0}), BatteryManagement()])
    await dongle.start()
    clock = ManualClock()
    config = DongleConfig(port=dongle.port, deadline_s=0.2)
    source = Elm327Source(config, clock, polls=profile.polls, dids=profile.dids)
    await source.open()
    seen: dict[str, float] = {}
    for _ in range(12):
        task = asyncio.create_task(source.read_batch())
        await asyncio.sleep(0)
        while not task.done():
            await clock.advance(0.1)
        batch = await task
        seen |= {source.specs[n].path: float(v) for n, v in zip(batch.signal, batch.value, strict=True)}
    await source.close()
    await dongle.close()
    assert [round(seen[vss.cell_voltage(n)], 2) for n in (0, 31, 32, 95, 97)] == [3.6, 3.62, 3.6, 3.62, 3.7]
    assert seen[vss.SPEED] == 30.0
    assert seen[vss.STATE_OF_CHARGE] == 68.0
    assert seen[vss.PACK_CURRENT] == 12.5
    assert {request[0] for request in dongle.chip.requests} <= {0x01, 0x03, 0x07, 0x09, 0x0A, 0x22}
