"""A look into the outbox from another process, while the agent runs: read only, nothing is opened or decided."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from agent.core.errors import InputError, SealError
from agent.core.records import Position
from agent.core.vault import Vault, read_vault
from agent.store.files import NAME, TABLES, bound_of

_ROWS: Final = 256
_RECORDS: Final = " UNION ALL ".join(f"SELECT place, payload FROM {table.name}" for table in TABLES)  # noqa: S608  # constants


def look(directory: Path, count_max: int) -> tuple[int, list[bytes]]:
    """Count of the records waiting, and the envelopes of the last count_max of them by boot and sequence.

    Raises InputError where there is no outbox or it cannot be read.
    """
    with _reading(directory) as db:
        count = db.execute("SELECT records FROM state").fetchone()[0]
        query = f"SELECT place, payload FROM ({_RECORDS}) ORDER BY place DESC LIMIT ?"  # noqa: S608  # constants
        rows = db.execute(query, (count_max,)).fetchall()
    return int(count), _unwrapped(directory, reversed(rows))


def look_around(directory: Path, position: Position, each_side: int) -> list[bytes]:
    """Envelopes at most each_side places away in the same boot, in order; whether or not one is at the place itself.

    Raises InputError as look does.
    """
    place = position.boot << 32 | position.sequence
    bounds = max(place - each_side, position.boot << 32), place + each_side
    with _reading(directory) as db:
        query = f"SELECT place, payload FROM ({_RECORDS}) WHERE place BETWEEN ? AND ? ORDER BY place"  # noqa: S608  # constants
        rows = db.execute(query, bounds).fetchall()
    return _unwrapped(directory, rows)


def look_through(directory: Path) -> Iterator[bytes]:
    """Envelopes of all that waits, by boot and sequence. Raises InputError as look does."""
    with _reading(directory) as db:
        cursor = db.execute(f"SELECT place, payload FROM ({_RECORDS}) ORDER BY place")  # noqa: S608  # constants
        while rows := cursor.fetchmany(_ROWS):
            yield from _unwrapped(directory, rows)


def _unwrapped(directory: Path, rows: Iterable[tuple[int, bytes]]) -> list[bytes]:
    """Envelopes; those that the disk has spoilt are left out, as the agent leaves them out."""
    vault = read_vault(directory) or Vault(())
    envelopes = []
    for place, stored in rows:
        with suppress(SealError):
            envelopes.append(vault.unwrap(stored, bound=bound_of(place)))
    return envelopes


@contextmanager
def _reading(directory: Path) -> Iterator[sqlite3.Connection]:
    path = directory / NAME
    if not path.exists():
        raise InputError(f"no outbox at {path}")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            yield db
    except sqlite3.DatabaseError as exc:
        raise InputError(f"{path}: cannot be read: {exc}") from exc
