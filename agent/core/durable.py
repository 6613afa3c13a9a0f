"""Files that are replaced whole or not at all, and are there after a power cut; or are overwritten and gone."""

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_CHUNK: Final = bytes(1 << 18)


def replace_file(path: Path, data: bytes) -> None:
    """Put data in the place of the file, synced with its directory. Raises OSError."""
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_directory(path.parent)


def rename(path: Path, to: Path) -> None:
    """Give a file another name of its directory, synced. Raises OSError, and it is then called as it was."""
    path.rename(to)
    try:
        sync_directory(to.parent)
    except OSError:
        to.rename(path)
        raise


def open_new(path: Path) -> int:
    """Descriptor of a new file that nobody else may read. Raises OSError where there is one of that name."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def sync_directory(path: Path) -> None:
    """Make renames in it durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def wipe(path: Path) -> None:
    """Overwrite a file where it lies, and delete it; no error where there is none. Raises OSError."""
    deque(wiping(path), maxlen=0)


def wiping(path: Path) -> Iterator[None]:
    """The same in slices, each synced: others who write to this disk do not wait for a whole file."""
    try:
        descriptor = os.open(path, os.O_WRONLY)
    except FileNotFoundError:
        return
    try:
        left = os.fstat(descriptor).st_size
        while left > 0:
            left -= os.write(descriptor, _CHUNK[:left])
            os.fsync(descriptor)
            yield
    finally:
        os.close(descriptor)
    path.unlink()
    sync_directory(path.parent)
