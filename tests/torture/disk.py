"""A disk that lies: an SQLite VFS that remembers what was synced, fails on demand, and can lose its power.

What a program writes is in the page cache until it is synced; a power cut keeps any part of it, in any order, and the
sector being written may hold anything. `Disk.cut` makes such an outcome of the files, from what has been synced since.
A failed sync is the worst kind: the kernel then calls the pages clean, and later syncs do not write them (2018, fsync
and PostgreSQL), so here too they may never reach the medium.
"""

import errno
import os
import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, cast
from unittest.mock import patch

import apsw

Fault = Literal["torn", "reordered", "flipped", "enospc", "eio"]

SYNCHRONOUS: str = "FULL"
"""What the store's `PRAGMA synchronous = FULL` really becomes: less, to see whether the faults show."""

_SECTOR: Final = 512
_FAILING: Final = ("enospc", "eio")


class _Write(NamedTuple):
    """Bytes at an offset; None is a truncation to the offset."""

    offset: int
    data: bytes | None


@dataclass
class _File:
    durable: bytearray
    unsynced: list[_Write] = field(default_factory=list)


class Disk:
    """One fault kind for one life of the program. begun_ops counts what the program asked of the disk."""

    def __init__(self, fault: Fault, rng: random.Random, *, cut_after_ops: int) -> None:
        self.begun_ops = 0
        self.failures = 0
        self.is_cut = False
        self.capacity_bytes: int | None = None
        self._fault = fault
        self._rng = rng
        self._cut_after_ops = cut_after_ops
        self._files: dict[str, _File] = {}
        self._failing_until = 0
        self._only_syncs_fail = fault == "eio" and rng.random() < 0.5

    def opened(self, name: str) -> None:
        """Whatever lies there already is durable."""
        if name not in self._files:
            path = Path(name)
            self._files[name] = _File(bytearray(path.read_bytes() if path.exists() else b""))

    def deleted(self, name: str) -> None:
        self._require_power()
        self._files.pop(name, None)

    def write(self, name: str, write: _Write) -> None:
        """Into the page cache. Raises what the fault asks for."""
        file = self._files[name]
        if self._begin():
            file.unsynced.append(write)  # in flight while the power goes
            raise apsw.IOError
        if self.capacity_bytes is not None and self._grows_beyond(name, write):
            self.failures += 1
            raise apsw.FullError
        if not self._only_syncs_fail and self._fails():
            raise apsw.FullError if self._fault == "enospc" else apsw.IOError
        file.unsynced.append(write)

    def used_bytes(self) -> int:
        """Everything in the store's directory: what does not go through SQLite takes space too."""
        folders = {Path(name).parent for name in self._files}
        return sum(path.stat().st_size for folder in folders for path in folder.iterdir())

    def allocate(self, descriptor: int, offset: int, size: int) -> None:
        """As os.posix_fallocate."""
        if self.capacity_bytes is not None and self.used_bytes() + size > self.capacity_bytes:
            raise OSError(errno.ENOSPC, "no space left")
        os.truncate(descriptor, offset + size)

    def _grows_beyond(self, name: str, write: _Write) -> bool:
        if self.capacity_bytes is None or write.data is None:
            return False
        growth = write.offset + len(write.data) - Path(name).stat().st_size
        return growth > 0 and self.used_bytes() + growth > self.capacity_bytes

    def sync(self, name: str) -> None:
        if self._begin():
            raise apsw.IOError
        file = self._files[name]
        if self._fault == "eio" and self._fails():
            file.unsynced = [write for write in file.unsynced if self._rng.random() < 0.5]
            _apply(file.durable, file.unsynced)
            file.unsynced = []
            raise apsw.IOError
        _apply(file.durable, file.unsynced)
        file.unsynced = []

    def read(self) -> None:
        self._require_power()

    def cut(self) -> None:
        """Leave the files as the medium holds them afterwards."""
        self.is_cut = True
        for name, file in self._files.items():
            _apply(file.durable, self._surviving(file.unsynced))
            Path(name).write_bytes(file.durable)

    def _begin(self) -> bool:
        """Whether the power goes during this operation."""
        self._require_power()
        self.begun_ops += 1
        self.is_cut = self.begun_ops >= self._cut_after_ops
        return self.is_cut

    def _require_power(self) -> None:
        if self.is_cut:
            raise apsw.IOError

    def _fails(self) -> bool:
        """Trouble comes in spells."""
        if self._fault not in _FAILING:
            return False
        chance, spell_max = (0.2, 2) if self._only_syncs_fail else (0.03, 12)
        if self.begun_ops >= self._failing_until and self._rng.random() < chance:
            self._failing_until = self.begun_ops + self._rng.randrange(1, spell_max)
        failing = self.begun_ops < self._failing_until
        self.failures += failing
        return failing

    def _surviving(self, unsynced: Sequence[_Write]) -> list[_Write]:
        rng = self._rng
        share = rng.random()
        kept = [write for write in unsynced if rng.random() < share] if self._fault != "torn" else list(unsynced)
        if self._fault == "reordered":
            rng.shuffle(kept)
        if self._fault == "flipped":
            kept = [write if write.data is None else _Write(write.offset, _flip(write.data, rng)) for write in kept]
        if self._fault == "torn":
            kept = kept[: rng.randrange(len(kept) + 1)]
            last = kept[-1] if kept else None
            if last is not None and last.data:
                kept[-1] = _Write(last.offset, _tear(last.data, rng))
        return kept


