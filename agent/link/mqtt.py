"""MQTT 5 through aiomqtt: the only file that knows it (and, with packed.py, the paho client inside it).

What aiomqtt 2 leaves out is done here: the PUBACK's reason code (it reports success on 0x87 Not authorized), an end of
the connection before CONNACK, acknowledging an incoming message only when it has been dealt with, and a wait for an
acknowledgement that ends when the connection does. Small packets travel together, and a topic that repeats as an alias.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar, cast

import aiomqtt
import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.core.best_time import Now
from agent.core.config import Link
from agent.core.errors import LinkDown
from agent.core.link_ports import ChooseEarly, EarlySession
from agent.link import dial
from agent.link.acks import Acks
from agent.link.buffered import BufferedSocket
from agent.link.dial import Resolve
from agent.link.incoming import Incoming, parse_publish
from agent.link.packed import Quiet, publish_properties
from agent.link.session import EARLY_MAX, MqttSession
from agent.link.wire import may_be_refused

T = TypeVar("T")

_LOG: Final = logging.getLogger(__name__)
_CLOSE_TIMEOUT_S: Final = 1.0
_RECEIVE_MAXIMUM_DEFAULT: Final = 65_535  # MQTT 5, 3.2.2.3.3
_BROKEN: Final = (OSError, ValueError, LookupError, struct.error)  # what paho raises on bytes that are not MQTT
_UNSPECIFIED: Final = 0x80  # what paho makes of a connection that just ends


@asynccontextmanager
async def connect(
    link: Link,
    *,
    client_id: str,
    subscriptions: Sequence[str] = (),
    resolve: Resolve = dial.resolve,
    now: Callable[[], Now] | None = None,
    early: ChooseEarly | None = None,
) -> AsyncIterator[EarlySession]:
    """One connection to the broker, with a client of its own, subscribed at QoS 1.

    Session kept by the broker for link.session_expiry_s. now: the best time known, to judge certificates by where the
    system's clock may be wrong. early is asked once TLS stands: what it names goes in one flight with CONNECT and
    SUBSCRIBE, which MQTT 5 allows (3.1.4), two round trips sooner.

    Raises LinkDown with the reason where name, TCP, TLS, CONNECT or a subscription fails, ConfigError where the link
    would be neither TLS nor loopback.
    """
    sock = await dial.dial(link, timeout_s=link.ack_timeout_s, resolve=resolve, now=now() if now else None)
    client = _Client(link, client_id, sock)
    session = MqttSession(client, link)
    subscribing: asyncio.Task[None] | None = None
    try:
        hurried = list(await early())[:EARLY_MAX] if early else []
        client.begin(gather=bool(hurried))
        if hurried:
            subscribing = asyncio.create_task(client.subscribe_checked(subscriptions))
            session.early = [asyncio.create_task(session.publish(*each[:2], expiry_s=each[2])) for each in hurried]
            await asyncio.sleep(0)  # each has written
        await client.open()
        session.grow()
        await (subscribing or client.subscribe_checked(subscriptions))
        yield session
    finally:
        await _end(*session.early, *([subscribing] if subscribing else []))
        await client.close()


async def _end(*tasks: asyncio.Future[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class _Client(aiomqtt.Client):
    """aiomqtt's client on a socket dialled by us."""

    def __init__(self, link: Link, client_id: str, sock: socket.socket) -> None:
        self._said = Quiet()
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
        self._gathering = False  # whether what is written waits for more
        self._reason = ""
        self._acks = Acks[ReasonCode](timeout_s=link.ack_timeout_s)
        self._client.manual_ack_set(on=True)
        self._client._handle_publish = self._take_publish  # type: ignore[method-assign]  # noqa: SLF001 - see there
        self._disconnected.add_done_callback(self._end)

    def begin(self, *, gather: bool) -> None:
        """CONNECT; gather: it is kept until open, and goes with what is written until then. Raises LinkDown."""
        # Here, not on aiomqtt's thread: nothing in it waits any more, and a cancelled connect would leave the thread
        # registering a socket that is closed by then.
        self._client._create_socket = lambda: self._sock  # type: ignore[method-assign]  # noqa: SLF001 - no public way
        self._gathering = gather
        try:
            super()._client_connect()
        except OSError as exc:
            raise self.down(str(exc)) from exc

    async def open(self) -> None:
        """Send what begin has kept, and wait for CONNACK. Raises LinkDown."""
        if self._gathering:
            self._gathering = False
            self._write()
        try:
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

    async def subscribe_checked(self, topics: Sequence[str]) -> None:
        """Subscribe at QoS 1, to all at once. Raises LinkDown where the broker says no to one that is needed."""
        if not topics:
            return
        try:
            codes = await self.subscribe([(topic, SubscribeOptions(qos=1)) for topic in topics])
        except aiomqtt.MqttError as exc:
            raise self.down(f"subscribing to {', '.join(topics)}: {exc}") from exc
        for topic, code in zip(topics, codes, strict=False):
            if not (isinstance(code, ReasonCode) and code.is_failure):
                continue
            if may_be_refused(topic):
                _LOG.warning("%s: broker refused the subscription to %s: %s", self._where, topic, code)
            else:
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
        info = self._client.publish(
            "" if known else topic, payload, 1, retain, publish_properties(expiry_s, aliased=aliased)
        )
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise self.down(paho.error_string(info.rc))
        if aliased:
            self._aliased = topic
        return await self._acks.answer(info.mid, size=len(payload))

    async def arrivals(self, count_max: int) -> AsyncIterator[list[Incoming]]:
        """What has arrived, one to count_max messages, without a turn of the loop for each. Raises LinkDown."""
        try:
            async for first in self.messages:
                waiting = min(count_max - 1, self._queue.qsize())
                yield [cast("Incoming", each) for each in (first, *(self._queue.get_nowait() for _ in range(waiting)))]
        except aiomqtt.MqttError as exc:
            raise self.down() from exc

    def acknowledge(self, message: Incoming) -> None:
        """PUBACK an incoming message; one that came over a connection since lost comes again."""
        self._client.ack(message.mid, message.qos)

    def down(self, fallback: str = "connection lost") -> LinkDown:
        """LinkDown with the best reason known."""
        return LinkDown(f"{self._where}: {self._reason or self._said.last_error or fallback}")

    def _client_connect(self) -> None:
        """Nothing: begin has done it."""

    async def _wait_for(self, fut: Awaitable[T], timeout: float | None) -> T:  # noqa: ASYNC109 - aiomqtt's own
        """Not by asyncio.wait_for, which before Python 3.12 loses a cancellation that comes with the answer."""
        try:
            async with asyncio.timeout(self.timeout if timeout is None else timeout):
                return await fut
        except TimeoutError as exc:
            raise aiomqtt.MqttError("Operation timed out") from exc

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
        if self._gathering:
            return
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
        if self._connected.cancelled():
            return  # whoever waited for it has given up
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
