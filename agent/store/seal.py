"""Sealing: COSE_Encrypt for the insurer and the owner, around COSE_Sign1 by the device, around zstd(CBOR event).

RFC 9052 and 9053 with ECDH-ES + A256KW over X25519, built here because the COSE libraries at hand do key wrapping
with NIST curves only; the tests hold it against one of them and against the working group's vectors.
Both layers bind the envelope's header, so that a record cannot be moved, renumbered or handed to another device.
The outer one also binds the list of recipients: nobody can quietly cut the owner off.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import cbor2
import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from agent.core.cose import ALG, ENCRYPT_TAG, decode_cbor, encode_cbor, sign1, verify1
from agent.core.errors import ProtocolError, SealError
from agent.core.keys import raw_bytes
from agent.core.ports import Keystore
from agent.core.records import (
    ENVELOPE_SIZE_MAX,
    ENVELOPE_VERSION,
    EVENT_SIZE_MAX,
    Header,
    SealedRecord,
    Told,
    build_envelope,
    decode_event,
    digest_of,
    parse_envelope,
)

A256GCM: Final = 3
A256KW: Final = -5
ECDH_ES_A256KW: Final = -31
RECIPIENTS_MAX: Final = 4

_KID: Final = 4  # header labels of RFC 9052, 3.1 and RFC 9053, 6.3.1
_IV: Final = 5
_EPHEMERAL_KEY: Final = -1
_KTY, _OKP, _CRV, _X25519, _X = 1, 1, -1, 4, -2  # a COSE_Key of RFC 9053, 7.2
_PROTECTED_CONTENT: Final = encode_cbor({ALG: A256GCM})
_PROTECTED_RECIPIENT: Final = encode_cbor({ALG: ECDH_ES_A256KW})
_CONTEXT: Final = "outrider/record"
_IV_SIZE: Final = 12
_CEK_BITS: Final = 256


@dataclass(frozen=True, slots=True)
class Sealer:
    """Seals for one device and its recipients. Not to be shared between threads at the same time."""

    keystore: Keystore
    recipients: Sequence[X25519PublicKey]
    _compressor: zstandard.ZstdCompressor = field(default_factory=zstandard.ZstdCompressor)

    def __post_init__(self) -> None:
        if not 1 <= len(self.recipients) <= RECIPIENTS_MAX:
            raise ValueError(f"1 to {RECIPIENTS_MAX} recipients")

    def seal(self, event_cbor: bytes, header: Header) -> SealedRecord:
        """One record. event_cbor comes from encode_event at the header's position. Raises SealError when too large."""
        if len(event_cbor) > EVENT_SIZE_MAX:
            raise SealError(f"event of {len(event_cbor)} bytes; {EVENT_SIZE_MAX} are allowed")
        signed = sign1(
            self._compressor.compress(event_cbor), external_aad=signature_aad(header), sign=self.keystore.sign
        )
        envelope = build_envelope(header, _encrypt(signed, header, self.recipients))
        return SealedRecord(header.device, header.boot, header.sequence, header.priority, envelope)


def open_record(
    envelope: bytes, recipient_key: X25519PrivateKey, device_public_key: Ed25519PublicKey
) -> tuple[Header, Told]:
    """Decrypt with one of the recipients' keys, check the device's signature, decode. Raises SealError(reason)."""
    header, cose = parse_envelope(envelope)
    signed = _decrypt(cose, header, recipient_key)
    compressed = verify1(signed, external_aad=signature_aad(header), public_key=device_public_key)
    try:
        told = decode_event(_decompress(compressed))
    except ProtocolError as exc:
        raise SealError(str(exc)) from exc
    if (told.boot, told.sequence, told.event.priority) != (header.boot, header.sequence, header.priority):
        raise SealError("content and envelope disagree about boot, sequence or priority")
    return header, told


def signature_aad(header: Header) -> bytes:
    """external_aad of the signature: a CBOR array of a label and the envelope's header."""
    return encode_cbor([_CONTEXT, *_bound(header)])


def encryption_aad(header: Header, recipients: Any) -> bytes:
    """external_aad of the encryption: the same, and the SHA-256 of the CBOR array of COSE_recipients."""
    return encode_cbor([_CONTEXT, *_bound(header), digest_of(encode_cbor(recipients))])


