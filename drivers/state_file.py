"""A small file in which something learnt outlives a boot."""

from contextlib import suppress
from pathlib import Path
from typing import Final

from agent.core.durable import replace_file
from agent.core.errors import StoreError

_PACK_SIZE_MAX: Final = 400_000
_TRENDS_SIZE_MAX: Final = 4096
_DIARY_SIZE_MAX: Final = 200_000
_SCENES_SIZE_MAX: Final = 200_000
_DESK_SIZE_MAX: Final = 400_000
_BUS_SIZE_MAX: Final = 4_000_000
_CONSENT_SIZE_MAX: Final = 65_536


class StateFile:
    """A StateStore: one small file, replaced as a whole. At most size_max bytes are read."""

    def __init__(self, path: Path, size_max: int) -> None:
        self._path = path
        self._size_max = size_max

    def load(self) -> bytes:
        """What was saved last; empty where there is nothing to read."""
        try:
            with self._path.open("rb") as file:
                return file.read(self._size_max)
        except OSError:
            return b""

    def save(self, state: bytes) -> None:
        """Keep it. A full disk costs some learning next time, no more."""
        with suppress(OSError):
            fresh = self._path.with_suffix(".new")
            fresh.write_bytes(state)
            fresh.replace(self._path)


class FileBusStore(StateFile):
    """The habits of the buses, in the store directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "bus.state", _BUS_SIZE_MAX)


class FileDeskStore(StateFile):
    """Messages of the insurer's desk, sealed as they came, and its tickets, in the store directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "desk.state", _DESK_SIZE_MAX)


class FilePackStore(StateFile):
    """The trends of the cells, in the store directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "pack.state", _PACK_SIZE_MAX)


class FileTrendStore(StateFile):
    """The trends of the engine, in the store directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "trends.state", _TRENDS_SIZE_MAX)


class FileDiaryStore(StateFile):
    """The battery's diary in the store directory: what the next report is made of."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "battery.state", _DIARY_SIZE_MAX)


class FileSceneStore(StateFile):
    """What the driver was asked and wants to be asked no more, in the store directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "scenes.state", _SCENES_SIZE_MAX)


class FileConsentStore(StateFile):
    """The driver's consents in the store directory. Unlike what was learnt they must not be lost unnoticed."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "consent.state", _CONSENT_SIZE_MAX)

    def load(self) -> bytes:
        """What was saved last; empty where nothing was. Raises StoreError where it cannot be read."""
        try:
            with self._path.open("rb") as file:
                return file.read(self._size_max)
        except (FileNotFoundError, NotADirectoryError):
            return b""
        except OSError as exc:
            raise StoreError(f"{self._path}: {exc.strerror}") from exc

    def save(self, state: bytes) -> None:
        """Keep it, synced. Raises StoreError where the disk refuses."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self._path, state)
        except OSError as exc:
            raise StoreError(f"{self._path}: {exc.strerror}") from exc
