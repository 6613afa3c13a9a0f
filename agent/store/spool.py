"""Messages for a national platform that could not be sent: kept for days, encrypted, oldest forgotten first.

No records of the agent's own chain: what a GB/T 32960 platform misses is reissued to it, and proves nothing. The key is
made from a signature of the device key, which is always the same for the same words, so it is never on the disk, and
whoever takes the disk out of a box whose key lies in hardware reads nothing.
"""

import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from agent.core.errors import StoreError
from agent.core.ports import Keystore
from agent.store.worker import Worker

T = TypeVar("T")

_FILE: Final = "platform.sqlite"
_SCHEMA: Final = "CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY, time_s INTEGER, sealed BLOB)"
_NONCE_SIZE: Final = 12
_WORDS: Final = b"outrider/platform spool/1"


class Spool:
    """One small SQLite file below the store's directory, one thread. Every method raises StoreError."""

    def __init__(self, worker: Worker, db: sqlite3.Connection, key: bytes, *, rows_max: int) -> None:
        self.dropped = 0  # too old, too many, or spoilt
        self._worker = worker
        self._db = db
        self._cipher = AESGCM(key)
        self._rows_max = rows_max

    @classmethod
    async def open(cls, directory: Path, keystore: Keystore, *, rows_max: int) -> "Spool":
        """Open it, or make it. A file that is damaged is begun anew: its messages are only of use for days."""
        worker = Worker("platform")
        derived = HKDF(SHA256(), 32, salt=None, info=_WORDS).derive(keystore.sign(_WORDS))
        try:
            db = await worker.call(lambda: _open(directory / _FILE))
        except StoreError:
            await worker.close()
            raise
        return cls(worker, db, derived, rows_max=rows_max)

    async def add(self, messages: Sequence[tuple[int, bytes]]) -> None:
        """Keep messages with their times in UTC seconds, durably."""
        await self._call(lambda: self._add(messages))

    async def oldest(self, count_max: int, *, since_s: int) -> list[tuple[int, bytes]]:
        """The first messages with their ids, in the order of their times; those from before since_s are forgotten."""
        return await self._call(lambda: self._oldest(count_max, since_s))

    async def forget(self, ids: Sequence[int]) -> None:
        """They are where they belong."""
        await self._call(lambda: self._forget(ids))

    async def erase(self, *, from_s: int | None = None, until_s: int | None = None) -> int:
        """Delete the messages of a time, wiped from the file as well; returns how many there were."""
        return await self._call(lambda: self._erase(from_s, until_s))

    async def count(self) -> int:
        """How many wait."""
        return await self._call(self._count)

    async def close(self) -> None:
        """End the thread."""
        await self._worker.close(self._db.close)

    async def _call(self, function: Callable[[], T]) -> T:
        try:
            return await self._worker.call(function)
        except sqlite3.Error as exc:
            raise StoreError(f"{_FILE}: {exc}") from exc

    def _add(self, messages: Sequence[tuple[int, bytes]]) -> None:
        rows = []
        for time_s, data in messages:
            nonce = os.urandom(_NONCE_SIZE)
            rows.append((time_s, nonce + self._cipher.encrypt(nonce, data, str(time_s).encode())))
        with self._db:
            self._db.executemany("INSERT INTO messages (time_s, sealed) VALUES (?, ?)", rows)
            excess = self._count() - self._rows_max
            if excess > 0:
                self._db.execute(
                    "DELETE FROM messages WHERE id IN (SELECT id FROM messages ORDER BY time_s, id LIMIT ?)", (excess,)
                )
                self.dropped += excess

    def _oldest(self, count_max: int, since_s: int) -> list[tuple[int, bytes]]:
        with self._db:
            self.dropped += self._db.execute("DELETE FROM messages WHERE time_s < ?", (since_s,)).rowcount
        rows = self._db.execute("SELECT id, time_s, sealed FROM messages ORDER BY time_s, id LIMIT ?", (count_max,))
        found, spoilt = [], []
        for number, time_s, sealed in rows.fetchall():
            try:
                data = self._cipher.decrypt(sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:], str(time_s).encode())
            except (InvalidTag, ValueError, TypeError):  # damaged, or written under another device key
                spoilt.append(number)
            else:
                found.append((number, data))
        if spoilt:
            self.dropped += len(spoilt)
            self._forget(spoilt)
        return found

    def _forget(self, ids: Sequence[int]) -> None:
        with self._db:
            self._db.executemany("DELETE FROM messages WHERE id = ?", [(number,) for number in ids])

    def _erase(self, from_s: int | None, until_s: int | None) -> int:
        self._db.execute("PRAGMA secure_delete = ON")
        try:
            with self._db:
                deleted = self._db.execute(
                    "DELETE FROM messages WHERE (?1 IS NULL OR time_s >= ?1) AND (?2 IS NULL OR time_s < ?2)",
                    (from_s, until_s),
                ).rowcount
            self._db.execute("VACUUM")  # what was freed before lies in pages that are given back
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._db.execute("PRAGMA secure_delete = OFF")
        return int(deleted)

    def _count(self) -> int:
        return int(self._db.execute("SELECT COUNT(*) FROM messages").fetchone()[0])


def _open(path: Path) -> sqlite3.Connection:
    """In the worker's thread, which alone uses it."""
    try:
        return _connect(path)
    except sqlite3.DatabaseError:
        path.unlink(missing_ok=True)
    except OSError as exc:
        raise StoreError(f"{path}: {exc.strerror}") from exc
    try:
        return _connect(path)
    except (sqlite3.Error, OSError) as exc:
        raise StoreError(f"{path}: {exc}") from exc


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(_SCHEMA)
        db.execute("SELECT COUNT(*) FROM messages").fetchone()
    except sqlite3.Error:
        db.close()
        raise
    path.chmod(0o600)
    return db
