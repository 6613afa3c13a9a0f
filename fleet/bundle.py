"""Operators' side of pushed config: make and sign a bundle."""

from collections.abc import Sequence

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.core.cose import encode_cbor, sign1
from agent.remote.trust import BUNDLE_CONTEXT, Manifest


def sign_bundle(manifest: Manifest, operator_key: Ed25519PrivateKey) -> bytes:
    """COSE_Sign1 around the CBOR manifest."""
    return sign1(encode_cbor(msgspec.to_builtins(manifest)), external_aad=BUNDLE_CONTEXT, sign=operator_key.sign)


def make_manifest(
    text: str,
    *,
    bundle: str,
    version: int,
    expires_ns: int,
    vehicles: Sequence[str],
    groups: Sequence[str],
    issued_ns: int | None = None,
) -> Manifest:
    """Manifest for a TOML text. Checked by the vehicle, not here: an operator may test how it refuses.

    issued_ns: UTC of signing, from which a vehicle without a clock learns how late it is at least.
    """
    return Manifest(
        format=1,
        id=bundle,
        version=version,
        expires_ns=expires_ns,
        issued_ns=issued_ns,
        vehicles=list(vehicles),
        groups=list(groups),
        config=text,
    )
