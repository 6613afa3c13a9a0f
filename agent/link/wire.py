"""What is said on which topic: records up, receipts down. Pure; docs/wire.md is its description.

A receipt is a COSE_Sign1 by the insurer's Ed25519 key over CBOR {v, device, received_ns, ranges: [[boot, first, last,
SHA-256 of the last envelope], ...]}: the insurer holds these records, and the car may forget them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from agent.core.cose import encode_cbor, sign1
from agent.core.errors import SealError
from agent.core.records import Count, Nanoseconds, Range, Told, decode_event, encode_event
from agent.link.wire_signed import InsurerSigned, open_signed

__all__ = [
    "RECEIPT_RANGES_MAX",
    "Told",
    "config_topic",
    "decode_event",
    "desk_topic",
    "downlink_topics",
    "encode_event",
    "encode_receipt",
    "group_config_topic",
    "may_be_refused",
    "open_receipt",
    "parse_receipt",
    "parse_topic",
    "receipt_topic",
    "record_topic",
]

RECEIPT_RANGES_MAX: Final = 256
RECEIPT_SIZE_MAX: Final = 65_536
RECEIPT_CONTEXT: Final = encode_cbor(["outrider/receipt", 1])
"""external_aad of a receipt: a signature of another purpose by the same key is no receipt."""

_ROOT: Final = "outrider/v1"


def record_topic(device: str) -> str:
    """Up: envelopes."""
    return f"{_ROOT}/{device}/record"


def receipt_topic(device: str) -> str:
    """Down: receipts."""
    return f"{_ROOT}/{device}/receipt"


def desk_topic(device: str) -> str:
    """Down: messages of the insurer's desk, sealed for the device."""
    return f"{_ROOT}/{device}/desk"


def may_be_refused(topic: str) -> bool:
    """Whether a link serves without it: a broker set up before there were a desk and erasures knows no such topic."""
    return topic.startswith(f"{_ROOT}/") and topic.endswith(("/desk", "/erasure"))


def config_topic(device: str) -> str:
    """Down, retained: the bundle for one vehicle."""
    return f"{_ROOT}/{device}/config"


def erasure_topic(device: str) -> str:
    """Down: receipts for erasures; see agent.link.wire_erasure."""
    return f"{_ROOT}/{device}/erasure"


def group_config_topic(group: str) -> str:
    """Down, retained: the bundle for a group of vehicles."""
    return f"{_ROOT}/group/{group}/config"


def downlink_topics(device: str, groups: Sequence[str]) -> list[str]:
    """Everything a device subscribes to: its receipts, its desk's messages, its config and its groups' config."""
    own = [receipt_topic(device), desk_topic(device), config_topic(device), erasure_topic(device)]
    return own + [group_config_topic(group) for group in groups]


def parse_topic(topic: str) -> tuple[str, str] | None:
    """Device and last word (record, receipt, desk, config, erasure) of a device's topic; None for any other topic."""
    match topic.split("/"):
        case ["outrider", "v1", device, ("record" | "receipt" | "desk" | "config" | "erasure") as what] if device:
            return device, what
        case _:
            return None


class _Line(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    boot: Count
    first: Count
    last: Count
    digest: Annotated[bytes, Meta(min_length=32, max_length=32)]


class _Receipt(InsurerSigned, frozen=True, kw_only=True):
    received_ns: Nanoseconds
    ranges: Annotated[list[_Line], Meta(min_length=1, max_length=RECEIPT_RANGES_MAX)]


def encode_receipt(device: str, ranges: Sequence[Range], *, received_ns: int, sign: Callable[[bytes], bytes]) -> bytes:
    """Signed receipt for at most RECEIPT_RANGES_MAX ranges; received_ns is the receiver's UTC."""
    content = {"v": 1, "device": device, "received_ns": received_ns, "ranges": [list(r) for r in ranges]}
    return sign1(encode_cbor(content), external_aad=RECEIPT_CONTEXT, sign=sign)


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """What a receipt says: what is held, and the insurer's UTC in ns since 1970 when it was signed."""

    ranges: list[Range]
    received_ns: int


def parse_receipt(blob: bytes, insurer_key: bytes, device: str) -> list[Range]:
    """Ranges the insurer has signed for. insurer_key: Ed25519, PEM or raw. Raises SealError with the reason."""
    return open_receipt(blob, insurer_key, device).ranges


def open_receipt(blob: bytes, insurer_key: bytes, device: str) -> SignedReceipt:
    """All that a receipt says. insurer_key: Ed25519, PEM or raw. Raises SealError with the reason."""
    receipt = open_signed(
        blob, insurer_key, device, _Receipt, context=RECEIPT_CONTEXT, size_max=RECEIPT_SIZE_MAX, name="receipt"
    )
    for line in receipt.ranges:
        if line.first > line.last:
            raise SealError(f"receipt with an empty range {line.first}..{line.last}")
    ranges = [Range(line.boot, line.first, line.last, line.digest) for line in receipt.ranges]
    return SignedReceipt(ranges, receipt.received_ns)
