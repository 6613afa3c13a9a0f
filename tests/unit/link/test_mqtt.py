import asyncio
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from agent.core.config import Link
from agent.core.errors import ConfigError, LinkDown, PublishRefused
from agent.core.link_ports import Message, Outgoing, Session
from agent.link.dial import check_link
from agent.link.mqtt import connect
from agent.link.wire import downlink_topics
from simulators.broker import Broker
from simulators.broker_faults import BrokerFaults
from simulators.mqtt_codec import encode_connack, encode_suback
from simulators.network import Network
from simulators.network_conditions import Conditions
from simulators.pki import Authority

if TYPE_CHECKING:
    from tests.unit.link.conftest import Site

_RECORD = "outrider/v1/car1/record"
_RECORDS = "outrider/v1/+/record"


async def _take(session: Session, count: int) -> list[Message]:
    taken: list[Message] = []
    async with asyncio.timeout(2):
        async for message in session.messages():
            taken.append(message)
            if len(taken) == count:
                break
    return taken


async def test_a_message_arrives(site: "Site") -> None:
    async with (
        connect(site.link("insurer"), client_id="insurer", subscriptions=[_RECORDS]) as insurer,
        connect(site.link("car1"), client_id="car1", subscriptions=[]) as car,
    ):
        await car.publish(_RECORD, b"hello", expiry_s=100)
        assert await _take(insurer, 1) == [Message(_RECORD, b"hello")]


@pytest.mark.parametrize("maximum", [0, 1, 10])
async def test_a_topic_is_sent_once_where_the_broker_takes_an_alias(embedded: "Site", maximum: int) -> None:
    broker = embedded.broker
    assert isinstance(broker, Broker)
    broker.misbehave(BrokerFaults(topic_alias_maximum=maximum))
    topics = [_RECORD, _RECORD, "outrider/v1/car1/status", _RECORD]
    async with connect(embedded.link("insurer"), client_id="insurer", subscriptions=["outrider/v1/+/+"]) as insurer:
        for aliased in (2, 4):  # on every connection anew
            async with connect(embedded.link("car1"), client_id="car1", subscriptions=[]) as car:
                for topic in topics:
                    with suppress(PublishRefused):  # the status, which nobody may write
                        await car.publish(topic, b"hello")
            assert broker.counts["aliased"] == (aliased if maximum else 0)
        assert [message.topic for message in await _take(insurer, 6)] == [_RECORD] * 6


async def test_an_alias_that_was_refused_once_still_stands(site: "Site") -> None:
    async with (
        connect(site.link("insurer"), client_id="insurer", subscriptions=[_RECORDS]) as insurer,
        connect(site.link("car1"), client_id="car1", subscriptions=[]) as car,
    ):
        for _ in range(3):
            with pytest.raises(PublishRefused, match="0x87"):
                await car.publish("outrider/v1/car2/record", b"not mine")
        for number in range(3):
            await car.publish(_RECORD, b"%d" % number)
        assert [message.topic for message in await _take(insurer, 3)] == [_RECORD] * 3


async def test_a_puback_with_a_failure_code_is_refused(site: "Site") -> None:
    async with connect(site.link("car1"), client_id="car1", subscriptions=[]) as car:
        with pytest.raises(PublishRefused, match="0x87 Not authorized"):
            await car.publish("outrider/v1/car2/record", b"not mine")
        await car.publish(_RECORD, b"mine")


async def test_what_the_broker_would_not_take_is_not_sent(site: "Site") -> None:
    async with connect(site.link("car1"), client_id="car1", subscriptions=[]) as car:
        with pytest.raises(PublishRefused, match="the broker takes 1048576"):
            await car.publish(_RECORD, bytes(1 << 20))
        await car.publish(_RECORD, b"small")


async def test_many_at_once_stay_within_the_window(site: "Site") -> None:
    async with (
        connect(site.link("insurer"), client_id="insurer", subscriptions=[_RECORDS]) as insurer,
        connect(site.link("car1", in_flight_max=3), client_id="car1", subscriptions=[]) as car,
    ):
        payloads = [b"%d" % number for number in range(50)]
        async with asyncio.TaskGroup() as tasks:
            for payload in payloads:
                tasks.create_task(car.publish(_RECORD, payload))
            taken = await _take(insurer, 50)
    assert [message.payload for message in taken] == payloads


