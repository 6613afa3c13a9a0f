"""The uplink's decisions, on a link made of plain Python; tests/scenario runs it over real brokers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.core.config import Link
from agent.core.errors import LinkDown, PublishRefused, StoreError
from agent.core.events import Priority
from agent.core.keys import raw_bytes
from agent.core.link_ports import ChooseEarly, EarlySession, Message
from agent.core.ports import Notice
from agent.core.records import Position, Range, SealedRecord
from agent.link import sender, wire
from agent.link.uplink import Uplink
from simulators.clock import ManualClock

_INSURER = Ed25519PrivateKey.generate()
_LINK = Link(host="insurer", in_flight_max=2, receipt_timeout_s=60, backoff_longest_s=0.1)


@dataclass
class Records:
    """An outbox in a dictionary."""

    kept: dict[Position, SealedRecord] = field(default_factory=dict)
    broken: bool = False

    def add(
        self, sequence: int, priority: Priority = Priority.TELEMETRY, *, bulk: bool = False, size: int = 1
    ) -> SealedRecord:
        record = SealedRecord("car1", 1, sequence, priority, (b"%d" % sequence).rjust(size, b"0"), bulk)
        self.kept[record.position] = record
        return record

    async def peek(self, after: Position | None, count_max: int) -> list[SealedRecord]:
        if self.broken:
            raise StoreError("the disk is gone")
        records = sorted(self.kept.values(), key=lambda record: (_turn(record), *record.position))
        places = [record.position for record in records]
        start = places.index(after) + 1 if after in places else 0  # an unknown one means the start
        return records[start : start + count_max]

    async def forget(self, ranges: Sequence[Range]) -> int:
        gone = [p for p in self.kept for r in ranges if p.boot == r.boot and r.first <= p.sequence <= r.last]
        for position in gone:
            del self.kept[position]
        return len(gone)

    async def pending(self) -> int:
        if self.broken:
            raise StoreError("the disk is gone")
        return len(self.kept)


def _turn(record: SealedRecord) -> float:
    return Priority.SAFETY + 0.5 if record.bulk else record.priority


class Wire:
    """A broker and an insurer: publishes wait until let through; what arrives is noted."""

    in_flight_max = 1000

    def __init__(self) -> None:
        self.arrived: list[int] = []
        self.connections = 0
        self.in_flight = 0
        self.in_flight_most = 0
        self.refuse: Callable[[int], bool] = lambda _: False
        self.refusal = PublishRefused("0x87", code=0x87)
        self.reachable = True
        self.accepts = True
        self.hurried: list[int] = []
        self.early: Sequence[Awaitable[None]] = ()
        self.flows = asyncio.Event()
        self.flows.set()
        self.changed = asyncio.Condition()
        self._down: asyncio.Queue[Message | LinkDown] = asyncio.Queue()

    @asynccontextmanager
    async def connect(
        self,
        link: Link,  # noqa: ARG002 - the port has it
        *,
        client_id: str,
        subscriptions: Sequence[str],
        early: ChooseEarly,
    ) -> AsyncIterator[EarlySession]:
        assert client_id == "car1"
        assert set(subscriptions) == set(wire.downlink_topics("car1", ["fleet"]))
        if not self.reachable:
            raise LinkDown("nobody there")
        self._down = asyncio.Queue()
        hurried = await early()
        self.hurried += [int(payload) for _, payload, _ in hurried]
        if not self.accepts:
            raise LinkDown("refused")
        self.connections += 1
        self.early = [asyncio.ensure_future(self.publish(*each[:2])) for each in hurried]
        yield self

    async def publish(self, topic: str, payload: bytes, *, expiry_s: int | None = None, retain: bool = False) -> None:  # noqa: ARG002 - the port has it
        assert topic == "outrider/v1/car1/record"
        self.in_flight += 1
        self.in_flight_most = max(self.in_flight, self.in_flight_most)
        try:
            await self.flows.wait()
        finally:
            self.in_flight -= 1
        if self.refuse(int(payload)):
            raise self.refusal
        async with self.changed:
            self.arrived.append(int(payload))
            self.changed.notify_all()

    async def messages(self) -> AsyncIterator[Message]:
        while True:
            message = await self._down.get()
            if isinstance(message, LinkDown):
                raise message
            yield message

    async def batches(self, count_max: int) -> AsyncIterator[list[Message]]:  # noqa: ARG002 - the port has it
        async for message in self.messages():
            yield [message]

    def send(self, topic: str, payload: bytes) -> None:
        self._down.put_nowait(Message(topic, payload))

    def receipt(self, first: int, last: int, *, key: Ed25519PrivateKey = _INSURER) -> None:
        lines = [Range(1, first, last, bytes(32))]
        self.send(wire.receipt_topic("car1"), wire.encode_receipt("car1", lines, received_ns=0, sign=key.sign))

    def cut(self) -> None:
        self._down.put_nowait(LinkDown("cable cut"))


class Rig:
    def __init__(self, link: Link, uniform: float = 0.0) -> None:
        self.records = Records()
        self.wire = Wire()
        self.notices: list[Notice] = []
        self.bundles: list[bytes] = []
        self.received: list[int] = []
        self.withheld: set[int] = set()
        self.uplink = Uplink(
            link,
            self.records,
            device="car1",
            receipt_key=raw_bytes(_INSURER.public_key()),
            clock=ManualClock(start_ns=7),
            notify=self._note,
            groups=["fleet"],
            connect=self.wire.connect,
            on_receipt=self.received.append,
            on_bundle=self.bundles.append,
            withheld=lambda record: record.sequence in self.withheld,
            uniform=lambda: uniform,
        )
        self._noted = asyncio.Event()

    def _note(self, notice: Notice) -> None:
        self.notices.append(notice)
        self._noted.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the loop turn until it holds."""
        async with asyncio.timeout(2):
            while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
                await asyncio.sleep(0)

    @property
    def texts(self) -> list[str]:
        return [notice.text for notice in self.notices]


