"""Both brokers, with a throw-away PKI."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.core.config import Link
from simulators.access import RULES
from simulators.broker import Broker
from simulators.mosquitto import Mosquitto, find_mosquitto
from simulators.pki import Authority


@dataclass(frozen=True)
class Site:
    authority: Authority
    broker: Broker | Mosquitto

    def link(self, name: str, **settings: object) -> Link:
        identity = self.authority.issue_client(name)
        values: dict[str, object] = {
            "host": "127.0.0.1",
            "port": self.broker.port,
            "ca": str(self.authority.certificate),
            "certificate": str(identity.certificate),
            "key": str(identity.key),
            "ack_timeout_s": 2.0,
        }
        return Link(**values | settings)  # type: ignore[arg-type]  # checked by the tests' own use


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[Site]:
    authority = Authority(tmp_path / "pki")
    broker = Broker(authority=authority.certificate, identity=authority.issue_server(), rules=RULES)
    await broker.start()
    yield Site(authority, broker)
    await broker.stop()


@pytest.fixture(params=["mosquitto", "embedded"])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    authority = Authority(tmp_path / "pki")
    server = authority.issue_server()
    broker: Broker | Mosquitto
    if request.param == "embedded":
        broker = Broker(authority=authority.certificate, identity=server, rules=RULES)
    elif program := find_mosquitto():
        broker = Mosquitto(program, tmp_path / "broker", authority=authority.certificate, identity=server, rules=RULES)
    else:
        pytest.skip("mosquitto is not installed")
    await broker.start()
    yield Site(authority, broker)
    await broker.stop()
