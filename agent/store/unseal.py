"""Opening what seal.py has sealed: for the insurer, the owner, and third parties. Writes and sends nothing.

Recipients open with their private key. One of them may disclose a record's content key to a third party, who reads
that record and no other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import cbor2
import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

from agent.core.cose import ALG, ENCRYPT_TAG, byte_string, decode_cbor, encode_cbor, head, verify1
from agent.core.errors import ProtocolError, SealError
from agent.core.keys import raw_bytes
from agent.core.records import (
    ENVELOPE_SIZE_MAX,
    ENVELOPE_VERSION,
    EVENT_SIZE_MAX,
    Header,
    Told,
    decode_event,
    digest_of,
    parse_envelope,
)
from agent.store.dictionary import load_dictionary

A256GCM: Final = 3
A256KW: Final = -5
ECDH_ES_A256KW: Final = -31
RECIPIENTS_MAX: Final = 4
IV_SIZE: Final = 12
CEK_BITS: Final = 256
PROTECTED_CONTENT: Final = encode_cbor({ALG: A256GCM})
PROTECTED_RECIPIENT: Final = encode_cbor({ALG: ECDH_ES_A256KW})

_LABEL: Final = encode_cbor("outrider/record") + encode_cbor(ENVELOPE_VERSION)
_ENCRYPT: Final = head(4, 3) + encode_cbor("Encrypt") + byte_string(PROTECTED_CONTENT)
_NOBODY: Final = [None, None, None]
_KDF_CONTEXT: Final = encode_cbor([A256KW, _NOBODY, _NOBODY, [256, PROTECTED_RECIPIENT]])  # RFC 9053, 5.2


PrivateKeys = X25519PrivateKey | Sequence[X25519PrivateKey]
"""A recipient's key; or all that it ever had, since cars that were offline go on sealing for an old one."""


def open_record(
    envelope: bytes, recipient_key: PrivateKeys, device_public_key: Ed25519PublicKey
) -> tuple[Header, Told]:
    """Decrypt with one of the recipients' keys, check the device's signature, decode. Raises SealError(reason)."""
    header, cose = parse_envelope(envelope)
    return header, open_parsed(header, cose, recipient_key, device_public_key)


def open_parsed(header: Header, cose: bytes, recipient_key: PrivateKeys, device_public_key: Ed25519PublicKey) -> Told:
    """As open_record, of an envelope that has been parsed. Raises SealError(reason)."""
    message = _parse_encrypt(cose)
    return _read(message, _unwrap(message.recipients, recipient_key), header, device_public_key)


def disclose_key(envelope: bytes, recipient_key: PrivateKeys) -> bytes:
    """Content key of this one record, 32 bytes: opens it for who gets it, and nothing else. Raises SealError."""
    _, cose = parse_envelope(envelope)
    return _unwrap(_parse_encrypt(cose).recipients, recipient_key)


def open_disclosed(envelope: bytes, content_key: bytes, device_public_key: Ed25519PublicKey) -> tuple[Header, Told]:
    """As open_record, by a content key that a recipient has disclosed. Raises SealError(reason)."""
    header, cose = parse_envelope(envelope)
    if len(content_key) * 8 != CEK_BITS:
        raise SealError("the disclosed key has the wrong size")
    return header, _read(_parse_encrypt(cose), content_key, header, device_public_key)


def signature_aad(header: Header) -> bytes:
    """external_aad of the signature: a CBOR array of a label and the envelope's header."""
    return head(4, 7) + _bound(header)


def encryption_aad(header: Header, recipients: Any) -> bytes:
    """external_aad of the encryption: the same, and the SHA-256 of the CBOR array of COSE_recipients."""
    return head(4, 8) + _bound(header) + byte_string(digest_of(encode_cbor(recipients)))


def enc_structure(external_aad: bytes) -> bytes:
    """RFC 9052, 5.3."""
    return _ENCRYPT + byte_string(external_aad)


def key_id(key: X25519PublicKey) -> bytes:
    """First 8 bytes of the SHA-256 of the raw public key: how a recipient finds its part."""
    return digest_of(raw_bytes(key))[:8]


@lru_cache(maxsize=64)
def _own_id(key: X25519PrivateKey) -> bytes:
    """Asked for with every record."""
    return key_id(key.public_key())