@asynccontextmanager
async def _running(link: Link = _LINK, *, uniform: float = 0.0) -> AsyncIterator[Rig]:
    rig = Rig(link, uniform)
    task = asyncio.create_task(rig.uplink.run())
    yield rig
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_only_a_receipt_deletes() -> None:
    async with _running() as rig:
        rig.records.add(1)
        rig.uplink.wake()
        await rig.until(lambda: rig.wire.arrived == [1])
        assert await rig.records.pending() == 1
        rig.wire.receipt(1, 1)
        assert await rig.uplink.drain(2) == 0
        assert rig.received == [1]
        counters = rig.uplink.counters()
        assert (counters["published"], counters["receipts"], counters["received"]) == (1, 1, 1)


async def test_the_window_is_kept_and_a_crash_overtakes() -> None:
    async with _running() as rig:
        rig.wire.flows.clear()
        for sequence in range(1, 9):
            rig.records.add(sequence)
        rig.uplink.wake()
        await rig.until(lambda: rig.wire.in_flight == 2)
        rig.records.add(9, Priority.CRASH)
        rig.uplink.wake()
        rig.wire.flows.set()
        await rig.until(lambda: len(rig.wire.arrived) == 9)
        assert rig.wire.arrived.index(9) <= 3  # two were on their way, one more was waiting for its place
        assert sorted(rig.wire.arrived) == list(range(1, 10))
        assert rig.wire.in_flight_most == 2


async def test_what_is_withheld_does_not_go_and_keeps_nothing_else_back() -> None:
    async with _running() as rig:
        rig.withheld = set(range(1, 42))
        for sequence in range(1, 41):
            rig.records.add(sequence)
        rig.records.add(41, Priority.CRASH)
        rig.records.add(42, Priority.CRASH)
        rig.records.add(43)
        rig.uplink.wake()
        await rig.until(lambda: rig.wire.arrived == [42, 43])
        rig.wire.cut()
        await rig.until(lambda: len(rig.wire.arrived) == 4)
        assert 41 not in rig.wire.hurried
        rig.withheld.clear()
        rig.uplink.wake()
        await rig.until(lambda: set(rig.wire.arrived) == set(range(1, 44)))


