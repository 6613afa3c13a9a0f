"""Space on the file system that only crash records get: a file that is let go when the disk is full of others' data."""

import os
from pathlib import Path
from typing import Final

SIZE_MAX: Final = 4 << 20  # some thousand crash records with the WAL they pass through


class Reserve:
    """Allocated when there is room. While it is not, the store takes nothing but crash records."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self._size_bytes = min(size_bytes, SIZE_MAX)
        self.held = path.exists() and path.stat().st_size == self._size_bytes

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
            os.posix_fallocate(file.fileno(), 0, self._size_bytes)
            os.fsync(file.fileno())
