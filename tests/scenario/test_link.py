"""Records over real TLS to either broker and the real receiver, while everything in between breaks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from agent.core.config import Config, Device, Link, Store
from agent.core.events import Collision, Event, RoadImpact
from agent.core.ports import Notice
from agent.link.mqtt import connect
from agent.link.uplink import Uplink
from agent.store.recorder import Recorder
from drivers.clock import SystemClock
from drivers.keystore import FileKeystore
from fleet.receiver.intake import Outcome
from simulators.cloud import Cloud

_WAIT_S = 8.0  # only ever used up by a failure


class Car:
    """A recorder and an uplink, as the daemon wires them."""

    def __init__(self, recorder: Recorder, uplink: Uplink, notices: list[Notice]) -> None:
        self.recorder = recorder
        self.uplink = uplink
        self.notices = notices

    async def record(self, count: int, *, event: Event | None = None) -> None:
        for number in range(count):
            self.recorder.put(event or RoadImpact(t_ns=number, peak_mps2=20.0, speed_kmh=float(number)))
        await self.recorder.flush()

    async def deliver(self) -> None:
        assert await self.uplink.drain(_WAIT_S) == 0, [notice.text for notice in self.notices]


@asynccontextmanager
async def _car(
    cloud: Cloud, directory: Path, link: Link, name: str = "car1", *, registered: bool = True
) -> AsyncIterator[Car]:
    key = directory / f"{name}.pem"
    keystore = FileKeystore.open(key, name) if key.exists() else FileKeystore.create(key, name)
    if registered:
        cloud.register(name, keystore.public_key)
    config = Config(
        device=Device(id=name), store=Store(directory=str(directory / name)), link=link, trust=cloud.trust()
    )
    clock = SystemClock()
    notices: list[Notice] = []
    recorder = await Recorder.open(
        config,
        keystore,
        clock,
        on_durable=lambda: uplink.wake(),  # noqa: PLW0108 - they need each other
    )
    uplink = Uplink(
        link,
        recorder.outbox,
        device=name,
        receipt_key=_read(config.trust.insurer_receipt_key),
        clock=clock,
        notify=notices.append,
        uniform=lambda: 0.0,
    )
    recording = asyncio.create_task(recorder.run())
    sending = asyncio.create_task(uplink.run())
    try:
        yield Car(recorder, uplink, notices)
    finally:
        sending.cancel()
        await asyncio.wait([sending])
        recorder.close()
        await recording


def _link(cloud: Cloud, name: str = "car1") -> Link:
    return msgspec.structs.replace(
        cloud.link_config(name), backoff_longest_s=0.2, ack_timeout_s=1.0, in_flight_max=4, receipt_timeout_s=2.0
    )


async def test_everything_arrives_once(cloud: Cloud, tmp_path: Path) -> None:
    async with _car(cloud, tmp_path, _link(cloud)) as car:
        await car.record(60)
        await car.deliver()
    assert cloud.counts().verified == 60
    assert car.uplink.counters()["published"] == 60


async def test_a_cut_in_mid_drain_loses_nothing(cloud: Cloud, tmp_path: Path) -> None:
    async with _car(cloud, tmp_path, _link(cloud)) as car:
        await car.record(150)
        assert await cloud.until(lambda: cloud.outcomes["accepted"] >= 10, timeout_s=_WAIT_S)
        cloud.cut()
        assert cloud.counts().verified < 150
        await car.record(20)
        cloud.restore()
        await car.deliver()
    assert cloud.counts().verified == 170
    assert cloud.counts().dead == 0
    assert car.uplink.counters()["cuts"] >= 1


async def test_a_hung_network_in_mid_drain_loses_nothing(cloud: Cloud, tmp_path: Path) -> None:
    link = msgspec.structs.replace(_link(cloud), ack_timeout_s=0.3)
    async with _car(cloud, tmp_path, link) as car:
        await car.record(120)
        assert await cloud.until(lambda: cloud.outcomes["accepted"] >= 10, timeout_s=_WAIT_S)
        cloud.network.hang()
        await _until_told(car, "cut off")
        cloud.restore()
        await car.deliver()
    assert cloud.counts().verified == 120


async def test_a_broker_restart_in_mid_drain_loses_nothing(cloud: Cloud, tmp_path: Path) -> None:
    async with _car(cloud, tmp_path, _link(cloud)) as car:
        await car.record(150)
        assert await cloud.until(lambda: cloud.outcomes["accepted"] >= 10, timeout_s=_WAIT_S)
        await cloud.restart_broker()
        await car.deliver()
    assert cloud.counts().verified == 150
    assert cloud.counts().dead == 0


async def test_an_agent_restarted_with_a_backlog_delivers_it(cloud: Cloud, tmp_path: Path) -> None:
    cloud.cut()
    for _ in range(2):
        async with _car(cloud, tmp_path, _link(cloud)) as car:
            await car.record(40)
    assert cloud.counts().received == 0
    cloud.restore()
    async with _car(cloud, tmp_path, _link(cloud)) as car:
        await car.record(5)
        await car.deliver()
    assert cloud.counts().verified == 85


async def test_a_crash_overtakes_the_backlog(cloud: Cloud, tmp_path: Path) -> None:
    arrived: list[Outcome] = []
    cloud._on_outcome = arrived.append
    cloud.cut()
    async with _car(cloud, tmp_path, _link(cloud)) as car:
        await car.record(120)
        await car.record(1, event=_collision())  # its receipt comes before those of all its predecessors
        cloud.restore()
        await car.deliver()
    assert arrived[0].event == _collision()
    assert cloud.counts().verified == 121


async def test_a_refused_device_keeps_its_records(cloud: Cloud, tmp_path: Path) -> None:
    foreign = _link(cloud, "car2")  # car1 with the certificate of car2: the broker answers 0x87
    async with _car(cloud, tmp_path, foreign) as car:
        await car.record(3)
        await _until_told(car, "record refused: outrider/v1/car1/record: broker answered 0x87 Not authorized")
        assert await car.uplink.drain(0.1) == 3
    assert car.uplink.counters().get("published", 0) == 0
    async with _car(cloud, tmp_path, _link(cloud)) as car:
        await car.deliver()
    assert cloud.counts().verified == 3


async def test_duplicates_are_counted_and_stored_once(cloud: Cloud, tmp_path: Path) -> None:
    link = _link(cloud)
    cloud.cut()
    async with _car(cloud, tmp_path, link) as car:
        await car.record(5)
        cloud.restore()
        records = await car.recorder.outbox.peek(None, 10)
        async with connect(link, client_id="car1-again", subscriptions=[]) as session:
            for record in (*records, *records):
                await session.publish("outrider/v1/car1/record", record.payload)
        await car.deliver()
        assert await cloud.until(lambda: cloud.outcomes.total() >= 10, timeout_s=_WAIT_S)
        assert cloud.outcomes["duplicate"] >= 5
    assert cloud.counts().received == cloud.counts().verified == cloud.outcomes["accepted"] == 5


async def test_poison_does_not_stop_the_rest(cloud: Cloud, tmp_path: Path) -> None:
    link = _link(cloud)
    async with _car(cloud, tmp_path, link) as car:
        async with connect(link, client_id="car1-poison", subscriptions=[]) as session:
            await session.publish("outrider/v1/car1/record", b"not an envelope")
        await car.record(5)
        await car.deliver()
    assert cloud.counts().verified == 5
    assert cloud.counts().dead == 1


async def test_a_strangers_records_get_no_receipt(cloud: Cloud, tmp_path: Path) -> None:
    async with _car(cloud, tmp_path, _link(cloud), registered=False) as car:
        await car.record(1)
        assert await cloud.until(lambda: cloud.outcomes["dead"] == 1, timeout_s=_WAIT_S)
        assert await car.uplink.drain(0.1) == 1
    assert cloud.store.dead_letters() == [("car1", "the device is not registered", 1)]


async def test_two_cars_get_their_own_receipts(cloud: Cloud, tmp_path: Path) -> None:
    async with (
        _car(cloud, tmp_path, _link(cloud, "car1"), "car1") as first,
        _car(cloud, tmp_path, _link(cloud, "car2"), "car2") as second,
    ):
        await first.record(20)
        await second.record(30)
        await first.deliver()
        await second.deliver()
        assert first.uplink.counters()["received"] == 20
        assert second.uplink.counters()["received"] == 30


def _read(path: str) -> bytes:
    return Path(path).read_bytes()


def _collision() -> Collision:
    return Collision(t_ns=1, delta_v_kmh=30.0, duration_ms=90.0, peak_mps2=300.0, stationary=False)


async def _until_told(car: Car, text: str) -> None:
    async with asyncio.timeout(_WAIT_S):
        while not any(text in notice.text for notice in car.notices):  # noqa: ASYNC110 - plain data
            await asyncio.sleep(0.005)
