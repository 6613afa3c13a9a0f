"""A cloud on either broker, and cars that deliver to it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from simulators.cloud import BrokerKind, Cloud
from simulators.mosquitto import find_mosquitto


@pytest.fixture(params=["mosquitto", "embedded"])
async def cloud(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cloud]:
    kind: BrokerKind = request.param
    if kind == "mosquitto" and find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    async with Cloud(tmp_path / "cloud", broker=kind) as cloud:
        yield cloud
