"""MQTT 5 packets without I/O, the broker's side: feed bytes, take packets; and packets as bytes.

Source: MQTT Version 5.0, OASIS Standard, sections 2 and 3. QoS 0 and 1 only.
"""

import struct
from dataclasses import dataclass, field

from agent.core.errors import ProtocolError
from simulators.mqtt_fields import Properties, Reader, encode_properties, encode_string, encode_varint

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 1, 2, 3, 4, 8, 9
UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 10, 11, 12, 13, 14


@dataclass(frozen=True, slots=True)
class Connect:
    """3.1. The will is read and not kept: nothing here uses one."""

    client_id: str
    clean_start: bool
    keep_alive_s: int
    properties: Properties = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Publish:
    """3.3. packet_id is None at QoS 0."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    duplicate: bool = False
    packet_id: int | None = None
    properties: Properties = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PubAck:
    """3.4."""

    packet_id: int
    reason: int = 0


@dataclass(frozen=True, slots=True)
class Subscribe:
    """3.8. Filters with their options byte."""

    packet_id: int
    filters: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """3.10."""

    packet_id: int
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PingReq:
    """3.12."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """3.14."""

    reason: int = 0
    properties: Properties = field(default_factory=dict)


Packet = Connect | Publish | PubAck | Subscribe | Unsubscribe | PingReq | Disconnect


class Decoder:
    """Any split of the bytes gives the same packets."""

    def __init__(self, *, size_max: int) -> None:
        self._size_max = size_max
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Packet]:
        """Packets completed by data. Raises ProtocolError; the connection is then to be closed."""
        self._buffer += data
        packets: list[Packet] = []
        while (length := self._packet_length()) is not None:
            header, body_length = length
            if header + body_length > self._size_max:
                raise ProtocolError(f"packet of {body_length} bytes, {self._size_max} allowed")
            if len(self._buffer) < header + body_length:
                break
            body = bytes(self._buffer[header : header + body_length])
            first = self._buffer[0]
            del self._buffer[: header + body_length]
            packets.append(_parse(first, Reader(body)))
        return packets

    def _packet_length(self) -> tuple[int, int] | None:
        """Length of the fixed header and of the rest, None until both are known."""
        value = 0
        for index in range(1, min(len(self._buffer), 5)):
            value |= (self._buffer[index] & 0x7F) << (7 * (index - 1))
            if not self._buffer[index] & 0x80:
                return index + 1, value
        if len(self._buffer) >= 5:
            raise ProtocolError("remaining length of more than four bytes")
        return None


def encode_connack(reason: int, *, session_present: bool, properties: Properties) -> bytes:
    """3.2."""
    return _frame(CONNACK << 4, bytes((session_present, reason)) + encode_properties(properties))


def encode_publish(packet: Publish) -> bytes:
    """3.3."""
    flags = packet.duplicate << 3 | packet.qos << 1 | packet.retain
    packet_id = b"" if packet.packet_id is None else struct.pack(">H", packet.packet_id)
    body = encode_string(packet.topic) + packet_id + encode_properties(packet.properties) + packet.payload
    return _frame(PUBLISH << 4 | flags, body)


def encode_puback(packet: PubAck) -> bytes:
    """3.4. The reason is left out where it is success."""
    reason = bytes((packet.reason,)) if packet.reason else b""
    return _frame(PUBACK << 4, struct.pack(">H", packet.packet_id) + reason)


def encode_suback(packet_id: int, reasons: list[int]) -> bytes:
    """3.9."""
    return _frame(SUBACK << 4, struct.pack(">HB", packet_id, 0) + bytes(reasons))


def encode_unsuback(packet_id: int, reasons: list[int]) -> bytes:
    """3.11."""
    return _frame(UNSUBACK << 4, struct.pack(">HB", packet_id, 0) + bytes(reasons))


def encode_pingresp() -> bytes:
    """3.13."""
    return _frame(PINGRESP << 4, b"")


def encode_disconnect(reason: int) -> bytes:
    """3.14."""
    return _frame(DISCONNECT << 4, bytes((reason,)))


def _frame(first: int, body: bytes) -> bytes:
    return bytes((first,)) + encode_varint(len(body)) + body


def _parse(first: int, reader: Reader) -> Packet:
    kind = first >> 4
    if kind == CONNECT:
        return _parse_connect(reader)
    if kind == PUBLISH:
        return _parse_publish(first, reader)
    if kind == PUBACK:
        return PubAck(reader.number(2), reader.number(1) if len(reader) else 0)
    if kind == PINGREQ:
        return PingReq()
    if kind == DISCONNECT:
        return Disconnect(reader.number(1) if len(reader) else 0, reader.properties() if len(reader) else {})
    if kind not in {SUBSCRIBE, UNSUBSCRIBE}:
        raise ProtocolError(f"a client may not send packet type {kind}")
    packet_id = reader.number(2)
    reader.properties()
    if kind == UNSUBSCRIBE:
        topics: list[str] = []
        while len(reader):
            topics.append(reader.string())
        return Unsubscribe(packet_id, tuple(topics))
    filters: list[tuple[str, int]] = []
    while len(reader):
        filters.append((reader.string(), reader.number(1)))
    return Subscribe(packet_id, tuple(filters))


def _parse_connect(reader: Reader) -> Connect:
    if reader.string() != "MQTT" or reader.number(1) != 5:
        raise ProtocolError("not MQTT 5")
    flags = reader.number(1)
    keep_alive_s = reader.number(2)
    properties = reader.properties()
    return Connect(reader.string(), bool(flags & 2), keep_alive_s, properties)


def _parse_publish(first: int, reader: Reader) -> Publish:
    qos = first >> 1 & 3
    if qos > 1:
        raise ProtocolError(f"QoS {qos}: 1 is the most here")
    topic = reader.string()
    packet_id = reader.number(2) if qos else None
    properties = reader.properties()
    return Publish(topic, reader.take(len(reader)), qos, bool(first & 1), bool(first & 8), packet_id, properties)
