"""Records over real TLS to either broker and the real receiver, while everything in between breaks."""

from pathlib import Path

import msgspec

from agent.core.events import Collision
from agent.link.mqtt import connect
from fleet.receiver.intake import Outcome
from simulators.cloud import Cloud
from tests.scenario.delivery import WAIT_S, open_car, quick_link


async def test_everything_arrives_once(cloud: Cloud, tmp_path: Path) -> None:
    async with open_car(cloud, tmp_path, quick_link(cloud)) as car:
        await car.record(60)
        await car.deliver()
    assert cloud.counts().verified == 60
    assert car.uplink.counters()["published"] == 60


async def test_a_cut_in_mid_drain_loses_nothing(cloud: Cloud, tmp_path: Path) -> None:
    async with open_car(cloud, tmp_path, quick_link(cloud)) as car:
        await car.record(150)
        assert await cloud.until(lambda: cloud.outcomes["accepted"] >= 10, timeout_s=WAIT_S)
        cloud.cut()
        assert cloud.counts().verified < 150
        await car.record(20)
        cloud.restore()
        await car.deliver()
    assert cloud.counts().verified == 170
    assert cloud.counts().dead == 0
    assert car.uplink.counters()["cuts"] >= 1


async def test_a_hung_network_in_mid_drain_loses_nothing(cloud: Cloud, tmp_path: Path) -> None:
    link = msgspec.structs.replace(quick_link(cloud), ack_timeout_s=0.3)
    async with open_car(cloud, tmp_path, link) as car:
        await car.record(120)
        assert await cloud.until(lambda: cloud.outcomes["accepted"] >= 10, timeout_s=WAIT_S)
        cloud.network.hang()
        await car.until_told("cut off")
        cloud.restore()
        await car.deliver()
    assert cloud.counts().verified == 120


async def test_a_broker_restart_in_mid_drain_loses_nothing(cloud: Cloud, tmp_path: Path) -> None:
    async with open_car(cloud, tmp_path, quick_link(cloud)) as car:
        await car.record(150)
        assert await cloud.until(lambda: cloud.outcomes["accepted"] >= 10, timeout_s=WAIT_S)
        await cloud.restart_broker()
        await car.deliver()
    assert cloud.counts().verified == 150
    assert cloud.counts().dead == 0


async def test_an_agent_restarted_with_a_backlog_delivers_it(cloud: Cloud, tmp_path: Path) -> None:
    cloud.cut()
    for _ in range(2):
        async with open_car(cloud, tmp_path, quick_link(cloud)) as car:
            await car.record(40)
    assert cloud.counts().received == 0
    cloud.restore()
    async with open_car(cloud, tmp_path, quick_link(cloud)) as car:
        await car.record(5)
        await car.deliver()
    assert cloud.counts().verified == 85


async def test_a_crash_overtakes_the_backlog(cloud: Cloud, tmp_path: Path) -> None:
    arrived: list[Outcome] = []
    cloud.on_outcome = arrived.append
    cloud.cut()
    async with open_car(cloud, tmp_path, quick_link(cloud)) as car:
        await car.record(120)
        await car.record(1, event=_collision())  # its receipt comes before those of all its predecessors
        cloud.restore()
        await car.deliver()
    assert arrived[0].event == _collision()
    assert cloud.counts().verified == 121


async def test_a_refused_device_keeps_its_records(cloud: Cloud, tmp_path: Path) -> None:
    foreign = quick_link(cloud, "car2")  # car1 with the certificate of car2: the broker answers 0x87
    async with open_car(cloud, tmp_path, foreign) as car:
        await car.record(3)
        await car.until_told("record refused: outrider/v1/car1/record: broker answered 0x87 Not authorized")
        assert await car.uplink.drain(0.1) == 3
    assert car.uplink.counters().get("published", 0) == 0
    async with open_car(cloud, tmp_path, quick_link(cloud)) as car:
        await car.deliver()
    assert cloud.counts().verified == 3


async def test_duplicates_are_counted_and_stored_once(cloud: Cloud, tmp_path: Path) -> None:
    link = quick_link(cloud)
    cloud.cut()
    async with open_car(cloud, tmp_path, link) as car:
        await car.record(5)
        cloud.restore()
        records = await car.recorder.outbox.peek(None, 10)
        async with connect(link, client_id="car1-again", subscriptions=[]) as session:
            for record in (*records, *records):
                await session.publish("outrider/v1/car1/record", record.payload)
        await car.deliver()
        assert await cloud.until(lambda: cloud.outcomes.total() >= 10, timeout_s=WAIT_S)
        assert cloud.outcomes["duplicate"] >= 5
    assert cloud.counts().received == cloud.counts().verified == cloud.outcomes["accepted"] == 5


async def test_poison_does_not_stop_the_rest(cloud: Cloud, tmp_path: Path) -> None:
    link = quick_link(cloud)
    async with open_car(cloud, tmp_path, link) as car:
        async with connect(link, client_id="car1-poison", subscriptions=[]) as session:
            await session.publish("outrider/v1/car1/record", b"not an envelope")
        await car.record(5)
        await car.deliver()
    assert cloud.counts().verified == 5
    assert cloud.counts().dead == 1


async def test_a_strangers_records_get_no_receipt(cloud: Cloud, tmp_path: Path) -> None:
    async with open_car(cloud, tmp_path, quick_link(cloud), registered=False) as car:
        await car.record(1)
        assert await cloud.until(lambda: cloud.outcomes["dead"] == 1, timeout_s=WAIT_S)
        assert await car.uplink.drain(0.1) == 1
    assert cloud.store.dead_letters() == [("car1", "the device is not registered", 1)]


async def test_two_cars_get_their_own_receipts(cloud: Cloud, tmp_path: Path) -> None:
    async with (
        open_car(cloud, tmp_path, quick_link(cloud, "car1"), "car1") as first,
        open_car(cloud, tmp_path, quick_link(cloud, "car2"), "car2") as second,
    ):
        await first.record(20)
        await second.record(30)
        await first.deliver()
        await second.deliver()
        assert first.uplink.counters()["received"] == 20
        assert second.uplink.counters()["received"] == 30


def _collision() -> Collision:
    return Collision(t_ns=1, delta_v_kmh=30.0, duration_ms=90.0, peak_mps2=300.0, stationary=False)
