"""The uplink against bare aiomqtt: the same sealed payloads, window, TLS, broker and QoS 1, in turns.

Ours reads a real outbox, publishes by priority, checks each PUBACK's reason and deletes by signed receipts; aiomqtt
publishes from a list and believes every PUBACK. Both sides have the same listener behind the broker, a process that
signs receipts without opening anything; a side begins when it has taken everything of the one before. Events/s in wall
time from the first publish to the last PUBACK; CPU time of this process per event, ours with store and receipts, up to
the last receipt.
"""

import asyncio
import logging
import multiprocessing
import ssl
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event as Flag
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import aiomqtt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.core.config import Link
from agent.core.errors import AgentError
from agent.core.keys import raw_bytes
from agent.core.records import Position, SealedRecord, digest_of, parse_envelope
from agent.link.uplink import Uplink
from agent.link.wire import encode_receipt, receipt_topic, record_topic
from agent.store.outbox import Outbox
from drivers.clock import SystemClock
from fleet.receiver.intake import Outcome
from fleet.receiver.receipts import contiguous_ranges
from fleet.receiver.service import serve
from simulators.access import INSURER, RULES
from simulators.mosquitto import Mosquitto, find_mosquitto
from simulators.pki import Authority
from tests.unit.store.kit import braking, seal_chain

_DEVICE: Final = "car-1"
_BARE: Final = "car-2"
_EVENTS: Final = 4000
_TURNS: Final = 5
_WINDOW: Final = 16
_LIMIT_S: Final = 120.0
_FOLDER: Final = "/var/tmp"  # a real disk, where /tmp may be memory
_RECEIPT_KEY: Final = bytes(range(32))


def run() -> dict[str, object]:
    """ratio_aiomqtt: the uplink's events/s over those of bare aiomqtt."""
    program = find_mosquitto()
    if program is None:
        raise AgentError("bench link: mosquitto is not installed")
    with TemporaryDirectory(prefix="bench-link-", dir=_FOLDER) as name:
        return asyncio.run(_compare(Path(name), program))


async def _compare(folder: Path, program: str) -> dict[str, object]:
    events = [braking(t) for t in range(_EVENTS)]
    records, others = seal_chain(events, device=_DEVICE), seal_chain(events, device=_BARE)
    authority = Authority(folder / "pki")
    broker = Mosquitto(
        program,
        folder / "broker",
        authority=authority.certificate,
        identity=authority.issue_server(),
        rules=RULES,
    )
    await broker.start()
    ours: list[tuple[float, float]] = []
    bare: list[tuple[float, float]] = []
    try:
        with _listener(_link(authority, INSURER, broker.port)) as taken:
            for turn in range(_TURNS):
                bare.append(await _publish_bare(_link(authority, _BARE, broker.port), others))
                await _settle(taken, (2 * turn + 1) * _EVENTS)
                store = folder / f"store{turn}"
                ours.append(await _publish_ours(_link(authority, _DEVICE, broker.port), store, records))
                await _settle(taken, (2 * turn + 2) * _EVENTS)
    finally:
        await broker.stop()
    return {
        "name": "link",
        "ratio_aiomqtt": round(statistics.median(a / b for (a, _), (b, _) in zip(ours, bare, strict=True)), 2),
        "events_per_s": round(statistics.median(rate for rate, _ in ours)),
        "events_per_s_aiomqtt": round(statistics.median(rate for rate, _ in bare)),
        "cpu_us_per_event": round(statistics.median(cpu_us for _, cpu_us in ours)),
        "cpu_us_per_event_aiomqtt": round(statistics.median(cpu_us for _, cpu_us in bare)),
        "window": _WINDOW,
        "payload_bytes": round(statistics.mean(len(record.payload) for record in records)),
        "rss_mb": _rss_mb(),
    }


async def _settle(taken: Callable[[], int], count: int) -> None:
    """Wait until the listener has taken so many."""
    async with asyncio.timeout(_LIMIT_S):
        while taken() < count:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


