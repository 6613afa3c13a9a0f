"""Space on the file system that only crash records get: a file that is let go when the disk is full of others' data."""

import os
from pathlib import Path
from typing import Final

from agent.store.files import WAL_SIZE_MAX

SIZE_BYTES: Final = WAL_SIZE_MAX + (8 << 20)
"""After a refusal the whole WAL must find room in the file before anything is durable again; and then some thousand
notices of crashes, or thirty crashes with all their detail at 400 Hz, ten at 1,600 Hz, with the WAL that they pass
through. However small the store's own limit is: the WAL is not."""


class Reserve:
    """Allocated when there is room. While it is not, the store takes nothing but crash records."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.held = path.exists() and path.stat().st_size == SIZE_BYTES

    def hold(self) -> bool:
        """Allocate it unless that is done; whether it is held then."""
        if not self.held:
            try:
                self._allocate()
            except OSError:  # the disk is full: that is what the caller wants to know
                self.release()
                return False
            self.held = True
        return True

    def release(self) -> None:
        """Give the space back to the file system."""
        self._path.unlink(missing_ok=True)
        self.held = False

    def _allocate(self) -> None:
        with self._path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, SIZE_BYTES)
            os.fsync(file.fileno())
