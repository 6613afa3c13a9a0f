"""A record as a row of the outbox: its envelope lies under a key of the vault, bound to its place."""

from typing import Any

from agent.core.errors import SealError
from agent.core.records import SealedRecord
from agent.core.vault import Vault
from agent.store.files import bound_of, place_of
from agent.store.rebuild import checksum, is_sound

Row = tuple[int, bytes, int, Any, Any, Any]
"""The columns of files.TABLES: place, payload, crc, stored_ns, purposes, wall_ns."""


def row_of(vault: Vault, record: SealedRecord, stored_ns: int) -> Row:
    """What is stored of a record."""
    place = place_of(record.position)
    return wrap_row(vault, place, record.payload, (stored_ns, record.purposes, record.wall_ns))


def wrap_row(vault: Vault, place: int, envelope: bytes, others: tuple[Any, Any, Any]) -> Row:
    """A row under the newest key. others: stored_ns, purposes, wall_ns."""
    stored = vault.wrap(envelope, bound=bound_of(place))
    return place, stored, checksum(place, stored), *others


def open_row(vault: Vault, place: int, stored: Any, crc: Any) -> bytes | None:
    """Envelope; None where the disk has spoilt it, or its key is gone."""
    if not is_sound(place, stored, crc):
        return None
    try:
        return vault.unwrap(stored, bound=bound_of(place))
    except SealError:
        return None
