"""MQTT 5 through aiomqtt: the only file that knows it (and the paho client inside it).

What aiomqtt 2 leaves out is done here: the PUBACK's reason code (it reports success on 0x87 Not authorized), an end of
the connection before CONNACK, acknowledging an incoming message only when it has been dealt with, and a wait for an
acknowledgement that ends when the connection does. Small packets travel together, and a topic that repeats as an alias.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import lru_cache
from typing import Any, Final, cast

import aiomqtt
import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.core.best_time import Now
from agent.core.config import Link
from agent.core.errors import LinkDown, PublishRefused
from agent.core.ports import Message, Session
from agent.link import dial
from agent.link.acks import Acks
from agent.link.buffered import BufferedSocket
from agent.link.dial import Resolve
from agent.link.incoming import Incoming, parse_publish

_LOG: Final = logging.getLogger(__name__)
_CONTENT_TYPE: Final = "application/cose"
_CLOSE_TIMEOUT_S: Final = 1.0
_RECEIVE_MAXIMUM_DEFAULT: Final = 65_535  # MQTT 5, 3.2.2.3.3
_BROKEN: Final = (OSError, ValueError, LookupError, struct.error)  # what paho raises on bytes that are not MQTT
_UNSPECIFIED: Final = 0x80  # what paho makes of a connection that just ends
_TOO_LARGE: Final = 0x95
_PUBLISH_OVERHEAD_MAX: Final = 64  # fixed header, packet id, properties
_ALIAS: Final = 1


@asynccontextmanager
async def connect(
    link: Link,
    *,
    client_id: str,
    subscriptions: Sequence[str] = (),
    resolve: Resolve = dial.resolve,
    now: Callable[[], Now] | None = None,
) -> AsyncIterator[Session]:
    """One connection to the broker, with a client of its own, subscribed at QoS 1.

    Session kept by the broker for link.session_expiry_s. now: the best time known, to judge certificates by where the
    system's clock may be wrong. Raises LinkDown with the reason where name, TCP, TLS,
    CONNECT or a subscription fails, ConfigError where the link would be neither TLS nor loopback.
    """
    sock = await dial.dial(link, timeout_s=link.ack_timeout_s, resolve=resolve, now=now() if now else None)
    client = _Client(link, client_id, sock)
    try:
        await client.open()
        for topic in subscriptions:
            await client.subscribe_checked(topic)
        yield _MqttSession(client, link)
    finally:
        await client.close()


class _MqttSession:
    """A live connection. Publishes wait for a place below both sides' Receive Maximum."""

    def __init__(self, client: "_Client", link: Link) -> None:
        self._client = client
        self._in_flight_max = min(link.in_flight_max, client.receive_maximum)
        self._places = asyncio.Semaphore(self._in_flight_max)

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
        async with self._places:
            code = await self._client.publish_acknowledged(topic, payload, expiry_s=expiry_s, retain=retain)
        if code.is_failure:
            raise PublishRefused(f"{topic}: broker answered 0x{code.value:02X} {code}", code=code.value)

    async def messages(self) -> AsyncIterator[Message]:
        """Everything subscribed to; each is acknowledged to the broker when the next one is asked for."""
        async for batch in self.batches(1):
            yield batch[0]

    async def batches(self, count_max: int) -> AsyncIterator[list[Message]]:
        """What has arrived, one to count_max messages; acknowledged when the next ones are asked for."""
        try:
            async for first in self._client.messages:
                batch = [cast("Incoming", first), *self._client.arrived(count_max - 1)]
                yield [Message(message.topic, message.payload) for message in batch]
                for message in batch:
                    self._client.acknowledge(message)
        except aiomqtt.MqttError as exc:
            raise self._client.down() from exc


