"""The agent with nothing but a control unit, for what a driver agrees to and what he lets be erased."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from agent import app
from agent.core.best_time import BestTime
from agent.core.config import Config, Consent
from agent.core.events import Event, Purpose
from agent.core.ports import Hardware, Kept, Notice
from agent.core.records import SealedRecord
from agent.core.trouble import CodeListener, CodeReading
from agent.privacy.door import Request, ask
from agent.privacy_room import PrivacyRoom
from agent.store.look import look
from agent.store.outbox import Outbox
from agent.store.recorder import Recorder
from agent.store.unseal import open_record
from drivers.state_file import FileConsentStore, FileErasureStore, FilePackStore
from simulators.clock import ManualClock
from tests.unit.store.kit import KEYS, make_config

NS = 10**9


class Codes:
    """A control unit whose codes change whenever it is asked to."""

    def tell_codes(self, listener: CodeListener) -> None:
        self._listener = listener
        self._count = 0

    def change(self, t_ns: int) -> None:
        self._count += 1
        self.tell(t_ns, f"P1{self._count % 1000:03}")

    def tell(self, t_ns: int, *codes: str) -> None:
        self._listener(CodeReading(source="obd", t_ns=t_ns, stored=codes))


class Car:
    """The agent with nothing but a control unit, on a manual clock, and without a network."""

    def __init__(self, folder: Path, config: Config) -> None:
        self.folder = folder
        self.config = config
        self.directory = Path(config.store.directory)
        self.pack = FilePackStore(self.directory)
        self.clock = ManualClock()
        self.codes = Codes()
        self.stop = asyncio.Event()
        self.started = asyncio.Event()
        self.hardware = Hardware(
            keystore=KEYS.device,
            codes=[self.codes],
            consent_store=FileConsentStore(self.directory),
            erasure_store=FileErasureStore(self.directory),
            pack_store=self.pack,
            kept=[Kept(self.pack, frozenset({"safety", "service"}))],
            service=lambda state: self.started.set() if state == "ready" else None,
            notify=self.on_notice,
        )
        self.happened: list[Event] = []
        self.said: list[str] = []

    def on_notice(self, notice: Notice) -> None:
        if notice.event is not None:
            self.happened.append(notice.event)
        elif notice.text:
            self.said.append(notice.text)

    async def drive(self, seconds: float) -> None:
        """Four changes of codes a second."""
        for _ in range(round(seconds * 4)):
            await self.clock.advance(0.25)
            self.codes.change(self.clock.monotonic_ns())

    def leave(self, request: Request) -> None:
        assert ask(self.directory, request, wait_s=0) is None

    def waiting(self) -> list[bytes]:
        """Envelopes that wait, while the agent runs."""
        return look(self.directory, 10_000)[1]

    async def records(self) -> list[SealedRecord]:
        """All that wait, once the agent has stopped."""
        outbox = await Outbox.open(self.directory, device="car-1", size_max_bytes=10**9)
        records = sorted(await outbox.peek(None, 10_000), key=lambda record: record.position)
        await outbox.close()
        return records

    async def events(self) -> list[Event]:
        records = await self.records()
        return [open_record(record.payload, KEYS.owner, KEYS.device_public)[1].event for record in records]


@asynccontextmanager
async def car(folder: Path, *purposes: Purpose) -> AsyncIterator[Car]:
    config = msgspec.structs.replace(make_config(folder), consent=Consent(purposes=list(purposes)))
    one = Car(folder, config)
    async with run_car(one):
        yield one


@asynccontextmanager
async def run_car(one: Car) -> AsyncIterator[asyncio.Task[app.Summary]]:
    """The agent runs, and stops in order at the end of the block."""
    running = asyncio.create_task(app.run(one.config, one.hardware, one.clock, stop=one.stop))
    await one.started.wait()
    try:
        yield running
    finally:
        one.stop.set()
        while not running.done():
            await one.clock.advance(0.1)
        await running


@asynccontextmanager
async def room(folder: Path, *purposes: Purpose) -> AsyncIterator[tuple[PrivacyRoom, Car, list[Event]]]:
    """The room alone, with a recorder."""
    one = Car(folder, msgspec.structs.replace(make_config(folder), consent=Consent(purposes=list(purposes))))
    events: list[Event] = []
    privacy = PrivacyRoom(one.config, one.hardware, one.clock, time=BestTime(one.clock), emit=events.append)
    recorder = await Recorder.open(one.config, KEYS.device, one.clock)
    running = [asyncio.create_task(recorder.run())]
    await privacy.open(recorder, None, None)
    running.append(asyncio.create_task(privacy.run()))
    try:
        yield privacy, one, events
    finally:
        running[1].cancel()
        recorder.close()
        await running[0]
