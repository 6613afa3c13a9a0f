"""When the receiver answers, on a link made of plain Python."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from agent.core.config import Link
from agent.core.errors import LinkDown, PublishRefused, StoreError
from agent.core.link_ports import Message, Session
from fleet.receiver.intake import Outcome
from fleet.receiver.service import Terms, serve

_LINK = Link(host="broker", backoff_longest_s=0.01)


@dataclass
class Taken:
    """An intake that believes everything but poison. Envelopes read device:number."""

    envelopes: list[bytes] = field(default_factory=list)
    disk_full: bool = False

    def take(self, envelopes: Sequence[bytes]) -> list[Outcome]:
        if self.disk_full:
            self.disk_full = False
            raise StoreError("disk full")
        return [self._take(envelope) for envelope in envelopes]

    def receipts(self, devices: Iterable[str]) -> list[tuple[str, bytes]]:
        return [(f"outrider/v1/{device}/receipt", b"%d so far" % len(self.envelopes)) for device in devices]

    def _take(self, envelope: bytes) -> Outcome:
        if envelope == b"poison":
            return Outcome("dead", "car1", reason="poison")
        self.envelopes.append(envelope)
        return Outcome("accepted", envelope.decode().partition(":")[0])


class Wire:
    """A broker; what is published is noted."""

    in_flight_max = 1000

    def __init__(self) -> None:
        self.published: list[tuple[str, bytes]] = []
        self.subscribed: list[Sequence[str]] = []
        self.refused = False
        self.cut_at_publish = False
        self._messages: asyncio.Queue[Message | LinkDown] = asyncio.Queue()

    @asynccontextmanager
    async def connect(self, link: Link, *, client_id: str, subscriptions: Sequence[str]) -> AsyncIterator[Session]:
        assert (link, client_id) == (_LINK, "insurer")
        self.subscribed.append(subscriptions)
        yield self

    async def publish(self, topic: str, payload: bytes, *, expiry_s: int | None = None, retain: bool = False) -> None:
        assert expiry_s is not None
        assert not retain
        if self.cut_at_publish:
            self.cut_at_publish = False
            raise LinkDown("cut")
        if self.refused:
            raise PublishRefused("0x87")
        self.published.append((topic, payload))

    async def messages(self) -> AsyncIterator[Message]:
        async for batch in self.batches(1):
            yield batch[0]

    async def batches(self, count_max: int) -> AsyncIterator[list[Message]]:
        """A cut ends a batch: what came before it has arrived."""
        while True:
            batch = [await self._messages.get()]
            while len(batch) < count_max and not self._messages.empty():
                batch.append(self._messages.get_nowait())
            whole = [message for message in batch if isinstance(message, Message)]
            if whole:
                yield whole
            for message in batch:
                if isinstance(message, LinkDown):
                    raise message

    def record(self, device: str, number: int = 0) -> None:
        self.send(f"{device}:{number}".encode())

    def send(self, envelope: bytes) -> None:
        self._messages.put_nowait(Message("outrider/v1/any/record", envelope))

    def cut(self) -> None:
        self._messages.put_nowait(LinkDown("cable cut"))


@dataclass
class Rig:
    wire: Wire
    intake: Taken
    outcomes: list[Outcome]
    stopping: asyncio.Event
    service: asyncio.Task[None]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(2):
            while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
                await asyncio.sleep(0)

    async def stop(self) -> None:
        self.stopping.set()
        await asyncio.wait_for(self.service, 2)


@asynccontextmanager
async def _running(**terms: float | str) -> AsyncIterator[Rig]:
    wire, intake, stopping = Wire(), Taken(), asyncio.Event()
    outcomes: list[Outcome] = []
    service = asyncio.create_task(
        serve(
            _LINK,
            intake,
            stopping=stopping,
            terms=Terms(**terms),  # type: ignore[arg-type]  # each test gives what it means
            on_outcome=outcomes.append,
            connect=wire.connect,
            uniform=lambda: 0.0,
        )
    )
    yield Rig(wire, intake, outcomes, stopping, service)
    service.cancel()
    with suppress(asyncio.CancelledError):
        await service


async def test_records_of_a_while_are_answered_together() -> None:
    async with _running(receipt_wait_s=0.02) as rig:
        for number in range(5):
            rig.wire.record("car1", number)
        rig.wire.record("car2")
        await rig.until(lambda: len(rig.wire.published) == 2)
        assert rig.wire.published == [
            ("outrider/v1/car1/receipt", b"6 so far"),
            ("outrider/v1/car2/receipt", b"6 so far"),
        ]
        assert [outcome.device for outcome in rig.outcomes] == ["car1"] * 5 + ["car2"]
        assert rig.wire.subscribed == [["outrider/v1/+/record"]]


async def test_a_receipt_is_sent_once_more_and_then_no_more() -> None:
    async with _running(receipt_wait_s=0.0, receipt_again_s=0.01) as rig:
        rig.wire.record("car1", 1)
        await rig.until(lambda: len(rig.wire.published) == 2)
        rig.wire.record("car2", 2)
        await rig.until(lambda: len(rig.wire.published) == 4)
        assert [topic for topic, _ in rig.wire.published].count("outrider/v1/car1/receipt") == 2


async def test_a_receipt_that_was_cut_off_is_sent_on_the_next_connection() -> None:
    async with _running(receipt_wait_s=0.0) as rig:
        rig.wire.cut_at_publish = True
        rig.wire.record("car1", 1)
        await rig.until(lambda: len(rig.wire.published) == 1)
        assert len(rig.wire.subscribed) == 2


async def test_a_cut_between_records_is_survived() -> None:
    async with _running(receipt_wait_s=0.0) as rig:
        rig.wire.record("car1", 1)
        rig.wire.cut()
        rig.wire.record("car1", 2)
        await rig.until(lambda: rig.intake.envelopes == [b"car1:1", b"car1:2"])


async def test_a_refused_receipt_does_not_stop_the_others() -> None:
    async with _running(receipt_wait_s=0.0) as rig:
        rig.wire.refused = True
        rig.wire.record("car1", 1)
        await rig.until(lambda: len(rig.outcomes) == 1)
        await rig.until(lambda: rig.wire.refused)
        rig.wire.refused = False
        rig.wire.record("car2", 2)
        await rig.until(lambda: ("outrider/v1/car2/receipt", b"2 so far") in rig.wire.published)


async def test_poison_gets_no_receipt_and_stops_nothing() -> None:
    async with _running(receipt_wait_s=0.0) as rig:
        rig.wire.send(b"poison")
        rig.wire.record("car2")
        await rig.until(lambda: len(rig.wire.published) == 1)
        assert rig.wire.published == [("outrider/v1/car2/receipt", b"1 so far")]
        assert [outcome.status for outcome in rig.outcomes] == ["dead", "accepted"]


async def test_a_full_disk_is_waited_out_on_a_new_connection() -> None:
    async with _running(receipt_wait_s=0.0) as rig:
        rig.intake.disk_full = True
        rig.wire.record("car1", 1)
        await rig.until(lambda: len(rig.wire.subscribed) == 2)
        rig.wire.record("car1", 1)  # it was not acknowledged, so the broker sends it again
        await rig.until(lambda: rig.intake.envelopes == [b"car1:1"])


async def test_stopping_sends_what_is_owed() -> None:
    async with _running(receipt_wait_s=60.0) as rig:
        rig.wire.record("car1", 1)
        await rig.until(lambda: len(rig.outcomes) == 1)
        await rig.stop()
        assert rig.wire.published == [("outrider/v1/car1/receipt", b"1 so far")]


async def test_receivers_can_share() -> None:
    async with _running(share="receivers") as rig:
        await rig.until(lambda: len(rig.wire.subscribed) == 1)
        assert rig.wire.subscribed == [["$share/receivers/outrider/v1/+/record"]]


async def test_a_bug_in_the_intake_is_not_swallowed() -> None:
    class Broken(Taken):
        def take(self, envelopes: Sequence[bytes]) -> list[Outcome]:  # noqa: ARG002 - the port has it
            raise ZeroDivisionError

    wire = Wire()
    wire.record("car1", 1)
    with pytest.RaisesGroup(ZeroDivisionError):
        await asyncio.wait_for(
            serve(_LINK, Broken(), stopping=asyncio.Event(), connect=wire.connect, uniform=lambda: 0.0), 2
        )