async def test_once_per_connection_and_again_on_the_next() -> None:
    async with _running() as rig:
        await rig.until(lambda: rig.uplink.connected)
        rig.records.add(1)
        rig.uplink.wake()
        await rig.until(lambda: rig.wire.arrived == [1])
        rig.uplink.wake()
        rig.records.add(2)
        rig.uplink.wake()
        await rig.until(lambda: rig.wire.arrived == [1, 2])
        rig.wire.cut()
        await rig.until(lambda: rig.wire.arrived == [1, 2, 1, 2])
        rig.wire.receipt(1, 2)
        assert await rig.uplink.drain(2) == 0
        assert rig.uplink.counters()["cuts"] == 1
        assert rig.texts == [
            "connected to insurer:8883",
            "cut off: cable cut, 2 waiting",
            "connected to insurer:8883, 2 waiting",
            "all received",
        ]
        assert {notice.t_ns for notice in rig.notices} == {7}


async def test_an_overdue_receipt_is_asked_for_by_sending_again() -> None:
    async with _running(Link(host="insurer", receipt_timeout_s=0.05)) as rig:
        rig.records.add(1)
        rig.uplink.wake()
        await rig.until(lambda: rig.wire.arrived == [1])
        await rig.until(lambda: rig.wire.arrived == [1, 1])


async def test_an_outage_is_told_once() -> None:
    async with _running() as rig:
        await rig.until(lambda: rig.wire.connections == 1)
        rig.wire.reachable = False
        rig.wire.cut()
        await rig.until(lambda: rig.uplink.counters().get("failed_tries", 0) >= 2)
        assert not rig.uplink.connected
        assert rig.uplink.trouble == "nobody there"  # the newest reason
        rig.records.add(1)
        assert await rig.uplink.drain(0.01) == 1
        rig.wire.reachable = True
        await rig.until(lambda: rig.wire.arrived == [1])
        assert rig.uplink.trouble == ""
        assert rig.texts == [
            "connected to insurer:8883",
            "cut off: cable cut",
            "connected to insurer:8883, 1 waiting",
        ]


async def test_a_refused_record_stays_and_does_not_block_the_rest() -> None:
    async with _running() as rig:
        rig.wire.refuse = lambda number: number == 1
        for sequence in (1, 2, 3):
            rig.records.add(sequence)
        rig.uplink.wake()
        await rig.until(lambda: rig.wire.arrived == [2, 3])
        rig.wire.receipt(2, 3)
        await rig.until(lambda: len(rig.records.kept) == 1)
        assert rig.uplink.counters()["refused"] == 1
        assert "record refused: 0x87" in rig.texts


async def test_a_head_full_of_records_that_nobody_answers_does_not_block_the_rest() -> None:
    link = Link(host="insurer", in_flight_max=1, receipt_timeout_s=0.05)
    async with _running(link) as rig:
        for sequence in range(1, 201):  # three windows
            rig.records.add(sequence, Priority.SERVICE)
        for sequence in range(201, 211):
            rig.records.add(sequence)
        rig.uplink.wake()
        await rig.until(lambda: set(range(201, 211)) <= set(rig.wire.arrived))
        assert len(rig.records.kept) == 210


async def test_a_head_full_of_refused_records_does_not_block_the_rest() -> None:
    async with _running(Link(host="insurer", in_flight_max=1)) as rig:
        rig.wire.refusal = PublishRefused("payload", code=0x99)
        rig.wire.refuse = lambda number: number <= 100
        for sequence in range(1, 111):
            rig.records.add(sequence)
        rig.uplink.wake()
        await rig.until(lambda: rig.wire.arrived == list(range(101, 111)))
        assert rig.uplink.counters()["refused"] == 100  # each once: no tight loop
        rig.wire.refuse = lambda _: False
        rig.wire.cut()
        await rig.until(lambda: rig.wire.arrived[10:] == list(range(1, 65)))  # a window, until receipts come