async def _publish_bare(link: Link, records: Sequence[SealedRecord]) -> tuple[float, float]:
    """aiomqtt as its documentation shows it, with as many publishes under way as the window lets.

    Like _publish_ours it returns events/s, and CPU time in us per event.
    """
    context = ssl.create_default_context(cafile=link.ca)
    context.load_cert_chain(link.certificate, link.key)
    quiet = logging.getLogger("bench.aiomqtt")
    quiet.setLevel(logging.CRITICAL)  # it warns of every tenth publish under way, which would cost it time
    waiting = iter(records)
    async with aiomqtt.Client(
        link.host,
        link.port,
        identifier=_BARE,
        protocol=aiomqtt.ProtocolVersion.V5,
        tls_context=context,
        max_inflight_messages=_WINDOW,
        logger=quiet,
    ) as client:

        async def publish() -> None:
            for record in waiting:
                await client.publish(record_topic(_BARE), record.payload, qos=1)

        begun_s, cpu_s = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as publishing:
            for _ in range(_WINDOW):
                publishing.create_task(publish())
        return len(records) / (time.perf_counter() - begun_s), (time.process_time() - cpu_s) / len(records) * 1e6


async def _publish_ours(link: Link, folder: Path, records: Sequence[SealedRecord]) -> tuple[float, float]:
    outbox = await Outbox.open(folder, device=_DEVICE, size_max_bytes=10**9)
    for start in range(0, len(records), 50):
        await outbox.append(records[start : start + 50], critical=False)
    key = raw_bytes(Ed25519PrivateKey.from_private_bytes(_RECEIPT_KEY).public_key())
    connected = asyncio.Event()
    uplink = Uplink(
        link,
        outbox,
        device=_DEVICE,
        receipt_key=key,
        clock=SystemClock(),
        notify=lambda notice: connected.set() if notice.text.startswith("connected") else None,
    )
    running = asyncio.create_task(uplink.run())
    try:
        async with asyncio.timeout(_LIMIT_S):
            await connected.wait()
            begun_s, cpu_s = time.perf_counter(), time.process_time()
            while uplink.counters().get("published", 0) < len(records):  # noqa: ASYNC110 - nobody tells of the last one
                await asyncio.sleep(0.005)
            rate = len(records) / (time.perf_counter() - begun_s)
            await uplink.drain(_LIMIT_S)
            cpu_us = (time.process_time() - cpu_s) / len(records) * 1e6
    finally:
        running.cancel()
        await asyncio.wait([running])
        await outbox.close()
    return rate, cpu_us


class _Listener:
    """Takes every envelope unopened, and signs for it."""

    def __init__(self, taken: "Synchronized[int]") -> None:
        self._taken = taken
        self._key = Ed25519PrivateKey.from_private_bytes(_RECEIPT_KEY)
        self._owed: dict[str, list[tuple[Position, bytes]]] = defaultdict(list)

    def take(self, envelopes: Sequence[bytes]) -> list[Outcome]:
        headers = [parse_envelope(envelope)[0] for envelope in envelopes]
        for header, envelope in zip(headers, envelopes, strict=True):
            self._owed[header.device].append((header.position, digest_of(envelope)))
        self._taken.value += len(envelopes)
        return [Outcome("accepted", header.device, header.position) for header in headers]

    def receipts(self, devices: Iterable[str]) -> list[tuple[str, bytes]]:
        answers: list[tuple[str, bytes]] = []
        for device in devices:
            ranges = contiguous_ranges(sorted(self._owed.pop(device, ())))[:256]
            if ranges:
                receipt = encode_receipt(device, ranges, received_ns=time.time_ns(), sign=self._key.sign)
                answers.append((receipt_topic(device), receipt))
        return answers


@contextmanager
def _listener(link: Link) -> Iterator[Callable[[], int]]:
    """Give the number of envelopes taken so far."""
    spawn = multiprocessing.get_context("spawn")
    ready, over = spawn.Event(), spawn.Event()
    taken: Synchronized[int] = spawn.Value("i", 0)
    process = spawn.Process(target=_listen, args=(link, ready, over, taken))
    process.start()
    try:
        if not ready.wait(_LIMIT_S):
            raise AgentError("bench link: the listener does not come up")
        yield lambda: taken.value
    finally:
        over.set()
        process.join(_LIMIT_S)


def _listen(link: Link, ready: Flag, over: Flag, taken: "Synchronized[int]") -> None:
    async def listen() -> None:
        stopping = asyncio.Event()
        serving = asyncio.create_task(serve(link, _Listener(taken), stopping=stopping, on_connected=ready.set))
        await asyncio.to_thread(over.wait)
        stopping.set()
        await serving

    asyncio.run(listen())


def _link(authority: Authority, name: str, port: int) -> Link:
    return authority.link(name, port, in_flight_max=_WINDOW if name == _DEVICE else 500)


def _rss_mb() -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) // 1024
