"""Public keys: PEM files, as the config's `trust` table names them, or 32 raw bytes; X.509 certificates too."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from cryptography.x509 import Certificate, load_pem_x509_certificates

from agent.core.errors import InputError

T = TypeVar("T")

_RAW_SIZE: Final = 32
_P: Final = 2**255 - 19  # the field of both curves (RFC 7748, 4.1)
_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"


def read_key(path: Path, parse: Callable[[bytes], T]) -> T:
    """Read a key file with one of the parsers. Raises InputError naming the file."""
    try:
        return parse(path.read_bytes())
    except OSError as exc:
        raise InputError(f"{path}: cannot be read: {exc.strerror}") from exc
    except InputError as exc:
        raise InputError(f"{path}: {exc}") from exc


def parse_ed25519(data: bytes) -> Ed25519PublicKey:
    """Public key from PEM (SubjectPublicKeyInfo, or a certificate, the first of a chain) or raw bytes.

    A certificate is read, not judged: who gives it trusts it. Raises InputError.
    """
    if len(data) == _RAW_SIZE:
        return Ed25519PublicKey.from_public_bytes(data)
    key = parse_certificates(data)[0].public_key() if _CERTIFICATE in data else _parse_pem(data)
    if not isinstance(key, Ed25519PublicKey):
        raise InputError("not an Ed25519 key")
    return key


def parse_certificates(data: bytes) -> list[Certificate]:
    """Certificates of a PEM file, one at least. Raises InputError."""
    try:
        return load_pem_x509_certificates(data)
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise InputError("not PEM certificates") from exc


def parse_x25519(data: bytes) -> X25519PublicKey:
    """Public key from PEM (SubjectPublicKeyInfo) or raw bytes. Raises InputError."""
    if len(data) == _RAW_SIZE:
        return X25519PublicKey.from_public_bytes(data)
    key = _parse_pem(data)
    if not isinstance(key, X25519PublicKey):
        raise InputError("not an X25519 key")
    return key


def to_x25519(key: Ed25519PublicKey) -> X25519PublicKey:
    """The same point on Curve25519, u = (1 + y) / (1 - y) (RFC 7748, 4.1).

    What is sealed for a device is sealed for it. Raises InputError for the one point that has none.
    """
    y = int.from_bytes(raw_bytes(key), "little") & (2**255 - 1)
    if y % _P == 1:
        raise InputError("not a device's key: nothing can be sealed for it")
    u = (1 + y) * pow(1 - y, -1, _P) % _P
    return X25519PublicKey.from_public_bytes(u.to_bytes(_RAW_SIZE, "little"))


def public_pem(key: Ed25519PublicKey | X25519PublicKey) -> bytes:
    """PEM (SubjectPublicKeyInfo)."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def raw_bytes(key: Ed25519PublicKey | X25519PublicKey) -> bytes:
    """The 32 bytes of the key."""
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _parse_pem(data: bytes) -> object:
    try:
        return load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise InputError("not a PEM public key") from exc
