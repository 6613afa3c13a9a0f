"""`python -m simulators fleet`: thousands of vehicles, one mosquitto, the real receiver; what became of every event."""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.core.config import Link
from agent.core.keys import parse_ed25519, raw_bytes, read_key
from fleet.receiver.database import open_store
from fleet.receiver.keys import ReceiverKeys
from fleet.receiver.store import Counts
from simulators.access import INSURER, RULES
from simulators.arguments import Parser, count, seed
from simulators.mosquitto import BrokerFailed, Mosquitto, find_mosquitto
from simulators.pki import Authority
from simulators.postgres import Postgres, find_postgres
from simulators.vehicles import Identity, Plan, Told, allow_connections, spread

_VEHICLES_MAX: Final = 50_000
_PROCESSES: Final = 2
_LINK_KEYS: Final = ("host", "port", "ca", "certificate", "key")
_START_S: Final = 60.0
_STOP_S: Final = 30.0


def main(argv: Sequence[str]) -> int:
    """Exit code 0 where every event was stored once, 1 otherwise. Raises AgentError for what cannot be started."""
    parser = Parser(
        prog="python -m simulators fleet",
        description="Thousands of vehicles against one mosquitto and the real receiver. Each has the agent's own\n"
        "seal, chain and uplink on a TLS connection of its own; they come over the first fifth of the time.",
    )
    parser.add_argument("--vehicles", type=_number(1, _VEHICLES_MAX), default=500, metavar="N")
    parser.add_argument("--minutes", type=_number(0.1, 1440), default=1.0, metavar="M")
    parser.add_argument("--period", type=_number(1, 3600), default=60.0, metavar="S", help="seconds between two events")
    parser.add_argument("--workers", type=count, default=2, metavar="N", help="of the receiver")
    parser.add_argument("--seed", type=seed, default=7, metavar="N")
    return asyncio.run(_run(parser.parse_args(argv)))


async def _run(options: argparse.Namespace) -> int:
    vehicles = int(options.vehicles)
    allow_connections(vehicles)
    with TemporaryDirectory(prefix="outrider-fleet-", dir="/var/tmp") as name:
        async with _open_cloud(Path(name), options.workers) as (broker, address, authority, keys):
            identities = [_register(f"car-{number}", broker.port, authority, keys) for number in range(vehicles)]
            plans = [_plan(identities[part::_PROCESSES], keys, options) for part in range(min(_PROCESSES, vehicles))]
            print(f"{vehicles} vehicles with identities; driving for {options.minutes:g} min", flush=True)
            begun_s = time.monotonic()
            told = await asyncio.to_thread(spread, plans)
            return _report(address, told, time.monotonic() - begun_s)


@asynccontextmanager
async def _open_cloud(folder: Path, workers: int) -> AsyncIterator[tuple[Mosquitto, str, Authority, ReceiverKeys]]:
    """Broker, database and the receiver's workers, all processes of their own."""
    program = find_mosquitto()
    if program is None:
        raise BrokerFailed("mosquitto is not installed: apt-get install mosquitto")
    async with AsyncExitStack() as stack:
        authority, keys = Authority(folder / "pki"), ReceiverKeys.create(folder / "insurer")
        broker = Mosquitto(
            program,
            folder / "broker",
            authority=authority.certificate,
            identity=authority.issue_server(),
            rules=RULES,
        )
        await broker.start()
        stack.push_async_callback(broker.stop)
        address = str(folder / "received.sqlite")
        if find_postgres() is not None:
            address = stack.enter_context(Postgres(durable=True)).create_database("received")
        link = folder / "insurer-link.toml"
        values = _link(INSURER, broker.port, authority)
        link.write_text("".join(f"{name} = {getattr(values, name)!r}\n" for name in _LINK_KEYS), encoding="utf-8")
        await stack.enter_async_context(_receiver(link, folder / "insurer", address, workers))
        database = "PostgreSQL" if address.startswith("postgresql:") else "SQLite"
        print(f"mosquitto on port {broker.port}, {workers} receiver workers, {database}", flush=True)
        yield broker, address, authority, keys


