"""The embedded broker's misbehaviour, as the agent's own client sees it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from agent.core.config import Link
from agent.core.errors import LinkDown, PublishRefused
from agent.core.link_ports import Session
from agent.link.mqtt import connect
from simulators.access import RULES
from simulators.broker import Broker
from simulators.broker_faults import AckFault, BrokerFaults, Mischief
from simulators.pki import Authority

_RECORD = "outrider/v1/car1/record"


@dataclass(frozen=True)
class Site:
    authority: Authority
    broker: Broker

    def link(self, name: str, *, ack_timeout_s: float = 2.0, in_flight_max: int = 16) -> Link:
        identity = self.authority.issue_client(name)
        return Link(
            host="127.0.0.1",
            port=self.broker.port,
            ca=str(self.authority.certificate),
            certificate=str(identity.certificate),
            key=str(identity.key),
            ack_timeout_s=ack_timeout_s,
            in_flight_max=in_flight_max,
        )


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    authority = Authority(tmp_path)
    broker = Broker(authority=authority.certificate, identity=authority.issue_server(), rules=RULES)
    await broker.start()
    yield Site(authority, broker)
    await broker.stop()


async def _take(session: Session, count: int) -> list[bytes]:
    taken: list[bytes] = []
    async with asyncio.timeout(2):
        async for message in session.messages():
            taken.append(message.payload)
            if len(taken) == count:
                break
    return taken


async def _publish_all(car: Session, count: int) -> None:
    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            tasks.create_task(car.publish(_RECORD, b"%d" % number))


@pytest.mark.parametrize(("code", "text"), [(0x87, "Not authorized"), (0x97, "Quota exceeded"), (0x99, "Payload")])
async def test_a_refusal_on_demand_refuses_once_and_delivers_nothing(site: Site, code: int, text: str) -> None:
    site.broker.misbehave(BrokerFaults(acks=[AckFault(reason=code, most=1)]))
    async with (
        connect(site.link("insurer"), client_id="insurer", subscriptions=["outrider/v1/+/record"]) as insurer,
        connect(site.link("car1"), client_id="car1") as car,
    ):
        with pytest.raises(PublishRefused, match=f"0x{code:02X} {text}"):
            await car.publish(_RECORD, b"refused")
        await car.publish(_RECORD, b"taken")
        assert await _take(insurer, 1) == [b"taken"]


async def test_no_matching_subscribers_is_a_success(site: Site) -> None:
    site.broker.misbehave(BrokerFaults(acks=[AckFault(reason=0x10, taken=False)]))
    async with connect(site.link("car1"), client_id="car1") as car:
        await car.publish(_RECORD, b"to nobody")


async def test_a_missing_puback_ends_the_connection_and_a_late_one_does_not(site: Site) -> None:
    site.broker.misbehave(BrokerFaults(acks=[AckFault(late_s=0.2, most=1), AckFault(missing=True, most=1)]))
    async with connect(site.link("car1", ack_timeout_s=0.5), client_id="car1") as car:
        await car.publish(_RECORD, b"late")
        with pytest.raises(LinkDown, match="no PUBACK"):
            await car.publish(_RECORD, b"never")


async def test_deliveries_come_twice_and_in_another_order(site: Site) -> None:
    async with (
        connect(site.link("insurer"), client_id="insurer", subscriptions=["outrider/v1/+/record"]) as insurer,
        connect(site.link("car1"), client_id="car1") as car,
    ):
        site.broker.misbehave(BrokerFaults(duplicated=1.0))
        await car.publish(_RECORD, b"0")
        assert await _take(insurer, 2) == [b"0", b"0"]
        site.broker.misbehave(BrokerFaults(reordered=10, user="car1"), seed=1)
        await _publish_all(car, 13)  # the last three come when nothing follows
        taken = await _take(insurer, 13)
        assert sorted(map(int, taken)) == list(range(13))
        assert taken != [b"%d" % number for number in range(13)]


async def test_a_disconnect_names_its_reason(site: Site) -> None:
    site.broker.misbehave(BrokerFaults(disconnect_after=2, disconnect_reason=0x8B))
    async with connect(site.link("car1"), client_id="car1") as car:
        await car.publish(_RECORD, b"0")
        await car.publish(_RECORD, b"1")
        with pytest.raises(LinkDown, match="Server shutting down"):
            await _take(car, 1)


async def test_a_refused_connect_names_its_reason_and_others_are_let_in(site: Site) -> None:
    site.broker.misbehave(BrokerFaults(connack=0x88, user="car1"))
    with pytest.raises(LinkDown, match="broker refused us: Server unavailable"):
        async with connect(site.link("car1"), client_id="car1"):
            pass
    async with connect(site.link("insurer"), client_id="insurer"):
        pass


async def test_a_small_receive_maximum_is_kept_to(site: Site) -> None:
    site.broker.misbehave(BrokerFaults(receive_maximum=2, acks=[AckFault(late_s=0.005)]))
    async with connect(site.link("car1"), client_id="car1") as car:
        await _publish_all(car, 10)
    assert site.broker.counts["receive_maximum_exceeded"] == 0


async def test_a_restart_may_lose_the_sessions(site: Site) -> None:
    topics = ["outrider/v1/car1/receipt"]
    for forgets in (False, True):
        async with connect(site.link("car1"), client_id="car1", subscriptions=topics):
            pass
        async with connect(site.link("insurer"), client_id="insurer") as insurer:
            await insurer.publish(topics[0], b"receipt")
        await site.broker.stop()
        if forgets:
            site.broker.forget()
        await site.broker.start()
        async with connect(site.link("car1"), client_id="car1", subscriptions=topics) as car:
            if forgets:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await _take(car, 1)
            else:
                assert await _take(car, 1) == [b"receipt"]


def test_the_same_seed_draws_the_same_faults() -> None:
    faults = BrokerFaults(acks=[AckFault(share=0.2, reason=0x97)], duplicated=0.3)
    one, two = (Mischief(faults, seed=5) for _ in range(2))
    verdicts = [one.judge("car1") for _ in range(500)]
    assert verdicts == [two.judge("car1") for _ in range(500)]
    assert 60 < sum(verdict.reason == 0x97 for verdict in verdicts) < 140
    assert 100 < sum(verdict.copies == 2 for verdict in verdicts) < 200


@pytest.mark.parametrize(
    ("data", "what"),
    [({"connack": 256}, "connack"), ({"acks": [{"share": 2}]}, "share"), ({"reorder": 1}, "reorder")],
)
def test_impossible_faults_are_refused_by_name(data: dict[str, object], what: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=what):
        msgspec.convert(data, BrokerFaults)
