"""Receivers that are killed and a database that is restarted under load: every event is stored once, and receipted."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.core.config import Link
from agent.core.keys import parse_ed25519, raw_bytes, read_key
from fleet.receiver.database import open_store
from fleet.receiver.keys import ReceiverKeys
from simulators.access import INSURER, RULES
from simulators.broker import Broker
from simulators.broker_faults import AckFault, BrokerFaults
from simulators.cloud import Cloud
from simulators.mosquitto import Mosquitto, find_mosquitto
from simulators.pki import Authority
from simulators.postgres import Postgres, find_postgres
from simulators.vehicles import Identity, Plan, drive
from tests.conftest import REPOSITORY
from tests.scenario.delivery import open_car, quick_link

_KEYS = ("host", "port", "ca", "certificate", "key", "backoff_longest_s", "receipt_timeout_s")
_VEHICLES, _DRIVE_S = 8, 12.0


@dataclass
class Site:
    """An insurer's machines: two workers that share what comes, each restarted as systemd would do it."""

    folder: Path
    port: int
    authority: Authority
    keys: ReceiverKeys
    address: str
    workers: list[asyncio.subprocess.Process] = field(default_factory=list)

    def link(self, name: str) -> Link:
        """Two seconds without a receipt and the car sends again: what a killed worker owed is asked for soon."""
        identity = self.authority.issue_client(name)
        return Link(
            host="127.0.0.1",
            port=self.port,
            ca=str(self.authority.certificate),
            certificate=str(identity.certificate),
            key=str(identity.key),
            backoff_longest_s=1.0,
            receipt_timeout_s=2.0,
        )

    async def start_worker(self, number: int) -> asyncio.subprocess.Process:
        command = ["-m", "fleet", "receive", "--quiet", "--worker", str(number), "--database", self.address]
        command += ["--link", str(self.folder / "link.toml"), "--keys", str(self.folder / "insurer")]
        worker = await asyncio.create_subprocess_exec(
            sys.executable, *command, cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE
        )
        self.workers.append(worker)
        assert worker.stdout is not None
        assert b"receiving from" in await asyncio.wait_for(worker.stdout.readline(), 30)
        return worker

    async def stop(self) -> None:
        running = [worker for worker in self.workers if worker.returncode is None]
        for worker in running:
            worker.terminate()
        for worker in running:
            assert await asyncio.wait_for(worker.wait(), 20) == 0


@asynccontextmanager
async def _open_site(folder: Path, postgres: Postgres) -> AsyncIterator[Site]:
    program = find_mosquitto()
    assert program is not None
    authority, keys = Authority(folder / "pki"), ReceiverKeys.create(folder / "insurer")
    broker = Mosquitto(
        program, folder / "broker", authority=authority.certificate, identity=authority.issue_server(), rules=RULES
    )
    await broker.start()
    try:
        site = Site(folder, broker.port, authority, keys, postgres.create_database("received"))
        values = site.link(INSURER)
        (folder / "link.toml").write_text("".join(f"{name} = {getattr(values, name)!r}\n" for name in _KEYS))
        yield site
        await site.stop()
    finally:
        for worker in site.workers:
            if worker.returncode is None:
                worker.kill()
                await worker.wait()
        await broker.stop()


def _plan(site: Site) -> Plan:
    identities = []
    for number in range(_VEHICLES):
        device, key = f"car-{number}", Ed25519PrivateKey.generate()
        site.keys.register(device, raw_bytes(key.public_key()))
        identities.append(Identity(device, key.private_bytes_raw(), site.link(device)))
    return Plan(
        vehicles=identities,
        insurer_key=raw_bytes(site.keys.encryption_key.public_key()),
        receipt_key=raw_bytes(read_key(site.keys.receipt_public, parse_ed25519)),
        duration_s=_DRIVE_S,
        period_s=0.05,
        seed=3,
    )


@pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")
@pytest.mark.skipif(find_postgres() is None, reason="PostgreSQL is not installed")
async def test_killed_workers_and_a_restarted_database_lose_nothing_and_store_nothing_twice(tmp_path: Path) -> None:
    with Postgres(durable=True) as postgres:
        async with _open_site(tmp_path, postgres) as site:
            workers = [await site.start_worker(number) for number in (0, 1)]
            driving = asyncio.create_task(asyncio.to_thread(drive, _plan(site)))
            for turn, wait_s in enumerate((1.0, 1.7, 1.2, 1.5)):
                await asyncio.sleep(wait_s)
                if turn == 2:
                    await asyncio.to_thread(postgres.restart)
                workers[turn % 2].kill()
                await workers[turn % 2].wait()
                workers[turn % 2] = await site.start_worker(turn % 2)
            told = await driving
            assert told.left == 0
            with closing(open_store(site.address)) as store:
                counts = store.counts()
                stored = {row["device"]: row["events"] for row in store.devices()}
        assert stored == told.events
        assert counts.verified == counts.received == sum(told.events.values()) > 500
        assert counts.dead == 0


async def test_gaps_between_what_is_receipted_are_sent_again_and_nothing_else(tmp_path: Path) -> None:
    """A broker that acknowledges and forgets: the receipts' ranges leave out what it forgot, and that says enough."""
    async with Cloud(tmp_path / "cloud", broker="embedded") as cloud:
        assert isinstance(cloud.broker, Broker)
        forget = AckFault(reason=0x10, share=0.3, most=15)
        cloud.broker.misbehave(BrokerFaults(acks=[forget], user="car1"), seed=3)
        async with open_car(cloud, tmp_path, quick_link(cloud)) as car:
            await car.record(60)
            await car.deliver()
        assert [event["event"]["speed_kmh"] for event in cloud.store.events("car1")] == list(range(60))
        assert cloud.counts().verified == 60
        assert car.uplink.counters()["published"] == 60 + 15
        assert cloud.outcomes == {"accepted": 60}
