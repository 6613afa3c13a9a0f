"""Receipts: which ranges to sign for, and all that is held of a device as a file for `outrider verify --receipts`."""

from collections.abc import Iterable

from agent.core.records import Position, Range
from agent.link.wire import RECEIPT_RANGES_MAX, encode_receipt
from fleet.receiver.keys import ReceiverKeys
from fleet.receiver.store import Store


def contiguous_ranges(places: Iterable[tuple[Position, bytes]]) -> list[Range]:
    """Sorted places and the hashes of their envelopes as ranges without gaps."""
    ranges: list[Range] = []
    for (boot, sequence), digest in places:
        if ranges and (ranges[-1].boot, ranges[-1].last + 1) == (boot, sequence):
            ranges[-1] = ranges[-1]._replace(last=sequence, digest=digest)
        else:
            ranges.append(Range(boot, sequence, sequence, digest))
    return ranges


def sign_receipts(keys: ReceiverKeys, device: str, ranges: list[Range], *, now_ns: int) -> list[bytes]:
    """As many receipts as the ranges need."""
    return [
        encode_receipt(device, ranges[start : start + RECEIPT_RANGES_MAX], received_ns=now_ns, sign=keys.sign_receipt)
        for start in range(0, len(ranges), RECEIPT_RANGES_MAX)
    ]


def make_receipts(store: Store, keys: ReceiverKeys, device: str, *, now_ns: int) -> bytes:
    """CBOR sequence (RFC 8742) of receipts for every contiguous range stored; empty where there is none."""
    ranges = contiguous_ranges(store.positions(device))
    return b"".join(sign_receipts(keys, device, ranges, now_ns=now_ns))
