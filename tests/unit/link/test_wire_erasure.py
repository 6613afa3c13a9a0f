import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.core.cose import encode_cbor, sign1
from agent.core.erasure import ErasureReceipt
from agent.core.errors import ProtocolError, SealError
from agent.core.keys import raw_bytes
from agent.core.link_ports import Message
from agent.link import wire
from agent.link.downlink import Erased, parse_message
from agent.link.wire_erasure import ERASURE_CONTEXT, encode_erasure_receipt, open_erasure_receipt

KEY = Ed25519PrivateKey.from_private_bytes(b"\7" * 32)
PUBLIC = raw_bytes(KEY.public_key())
RECEIPT = ErasureReceipt("ab" * 16, 12, 1_790_000_000 * 10**9)
BLOB = encode_erasure_receipt("car-1", RECEIPT, sign=KEY.sign)


def test_a_receipt_comes_down_on_its_topic() -> None:
    message = Message(wire.erasure_topic("car-1"), BLOB)
    assert parse_message(message, device="car-1", groups=(), receipt_key=PUBLIC) == Erased(RECEIPT, BLOB)
    assert wire.erasure_topic("car-1") in wire.downlink_topics("car-1", ())
    assert wire.parse_topic(wire.erasure_topic("car-1")) == ("car-1", "erasure")
    with pytest.raises(ProtocolError):
        parse_message(Message(wire.erasure_topic("car-2"), BLOB), device="car-1", groups=(), receipt_key=PUBLIC)


def _signed(content: object, context: bytes = ERASURE_CONTEXT) -> bytes:
    return sign1(encode_cbor(content), external_aad=context, sign=KEY.sign)


FIELDS = {"v": 1, "device": "car-1", "request": "x", "records": 0, "erased_ns": 0}


@pytest.mark.parametrize(
    ("blob", "reason"),
    [
        (b"", "COSE"),
        (BLOB[:-1] + b"\0", "signature"),
        (bytes(2000), "2000 bytes"),
        (_signed(FIELDS, wire.RECEIPT_CONTEXT), "signature"),
        (_signed(FIELDS | {"v": 2}), "version 2"),
        (_signed(FIELDS | {"device": "car-2"}), "for car-2"),
        (_signed(FIELDS | {"records": -1}), "records"),
        (_signed(FIELDS | {"more": 1}), "more"),
        (_signed([]), "not a receipt"),
    ],
)
def test_what_is_no_receipt_is_refused(blob: bytes, reason: str) -> None:
    with pytest.raises(SealError, match=reason):
        open_erasure_receipt(blob, PUBLIC, "car-1")
