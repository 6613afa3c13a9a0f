"""A message of the insurer's desk as it is signed: what it may hold, and its CBOR. Pure; docs/wire.md describes it."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from agent.core.config import Name
from agent.core.cose import decode_cbor, encode_cbor
from agent.core.desk_events import DeskKind
from agent.core.errors import ProtocolError

DESK_SIZE_MAX: Final = 4096
"""Bytes of a whole message as it travels, sealed."""
LIFETIME_MAX_NS: Final = 31 * 86_400 * 10**9
TEXT_MAX: Final = 600

_Text = Annotated[str, Meta(min_length=1, max_length=TEXT_MAX, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*\Z")]
_Utc = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Number = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class DeskNote(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the desk says. Times are UTC in ns since 1970; zh and en say the same, one paragraph each.

    id is never used twice for one device. ticket 0: it belongs to none. boot and sequence name the record that the
    ticket is about, about_ns its event's t_ns; 0 where it is about none.
    """

    v: Annotated[int, Meta(ge=1, le=1)] = 1
    id: Name
    device: Name
    created_ns: _Utc
    expires_ns: _Utc
    what: DeskKind
    ticket: _Number = 0
    boot: _Number = 0
    sequence: _Number = 0
    about_ns: _Utc = 0
    points: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    zh: _Text
    en: _Text


def encode_note(note: DeskNote) -> bytes:
    """Deterministic CBOR. Raises ProtocolError for what parse_note would not take."""
    data = encode_cbor(msgspec.to_builtins(note))
    parse_note(data)
    return data


def parse_note(data: bytes) -> DeskNote:
    """Inverse of encode_note. Raises ProtocolError, also for versions and kinds that this software does not know."""
    try:
        note = msgspec.convert(decode_cbor(data), DeskNote, strict=True)
    except msgspec.ValidationError as exc:
        raise ProtocolError(f"not a desk message: {exc}") from exc
    if not note.created_ns < note.expires_ns <= note.created_ns + LIFETIME_MAX_NS:
        raise ProtocolError("a desk message that lives for no time, or for more than 31 days")
    return note
