"""What the uplink and the downlink ask of a connection to the insurer's broker."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from agent.core.config import Link


@dataclass(frozen=True, slots=True)
class Message:
    """A message from the insurer: receipts and config."""

    topic: str
    payload: bytes


class Session(Protocol):
    """One live connection to the broker."""

    @property
    def in_flight_max(self) -> int:
        """Publishes that do not wait for each other."""
        ...

    async def publish(self, topic: str, payload: bytes, *, expiry_s: int | None = None, retain: bool = False) -> None:
        """Return at the broker's success; raises PublishRefused on a failure code, LinkDown when cut or timed out."""
        ...

    def messages(self) -> AsyncIterator[Message]:
        """Everything subscribed to; raises LinkDown when the connection ends."""
        ...

    def batches(self, count_max: int) -> AsyncIterator[list[Message]]:
        """The same, one to count_max messages at a time."""
        ...


Outgoing = tuple[str, bytes, int | None]
"""Topic, payload and expiry_s of a publish."""

ChooseEarly = Callable[[], Awaitable[Sequence[Outgoing]]]


class EarlySession(Session, Protocol):
    """One that has published already."""

    @property
    def early(self) -> Sequence[Awaitable[None]]:
        """Verdicts on what was published with its first words, in the order in which it was named."""
        ...


class Connect(Protocol):
    """agent.link.mqtt.connect, or a test's."""

    def __call__(
        self, link: Link, *, client_id: str, subscriptions: Sequence[str]
    ) -> AbstractAsyncContextManager[Session]:
        """Open one connection; raises LinkDown."""
        ...


class ConnectEarly(Protocol):
    """The same, for who has something that cannot wait."""

    def __call__(
        self, link: Link, *, client_id: str, subscriptions: Sequence[str], early: ChooseEarly
    ) -> AbstractAsyncContextManager[EarlySession]:
        """Open one connection, and publish with its first words what early names; raises LinkDown."""
        ...
