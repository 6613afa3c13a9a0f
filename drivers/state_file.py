"""A small file in which something learnt outlives a boot."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from agent.core import desk_state, scene_state
from agent.core.durable import replace_file, wipe
from agent.core.errors import SealError, StoreError
from agent.core.vault import ASIDE, held, open_held, read_wrapped

_LOG: Final = logging.getLogger(__name__)
_PACK_SIZE_MAX: Final = 400_000
_TRENDS_SIZE_MAX: Final = 4096
_DIARY_SIZE_MAX: Final = 200_000
_SCENES_SIZE_MAX: Final = 200_000
_DESK_SIZE_MAX: Final = 400_000
_BUS_SIZE_MAX: Final = 4_000_000
_CONSENT_SIZE_MAX: Final = 65_536
_PAGE_SIZE_MAX: Final = 4096
_ERASURES_SIZE_MAX: Final = 400_000
_VEHICLES_SIZE_MAX: Final = 65_536


class StateFile:
    """A StateStore: one small file, replaced as a whole, under the keys of the directory's vault.

    What is larger than size_max, damaged, or lies under a key that is gone counts as nothing, which is told. rest: what
    of a state protects the driver, and stays when it is forgotten; lasting: also where everything is.
    """

    def __init__(
        self, path: Path, size_max: int, *, rest: Callable[[bytes], bytes] = lambda _: b"", lasting: bool = True
    ) -> None:
        self._path = path
        self._size_max = size_max
        self._rest = rest
        self._lasting = lasting
        self._forgotten = False

    def load(self) -> bytes:
        """What was saved last; empty where there is nothing to read."""
        try:
            return self._read()
        except (OSError, SealError) as exc:
            if not isinstance(exc, FileNotFoundError | NotADirectoryError):
                _LOG.warning("%s cannot be read, and is learnt anew: %s", self._path, exc)  # expected, no traceback
            return b""

    def save(self, state: bytes) -> None:
        """Keep it. A full disk costs some learning next time, no more."""
        with suppress(OSError), held(self._path.parent):
            if self._forgotten and not (state := self._rest(state)):
                wipe(self._path)  # the rest of before holds no more
                return
            fresh = self._path.with_suffix(".new")
            fresh.write_bytes(self._wrapped(state))
            fresh.replace(self._path)

    def forget(self, *, everything: bool = False) -> None:
        """Overwrite it, and keep no more than the rest until the next start. Raises StoreError.

        What was learnt from it is still in memory, and would only be written again.
        """
        self._forgotten = True
        if not self._path.parent.is_dir():
            return
        with _disk(self._path), held(self._path.parent):
            rest = b"" if everything and not self._lasting else self._rest(self._read_or_nothing())
            wipe(self._path.with_suffix(".new"))
            if not rest:
                wipe(self._path)
                return
            aside = self._path.with_name(self._path.name + ASIDE)
            wipe(aside)
            aside.hardlink_to(self._path)  # so that the old blocks have a name when the new file has taken theirs
            replace_file(self._path, self._wrapped(rest))
            wipe(aside)

    def _read(self) -> bytes:
        """Raise OSError or SealError."""
        return read_wrapped(self._path, self._size_max)

    def _read_or_nothing(self) -> bytes:
        try:
            return self._read()
        except (OSError, SealError):
            return b""

    def _wrapped(self, state: bytes) -> bytes:
        """For whoever holds the directory."""
        return open_held(self._path.parent).wrap(state, bound=self._path.name.encode())


class DurableStateFile(StateFile):
    """The same of what must not be lost unnoticed."""

    def load(self) -> bytes:
        """What was saved last; empty where nothing was. Raises StoreError where it cannot be read."""
        try:
            return self._read()
        except (FileNotFoundError, NotADirectoryError):
            return b""
        except (OSError, SealError) as exc:
            raise StoreError(f"{self._path}: {exc}") from exc

    def save(self, state: bytes) -> None:
        """Keep it, synced. Raises StoreError where the disk refuses."""
        with _disk(self._path):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with held(self._path.parent):
                if self._forgotten and not (state := self._rest(state)):
                    wipe(self._path)
                    return
                replace_file(self._path, self._wrapped(state))


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise StoreError(f"{path}: {exc.strerror}") from exc


class FileBusStore(StateFile):
    """The habits of the buses, in the store directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "bus.state", _BUS_SIZE_MAX)


class FileDeskStore(DurableStateFile):
    """Messages of the insurer's desk, sealed as they came, and its tickets, in the store directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "desk.state", _DESK_SIZE_MAX, rest=desk_state.protecting_rest)


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


class FileSceneStore(DurableStateFile):
    """What the driver was asked and wants to be asked no more, in the store directory.

    The wish goes with everything: it would bind the car's next owner, who never said it.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "scenes.state", _SCENES_SIZE_MAX, rest=scene_state.protecting_rest, lasting=False)


class FileConsentStore(DurableStateFile):
    """The driver's consents in the store directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "consent.state", _CONSENT_SIZE_MAX)


class FilePageStore(DurableStateFile):
    """The browsers that were paired with the local page, in the store directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "page.state", _PAGE_SIZE_MAX)


class FileErasureStore(DurableStateFile):
    """The erasures that were asked for, and their receipts, in the store directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "erasures.state", _ERASURES_SIZE_MAX)


class FileVehicles(StateFile):
    """The file of drivers.vehicle_cache, in the store directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "vehicles.json", _VEHICLES_SIZE_MAX)
