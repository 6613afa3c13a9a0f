"""The insurer's word that he has erased what a car's owner asked him to. Pure; docs/wire.md is its description.

A COSE_Sign1 by the insurer's Ed25519 key, the one that signs receipts, over CBOR {v, device, request, records,
erased_ns}.
"""

from collections.abc import Callable
from typing import Annotated, Final

from msgspec import Meta

from agent.core.cose import encode_cbor, sign1
from agent.core.erasure import ErasureReceipt
from agent.core.records import Nanoseconds
from agent.link.wire_signed import InsurerSigned, open_signed

ERASURE_SIZE_MAX: Final = 1024
ERASURE_CONTEXT: Final = encode_cbor(["outrider/erasure", 1])
"""external_aad: a signature of another purpose by the same key is no receipt for an erasure."""


class _Receipt(InsurerSigned, frozen=True, kw_only=True):
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
    receipt = open_signed(
        blob,
        insurer_key,
        device,
        _Receipt,
        context=ERASURE_CONTEXT,
        size_max=ERASURE_SIZE_MAX,
        name="receipt for an erasure",
    )
    return ErasureReceipt(receipt.request, receipt.records, receipt.erased_ns)
