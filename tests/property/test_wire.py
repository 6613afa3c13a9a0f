"""Events, envelopes and receipts survive their CBOR; anything else is refused with a reason."""

import gc
from typing import Any, get_args, get_origin

import cbor2
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from agent.core.cose import decode_cbor, encode_cbor, item_end
from agent.core.errors import ProtocolError, SealError
from agent.core.events import AnyEvent, Event
from agent.core.records import Position, Range, decode_event, encode_event
from agent.link.wire import encode_receipt, parse_receipt

INSURER = Ed25519PrivateKey.from_private_bytes(b"\5" * 32)
PUBLIC = INSURER.public_key().public_bytes_raw()

texts = st.text(max_size=40)
numbers = st.floats(allow_nan=False)
counts = st.integers(1, 2**31 - 1)
instants = st.integers(0, 2**62)


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    options = get_args(kind)
    if get_origin(kind) is list:
        return st.lists(values_of(options[0]), max_size=4)
    if not options:
        plain_kinds = {int: instants, float: numbers, str: texts, bool: st.booleans(), bytes: st.binary(max_size=40)}
        return st.none() if kind is type(None) else plain_kinds[kind]
    if all(isinstance(option, str) for option in options):
        return st.sampled_from(options)
    return st.one_of(*(values_of(option) for option in options))


def events_of(kind: type[Event]) -> st.SearchStrategy[Event]:
    fields = msgspec.structs.fields(kind)
    return st.builds(kind, **{field.name: values_of(field.type) for field in fields})


events = st.one_of(*(events_of(kind) for kind in get_args(AnyEvent)))
digests = st.binary(min_size=32, max_size=32)
ranges = st.builds(
    lambda boot, span, digest: Range(boot, span[0], span[1], digest),
    counts,
    st.tuples(counts, counts).map(sorted),
    digests,
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | numbers | texts | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(events, counts, counts, st.none() | st.integers(-(2**61), 2**61))
def test_every_event_survives(event: Event, boot: int, sequence: int, offset_ns: int | None) -> None:
    data = encode_event(event, position=Position(boot, sequence), wall_offset_ns=offset_ns, agent_version="9")
    told = decode_event(data)
    assert (told.event, told.boot, told.sequence, told.agent) == (event, boot, sequence, "9")
    assert (told.wall_offset_ns, told.clock_synced) == (offset_ns, offset_ns is not None)


@given(events, st.data())
def test_an_event_cut_short_is_refused(event: Event, data: st.DataObject) -> None:
    whole = encode_event(event, position=Position(1, 1), wall_offset_ns=None, agent_version="9")
    with pytest.raises(ProtocolError):
        decode_event(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(plain)
def test_our_strict_cbor_reads_what_it_writes(value: Any) -> None:
    data = encode_cbor(value)
    assert decode_cbor(data) == value
    assert item_end(b"\x00" + data + b"\x00", 1) == len(data) + 1


@given(st.binary(max_size=200))
def test_any_bytes_are_plain_deterministic_cbor_or_refused(data: bytes) -> None:
    try:
        value = decode_cbor(data)
    except ProtocolError:
        return
    assert cbor2.dumps(value, canonical=True) == data


def test_bad_text_is_refused_and_nothing_of_it_stays_in_memory() -> None:
    """cbor2's own exception for it is never freed: it must not come to that."""

    def left() -> int:
        gc.collect()
        return sum(isinstance(thing, cbor2.CBORError) for thing in gc.get_objects())

    before = left()
    for text in (b"\x62\xff\xfe", b"\xa1\x62\xc3\x28\x01", b"\x82\x01\x63a\xffb"):
        for _ in range(20):
            with pytest.raises(ProtocolError, match=r"CBOR text at byte \d+ is not UTF-8"):
                decode_cbor(text)
    assert left() == before


@given(st.lists(ranges, min_size=1, max_size=20), instants)
def test_a_receipt_survives(given_ranges: list[Range], received_ns: int) -> None:
    blob = encode_receipt("car-1", given_ranges, received_ns=received_ns, sign=INSURER.sign)
    assert parse_receipt(blob, PUBLIC, "car-1") == given_ranges


@given(st.data())
def test_any_flipped_bit_of_a_receipt_is_refused(data: st.DataObject) -> None:
    blob = bytearray(encode_receipt("car-1", [Range(1, 1, 9, bytes(32))], received_ns=5, sign=INSURER.sign))
    bit = data.draw(st.integers(0, len(blob) * 8 - 1))
    blob[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealError):
        parse_receipt(bytes(blob), PUBLIC, "car-1")
