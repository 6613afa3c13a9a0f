"""A car that delivers to a cloud, as the daemon wires it: what the tests of the link have in common."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from agent.core.config import Config, Device, Link, Store
from agent.core.erasure import ErasureReceipt
from agent.core.events import Event, RoadImpact
from agent.core.link_ports import ConnectEarly
from agent.core.ports import Clock, Notice
from agent.link import mqtt
from agent.link.uplink import Uplink
from agent.store.recorder import Recorder
from drivers.clock import SystemClock
from drivers.keystore import FileKeystore
from simulators.cloud import Cloud

WAIT_S = 15.0  # only ever used up by a failure


class Car:
    """A recorder and an uplink, as the daemon wires them."""

    def __init__(self, recorder: Recorder, uplink: Uplink, notices: list[Notice]) -> None:
        self.recorder = recorder
        self.uplink = uplink
        self.notices = notices
        self.recorded = 0

    async def record(self, count: int, *, event: Event | None = None) -> None:
        """Put so many on the disk; each shows its number as its speed."""
        for number in range(self.recorded, self.recorded + count):
            self.recorder.put(event or RoadImpact(t_ns=number, peak_mps2=20.0, speed_kmh=float(number)))
        self.recorded += count
        await self.recorder.flush()

    async def deliver(self, wait_s: float = WAIT_S) -> None:
        """Everything is received; fails with what the uplink said meanwhile."""
        left = await self.uplink.drain(wait_s)
        assert left == 0, (left, self.uplink.counters(), [notice.text for notice in self.notices][-6:])

    async def until_told(self, text: str) -> None:
        """Wait for a notice."""
        async with asyncio.timeout(WAIT_S):
            while not any(text in notice.text for notice in self.notices):  # noqa: ASYNC110 - plain data
                await asyncio.sleep(0.005)


@asynccontextmanager
async def open_car(
    cloud: Cloud,
    directory: Path,
    link: Link,
    name: str = "car1",
    *,
    registered: bool = True,
    connect: ConnectEarly = mqtt.connect,
    clock: Clock | None = None,
    on_erased: Callable[[ErasureReceipt, bytes], None] = lambda *_: None,
) -> AsyncIterator[Car]:
    """Recorder and uplink of one car, running until the end of the block; its disk stays in directory."""
    key = directory / f"{name}.pem"
    keystore = FileKeystore.open(key, name) if key.exists() else FileKeystore.create(key, name)
    if registered:
        cloud.register(name, keystore.public_key)
    config = Config(
        device=Device(id=name), store=Store(directory=str(directory / name)), link=link, trust=cloud.trust()
    )
    clock = clock or SystemClock()
    notices: list[Notice] = []
    recorder = await Recorder.open(
        config,
        keystore,
        clock,
        on_durable=lambda _: uplink.wake(),
    )
    uplink = Uplink(
        link,
        recorder.outbox,
        device=name,
        receipt_key=_read(config.trust.insurer_receipt_key),
        clock=clock,
        notify=notices.append,
        connect=connect,
        uniform=lambda: 0.5,
        on_erased=on_erased,
    )
    recording = asyncio.create_task(recorder.run())
    sending = asyncio.create_task(uplink.run())
    try:
        yield Car(recorder, uplink, notices)
    finally:
        sending.cancel()
        await asyncio.wait([sending])
        recorder.close()
        await recording


def quick_link(cloud: Cloud, name: str = "car1") -> Link:
    """A car's link in a hurry: a failure shows within seconds."""
    return msgspec.structs.replace(
        cloud.link_config(name), backoff_longest_s=0.2, ack_timeout_s=1.0, in_flight_max=4, receipt_timeout_s=2.0
    )


def _read(path: str) -> bytes:
    return Path(path).read_bytes()
