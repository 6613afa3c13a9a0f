"""Opens an Outrider record, written from docs/wire.md alone. Shares no code with this project; not to be helped."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cbor2
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap


def cbor(value: Any) -> bytes:
    return cbor2.dumps(value, canonical=True)


class Refused(Exception):
    """A record that is not what it claims to be."""


class Decoder:
    """One insurer's look at one device. dictionaries: the folder of the zstd dictionaries."""

    def __init__(self, insurer_keys: Sequence[bytes], device_key: bytes, dictionaries: Path) -> None:
        private = [X25519PrivateKey.from_private_bytes(key) for key in insurer_keys]
        self.private = {hashlib.sha256(key.public_key().public_bytes_raw()).digest()[:8]: key for key in private}
        self.device_key = Ed25519PublicKey.from_public_bytes(device_key)
        self.dictionaries = dictionaries

    def open(self, envelope: bytes) -> dict[str, Any]:
        """Header fields and content of one record, its signature checked."""
        version, device, boot, sequence, priority, previous, cose = cbor2.loads(envelope)
        bound = ["outrider/record", version, device, boot, sequence, priority, previous]
        if cbor([*bound[1:], cose]) != envelope or version != 1 or len(envelope) > 131_072:
            raise Refused("not an envelope")
        message = cbor2.loads(cose)
        protected, headers, ciphertext, recipients = message.value
        if message.tag != 96 or cbor2.loads(protected) != {1: 3}:
            raise Refused("not A256GCM")
        aad = cbor([*bound, hashlib.sha256(cbor(recipients)).digest()])
        key = self.content_key(recipients)
        signed = cbor2.loads(AESGCM(key).decrypt(headers[5], ciphertext, cbor(["Encrypt", protected, aad])))
        protected, _, payload, signature = signed.value
        if signed.tag != 18 or cbor2.loads(protected) != {1: -8}:
            raise Refused("not EdDSA")
        self.device_key.verify(signature, cbor(["Signature1", protected, cbor(bound), payload]))
        content = cbor2.loads(self.unpack(payload))
        if (content["boot"], content["sequence"]) != (boot, sequence):
            raise Refused("content of another record")
        return {"device": device, "boot": boot, "sequence": sequence, "previous": previous, **content}

    def content_key(self, recipients: list[Any]) -> bytes:
        for protected, unprotected, wrapped in recipients:
            private = self.private.get(unprotected[4])
            if private is not None and cbor2.loads(protected) == {1: -31}:
                secret = private.exchange(X25519PublicKey.from_public_bytes(unprotected[-1][-2]))
                context = cbor([-5, [None] * 3, [None] * 3, [256, protected]])
                return aes_key_unwrap(HKDF(SHA256(), 32, None, context).derive(secret), wrapped)
        raise Refused("not for us")

    def unpack(self, frame: bytes) -> bytes:
        known = zstandard.get_frame_parameters(frame)
        if known.content_size > 65_536:
            raise Refused("too large")
        dictionary = None
        if known.dict_id:
            dictionary = zstandard.ZstdCompressionDict(
                (self.dictionaries / f"events-{known.dict_id}.dict").read_bytes()
            )
        return zstandard.ZstdDecompressor(dict_data=dictionary).decompress(frame, allow_extra_data=False)

    def open_log(self, envelopes: Sequence[bytes]) -> list[dict[str, Any]]:
        """All records of a log whose links hold: each names the one before, or begins a chain with zeros."""
        opened: list[dict[str, Any]] = []
        before = None
        for envelope in envelopes:
            record = self.open(envelope)
            if before is not None and record["previous"] not in {before, bytes(32)}:
                raise Refused(f"record {record['boot']}/{record['sequence']} does not follow")
            before = hashlib.sha256(envelope).digest()
            opened.append(record)
        return opened
