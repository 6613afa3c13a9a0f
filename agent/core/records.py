"""What travels: an event with its context, the envelope around its seal, and how places in the queue are named.

docs/wire.md describes both for people without this code.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, NamedTuple

import cbor2
import msgspec
import numpy as np
from msgspec import Meta

from agent.core.config import Name
from agent.core.cose import decode_cbor, encode_cbor
from agent.core.errors import ProtocolError, SealError
from agent.core.events import AnyEvent, Event, Priority

ENVELOPE_VERSION: Final = 1
ENVELOPE_SIZE_MAX: Final = 131_072
EVENT_SIZE_MAX: Final = 65_536
GENESIS: Final = bytes(32)
"""The previous hash of a record that has no predecessor: the first one of a new or lost store."""

Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Nanoseconds = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


SEQUENCE_MAX: Final = 2**32 - 1


class Position(NamedTuple):
    """A record's place: boot counts starts of the agent from 1, sequence counts records of one boot from 1."""

    boot: int
    sequence: int


class Range(NamedTuple):
    """Records first..last of one boot, and the SHA-256 of the last one's envelope, which tells whose they are."""

    boot: int
    first: int
    last: int
    digest: bytes


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The readable part of an envelope. previous is the SHA-256 of the previous record's whole envelope."""

    device: Name
    boot: Count
    sequence: Count
    priority: Priority
    previous: Annotated[bytes, Meta(min_length=32, max_length=32)]

    @property
    def position(self) -> Position:
        """Where the record belongs."""
        return Position(self.boot, self.sequence)


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """A record as it lies on the disk and travels; payload is the whole envelope. bulk: as its event has it.

    purposes, with spaces between, and wall_ns, UTC, are for erasing it later; they do not travel, nor does wall_ns come
    back from the disk.
    """

    device: str
    boot: int
    sequence: int
    priority: Priority
    payload: bytes
    bulk: bool = False
    purposes: str = field(default="", compare=False)
    wall_ns: int | None = field(default=None, compare=False)

    @property
    def is_notice(self) -> bool:
        """Whether somebody at the insurer's waits for it: of a crash, and not its detail."""
        return self.priority is Priority.CRASH and not self.bulk

    @property
    def position(self) -> Position:
        """Where the record belongs."""
        return Position(self.boot, self.sequence)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the envelope: what the next record names as its previous."""
        return digest_of(self.payload)


class Told(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event with the context it was told in.

    v is the version of the event's kind; agent the software that told it; wall_ns the UTC of event.t_ns in
    nanoseconds since 1970, None while clock_synced was false.
    """

    v: int
    agent: str
    boot: Count
    sequence: Count
    wall_ns: Nanoseconds | None
    clock_synced: bool
    event: AnyEvent

    @property
    def wall_offset_ns(self) -> int | None:
        """Wall time minus monotonic time of this boot: dates the records from before the first clock sync."""
        return None if self.wall_ns is None else self.wall_ns - self.event.t_ns


def encode_event(event: Event, *, position: Position, wall_offset_ns: int | None, agent_version: str) -> bytes:
    """CBOR of an event. wall_offset_ns is wall minus monotonic time, None where the clock is not synced.

    Raises SealError for text that is not Unicode, such as bytes of a terminal that could not be decoded.
    """
    told = {
        "v": event.version,
        "agent": agent_version,
        "boot": position.boot,
        "sequence": position.sequence,
        "wall_ns": wall_ns_of(event, wall_offset_ns),
        "clock_synced": wall_offset_ns is not None,
        "event": msgspec.to_builtins(event, builtin_types=(bytes,), enc_hook=_plain_number),
    }
    try:
        return encode_cbor(told)
    except (UnicodeEncodeError, cbor2.CBOREncodeError) as exc:
        raise SealError(f"{event.kind} cannot be encoded: {exc}") from exc


def wall_ns_of(event: Event, wall_offset_ns: int | None) -> int | None:
    """UTC of an event, None where the clock is not synced."""
    return None if wall_offset_ns is None else int(event.t_ns) + wall_offset_ns


def decode_event(data: bytes) -> Told:
    """Inverse of encode_event. Raises ProtocolError, also for kinds and versions this software does not know."""
    try:
        told = msgspec.convert(decode_cbor(data), Told, strict=True)
    except msgspec.ValidationError as exc:
        raise ProtocolError(f"not an event: {exc}") from exc
    if told.v != told.event.version:
        raise ProtocolError(f"{told.event.kind} version {told.v}; known is {told.event.version}")
    if told.clock_synced != (told.wall_ns is not None):
        raise ProtocolError("wall_ns and clock_synced contradict each other")
    return told


def build_envelope(header: Header, cose: bytes) -> bytes:
    """CBOR array [version, device, boot, sequence, priority, previous, COSE_Encrypt]."""
    return encode_cbor(
        [
            ENVELOPE_VERSION,
            header.device,
            header.boot,
            header.sequence,
            int(header.priority),
            header.previous,
            cose,
        ]
    )


def parse_envelope(envelope: bytes) -> tuple[Header, bytes]:
    """Header and COSE bytes. Nothing is verified by this. Raises SealError."""
    if len(envelope) > ENVELOPE_SIZE_MAX:
        raise SealError(f"envelope of {len(envelope)} bytes; {ENVELOPE_SIZE_MAX} are allowed")
    try:
        fields = decode_cbor(envelope)
    except ProtocolError as exc:
        raise SealError(f"not an envelope: {exc}") from exc
    match fields:
        case [version, device, boot, sequence, priority, previous, bytes(cose)]:
            pass
        case _:
            raise SealError("not an envelope: seven fields are expected")
    if version != ENVELOPE_VERSION or isinstance(version, bool):
        raise SealError(f"envelope version {version!r}; known is {ENVELOPE_VERSION}")
    plain = {"device": device, "boot": boot, "sequence": sequence, "priority": priority, "previous": previous}
    try:
        return msgspec.convert(plain, Header, strict=True), cose
    except msgspec.ValidationError as exc:
        raise SealError(f"not an envelope: {exc}") from exc


def digest_of(envelope: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(envelope).digest()


def _plain_number(value: Any) -> Any:
    """Detectors may hand over NumPy scalars; the wire has plain numbers."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no place in an event")
