"""The insurer's keys and the register of devices: one directory of PEM files.

insurer_encryption.pem (X25519) and insurer_receipt.pem (Ed25519) are private, mode 0600; their .pub.pem beside them
goes into every car. devices/ID.pem holds each registered device's public Ed25519 key.
"""

from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agent.core.config import Name
from agent.core.errors import InputError
from agent.core.keys import parse_ed25519, public_pem, read_key
from agent.store.unseal import key_id
from drivers.keystore import create_ed25519, create_x25519, open_ed25519, open_x25519, read_private, write_private

_ENCRYPTION: Final = "insurer_encryption"
_RECEIPT: Final = "insurer_receipt"
_RETIRED: Final = "retired"


class ReceiverKeys:
    """What the receiver decrypts with, signs receipts with, and knows devices by."""

    def __init__(self, directory: Path, encryption_key: X25519PrivateKey, receipt_key: Ed25519PrivateKey) -> None:
        self._directory = directory
        self._read = _identity(directory)
        self.encryption_key = encryption_key
        self.decryption_keys = _all_keys(directory, encryption_key)
        """The present key and all retired ones."""
        self.encryption_public = directory / f"{_ENCRYPTION}.pub.pem"
        self.receipt_public = directory / f"{_RECEIPT}.pub.pem"
        self._receipt_key = receipt_key
        self._devices = directory / "devices"
        self._known: dict[str, Ed25519PublicKey] = {}

    @classmethod
    def create(cls, directory: Path) -> "ReceiverKeys":
        """Make both keys. Raises InputError where one exists already."""
        keys = cls(
            directory,
            create_x25519(directory / f"{_ENCRYPTION}.pem"),
            create_ed25519(directory / f"{_RECEIPT}.pem"),
        )
        keys.encryption_public.write_bytes(public_pem(keys.encryption_key.public_key()))
        keys.receipt_public.write_bytes(public_pem(keys._receipt_key.public_key()))
        return keys

    @classmethod
    def open(cls, directory: Path) -> "ReceiverKeys":
        """Read both keys. Raises InputError naming the file."""
        return cls(
            directory, open_x25519(directory / f"{_ENCRYPTION}.pem"), open_ed25519(directory / f"{_RECEIPT}.pem")
        )

    @classmethod
    def rotate(cls, directory: Path) -> "ReceiverKeys":
        """Make a new encryption key; the one in use retires, and still opens what was and is sealed for it.

        Raises InputError.
        """
        path = directory / f"{_ENCRYPTION}.pem"
        retired = directory / _RETIRED / f"{key_id(open_x25519(path).public_key()).hex()}.pem"
        if not retired.exists():  # else a change broke off after this
            write_private(retired, read_private(path))
        fresh = create_x25519(path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)
        keys = cls.open(directory)
        # Last: until then cars are given the retired key, which opens as well.
        keys.encryption_public.write_bytes(public_pem(fresh.public_key()))
        return keys

    def refresh(self) -> bool:
        """Look whether the encryption key was changed since it was read, by rotate() in another process.

        True where there is a new one; the old one is among the retired. Raises InputError for a key that is none.
        """
        identity = _identity(self._directory)
        if identity in (self._read, None):
            return False
        self.encryption_key = open_x25519(self._directory / f"{_ENCRYPTION}.pem")
        self.decryption_keys = _all_keys(self._directory, self.encryption_key)
        self._read = identity
        return True

    def register(self, device: str, public_key: bytes) -> None:
        """Let a device in by its public key, PEM or raw. Raises InputError for a bad name, a bad or a second key."""
        try:
            msgspec.convert(device, Name, strict=True)
        except msgspec.ValidationError as exc:
            raise InputError(f"device id {device!r}: {exc}") from exc
        key = parse_ed25519(public_key)
        known = self.device_key(device)
        if known is not None and known != key:
            raise InputError(f"device {device} is registered with another key")
        self._devices.mkdir(exist_ok=True)
        fresh = self._path_of(device).with_suffix(".new")
        fresh.write_bytes(public_pem(key))
        fresh.replace(self._path_of(device))  # a receiver that runs would stumble over a key half written

    def device_key(self, device: str) -> Ed25519PublicKey | None:
        """Public key of a registered device, None for a stranger. device must be a valid name."""
        if device not in self._known and (path := self._path_of(device)).exists():
            self._known[device] = read_key(path, parse_ed25519)
        return self._known.get(device)

    @property
    def receipt_key(self) -> Ed25519PublicKey:
        """What receipts are checked with."""
        return self._receipt_key.public_key()

    def sign_receipt(self, data: bytes) -> bytes:
        """Ed25519 signature by the insurer's receipt key."""
        return self._receipt_key.sign(data)

    def _path_of(self, device: str) -> Path:
        return self._devices / f"{device}.pem"


def _all_keys(directory: Path, present: X25519PrivateKey) -> tuple[X25519PrivateKey, ...]:
    return (present, *map(open_x25519, sorted((directory / _RETIRED).glob("*.pem"))))


def _identity(directory: Path) -> tuple[int, int] | None:
    """Which file holds the encryption key; None where there is none, or none that we may look at."""
    try:
        found = (directory / f"{_ENCRYPTION}.pem").stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