class _Vfs(apsw.VFS):
    """Files on the real file system, through the disk."""

    def __init__(self, name: str, disk: Disk) -> None:
        super().__init__(name, "")
        self._disk = disk

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        return _VfsFile(name, flags, self._disk)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: FBT001, N802 - SQLite's name and arguments
        self._disk.deleted(filename)
        super().xDelete(filename, syncdir)


class _VfsFile(apsw.VFSFile):
    def __init__(self, name: str | apsw.URIFilename | None, flags: list[int], disk: Disk) -> None:
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        self._disk = disk
        disk.opened(self._name)
        super().__init__("", name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - SQLite's name
        self._disk.read()
        return super().xRead(amount, offset)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.write(self._name, _Write(offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.write(self._name, _Write(newsize, None))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: ARG002, N802 - SQLite's name; tmpfs has nothing to sync
        self._disk.sync(self._name)


class _Cursor:
    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def fetchone(self) -> Any:
        with _as_sqlite3():
            return self._cursor.fetchone()

    def fetchall(self) -> list[Any]:
        with _as_sqlite3():
            return list(self._cursor.fetchall())


class _Connection:
    """As much of sqlite3.Connection as the store uses."""

    def __init__(self, path: str, vfs: str) -> None:
        with _as_sqlite3():
            self._db = apsw.Connection(path, vfs=vfs)
            self._db.set_busy_timeout(0)
            # apsw offers no shared memory, so the WAL's index must live in this process: same files, same writes.
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")

    @property
    def in_transaction(self) -> bool:
        return self._db.in_transaction

    def execute(self, query: str, args: Sequence[Any] = ()) -> _Cursor:
        query = query.replace("synchronous = FULL", f"synchronous = {SYNCHRONOUS}")
        with _as_sqlite3():
            return _Cursor(self._db.execute(query, tuple(args) or None))

    def executemany(self, query: str, rows: Sequence[Sequence[Any]]) -> None:
        with _as_sqlite3():
            self._db.executemany(query, rows)

    def executescript(self, script: str) -> None:
        with _as_sqlite3():
            self._db.execute(script)

    def set_progress_handler(self, handler: Callable[[], bool] | None, steps: int) -> None:
        self._db.set_progress_handler(handler, steps)

    def close(self) -> None:
        with _as_sqlite3():
            self._db.close(force=True)


@contextmanager
def mounted(disk: Disk) -> Iterator[None]:
    """Every database that the store opens meanwhile lies on the disk. At the end its power is cut."""
    name = f"torture-{id(disk)}"
    vfs = _Vfs(name, disk)

    def connect(path: Path, **_: object) -> sqlite3.Connection:
        return cast("sqlite3.Connection", _Connection(str(path), name))

    with (
        patch("agent.store.files.sqlite3.connect", connect),
        patch("agent.store.reserve.os.posix_fallocate", disk.allocate),
    ):
        try:
            with patch("sys.unraisablehook", lambda _: None):  # failures are the point, also where nobody can hear
                yield
        finally:
            disk.cut()
            vfs.unregister()


@contextmanager
def _as_sqlite3() -> Iterator[None]:
    try:
        yield
    except (apsw.CorruptError, apsw.NotADBError) as exc:
        raise sqlite3.DatabaseError(str(exc)) from exc
    except apsw.FullError as exc:
        raise sqlite3.OperationalError("database or disk is full") from exc
    except apsw.Error as exc:
        raise sqlite3.OperationalError(str(exc) or type(exc).__name__) from exc


def _apply(content: bytearray, writes: Sequence[_Write]) -> None:
    for offset, data in writes:
        if data is None:
            del content[offset:]
        else:
            content.extend(bytes(max(0, offset - len(content))))
            content[offset : offset + len(data)] = data


def _tear(data: bytes, rng: random.Random) -> bytes:
    """Whole sectors up to one that may hold anything."""
    kept = rng.randrange(len(data)) // _SECTOR * _SECTOR
    return data[:kept] + rng.randbytes(rng.choice([0, min(_SECTOR, len(data) - kept)]))


def _flip(data: bytes, rng: random.Random) -> bytes:
    if not data or rng.random() < 0.5:
        return data
    changed = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)
