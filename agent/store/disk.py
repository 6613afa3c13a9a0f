"""What the disk does to the outbox, as errors that its callers know."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from agent.core.errors import StoreError


class CorruptError(StoreError):
    """A page of the file is not what was written."""


@contextmanager
def disk() -> Iterator[None]:
    """Turn what the disk does to us into StoreError; misuse of SQL stays a bug."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError):
        raise
    except (sqlite3.DatabaseError, OSError) as exc:
        kind = CorruptError if type(exc) is sqlite3.DatabaseError else StoreError
        raise kind(f"outbox: {exc}") from exc