async def test_a_broker_that_refuses_everything_is_asked_rarely_and_forgiven_at_once() -> None:
    async with _running(Link(host="insurer", backoff_longest_s=60), uniform=0.999) as rig:
        rig.wire.refuse = lambda _: True
        for sequence in range(1, 101):
            rig.records.add(sequence)
        rig.uplink.wake()
        await rig.until(lambda: rig.uplink.counters().get("refused", 0) >= 8)
        for _ in range(100):
            await asyncio.sleep(0)
        assert rig.uplink.counters()["refused"] <= 16  # the window that was on its way
        rig.wire.refuse = lambda _: False
        rig.wire.cut()
        await rig.until(lambda: len(rig.wire.arrived) == 100)


async def test_a_budget_holds_back_what_can_wait() -> None:
    link = Link(host="insurer", budget_kb_per_hour=5)  # 500 bytes at once: two small records
    async with _running(link) as rig:
        for sequence in range(1, 5):
            rig.records.add(sequence)
        rig.uplink.wake()
        await rig.until(lambda: rig.uplink.counters().get("held") == 1)
        assert rig.wire.arrived == [1, 2]
        for sequence, priority in ((5, Priority.CRASH), (6, Priority.SAFETY), (7, Priority.SERVICE)):
            rig.records.add(sequence, priority)
        rig.uplink.wake()
        await rig.until(lambda: rig.uplink.counters().get("held") == 2)  # the service record, which is first now
        assert rig.wire.arrived == [1, 2, 5, 6]
        assert rig.uplink.counters()["bytes"] > 4 * 200


