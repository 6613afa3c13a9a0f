"""Our reading of a PUBLISH is paho's."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt._packet import decode_publish
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.link.incoming import Incoming, parse_publish

topics = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)


def packed(topic: str, payload: bytes, mid: int, *, qos: int, expiry_s: int | None, user: str) -> bytes:
    properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho has no types here
    if expiry_s is not None:
        properties.MessageExpiryInterval = expiry_s
    if user:
        properties.UserProperty = ("key", user)
    text = topic.encode()
    packed_properties: bytes = properties.pack()
    return len(text).to_bytes(2) + text + (mid.to_bytes(2) if qos else b"") + packed_properties + payload


@given(
    topic=topics,
    payload=st.binary(max_size=300),
    mid=st.integers(1, 65_535),
    qos=st.integers(0, 2),
    expiry_s=st.one_of(st.none(), st.integers(1, 9999)),
    user=st.one_of(st.just(""), st.just("x" * 200)),
)
def test_it_reads_what_paho_reads(
    topic: str, payload: bytes, mid: int, qos: int, expiry_s: int | None, user: str
) -> None:
    body = packed(topic, payload, mid, qos=qos, expiry_s=expiry_s, user=user)
    theirs = decode_publish(0x30 | qos << 1, body, MQTTProtocolVersion.MQTTv5)
    ours = parse_publish(0x30 | qos << 1, body)
    assert ours == Incoming(theirs.topic.decode(), bytes(theirs.payload), theirs.mid, theirs.qos)
    assert ours == Incoming(topic, payload, mid if qos else 0, qos)


@pytest.mark.parametrize(
    ("command", "body"),
    [
        (0x36, b"\0\1a\0\1\0"),
        (0x32, b""),
        (0x32, b"\0\1a"),
        (0x32, b"\0\1a\0\1"),
        (0x32, b"\0\1a\0\0\0"),
        (0x32, b"\0\0\0\1\0"),
        (0x32, b"\0\1a\0\1\5"),
        (0x32, b"\0\1a\0\1\xff\xff\xff\xff\1"),
        (0x32, b"\0\1\xff\0\1\0"),
    ],
)
def test_what_is_no_publish_is_a_value_error(command: int, body: bytes) -> None:
    with pytest.raises(ValueError, match=r"PUBLISH|utf-8"):
        parse_publish(command, body)


@given(st.integers(0x30, 0x3F), st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(command: int, body: bytes) -> None:
    try:
        parse_publish(command, body)
    except ValueError:
        return


def test_paho_still_has_the_place_where_we_read() -> None:
    assert callable(Client(CallbackAPIVersion.VERSION2)._handle_publish)
