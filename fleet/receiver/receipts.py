"""Receipts as a file: what the insurer holds of a device, signed, for `outrider verify --receipts`."""

from agent.core.records import Position
from agent.link.wire import RECEIPT_RANGES_MAX, encode_receipt
from fleet.receiver.keys import ReceiverKeys
from fleet.receiver.store import ReceiverStore


def make_receipts(store: ReceiverStore, keys: ReceiverKeys, device: str, *, now_ns: int) -> bytes:
    """CBOR sequence (RFC 8742) of receipts for every contiguous range stored; empty where there is none."""
    places = [Position(event["boot"], event["sequence"]) for event in store.events(device)]
    ranges = store.stored_ranges(device, places)
    return b"".join(
        encode_receipt(device, ranges[start : start + RECEIPT_RANGES_MAX], received_ns=now_ns, sign=keys.sign_receipt)
        for start in range(0, len(ranges), RECEIPT_RANGES_MAX)
    )
