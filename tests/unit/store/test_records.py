from typing import Any

import cbor2
import numpy as np
import pytest

from agent.core.cose import decode_cbor, encode_cbor
from agent.core.errors import ProtocolError, SealError
from agent.core.events import AgentStopped, RoadImpact
from agent.core.records import ENVELOPE_SIZE_MAX, Position, decode_event, encode_event, parse_envelope

GOOD: list[Any] = [1, "car-1", 1, 1, 3, bytes(32), b"cose"]


def encoded(event: Any, **more: Any) -> bytes:
    return encode_event(event, position=Position(1, 1), wall_offset_ns=None, agent_version="1", **more)


def replaced(index: int, value: Any) -> bytes:
    return encode_cbor([*GOOD[:index], value, *GOOD[index + 1 :]])


@pytest.mark.parametrize(
    ("envelope", "reason"),
    [
        (replaced(0, 2), "envelope version 2"),
        (replaced(0, True), "envelope version True"),  # noqa: FBT003  # CBOR true equals 1 in Python
        (replaced(1, "../car"), "device"),
        (replaced(2, 0), "boot"),
        (replaced(3, 2**31), "sequence"),
        (replaced(4, 4), "priority"),
        (replaced(5, bytes(31)), "previous"),
        (replaced(6, "text"), "seven fields"),
        (encode_cbor(GOOD[:6]), "seven fields"),
        (encode_cbor({}), "seven fields"),
        (encode_cbor(GOOD) + b"\0", "1 bytes after"),
        (bytes(ENVELOPE_SIZE_MAX + 1), "are allowed"),
    ],
)
def test_an_envelope_that_is_none_is_refused(envelope: bytes, reason: str) -> None:
    assert parse_envelope(encode_cbor(GOOD))[1] == b"cose"
    with pytest.raises(SealError, match=reason):
        parse_envelope(envelope)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "cut off at byte 0"),
        (b"\x81" * 40 + b"\0", "nested deeper"),
        (b"\xc1\x00", "tag 1 at byte 0"),
        (b"\xd8\x1c\x80", "tag 28"),
        (b"\x9f\xff", "head 0x9f"),
        (b"\x5b" + b"\xff" * 8, "bytes are missing"),
        (b"\x9a\xff\xff\xff\xff\x00", "cut off"),
        (b"\x18\x01", "not deterministic"),
        (b"\xa2\x01\x00\x01\x00", "not deterministic"),
        (b"\xfb\x3f\xf8" + bytes(6), "not deterministic"),
        (b"\xe0", "simple value 0"),
        (b"\x62\xff\xff", "not UTF-8"),
    ],
)
def test_cbor_beyond_what_we_write_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        decode_cbor(data)


def test_numpy_scalars_become_plain_numbers() -> None:
    event = RoadImpact(t_ns=np.int64(5), peak_mps2=np.float64(1.5), speed_kmh=np.float32(2.5))  # type: ignore[arg-type]  # detectors may
    assert decode_event(encoded(event)).event == RoadImpact(t_ns=5, peak_mps2=1.5, speed_kmh=2.5)


def test_what_is_no_number_is_a_bug() -> None:
    with pytest.raises(TypeError, match="object has no place in an event"):
        encoded(RoadImpact(t_ns=1, peak_mps2=object()))  # type: ignore[arg-type]  # on purpose


def test_text_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(SealError, match="agent_stopped cannot be encoded"):
        encoded(AgentStopped(t_ns=1, reason="\udcff"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"v": 2}, "agent_stopped version 2; known is 1"),
        ({"clock_synced": True}, "contradict"),
        ({"more": 1}, "unknown field"),
        ({"event": {"kind": "novelty", "t_ns": 1}}, "novelty"),
        ({"event": {"kind": "agent_stopped", "t_ns": 1, "reason": 5}}, "reason"),
    ],
)
def test_content_that_does_not_fit_is_refused(change: dict[str, Any], reason: str) -> None:
    content = {**cbor2.loads(encoded(AgentStopped(t_ns=1, reason="end"))), **change}
    with pytest.raises(ProtocolError, match=reason):
        decode_event(encode_cbor(content))
