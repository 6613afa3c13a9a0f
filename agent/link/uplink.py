"""Drains the outbox to the insurer, over however many connections it takes. Only a signed receipt deletes.

Runs on real time by design: the broker is real even where the drive is simulated.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Final

from agent.core.backoff import backoff_waits
from agent.core.config import Link
from agent.core.erasure import ErasureReceipt
from agent.core.errors import LinkDown, ProtocolError, SealError, StoreError, first_failure
from agent.core.link_ports import ConnectEarly, EarlySession, Message, Session
from agent.core.ports import Clock, Notice, Notify
from agent.core.records import Range, SealedRecord
from agent.link import mqtt, wire
from agent.link.backlog import Backlog, Outbox
from agent.link.budget import MESSAGE_OVERHEAD, Budget
from agent.link.downlink import Bundle, Desk, Erased, Receipt, parse_message
from agent.link.sender import Sender

_LOG: Final = logging.getLogger(__name__)
_WINDOWS: Final = 64  # records without a receipt, in multiples of those without a PUBACK
_WINDOW_MAX: Final = 2048
_FIRST_WAIT_S: Final = 0.5
_HURRIED_WAIT_S: Final = 0.2
_MESSAGES_MAX: Final = 16  # dealt with together: their receipts are one change on the disk


class Uplink:
    """One task (run) for the daemon's life; wake it when there are new records."""

    def __init__(
        self,
        link: Link,
        outbox: Outbox,
        *,
        device: str,
        receipt_key: bytes,
        clock: Clock,
        notify: Notify = lambda _: None,
        groups: Sequence[str] = (),
        connect: ConnectEarly = mqtt.connect,
        on_receipt: Callable[[int], None] = lambda _: None,
        on_bundle: Callable[[bytes], None] = lambda _: None,
        on_desk: Callable[[bytes], None] = lambda _: None,
        on_erased: Callable[[ErasureReceipt, bytes], None] = lambda *_: None,
        withheld: Callable[[SealedRecord], bool] = lambda _: False,
        on_signed_time: Callable[[bytes, int], Awaitable[None]] | None = None,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        """receipt_key is the insurer's Ed25519 key, PEM or raw. on_receipt gets the number of records received.

        on_signed_time gets a receipt and the time in it. withheld: whether a record is not to leave now.
        """
        self._link = link
        self._outbox = outbox
        self._device = device
        self._groups = tuple(groups)
        self._receipt_key = receipt_key
        self._clock = clock
        self._notify = notify
        self._connect = connect
        self._on_receipt = on_receipt
        self._on_bundle = on_bundle
        self._on_desk = on_desk
        self._on_erased = on_erased
        self._on_signed_time = on_signed_time
        self._uniform = uniform
        self._counts: Counter[str] = Counter()
        window = min(link.in_flight_max * _WINDOWS, _WINDOW_MAX)
        self._backlog = Backlog(outbox, window=window, answer_s=link.receipt_timeout_s, withheld=withheld)
        self._budget = Budget(link.budget_kb_per_hour)
        self._sender = Sender(
            link,
            self._backlog,
            self._budget,
            device=device,
            counts=self._counts,
            fresh_waits=self._fresh_waits,
            say=self._say,
            on_sent=self._tell_sent,
        )
        self._progress = asyncio.Event()
        self._hurry = asyncio.Event()
        self._connected = False
        self._trouble = ""
        self._cut = False
        self._behind = False

    @property
    def connected(self) -> bool:
        """Whether there is a live connection."""
        return self._connected

    @property
    def trouble(self) -> str:
        """Why there is no connection now: the newest try's reason, "" while there is one."""
        return self._trouble

    def counters(self) -> Mapping[str, int]:
        """published, refused, held, receipts, received, rejected, bundles, connections, cuts, failed_tries, bytes.

        held counts records that the budget made wait; bytes what counts against it, both ways, overhead included.
        """
        return {**self._counts, "bytes": self._budget.spent_bytes}

    def wake(self) -> None:
        """Tell that there are new records; one of a higher priority overtakes the backlog."""
        self._sender.wake(changed=True)

    def erased(self) -> None:
        """Tell that records were deleted unsent."""
        self._backlog.erased()

    async def run(self) -> None:
        """Connect, drain, listen; again after every cut. Returns only where no host is configured."""
        if not self._link.host:
            self._say("no insurer is configured: records stay on this disk")
            return
        topics = wire.downlink_topics(self._device, self._groups)
        loop = asyncio.get_running_loop()
        waits = self._fresh_waits()
        while True:
            received_before = self._counts["received"]
            opened_s = loop.time()
            try:
                async with self._connect(
                    self._link, client_id=self._device, subscriptions=topics, early=self._sender.choose_early
                ) as session:
                    await self._tell_connected()
                    await self._work_with(session)
            except (LinkDown, StoreError) as exc:
                await self._tell_cut(exc)
            if self._counts["received"] > received_before or loop.time() - opened_s > self._link.backoff_longest_s:
                waits = self._fresh_waits()
            await self._pause(next(waits))

    async def drain(self, timeout_s: float) -> int:
        """Wait until everything is received, trying harder meanwhile. Returns the number of records left."""
        if not self._link.host:
            return await self._outbox.pending()
        self._hurry.set()
        self.wake()
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    self._progress.clear()
                    if not await self._outbox.pending():
                        return 0
                    await self._progress.wait()
        except TimeoutError:
            return await self._outbox.pending()
        finally:
            self._hurry.clear()

    def _fresh_waits(self) -> Iterator[float]:
        longest_s = self._link.backoff_longest_s
        return backoff_waits(self._uniform, first_s=min(_FIRST_WAIT_S, longest_s), longest_s=longest_s)

    async def _pause(self, wait_s: float) -> None:
        if self._hurry.is_set():
            await asyncio.sleep(min(wait_s, _HURRIED_WAIT_S))
            return
        try:
            async with asyncio.timeout(wait_s):
                await self._hurry.wait()
        except TimeoutError:
            return

    async def _work_with(self, session: EarlySession) -> None:
        """Send and listen until the connection ends. Raises LinkDown, or StoreError where the outbox fails.

        In a task of its own: before Python 3.13 a TaskGroup loses a cancellation that comes with the end of its work.
        """
        working = asyncio.create_task(self._work(session), name="link")
        try:
            await asyncio.wait([working])
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)  # or asyncio would log what nobody asked for
        working.result()

    async def _work(self, session: EarlySession) -> None:
        down: LinkDown | StoreError | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(session), name="downlink")
                tasks.create_task(self._sender.run(session), name="uplink")
        except* (LinkDown, StoreError) as group:
            down = first_failure(group)
        finally:
            self._connected = False
        if down is not None:
            raise down

    async def _listen(self, session: Session) -> None:
        """Take receipts and bundles. Raises LinkDown."""
        async for messages in session.batches(_MESSAGES_MAX):
            ranges: list[Range] = []
            for message in messages:
                ranges += await self._take(message)
            if ranges:
                await self._forget(ranges)

    async def _take(self, message: Message) -> Sequence[Range]:
        """Return what the insurer signed for by it."""
        self._budget.spend(len(message.payload) + MESSAGE_OVERHEAD, asyncio.get_running_loop().time())
        try:
            said = parse_message(message, device=self._device, groups=self._groups, receipt_key=self._receipt_key)
        except (SealError, ProtocolError) as exc:
            self._counts["rejected"] += 1
            _LOG.warning("message on %s rejected: %s", message.topic, exc)
            return ()
        if isinstance(said, Receipt):
            if self._on_signed_time is not None:
                await self._on_signed_time(said.payload, said.received_ns)
            self._counts["receipts"] += 1
            return said.ranges
        if isinstance(said, Desk):
            self._on_desk(said.payload)
        elif isinstance(said, Erased):
            self._on_erased(said.receipt, said.payload)
        elif isinstance(said, Bundle):
            self._counts["bundles"] += 1
            self._on_bundle(said.payload)
        return ()

    async def _forget(self, ranges: Sequence[Range]) -> None:
        try:
            gone = await self._outbox.forget(ranges)
        finally:
            self._progress.set()  # a connection that ends meanwhile does not undo it
        self._counts["received"] += gone
        if gone:  # a receipt the outbox did not take frees nothing
            self._backlog.received(ranges)
        self._sender.wake(changed=False)
        if gone:
            self._on_receipt(gone)
        if self._behind and not await self._outbox.pending():
            self._behind = False
            self._say("all received", waiting=0, received=self._counts["received"])

    async def _tell_connected(self) -> None:
        self._counts["connections"] += 1
        self._connected = True
        self._trouble = ""
        self._cut = False
        waiting = await self._outbox.pending()
        self._behind = self._behind or waiting > self._link.in_flight_max
        text = f"connected to {self._link.host}:{self._link.port}"
        self._say(f"{text}, {waiting} waiting" if waiting else text, waiting=waiting)

    async def _tell_cut(self, reason: LinkDown | StoreError) -> None:
        """Once per outage, however many tries it takes; the status has the newest reason."""
        self._trouble = str(reason)
        if self._cut:
            self._counts["failed_tries"] += 1
            _LOG.debug("still no link: %s", reason)
            return
        self._cut = self._behind = True
        self._counts["cuts"] += 1
        text = f"cut off: {reason}"
        try:
            waiting = await self._outbox.pending()
        except StoreError as exc:
            self._say(text if isinstance(reason, StoreError) else f"{text}; {exc}")
        else:
            self._say(f"{text}, {waiting} waiting" if waiting else text, waiting=waiting)

    def _tell_sent(self, record: SealedRecord) -> None:
        if record.is_notice:
            self._notify(Notice("sent", self._clock.monotonic_ns(), f"record {record.sequence} is at the broker"))

    def _say(self, text: str, **values: float) -> None:
        _LOG.info("%s", text)
        self._notify(Notice("sync", self._clock.monotonic_ns(), text, values=values))
