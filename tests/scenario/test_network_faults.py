"""Every fault of the road and of the broker: all delivered once in effect, none lost, the device's order kept.

Real mosquitto behind the simulated road for what a network does; the simulators' own broker for what a real one will
not do on demand. Real time, ten times as fast: timeouts, delays and rates are scaled alike.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec
import pytest

from agent.core.config import Link
from agent.link import mqtt
from simulators.broker import Broker
from simulators.broker_faults import AckFault, BrokerFaults
from simulators.cloud import BrokerKind, Cloud
from simulators.mosquitto import find_mosquitto
from simulators.network_conditions import CONDITIONS, Conditions
from tests.scenario.delivery import WAIT_S, Car, open_car
from tests.torture import offline

_RECORDS = 60


@asynccontextmanager
async def _site(directory: Path, kind: BrokerKind) -> AsyncIterator[Cloud]:
    if kind == "mosquitto" and find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    async with Cloud(directory / "cloud", broker=kind) as cloud:
        yield cloud


def _link(cloud: Cloud) -> Link:
    """The shipped timeouts, ten times as fast."""
    return msgspec.structs.replace(
        cloud.link_config("car1"), ack_timeout_s=1.5, receipt_timeout_s=6.0, backoff_longest_s=0.2, keep_alive_s=5
    )


def _check(cloud: Cloud, car: Car) -> None:
    """Everything arrived once, in the car's order, and no link of the chain is missing."""
    assert [event["event"]["speed_kmh"] for event in cloud.store.events("car1")] == list(range(car.recorded))
    counts = cloud.counts()
    assert (counts.verified, counts.received, counts.broken, counts.dead) == (car.recorded, car.recorded, 0, 0)


@pytest.mark.parametrize(
    "conditions",
    [
        pytest.param(Conditions(loss=0.2, delay_s=0.005, retransmit_s=0.02), id="loss 20 %"),
        pytest.param(Conditions(delay_s=0.2), id="delay 2 s"),
        pytest.param(Conditions(delay_s=0.03, rate_bps=96_000), id="9.6 kbit/s"),
        pytest.param(Conditions(reset_after_bytes=(6_000, 25_000)), id="reset in mid-packet"),
        pytest.param(
            Conditions(loss=0.1, retransmit_s=0.02, delay_s=0.05, reset_after_bytes=(6_000, 15_000)), id="all"
        ),
    ],
)
async def test_a_bad_road_loses_nothing(conditions: Conditions, tmp_path: Path) -> None:
    async with _site(tmp_path, "mosquitto") as cloud:
        cloud.network.set(conditions)
        async with open_car(cloud, tmp_path, _link(cloud)) as car:
            await car.record(_RECORDS)
            await car.deliver()
        _check(cloud, car)
        if conditions.reset_after_bytes is None:
            assert car.uplink.counters().get("cuts", 0) == 0  # slow is not dead
        else:
            assert cloud.network.resets >= 1


async def test_a_half_open_connection_is_given_up(tmp_path: Path) -> None:
    async with _site(tmp_path, "mosquitto") as cloud, open_car(cloud, tmp_path, _link(cloud)) as car:
        await car.record(_RECORDS)
        assert await cloud.until(lambda: cloud.outcomes["accepted"] >= 10, timeout_s=WAIT_S)
        assert cloud.network.strand() == 1
        await car.record(_RECORDS)
        await car.deliver()
        _check(cloud, car)
        assert cloud.network.connections == 2


@pytest.mark.parametrize("forget", [False, True], ids=["with its database", "without its database"])
async def test_a_broker_restart_loses_nothing(*, forget: bool, tmp_path: Path) -> None:
    async with _site(tmp_path, "mosquitto") as cloud, open_car(cloud, tmp_path, _link(cloud)) as car:
        await car.record(5 * _RECORDS)
        assert await cloud.until(lambda: cloud.outcomes["accepted"] >= 10, timeout_s=WAIT_S)
        await cloud.restart_broker(forget=forget)
        await car.deliver()
        _check(cloud, car)


@pytest.mark.parametrize(
    ("conditions", "reason"),
    [
        ("no_name", "name not found"),
        ("no_resolver", "no answer from the resolver within"),
        ("portal", "a captive portal answers: HTTP/1.1 302 Found"),
        ("hung", "no answer within"),
        ("cut", "onnection reset"),
    ],
)
async def test_an_outage_has_its_own_name_and_ends(conditions: str, reason: str, tmp_path: Path) -> None:
    async with _site(tmp_path, "embedded") as cloud:
        cloud.network.set(CONDITIONS[conditions])
        connect = partial(mqtt.connect, resolve=cloud.network.resolve)
        link = msgspec.structs.replace(_link(cloud), host="localhost", ack_timeout_s=0.5)
        async with open_car(cloud, tmp_path, link, connect=connect) as car:
            await car.record(5)
            await car.until_told(reason)
            cloud.network.set(CONDITIONS["open"])
            await car.deliver()
            _check(cloud, car)


