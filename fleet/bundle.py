"""Operators' side of pushed config: make and sign a bundle."""

from collections.abc import Sequence

import cbor2
import msgspec
from cwt import COSE, COSEHeaders, COSEKey

from agent.remote.trust import Manifest


def sign_bundle(manifest: Manifest, operator_key: bytes) -> bytes:
    """COSE_Sign1 around the CBOR manifest; operator_key is a PEM Ed25519 private key."""
    key = COSEKey.from_pem(operator_key, kid=b"operator")
    protected = {COSEHeaders.ALG: key.alg, COSEHeaders.KID: key.kid}
    payload = cbor2.dumps(msgspec.to_builtins(manifest), canonical=True)
    return bytes(COSE.new().encode(payload, key, protected=protected))


def make_manifest(
    text: str, *, bundle: str, version: int, expires_ns: int, vehicles: Sequence[str], groups: Sequence[str]
) -> Manifest:
    """Manifest for a TOML text. Checked by the vehicle, not here: an operator may test how it refuses."""
    return Manifest(
        format=1,
        id=bundle,
        version=version,
        expires_ns=expires_ns,
        vehicles=list(vehicles),
        groups=list(groups),
        config=text,
    )
