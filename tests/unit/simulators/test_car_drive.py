import asyncio
import contextlib

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from agent.core import vss
from agent.core.errors import EndOfSource, SourceLost
from agent.core.frames import FrameBatch, concatenate
from agent.core.ports import FrameSource, SampleSource
from agent.core.signals import Samples
from simulators.can import CarBus
from simulators.clock import ManualClock
from simulators.drive import CarDrive
from simulators.hardware import open_car, open_hardware
from simulators.windows import WINDOW_NS
from simulators.world import load_scenario, simulate
from simulators.world.frames import encode_drive
from simulators.world.scenario import Leg, Scenario

NS = 1_000_000_000
SHORT = Scenario(name="short", description="", duration_s=3, legs=[Leg(at_s=0.2, speed_kmh=30)])


class NoKey:
    device_id = "test"
    public_key = b""

    def sign(self, data: bytes) -> bytes:
        return data

    def agree(self, public_key: X25519PublicKey) -> bytes:
        return bytes(public_key.public_bytes_raw())


async def read_frames(source: FrameSource) -> list[FrameBatch]:
    batches = []
    await source.open()
    try:
        while True:
            batches.append(await source.read_batch())
    except EndOfSource:
        return batches


async def read_samples(source: SampleSource) -> list[Samples]:
    batches = []
    await source.open()
    try:
        while True:
            batches.append(await source.read_batch())
    except EndOfSource:
        return batches


@pytest.mark.parametrize(("interface", "imu_samples"), [("", 80), ("virtual", 4)])
async def test_every_frame_and_sample_arrives_once_at_its_time(interface: str, imu_samples: int) -> None:
    clock = ManualClock(start_ns=5_000_000_000)
    car = open_car(SHORT, 3, clock, pace=0, interface=interface)
    hardware = open_hardware(car, keystore=NoKey())
    (source,) = hardware.frames
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(read_frames(source))
        imu_reading, gnss_reading = (tasks.create_task(read_samples(sensor)) for sensor in hardware.samples)
        tasks.create_task(car.run())
    frames, imu, gnss = reading.result(), imu_reading.result(), gnss_reading.result()
    got, sent = concatenate(frames), encode_drive(car.drive)
    assert len(got) == len(sent) > 1000
    np.testing.assert_array_equal(got.data, sent.data)
    np.testing.assert_array_equal(got.keys(), sent.keys())
    assert np.abs(got.t_ns - sent.t_ns - 5_000_000_000).max() < 2000  # a float of seconds holds no single ns
    values = np.concatenate([batch.value for batch in imu]).reshape(-1, 6)
    np.testing.assert_array_equal(values[:, :3], car.drive.imu.acceleration)
    assert {len(batch) for batch in imu[1:]} == {imu_samples * 6}  # 400 Hz, six axes
    assert len(gnss) == 3 * 5 + 1
    assert gnss[-1].t_ns[0] == 8_000_000_000
    assert source.counters()["frames"] == len(sent)


async def test_no_batch_comes_before_its_time() -> None:
    clock = ManualClock()
    car = CarDrive(simulate(SHORT, 3), clock, pace=0)

    async def watch() -> int:
        count = 0
        try:
            while True:
                batch = await car.imu.read_batch()
                assert batch.t_ns[-1] <= clock.monotonic_ns() < batch.t_ns[0] + WINDOW_NS
                count += 1
        except EndOfSource:
            return count

    count, _ = await asyncio.gather(watch(), car.run())
    assert count == 1 + 3 * NS // WINDOW_NS


async def test_whatever_the_pace_the_same_batches_come_at_the_same_instants() -> None:
    async def listen(pace: float) -> list[tuple[str, int, int]]:
        clock = ManualClock()
        car = open_car(SHORT, 3, clock, pace=pace)
        heard: list[tuple[str, int, int]] = []

        async def hear(source: FrameSource | SampleSource) -> None:
            await source.open()
            with contextlib.suppress(EndOfSource):
                while batch := await source.read_batch():
                    heard.append((source.name, clock.monotonic_ns(), len(batch)))
            heard.append((source.name, clock.monotonic_ns(), 0))

        hardware = open_hardware(car, keystore=NoKey())
        sources: list[FrameSource | SampleSource] = [*hardware.frames, *hardware.samples]
        await asyncio.gather(car.run(), *map(hear, sources))
        return heard

    heard = await listen(0.0)
    assert heard == await listen(1000.0)
    assert heard[:2] == [("imu", 0, 6), ("gnss", 0, 6)]  # the first frame comes later
    assert [name for name, t_ns, _ in heard if t_ns == NS] == ["can", "imu", "gnss"]
    assert heard[-1] == ("can", 4 * NS, 0)


async def test_hooks_stop_the_car_at_their_instant() -> None:
    clock = ManualClock()
    car = CarDrive(simulate(SHORT, 3), clock, pace=0)
    seen: list[tuple[str, int]] = []

    def hook(name: str) -> None:
        async def note() -> None:
            seen.append((name, clock.monotonic_ns()))
            for _ in range(50):
                await asyncio.sleep(0)
            seen.append((name, clock.monotonic_ns()))

        car.at({"late": 2.0, "never": 99.0}.get(name, 1.005), note)

    for name in ("late", "first", "second", "never"):
        hook(name)
    await car.run()
    at = 1_005_000_000
    assert seen == [
        ("first", at),
        ("first", at),
        ("second", at),
        ("second", at),
        ("late", 2 * 10**9),
        ("late", 2 * 10**9),
    ]


async def test_a_failing_hook_ends_the_drive_and_its_sources() -> None:
    car = open_car(SHORT, 3, ManualClock(), pace=0, interface="virtual")
    (source,) = open_hardware(car, keystore=NoKey()).frames

    async def fail() -> None:
        raise SourceLost("the cloud is gone")

    car.at(1.0, fail)
    reading = asyncio.create_task(read_frames(source))
    with pytest.raises(SourceLost, match="the cloud is gone"):
        await car.run()
    assert len(concatenate(await reading)) > 300


async def test_the_drive_waits_for_its_listener() -> None:
    car = open_car(SHORT, 3, ManualClock(), pace=0, interface="virtual")
    hardware = open_hardware(car, keystore=NoKey())
    running = asyncio.create_task(car.run())
    for _ in range(100):
        await asyncio.sleep(0)
    assert car.bus is not None
    assert car.bus.sent == 0
    frames = await read_frames(hardware.frames[0])
    await running
    assert frames[0].t_ns[0] < 1_000_000


async def test_values_are_those_of_now() -> None:
    clock = ManualClock()
    car = CarDrive(simulate(load_scenario("healthy"), 1), clock)
    assert car.values()[vss.SPEED] == 0
    await clock.advance_to(20_000_000_000)
    assert car.values()[vss.SPEED] == pytest.approx(48, abs=4)


async def test_pace_is_checked() -> None:
    with pytest.raises(ValueError, match="pace"):
        CarDrive(simulate(SHORT, 1), ManualClock(), pace=-1)


def test_a_bus_that_is_not_there_is_source_lost() -> None:
    frames = encode_drive(simulate(SHORT, 1))
    with pytest.raises(SourceLost, match="no CAN bus at socketcan:nocan9"):
        CarBus(frames, interface="socketcan", channel="nocan9")
