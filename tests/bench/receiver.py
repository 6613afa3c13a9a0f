"""The receiver's workers against a bare loop of cwt that opens and verifies the same sealed payloads, and does no more.

A worker is a process of `python -m fleet receive`: MQTT 5 over mutual TLS from mosquitto, parse, duplicate check, open,
verify, COPY into PostgreSQL with fsync, receipts. Its queue waits at the broker before it starts, and its rate is
counted from its first commit to its last one, so that neither the publisher nor the start is in it. Wall time: the
worker shares two cores with broker and database, the bare loop has them to itself.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import cbor2
import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cwt import COSE, COSEKey

from agent.core.config import Link
from agent.core.cose import encode_cbor
from agent.core.errors import AgentError
from agent.core.records import SealedRecord, parse_envelope
from agent.link import mqtt
from agent.link.wire import record_topic
from agent.store.seal import Sealer
from agent.store.unseal import encryption_aad, key_id, signature_aad
from drivers.keystore import FileKeystore
from fleet.receiver.keys import ReceiverKeys
from simulators.access import INSURER, RULES, Rule
from simulators.mosquitto import Mosquitto, find_mosquitto
from simulators.pki import Authority
from simulators.postgres import Postgres
from tests.unit.store.kit import braking, seal_chain, thermal

_DEVICES: Final = 40
_EVENTS: Final = 12_000
_BARE: Final = 1_500
_TURNS: Final = 2
_FOLDER: Final = "/var/tmp"  # a real disk, where /tmp may be memory
_PUBLISHER: Final = "bench"
_LIMIT_S: Final = 120.0
_PROGRESS: Final = "SELECT COUNT(*), MIN(received_ns), MAX(received_ns) FROM events"


@dataclass(frozen=True, slots=True)
class _Run:
    """What the workers did together, and the memory of all of them, of the broker and of PostgreSQL."""

    events_per_s: float
    memory_mb: dict[str, float]


def run() -> dict[str, object]:
    """ratio_bare: one worker's events/s over those of the bare loop; scaling_2: two workers' over one's."""
    with TemporaryDirectory(prefix="bench-receiver-", dir=_FOLDER) as name, Postgres(durable=True) as server:
        scene = _Scene(Path(name))
        bare: list[float] = []
        ones: list[_Run] = []
        twos: list[_Run] = []
        for turn in range(_TURNS):
            bare.append(scene.bare_rate())
            for workers, runs in ((1, ones), (2, twos)):
                address = server.create_database(f"turn{turn}w{workers}")
                runs.append(asyncio.run(scene.receive(address, workers, server)))
    one, two = (max(runs, key=lambda done: done.events_per_s) for runs in (ones, twos))
    return {
        "name": "receiver",
        "ratio_bare": round(one.events_per_s / max(bare), 2),
        "scaling_2": round(two.events_per_s / one.events_per_s, 2),
        "events_per_s_bare": round(max(bare)),
        "events_per_s_1": round(one.events_per_s),
        "events_per_s_2": round(two.events_per_s),
        "all_events_per_s_1": [round(done.events_per_s) for done in ones],
        "all_events_per_s_2": [round(done.events_per_s) for done in twos],
        **{f"rss_mb_{name}": round(value) for name, value in one.memory_mb.items()},
        **{f"rss_mb_{name}_2": round(value) for name, value in two.memory_mb.items()},
    }


