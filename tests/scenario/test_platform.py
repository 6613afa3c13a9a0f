"""Towards a GB/T 32960 platform over real TCP: live data, an outage, an alarm, and a whole drive through the app."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent import app
from agent.core import vss
from agent.core.config import Config, Consent, Device, Platform, Store, Trust, Vehicle, Voice
from agent.core.errors import ConfigError
from agent.core.events import BatteryAlarm
from agent.core.keys import public_pem
from agent.link.platform import PlatformLink
from agent.platform import AlarmBoard, NationalPlatform
from agent.privacy.agreed import Agreed
from agent.store.spool import Spool
from drivers.keystore import FileKeystore
from simulators.clock import ManualClock
from simulators.hardware import PROFILE, open_car, open_hardware
from simulators.platform import Arrived, Manners, PlatformServer
from simulators.world import load_scenario
from tests.unit.store.kit import KEYS

NS = 1_000_000_000
VEHICLE = Vehicle(vin="LTESTVAN000000001", propulsion=["electric"])
VALUES = {vss.SPEED: 40.0, vss.PACK_VOLTAGE: 350.0, vss.PACK_CURRENT: -20.0, vss.STATE_OF_CHARGE: 60.0}


class Car:
    """A link on a manual clock, and what the car tells it."""

    def __init__(self, link: PlatformLink, spool: Spool, clock: ManualClock, board: AlarmBoard) -> None:
        self.link, self.spool, self.clock, self.board = link, spool, clock, board
        self.agreed = True

    async def drive(self, seconds: int) -> None:
        for _ in range(seconds):
            await self.clock.advance_to(self.clock.monotonic_ns() + NS)


@asynccontextmanager
async def car(folder: Path, platform: PlatformServer, **settings: float) -> AsyncIterator[Car]:
    clock, board = ManualClock(), AlarmBoard()
    spool = await Spool.open(folder, KEYS.device, rows_max=1000)
    config = Platform(host="127.0.0.1", port=platform.port, **settings)  # type: ignore[arg-type]  # numbers only
    link = PlatformLink(
        config,
        VEHICLE,
        spool,
        clock,
        values=lambda: VALUES,
        flags=board.flags,
        uniform=lambda: 0.1,
        allowed=lambda: one.agreed,
    )
    one = Car(link, spool, clock, board)
    running = asyncio.create_task(link.run())
    try:
        yield one
    finally:
        running.cancel()
        await asyncio.wait({running})
        await spool.close()


def seconds_of(arrived: list[Arrived]) -> list[int]:
    """Second of the day of each."""
    return [one.time[3] * 3600 + one.time[4] * 60 + one.time[5] for one in arrived]


def has(platform: PlatformServer, count: int) -> Callable[[], bool]:
    return lambda: len(platform.arrived) >= count


@pytest.mark.parametrize("edition", [2016, 2025])
@pytest.mark.parametrize("manners", [Manners(), Manners(whole_body=True), Manners(refuse_logins=2)])
async def test_it_is_told_at_the_period(tmp_path: Path, edition: int, manners: Manners) -> None:
    async with (
        PlatformServer(Manners(**{name: getattr(manners, name) for name in manners.__slots__})) as platform,
        car(tmp_path, platform, edition=edition, period_s=10.0) as one,
    ):
        for count in range(1, 11):
            await one.drive(1 if count == 1 else 10)
            assert await platform.until(has(platform, count))
        times = seconds_of(platform.arrived)
        assert [time - times[0] for time in times] == list(range(0, 100, 10))
        assert {(a.edition, a.vin, a.reissue) for a in platform.arrived} == {(edition, VEHICLE.vin, False)}
        assert platform.broken == []


async def test_what_an_outage_missed_is_reissued_once(tmp_path: Path) -> None:
    async with PlatformServer() as platform, car(tmp_path, platform, period_s=1.0) as one:
        await one.drive(5)
        assert await platform.until(has(platform, 5))
        await platform.cut()
        await one.drive(300)
        await platform.listen()
        await one.drive(5)
        assert await platform.until(has(platform, 310))
        times = seconds_of(platform.arrived)
        assert sorted(times) == list(range(times[0], times[0] + 310))
        assert sum(a.reissue for a in platform.arrived) >= 290
        assert platform.broken == []
        assert await _settles(one.spool)


async def _settles(spool: Spool) -> bool:
    """Whether the spool becomes empty as the answers come in."""
    async with asyncio.timeout(20):
        while await spool.count():  # noqa: ASYNC110  # each look goes to the disk
            await asyncio.sleep(0)
    return True


async def test_a_grave_alarm_is_told_every_second_around_it(tmp_path: Path) -> None:
    async with PlatformServer() as platform, car(tmp_path, platform, period_s=30.0) as one:
        await one.drive(45)
        alarm = BatteryAlarm(t_ns=0, alarm="over_temperature", level=3, value=61.0, limit=60.0, unit="Celsius", cell=4)
        one.board.on_event(alarm)
        await one.drive(70)
        assert await platform.until(has(platform, 62))
        times = seconds_of(platform.arrived)
        at = times[0] + 45  # the second in which the alarm was first seen
        assert set(range(at - 29, at + 31)) <= set(times)
        alarms = {when: a.bodies[7][1:5] for when, a in zip(times, platform.arrived, strict=True)}
        assert alarms[at - 1] == bytes(4)
        assert alarms[at] == (1 << 1).to_bytes(4, "big")


async def test_data_that_is_refused_comes_again_and_a_mute_platform_is_believed(tmp_path: Path) -> None:
    async with (
        PlatformServer(Manners(answers_data=False)) as platform,
        car(tmp_path, platform, period_s=1.0, answer_s=1.0) as one,
    ):
        await one.drive(3)
        assert await platform.until(has(platform, 3))
        async with asyncio.timeout(10):
            while one.link.counters()["settled"] < 3:  # noqa: ASYNC110  # by its own clock, a second after the last
                await asyncio.sleep(0.01)
        assert len(platform.arrived) == 3


async def test_a_drive_through_the_app_reaches_the_platform_whole(tmp_path: Path) -> None:
    clock = ManualClock()
    keystore = FileKeystore.create(tmp_path / "device.pem", "car-1")
    insurer = tmp_path / "insurer.pem"
    insurer.write_bytes(public_pem(KEYS.insurer.public_key()))
    async with PlatformServer() as platform:
        config = Config(
            profile=PROFILE,
            device=Device(id="car-1", key=str(tmp_path / "device.pem")),
            vehicle=VEHICLE,
            voice=Voice(enabled=False),
            store=Store(directory=str(tmp_path / "data")),
            trust=Trust(insurer_encryption_key=str(insurer)),
            consent=Consent(purposes=["safety"]),
            platform=Platform(host="127.0.0.1", port=platform.port, edition=2025, period_s=5.0),
        )
        drive = open_car(load_scenario("battery_hot"), 7, clock, pace=0)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(app.run(config, open_hardware(drive, keystore=keystore), clock))
            await drive.run()
        spool = await Spool.open(tmp_path / "data", keystore, rows_max=100_000)
        waiting = await spool.count()
        await spool.close()
        assert platform.broken == []
        assert len(platform.arrived) + waiting >= drive.drive.duration_ns / NS / 5 - 1
        assert all(5 not in one.bodies for one in platform.arrived)  # the position was not agreed to
        assert {1, 6, 7, 8} <= platform.arrived[-1].bodies.keys()


async def test_it_is_opened_only_where_config_names_a_platform_and_a_vin(tmp_path: Path) -> None:
    async def opened(config: Config) -> NationalPlatform | None:
        agreed = Agreed(frozenset({"safety"}))
        return await NationalPlatform.open(
            config, KEYS.device, ManualClock(), values=dict, uniform=lambda: 0.0, agreed=lambda: agreed
        )

    assert await opened(Config(vehicle=VEHICLE, store=Store(directory=str(tmp_path)))) is None
    with pytest.raises(ConfigError, match=r"vehicle\.vin"):
        await opened(Config(platform=Platform(host="127.0.0.1", port=9)))


async def test_consent_that_is_taken_back_ends_the_connection_and_empties_what_waits(tmp_path: Path) -> None:
    async with PlatformServer() as platform, car(tmp_path, platform, period_s=1.0) as one:
        await one.drive(3)
        assert await platform.until(has(platform, 3))
        one.agreed = False
        await one.drive(3)
        one.agreed = True
        await one.drive(2)
        assert await platform.until(has(platform, 5))
        times = [time - seconds_of(platform.arrived)[0] for time in seconds_of(platform.arrived)]
        assert times == [0, 1, 2, 6, 7]