def key_id(key: X25519PublicKey) -> bytes:
    """First 8 bytes of the SHA-256 of the raw public key: how a recipient finds its part."""
    return digest_of(raw_bytes(key))[:8]


def derive_kek(secret: bytes) -> bytes:
    """Key-encryption key from an ECDH secret: HKDF-SHA-256 over the COSE_KDF_Context (RFC 9053, 5.2 and 6.4.1)."""
    nobody = [None, None, None]
    context = [A256KW, nobody, nobody, [256, _PROTECTED_RECIPIENT]]
    return HKDF(SHA256(), 32, None, encode_cbor(context)).derive(secret)


def _bound(header: Header) -> list[Any]:
    return [ENVELOPE_VERSION, header.device, header.boot, header.sequence, int(header.priority), header.previous]


def _encrypt(plaintext: bytes, header: Header, keys: Sequence[X25519PublicKey]) -> bytes:
    cek = AESGCM.generate_key(_CEK_BITS)
    recipients = [_wrap(cek, key) for key in keys]
    iv = os.urandom(_IV_SIZE)
    ciphertext = AESGCM(cek).encrypt(iv, plaintext, _enc_structure(encryption_aad(header, recipients)))
    return encode_cbor(cbor2.CBORTag(ENCRYPT_TAG, [_PROTECTED_CONTENT, {_IV: iv}, ciphertext, recipients]))


def _wrap(cek: bytes, key: X25519PublicKey) -> list[Any]:
    ephemeral = X25519PrivateKey.generate()
    public = {_KTY: _OKP, _CRV: _X25519, _X: raw_bytes(ephemeral.public_key())}
    wrapped = aes_key_wrap(derive_kek(ephemeral.exchange(key)), cek)
    return [_PROTECTED_RECIPIENT, {_EPHEMERAL_KEY: public, _KID: key_id(key)}, wrapped]


def _decrypt(cose: bytes, header: Header, key: X25519PrivateKey) -> bytes:
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
    if protected != _PROTECTED_CONTENT or rest or len(iv) != _IV_SIZE or len(recipients) > RECIPIENTS_MAX:
        raise SealError("encrypted by another algorithm than A256GCM, or with other headers")
    cek = _unwrap(recipients, key)
    try:
        return AESGCM(cek).decrypt(iv, ciphertext, _enc_structure(encryption_aad(header, recipients)))
    except (InvalidTag, ValueError) as exc:
        raise SealError("envelope or content was altered") from exc


def _unwrap(recipients: list[Any], key: X25519PrivateKey) -> bytes:
    wanted = key_id(key.public_key())
    for recipient in recipients:
        match recipient:
            case [bytes(protected), {4: bytes(kid), -1: {1: 1, -1: 4, -2: bytes(x)}}, bytes(wrapped)]:
                if kid != wanted or protected != _PROTECTED_RECIPIENT or len(x) != 32:
                    continue
            case _:
                raise SealError("a recipient is not ECDH-ES + A256KW over X25519")
        try:
            secret = key.exchange(X25519PublicKey.from_public_bytes(x))
            cek = aes_key_unwrap(derive_kek(secret), wrapped)
        except (InvalidUnwrap, ValueError) as exc:  # ValueError: a point of low order
            raise SealError("the wrapped key was altered") from exc
        if len(cek) * 8 != _CEK_BITS:
            raise SealError("the wrapped key has the wrong size")
        return cek
    raise SealError("not sealed for this key")


def _enc_structure(external_aad: bytes) -> bytes:
    """RFC 9052, 5.3."""
    return encode_cbor(["Encrypt", _PROTECTED_CONTENT, external_aad])


def _decompress(data: bytes) -> bytes:
    """Whole zstd frame of a known, bounded size, and nothing behind it."""
    try:
        size = zstandard.frame_content_size(data)
        if not 0 <= size <= EVENT_SIZE_MAX:
            raise SealError(f"content of {size} bytes; {EVENT_SIZE_MAX} are allowed")
        return zstandard.ZstdDecompressor(max_window_size=ENVELOPE_SIZE_MAX).decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as exc:
        raise SealError("content is not zstd") from exc
