"""Private keys in files that only their user may read: the device's identity, and what decrypts."""

import hashlib
import os
import stat
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from agent.core.errors import InputError
from agent.core.keys import public_pem, raw_bytes

_PRIVATE_MODE: Final = 0o600
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO

TlsKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey


class FileKeystore:
    """Keystore port over a PKCS#8 PEM file, mode 0600."""

    def __init__(self, key: Ed25519PrivateKey, device_id: str) -> None:
        self.device_id = device_id
        self._key = key

    @classmethod
    def create(cls, path: Path, device_id: str) -> "FileKeystore":
        """Make a key and write it. Raises InputError where the file exists: a key is never overwritten."""
        return cls(create_ed25519(path), device_id)

    @classmethod
    def open(cls, path: Path, device_id: str) -> "FileKeystore":
        """Read the key. Raises InputError where it is missing, open to others, or not an Ed25519 key."""
        return cls(open_ed25519(path), device_id)

    @property
    def public_key(self) -> bytes:
        """Raw Ed25519 public key, 32 bytes."""
        return raw_bytes(self._key.public_key())

    def public_pem(self) -> bytes:
        """Public key in PEM, to register the device with."""
        return public_pem(self._key.public_key())

    def sign(self, data: bytes) -> bytes:
        """Ed25519 signature, 64 bytes."""
        return self._key.sign(data)

    def agree(self, public_key: X25519PublicKey) -> bytes:
        """X25519 with the scalar that this key signs by (RFC 8032, 5.1.5)."""
        scalar = hashlib.sha512(self._key.private_bytes_raw()).digest()[:32]
        return X25519PrivateKey.from_private_bytes(scalar).exchange(public_key)


def create_ed25519(path: Path) -> Ed25519PrivateKey:
    """Make a signing key and write it, mode 0600. Raises InputError where the file exists."""
    key = Ed25519PrivateKey.generate()
    write_private(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key


def create_x25519(path: Path) -> X25519PrivateKey:
    """Make a decryption key (an insurer's, an owner's) and write it, mode 0600. Raises InputError where it exists."""
    key = X25519PrivateKey.generate()
    write_private(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key


def open_x25519(path: Path) -> X25519PrivateKey:
    """Read a decryption key. Raises InputError where it is missing, open to others, or of another kind."""
    key = _parse_private(path)
    if not isinstance(key, X25519PrivateKey):
        raise InputError(f"{path}: not an X25519 key")
    return key


def open_ed25519(path: Path) -> Ed25519PrivateKey:
    """Read a signing key. Raises InputError where it is missing, open to others, or of another kind."""
    key = _parse_private(path)
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{path}: not an Ed25519 key")
    return key


def create_tls_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Make a key for the link's certificate (ECDSA, P-256) and write it, mode 0600. Raises InputError."""
    key = ec.generate_private_key(ec.SECP256R1())
    write_private(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key


def open_tls_key(path: Path) -> TlsKey:
    """Read the key of the link's certificate. Raises InputError where it is missing, open to others, or no such key."""
    key = _parse_private(path)
    if not isinstance(key, TlsKey):
        raise InputError(f"{path}: not an RSA, ECDSA or Ed25519 key")
    return key


def write_private(path: Path, pem: bytes) -> None:
    """Write a new file of mode 0600, whole or not at all. Raises InputError, also where the file exists."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(pem)
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, path)  # unlike rename, refuses to replace
        finally:
            temporary.unlink(missing_ok=True)
        _sync_directory(path.parent)
    except OSError as exc:
        if path.exists():
            raise InputError(f"{path}: exists already; a key is never overwritten") from exc
        raise InputError(f"{path}: cannot be written: {exc.strerror}") from exc


def read_private(path: Path) -> bytes:
    """Read a file that nobody else may read or write. Raises InputError."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & _OTHERS:
                raise InputError(f"{path}: mode {mode:04o} lets others in; run: chmod 600 {path}")
            return file.read()
    except OSError as exc:
        raise InputError(f"{path}: cannot be read: {exc.strerror}") from exc


def _parse_private(path: Path) -> object:
    try:
        return load_pem_private_key(read_private(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise InputError(f"{path}: not an unencrypted PKCS#8 PEM private key") from exc


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
