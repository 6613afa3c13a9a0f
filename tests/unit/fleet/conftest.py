"""Each test of the intake runs on both stores."""

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from simulators.postgres import Postgres, find_postgres
from tests.unit.fleet.desk_kit import Office

_NUMBERS = count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    if find_postgres() is None:
        pytest.skip("PostgreSQL is not installed")
    with Postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Makes the address of an empty database."""
    if request.param == "sqlite":
        return lambda: str(tmp_path / f"received{next(_NUMBERS)}.db")
    server: Postgres = request.getfixturevalue("postgres")
    return lambda: server.create_database(f"received{next(_NUMBERS)}")


@pytest.fixture
def office(new_database: Callable[[], str]) -> Iterator[Office]:
    made = Office(new_database())
    with closing(made.receiver):
        yield made
