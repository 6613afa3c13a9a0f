"""The owner's data as he may take it with him: one JSON text, plain words and numbers, written piece by piece.

`records`: all that waits to leave, opened with his key (without it they stay sealed, in base64). `learnt`: what the box
has learnt of the car, file by file, in names and numbers (agent.learnt). `tickets` and `desk`: those of the insurer's
desk and its messages, opened with the device's key; what cannot be opened says why. `consents` and `erasures` with the
insurer's receipts, as COSE in base64. What has left is at the insurer's: ask him for a copy. Bytes, such as sound, are
in base64.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agent import __version__
from agent.core.config import Config
from agent.core.desk_state import DeskBook, Kept, load_book
from agent.core.errors import InputError, SealError
from agent.core.events import VoiceClip
from agent.core.keys import parse_ed25519
from agent.core.ports import Keystore
from agent.core.records import Position, parse_envelope
from agent.core.vault import read_wrapped
from agent.desk import open_note
from agent.learnt import plain_state
from agent.store.look import look_through
from agent.store.unseal import open_record

_FORMAT: Final = "outrider-export/1"
_SIZE_MAX: Final = 4_000_000
_PROOFS: Final = ("consent.state", "erasures.state")
_OTHERS: Final = ("mounting.json", "vehicles.json")
_DESK: Final = "desk.state"


def export_parts(
    directory: Path,
    config: Config,
    keystore: Keystore,
    owner_key: X25519PrivateKey | None,
    *,
    insurer_key: bytes,
    consents: Sequence[Mapping[str, Any]],
    on_clip: Callable[[Position, VoiceClip], None] = lambda _, __: None,
) -> Iterator[str]:
    """Pieces of the text, to be written one after another. consents: how each purpose stands.

    keystore: the device's, for what was sealed for it; insurer_key: of receipts, which signs the desk's messages.
    on_clip is called with each clip of sound that could be opened, and where its record is.
    Raises InputError where the outbox is there and cannot be read.
    """
    device_key = parse_ed25519(keystore.public_key)
    book = load_book(_bytes(directory / _DESK) or b"")
    head = {
        "format": _FORMAT,
        "device": config.device.id,
        "agent_version": __version__,
        "vehicle": config.vehicle,
        "consents": list(consents),
        "erasures": (_state(directory / _PROOFS[1]) or {}).get("erasures", []),
        "learnt": {path.stem: _state(path) for path in _learnt(directory)},
        "tickets": list(book.tickets.values()),
        "desk": [_message(kept, keystore, insurer_key) for kept in _newest(book)],
    }
    yield _text(head)[:-1] + ', "records": ['
    comma = "\n"
    for envelope in _envelopes(directory):
        yield comma + _text(_record(envelope, device_key, owner_key, on_clip))
        comma = ",\n"
    yield "\n]}\n"


def _learnt(directory: Path) -> Iterator[Path]:
    states = [path for path in sorted(directory.glob("*.state")) if path.name not in _PROOFS]
    yield from (path for path in (*states, *(directory / name for name in _OTHERS)) if path.exists())


def _envelopes(directory: Path) -> Iterator[bytes]:
    try:
        yield from look_through(directory)
    except InputError:
        if (directory / "outbox.db").exists():
            raise


def _record(
    envelope: bytes,
    device_key: Ed25519PublicKey,
    owner_key: X25519PrivateKey | None,
    on_clip: Callable[[Position, VoiceClip], None],
) -> dict[str, Any]:
    header, _ = parse_envelope(envelope)
    found: dict[str, Any] = {"boot": header.boot, "sequence": header.sequence, "priority": header.priority.name.lower()}
    if owner_key is None:
        return found | {"sealed": envelope}
    try:
        _, told = open_record(envelope, owner_key, device_key)
    except SealError as exc:
        return found | {"sealed": envelope, "cannot_be_opened": str(exc)}
    if isinstance(told.event, VoiceClip):
        on_clip(header.position, told.event)
    time = None if told.wall_ns is None else datetime.fromtimestamp(told.wall_ns / 1e9, UTC).isoformat()
    return found | {"time": time, "agent_version": told.agent, "event": told.event}


def _newest(book: DeskBook) -> Iterator[Kept]:
    """As the page has them."""
    return reversed(book.kept)


def _message(kept: Kept, keystore: Keystore, insurer_key: bytes) -> dict[str, Any]:
    told: dict[str, Any] = {"id": kept.id, "told": kept.told}
    try:
        return {**told, **msgspec.to_builtins(open_note(kept.sealed, keystore, insurer_key))}
    except SealError as exc:
        return told | {"sealed": kept.sealed, "cannot_be_opened": str(exc)}


def _state(path: Path) -> Any:
    """What a file holds, plain; None where it cannot be read."""
    data = _bytes(path)
    return None if data is None else plain_state(path.stem, data)


def _bytes(path: Path) -> bytes | None:
    try:
        return read_wrapped(path, _SIZE_MAX)
    except (OSError, SealError):
        return None


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()  # bytes become base64, what is no number null