class _Scene:
    """Keys, a broker's folder, and what the cars have sealed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = Authority(folder / "pki")
        self._server = self._authority.issue_server()
        self._keys = ReceiverKeys.create(folder / "insurer")
        owner = X25519PrivateKey.generate().public_key()
        self._sealed: list[SealedRecord] = []
        self._public: dict[str, bytes] = {}
        chains = []
        for number in range(_DEVICES):
            keystore = FileKeystore(Ed25519PrivateKey.generate(), f"car-{number}")
            self._keys.register(keystore.device_id, keystore.public_key)
            self._public[keystore.device_id] = keystore.public_key
            events = [thermal(t) if t % 10 == 0 else braking(t) for t in range(_EVENTS // _DEVICES)]
            sealer = Sealer(keystore, [self._keys.encryption_key.public_key(), owner])
            chains.append(seal_chain(events, sealer=sealer, device=keystore.device_id))
        self._sealed = [record for together in zip(*chains, strict=True) for record in together]

    def bare_rate(self) -> float:
        """Events/s of cwt: the envelope's CBOR, ECDH, key wrap, AES-GCM, Ed25519; no content, no disk, no network."""
        private = self._keys.encryption_key
        key = COSEKey.new(
            {1: 1, -1: 4, 3: -25, -2: private.public_key().public_bytes_raw(), -4: private.private_bytes_raw()}
        )
        kid = key_id(private.public_key())
        device_keys = {name: COSEKey.new({1: 1, -1: 6, 3: -8, -2: public}) for name, public in self._public.items()}
        cose = COSE.new()
        begun_s = time.perf_counter()
        for record in self._sealed[:_BARE]:
            _open_with_cwt(cose, record.payload, key, kid, device_keys)
        return _BARE / (time.perf_counter() - begun_s)

    async def receive(self, address: str, workers: int, server: Postgres) -> _Run:
        """Let the workers subscribe and go, fill their queues, start them again and watch the database."""
        folder = self._folder / f"broker-{time.monotonic_ns()}"
        rules = (*RULES, Rule(_PUBLISHER, "write", "outrider/v1/+/record"))
        program = find_mosquitto()
        if program is None:
            raise AgentError("bench receiver: mosquitto is not installed")
        broker = Mosquitto(program, folder, authority=self._authority.certificate, identity=self._server, rules=rules)
        await broker.start()
        try:
            await self._subscribe(broker.port, workers)
            await self._publish(broker.port)
            with self._receiver(broker.port, address, workers) as process:
                rate = await _watch(address, process, len(self._sealed))
                family = {"worker": _family(process.pid), "broker": [broker.pid], "database": _family(server.pid)}
                return _Run(rate, {name: sum(map(_memory_mb, pids)) for name, pids in family.items()})
        finally:
            await broker.stop()

    async def _subscribe(self, port: int, workers: int) -> None:
        """What a worker does at its start: from now on the broker keeps its share for it."""
        names = ["insurer"] if workers == 1 else [f"insurer-{number}" for number in range(workers)]
        topic = "outrider/v1/+/record" if workers == 1 else "$share/receivers/outrider/v1/+/record"
        for name in names:
            async with mqtt.connect(self._link(INSURER, port), client_id=name, subscriptions=[topic]):
                pass

    async def _publish(self, port: int) -> None:
        async with mqtt.connect(self._link(_PUBLISHER, port), client_id=_PUBLISHER) as session:
            for start in range(0, len(self._sealed), 500):
                async with asyncio.TaskGroup() as sending:
                    for record in self._sealed[start : start + 500]:
                        sending.create_task(session.publish(record_topic(record.device), record.payload))

    @contextmanager
    def _receiver(self, port: int, address: str, workers: int) -> Iterator[subprocess.Popen[bytes]]:
        link = self._link(INSURER, port)
        file = self._folder / "link.toml"
        names = ("host", "port", "ca", "certificate", "key")
        file.write_text("".join(f"{name} = {getattr(link, name)!r}\n" for name in names))
        command = [sys.executable, "-m", "fleet", "receive", "--quiet", "--workers", str(workers)]
        command += ["--link", str(file), "--keys", str(self._folder / "insurer"), "--database", address]
        process = subprocess.Popen(command)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(_LIMIT_S)

    def _link(self, name: str, port: int) -> Link:
        return self._authority.link(name, port, in_flight_max=500)


async def _watch(address: str, process: subprocess.Popen[bytes], wanted: int) -> float:
    """Events/s from the first commit to the last."""
    deadline_s = time.monotonic() + _LIMIT_S
    with psycopg.connect(address, autocommit=True) as db:
        while time.monotonic() < deadline_s and process.poll() is None:
            await asyncio.sleep(0.5)
            if db.execute("SELECT to_regclass('events')").fetchone() == (None,):
                continue
            stored, begun_ns, ended_ns = db.execute(_PROGRESS).fetchone() or (0, 0, 0)
            if stored == wanted:
                (first,) = db.execute("SELECT COUNT(*) FROM events WHERE received_ns = %s", (begun_ns,)).fetchone() or (
                    0,
                )
                return float((stored - first) / ((ended_ns - begun_ns) * 1e-9))
    raise AgentError("bench receiver: the workers did not take everything in time")


def _family(pid: int) -> list[int]:
    """The process and its children, of any generation."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(member for child in children for member in _family(int(child)))]


def _memory_mb(pid: int) -> float:
    """Its share of the memory in use (PSS): what processes have in common counts once. One that has ended has none."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def _open_with_cwt(cose: COSE, envelope: bytes, private: COSEKey, kid: bytes, device_keys: dict[str, COSEKey]) -> None:
    """cwt knows ECDH-ES + A256KW with NIST curves only: its parts, put together as RFC 9053 says."""
    header, sealed = parse_envelope(envelope)
    message = cbor2.loads(sealed)
    recipient = next(part for part in message.value[3] if part[1][4] == kid)
    ephemeral = COSEKey.new({**recipient[1][-1], 3: -25})
    context = [-5, [None] * 3, [None] * 3, [256, recipient[0]]]
    kek = private.derive_bytes(32, info=cbor2.dumps(context), public_key=ephemeral)
    wrapped = [[b"", {1: -5, 4: kid}, recipient[2]]]
    simpler = cbor2.dumps(cbor2.CBORTag(96, [*message.value[:3], wrapped]))
    key = COSEKey.from_symmetric_key(kek, alg="A256KW", kid=kid)
    signed = cose.decode(simpler, key, external_aad=encryption_aad(header, encode_cbor(message.value[3])))
    cose.decode(signed, device_keys[header.device], external_aad=signature_aad(header))
