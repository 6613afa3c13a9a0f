"""An incoming PUBLISH as its bytes lie (MQTT 5, 3.3), without the properties, which nobody here reads.

paho builds tables of all properties and a lock for every message; a receiver takes thousands a second. Pure.
"""

from dataclasses import dataclass
from typing import Final

_QOS_MAX: Final = 2
_VARINT_BYTES_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class Incoming:
    """mid: packet identifier, 0 at QoS 0."""

    topic: str
    payload: bytes
    mid: int
    qos: int


def parse_publish(command: int, body: bytes) -> Incoming:
    """Read a PUBLISH; command is its first byte, body all behind the remaining length. Raises ValueError."""
    qos = (command >> 1) & 3
    if qos > _QOS_MAX:
        raise ValueError("PUBLISH with QoS 3")
    end = 2 + int.from_bytes(body[:2])
    topic = body[2:end]
    mid = 0
    if qos:
        mid = int.from_bytes(body[end : end + 2])
        end += 2
    size, end = _varint(body, end)
    end += size
    if end > len(body) or not topic or (qos and not mid):
        raise ValueError("PUBLISH is cut off, or has no topic or no packet identifier")
    return Incoming(topic.decode(), body[end:], mid, qos)


def _varint(data: bytes, start: int) -> tuple[int, int]:
    """Variable byte integer (1.5.5) and the offset behind it."""
    value = 0
    for index in range(_VARINT_BYTES_MAX):
        if start + index >= len(data):
            break
        byte = data[start + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, start + index + 1
    raise ValueError("PUBLISH with a damaged length of its properties")