def derive_kek(secret: bytes) -> bytes:
    """Key-encryption key from an ECDH secret: HKDF-SHA-256 over the COSE_KDF_Context (RFC 9053, 5.2 and 6.4.1)."""
    return HKDF(SHA256(), 32, None, _KDF_CONTEXT).derive(secret)


def _bound(header: Header) -> bytes:
    """The label, and the envelope's fields but the last, as CBOR items one after another."""
    device = header.device.encode()
    return b"".join(
        (
            _LABEL,
            head(3, len(device)),
            device,
            head(0, header.boot),
            head(0, header.sequence),
            head(0, header.priority),
            byte_string(header.previous),
        )
    )


@dataclass(frozen=True, slots=True)
class _Encrypt:
    """A COSE_Encrypt of the one shape that is ours."""

    iv: bytes
    ciphertext: bytes
    recipients: list[Any]


def _parse_encrypt(cose: bytes) -> _Encrypt:
    try:
        message = decode_cbor(cose)
    except ProtocolError as exc:
        raise SealError(f"not a COSE_Encrypt: {exc}") from exc
    if not (isinstance(message, cbor2.CBORTag) and message.tag == ENCRYPT_TAG):
        raise SealError("not a COSE_Encrypt")
    match message.value:
        case [bytes(protected), {5: bytes(iv), **rest}, bytes(ciphertext), list(recipients)]:
            pass
        case _:
            raise SealError("not a COSE_Encrypt")
    if protected != PROTECTED_CONTENT or rest or len(iv) != IV_SIZE or len(recipients) > RECIPIENTS_MAX:
        raise SealError("encrypted by another algorithm than A256GCM, or with other headers")
    return _Encrypt(iv, ciphertext, recipients)


def _unwrap(recipients: list[Any], keys: PrivateKeys) -> bytes:
    """Content key, by the first recipient whose key this is."""
    own = {_own_id(key): key for key in ([keys] if isinstance(keys, X25519PrivateKey) else keys)}
    for recipient in recipients:
        match recipient:
            case [bytes(protected), {4: bytes(kid), -1: {1: 1, -1: 4, -2: bytes(x)}}, bytes(wrapped)]:
                if kid not in own or protected != PROTECTED_RECIPIENT or len(x) != 32:
                    continue
            case _:
                raise SealError("a recipient is not ECDH-ES + A256KW over X25519")
        try:
            secret = own[kid].exchange(X25519PublicKey.from_public_bytes(x))
            cek = aes_key_unwrap(derive_kek(secret), wrapped)
        except (InvalidUnwrap, ValueError) as exc:  # ValueError: a point of low order
            raise SealError("the wrapped key was altered") from exc
        if len(cek) * 8 != CEK_BITS:
            raise SealError("the wrapped key has the wrong size")
        return cek
    raise SealError("not sealed for this key")


def _read(message: _Encrypt, cek: bytes, header: Header, device_public_key: Ed25519PublicKey) -> Told:
    """What the device has signed below the encryption, where it agrees with the envelope."""
    aad = enc_structure(encryption_aad(header, message.recipients))
    try:
        signed = AESGCM(cek).decrypt(message.iv, message.ciphertext, aad)
    except (InvalidTag, ValueError) as exc:
        raise SealError("envelope or content was altered") from exc
    compressed = verify1(signed, external_aad=signature_aad(header), public_key=device_public_key)
    try:
        told = decode_event(_decompress(compressed))
    except ProtocolError as exc:
        raise SealError(str(exc)) from exc
    if (told.boot, told.sequence, told.event.priority) != (header.boot, header.sequence, header.priority):
        raise SealError("content and envelope disagree about boot, sequence or priority")
    return told


def _decompress(data: bytes) -> bytes:
    """Whole zstd frame of a known, bounded size and a known dictionary, and nothing behind it."""
    try:
        frame = zstandard.get_frame_parameters(data)
        # One comparison for all: a frame that does not state its size reads as 2**64 - 1.
        if frame.content_size > EVENT_SIZE_MAX:
            raise SealError(f"content of {frame.content_size} bytes; {EVENT_SIZE_MAX} are allowed")
        known = load_dictionary(frame.dict_id) if frame.dict_id else None
        reader = zstandard.ZstdDecompressor(dict_data=known, max_window_size=ENVELOPE_SIZE_MAX)
        return reader.decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as exc:
        raise SealError("content is not zstd") from exc