class _Quiet(logging.Logger):
    """Takes what paho and aiomqtt log: the last error is the reason of the LinkDown to come, no report of its own."""

    def __init__(self) -> None:
        super().__init__(f"{__name__}.paho")
        self.last_error = ""

    def handle(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR:
            self.last_error = record.getMessage()
        _LOG.debug("%s", record.getMessage())


class _Packed(Properties):
    """Properties of a PUBLISH as bytes, made once: paho would put them together anew for every message."""

    _bytes: bytes

    def __init__(self, properties: Properties) -> None:
        super().__init__(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho has no types here
        object.__setattr__(self, "_bytes", properties.pack())  # type: ignore[no-untyped-call]  # same

    def pack(self) -> bytes:
        return self._bytes


@lru_cache(maxsize=64)
def _properties(expiry_s: int | None, *, aliased: bool) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho has no types here
    properties.ContentType = _CONTENT_TYPE
    if expiry_s is not None:
        properties.MessageExpiryInterval = expiry_s
    if aliased:
        properties.TopicAlias = _ALIAS
    return _Packed(properties)


class _Client(aiomqtt.Client):
    """aiomqtt's client on a socket dialled by us."""

    def __init__(self, link: Link, client_id: str, sock: socket.socket) -> None:
        self._said = _Quiet()
        self._said.setLevel(logging.WARNING)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types here
        properties.SessionExpiryInterval = link.session_expiry_s
        properties.ReceiveMaximum = link.in_flight_max
        super().__init__(
            link.host,
            link.port,
            identifier=client_id,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=False,
            keepalive=link.keep_alive_s,
            timeout=link.ack_timeout_s,
            max_inflight_messages=link.in_flight_max,
            properties=properties,
            logger=self._said,
        )
        self.receive_maximum = _RECEIVE_MAXIMUM_DEFAULT
        self.packet_size_max: int | None = None
        self._aliases_max = 0
        self._aliased = ""  # the topic that alias 1 stands for
        self._where = f"{link.host}:{link.port}"
        self._sock = BufferedSocket(sock)
        self._writer_set = False
        self._reason = ""
        self._acks = Acks[ReasonCode](timeout_s=link.ack_timeout_s)
        self._client.manual_ack_set(on=True)
        self._client._handle_publish = self._take_publish  # type: ignore[method-assign]  # noqa: SLF001 - see there
        self._disconnected.add_done_callback(self._end)

    async def open(self) -> None:
        """CONNECT and wait for CONNACK. Raises LinkDown."""
        # Here, not on aiomqtt's thread: nothing in it waits any more, and a cancelled connect would leave the thread
        # registering a socket that is closed by then.
        self._client._create_socket = lambda: self._sock  # type: ignore[method-assign]  # noqa: SLF001 - no public way
        try:
            super()._client_connect()
            await self.__aenter__()
        except aiomqtt.MqttCodeError as exc:
            raise LinkDown(f"{self._where}: broker refused us: {exc.rc}") from exc
        except (OSError, aiomqtt.MqttError) as exc:
            raise self.down(str(exc)) from exc

    async def close(self) -> None:
        """DISCONNECT where that is still possible, and let go of the socket whatever happened."""
        self.timeout = _CLOSE_TIMEOUT_S
        try:
            if self._connected.done():
                with suppress(aiomqtt.MqttError):
                    await self.__aexit__(None, None, None)
        finally:
            self._client._sock_close()  # noqa: SLF001 - paho closes its socket in no public call
            self._sock.close()
            if self._misc_task is not None:
                self._misc_task.cancel()
            self._disconnected.cancel()
            self._acks.close()

    async def subscribe_checked(self, topic: str) -> None:
        """Subscribe at QoS 1. Raises LinkDown where the broker says no."""
        try:
            codes = await self.subscribe(topic, qos=1)
        except aiomqtt.MqttError as exc:
            raise self.down(f"subscribing to {topic}: {exc}") from exc
        for code in codes:
            if isinstance(code, ReasonCode) and code.is_failure:
                raise LinkDown(f"{self._where}: broker refused the subscription to {topic}: {code}")

    async def publish_acknowledged(
        self, topic: str, payload: bytes, *, expiry_s: int | None, retain: bool
    ) -> ReasonCode:
        """Publish at QoS 1 and return the PUBACK's reason code. Raises LinkDown.

        The first topic goes by an alias from its second message on, where the broker takes one.
        """
        if self._disconnected.done():
            raise self.down()
        aliased = self._aliases_max > 0 and self._aliased in {"", topic}
        known = aliased and self._aliased == topic
        info = self._client.publish("" if known else topic, payload, 1, retain, _properties(expiry_s, aliased=aliased))
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise self.down(paho.error_string(info.rc))
        if aliased:
            self._aliased = topic
        return await self._acks.answer(info.mid, size=len(payload))

    def arrived(self, count_max: int) -> list[Incoming]:
        """Messages that wait already, without a turn of the loop for each."""
        waiting = min(count_max, self._queue.qsize())
        return [cast("Incoming", self._queue.get_nowait()) for _ in range(waiting)]

    def acknowledge(self, message: Incoming) -> None:
        """PUBACK an incoming message; one that came over a connection since lost comes again."""
        self._client.ack(message.mid, message.qos)

    def down(self, fallback: str = "connection lost") -> LinkDown:
        """LinkDown with the best reason known."""
        return LinkDown(f"{self._where}: {self._reason or self._said.last_error or fallback}")

    def _client_connect(self) -> None:
        """Nothing: open has done it."""

    def _on_socket_open(self, client: paho.Client, userdata: Any, sock: Any) -> None:  # noqa: ARG002 - paho's callback
        # At once, where aiomqtt would leave it to a later turn: by then the number may be another connection's.
        self._loop.add_reader(sock.fileno(), self._read)
        self._misc_task = self._loop.create_task(self._misc_loop())

    def _on_socket_register_write(self, client: paho.Client, userdata: Any, sock: Any) -> None:  # noqa: ARG002 - same
        self._loop.call_soon(self._write)  # together with whatever else this turn of the loop has to say

    def _on_socket_unregister_write(self, client: paho.Client, userdata: Any, sock: Any) -> None:
        """Nothing: _write sees to it."""

    def _read(self) -> None:
        try:
            self._client.loop_read()
            while self._sock.holds_more:
                self._client.loop_read()
        except _BROKEN as exc:
            self._fail(exc)

    def _write(self) -> None:
        try:
            self._client.loop_write()
            self._set_writer(self._sock.fileno() != -1 and (not self._sock.flush() or self._client.want_write()))
        except _BROKEN as exc:
            self._fail(exc)

    def _set_writer(self, wanted: bool) -> None:  # noqa: FBT001 - what else could it be
        if wanted and not self._writer_set:
            self._loop.add_writer(self._sock.fileno(), self._write)
        elif self._writer_set and not wanted:
            self._loop.remove_writer(self._sock.fileno())
        self._writer_set = wanted

    def _on_socket_close(self, client: paho.Client, userdata: Any, sock: Any) -> None:
        self._set_writer(False)  # noqa: FBT003 - as above
        super()._on_socket_close(client, userdata, sock)

    def _take_publish(self) -> MQTTErrorCode:
        """In the place of paho's own: what it has read of an incoming message goes straight to who waits for it."""
        packet = self._client._in_packet  # noqa: SLF001 - no public way
        self._queue.put_nowait(cast("aiomqtt.Message", parse_publish(packet["command"], bytes(packet["packet"]))))
        return paho.MQTT_ERR_SUCCESS

    def _fail(self, exc: Exception) -> None:
        if not self._disconnected.done():
            self._disconnected.set_exception(exc)

    def _on_connect(
        self, client: paho.Client, userdata: Any, flags: Any, reason_code: ReasonCode, properties: Any = None
    ) -> None:
        self.receive_maximum = getattr(properties, "ReceiveMaximum", _RECEIVE_MAXIMUM_DEFAULT)
        self.packet_size_max = getattr(properties, "MaximumPacketSize", None)
        self._aliases_max = getattr(properties, "TopicAliasMaximum", 0)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_publish(
        self,
        client: paho.Client,  # noqa: ARG002 - same
        userdata: Any,  # noqa: ARG002 - same
        mid: int,
        reason_code: ReasonCode,
        properties: Any,  # noqa: ARG002 - same
    ) -> None:
        self._acks.answered(mid, reason_code)

    def _on_disconnect(
        self, client: paho.Client, userdata: Any, flags: Any, reason_code: ReasonCode, properties: Any = None
    ) -> None:
        if getattr(flags, "is_disconnect_packet_from_server", False):
            self._reason = f"broker ended the connection: {reason_code}"
        if not self._connected.done():
            # aiomqtt would wait for its whole timeout. TLS 1.3 tells of a refused client certificate only here.
            reason = self._reason or self._said.last_error or "connection closed"
            self._connected.set_exception(aiomqtt.MqttError(f"before CONNACK: {reason}"))
            return
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _end(self, disconnected: "asyncio.Future[None]") -> None:
        exc = None if disconnected.cancelled() else disconnected.exception()
        if exc is not None and not self._reason:
            unspecified = isinstance(exc, aiomqtt.MqttCodeError) and getattr(exc.rc, "value", 0) == _UNSPECIFIED
            self._reason = self._said.last_error or ("connection lost" if unspecified else str(exc))
        self._acks.fail(self.down)
        for answer in self._pending_subscribes.values():  # aiomqtt would wait for its whole timeout
            if not answer.done():
                answer.set_exception(self.down())