@pytest.fixture
def no_courtesy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The detail of a crash goes at once."""
    monkeypatch.setattr(sender, "_COURTESY_S", 0.0)


async def test_the_detail_of_a_crash_lets_the_notice_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "_COURTESY_S", 0.1)
    async with _running() as rig:
        for sequence in (1, 2):
            rig.records.add(sequence, Priority.CRASH, bulk=True)
        rig.uplink.wake()
        for _ in range(20):
            await asyncio.sleep(0)
        assert rig.wire.arrived == []
        rig.records.add(3, Priority.CRASH)
        rig.uplink.wake()
        await rig.until(lambda: len(rig.wire.arrived) == 3)
        assert rig.wire.arrived == [3, 1, 2]


@pytest.mark.usefixtures("no_courtesy")
async def test_the_notice_of_a_crash_goes_with_the_first_words_of_a_connection() -> None:
    async with _running() as rig:
        await rig.until(lambda: rig.wire.connections == 1)
        rig.wire.reachable = False
        rig.wire.cut()
        await rig.until(lambda: rig.uplink.counters().get("cuts") == 1)
        rig.records.add(1)
        for sequence in (2, 3, 4):
            rig.records.add(sequence, Priority.CRASH)
        rig.records.add(5, Priority.CRASH, bulk=True)
        rig.wire.reachable = True
        await rig.until(lambda: len(rig.wire.arrived) == 5)
        assert rig.wire.hurried == [2, 3]
        assert rig.wire.arrived == [2, 3, 4, 5, 1]
        assert rig.uplink.counters()["published"] == 5


async def test_a_broker_that_takes_nothing_before_its_connack_is_not_asked_twice() -> None:
    async with _running() as rig:
        await rig.until(lambda: rig.wire.connections == 1)
        rig.wire.accepts = False
        rig.records.add(1, Priority.CRASH)
        rig.wire.cut()
        await rig.until(lambda: rig.wire.hurried == [1])
        rig.wire.accepts = True
        await rig.until(lambda: rig.wire.arrived == [1])
        assert rig.wire.hurried == [1]


async def test_a_refused_early_notice_goes_again() -> None:
    async with _running() as rig:
        await rig.until(lambda: rig.wire.connections == 1)
        rig.wire.reachable = False
        rig.wire.cut()
        await rig.until(lambda: rig.uplink.counters().get("cuts") == 1)
        rig.records.add(1, Priority.CRASH)
        refusals = [True]
        rig.wire.refuse = lambda _: bool(refusals and refusals.pop())
        rig.wire.reachable = True
        await rig.until(lambda: rig.wire.arrived == [1])
        assert rig.wire.hurried == [1]
        assert rig.uplink.counters()["refused"] == 1


@pytest.mark.usefixtures("no_courtesy")
@pytest.mark.parametrize("bulk", [True, False], ids=["detail of a crash", "telemetry"])
async def test_what_can_wait_does_not_fill_a_line_that_does_not_answer(*, bulk: bool) -> None:
    async with _running(Link(host="insurer", in_flight_max=16)) as rig:
        rig.wire.flows.clear()
        for sequence in range(1, 50):
            rig.records.add(sequence, Priority.CRASH if bulk else Priority.TELEMETRY, bulk=bulk, size=1000)
        rig.uplink.wake()
        await rig.until(lambda: rig.wire.in_flight == 3)  # 3 x (1000 + overhead) of 4096 bytes
        rig.records.add(50, Priority.CRASH)
        rig.records.add(51, Priority.SAFETY)
        rig.records.add(52, Priority.SERVICE, size=1000)
        rig.uplink.wake()
        await rig.until(lambda: rig.wire.in_flight == 5)
        rig.wire.flows.set()
        await rig.until(lambda: len(rig.wire.arrived) == 52)
        assert rig.wire.arrived[:5] == [1, 2, 3, 50, 51]
        assert rig.wire.arrived.index(52) == (51 if bulk else 5)


@pytest.mark.usefixtures("no_courtesy")
async def test_detail_of_a_crash_is_counted_but_not_held_by_a_budget() -> None:
    async with _running(Link(host="insurer", budget_kb_per_hour=5)) as rig:
        for sequence in range(1, 4):
            rig.records.add(sequence, Priority.CRASH, bulk=True, size=1000)
        rig.records.add(4, Priority.SERVICE)
        rig.uplink.wake()
        await rig.until(lambda: rig.uplink.counters().get("held") == 1)
        assert rig.wire.arrived == [1, 2, 3]


async def test_a_forged_receipt_deletes_nothing() -> None:
    async with _running() as rig:
        rig.records.add(1)
        rig.uplink.wake()
        await rig.until(lambda: rig.wire.arrived == [1])
        rig.wire.receipt(1, 1, key=Ed25519PrivateKey.generate())
        rig.wire.send(wire.receipt_topic("car1"), b"nonsense")
        rig.wire.send("outrider/v1/car2/receipt", b"not ours")
        await rig.until(lambda: rig.uplink.counters().get("rejected") == 3)
        assert await rig.records.pending() == 1


async def test_bundles_go_to_whoever_decides() -> None:
    async with _running() as rig:
        await rig.until(lambda: rig.wire.connections == 1)
        rig.wire.send(wire.config_topic("car1"), b"for me")
        rig.wire.send(wire.config_topic("car1"), b"")
        rig.wire.send(wire.group_config_topic("fleet"), b"for all")
        await rig.until(lambda: len(rig.bundles) == 2)
        assert rig.bundles == [b"for me", b"for all"]


async def test_a_failing_outbox_is_retried_like_a_failing_link() -> None:
    async with _running() as rig:
        rig.records.broken = True
        await rig.until(lambda: rig.uplink.counters().get("cuts") == 1)
        rig.records.broken = False
        rig.records.add(1)
        await rig.until(lambda: rig.wire.arrived == [1])
        assert "cut off: the disk is gone" in rig.texts


async def test_without_a_host_everything_stays() -> None:
    rig = Rig(Link())
    rig.records.add(1)
    await rig.uplink.run()
    assert await rig.uplink.drain(1) == 1
    assert rig.texts == ["no insurer is configured: records stay on this disk"]


@pytest.mark.parametrize("turns", range(10))
async def test_a_stop_that_comes_with_a_cut_is_not_lost(turns: int) -> None:
    rig = Rig(_LINK)
    running = asyncio.create_task(rig.uplink.run())
    await rig.until(lambda: rig.wire.connections == 1)
    rig.wire.cut()
    for _ in range(turns):
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running], timeout=2)
    stopped = running.cancelled()
    running.cancel()  # where it was lost
    await asyncio.wait([running], timeout=2)
    assert stopped