async def test_the_session_keeps_what_comes_while_away(site: "Site") -> None:
    topics = ["outrider/v1/car1/receipt"]
    async with connect(site.link("car1"), client_id="car1", subscriptions=topics):
        pass
    async with connect(site.link("insurer"), client_id="insurer", subscriptions=[]) as insurer:
        await insurer.publish(topics[0], b"receipt")
    async with connect(site.link("car1"), client_id="car1", subscriptions=topics) as car:
        assert await _take(car, 1) == [Message(topics[0], b"receipt")]


async def test_what_was_not_dealt_with_comes_again(site: "Site") -> None:
    topics = ["outrider/v1/car1/receipt"]
    async with connect(site.link("car1"), client_id="car1", subscriptions=topics) as car:
        async with connect(site.link("insurer"), client_id="insurer", subscriptions=[]) as insurer:
            await insurer.publish(topics[0], b"receipt")
        assert await _take(car, 1) == [Message(topics[0], b"receipt")]  # never asked for a second one
    async with connect(site.link("car1"), client_id="car1", subscriptions=topics) as car:
        assert await _take(car, 1) == [Message(topics[0], b"receipt")]


async def test_retained_config_waits_for_the_car(site: "Site") -> None:
    async with connect(site.link("operator"), client_id="operator", subscriptions=[]) as operator:
        await operator.publish("outrider/v1/car1/config", b"bundle", retain=True)
    topics = ["outrider/v1/car1/config"]
    async with connect(site.link("car1"), client_id="car1", subscriptions=topics) as car:
        assert await _take(car, 1) == [Message(topics[0], b"bundle")]


async def test_others_receipts_do_not_arrive(site: "Site") -> None:
    topics = ["outrider/v1/+/receipt"]
    async with (
        connect(site.link("car1"), client_id="car1", subscriptions=topics) as car,
        connect(site.link("insurer"), client_id="insurer", subscriptions=[]) as insurer,
    ):
        await insurer.publish("outrider/v1/car2/receipt", b"not yours")
        await insurer.publish("outrider/v1/car1/receipt", b"yours")
        assert await _take(car, 1) == [Message("outrider/v1/car1/receipt", b"yours")]


async def test_receivers_share_the_work(site: "Site") -> None:
    shared = [f"$share/receivers/{_RECORDS}"]
    async with (
        connect(site.link("insurer"), client_id="insurer-1", subscriptions=shared) as first,
        connect(site.link("insurer"), client_id="insurer-2", subscriptions=shared) as second,
        connect(site.link("car1"), client_id="car1", subscriptions=[]) as car,
    ):
        for number in range(10):
            await car.publish(_RECORD, b"%d" % number)
        halves = await asyncio.gather(_take(first, 5), _take(second, 5))
    assert sorted(message.payload for half in halves for message in half) == [b"%d" % number for number in range(10)]


async def test_a_stopped_broker_ends_publishing_and_listening(site: "Site") -> None:
    async with connect(site.link("car1"), client_id="car1", subscriptions=[]) as car:
        await site.broker.stop()
        with pytest.raises(LinkDown):
            await _take(car, 1)
        with pytest.raises(LinkDown, match=f"127.0.0.1:{site.broker.port}: "):
            await car.publish(_RECORD, b"late")
    with pytest.raises(LinkDown, match="connection refused"):
        async with connect(site.link("car1"), client_id="car1", subscriptions=[]):
            pass


async def test_a_silent_network_times_out(site: "Site") -> None:
    network = Network(site.broker.port)
    await network.start()
    link = msgspec.structs.replace(site.link("car1"), port=network.port, ack_timeout_s=0.5)
    try:
        async with connect(link, client_id="car1", subscriptions=[]) as car:
            network.hang()
            with pytest.raises(LinkDown, match=r"no PUBACK within 0.5 s"):
                await car.publish(_RECORD, b"into the void")
            network.cut()
        network.hang()
        with pytest.raises(LinkDown, match=r"no answer within 0.5 s"):
            async with connect(link, client_id="car1", subscriptions=[]):
                pass
    finally:
        await network.stop()


