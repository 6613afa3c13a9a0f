"""A second encryption of what lies in the store directory, under keys that can be destroyed: then it is erased.

A file that is deleted or made shorter leaves its blocks on the medium, and a card that spreads its writes leaves old
ones whatever is written over them. So nothing lies there but under a key of 32 bytes in a file of its own, twice. To
erase, what stays is written anew under a fresh key, and the old one is overwritten in its place. No secret from who has
the disk now, but from who finds what was on it before. (NIST SP 800-88 calls it cryptographic erase.)
"""

import fcntl
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agent.core.durable import replace_file, sync_directory, wipe
from agent.core.errors import SealError

FILES: Final = ("store.keys", "store.keys.copy")
KEYS_MAX: Final = 3  # the one in use, and while everything is written anew those before
_MAGIC: Final = b"OVK1"
_SIZE: Final = 128  # of a file: below a sector, so that it is written whole or not at all
_NUMBER_SIZE: Final = 4
_SECRET_SIZE: Final = 32
_KEY_SIZE: Final = _NUMBER_SIZE + _SECRET_SIZE
_MARK: Final = b"\1"  # no envelope and no JSON begins so
ASIDE: Final = ".aside"
"""Ends the name of a file that is about to be overwritten."""
_NONCE_SIZE: Final = 12
_HEAD_SIZE: Final = len(_MARK) + _NUMBER_SIZE + _NONCE_SIZE
OVERHEAD: Final = _HEAD_SIZE + 16
"""By so many bytes something is longer where it is wrapped."""


class Key(NamedTuple):
    """number: random, so that a key of a lost file is not taken for another."""

    number: bytes
    secret: bytes


class Vault:
    """Wraps under the newest key, unwraps under any."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self.keys = tuple(keys)
        self._ciphers = {key.number: AESGCM(key.secret) for key in keys}

    def wrap(self, data: bytes, *, bound: bytes) -> bytes:
        """Encrypted; bound: what it belongs to, needed again to unwrap it. OVERHEAD longer than data."""
        number, nonce = self.keys[-1].number, os.urandom(_NONCE_SIZE)
        return _MARK + number + nonce + self._ciphers[number].encrypt(nonce, data, bound)

    def unwrap(self, blob: bytes, *, bound: bytes) -> bytes:
        """What wrap was given; data that never was wrapped, of older software, as it is.

        Raises SealError where the key is gone or the data is damaged.
        """
        if not blob.startswith(_MARK):
            return blob
        cipher = self._ciphers.get(blob[1 : 1 + _NUMBER_SIZE])
        if cipher is None:
            raise SealError("the key that it lies under is gone")
        try:
            return cipher.decrypt(blob[_HEAD_SIZE - _NONCE_SIZE : _HEAD_SIZE], blob[_HEAD_SIZE:], bound)
        except (InvalidTag, ValueError) as exc:
            raise SealError("it was altered where it lies") from exc

    def is_current(self, blob: bytes) -> bool:
        """Whether it lies under the newest key."""
        return blob.startswith(_MARK + self.keys[-1].number)


def read_vault(directory: Path) -> Vault | None:
    """The keys as they are, None where there are none that can be read."""
    for name in FILES:
        try:
            with (directory / name).open("rb") as file:
                keys = _parse(file.read(_SIZE))
        except OSError:
            continue
        if keys:
            return Vault(keys)
    return None


def read_wrapped(path: Path, size_max: int) -> bytes:
    """What a small file of the directory holds, bound to its name. Raises OSError, SealError where it cannot be read.

    What is larger than size_max is cut off, and so cannot.
    """
    while True:
        with path.open("rb") as file:
            data = file.read(size_max + OVERHEAD)
            vault = read_vault(path.parent) or Vault(())
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return vault.unwrap(data, bound=path.name.encode())
        # It was written anew meanwhile: what was read may be overwritten by now, and its key destroyed.


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Nobody else changes the keys, or writes under one, meanwhile, in whichever thread. Not nested. Raises OSError.

    Else a choice made while files are written anew would be undone, or come to lie under the key that is destroyed.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def wrap_anew(directory: Path) -> Iterator[None]:
    """Write every small file of the directory that lies under an older key under the newest, file by file.

    All of them, whoever they are: what is left out is lost with its key. What cannot be read stays as it is.
    Raises OSError.
    """
    vault = open_vault(directory)
    for left in directory.glob(f"*{ASIDE}"):  # by a power cut
        wipe(left)
    for path in sorted(directory.iterdir()):
        with held(directory):  # file by file: whoever saves one waits for no more than that
            _wrap_file_anew(path, vault)
        yield


def _wrap_file_anew(path: Path, vault: Vault) -> None:
    if not path.is_file() or _begins(path) != _MARK:
        return
    data, bound = path.read_bytes(), path.name.encode()
    if vault.is_current(data):
        return
    try:
        content = vault.unwrap(data, bound=bound)
    except SealError:
        return
    aside = path.with_name(path.name + ASIDE)
    aside.hardlink_to(path)  # so that the old blocks have a name when the new file has taken theirs
    replace_file(path, vault.wrap(content, bound=bound))
    wipe(aside)


def _begins(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(_MARK))


def open_vault(directory: Path) -> Vault:
    """The keys, made where there are none; a lost or older copy is written again. Raises OSError."""
    with held(directory):
        return open_held(directory)


def open_held(directory: Path) -> Vault:
    """The same for whoever holds the directory."""
    vault = read_vault(directory)
    if vault is None:
        return _write(directory, [_new()])
    content = _format(vault.keys)
    if any(not path.exists() or path.read_bytes() != content for path in (directory / name for name in FILES)):
        return _write(directory, vault.keys)
    return vault


def add_key(directory: Path) -> Vault:
    """A fresh key beside those in use: from now on everything is to be written under it. Raises OSError."""
    with held(directory):
        keys = open_held(directory).keys
        return _write(directory, [*keys, _new()]) if len(keys) < KEYS_MAX else Vault(keys)


def shred_old_keys(directory: Path) -> Vault:
    """Overwrite all keys but the newest: what lies under them is no more. Raises OSError."""
    with held(directory):
        return _write(directory, open_held(directory).keys[-1:])


def _new() -> Key:
    return Key(os.urandom(_NUMBER_SIZE), os.urandom(_SECRET_SIZE))


def _format(keys: Sequence[Key]) -> bytes:
    content = _MAGIC + bytes([len(keys)]) + b"".join(number + secret for number, secret in keys)
    return (content + zlib.crc32(content).to_bytes(4, "big")).ljust(_SIZE, b"\0")


def _parse(content: bytes) -> list[Key]:
    """Empty where it is not whole."""
    if len(content) != _SIZE or not content.startswith(_MAGIC) or not 1 <= content[4] <= KEYS_MAX:
        return []
    end = 5 + content[4] * _KEY_SIZE
    if zlib.crc32(content[:end]) != int.from_bytes(content[end : end + 4], "big"):
        return []
    starts = range(5, end, _KEY_SIZE)
    return [Key(content[at : at + _NUMBER_SIZE], content[at + _NUMBER_SIZE : at + _KEY_SIZE]) for at in starts]


def _write(directory: Path, keys: Sequence[Key]) -> Vault:
    """Over what is there, not beside it: renaming would leave the old block. One file is whole at any time."""
    for name in FILES:
        descriptor = os.open(directory / name, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(descriptor, _format(keys), 0)
            os.ftruncate(descriptor, _SIZE)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    sync_directory(directory)
    return Vault(keys)
