"""The desk on the network: what is due goes sealed to its car, over however many connections it takes."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.core.config import Link
from agent.core.errors import LinkDown, PublishRefused
from agent.desk import open_note
from agent.link.wire import desk_topic
from fleet.desk.desk import Desk
from fleet.desk.service import DeskSender, serve_desk
from fleet.desk.store import DeskStore
from fleet.desk.ticket import DeskTicket
from fleet.receiver.keys import ReceiverKeys
from fleet.receiver.sqlite import SqliteStore
from tests.unit.store.kit import KEYS

NOW_NS = 1_790_000_000 * 10**9
LINK = Link(host="broker", backoff_longest_s=0.1)


class Line:
    """A broker as the desk sees it: each publish meets the next of these troubles, None for none."""

    in_flight_max = 8

    def __init__(self, troubles: Sequence[Exception | None] = ()) -> None:
        self.troubles = list(troubles)
        self.sent: list[tuple[str, bytes, int | None]] = []
        self.connections = 0
        self.went = asyncio.Event()

    async def publish(self, topic: str, payload: bytes, *, expiry_s: int | None = None, retain: bool = False) -> None:
        assert not retain
        trouble = self.troubles.pop(0) if self.troubles else None
        if trouble is not None:
            raise trouble
        self.sent.append((topic, payload, expiry_s))
        self.went.set()

    @asynccontextmanager
    async def connect(self, link: Link, *, client_id: str, subscriptions: Sequence[str]) -> AsyncIterator[Any]:
        assert (link, client_id, list(subscriptions)) == (LINK, "insurer-desk", [])
        self.connections += 1
        yield self


class Office:
    """Keys, a database and a desk with one open ticket of a car."""

    def __init__(self, folder: Path, device: str = "car-1") -> None:
        self.keys = ReceiverKeys.create(folder / "keys")
        self.keys.register("car-1", KEYS.device.public_key)
        self.store = DeskStore(SqliteStore(folder / "received.db"))
        self.desk = Desk(self.store, now_ns=lambda: NOW_NS)
        self.sender = DeskSender(self.store, self.keys, now_ns=lambda: NOW_NS)
        ticket = self.store.open(
            DeskTicket(
                number=0, device=device, boot=1, about_ns=1, sequence=1, kind="charging", severity=1, state="open",
                opened_ns=NOW_NS, clock_ns=NOW_NS,
            )
        )  # fmt: skip
        self.desk.acts.tell_opened(ticket)

    async def serve(self, line: Line) -> None:
        """Until the message went."""
        stopping = asyncio.Event()
        serving = asyncio.create_task(
            serve_desk(
                LINK, self.desk, self.sender, stopping=stopping, connect=line.connect, uniform=lambda: 0.0
            )
        )  # fmt: skip
        async with asyncio.timeout(5):
            await line.went.wait()
            while self.store.due(NOW_NS):  # noqa: ASYNC110 - it is noted a moment later
                await asyncio.sleep(0.005)
        stopping.set()
        await serving


async def test_what_is_due_goes_once_sealed_for_its_car(tmp_path: Path) -> None:
    office, line = Office(tmp_path), Line()
    await office.serve(line)
    ((topic, payload, expiry_s),) = line.sent
    assert topic == desk_topic("car-1")
    note = open_note(payload, KEYS.device, office.keys.receipt_key.public_bytes_raw())
    assert (note.what, note.ticket) == ("ticket_opened", 1)
    assert expiry_s == (note.expires_ns - NOW_NS) // 10**9
    assert await office.sender.send_due(line) == 0


async def test_a_connection_that_ends_costs_nothing_but_time(tmp_path: Path) -> None:
    office, line = Office(tmp_path), Line([LinkDown("cut"), LinkDown("cut again")])
    await office.serve(line)
    assert line.connections == 3
    assert len(line.sent) == 1


@pytest.mark.parametrize("trouble", ["refused", "stranger"])
async def test_what_cannot_go_is_said_in_a_line_and_waits_for_its_next_turn(
    tmp_path: Path, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    office = Office(tmp_path, "car-1" if trouble == "refused" else "car-9")
    line = Line([PublishRefused("0x87 Not authorized", code=0x87)])
    assert await office.sender.send_due(line) == 0
    assert line.sent == []
    (record,) = caplog.records
    assert ("Not authorized" if trouble == "refused" else "car-9 is not registered") in record.message
    assert office.store.due(NOW_NS) == []
    assert len(office.store.due(NOW_NS + 600 * 10**9)) == 1
