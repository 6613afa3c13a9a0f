"""What the embedded broker promises a client, without a network."""

import asyncio
from typing import cast

from agent.core.errors import ProtocolError
from simulators.broker_session import Session
from simulators.mqtt_codec import Decoder, Publish
from simulators.mqtt_fields import MESSAGE_EXPIRY, RECEIVE_MAXIMUM, SESSION_EXPIRY, Properties


class Line:
    """Decodes what is written, as a client would; PUBLISH looks the same in both directions."""

    def __init__(self) -> None:
        self._decoder = Decoder(size_max=10_000)
        self._packets: list[Publish] = []

    def write(self, data: bytes) -> None:
        for packet in self._decoder.feed(data):
            if not isinstance(packet, Publish):
                raise ProtocolError("a session writes nothing but PUBLISH")
            self._packets.append(packet)

    def read(self) -> list[Publish]:
        packets, self._packets = self._packets, []
        return packets


def _attached(properties: Properties, *, queue_max: int = 100) -> tuple[Session, Line]:
    session, line = Session("car1", "car1", queue_max=queue_max), Line()
    session.attach(cast("asyncio.StreamWriter", line), properties)
    return session, line


def _publish(number: int, *, expiry_s: int | None = None) -> Publish:
    properties: Properties = {} if expiry_s is None else {MESSAGE_EXPIRY: expiry_s}
    return Publish("a", b"%d" % number, 1, properties=properties)


def test_no_more_than_the_receive_maximum_is_on_its_way() -> None:
    session, line = _attached({RECEIVE_MAXIMUM: 2})
    for number in range(4):
        session.offer(_publish(number), 1, 0.0)
    first, second = line.read()
    assert (first.payload, second.payload) == (b"0", b"1")
    session.acknowledged(second.packet_id or 0, 0.0)
    assert [packet.payload for packet in line.read()] == [b"2"]


def test_the_unacknowledged_come_again_first_and_marked() -> None:
    session, line = _attached({RECEIVE_MAXIMUM: 2, SESSION_EXPIRY: 10})
    for number in range(3):
        session.offer(_publish(number), 1, 0.0)
    line.read()
    session.detach(1.0)
    session.offer(_publish(3), 1, 2.0)
    again = Line()
    session.attach(cast("asyncio.StreamWriter", again), {RECEIVE_MAXIMUM: 10})
    session.resume(3.0)
    packets = again.read()
    assert [(packet.payload, packet.duplicate) for packet in packets] == [
        (b"0", True),
        (b"1", True),
        (b"2", False),
        (b"3", False),
    ]
    assert len({packet.packet_id for packet in packets}) == 4


def test_a_full_queue_loses_its_oldest_and_says_so() -> None:
    session, _ = _attached({SESSION_EXPIRY: 10}, queue_max=2)
    session.detach(0.0)
    assert [session.offer(_publish(number), 1, 0.0) for number in range(3)] == [0, 0, 1]
    line = Line()
    session.attach(cast("asyncio.StreamWriter", line), {})
    session.resume(0.0)
    assert [packet.payload for packet in line.read()] == [b"1", b"2"]


def test_messages_expire_and_tell_what_is_left() -> None:
    session, _ = _attached({SESSION_EXPIRY: 100})
    session.detach(0.0)
    session.offer(_publish(1, expiry_s=5), 1, 0.0)
    session.offer(_publish(2, expiry_s=50), 1, 0.0)
    line = Line()
    session.attach(cast("asyncio.StreamWriter", line), {})
    session.resume(10.0)
    (packet,) = line.read()
    assert (packet.payload, packet.properties[MESSAGE_EXPIRY]) == (b"2", 40)


def test_sessions_expire() -> None:
    session, _ = _attached({SESSION_EXPIRY: 10})
    assert not session.expired(1e9)
    session.detach(100.0)
    assert not session.expired(109.0)
    assert session.expired(110.0)
    session.set_expiry({SESSION_EXPIRY: 0xFFFF_FFFF})
    assert not session.expired(1e9)


def test_at_qos_0_nothing_waits() -> None:
    session, line = _attached({SESSION_EXPIRY: 10})
    session.offer(_publish(1), 0, 0.0)
    (packet,) = line.read()
    assert (packet.qos, packet.packet_id) == (0, None)
    session.detach(0.0)
    session.offer(_publish(2), 0, 0.0)
    session.attach(cast("asyncio.StreamWriter", line), {})
    session.resume(0.0)
    assert line.read() == []
