"""One live connection as the uplink and the receivers use it: places for publishes, messages in batches."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final, Protocol

from paho.mqtt.reasoncodes import ReasonCode

from agent.core.config import Link
from agent.core.errors import PublishRefused
from agent.core.link_ports import Message
from agent.link.incoming import Incoming

EARLY_MAX: Final = 2
"""Publishes before the broker has said how many it takes."""

_TOO_LARGE: Final = 0x95
_PUBLISH_OVERHEAD_MAX: Final = 64  # fixed header, packet id, properties


class Client(Protocol):
    """What it needs of agent.link.mqtt's client."""

    receive_maximum: int
    packet_size_max: int | None

    async def publish_acknowledged(
        self, topic: str, payload: bytes, *, expiry_s: int | None, retain: bool
    ) -> ReasonCode:
        """Publish at QoS 1 and return the PUBACK's reason code. Raises LinkDown."""
        ...

    def arrivals(self, count_max: int) -> AsyncIterator[list[Incoming]]:
        """What has arrived, one to count_max messages. Raises LinkDown."""
        ...

    def acknowledge(self, message: Incoming) -> None:
        """PUBACK an incoming message."""
        ...


class MqttSession:
    """A connection. Publishes wait for a place below both sides' Receive Maximum; for early ones there are few.

    early: what was published before the broker answered, in the order in which it was named.
    """

    def __init__(self, client: Client, link: Link) -> None:
        self.early: Sequence[asyncio.Future[None]] = ()
        self._client = client
        self._link = link
        self._in_flight_max = min(link.in_flight_max, EARLY_MAX)
        self._places = asyncio.Semaphore(self._in_flight_max)
        self._surplus = 0  # places that are gone once they are free

    def grow(self) -> None:
        """The broker has said how many it takes."""
        before, self._in_flight_max = self._in_flight_max, min(self._link.in_flight_max, self._client.receive_maximum)
        self._surplus = max(0, before - self._in_flight_max)
        for _ in range(self._in_flight_max - before):
            self._places.release()

    @property
    def in_flight_max(self) -> int:
        """Publishes that do not wait for each other."""
        return self._in_flight_max

    async def publish(self, topic: str, payload: bytes, *, expiry_s: int | None = None, retain: bool = False) -> None:
        """QoS 1. Raises PublishRefused on a failure code, LinkDown when cut or not acknowledged in time."""
        size = len(payload) + len(topic) + _PUBLISH_OVERHEAD_MAX
        if self._client.packet_size_max is not None and size > self._client.packet_size_max:
            # The broker would cut the connection, again and again.
            raise PublishRefused(
                f"{topic}: {size} bytes, the broker takes {self._client.packet_size_max}", code=_TOO_LARGE
            )
        await self._take_place()
        try:
            code = await self._client.publish_acknowledged(topic, payload, expiry_s=expiry_s, retain=retain)
        finally:
            self._places.release()
        if code.is_failure:
            raise PublishRefused(f"{topic}: broker answered 0x{code.value:02X} {code}", code=code.value)

    async def messages(self) -> AsyncIterator[Message]:
        """Everything subscribed to; each is acknowledged to the broker when the next one is asked for."""
        async for batch in self.batches(1):
            yield batch[0]

    async def batches(self, count_max: int) -> AsyncIterator[list[Message]]:
        """What has arrived, one to count_max messages; acknowledged when the next ones are asked for."""
        async for batch in self._client.arrivals(count_max):
            yield [Message(message.topic, message.payload) for message in batch]
            for message in batch:
                self._client.acknowledge(message)

    async def _take_place(self) -> None:
        await self._places.acquire()
        while self._surplus:
            self._surplus -= 1
            await self._places.acquire()
