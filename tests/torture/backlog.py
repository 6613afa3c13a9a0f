"""A crash behind a backlog: so many records wait for the network, and the one that matters must not wait for them.

A real outbox, the real uplink and the embedded broker, which notes when it saw whom. The records are as large as sealed
ones of everyday; nobody opens them here.
"""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.core.config import Link
from agent.core.errors import AgentError
from agent.core.events import Priority
from agent.core.keys import raw_bytes
from agent.core.records import Range, parse_envelope
from agent.link.uplink import Uplink
from agent.store.outbox import Outbox
from drivers.clock import SystemClock
from simulators.access import RULES
from simulators.broker import Broker
from simulators.broker_session import Session
from simulators.mqtt_codec import Connect, Publish
from simulators.network import Network
from simulators.pki import Authority
from tests.unit.store.kit import make_chain

_DEVICE: Final = "car-1"
_SIZE: Final = 400  # bytes of a sealed event of everyday
_STEP: Final = 2000
_LIMIT_S: Final = 30.0
_RECEIPT: Final = 200  # records that a receipt covers


@dataclass(frozen=True, slots=True)
class Overtaking:
    """place: of the crash among what the new connection carried, 1 is first. Memory in MB of this process."""

    records: int
    place: int
    crash_s: float
    forget_ms: float
    memory_before_mb: float
    memory_after_mb: float

    @property
    def is_sound(self) -> bool:
        """First on the wire within a second."""
        return self.place == 1 and self.crash_s < 1.0


class _Witness(Broker):
    """Notes what arrived since the last CONNECT: when, and of which priority."""

    connected_s = 0.0
    seen: Sequence[tuple[float, Priority]] = ()

    def open_session(self, packet: Connect, user: str, writer: asyncio.StreamWriter) -> tuple[Session | None, bool]:
        self.connected_s, self.seen = time.monotonic(), []
        return super().open_session(packet, user, writer)

    def publish(self, packet: Publish, user: str, *, copies: int = 1) -> int:
        self.seen = [*self.seen, (time.monotonic(), parse_envelope(packet.payload)[0].priority)]
        return super().publish(packet, user, copies=copies)


async def run(directory: Path, *, records: int) -> Overtaking:
    """Fill, connect, cut, crash, connect again."""
    authority = Authority(directory / "pki")
    broker = _Witness(authority=authority.certificate, identity=authority.issue_server(), rules=RULES)
    await broker.start()
    road = Network(broker.port)
    await road.start()
    outbox = await Outbox.open(directory / "store", device=_DEVICE, size_max_bytes=10**10)
    uplink = Uplink(
        _link(authority, road.port),
        outbox,
        device=_DEVICE,
        receipt_key=raw_bytes(Ed25519PrivateKey.generate().public_key()),
        clock=SystemClock(),
    )
    sending = asyncio.create_task(uplink.run())
    try:
        before_mb = _memory_mb()
        last = await _fill(outbox, records)
        uplink.wake()
        await _until(lambda: uplink.counters().get("published", 0) >= min(records, _RECEIPT))
        road.cut()
        await _until(lambda: not uplink.connected)
        crash = make_chain(1, boot=outbox.boot, first=records + 1, after=last, priorities=(Priority.CRASH,), size=_SIZE)
        await outbox.append(crash, critical=True, for_crash=True)
        uplink.wake()
        road.restore()
        await _until(lambda: any(priority == Priority.CRASH for _, priority in broker.seen))
        place = next(index for index, (_, p) in enumerate(broker.seen, 1) if p == Priority.CRASH)
        crash_s = broker.seen[place - 1][0] - broker.connected_s
        forget_ms = await _forget(outbox, min(records, _RECEIPT))
        await _until(lambda: len(broker.seen) > min(records, _RECEIPT))
        return Overtaking(records, place, crash_s, forget_ms, before_mb, _memory_mb())
    finally:
        sending.cancel()
        await asyncio.wait([sending])
        await outbox.close()
        await road.stop()
        await broker.stop()


async def _fill(outbox: Outbox, records: int) -> bytes:
    """Return the last digest."""
    last = outbox.head
    for first in range(1, records + 1, _STEP):
        chain = make_chain(min(_STEP, records + 1 - first), boot=outbox.boot, first=first, after=last, size=_SIZE)
        await outbox.append(chain, critical=False)
        last = chain[-1].digest
    return last


async def _forget(outbox: Outbox, count: int) -> float:
    """Milliseconds that a receipt for the first records takes."""
    ordinary = [record for record in await outbox.peek(None, count + 1) if record.priority != Priority.CRASH][:count]
    part = Range(outbox.boot, ordinary[0].sequence, ordinary[-1].sequence, ordinary[-1].digest)
    begun_s = time.perf_counter()
    gone = await outbox.forget([part])
    if gone != len(ordinary):
        raise AgentError(f"a receipt for {len(ordinary)} records deleted {gone}")
    return (time.perf_counter() - begun_s) * 1e3


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(_LIMIT_S):
        while not condition():  # noqa: ASYNC110 - plain data
            await asyncio.sleep(0.005)


def _link(authority: Authority, port: int) -> Link:
    return authority.link(_DEVICE, port, backoff_longest_s=0.2)


def _memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
