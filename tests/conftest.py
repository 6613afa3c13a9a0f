"""Fixtures for every test."""

from pathlib import Path

import pytest
from hypothesis import settings

# A slow, shared machine is no failure: what a property holds does not depend on the time an example takes.
# The same examples in every run, so that a change fails for what it did; `--hypothesis-profile=search` draws
# others, and more.
settings.register_profile("outrider", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=1_000)
settings.load_profile("outrider")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real recordings that lie beside the project, where there are any."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no recordings at {folder}")
    return folder