@asynccontextmanager
async def _receiver(link: Path, keys: Path, address: str, workers: int) -> AsyncIterator[None]:
    command = ["-m", "fleet", "receive", "--quiet", "--workers", str(workers), "--link", str(link)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        "--keys",
        str(keys),
        "--database",
        address,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for us: it goes after the vehicles
    )
    try:
        await _wait_until_receiving(process, workers)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), _STOP_S)


async def _wait_until_receiving(process: asyncio.subprocess.Process, workers: int) -> None:
    """Before it has subscribed the broker would drop what the vehicles publish."""
    if process.stdout is None:
        raise RuntimeError("the receiver was started without a pipe")
    said = b""
    try:
        async with asyncio.timeout(_START_S):
            while said.count(b"receiving from") < workers:
                line = await process.stdout.readline()
                if not line:
                    raise BrokerFailed("the receiver ended at its start")
                said += line
    except TimeoutError as exc:
        raise BrokerFailed(f"the receiver did not start within {_START_S:g} s") from exc


def _register(device: str, port: int, authority: Authority, keys: ReceiverKeys) -> Identity:
    key = Ed25519PrivateKey.generate()
    keys.register(device, raw_bytes(key.public_key()))
    return Identity(device, key.private_bytes_raw(), _link(device, port, authority))


def _link(name: str, port: int, authority: Authority) -> Link:
    return authority.link(name, port, backoff_longest_s=10.0)


def _plan(identities: Sequence[Identity], keys: ReceiverKeys, options: argparse.Namespace) -> Plan:
    return Plan(
        vehicles=identities,
        insurer_key=raw_bytes(keys.encryption_key.public_key()),
        receipt_key=raw_bytes(read_key(keys.receipt_public, parse_ed25519)),
        duration_s=options.minutes * 60,
        period_s=options.period,
        seed=options.seed,
    )


def _report(address: str, parts: Sequence[Told], took_s: float) -> int:
    """Compare what the vehicles told with what is stored."""
    told = {device: events for part in parts for device, events in part.events.items()}
    with closing(open_store(address)) as store:
        counts, devices = store.counts(), store.devices()
        to_store_s = [(row["received_ns"] - row["wall_ns"]) * 1e-9 for row in store.events()]
    stored = {row["device"]: row["events"] for row in devices}
    lost = sum(max(0, events - stored.get(device, 0)) for device, events in told.items())
    twice = sum(max(0, events - told.get(device, 0)) for device, events in stored.items())
    waits_s = np.concatenate([part.waits_s for part in parts])
    total = sum(told.values())
    print(f"stored within p50 {_ms(to_store_s, 50)}, p99 {_ms(to_store_s, 99)}; {_links(counts)}")
    print(f"vehicles' processes: {', '.join(f'{part.peak_rss_mb:.0f} MB' for part in parts)} at most")
    print(
        f"fleet: {len(told)} vehicles, {total} events, {total / took_s:.1f} events/s, "
        f"event to receipt p50 {_ms(waits_s, 50)} p99 {_ms(waits_s, 99)}, "
        f"{sum(part.cuts for part in parts)} cuts, {lost} lost, {twice} duplicates in effect"
    )
    whole = counts.verified == counts.received == total and not counts.dead
    return 0 if whole and not lost and not twice and not any(part.left for part in parts) else 1


def _links(counts: Counts) -> str:
    return f"{counts.verified} of {counts.received} verified, {counts.broken} broken, {counts.dead} dead letters"


def _ms(values: Any, percent: float) -> str:
    return f"{np.percentile(values, percent) * 1000:.0f} ms" if len(values) else "-"


def _number(least: float, most: float) -> Any:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r}: a number from {least:g} to {most:g}")
        return value

    return parse
