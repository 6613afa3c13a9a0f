"""Consent through the whole agent: taken back offline, nothing of it is collected a second later."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from agent import app
from agent.core.config import Config, Consent
from agent.core.events import Event, Purpose
from agent.core.ports import Hardware, Notice
from agent.core.privacy_events import ConsentChanged
from agent.core.trouble import CodeListener, CodeReading
from agent.privacy.door import Grant, Request, Revoke, ask
from agent.store.outbox import Outbox
from agent.store.unseal import open_record
from drivers.state_file import FileConsentStore
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
        self._listener(CodeReading(source="obd", t_ns=t_ns, stored=(f"P1{self._count % 1000:03}",)))


class Car:
    """The agent with nothing but a control unit, on a manual clock, and without a network."""

    def __init__(self, folder: Path, config: Config) -> None:
        self.folder = folder
        self.config = config
        self.clock = ManualClock()
        self.codes = Codes()
        self.stop = asyncio.Event()
        self.started = asyncio.Event()
        self.hardware = Hardware(
            keystore=KEYS.device,
            codes=[self.codes],
            consent_store=FileConsentStore(Path(config.store.directory)),
            service=lambda state: self.started.set() if state == "ready" else None,
            notify=self.on_notice,
        )
        self.happened: list[Event] = []

    def on_notice(self, notice: Notice) -> None:
        if notice.event is not None:
            self.happened.append(notice.event)

    async def drive(self, seconds: float) -> None:
        """Four changes of codes a second."""
        for _ in range(round(seconds * 4)):
            await self.clock.advance(0.25)
            self.codes.change(self.clock.monotonic_ns())

    def leave(self, request: Request) -> None:
        assert ask(Path(self.config.store.directory), request, wait_s=0) is None

    async def events(self) -> list[Event]:
        outbox = await Outbox.open(Path(self.config.store.directory), device="car-1", size_max_bytes=10**9)
        records = sorted(await outbox.peek(None, 10_000), key=lambda record: record.position)
        await outbox.close()
        return [open_record(record.payload, KEYS.owner, KEYS.device_public)[1].event for record in records]


@asynccontextmanager
async def car(folder: Path, *purposes: Purpose) -> AsyncIterator[Car]:
    config = msgspec.structs.replace(make_config(folder), consent=Consent(purposes=list(purposes)))
    one = Car(folder, config)
    running = asyncio.create_task(app.run(config, one.hardware, one.clock, stop=one.stop))
    await one.started.wait()
    try:
        yield one
    finally:
        one.stop.set()
        while not running.done():
            await one.clock.advance(0.1)
        await running


async def test_revocation_stops_collection_within_a_second_offline(tmp_path: Path) -> None:
    async with car(tmp_path, "service") as one:
        await one.drive(10)
        one.leave(Revoke(purposes=["service"]))
        revoked_ns = one.clock.monotonic_ns()
        await one.drive(10)
    told = await one.events()
    late = [event for event in told if event.purpose == "service" and event.t_ns > revoked_ns + NS]
    assert late == []
    assert len([event for event in one.happened if event.purpose == "service" and event.t_ns > revoked_ns + NS]) > 30
    (proof,) = [event for event in told if isinstance(event, ConsentChanged)]
    assert (proof.of_purpose, proof.granted, proof.by) == ("service", False, "command")
    assert proof.t_ns <= revoked_ns + NS


async def test_what_was_revoked_while_the_agent_was_off_is_revoked_before_anything_is_told(tmp_path: Path) -> None:
    async with car(tmp_path, "service") as one:
        pass
    one.leave(Revoke(purposes=["service"]))
    async with car(tmp_path, "service") as one:
        await one.drive(3)
    assert [event.kind for event in await one.events()] == ["consent_changed"]


async def test_consent_given_on_the_way_covers_only_what_comes(tmp_path: Path) -> None:
    async with car(tmp_path) as one:
        await one.drive(3)
        one.leave(Grant(purpose="service", notice=1))
        await one.clock.advance(1.0)
        granted_ns = max(event.t_ns for event in one.happened if isinstance(event, ConsentChanged))
        one.codes.change(granted_ns - 1)
        await one.drive(3)
    told = [event for event in await one.events() if event.purpose == "service"]
    assert len(told) >= 12
    assert min(event.t_ns for event in told) > granted_ns


@pytest.mark.parametrize("purpose", ["service", "diagnostics"])
async def test_a_consent_that_runs_out_ends_collection_but_not_what_was_collected(
    tmp_path: Path, purpose: Purpose
) -> None:
    async with car(tmp_path) as one:
        one.leave(Grant(purpose=purpose, notice=1, days=1))
        await one.drive(3)
        one.clock.jump_wall(86_400)
        await one.clock.advance(1.0)
        ended_ns = one.clock.monotonic_ns()
        await one.drive(3)
    told = await one.events()
    changes = [event.why for event in told if isinstance(event, ConsentChanged)]
    assert changes == ["chosen", "expired"]
    assert [event for event in told if event.purpose == purpose and event.t_ns > ended_ns] == []
    assert bool([event for event in told if event.purpose == purpose]) == (purpose == "service")