async def test_an_expired_certificate_keeps_the_records_until_there_is_a_new_one(tmp_path: Path) -> None:
    async with _site(tmp_path, "mosquitto") as cloud:
        expired = cloud.authority.issue_client("car1", expired=True)
        link = msgspec.structs.replace(_link(cloud), certificate=str(expired.certificate), key=str(expired.key))
        async with open_car(cloud, tmp_path, link) as car:
            await car.record(5)
            await car.until_told("certificate expired")
            assert await car.uplink.drain(0.1) == 5
        async with open_car(cloud, tmp_path, _link(cloud)) as car:
            await car.deliver()
        assert cloud.counts().verified == 5


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(BrokerFaults(acks=[AckFault(reason=0x87, most=12)]), id="PUBACK 0x87"),
        pytest.param(BrokerFaults(acks=[AckFault(reason=0x97, share=0.3, most=10)]), id="PUBACK 0x97"),
        pytest.param(BrokerFaults(acks=[AckFault(reason=0x97, taken=True, share=0.3, most=10)]), id="0x97, yet taken"),
        pytest.param(BrokerFaults(acks=[AckFault(reason=0x99, share=0.3, most=10)]), id="PUBACK 0x99"),
        pytest.param(BrokerFaults(acks=[AckFault(reason=0x10, most=20), AckFault(late_s=0.01)]), id="PUBACK 0x10"),
        pytest.param(BrokerFaults(acks=[AckFault(missing=True, share=0.1, most=3)]), id="PUBACK missing"),
        pytest.param(BrokerFaults(acks=[AckFault(late_s=0.2, share=0.2)]), id="PUBACK late"),
        pytest.param(BrokerFaults(duplicated=0.3), id="duplicates"),
        pytest.param(BrokerFaults(reordered=8), id="reordered"),
        pytest.param(BrokerFaults(duplicated=0.3, reordered=8, receive_maximum=2), id="small Receive Maximum"),
        pytest.param(BrokerFaults(disconnect_after=20), id="DISCONNECT every 20"),
    ],
)
async def test_a_broker_that_misbehaves_loses_nothing(faults: BrokerFaults, tmp_path: Path) -> None:
    async with _site(tmp_path, "embedded") as cloud:
        assert isinstance(cloud.broker, Broker)
        cloud.broker.misbehave(msgspec.structs.replace(faults, user="car1"), seed=3)
        link = msgspec.structs.replace(_link(cloud), receipt_timeout_s=1.0)
        async with open_car(cloud, tmp_path, link) as car:
            await car.record(_RECORDS)
            await car.deliver()
        _check(cloud, car)
        assert cloud.broker.counts["receive_maximum_exceeded"] == 0
        if faults.duplicated:
            assert cloud.outcomes["duplicate"] > 0


async def test_a_broker_without_memory_and_a_refused_connect_lose_nothing(tmp_path: Path) -> None:
    async with _site(tmp_path, "embedded") as cloud, open_car(cloud, tmp_path, _link(cloud)) as car:
        assert isinstance(cloud.broker, Broker)
        await car.record(_RECORDS)
        assert await cloud.until(lambda: cloud.outcomes["accepted"] >= 10, timeout_s=WAIT_S)
        cloud.broker.misbehave(BrokerFaults(connack=0x89, user="car1"))
        await cloud.restart_broker(forget=True)
        await car.until_told("cut off")
        async with asyncio.timeout(WAIT_S):
            while not car.uplink.counters().get("failed_tries"):  # noqa: ASYNC110 - plain data
                await asyncio.sleep(0.01)
        cloud.broker.misbehave()
        await car.deliver()
        _check(cloud, car)


async def test_the_brokers_keep_alive_is_kept_to(tmp_path: Path) -> None:
    async with _site(tmp_path, "embedded") as cloud:
        assert isinstance(cloud.broker, Broker)
        broker = cloud.broker
        broker.misbehave(BrokerFaults(keep_alive_s=1, user="car1"))
        async with open_car(cloud, tmp_path, _link(cloud)) as car:
            async with asyncio.timeout(WAIT_S):
                while broker.counts["pings"] < 2:  # noqa: ASYNC110 - plain data
                    await asyncio.sleep(0.01)
            assert car.uplink.counters().get("cuts", 0) == 0


async def test_three_days_offline_lose_nothing_and_memory_stays_flat(tmp_path: Path) -> None:
    """The small version of `./run torture network`, which has 100,000 events."""
    result = await offline.run(tmp_path, events=1000, hours=72.0)
    assert result.is_sound, result
    assert result.memory_most_mb - result.memory_start_mb < 40
