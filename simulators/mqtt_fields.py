"""Fields of MQTT 5 packets, to and from bytes: numbers, strings and properties.

Source: MQTT Version 5.0, OASIS Standard, section 2.2.
"""

import struct
from typing import Final

from agent.core.errors import ProtocolError

PropertyValue = int | str | bytes | list[tuple[str, str]]
Properties = dict[int, PropertyValue]

# Property identifiers, 2.2.2.2
MESSAGE_EXPIRY: Final = 0x02
CONTENT_TYPE: Final = 0x03
SESSION_EXPIRY: Final = 0x11
SERVER_KEEP_ALIVE: Final = 0x13
RECEIVE_MAXIMUM: Final = 0x21
TOPIC_ALIAS_MAXIMUM: Final = 0x22
TOPIC_ALIAS: Final = 0x23
MAXIMUM_PACKET_SIZE: Final = 0x27
MAXIMUM_QOS: Final = 0x24
USER_PROPERTY: Final = 0x26
SUBSCRIPTION_IDENTIFIER: Final = 0x0B

_BYTES: Final = frozenset({0x09, 0x16})
_STRINGS: Final = frozenset({0x03, 0x08, 0x12, 0x15, 0x1A, 0x1C, 0x1F})
_ONE: Final = frozenset({0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A})
_TWO: Final = frozenset({0x13, 0x21, 0x22, 0x23})
_FOUR: Final = frozenset({0x02, 0x11, 0x18, 0x27})


def encode_varint(value: int) -> bytes:
    """1.5.5."""
    encoded = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        encoded.append(low | 0x80 if value else low)
        if not value:
            return bytes(encoded)


def encode_string(text: str) -> bytes:
    """1.5.4."""
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def encode_properties(properties: Properties) -> bytes:
    """2.2.2, with their length before them."""
    encoded = bytearray()
    for key, value in properties.items():
        if isinstance(value, list):
            for name, text in value:
                encoded += bytes((key,)) + encode_string(name) + encode_string(text)
        elif isinstance(value, str):
            encoded += bytes((key,)) + encode_string(value)
        elif isinstance(value, bytes):
            encoded += bytes((key,)) + struct.pack(">H", len(value)) + value
        elif key == SUBSCRIPTION_IDENTIFIER:
            encoded += bytes((key,)) + encode_varint(value)
        else:
            encoded += bytes((key,)) + value.to_bytes(1 if key in _ONE else 2 if key in _TWO else 4, "big")
    return encode_varint(len(encoded)) + bytes(encoded)


class Reader:
    """A packet's body; every read checks its length. Raises ProtocolError where it is too short, or wrong."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __len__(self) -> int:
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        """The next bytes."""
        if count > len(self):
            raise ProtocolError(f"packet ends {count - len(self)} bytes early")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, size: int) -> int:
        """Big-endian, of so many bytes."""
        return int.from_bytes(self.take(size), "big")

    def varint(self) -> int:
        """1.5.5."""
        value = 0
        for shift in (0, 7, 14, 21):
            byte = self.number(1)
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return value
        raise ProtocolError("variable byte integer of more than four bytes")

    def blob(self) -> bytes:
        """1.5.6."""
        return self.take(self.number(2))

    def string(self) -> str:
        """1.5.4."""
        try:
            text = self.blob().decode()
        except UnicodeDecodeError as exc:
            raise ProtocolError("string is not UTF-8") from exc
        if "\0" in text:
            raise ProtocolError("string holds U+0000")
        return text

    def properties(self) -> Properties:
        """2.2.2."""
        reader = Reader(self.take(self.varint()))
        found: Properties = {}
        pairs: list[tuple[str, str]] = []
        while len(reader):
            key = reader.varint()
            if key == USER_PROPERTY:
                pairs.append((reader.string(), reader.string()))
                found[key] = pairs
            else:
                found[key] = _property_value(key, reader)
        return found


def _property_value(key: int, reader: Reader) -> PropertyValue:
    if key in _FOUR:
        return reader.number(4)
    if key in _TWO:
        return reader.number(2)
    if key in _ONE:
        return reader.number(1)
    if key in _STRINGS:
        return reader.string()
    if key in _BYTES:
        return reader.blob()
    if key == SUBSCRIPTION_IDENTIFIER:
        return reader.varint()
    raise ProtocolError(f"unknown property 0x{key:02X}")
