"""Sealing: COSE_Encrypt for the insurer and the owner, around COSE_Sign1 by the device, around zstd(CBOR event).

RFC 9052 and 9053 with ECDH-ES + A256KW over X25519, built here because the COSE libraries at hand do key wrapping
with NIST curves only; the tests hold it against one of them and against the working group's vectors.
Both layers bind the envelope's header, so that a record cannot be moved, renumbered or handed to another device.
The outer one also binds the list of recipients: nobody can quietly cut the owner off. unseal.py is the way back.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import zstandard
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from agent.core.config import Config
from agent.core.cose import head, sign1
from agent.core.errors import ConfigError, SealError
from agent.core.keys import parse_x25519, raw_bytes, read_key
from agent.core.ports import Keystore
from agent.core.records import EVENT_SIZE_MAX, Header, SealedRecord, build_envelope
from agent.store.dictionary import ID_CURRENT, load_dictionary
from agent.store.unseal import (
    CEK_BITS,
    IV_SIZE,
    RECIPIENTS_MAX,
    Bind,
    derive_kek,
    enc_structure,
    encryption_aad,
    join_encrypt,
    join_recipient,
    key_id,
    signature_aad,
)

_LEVEL: Final = 9  # of zstd; on a few hundred bytes no level costs what a signature does


def make_compressor() -> zstandard.ZstdCompressor:
    """Compressor with the present dictionary."""
    return zstandard.ZstdCompressor(_LEVEL, dict_data=load_dictionary(ID_CURRENT))


@dataclass(frozen=True, slots=True)
class Sealer:
    """Seals for one device and its recipients. Not to be shared between threads at the same time."""

    keystore: Keystore
    recipients: Sequence[X25519PublicKey]
    _compressor: zstandard.ZstdCompressor = field(default_factory=make_compressor)

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
        envelope = build_envelope(header, encrypt(signed, header, self.recipients))
        return SealedRecord(header.device, header.boot, header.sequence, header.priority, envelope)


def encrypt(plaintext: bytes, header: Header, keys: Sequence[X25519PublicKey]) -> bytes:
    """COSE_Encrypt around a COSE_Sign1."""
    return encrypt_bound(plaintext, partial(encryption_aad, header), keys)


def encrypt_bound(plaintext: bytes, bind: Bind, keys: Sequence[X25519PublicKey]) -> bytes:
    """COSE_Encrypt; bind gives its external_aad out of the CBOR array of recipients."""
    cek = AESGCM.generate_key(CEK_BITS)
    recipients = head(4, len(keys)) + b"".join(_wrap(cek, key) for key in keys)
    iv = os.urandom(IV_SIZE)
    ciphertext = AESGCM(cek).encrypt(iv, plaintext, enc_structure(bind(recipients)))
    return join_encrypt(iv, ciphertext, recipients)


def _wrap(cek: bytes, key: X25519PublicKey) -> bytes:
    ephemeral = X25519PrivateKey.generate()
    wrapped = aes_key_wrap(derive_kek(ephemeral.exchange(key)), cek)
    return join_recipient(key_id(key), raw_bytes(ephemeral.public_key()), wrapped)


def make_sealer(config: Config, keystore: Keystore) -> Sealer:
    """As config says. Raises ConfigError or InputError where a key is missing or unusable."""
    trust = config.trust
    if not trust.insurer_encryption_key:
        raise ConfigError("trust.insurer_encryption_key: events cannot be sealed without the insurer's key")
    names = [name for name in (trust.insurer_encryption_key, trust.owner_encryption_key) if name]
    return Sealer(keystore, [read_key(Path(name), parse_x25519) for name in names])
