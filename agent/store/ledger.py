"""The outbox's transactions: the state of chain and queue changes together with the records, or not at all.

After a failed sync the kernel calls the pages clean although they never reached the medium, and a later sync that
succeeds says nothing about them. A commit behind such a hole in the WAL would be gone after a power cut. So after any
refusal, and at the start, the WAL is first checkpointed away before anything is called durable again; and deletions are
synced like everything else, because the sync that fails for them could be one whose result SQLite does not report.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from agent.core.errors import StoreError
from agent.store.files import PATIENCE_MS


class State(msgspec.Struct):
    """Of the chain: this boot, its last sequence, the last record's hash. Of the queue: bytes used, records."""

    boot: int
    sequence: int
    digest: bytes
    used_bytes: int
    records: int


class Ledger:
    """Of one connection. Everything raises sqlite3.Error or OSError where the disk refuses."""

    def __init__(self, db: sqlite3.Connection, *, sequence: int = 0) -> None:
        """sequence: the last one that was committed."""
        self.sequence = sequence
        self._db = db
        self._doubtful = True  # whether the WAL may have a hole

    def state(self) -> State:
        """As it is."""
        return State(*self._db.execute("SELECT boot, sequence, digest, used_bytes, records FROM state").fetchone())

    @contextmanager
    def change(self) -> Iterator[State]:
        """One transaction over records and state."""
        if self._doubtful:
            self.settle()
        try:
            self._db.execute("BEGIN IMMEDIATE")
            state = self.state()
            yield state
            self._db.execute(
                "UPDATE state SET boot = ?, sequence = ?, digest = ?, used_bytes = ?, records = ?",
                msgspec.structs.astuple(state),
            )
            self._db.execute("COMMIT")
            self.sequence = state.sequence
        except BaseException:
            self._doubtful = True
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def settle(self, *, patience_ms: int = PATIENCE_MS) -> None:
        """Carry everything from the WAL into the file, written and synced anew. StoreError: somebody reads it."""
        self._db.execute(f"PRAGMA busy_timeout = {patience_ms}")
        try:
            busy = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        finally:
            self._db.execute(f"PRAGMA busy_timeout = {PATIENCE_MS}")
        if busy:
            raise StoreError("outbox: somebody reads it without end")
        self._doubtful = False
