"""What the insurer does with a record: open, verify, store once, and sign for it. No network in here."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from agent.core.errors import SealError
from agent.core.events import AnyEvent
from agent.core.records import Header, Position, Told, digest_of, parse_envelope
from agent.link.wire import RECEIPT_RANGES_MAX, encode_receipt, receipt_topic
from agent.store.unseal import open_record
from fleet.receiver.keys import ReceiverKeys
from fleet.receiver.store import ReceiverStore

_RECEIPTED_TIMES: Final = 2  # one may be lost with a connection; after that the device sends again and is answered
_UNANSWERED_MAX: Final = 100_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an envelope. device is what it claims to be from, "" where even that cannot be read."""

    status: Literal["accepted", "duplicate", "dead"]
    device: str = ""
    position: Position | None = None
    told: Told | None = None
    reason: str = ""

    @property
    def event(self) -> AnyEvent | None:
        """The event of an accepted record."""
        return None if self.told is None else self.told.event


class Intake:
    """The receiver's core; one per receiver process."""

    def __init__(self, keys: ReceiverKeys, store: ReceiverStore, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self.store = store
        self._keys = keys
        self._now_ns = now_ns
        self._unanswered: dict[str, dict[Position, int]] = {}  # how often each place has been receipted

    def take(self, envelope: bytes) -> Outcome:
        """Accept a record, recognise a duplicate, or bury it with the reason. Raises StoreError."""
        try:
            header, _ = parse_envelope(envelope)
        except SealError as exc:
            return self._bury(envelope, Outcome("dead", reason=str(exc)))
        stored = self.store.digest_at(header.device, header.position)
        if stored == digest_of(envelope):
            self._owe(header)
            return Outcome("duplicate", header.device, header.position)
        try:
            told = self._open(header, envelope)
        except SealError as exc:
            return self._bury(envelope, Outcome("dead", header.device, header.position, reason=str(exc)))
        if stored is not None:
            # An SD card may have been replaced or restored. Without a receipt the car keeps its record.
            reason = "another record holds this place"
            return self._bury(envelope, Outcome("dead", header.device, header.position, reason=reason))
        self.store.add(header, told, envelope, received_ns=self._now_ns())
        self._owe(header)
        return Outcome("accepted", header.device, header.position, told)

    def receipts(self, device: str) -> list[tuple[str, bytes]]:
        """Topic and payload of the receipts for what came since the last but one call, committed before signed.

        Ranges name what is stored, whether or not the chain is complete yet: a record that overtook others is safe.
        Sending them is repeatable; a receipt that got lost is made again when the device sends again.
        """
        places = self._unanswered.get(device, {})
        if not places:
            return []
        self.store.commit()
        # Apart: a range that ended in a record answered before would be refused whole by a car that forgot it since.
        fresh = sorted(place for place, times in places.items() if times == 0)
        again = sorted(place for place, times in places.items() if times > 0)
        ranges = self.store.stored_ranges(device, fresh) + self.store.stored_ranges(device, again)
        self._unanswered[device] = {p: times + 1 for p, times in places.items() if times + 1 < _RECEIPTED_TIMES}
        return [
            (
                receipt_topic(device),
                encode_receipt(
                    device,
                    ranges[start : start + RECEIPT_RANGES_MAX],
                    received_ns=self._now_ns(),
                    sign=self._keys.sign_receipt,
                ),
            )
            for start in range(0, len(ranges), RECEIPT_RANGES_MAX)
        ]

    def _open(self, header: Header, envelope: bytes) -> Told:
        device_key = self._keys.device_key(header.device)
        if device_key is None:
            raise SealError("the device is not registered")
        _, told = open_record(envelope, self._keys.encryption_key, device_key)
        return told

    def _owe(self, header: Header) -> None:
        places = self._unanswered.setdefault(header.device, {})
        if len(places) < _UNANSWERED_MAX:
            places[header.position] = 0

    def _bury(self, envelope: bytes, outcome: Outcome) -> Outcome:
        self.store.bury(outcome.device, envelope, outcome.reason, received_ns=self._now_ns())
        return outcome
