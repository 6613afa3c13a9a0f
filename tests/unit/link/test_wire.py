from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.core.cose import encode_cbor, sign1
from agent.core.errors import SealError
from agent.core.keys import public_pem
from agent.core.records import Range
from agent.link import wire

INSURER = Ed25519PrivateKey.from_private_bytes(b"\5" * 32)
PUBLIC = INSURER.public_key().public_bytes_raw()
GOOD: dict[str, Any] = {"v": 1, "device": "car-1", "received_ns": 5, "ranges": [[1, 1, 3, bytes(32)]]}


def signed(content: Any, *, context: bytes = wire.RECEIPT_CONTEXT, key: Ed25519PrivateKey = INSURER) -> bytes:
    return sign1(encode_cbor(content), external_aad=context, sign=key.sign)


def test_pem_and_raw_keys_are_taken() -> None:
    for key in (PUBLIC, public_pem(INSURER.public_key())):
        assert wire.parse_receipt(signed(GOOD), key, "car-1") == [Range(1, 1, 3, bytes(32))]


@pytest.mark.parametrize(
    ("blob", "reason"),
    [
        (b"", "not a COSE_Sign1"),
        (b"\xff", "not a COSE_Sign1"),
        (encode_cbor([1, 2]), "not a COSE_Sign1"),
        (signed(GOOD, key=Ed25519PrivateKey.from_private_bytes(b"\6" * 32)), "signature is wrong"),
        (signed(GOOD, context=b"outrider/config"), "signature is wrong"),
        (signed({**GOOD, "device": "car-2"}), "receipt for car-2, not for car-1"),
        (signed({**GOOD, "v": 2}), "receipt version 2"),
        (signed({**GOOD, "more": 1}), "not a receipt"),
        (signed({**GOOD, "ranges": []}), "not a receipt"),
        (signed({**GOOD, "ranges": [[1, 0, 3, bytes(32)]]}), "not a receipt"),
        (signed({**GOOD, "ranges": [[1, 1, 2**31, bytes(32)]]}), "not a receipt"),
        (signed({**GOOD, "ranges": [[1, 1, 3, bytes(31)]]}), "not a receipt"),
        (signed({**GOOD, "ranges": [[1, 4, 3, bytes(32)]]}), "empty range"),
        (signed({**GOOD, "ranges": GOOD["ranges"] * (wire.RECEIPT_RANGES_MAX + 1)}), "not a receipt"),
        (signed([]), "not a receipt"),
        (bytes(wire.RECEIPT_SIZE_MAX + 1), "are allowed"),
    ],
)
def test_anything_wrong_is_refused_with_the_reason(blob: bytes, reason: str) -> None:
    with pytest.raises(SealError, match=reason):
        wire.parse_receipt(blob, PUBLIC, "car-1")


def test_without_the_insurers_key_nothing_is_a_receipt() -> None:
    with pytest.raises(SealError, match="receipt key: not a PEM"):
        wire.parse_receipt(signed(GOOD), b"", "car-1")


def test_topics_are_read_as_they_are_written() -> None:
    assert wire.parse_topic(wire.record_topic("car-1")) == ("car-1", "record")
    assert wire.parse_topic(wire.receipt_topic("car-1")) == ("car-1", "receipt")
    assert wire.parse_topic("outrider/v1//record") is None
    assert wire.parse_topic("outrider/v1/car-1/other") is None
    assert wire.downlink_topics("car-1", ["a", "b"]) == [
        "outrider/v1/car-1/receipt",
        "outrider/v1/car-1/desk",
        "outrider/v1/car-1/config",
        "outrider/v1/car-1/erasure",
        "outrider/v1/group/a/config",
        "outrider/v1/group/b/config",
    ]
