"""Opening what seal.py has sealed: for the insurer, the owner, and third parties. Writes and sends nothing.

Recipients open with their private key. One of them may disclose a record's content key to a third party, who reads
that record and no other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

from agent.core.cose import ALG, ENCRYPT_TAG, byte_string, encode_cbor, head, take_bytes, verify1
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
_KID_SIZE: Final = 8
_X_SIZE: Final = 32
_WRAPPED_SIZE: Final = CEK_BITS // 8 + 8  # RFC 3394
# What stands between the parts of a COSE_Encrypt. Labels: 5 iv, 4 kid, -1 ephemeral key; of a COSE_Key: 1 type OKP,
# -1 curve X25519, -2 x.
_ENCRYPT_BEGIN: Final = (
    head(6, ENCRYPT_TAG) + head(4, 4) + byte_string(PROTECTED_CONTENT) + head(5, 1) + head(0, 5) + head(2, IV_SIZE)
)
_TO_KID: Final = head(4, 3) + byte_string(PROTECTED_RECIPIENT) + head(5, 2) + head(0, 4) + head(2, _KID_SIZE)
_TO_X: Final = (
    head(1, 0) + head(5, 3) + head(0, 1) + head(0, 1) + head(1, 0) + head(0, 4) + head(1, 1) + head(2, _X_SIZE)
)
_TO_WRAPPED: Final = head(2, _WRAPPED_SIZE)
_RECIPIENT_SIZE: Final = len(_TO_KID) + _KID_SIZE + len(_TO_X) + _X_SIZE + len(_TO_WRAPPED) + _WRAPPED_SIZE
_ENCRYPT: Final = head(4, 3) + encode_cbor("Encrypt") + byte_string(PROTECTED_CONTENT)
_NOBODY: Final = [None, None, None]
_KDF_CONTEXT: Final = encode_cbor([A256KW, _NOBODY, _NOBODY, [256, PROTECTED_RECIPIENT]])  # RFC 9053, 5.2


PrivateKeys = X25519PrivateKey | Sequence[X25519PrivateKey]
"""A recipient's key; or all that it ever had, since cars that were offline go on sealing for an old one."""


Agree = Callable[[X25519PublicKey], bytes]
"""X25519 with a private key that only its keystore sees. Raises ValueError for a point of low order."""

Bind = Callable[[bytes], bytes]
"""external_aad of an encryption, out of its CBOR array of COSE_recipients."""


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


def decrypt_bound(cose: bytes, bind: Bind, kid: bytes, agree: Agree) -> bytes:
    """Plaintext of what encrypt_bound has sealed for the key of that id, and maybe for others. Raises SealError."""
    message = _parse_encrypt(cose)
    return _decrypt(message, _unwrap_by(message.recipients, {kid: agree}), bind)


def signature_aad(header: Header) -> bytes:
    """external_aad of the signature: a CBOR array of a label and the envelope's header."""
    return head(4, 7) + _bound(header)


def encryption_aad(header: Header, recipients: bytes) -> bytes:
    """external_aad of the encryption: the same, and the SHA-256 of the CBOR array of COSE_recipients."""
    return head(4, 8) + _bound(header) + byte_string(digest_of(recipients))


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
    """A COSE_Encrypt of the one shape that is ours. recipients is their array as it stands there."""

    iv: bytes
    ciphertext: bytes
    recipients: bytes


def join_encrypt(iv: bytes, ciphertext: bytes, recipients: bytes) -> bytes:
    """COSE_Encrypt, tagged. recipients: the CBOR array of what join_recipient gives."""
    return _ENCRYPT_BEGIN + iv + byte_string(ciphertext) + recipients


def join_recipient(kid: bytes, public: bytes, wrapped: bytes) -> bytes:
    """COSE_recipient of a key id, an ephemeral X25519 key and a wrapped content key."""
    return _TO_KID + kid + _TO_X + public + _TO_WRAPPED + wrapped


def _parse_encrypt(cose: bytes) -> _Encrypt:
    """Deterministic CBOR gives such a message one form only: its bytes are compared, no decoder is asked."""
    if not cose.startswith(_ENCRYPT_BEGIN):
        raise SealError("not a COSE_Encrypt by A256GCM")
    at = len(_ENCRYPT_BEGIN) + IV_SIZE
    try:
        ciphertext, end = take_bytes(cose, at)
    except ProtocolError as exc:
        raise SealError(f"not a COSE_Encrypt: {exc}") from exc
    return _Encrypt(cose[at - IV_SIZE : at], ciphertext, cose[end:])


def _unwrap(recipients: bytes, keys: PrivateKeys) -> bytes:
    """Content key, by the first recipient whose key this is."""
    return _unwrap_by(
        recipients, {_own_id(key): key.exchange for key in ([keys] if isinstance(keys, X25519PrivateKey) else keys)}
    )


def _unwrap_by(recipients: bytes, own: Mapping[bytes, Agree]) -> bytes:
    count, rest = divmod(len(recipients) - 1, _RECIPIENT_SIZE)
    if rest or not 1 <= count <= RECIPIENTS_MAX or recipients[:1] != head(4, count):
        raise SealError(f"not 1 to {RECIPIENTS_MAX} recipients by ECDH-ES + A256KW over X25519")
    for start in range(1, len(recipients), _RECIPIENT_SIZE):
        kid, x, wrapped = _parse_recipient(recipients[start : start + _RECIPIENT_SIZE])
        if kid not in own:
            continue
        try:
            secret = own[kid](X25519PublicKey.from_public_bytes(x))
            return aes_key_unwrap(derive_kek(secret), wrapped)
        except (InvalidUnwrap, ValueError) as exc:  # ValueError: a point of low order
            raise SealError("the wrapped key was altered") from exc
    raise SealError("not sealed for this key")


def _parse_recipient(part: bytes) -> tuple[bytes, bytes, bytes]:
    kid_end = len(_TO_KID) + _KID_SIZE
    x_end = kid_end + len(_TO_X) + _X_SIZE
    kid, x, wrapped = part[len(_TO_KID) : kid_end], part[x_end - _X_SIZE : x_end], part[-_WRAPPED_SIZE:]
    if part != join_recipient(kid, x, wrapped):
        raise SealError("a recipient is not ECDH-ES + A256KW over X25519")
    return kid, x, wrapped


def _decrypt(message: _Encrypt, cek: bytes, bind: Bind) -> bytes:
    aad = enc_structure(bind(message.recipients))
    try:
        return AESGCM(cek).decrypt(message.iv, message.ciphertext, aad)
    except (InvalidTag, ValueError) as exc:
        raise SealError("envelope or content was altered") from exc


def _read(message: _Encrypt, cek: bytes, header: Header, device_public_key: Ed25519PublicKey) -> Told:
    """What the device has signed below the encryption, where it agrees with the envelope."""
    signed = _decrypt(message, cek, partial(encryption_aad, header))
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
