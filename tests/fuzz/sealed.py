"""Targets with a signature around them: the bytes as they come, and the same bytes signed with the right key.

Without the second nothing but the signature check would ever be reached.
"""

from contextlib import suppress
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.core.best_time import Now
from agent.core.config import Config, Device
from agent.core.cose import decode_cbor, encode_cbor, sign1
from agent.core.errors import BundleRejected, ProtocolError, SealError
from agent.core.records import Header, Position, Range, build_envelope, decode_event, parse_envelope
from agent.link.wire import RECEIPT_CONTEXT, encode_receipt, parse_receipt
from agent.remote.trust import BUNDLE_CONTEXT, accept_bundle
from agent.store.chain import verify_chain
from agent.store.unseal import open_record
from fleet.bundle import make_manifest, sign_bundle
from tests.fuzz.target import Target
from tests.unit.store.kit import KEYS, braking, seal_chain, thermal

OPERATOR: Final = Ed25519PrivateKey.from_private_bytes(b"\7" * 32)
_RAW: Final = OPERATOR.public_key().public_bytes_raw()
OPERATOR_PEM: Final = OPERATOR.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
BASE: Final = Config(device=Device(id="box-1", groups=["taxi"]))
_HEADER: Final = Header(device="car-1", boot=1, sequence=1, priority=braking().priority, previous=bytes(32))
_RECORDS: Final = [record.payload for record in seal_chain([braking(), thermal()])]
_TEXT: Final = "[detect.driving]\nbraking_mps2 = 3.5\n"


def envelope(data: bytes) -> None:
    """A record as the receiver gets it, its chain, and what it holds once it has been opened."""
    with suppress(SealError):
        header, cose = parse_envelope(data)
        assert build_envelope(header, cose) == data
    with suppress(SealError):
        open_record(data, KEYS.insurer, KEYS.device_public)
    verify_chain([_RECORDS[0], data])
    with suppress(ProtocolError):
        decode_event(data)
    if data:
        with suppress(SealError):
            open_record(KEYS.sealer().seal(data, _HEADER).payload, KEYS.insurer, KEYS.device_public)


def bundle(data: bytes) -> None:
    """A pushed config: as it comes, as a signed manifest, as the config of a signed manifest."""
    text = make_manifest(
        data.decode("utf-8", "replace"), bundle="b", version=2, expires_ns=100, vehicles=["box-1"], groups=[]
    )
    for blob in (data, sign1(data, external_aad=BUNDLE_CONTEXT, sign=OPERATOR.sign), sign_bundle(text, OPERATOR)):
        with suppress(BundleRejected):
            accepted = accept_bundle(
                blob, operator_key=OPERATOR_PEM, base=BASE, now=Now(floor_ns=0, wall_ns=50), version_current=1
            )
            assert accepted.config.device == BASE.device
            assert accepted.config.trust == BASE.trust


def receipt(data: bytes) -> None:
    """What lets the car forget its records: as it comes, and signed."""
    with suppress(ProtocolError):
        assert encode_cbor(decode_cbor(data)) == data
    for blob in (data, sign1(data, external_aad=RECEIPT_CONTEXT, sign=OPERATOR.sign)):
        with suppress(SealError):
            ranges = parse_receipt(blob, _RAW, "car-1")
            assert ranges
            assert all(1 <= each.first <= each.last and len(each.digest) == 32 for each in ranges)


def _content(blob: bytes) -> bytes:
    content: bytes = decode_cbor(blob).value[2]
    return content


_RECEIPT: Final = encode_receipt(
    "car-1", [Range(*Position(1, 1), 4, bytes(32)), Range(2, 1, 1, b"\1" * 32)], received_ns=9, sign=OPERATOR.sign
)
_BUNDLE: Final = sign_bundle(
    make_manifest(_TEXT, bundle="b", version=2, expires_ns=100, vehicles=["box-1"], groups=["taxi"]), OPERATOR
)

SEALED: Final = (
    Target("envelope", envelope, [*_RECORDS, encode_cbor({"v": 1, "event": {"kind": "x"}})]),
    Target("bundle", bundle, [_BUNDLE, _content(_BUNDLE), _TEXT.encode()]),
    Target("receipt", receipt, [_RECEIPT, _content(_RECEIPT)]),
)
