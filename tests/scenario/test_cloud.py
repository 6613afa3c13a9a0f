import asyncio
import socket
from functools import partial
from pathlib import Path

import pytest

import simulators.cloud
from agent.core.errors import InputError
from agent.core.events import Collision, TripEnded
from agent.core.link_ports import Message
from agent.link.mqtt import connect
from simulators.claims_pages import render
from simulators.cloud import BrokerKind, Cloud
from simulators.mosquitto import BrokerFailed, find_mosquitto
from simulators.serve_cloud import Office
from tests.scenario.delivery import open_car, quick_link


@pytest.mark.parametrize("kind", ["mosquitto", "embedded"])
async def test_a_port_in_use_is_one_clear_error(kind: BrokerKind, tmp_path: Path) -> None:
    if kind == "mosquitto" and find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        cloud = Cloud(tmp_path, broker=kind, port=taken.getsockname()[1])
        with pytest.raises(BrokerFailed, match="in use"):
            await cloud.start()


async def test_without_mosquitto_the_embedded_broker_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulators.cloud, "find_mosquitto", lambda: None)
    async with Cloud(tmp_path / "one") as cloud:
        assert cloud.broker_kind == "embedded"
    with pytest.raises(BrokerFailed, match="not installed"):
        Cloud(tmp_path / "two", broker="mosquitto")


async def test_names_that_topics_need_are_refused(cloud: Cloud) -> None:
    for name in ("group", "insurer", "operator", "a/b", "+"):
        with pytest.raises(InputError, match="device"):
            cloud.register(name, bytes(32))


async def test_a_pushed_config_waits_over_a_restart(cloud: Cloud) -> None:
    topic = "outrider/v1/car1/config"
    async with connect(cloud.operator_link(), client_id="operator") as operator:
        await operator.publish(topic, b"bundle", retain=True)
    await cloud.restart_broker()
    async with connect(cloud.link_config("car1"), client_id="car1", subscriptions=[topic]) as car, asyncio.timeout(2):
        async for message in car.messages():
            assert message == Message(topic, b"bundle")
            break


async def test_the_operator_reaches_the_broker_while_cars_are_cut_off(cloud: Cloud) -> None:
    cloud.cut()
    async with connect(cloud.operator_link(), client_id="operator") as operator:
        await operator.publish("outrider/v1/group/fleet/config", b"bundle", retain=True)


async def test_the_office_opens_a_ticket_and_prices_a_trip(tmp_path: Path) -> None:
    said: list[str] = []
    async with Cloud(tmp_path / "cloud", broker="embedded") as cloud:
        office = Office(said.append)
        desk = cloud.open_desk(tell=office.tell_ticket, on_case=office.tell_case)
        cloud.on_outcome = partial(office.take, desk)
        link = quick_link(cloud)
        async with open_car(cloud, tmp_path, link) as car:
            crash = Collision(
                t_ns=1, delta_v_kmh=30.0, duration_ms=90.0, peak_mps2=300.0, stationary=False, severity="severe"
            )
            trip = TripEnded(t_ns=2, started_ns=0, duration_s=600.0, distance_m=10_000.0, speed_max_kmh=60.0)
            for event in (crash, trip):
                await car.record(1, event=event)
            await car.deliver()
        desk.desk.step()
        later = cloud.open_desk()
        later.desk.catch_up()
        assert [ticket.number for ticket in later.desk.claims.tickets] == [1]
        page = render(cloud.store, later.desk.claims, "ticket-1.en.html")
        assert page is not None
        assert "delta-v 30 km/h" in page
    assert "ticket 1 collision, severity 3, open: Emergency services and a case handler were called." in said
    assert "car1: 10.0 km, premium factor 0.998" in said


async def test_counts_outlive_the_cloud(tmp_path: Path) -> None:
    async with Cloud(tmp_path, broker="embedded") as cloud:
        pass
    assert cloud.counts().received == 0
    await cloud.stop()
