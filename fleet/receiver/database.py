"""Which store an address means."""

from pathlib import Path

from agent.core.errors import InputError
from fleet.receiver.sqlite import SqliteStore
from fleet.receiver.store import Store


def open_store(database: str, *, create: bool = False) -> Store:
    """A PostgreSQL by its postgresql:// address; anything else is a SQLite file.

    Raises InputError where a file is missing (unless create) or psycopg is not installed, StoreError where the server
    does not answer.
    """
    if database.startswith(("postgresql://", "postgres://")):
        from fleet.receiver.postgres import PostgresStore  # noqa: PLC0415  # an extra that not everybody installs

        return PostgresStore(database)
    path = Path(database)
    if not create and not path.exists():
        raise InputError(f"{path}: no such file")
    return SqliteStore(path)
