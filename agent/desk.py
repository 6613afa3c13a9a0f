"""Opens messages of the insurer's desk: sealed for this box alone, signed by the insurer.

The seal is that of records (agent.store.seal), for the device's own key on Curve25519; the signature is by the key of
receipts, in a context of its own.
"""

from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.core.cose import encode_cbor, sign1, verify1
from agent.core.desk import DESK_SIZE_MAX, DeskNote, encode_note, parse_note
from agent.core.errors import InputError, ProtocolError, SealError
from agent.core.keys import parse_ed25519, to_x25519
from agent.core.ports import Keystore
from agent.core.records import digest_of
from agent.store.seal import encrypt_bound
from agent.store.unseal import Bind, decrypt_bound, key_id

DESK_CONTEXT: Final = encode_cbor(["outrider/desk", 1])
"""external_aad of the signature: a receipt by the same key is no message, and no message a receipt."""


def seal_note(note: DeskNote, device_key: Ed25519PublicKey, sign: Callable[[bytes], bytes]) -> bytes:
    """What travels. sign: by the insurer's receipt key. Raises ProtocolError for what no car would take, InputError."""
    signed = sign1(encode_note(note), external_aad=DESK_CONTEXT, sign=sign)
    sealed = encrypt_bound(signed, _bind(note.device), [to_x25519(device_key)])
    if len(sealed) > DESK_SIZE_MAX:
        raise ProtocolError(f"a desk message of {len(sealed)} bytes; {DESK_SIZE_MAX} are allowed")
    return sealed


def open_note(blob: bytes, keystore: Keystore, insurer_key: bytes) -> DeskNote:
    """Decrypt, verify, decode. insurer_key: of receipts, PEM or raw. Raises SealError with the reason."""
    if len(blob) > DESK_SIZE_MAX:
        raise SealError(f"a desk message of {len(blob)} bytes; {DESK_SIZE_MAX} are allowed")
    device = keystore.device_id
    try:
        public_key = parse_ed25519(insurer_key)
        kid = key_id(to_x25519(parse_ed25519(keystore.public_key)))
    except InputError as exc:
        raise SealError(f"the insurer's or the device's key: {exc}") from exc
    signed = decrypt_bound(blob, _bind(device), kid, keystore.agree)
    content = verify1(signed, external_aad=DESK_CONTEXT, public_key=public_key)
    try:
        note = parse_note(content)
    except ProtocolError as exc:
        raise SealError(str(exc)) from exc
    if note.device != device:
        raise SealError(f"a desk message for {note.device}, not for {device}")
    return note


def _bind(device: str) -> Bind:
    """external_aad of the seal: for whom it is, and that there is no other recipient."""
    return lambda recipients: encode_cbor(["outrider/desk", 1, device, digest_of(recipients)])
