"""A receipt of the insurer: a COSE_Sign1 by his key over CBOR with a version and the device it is for. Pure."""

from typing import TypeVar

import msgspec

from agent.core.config import Name
from agent.core.cose import decode_cbor, verify1
from agent.core.errors import InputError, ProtocolError, SealError
from agent.core.keys import parse_ed25519


class InsurerSigned(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what stands in one."""

    v: int
    device: Name


R = TypeVar("R", bound=InsurerSigned)


def open_signed(
    blob: bytes, insurer_key: bytes, device: str, kind: type[R], *, context: bytes, size_max: int, name: str
) -> R:
    """Verify and read one. insurer_key: Ed25519, PEM or raw; context: external_aad. Raises SealError and why."""
    if len(blob) > size_max:
        raise SealError(f"receipt of {len(blob)} bytes; {size_max} are allowed")
    try:
        public_key = parse_ed25519(insurer_key)
    except InputError as exc:
        raise SealError(f"the insurer's receipt key: {exc}") from exc
    content = verify1(blob, external_aad=context, public_key=public_key)
    try:
        receipt = msgspec.convert(decode_cbor(content), kind, strict=True)
    except (ProtocolError, msgspec.ValidationError) as exc:
        raise SealError(f"not a {name}: {exc}") from exc
    if receipt.v != 1:
        raise SealError(f"receipt version {receipt.v}; known is 1")
    if receipt.device != device:
        raise SealError(f"receipt for {receipt.device}, not for {device}")
    return receipt
