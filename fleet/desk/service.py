"""The desk on the network: looks at what came in, and sends what the cars shall hear, sealed for each of them."""

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from agent.core.backoff import backoff_waits
from agent.core.config import Link
from agent.core.errors import AgentError, InputError, LinkDown, PublishRefused, StoreError
from agent.core.link_ports import Connect, Session
from agent.desk import seal_note
from agent.link import mqtt
from agent.link.wire import desk_topic
from fleet.desk.desk import Desk
from fleet.desk.store import DeskStore, Sent
from fleet.receiver.keys import ReceiverKeys

_LOG: Final = logging.getLogger(__name__)
CLIENT: Final = "insurer-desk"
_POLL_S: Final = 1.0
_FIRST_WAIT_S: Final = 0.5
_FORGET_S: Final = 3600.0


class Publishes(Protocol):
    """What it needs of a connection."""

    async def publish(self, topic: str, payload: bytes, *, expiry_s: int | None = None, retain: bool = False) -> None:
        """Return at the broker's success. Raises PublishRefused, LinkDown."""
        ...


class DeskSender:
    """Seals and publishes what is due."""

    def __init__(self, store: DeskStore, keys: ReceiverKeys, *, now_ns: Callable[[], int]) -> None:
        self._store = store
        self._keys = keys
        self._now_ns = now_ns

    async def send_due(self, session: Publishes) -> int:
        """Send what is due now; returns how many went. Raises LinkDown, StoreError."""
        went = 0
        for sent in await asyncio.to_thread(self._store.due, self._now_ns()):
            try:
                blob = self._seal(sent)
                expiry_s = max(1, (sent.note.expires_ns - self._now_ns()) // 10**9)
                await session.publish(desk_topic(sent.note.device), blob, expiry_s=expiry_s)
            except PublishRefused as exc:
                _LOG.warning("message %s: %s", sent.note.id, exc)
            except AgentError as exc:
                if isinstance(exc, (LinkDown, StoreError)):
                    raise
                _LOG.error("message %s cannot be sealed: %s", sent.note.id, exc)
            else:
                went += 1
            await asyncio.to_thread(self._store.went, sent, self._now_ns())  # a refusal too comes to its next turn
        return went

    def _seal(self, sent: Sent) -> bytes:
        """Raises InputError for a device that is not registered, ProtocolError."""
        key = self._keys.device_key(sent.note.device)
        if key is None:
            raise InputError(f"{sent.note.device} is not registered")
        return seal_note(sent.note, key, self._keys.sign_receipt)


async def serve_desk(
    link: Link,
    desk: Desk,
    sender: DeskSender,
    *,
    stopping: asyncio.Event,
    woken: asyncio.Event | None = None,
    connect: Connect = mqtt.connect,
    uniform: Callable[[], float] = random.random,
) -> None:
    """Until stopping is set: deal with what came in, send what is due, again every second and when woken."""
    woken = woken or asyncio.Event()
    waits = backoff_waits(uniform, first_s=_FIRST_WAIT_S, longest_s=link.backoff_longest_s)
    while not stopping.is_set():
        try:
            async with connect(link, client_id=CLIENT, subscriptions=()) as session:
                waits = backoff_waits(uniform, first_s=_FIRST_WAIT_S, longest_s=link.backoff_longest_s)
                await _attend(session, desk, sender, stopping, woken)
        except (LinkDown, StoreError) as exc:
            _LOG.warning("the desk is cut off: %s", exc)
            await _first(next(waits), stopping)


async def _attend(
    session: Session, desk: Desk, sender: DeskSender, stopping: asyncio.Event, woken: asyncio.Event
) -> None:
    loop = asyncio.get_running_loop()
    forget_s = loop.time()
    while not stopping.is_set():
        woken.clear()
        while await asyncio.to_thread(desk.step):
            pass
        await sender.send_due(session)
        if loop.time() >= forget_s:
            await asyncio.to_thread(desk.forget)
            forget_s = loop.time() + _FORGET_S
        await _first(_POLL_S, stopping, woken)


async def _first(wait_s: float, *events: asyncio.Event) -> None:
    """Wait for the first of the events, or so long."""
    tasks = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
