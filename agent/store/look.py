"""A look into the outbox from another process, while the agent runs: read only, nothing is opened or decided."""

import sqlite3
from contextlib import closing
from pathlib import Path

from agent.core.errors import InputError
from agent.store.database import NAME


def look(directory: Path, count_max: int) -> tuple[int, list[bytes]]:
    """Count of the records waiting, and the envelopes of the last count_max of them by boot and sequence.

    Raises InputError where there is no outbox or it cannot be read.
    """
    path = directory / NAME
    if not path.exists():
        raise InputError(f"no outbox at {path}")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            count = db.execute("SELECT COUNT(*) FROM records").fetchone()[0]
            query = "SELECT payload FROM records ORDER BY boot DESC, sequence DESC LIMIT ?"
            rows = db.execute(query, (count_max,)).fetchall()
    except sqlite3.DatabaseError as exc:
        raise InputError(f"{path}: cannot be read: {exc}") from exc
    return int(count), [row[0] for row in reversed(rows)]
