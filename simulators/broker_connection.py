"""One client's connection to the embedded broker: its packets, answered as the broker's faults have it."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from agent.core.errors import ProtocolError
from simulators.broker_session import Session
from simulators.mqtt_codec import (
    Connect,
    Disconnect,
    Packet,
    PubAck,
    Publish,
    Subscribe,
    Unsubscribe,
    encode_connack,
    encode_disconnect,
    encode_pingresp,
    encode_puback,
    encode_suback,
    encode_unsuback,
)
from simulators.mqtt_fields import (
    MAXIMUM_PACKET_SIZE,
    MAXIMUM_QOS,
    RECEIVE_MAXIMUM,
    SERVER_KEEP_ALIVE,
    SESSION_EXPIRY,
    TOPIC_ALIAS,
    TOPIC_ALIAS_MAXIMUM,
    Properties,
)
from simulators.mqtt_reasons import Reason

if TYPE_CHECKING:
    from simulators.broker import Broker

CONNECT_TIMEOUT_S: Final = 5.0


class Connection:
    """The packets of one client."""

    def __init__(self, broker: "Broker", writer: asyncio.StreamWriter) -> None:
        self.ended = False
        self.silence_max_s = CONNECT_TIMEOUT_S
        self._broker = broker
        self._writer = writer
        self._session: Session | None = None
        self._user = _common_name(writer)
        self._faults = broker.mischief.for_user(self._user)
        self._taken = 0
        self._unacknowledged = 0
        self._aliases: dict[int, str] = {}

    def take(self, packet: Packet) -> None:
        """Answer one packet. Raises ProtocolError."""
        if self._session is None:
            if not isinstance(packet, Connect):
                raise ProtocolError("the first packet is not CONNECT")
            self._connect(packet)
        elif isinstance(packet, Publish):
            self._publish(packet)
        elif isinstance(packet, PubAck):
            self._session.acknowledged(packet.packet_id, asyncio.get_running_loop().time())
        elif isinstance(packet, Subscribe):
            codes = [self._broker.subscribe(self._session, topic, options) for topic, options in packet.filters]
            self._writer.write(encode_suback(packet.packet_id, codes))
        elif isinstance(packet, Unsubscribe):
            gone = [self._session.subscriptions.pop(topic, None) for topic in packet.filters]
            self._writer.write(
                encode_unsuback(
                    packet.packet_id,
                    [Reason.NO_SUBSCRIPTION_EXISTED if qos is None else Reason.SUCCESS for qos in gone],
                )
            )
        elif isinstance(packet, Disconnect):
            self._session.set_expiry(packet.properties)
            self.ended = True
        elif isinstance(packet, Connect):
            raise ProtocolError("a second CONNECT")
        else:
            self._broker.counts["pings"] += 1
            self._writer.write(encode_pingresp())

    def close(self) -> None:
        """Leave the session to a later connection, unless one has it already."""
        if self._session is not None and self._session.writer is self._writer:
            self._broker.close_session(self._session)

    def _connect(self, packet: Connect) -> None:
        session, present, refusal = None, False, self._faults.connack or Reason.CLIENT_ID_NOT_VALID
        if packet.client_id and not self._faults.connack:
            session, present = self._broker.open_session(packet, self._user, self._writer)
        if session is None:
            self._writer.write(encode_connack(refusal, session_present=False, properties={}))
            self.ended = True
            return
        self._session = session
        keep_alive_s = packet.keep_alive_s if self._faults.keep_alive_s is None else self._faults.keep_alive_s
        self.silence_max_s = keep_alive_s * 1.5 or 1e9  # 3.1.2.10
        offered: Properties = {
            RECEIVE_MAXIMUM: self._faults.receive_maximum,
            MAXIMUM_QOS: 1,
            MAXIMUM_PACKET_SIZE: self._broker.packet_size_max,
            SESSION_EXPIRY: session.expiry_s,
            TOPIC_ALIAS_MAXIMUM: self._faults.topic_alias_maximum,
        }
        if self._faults.keep_alive_s is not None:
            offered[SERVER_KEEP_ALIVE] = self._faults.keep_alive_s
        self._writer.write(encode_connack(Reason.SUCCESS, session_present=present, properties=offered))
        session.resume(asyncio.get_running_loop().time())

    def _publish(self, packet: Publish) -> None:
        """Take a message, or do to it what the faults say."""
        self._taken += 1
        if packet.packet_id is not None:
            self._unacknowledged += 1
            if self._unacknowledged > self._faults.receive_maximum:
                self._broker.counts["receive_maximum_exceeded"] += 1
                self._end(Reason.RECEIVE_MAXIMUM_EXCEEDED)
                return
        named = self._named(packet)
        if named is None:
            self._end(Reason.TOPIC_ALIAS_INVALID)
            return
        verdict = self._broker.mischief.judge(self._user)
        reason = self._broker.publish(named, self._user, copies=verdict.copies)
        if packet.packet_id is not None and not verdict.missing:
            ack = PubAck(packet.packet_id, reason if verdict.reason is None else verdict.reason)
            if verdict.late_s:
                asyncio.get_running_loop().call_later(verdict.late_s, self._acknowledge, ack)
            else:
                self._acknowledge(ack)
        if self._taken == self._faults.disconnect_after:
            self._end(self._faults.disconnect_reason)

    def _named(self, packet: Publish) -> Publish | None:
        """With its topic written out (3.3.2.3.4); None where its alias is too high, or stands for nothing yet."""
        alias = packet.properties.get(TOPIC_ALIAS)
        if not isinstance(alias, int):
            return packet
        if not 1 <= alias <= self._faults.topic_alias_maximum:
            return None
        if packet.topic:
            self._aliases[alias] = packet.topic
        else:
            self._broker.counts["aliased"] += 1
        topic = self._aliases.get(alias)
        return None if topic is None else replace(packet, topic=topic)

    def _acknowledge(self, ack: PubAck) -> None:
        if not self.ended and not self._writer.is_closing():
            self._unacknowledged -= 1
            self._writer.write(encode_puback(ack))

    def _end(self, reason: int) -> None:
        self._writer.write(encode_disconnect(reason))
        self.ended = True


def _common_name(writer: asyncio.StreamWriter) -> str:
    certificate = writer.get_extra_info("peercert") or {}
    for (key, value), *_ in certificate.get("subject", ()):
        if key == "commonName":
            return str(value)
    return ""
