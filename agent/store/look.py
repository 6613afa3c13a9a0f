"""A look into the outbox from another process, while the agent runs: read only, nothing is opened or decided."""

import sqlite3
from contextlib import closing
from pathlib import Path

from agent.core.errors import InputError
from agent.store.files import NAME, TABLES


def look(directory: Path, count_max: int) -> tuple[int, list[bytes]]:
    """Count of the records waiting, and the envelopes of the last count_max of them by boot and sequence.

    Raises InputError where there is no outbox or it cannot be read.
    """
    path = directory / NAME
    if not path.exists():
        raise InputError(f"no outbox at {path}")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            count = db.execute("SELECT records FROM state").fetchone()[0]
            tables = " UNION ALL ".join(f"SELECT place, payload FROM {table}" for table in TABLES.values())  # noqa: S608  # constants
            query = f"SELECT payload FROM ({tables}) ORDER BY place DESC LIMIT ?"  # noqa: S608  # constants
            rows = db.execute(query, (count_max,)).fetchall()
    except sqlite3.DatabaseError as exc:
        raise InputError(f"{path}: cannot be read: {exc}") from exc
    return int(count), [row[0] for row in reversed(rows)]
