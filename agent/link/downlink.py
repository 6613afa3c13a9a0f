"""What comes down: receipts, also for erasures, messages of the desk and config bundles, told apart by topic. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.core.erasure import ErasureReceipt
from agent.core.errors import ProtocolError
from agent.core.link_ports import Message
from agent.core.records import Range
from agent.link import wire
from agent.link.wire_erasure import open_erasure_receipt


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the insurer has signed for, and when by its own clock: UTC in ns since 1970."""

    ranges: Sequence[Range]
    received_ns: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Bundle:
    """A pushed config, as it came: agent.remote decides whether to trust it."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Desk:
    """A message of the insurer's desk, as it came: agent.desk opens it."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Erased:
    """The insurer's receipt for an erasure: what it says, and as it came."""

    receipt: ErasureReceipt
    payload: bytes


def parse_message(
    message: Message, *, device: str, groups: Sequence[str], receipt_key: bytes
) -> Receipt | Desk | Bundle | Erased | None:
    """None for an emptied retained topic. Raises SealError for a bad receipt, ProtocolError for a foreign topic."""
    if message.topic == wire.receipt_topic(device):
        receipt = wire.open_receipt(message.payload, receipt_key, device)
        return Receipt(receipt.ranges, receipt.received_ns, message.payload)
    if message.topic == wire.desk_topic(device):
        return Desk(message.payload)
    if message.topic == wire.erasure_topic(device):
        return Erased(open_erasure_receipt(message.payload, receipt_key, device), message.payload)
    if message.topic == wire.config_topic(device) or message.topic in map(wire.group_config_topic, groups):
        return Bundle(message.payload) if message.payload else None
    raise ProtocolError(f"nothing was subscribed to on {message.topic}")
