"""The insurer's word that he has erased what a car's owner asked him to. Pure; docs/wire.md is its description.

A COSE_Sign1 by the insurer's Ed25519 key, the one that signs receipts, over CBOR {v, device, request, records,
erased_ns}.
"""

from collections.abc import Callable
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from agent.core.config import Name
from agent.core.cose import decode_cbor, encode_cbor, sign1, verify1
from agent.core.erasure import ErasureReceipt
from agent.core.errors import InputError, ProtocolError, SealError
from agent.core.keys import parse_ed25519
from agent.core.records import Nanoseconds

ERASURE_SIZE_MAX: Final = 1024
ERASURE_CONTEXT: Final = encode_cbor(["outrider/erasure", 1])
"""external_aad: a signature of another purpose by the same key is no receipt for an erasure."""


class _Receipt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    v: int
    device: Name
    request: Annotated[str, Meta(min_length=1, max_length=64)]
    records: Annotated[int, Meta(ge=0)]
    erased_ns: Nanoseconds


def encode_erasure_receipt(device: str, receipt: ErasureReceipt, *, sign: Callable[[bytes], bytes]) -> bytes:
    """Signed receipt for one request."""
    content = {
        "v": 1,
        "device": device,
        "request": receipt.request,
        "records": receipt.records,
        "erased_ns": receipt.erased_ns,
    }
    return sign1(encode_cbor(content), external_aad=ERASURE_CONTEXT, sign=sign)


def open_erasure_receipt(blob: bytes, insurer_key: bytes, device: str) -> ErasureReceipt:
    """What it says. insurer_key: Ed25519, PEM or raw. Raises SealError with the reason."""
    if len(blob) > ERASURE_SIZE_MAX:
        raise SealError(f"receipt of {len(blob)} bytes; {ERASURE_SIZE_MAX} are allowed")
    try:
        public_key = parse_ed25519(insurer_key)
    except InputError as exc:
        raise SealError(f"the insurer's receipt key: {exc}") from exc
    content = verify1(blob, external_aad=ERASURE_CONTEXT, public_key=public_key)
    try:
        receipt = msgspec.convert(decode_cbor(content), _Receipt, strict=True)
    except (ProtocolError, msgspec.ValidationError) as exc:
        raise SealError(f"not a receipt for an erasure: {exc}") from exc
    if receipt.v != 1:
        raise SealError(f"receipt version {receipt.v}; known is 1")
    if receipt.device != device:
        raise SealError(f"receipt for {receipt.device}, not for {device}")
    return ErasureReceipt(receipt.request, receipt.records, receipt.erased_ns)
