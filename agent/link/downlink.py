"""What comes down: receipts and config bundles, told apart by topic. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.core.errors import ProtocolError
from agent.core.ports import Message
from agent.core.records import Range
from agent.link import wire


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the insurer has signed for."""

    ranges: Sequence[Range]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A pushed config, as it came: agent.remote decides whether to trust it."""

    payload: bytes


def parse_message(
    message: Message, *, device: str, groups: Sequence[str], receipt_key: bytes
) -> Receipt | Bundle | None:
    """None for an emptied retained topic. Raises SealError for a bad receipt, ProtocolError for a foreign topic."""
    if message.topic == wire.receipt_topic(device):
        return Receipt(wire.parse_receipt(message.payload, receipt_key, device))
    if message.topic == wire.config_topic(device) or message.topic in map(wire.group_config_topic, groups):
        return Bundle(message.payload) if message.payload else None
    raise ProtocolError(f"nothing was subscribed to on {message.topic}")
