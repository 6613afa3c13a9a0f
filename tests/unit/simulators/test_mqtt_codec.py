import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import ProtocolError
from simulators.access import RULES, allowed, mosquitto_acl, topic_matches
from simulators.broker_session import parse_filter
from simulators.mqtt_codec import (
    Connect,
    Decoder,
    Disconnect,
    PingReq,
    PubAck,
    Publish,
    Subscribe,
    Unsubscribe,
    encode_puback,
    encode_publish,
)
from simulators.mqtt_fields import CONTENT_TYPE, MESSAGE_EXPIRY, USER_PROPERTY

_texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
_publishes = st.builds(
    Publish,
    topic=_texts,
    payload=st.binary(max_size=300),
    qos=st.just(1),
    retain=st.booleans(),
    duplicate=st.booleans(),
    packet_id=st.integers(1, 65_535),
    properties=st.fixed_dictionaries(
        {},
        optional={
            MESSAGE_EXPIRY: st.integers(0, 2**32 - 1),
            CONTENT_TYPE: _texts,
            USER_PROPERTY: st.lists(st.tuples(_texts, _texts), min_size=1, max_size=3),
        },
    ),
)


@given(st.lists(_publishes, max_size=4), st.integers(1, 50))
def test_any_split_gives_the_same_packets(packets: list[Publish], step: int) -> None:
    data = b"".join(encode_publish(packet) for packet in packets)
    decoder = Decoder(size_max=100_000)
    found = [packet for at in range(0, len(data), step) for packet in decoder.feed(data[at : at + step])]
    assert found == packets


@given(st.binary(max_size=200))
def test_garbage_is_an_error_or_not_yet_a_packet(data: bytes) -> None:
    decoder = Decoder(size_max=1000)
    try:
        packets = decoder.feed(data)
    except ProtocolError:
        return
    assert all(len(repr(packet)) for packet in packets)


@pytest.mark.parametrize(
    ("data", "packet"),
    [
        # Written out by hand after the figures of MQTT 5, 3.1 to 3.14.
        (
            "10 13 0004 4d515454 05 02 003c 05 11 0000000a 0001 61",
            Connect("a", clean_start=True, keep_alive_s=60, properties={0x11: 10}),
        ),
        ("30 07 0003 612f62 00 78", Publish("a/b", b"x")),
        ("3b 09 0003 612f62 0007 00 78", Publish("a/b", b"x", 1, retain=True, duplicate=True, packet_id=7)),
        ("40 02 0007", PubAck(7)),
        ("40 04 0007 87 00", PubAck(7, 0x87)),
        ("82 09 0005 00 0003 612f23 01", Subscribe(5, (("a/#", 1),))),
        ("a2 08 0005 00 0003 612f23", Unsubscribe(5, ("a/#",))),
        ("c0 00", PingReq()),
        ("e0 00", Disconnect()),
        ("e0 07 04 05 11 00000000", Disconnect(4, {0x11: 0})),
    ],
)
def test_packets_of_the_standard(data: str, packet: object) -> None:
    assert Decoder(size_max=100).feed(bytes.fromhex(data)) == [packet]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("30 ff ff ff ff 01", "more than four bytes"),
        ("30 ff 7f", "allowed"),
        ("34 07 0003 612f62 00 78", "QoS 2"),
        ("20 02 0000", "may not send"),
        ("10 09 0004 4d515454 04 02 003c", "not MQTT 5"),
        ("30 03 0009 61", "early"),
        ("30 04 0002 c328", "UTF-8"),
        ("30 05 0003 610062", "U+0000"),
        ("30 08 0003 612f62 02 7f00", "unknown property"),
    ],
)
def test_broken_packets_say_what_is_wrong(data: str, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason.replace("+", r"\+")):
        Decoder(size_max=1000).feed(bytes.fromhex(data))


def test_a_refusal_carries_its_code() -> None:
    assert encode_puback(PubAck(258, 0x87)) == bytes.fromhex("40 03 0102 87")
    assert encode_puback(PubAck(258)) == bytes.fromhex("40 02 0102")


@pytest.mark.parametrize(
    ("topic_filter", "topic", "matches"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("+/b", "a/b", True),
        ("#", "$SYS/x", False),
        ("a", "a/b", False),
        ("a/b", "a", False),
        ("a/+/c", "a//c", True),
    ],
)
def test_topic_filters(topic_filter: str, topic: str, matches: bool) -> None:  # noqa: FBT001 - a parameter
    assert topic_matches(topic_filter, topic) is matches


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("a/+/c", (None, "a/+/c")),
        ("$share/g/a/#", ("g", "a/#")),
        ("$share/g", None),
        ("$share//a", None),
        ("a/#/c", None),
        ("a+/c", None),
        ("", None),
    ],
)
def test_filters_are_checked(text: str, parsed: tuple[str | None, str] | None) -> None:
    assert parse_filter(text) == parsed


def test_a_device_may_only_use_its_own_topics() -> None:
    assert allowed(RULES, "car1", "write", "outrider/v1/car1/record")
    assert not allowed(RULES, "car1", "write", "outrider/v1/car2/record")
    assert not allowed(RULES, "car1", "write", "outrider/v1/car1/config")
    assert not allowed(RULES, "car1", "write", "outrider/v1/car1/desk")
    assert not allowed(RULES, "car1", "read", "outrider/v1/car2/desk")
    assert not allowed(RULES, "car1", "read", "outrider/v1/car2/receipt")
    assert allowed(RULES, "insurer", "read", "outrider/v1/car2/record")
    assert not allowed(RULES, "operator", "read", "outrider/v1/car2/record")


def test_the_same_rules_for_mosquitto() -> None:
    lines = mosquitto_acl(RULES).splitlines()
    assert lines[:3] == ["user insurer", "topic read outrider/v1/+/record", "topic write outrider/v1/+/receipt"]
    patterns = [line for line in lines if line.startswith("pattern ")]
    assert patterns[0] == "pattern write outrider/v1/%u/record"
    assert all(line.startswith("pattern read ") for line in patterns[1:])
    assert "pattern read outrider/v1/%u/erasure" in patterns