async def test_a_slow_line_that_moves_is_not_a_dead_one(site: "Site") -> None:
    network = Network(site.broker.port)
    await network.start()
    link = msgspec.structs.replace(site.link("car1"), port=network.port, ack_timeout_s=0.5, in_flight_max=20)
    try:
        async with connect(link, client_id="car1", subscriptions=[]) as car:
            network.set(Conditions(rate_bps=40_000))  # twenty messages take a second, a segment of them 0.3 s
            async with asyncio.TaskGroup() as tasks:
                for number in range(20):
                    tasks.create_task(car.publish(_RECORD, b"%150d" % number))
    finally:
        await network.stop()


async def test_a_connect_can_be_given_up_at_any_moment(site: "Site") -> None:
    network = Network(site.broker.port)
    await network.start()
    link = msgspec.structs.replace(site.link("car1"), port=network.port, ack_timeout_s=60.0)

    async def use() -> None:
        async with connect(link, client_id="car1", subscriptions=["outrider/v1/car1/receipt"]):
            pass

    try:
        for turns in range(0, 30, 3):
            trying = asyncio.create_task(use())
            for _ in range(turns):
                await asyncio.sleep(0)
            trying.cancel()
            async with asyncio.timeout(2):
                await asyncio.wait([trying])
        network.hang()
        trying = asyncio.create_task(use())
        await asyncio.wait([trying], timeout=0.05)
        trying.cancel()
        async with asyncio.timeout(2):
            await asyncio.wait([trying])
        assert trying.cancelled()
    finally:
        await network.stop()


async def test_an_end_before_the_subscription_is_seen_at_once() -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(encode_connack(0, session_present=False, properties={}))
        await reader.read(1000)
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    link = Link(host="127.0.0.1", port=server.sockets[0].getsockname()[1], ack_timeout_s=60.0)
    async with asyncio.timeout(2):
        with pytest.raises(LinkDown, match="connection lost"):
            async with connect(link, client_id="car1", subscriptions=["a"]):
                pass
    server.close()


@pytest.mark.parametrize("refused", ["desk", "erasure", "receipt"])
async def test_a_broker_that_refuses_the_desk_or_erasures_still_serves(
    refused: str, caplog: pytest.LogCaptureFixture
) -> None:
    topics = downlink_topics("car1", [])

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(encode_connack(0, session_present=False, properties={}))
        subscribe = await reader.read(1000)
        packet_id = int.from_bytes(subscribe[2:4])
        writer.write(encode_suback(packet_id, [0x87 if topic.endswith(refused) else 1 for topic in topics]))
        await reader.read(1000)
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    link = Link(host="127.0.0.1", port=server.sockets[0].getsockname()[1], ack_timeout_s=2.0)
    if refused != "receipt":
        async with connect(link, client_id="car1", subscriptions=topics):
            pass
        assert f"refused the subscription to outrider/v1/car1/{refused}" in caplog.text
    else:
        with pytest.raises(LinkDown, match="refused the subscription to outrider/v1/car1/receipt"):
            async with connect(link, client_id="car1", subscriptions=topics):
                pass
    server.close()


async def test_a_strangers_certificate_is_not_let_in(site: "Site") -> None:
    stranger = Authority(site.authority.directory / "other").issue_client("car1")
    link = msgspec.structs.replace(site.link("car1"), certificate=str(stranger.certificate), key=str(stranger.key))
    with pytest.raises(LinkDown, match=f"127.0.0.1:{site.broker.port}: "):
        async with connect(link, client_id="car1", subscriptions=[]):
            pass


async def test_a_strange_broker_is_not_trusted(site: "Site") -> None:
    other = Authority(site.authority.directory / "other")
    link = msgspec.structs.replace(site.link("car1"), ca=str(other.certificate))
    with pytest.raises(LinkDown, match="certificate is not trusted"):
        async with connect(link, client_id="car1", subscriptions=[]):
            pass


