"""The receiver on the network: records in, signed receipts out, over however many connections it takes."""

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Protocol

from agent.core.backoff import backoff_waits
from agent.core.config import Link
from agent.core.errors import LinkDown, PublishRefused, StoreError, first_failure
from agent.core.link_ports import Connect, Session
from agent.link import mqtt
from fleet.receiver.intake import Outcome

_LOG: Final = logging.getLogger(__name__)
_RECORDS: Final = "outrider/v1/+/record"
_RECEIPT_EXPIRY_S: Final = 3600  # a device that comes back later sends again, and is answered again
_FIRST_WAIT_S: Final = 0.5
_LAST_RECEIPTS_S: Final = 2.0


class Takes(Protocol):
    """What the service needs of fleet.receiver.intake.Intake."""

    def take(self, envelopes: Sequence[bytes]) -> Sequence[Outcome]:
        """Open, verify, store for good. Raises StoreError."""
        ...

    def receipts(self, devices: Iterable[str]) -> Sequence[tuple[str, bytes]]:
        """Topic and payload of the receipts that are due. Raises StoreError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How the service behaves. share: name of the shared subscription that several receivers divide among them."""

    client_id: str = "insurer"
    batch_max: int = 500
    share: str | None = None
    receipt_wait_s: float = 0.05
    receipt_again_s: float = 1.0


DEFAULT_TERMS: Final = Terms()


async def serve(
    link: Link,
    intake: Takes,
    *,
    stopping: asyncio.Event,
    terms: Terms = DEFAULT_TERMS,
    on_connected: Callable[[], None] = lambda: None,
    on_outcome: Callable[[Outcome], None] = lambda _: None,
    connect: Connect = mqtt.connect,
    uniform: Callable[[], float] = random.random,
) -> None:
    """Receive until stopping is set; then answer what was taken and disconnect.

    Records are taken in batches, on a thread beside the connection's, and acknowledged to the broker once they are
    stored. Receipts are gathered for receipt_wait_s, and sent once more receipt_again_s later: a connection may have
    been lost under the first, or the car have refused a range whose last record it had forgotten already. Where the
    store refuses, nothing is acknowledged, and the service tries again later.
    """
    topic = f"$share/{terms.share}/{_RECORDS}" if terms.share else _RECORDS

    def fresh_waits() -> Iterator[float]:
        longest_s = link.backoff_longest_s
        return backoff_waits(uniform, first_s=min(_FIRST_WAIT_S, longest_s), longest_s=longest_s)

    waits = fresh_waits()
    with ThreadPoolExecutor(1, thread_name_prefix="intake") as thread:
        service = _Service(intake, thread, on_outcome, terms)
        while not stopping.is_set():
            taken_before = service.taken
            try:
                async with connect(link, client_id=terms.client_id, subscriptions=[topic]) as session:
                    _LOG.info("receiving from %s:%d", link.host, link.port)
                    on_connected()
                    await service.attend(session, stopping)
            except (LinkDown, StoreError) as exc:
                _LOG.warning("receiver is cut off: %s", exc)
            if service.taken > taken_before:
                waits = fresh_waits()
            await _pause(stopping, next(waits))


async def _pause(stopping: asyncio.Event, wait_s: float) -> None:
    try:
        async with asyncio.timeout(wait_s):
            await stopping.wait()
    except TimeoutError:
        return


@dataclass(slots=True)
class _Service:
    """What outlives a connection: whom we owe a receipt (device -> when its next one is due)."""

    intake: Takes
    thread: ThreadPoolExecutor  # one: what the intake does it does in order, also when we stopped waiting for it
    on_outcome: Callable[[Outcome], None]
    terms: Terms
    taken: int = 0
    owed: dict[str, float] = field(default_factory=dict)
    again: dict[str, float] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def attend(self, session: Session, stopping: asyncio.Event) -> None:
        """Serve one connection. Raises LinkDown when it ends before stopping is set, StoreError."""
        failed: LinkDown | StoreError | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                taking = tasks.create_task(self._take(session), name="take")
                answering = tasks.create_task(self._answer(session), name="answer")
                await stopping.wait()
                taking.cancel()
                answering.cancel()
            async with asyncio.timeout(_LAST_RECEIPTS_S):
                await self._send_receipts(session, list(self.owed))
        except* (LinkDown, StoreError) as group:
            failed = first_failure(group)
        except* TimeoutError:
            failed = LinkDown("the last receipts could not be sent")
        if failed is not None:
            raise failed

    async def _take(self, session: Session) -> None:
        loop = asyncio.get_running_loop()
        async for messages in session.batches(self.terms.batch_max):
            envelopes = [message.payload for message in messages]
            outcomes = await loop.run_in_executor(self.thread, self.intake.take, envelopes)
            self.taken += len(outcomes)
            due_s = loop.time() + self.terms.receipt_wait_s
            for outcome in outcomes:
                if outcome.status != "dead":
                    self.owed.setdefault(outcome.device, due_s)
                    self.changed.set()
                self.on_outcome(outcome)

    async def _answer(self, session: Session) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self.changed.clear()
            now_s = loop.time()
            due = [device for dates in (self.owed, self.again) for device, due_s in dates.items() if due_s <= now_s]
            await self._send_receipts(session, dict.fromkeys(due))
            dates_s = [*self.owed.values(), *self.again.values()]
            try:
                async with asyncio.timeout_at(min(dates_s, default=None)):
                    await self.changed.wait()
            except TimeoutError:
                continue

    async def _send_receipts(self, session: Session, devices: Collection[str]) -> None:
        if not devices:
            return
        loop = asyncio.get_running_loop()
        first_time = [device for device in devices if self.owed.pop(device, None) is not None]
        for device in devices:
            self.again.pop(device, None)
        sent = False
        try:
            receipts = await loop.run_in_executor(self.thread, self.intake.receipts, devices)
            async with asyncio.TaskGroup() as sending:
                for topic, payload in receipts:
                    sending.create_task(self._send(session, topic, payload))
            sent = True
        finally:
            if not sent:
                self.owed.update(dict.fromkeys(devices, loop.time()))
        self.again.update(dict.fromkeys(first_time, loop.time() + self.terms.receipt_again_s))

    async def _send(self, session: Session, topic: str, payload: bytes) -> None:
        try:
            await session.publish(topic, payload, expiry_s=_RECEIPT_EXPIRY_S)
        except PublishRefused as exc:
            _LOG.warning("receipt refused: %s", exc)
