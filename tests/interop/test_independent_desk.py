"""docs/wire.md is enough to speak to a car: a message made from it alone, sharing no code, is taken and opened."""

import hashlib
import os
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from agent.core.errors import SealError
from agent.desk import open_note
from drivers.keystore import FileKeystore

P = 2**255 - 19
DEVICE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
INSURER = Ed25519PrivateKey.from_private_bytes(b"\5" * 32)


def cbor(value: Any) -> bytes:
    return cbor2.dumps(value, canonical=True)


def make(note: dict[str, Any], device_public: bytes, insurer: Ed25519PrivateKey) -> bytes:
    payload = cbor(note)
    protected = cbor({1: -8})
    bound = cbor(["outrider/desk", 1])
    signature = insurer.sign(cbor(["Signature1", protected, bound, payload]))
    signed = cbor(cbor2.CBORTag(18, [protected, {}, payload, signature]))

    y = int.from_bytes(device_public, "little") & (2**255 - 1)
    x25519 = ((1 + y) * pow(1 - y, -1, P) % P).to_bytes(32, "little")
    ephemeral, content_key, iv = X25519PrivateKey.generate(), os.urandom(32), os.urandom(12)
    to = cbor({1: -31})
    context = cbor([-5, [None] * 3, [None] * 3, [256, to]])
    secret = ephemeral.exchange(X25519PublicKey.from_public_bytes(x25519))
    wrapped = aes_key_wrap(HKDF(SHA256(), 32, None, context).derive(secret), content_key)
    kid = hashlib.sha256(x25519).digest()[:8]
    recipients = [[to, {4: kid, -1: {1: 1, -1: 4, -2: ephemeral.public_key().public_bytes_raw()}}, wrapped]]
    aad = cbor(["outrider/desk", 1, note["device"], hashlib.sha256(cbor(recipients)).digest()])
    sealed = AESGCM(content_key).encrypt(iv, signed, cbor(["Encrypt", cbor({1: 3}), aad]))
    return cbor(cbor2.CBORTag(96, [cbor({1: 3}), {5: iv}, sealed, recipients]))


def test_a_message_made_from_the_document_alone_is_opened() -> None:
    note = {
        "v": 1, "id": "7-surveyor-1", "device": "car-1", "created_ns": 10**18, "expires_ns": 10**18 + 10**13,
        "what": "surveyor", "ticket": 7, "boot": 3, "sequence": 17, "about_ns": 84_210_000_000, "points": 0,
        "zh": "查勘员15点40分到。", "en": "The surveyor comes at 15:40.",
    }  # fmt: skip
    blob = make(note, DEVICE.public_key().public_bytes_raw(), INSURER)
    opened = open_note(blob, FileKeystore(DEVICE, "car-1"), INSURER.public_key().public_bytes_raw())
    assert {name: getattr(opened, name) for name in note} == note
    with pytest.raises(SealError, match="not sealed for this key"):
        open_note(blob, FileKeystore(INSURER, "car-1"), INSURER.public_key().public_bytes_raw())