async def test_a_newer_connection_takes_over(site: "Site") -> None:
    async with (
        connect(site.link("car1"), client_id="car1", subscriptions=[]) as older,
        connect(site.link("car1"), client_id="car1", subscriptions=[]) as newer,
    ):
        with pytest.raises(LinkDown, match=r"taken over|connection lost"):
            await _take(older, 1)
        await newer.publish(_RECORD, b"still here")


async def test_unknown_names_and_files_say_which(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    identity = authority.issue_client("car1")
    link = Link(
        host="x" * 64 + ".example",
        ca=str(authority.certificate),
        certificate=str(identity.certificate),
        key=str(identity.key),
    )
    with pytest.raises(LinkDown, match="name not found"):
        async with connect(link, client_id="x", subscriptions=[]):
            pass
    with pytest.raises(LinkDown, match=r"link.ca: /no/such/ca"):
        async with connect(msgspec.structs.replace(link, ca="/no/such/ca"), client_id="x", subscriptions=[]):
            pass
    with pytest.raises(LinkDown, match=r"link.certificate, link.key: .*/no/such/key"):
        async with connect(msgspec.structs.replace(link, key="/no/such/key"), client_id="x", subscriptions=[]):
            pass


@pytest.mark.parametrize(
    ("link", "key"),
    [
        (Link(host="insurer.example"), "link.host"),
        (Link(host="127.0.0.1", ca="ca", certificate="c"), "link.key"),
        (Link(host="127.0.0.1", key="key"), "link.ca"),
    ],
)
def test_talking_in_the_clear_is_refused(link: Link, key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        check_link(link)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_this_machine_may_be_plain(host: str) -> None:
    check_link(Link(host=host))


async def test_what_is_early_goes_with_the_first_words(site: "Site") -> None:
    async def choose() -> list[Outgoing]:
        return [(_RECORD, b"first", None), (_RECORD, b"second", 100), (_RECORD, b"one too many", None)]

    topics = ["outrider/v1/car1/receipt", "outrider/v1/car1/config"]
    async with (
        connect(site.link("insurer"), client_id="insurer", subscriptions=[_RECORDS]) as insurer,
        connect(site.link("car1"), client_id="car1", subscriptions=topics, early=choose) as car,
    ):
        assert len(car.early) == 2
        for publishing in car.early:
            await publishing
        await car.publish(_RECORD, b"later")
        assert [message.payload for message in await _take(insurer, 3)] == [b"first", b"second", b"later"]
        await insurer.publish("outrider/v1/car1/receipt", b"signed")
        assert [message.payload for message in await _take(car, 1)] == [b"signed"]


async def test_who_is_refused_after_an_early_publish_says_why_and_leaves_nothing_behind(embedded: "Site") -> None:
    broker = embedded.broker
    assert isinstance(broker, Broker)
    broker.misbehave(BrokerFaults(connack=0x89, user="car1"))

    async def choose() -> list[Outgoing]:
        return [(_RECORD, b"first", None)]

    with pytest.raises(LinkDown, match="broker refused us"):
        async with connect(embedded.link("car1"), client_id="car1", subscriptions=[_RECORD], early=choose):
            pass
    assert not [task for task in asyncio.all_tasks() if "MqttSession" in repr(task.get_coro())]


@pytest.mark.parametrize("maximum", [1, 2, 5])
async def test_a_small_receive_maximum_is_kept_to_after_early_publishes(embedded: "Site", maximum: int) -> None:
    broker = embedded.broker
    assert isinstance(broker, Broker)
    broker.misbehave(BrokerFaults(receive_maximum=maximum, user="car1"))

    async def choose() -> list[Outgoing]:
        return [(_RECORD, b"early", None)]

    async with connect(embedded.link("car1"), client_id="car1", subscriptions=[], early=choose) as car:
        await asyncio.gather(*car.early, *(car.publish(_RECORD, b"%d" % number) for number in range(20)))
        assert car.in_flight_max == maximum
    assert broker.counts["receive_maximum_exceeded"] == 0
